"""The claims of a folder on a list of models: one pytest run, and what is known of claims that it cannot run."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import optim_hunter.models.registry as registry
from optim_hunter.cases import asked_for, cases_of, protocols_on
from optim_hunter.claim import Claim, Measure, UserError
from optim_hunter.items import case_of

QUIET = ("-qq", "--no-header", "--no-summary", "-p", "no:cacheprovider", "--assert=plain")
"""Verdicts are told by the table. Assertions stay plain: rewriting warns of packages that are imported already."""


KINDS: Mapping[registry.Kind, str] = {
    "language": "language models",
    "recorded": "recorded answers",
    "linear": "the linear model of stories",
    "one-layer": "the one-layer model of stories",
    "rule-book": "a rule book about stories",
    "synthetic": "generators of observations",
    "regressor": "regressors",
}


@dataclass(eq=False)
class Selection:
    """A pytest plugin that keeps the claims to run and takes note of what it meets.

    Without `patterns` claims marked `slow` are left out; with them those that match are in, slow or not. `claims` holds
    every claim that was asked for with its measure, `slow` the ids of those left out, `without` why a verdict was
    not reached, by claim and model. It is equal to itself alone, since pytest keeps plugins in sets.
    """

    models: Sequence[str]
    patterns: Sequence[str]
    claims: dict[str, tuple[Claim, Measure]] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    without: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _verdicts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the claims that were asked for, on the models that were, with the controls of those."""
        for item in items:
            self._note(item)
        running = {claim_id for claim_id, found in self.claims.items() if any(runs(*found, one) for one in self.models)}
        kept = [item for item in items if self._is_kept(item, running)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def _note(self, item: pytest.Item) -> None:
        measure = getattr(item, "function", None)
        claim: Claim | None = getattr(measure, "__claim__", None)
        if claim is None or not matches(claim.id, self.patterns):
            return
        if item.get_closest_marker("slow") is not None and not self.patterns:
            self.slow.add(claim.id)
        else:
            assert measure is not None
            self.claims[claim.id] = claim, measure

    def _is_kept(self, item: pytest.Item, running: set[str]) -> bool:
        case, seed = case_of(item)
        if case is None or case.claim.id not in running or not (case.is_control or case.model in self.models):
            return False
        if seed is None:
            self._verdicts[item.nodeid] = case.claim.id, case.model
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a file could not be collected."""
        if report.failed:
            self.problems.append(f"{report.nodeid}: {_error_of(report)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep why a verdict was not looked for, as without a GPU, or what went wrong when it was."""
        if report.when == "setup" and not report.passed and report.nodeid in self._verdicts:
            told = report.longrepr[2] if isinstance(report.longrepr, tuple) else _error_of(report)
            self.without[self._verdicts[report.nodeid]] = told.removeprefix("Skipped: ")

    def forget_what_did_not_run(self, ran: Set[str]) -> None:
        """Say nothing of claims that no run decided, unless `patterns` ask for them, nor which of them are slow."""
        self.slow.clear()
        if not self.patterns:
            self.claims = {claim_id: found for claim_id, found in self.claims.items() if claim_id in ran}

    def shows(self, claim_id: str, model: str) -> bool:
        """Whether the table has a place for a claim on a model."""
        return model in self.models and matches(claim_id, self.patterns)

    def reason(self, claim_id: str, model: str) -> str:
        """Why there is no verdict on a model."""
        if claim_id not in self.claims:
            return "not measured"
        claim, measure = self.claims[claim_id]
        if runs(claim, measure, model):
            return self.without.get((claim_id, model), "not measured")
        return why_not(claim, model)


def _error_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What a failure says, in a line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message if crash else report.longrepr).strip().splitlines()
    return lines[0 if crash else -1].strip()


def matches(claim_id: str, patterns: Sequence[str]) -> bool:
    """Whether a claim's id is like one of these shell patterns; any is where there are none."""
    return not patterns or any(fnmatchcase(claim_id, pattern) for pattern in patterns)


def runs(claim: Claim, measure: Measure, model: str) -> bool:
    """Whether a claim has a case on a model, be it as a control."""
    return any(case.model == model for case in cases_of(claim, measure, (model,), None))


def why_not(claim: Claim, model: str) -> str:
    """Why a claim runs on some models, and not on this one."""
    if claim.named and not claim.search:
        return f"named for {', '.join(name for name in claim.named if name not in claim.controls)} alone"
    kinds = {registry.kind(name): KINDS[registry.kind(name)] for one in claim.protocols for name in one.models}
    if registry.kind(model) not in {*kinds, "regressor"}:
        return f"it is about {' and '.join(kinds.values())}"
    if registry.own_task(model) is not None and not protocols_on(claim, model):
        return "the model brings a task of its own, which cannot stand in for the claim's"
    return f"the model cannot show {asked_for(claim)}"


def run_claims(folder: Path, selection: Selection, seeds: str | None, out: Path) -> Path:
    """Run the claims of a folder that were selected; the ledger of the run.

    Raises:
        UserError: claims cannot be collected, none is left, or pytest refused its options.
        KeyboardInterrupt: the run was stopped; the ledger has what it had found.
    """
    models = [f"--claims-model={model}" for model in selection.models]
    chosen_seeds = [f"--claims-seeds={seeds}"] if seeds is not None else []
    code = pytest.main([str(folder), *QUIET, f"--claims-out={out}", *models, *chosen_seeds], plugins=[selection])
    _check_collected(folder, selection)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise _none_left(folder, selection)
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt(f"stopped; {out} has the verdicts so far: make their table with --from")
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise UserError(f"pytest ended with exit code {int(code)} before any verdict: what it printed says why")
    return out / "ledger.json"


def find_claims(folder: Path, selection: Selection) -> None:
    """Collect the claims of a folder, run none and print nothing.

    Raises:
        UserError: a file cannot be collected.
    """
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main([str(folder), *QUIET, "--collect-only"], plugins=[selection])
    _check_collected(folder, selection)
    if code == pytest.ExitCode.USAGE_ERROR:
        raise UserError(f"claims of {folder} cannot be collected: pytest --collect-only {folder} says why")


def _check_collected(folder: Path, selection: Selection) -> None:
    if selection.problems:
        raise UserError(f"claims of {folder} cannot be collected: {selection.problems[0]}")


def _none_left(folder: Path, selection: Selection) -> UserError:
    if selection.claims:
        return UserError(f"none of the claims that were asked for runs on {', '.join(selection.models)}")
    asked = f"has an id like {' or '.join(selection.patterns)}" if selection.patterns else "is not marked slow"
    return UserError(f"{folder} has no claim that {asked}: see pytest --collect-only -q {folder}")
