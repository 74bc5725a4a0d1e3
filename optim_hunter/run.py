"""A run: opens models, gathers one number a seed, and decides each case once; knows nothing of pytest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optim_hunter.cases import Case
from optim_hunter.claim import MINIMUM_SEEDS, InvalidInstrument, NoValue, UserError, Verdict
from optim_hunter.illustrations import Illustrations
from optim_hunter.observe.checks import TOLERANCES, require
from optim_hunter.observe.plan import unite
from optim_hunter.observe.store import Store
from optim_hunter.stats.decision import SeedNumber, Tested, examine, mean_of_queries
from optim_hunter.stats.families import holm
from optim_hunter.stats.pooled import UndefinedStatisticError
from optim_hunter.stats.power import seeds_to_settle
from optim_hunter.stats.sequential import Looks, examine_sequentially, obstacle, settles
from optim_hunter.stats.verdict import too_many_missing, verdict_of
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options, Subject
from optim_hunter.tasks.regression import RegressionTask

Call = Callable[[Any], Any]
"""The measure of a claim with its other pytest fixtures bound: observation → value or values."""


@dataclass(frozen=True)
class Decision:
    """The verdict on a case, with what it rests on.

    `reason` says why a claim is invalid or has nothing to test; `losses_change` tells that scoring the missing
    seeds as losses would change the verdict, which is inconclusive for that. `looks` is there where the claim was
    looked at after every seed.
    """

    case: Case
    verdict: Verdict
    reason: str = ""
    tested: Tested | None = None
    p_adjusted: float | None = None
    p_refuted_adjusted: float | None = None
    family_size: int = 1
    seeds_to_settle: int | None = None
    controls: tuple[tuple[Case, Verdict], ...] = ()
    losses_change: bool = False
    looks: Looks | None = None


@dataclass
class Run:
    """The state of one run over its cases.

    `family_sizes` maps a family to its registered size; `store` spares what an earlier run has seen; `bounds` maps
    claim and condition to declared bounds where claims stop as soon as they are settled, and is None where they do
    not; `calls` holds the measure of each case.
    """

    cases: Mapping[tuple[str, str, str], Case]
    options: Options
    family_sizes: Mapping[str, int]
    store: Store | None = None
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None
    calls: dict[tuple[str, str, str], Call] = field(default_factory=dict)
    numbers: dict[tuple[str, str, str], dict[int, SeedNumber]] = field(default_factory=dict)
    estimates: dict[tuple[str, str, str], Mapping[str, float]] = field(default_factory=dict)
    descriptions: dict[tuple[str, Any], dict[str, Any]] = field(default_factory=dict)
    work: dict[str, dict[str, int]] = field(default_factory=dict)
    illustrations: Illustrations = field(default_factory=Illustrations)
    checks: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    _broken: dict[Any, str] = field(default_factory=dict)
    _prechecked: set[Any] = field(default_factory=set)
    _decisions: dict[tuple[str, str, str], Decision] = field(default_factory=dict)
    _settled: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _subjects: dict[str, Subject] = field(default_factory=dict)
    _resident: str | None = None
    _last: tuple[Any, Any] | None = None

    def number(self, case: Case, seed: int) -> SeedNumber:
        """The number of a seed, measured now unless it was before.

        Raises:
            InvalidInstrument: the model cannot be measured at all; the same line is raised for every seed.
        """
        known = self.numbers.setdefault(case.key, {})
        if seed not in known:
            known[seed] = self._measure(case, seed)
        return known[seed]

    def looks(self, case: Case) -> Looks | str | None:
        """How a case is looked at seed by seed, or why it cannot be; None where nobody asked, and for controls."""
        if self.bounds is None or case.is_control:
            return None
        bounds = {name: bounds for (claim_id, name), bounds in self.bounds.items() if claim_id == case.claim.id}
        return obstacle(case.claim, bounds) or Looks(case.claim, bounds, self.family_sizes.get(case.claim.family, 1))

    def settled(self, case: Case) -> int | None:
        """After how many of its seeds, in order and measured so far, a case was settled; None while it is not."""
        looks = self.looks(case)
        if isinstance(looks, Looks) and case.key not in self._settled:
            measured = self._in_order(case)
            if settles(looks, measured):
                self._settled[case.key] = len(measured)
        return self._settled.get(case.key)

    def looked_at(self, case: Case) -> list[SeedNumber]:
        """The numbers that a decision rests on, in order: of a settled case those until it was settled."""
        if isinstance(self.looks(case), Looks):
            return self._in_order(case)[: self.settled(case)]
        return sorted(self.numbers.get(case.key, {}).values(), key=lambda number: number.seed)

    def _in_order(self, case: Case) -> list[SeedNumber]:
        known = self.numbers.get(case.key, {})
        return [known[seed] for seed in itertools.takewhile(known.__contains__, case.seeds)]

    def decide(self, case: Case) -> Decision:
        """The verdict on a case; measures whatever seeds, controls and family members are still lacking."""
        if case.key not in self._decisions:
            self._decisions[case.key] = self._decide(case)
        return self._decisions[case.key]

    def _measure(self, case: Case, seed: int) -> SeedNumber:
        queries, reasons = [], []
        for query in range(getattr(case.protocol.task, "queries_per_seed", 1)):
            try:
                observation = self.observe(case, seed, query)
                self._note_checks(case, observation)
                self.illustrations.note(case, seed, query, observation)
                queries.append(self._values(case, observation))
            except NoValue as reason:
                reasons.append(str(reason))
        return mean_of_queries(seed, queries, reasons)

    def _values(self, case: Case, observation: Any) -> dict[str, Any]:
        """The measure's values; an error in the test's own code is a UserError with that error as its cause."""
        try:
            measured = self.calls.get(case.key, case.measure)(observation)
        except (NoValue, UserError, InvalidInstrument):
            raise
        except Exception as error:
            raise UserError(f"{case.claim.id}: its test raised {type(error).__name__}: {error}") from error
        return named_values(case, measured)

    def observe(self, case: Case, seed: int | None, query: int = 0) -> Any:
        """What a pass shows of a seed; the last observation is kept, so that asking twice costs nothing.

        Raises:
            InvalidInstrument: the model cannot be opened or measured; the same line is raised for every seed.
        """
        scope = case.model, case.protocol.task, seed, query
        if self._last is None or self._last[0] != scope:
            self._raise_if_broken(case)
            subject = self._subject(case)
            try:
                self._last = scope, subject.observe(case.protocol.task, seed, query)
            except InvalidInstrument as error:
                self._broken[case.model] = str(error)
                raise
            except UserError as error:
                self._broken[case.model, case.protocol.task] = str(error)
                raise InvalidInstrument(str(error)) from None
            finally:
                self._describe(case, subject)
        return self._last[1]

    def _describe(self, case: Case, subject: Subject) -> None:
        described = subject.describe(case.protocol.task)
        self.work[case.model] = described.pop("work", {})
        self.descriptions[case.model, case.protocol.task] = described

    def described(self, case: Case) -> Mapping[str, Any]:
        """Where what a case was measured on comes from; empty where nothing was measured."""
        return self.descriptions.get((case.model, case.protocol.task), {})

    def _estimate(self, case: Case) -> Mapping[str, float] | None:
        """A bootstrap claim's values on the whole corpus."""
        if not case.claim.bootstrap:
            return None
        if case.key not in self.estimates:
            observation = self.observe(case, None)
            self.illustrations.note(case, None, 0, observation)
            self.estimates[case.key] = self._values(case, observation)
        return self.estimates[case.key]

    def _raise_if_broken(self, case: Case) -> None:
        for scope in (case.model, (case.model, case.protocol.task)):
            if scope in self._broken:
                raise InvalidInstrument(self._broken[scope])

    def _subject(self, case: Case) -> Subject:
        """The subject of a case. What it saw stays; weights are resident of one model at a time."""
        if case.model not in self._subjects:
            try:
                self._subjects[case.model] = open_subject(case.model, self.options, self._plans(case.model), self.store)
            except UserError as error:
                self._broken[case.model] = str(error)
                raise InvalidInstrument(str(error)) from None
        if self._resident != case.model:
            if self._resident is not None:
                self._subjects[self._resident].close()
            self._resident = case.model
        self._precheck(case, self._subjects[case.model])
        return self._subjects[case.model]

    def _precheck(self, case: Case, subject: Subject) -> None:
        scope = case.model, case.protocol.task
        if scope not in self._prechecked:
            try:
                subject.precheck(case.protocol.task, case.seeds)
            except (UserError, InvalidInstrument) as error:
                self._broken[scope] = str(error)
                raise InvalidInstrument(str(error)) from None
            self._prechecked.add(scope)

    def _plans(self, model: str) -> dict[str, Any]:
        return unite(
            (case.protocol.task, case.claim.needs, case.seeds)
            for case in self.cases.values()
            if case.model == model and isinstance(case.protocol.task, RegressionTask)
        )

    def _note_checks(self, case: Case, observation: Any) -> None:
        """Keep the worst error of each instrument check; whoever made the observation, none of them may have failed."""
        worst, checks = self.checks.setdefault(case.key, {}), getattr(observation, "checks", {})
        require(checks, str(self.described(case).get("dtype")))
        for name, error in checks.items():
            worst[name] = max(worst.get(name, 0.0), error)

    def store_problems(self) -> list[str]:
        """Files of the store that were set aside or could not be written."""
        return [*self.store.damaged, *self.store.problems] if self.store is not None else []

    def check_table(self, case: Case) -> list[dict[str, Any]]:
        """The worst error of each instrument check beside its tolerance."""
        dtype = str(self.described(case).get("dtype"))
        return [
            {"name": name, "worst": worst, "tolerance": TOLERANCES[dtype][name]}
            for name, worst in self.checks.get(case.key, {}).items()
        ]

    def _tested(self, case: Case) -> Tested | None:
        looks = self.looks(case)
        if isinstance(looks, Looks):
            for seed in case.seeds:
                if not self.settled(case):
                    self.number(case, seed)
            return examine_sequentially(looks, self.looked_at(case))
        numbers = [self.number(case, seed) for seed in case.seeds]
        return examine(case.claim, numbers, self._estimate(case), case.claim.named.get(case.model))

    def _decide(self, case: Case) -> Decision:
        try:
            self._open_if_unmeasured(case)
        except InvalidInstrument as error:
            return Decision(case, Verdict.INVALID, str(error))
        controls = self._controls(case)
        failed = [(control, verdict) for control, verdict in controls if verdict is not control.expected]
        if failed:
            control, verdict = failed[0]
            reason = f"control {control.model} came out {verdict}, but must be {control.expected}"
            return Decision(case, Verdict.INVALID, reason, controls=controls)
        tested, too_few = None, ""
        try:
            tested = self._tested(case)
        except UndefinedStatisticError as error:
            too_few = str(error)
        except (InvalidInstrument, UserError, NoValue) as error:
            return Decision(case, Verdict.INVALID, str(error), controls=controls)
        numbers = self.looked_at(case)
        lost = [number for number in numbers if number.lost]
        if too_many_missing(sum(number.lost for number in lost), len(numbers)):
            share = "" if all(number.lost == 1 for number in lost) else " or not for all queries"
            reason = (
                f"{len(lost)} of {len(numbers)} seeds gave no number{share}, more than 10 %; "
                f"the first: {lost[0].missing}"
            )
            return Decision(case, Verdict.INVALID, reason, tested, controls=controls)
        if tested is None:
            halved = f"{len(case.seeds)} seeds are too few to find a candidate on one half and confirm it on the other"
            return Decision(case, Verdict.INCONCLUSIVE, too_few or halved, controls=controls)
        return self._judge(case, tested, controls)

    def _open_if_unmeasured(self, case: Case) -> None:
        """Open the model and check its task before the controls run, so that a mistake is told at once."""
        if case.key not in self.numbers:
            self._raise_if_broken(case)
            self._subject(case)

    def _judge(self, case: Case, tested: Tested, controls: tuple[tuple[Case, Verdict], ...]) -> Decision:
        size = 1 if case.is_control else self.family_sizes.get(case.claim.family, 1)
        alpha, n = case.claim.alpha, tested.combined.n
        p, p_refuted = self._adjusted(case, tested.combined.p, tested.combined.p_refuted, size)
        verdict = verdict_of(p, p_refuted, n, alpha)
        if_lost = self._adjusted(case, tested.losses.p, tested.losses.p_refuted, size)
        changed = n >= MINIMUM_SEEDS and verdict_of(*if_lost, tested.losses.n, alpha) is not verdict
        if changed:
            verdict = Verdict.INCONCLUSIVE
        needed = self._needed(case, tested, size) if verdict is Verdict.INCONCLUSIVE else None
        looks = self.looks(case)
        return Decision(case, verdict, "", tested, p, p_refuted, size, needed, controls, changed,
                        looks if isinstance(looks, Looks) else None)  # fmt: skip

    def _controls(self, case: Case) -> tuple[tuple[Case, Verdict], ...]:
        if case.is_control:
            return ()
        controls = [other for other in self.cases.values() if other.is_control and other.claim.id == case.claim.id]
        return tuple((control, self.decide(control).verdict) for control in controls)

    def _adjusted(self, case: Case, p: float, p_refuted: float, size: int) -> tuple[float, float]:
        """Holm within the family of one model and protocol, each direction on its own.

        A case that stops when it is settled is adjusted by the family's size (Bonferroni), since its relatives do not
        stop when it does; to them it counts as p = 1, so that all together err with probability α at most.
        """
        if isinstance(self.looks(case), Looks):
            return min(1.0, size * p), min(1.0, size * p_refuted)
        above, below = {case.claim.id: p}, {case.claim.id: p_refuted}
        for other in () if case.is_control else self._relatives(case):
            tested = self._tested_or_none(other)
            if tested is not None:
                above[other.claim.id], below[other.claim.id] = tested.combined.p, tested.combined.p_refuted
        return holm(above, size)[case.claim.id], holm(below, size)[case.claim.id]

    def _relatives(self, case: Case) -> Iterable[Case]:
        return [
            other
            for other in self.cases.values()
            if other.claim.family == case.claim.family
            and (other.model, other.protocol.name) == (case.model, case.protocol.name)
            and other.claim.id != case.claim.id
            and not other.is_control
        ]

    def _tested_or_none(self, case: Case) -> Tested | None:
        """A family member that cannot be tested, or stops on its own, counts as p = 1."""
        if isinstance(self.looks(case), Looks):
            return None
        try:
            return self._tested(case)
        except (InvalidInstrument, UserError, NoValue, UndefinedStatisticError):
            return None

    def _needed(self, case: Case, tested: Tested, size: int) -> int | None:
        if case.claim.bootstrap:
            return None
        condition = next(one for one in case.claim.conditions if one.name == tested.combined.decisive)
        needed = seeds_to_settle(tested.values[condition.name], condition.smallest_effect, case.claim.alpha / size)
        return needed and max(MINIMUM_SEEDS, needed) * (2 if "find" in tested.roles.values() else 1)


def named_values(case: Case, measured: Any) -> dict[str, Any]:
    """A measure's return as {condition: finite value}.

    Raises:
        NoValue: a value is not finite.
        UserError: the measure returns something else than its conditions ask for.
    """
    names = [condition.name for condition in case.claim.quantities]
    values = measured if isinstance(measured, dict) else {names[0]: measured}
    if sorted(values) != sorted(names) or any(value is None for value in values.values()):
        raise UserError(f"{case.claim.id}: its test must return a number for each of {', '.join(names)}")
    for name, value in values.items():
        if not np.all(np.isfinite(value)):
            raise NoValue(f"{name} is not finite")
    return values
