"""A run: gathers what each case needs, and decides it once; knows nothing of pytest."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from optim_hunter.cases import Case
from optim_hunter.claim import MINIMUM_SEEDS, InvalidInstrument, NoValue, UserError, Verdict
from optim_hunter.measurements import Measurements
from optim_hunter.stats.decision import SeedNumber, Tested, examine
from optim_hunter.stats.families import holm
from optim_hunter.stats.pooled import UndefinedStatisticError
from optim_hunter.stats.power import seeds_to_settle
from optim_hunter.stats.sequential import Looks, examine_sequentially, obstacle, settles
from optim_hunter.stats.verdict import too_many_missing, verdict_of

TOO_FEW_TO_SEARCH = "{} seeds are too few to find a candidate on one half and confirm it on the other"


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
class Run(Measurements):
    """Measurements and what is decided on them.

    `family_sizes` maps a family to its registered size; `bounds` maps claim and condition to declared bounds where
    claims stop as soon as they are settled, and is None where they do not.
    """

    family_sizes: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None
    _decisions: dict[tuple[str, str, str], Decision] = field(default_factory=dict)
    _settled: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _tests: dict[tuple[str, str, str], Tested | None] = field(default_factory=dict)

    def looks(self, case: Case) -> Looks | str | None:
        """How a case is looked at seed by seed, or why it cannot be; None where nobody asked, and for controls."""
        if self.bounds is None or case.is_control:
            return None
        bounds = {name: bounds for (claim_id, name), bounds in self.bounds.items() if claim_id == case.claim.id}
        measured = [number.values for number in self.numbers.get(case.key, {}).values() if number.values is not None]
        return obstacle(case.claim, bounds, measured) or Looks(
            case.claim, bounds, self.family_sizes.get(case.claim.family, 1)
        )

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

    def _tested(self, case: Case) -> Tested | None:
        """The test of a case, made once although its whole family is adjusted by it."""
        if case.key not in self._tests:
            self._tests[case.key] = self._test(case)
        return self._tests[case.key]

    def _test(self, case: Case) -> Tested | None:
        looks = self.looks(case)
        if isinstance(looks, Looks):
            for seed in case.seeds:
                if not self.settled(case):
                    self.number(case, seed)
            looks = self.looks(case)  # its numbers may show that it cannot be looked at
        if isinstance(looks, Looks):
            return examine_sequentially(looks, self.looked_at(case))
        numbers, estimate = [self.number(case, seed) for seed in case.seeds], self._estimate(case)
        try:
            return examine(case.claim, numbers, estimate, case.claim.named.get(case.model))
        except UndefinedStatisticError:
            raise
        except (TypeError, ValueError, IndexError) as error:
            remedy = "return for every seed what its search, statistic or named candidate asks for"
            raise UserError(f"{case.claim.id}: its numbers cannot be tested ({error})", remedy) from error

    def _decide(self, case: Case) -> Decision:
        try:
            self._open_if_unmeasured(case)
        except InvalidInstrument as error:
            return Decision(case, Verdict.INVALID, str(error))
        controls = self._controls(case)
        if wrong := _wrong_control(controls):
            return Decision(case, Verdict.INVALID, wrong, controls=controls)
        return self._decide_on_numbers(case, controls)

    def _decide_on_numbers(self, case: Case, controls: tuple[tuple[Case, Verdict], ...]) -> Decision:
        tested, too_few = None, TOO_FEW_TO_SEARCH.format(len(case.seeds))
        try:
            tested = self._tested(case)
        except UndefinedStatisticError as error:
            too_few = str(error)
        except (InvalidInstrument, UserError, NoValue) as error:
            return Decision(case, Verdict.INVALID, str(error), controls=controls)
        lack = _too_many_lost(self.looked_at(case))
        if lack:
            return Decision(case, Verdict.INVALID, lack, tested, controls=controls)
        if tested is None:
            return Decision(case, Verdict.INCONCLUSIVE, too_few, controls=controls)
        return self._judge(case, tested, controls)

    def _open_if_unmeasured(self, case: Case) -> None:
        """Open the model and check its task before the controls run, so that a mistake is told at once."""
        if not self.numbers.get(case.key) and self.lacks(case, case.seeds[0]):
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
        planted = [other for other in self.cases.values() if other.is_control]
        controls = [other for other in planted if other.claim.id == case.claim.id]
        for model in {control.model: None for control in controls}:
            self._gather([other for other in planted if other.model == model])
        return tuple((control, self.decide(control).verdict) for control in controls)

    def _gather(self, cases: Iterable[Case]) -> None:
        """Measure these cases of one model, which share its passes; what fails is told where a verdict rests on it."""
        for case in cases:
            with contextlib.suppress(InvalidInstrument, UserError, NoValue):
                for seed in case.seeds:
                    self.number(case, seed)
                self._estimate(case)

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
        """A family member that is invalid, cannot be tested, or stops on its own, counts as p = 1."""
        try:
            tested = self._tested(case)
            invalid = _too_many_lost(self.looked_at(case)) or _wrong_control(self._controls(case))
        except (InvalidInstrument, UserError, NoValue, UndefinedStatisticError):
            return None
        # Asked last: whether it stops on its own is known when it is measured.
        return None if invalid or isinstance(self.looks(case), Looks) else tested

    def _needed(self, case: Case, tested: Tested, size: int) -> int | None:
        if case.claim.bootstrap:
            return None
        condition = next(one for one in case.claim.conditions if one.name == tested.combined.decisive)
        needed = seeds_to_settle(tested.values[condition.name], condition.smallest_effect, case.claim.alpha / size)
        return needed and max(MINIMUM_SEEDS, needed) * (2 if "find" in tested.roles.values() else 1)


def _wrong_control(controls: Iterable[tuple[Case, Verdict]]) -> str:
    """Which control has another verdict than was planted; empty where all are right."""
    wrong = (pair for pair in controls if pair[1] is not pair[0].expected)
    return next((f"control {one.model} came out {found}, but must be {one.expected}" for one, found in wrong), "")


def _too_many_lost(numbers: Sequence[SeedNumber]) -> str:
    """Why these numbers are too few of those asked for; empty where they are not."""
    lost = [number for number in numbers if number.lost]
    if not too_many_missing(sum(number.lost for number in lost), len(numbers)):
        return ""
    share = "" if all(number.lost == 1 for number in lost) else " or not for all queries"
    given = f"{len(lost)} of {len(numbers)} seeds gave no number{share}"
    return f"{given}, more than 10 %; the first: {lost[0].missing}"
