"""What a run gathers: opens models, and measures one number a seed, each once; knows nothing of pytest."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optim_hunter.cases import Case
from optim_hunter.claim import InvalidInstrument, NoValue, UserError
from optim_hunter.illustrations import Illustrations
from optim_hunter.journal import Journal, number_of, number_record
from optim_hunter.observe.checks import TOLERANCES, require
from optim_hunter.observe.plan import unite
from optim_hunter.observe.store import Store
from optim_hunter.stats.decision import FEWER, SeedNumber, mean_of_queries
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options, Subject
from optim_hunter.tasks.regression import RegressionTask

Call = Callable[[Any], Any]
"""The measure of a claim with its other pytest fixtures bound: observation → value or values."""


@dataclass
class Measurements:
    """The numbers of a run over its cases, with all that the ledger says of them.

    `store` spares what an earlier run has seen; `journal` is what all processes of this run have measured; `calls`
    holds the measure of each case; `work` is what each model took in this process.
    """

    cases: Mapping[tuple[str, str, str], Case]
    options: Options
    store: Store | None = None
    journal: Journal | None = None
    calls: dict[tuple[str, str, str], Call] = field(default_factory=dict)
    numbers: dict[tuple[str, str, str], dict[int, SeedNumber]] = field(default_factory=dict)
    estimates: dict[tuple[str, str, str], Mapping[str, float]] = field(default_factory=dict)
    descriptions: dict[tuple[str, Any], dict[str, Any]] = field(default_factory=dict)
    work: dict[str, dict[str, int]] = field(default_factory=dict)
    illustrations: Illustrations = field(default_factory=Illustrations)
    checks: dict[tuple[str, str, str], dict[str, float]] = field(default_factory=dict)
    _broken: dict[Any, str] = field(default_factory=dict)
    _prechecked: set[Any] = field(default_factory=set)
    _subjects: dict[str, Subject] = field(default_factory=dict)
    _resident: str | None = None
    _last: tuple[Any, Any] | None = None
    _kept_descriptions: dict[tuple[str, Any], Mapping[str, Any]] = field(default_factory=dict)

    def number(self, case: Case, seed: int) -> SeedNumber:
        """The number of a seed, measured now unless it was before, by whichever process of the run.

        Raises:
            InvalidInstrument: the model cannot be measured at all; the same line is raised for every seed.
        """
        if self.lacks(case, seed):
            self.numbers.setdefault(case.key, {})[seed] = self._measure(case, seed)
            self._keep(case, {"number": number_record(self.numbers[case.key][seed])}, seed)
        return self.numbers[case.key][seed]

    def lacks(self, case: Case, seed: int | None) -> bool:
        """Whether a number, or with None the values on the whole corpus, is still to be measured.

        If so, no other process makes the passes of this case until others are asked for.
        """
        if not self._knows(case, seed) and self.journal is not None and self.journal.hold(case.passes):
            for record in self.journal.others():
                self._take(record)
        return not self._knows(case, seed)

    def _knows(self, case: Case, seed: int | None) -> bool:
        return case.key in self.estimates if seed is None else seed in self.numbers.get(case.key, {})

    def _keep(self, case: Case, found: Mapping[str, Any], seed: int | None) -> None:
        """Write what was found of a seed to the journal, with all that the ledger says of it."""
        if self.journal is None:
            return
        scope = case.model, case.protocol.task
        if self._kept_descriptions.get(scope) != self.described(case):
            self._kept_descriptions[scope] = self.described(case)
            self.journal.add({"case": case.key, "description": self.described(case)})
        shown = self.illustrations.record(case, seed)
        self.journal.add({"case": case.key, **found, "checks": self.checks.get(case.key, {}), "shown": shown})

    def _take(self, record: Mapping[str, Any]) -> None:
        """Take over what another process has measured."""
        case = self.cases.get(tuple(record["case"]))
        if case is None:
            return
        if "description" in record:
            self.descriptions.setdefault((case.model, case.protocol.task), record["description"])
            return
        seed = None
        if "estimate" in record:
            self.estimates.setdefault(case.key, record["estimate"])
        else:
            number = number_of(record["number"])
            seed = number.seed
            self.numbers.setdefault(case.key, {}).setdefault(seed, number)
        self._note_worst(case, record["checks"])
        self.illustrations.take(case, seed, record["shown"])

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

    def attention_row(self, case: Case, seed: int, layer: int, head: int) -> Any:
        """Where a head looks in a seed's prompt, token by token; None where the model shows no attention."""
        show = getattr(self._subject(case), "attention_row", None)
        return None if show is None else show(case.protocol.task, seed, layer, head)

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
        if self.lacks(case, None):
            observation = self.observe(case, None)
            self.illustrations.note(case, None, 0, observation)
            estimate = self._values(case, observation)
            if any(map(np.ndim, estimate.values())):
                raise UserError(f"{case.claim.id}: {FEWER[0]}")
            self.estimates[case.key] = estimate
            self._keep(case, {"estimate": self.estimates[case.key]}, None)
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
            _spare_the_garbage_collector()
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
        checks = getattr(observation, "checks", {})
        require(checks, str(self.described(case).get("dtype")))
        self._note_worst(case, checks)

    def _note_worst(self, case: Case, checks: Mapping[str, float]) -> None:
        worst = self.checks.setdefault(case.key, {})
        for name, error in checks.items():
            worst[name] = max(worst.get(name, 0.0), error)

    def close(self) -> None:
        """Let go of weights and of the garbage collector; what was measured stays."""
        if self._resident is not None:
            self._subjects[self._resident].close()
            self._resident = None
        gc.unfreeze()

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


def _spare_the_garbage_collector() -> None:
    """Freeze all objects that are alive: modules, items and numbers stay to the end of the run.

    Called between two models, while no language model's weights are open, since what is frozen and dies in a cycle is
    not freed. When nothing was frozen, looking through them took a fifth of a run from the store.
    """
    gc.collect()
    gc.freeze()


def named_values(case: Case, measured: Any) -> dict[str, Any]:
    """A measure's return as {condition: finite value}.

    Raises:
        NoValue: a value is not finite.
        UserError: the measure returns something else than its conditions ask for.
    """
    names = [condition.name for condition in case.claim.quantities]
    given = measured if isinstance(measured, dict) else {names[0]: measured}
    values = {name: _numeric(value) for name, value in given.items()}
    if set(values) != set(names) or any(value is None for value in values.values()):
        raise UserError(f"{case.claim.id}: its test must return a number for each of {', '.join(names)}")
    for name, value in values.items():
        if not np.all(np.isfinite(value)):
            raise NoValue(f"{name} is not finite")
    return values


def _numeric(value: Any) -> Any:
    """A float, or an array of some; None for what is neither."""
    try:
        array = np.asarray(value)
    except Exception:  # each kind of tensor refuses in its own way: on a GPU, with a gradient, in bfloat16
        return None
    if array.dtype.kind not in "biuf" or not array.size:
        return None
    return array.astype(float) if array.ndim else float(array)
