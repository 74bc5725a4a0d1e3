"""pytest wiring of claims: options, one item for each seed and one for each verdict. Nothing else."""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import optim_hunter.models.registry as models
from optim_hunter.bounds import check_bounds, read_bounds
from optim_hunter.cases import Case, asked_for, cases_of, claims_controlled_by, models_of
from optim_hunter.claim import Claim, UserError, Verdict, check_partners, parse_seeds
from optim_hunter.items import ENTRY, SEED, VERDICT, case_of, junit_properties, sort_items
from optim_hunter.lock import LOCK, register
from optim_hunter.options import again, option, pytest_addoption
from optim_hunter.outcomes import Invalid, Missing, Refuted, seed_outcome, stopping
from optim_hunter.outputs import UNFINISHED
from optim_hunter.registration import Expectation, Registrations, read_registrations
from optim_hunter.reporting import ReportingPlugin, annotate
from optim_hunter.stats.pooled import check_statistics
from optim_hunter.tasks.corpus import check_corpus, packaged_record, read_corpus
from optim_hunter.tasks.network import TRAIN_ONE, RuleTask
from optim_hunter.workers import FOLDER, PLAN, WorkersPlugin, exchange_of, heard, tell

__all__ = ["observation", "pytest_addoption", "pytest_configure"]

UNUSED = "{}: no selected claim runs on it"
OTHER_BOOK = "the rule is of the packaged book, which is about the packaged corpus"
OTHER_CORPUS = f"the packaged one-layer model is of another corpus: {TRAIN_ONE}"
TWICE = "{} is asked twice for the same seed, by {} and by {}: a claim takes no parameters, and stands in one file"
CONTROL = "{} is a control of {}: it runs at its own seeds"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and refuse bad options before anything is collected."""
    for marker, meaning in (
        ("cpu", "runs on a CPU"),
        ("gpu", "needs a GPU"),
        ("slow", "takes longer than the main job"),
    ):
        config.addinivalue_line("markers", f"{marker}: {meaning}")
    config.pluginmanager.register(ClaimsPlugin(config), "optim_hunter_claims")


class ClaimsPlugin:
    """The claims of one pytest run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.collected: dict[tuple[str, str, str], Case] = {}
        self.run: Any = None
        self.reporting: ReportingPlugin | None = None
        self.again: dict[tuple[str, str, str], str] = {}
        try:
            self.models = tuple(dict.fromkeys(models.canonical(name) for name in option(config, "model") or ()))
            self.seeds: str | None = option(config, "seeds")
            if self.seeds is not None:
                parse_seeds(self.seeds)
            for name in self.models:
                models.check_name(name)
            check_corpus(option(config, "corpus"))
            self.registrations: Registrations = read_registrations(config.rootpath)
            self.bounds = read_bounds(self.registrations.folder) if config.option.claims_sequential else None
        except UserError as error:
            raise pytest.UsageError(str(error)) from None
        if not hasattr(config, "workerinput"):
            self.reporting = ReportingPlugin(config)
            config.pluginmanager.register(self.reporting, "optim_hunter_evidence")
            config.pluginmanager.register(WorkersPlugin(self._begin_with_workers), "optim_hunter_workers")

    # collection

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item for each seed of each case of a claim, and one for its verdict."""
        claim: Claim | None = getattr(metafunc.function, "__claim__", None)
        if claim is None:
            return
        metafunc.fixturenames += ["claim_case", "claim_seed"]
        parameters = []
        try:
            check_statistics(claim)
        except UserError as error:
            raise pytest.Collector.CollectError(f"{claim.id}: {error}") from None
        for case in cases_of(claim, metafunc.function, self.models, self.seeds):
            self._collect(case)
            marker = getattr(pytest.mark, models.marker(case.model, option(self.config, "device")))
            for seed in (*case.seeds, None):
                name = f"{case.model}-{case.protocol.name}-{VERDICT if seed is None else seed}"
                parameters.append(pytest.param(case, seed, id=name, marks=marker))
        if not parameters:
            skip = pytest.mark.skip(reason=f"no model of --claims-model can show {asked_for(claim)}")
            parameters = [pytest.param(None, None, id="no-model", marks=skip)]
        metafunc.parametrize(("claim_case", "claim_seed"), parameters)

    def _collect(self, case: Case) -> None:
        known = self.collected.get(case.key)
        if known is not None and (known.claim, known.measure_code) != (case.claim, case.measure_code):
            raise pytest.UsageError(f"two claims have the id {case.claim.id!r}: rename one of them")
        self.collected[case.key] = case

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what is not `gpu` as `cpu`; run model by model, controls first, verdicts after their seeds."""
        try:
            self.registrations.check_expected({case.claim.id: case.claim for case in self.collected.values()})
            check_partners((case.claim for case in self.collected.values()), self.registrations.locked)
            check_bounds(self.bounds or {}, [case.claim for case in self.collected.values()])
            self._mark(items)
        except UserError as error:
            raise pytest.UsageError(str(error)) from None
        sort_items(items, [case.model for case in self.collected.values()])

    def _mark(self, items: list[pytest.Item]) -> None:
        asked: dict[Any, str] = {}
        for item in items:
            if item.get_closest_marker("gpu") is None:
                item.add_marker(pytest.mark.cpu)
            case, seed = case_of(item)
            if case is not None and asked.setdefault((case.key, seed), item.nodeid) != item.nodeid:
                raise UserError(TWICE.format(case.claim.id, asked[case.key, seed], item.nodeid))
            if case is not None and seed is None:
                self.again[case.key] = again(self.config, item.nodeid, case.model)
                self._expect(item, case)

    def _expect(self, item: pytest.Item, case: Case) -> None:
        raised = {Verdict.REFUTED: Refuted, Verdict.INVALID: Invalid}.get(self.expected(case))  # type: ignore[arg-type]
        if raised is not None:
            item.add_marker(pytest.mark.xfail(strict=True, raises=raised, reason=f"expected {self.expected(case)}"))

    def expected(self, case: Case) -> Verdict | None:
        """The verdict that is known beforehand: of a control, or stated in `expected.toml`."""
        stated = self.stated(case)
        return case.expected or (stated.verdict if stated else None)

    def stated(self, case: Case) -> Expectation | None:
        """What `expected.toml` states of a case."""
        return self.registrations.expected_of(case, lambda: self.corpus_sha256)

    @functools.cached_property
    def corpus_sha256(self) -> str:
        """The hash of the text that claims about stories are asked of."""
        source = option(self.config, "corpus")
        return str(packaged_record()["text_sha256"]) if source is None else read_corpus(source).sha256

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the run: its cases are those of the selected items, and the controls of their claims."""
        selected = [(item, *case_of(item)) for item in session.items]
        claims = {case.claim.id for _, case, _ in selected if case is not None}
        self._check_models(session.items)
        if not claims or self.config.option.collectonly or self.config.option.claims_register:
            return
        keys = {case.key for _, case, _ in selected if case is not None}
        cases = {
            key: case
            for key, case in self.collected.items()
            if key in keys or (case.is_control and case.claim.id in claims)
        }
        self._open_run(cases)
        self._announce(self._plan(cases, selected))

    def _open_run(self, cases: Mapping[tuple[str, str, str], Case]) -> None:
        from optim_hunter.observe.store import open_store
        from optim_hunter.run import Run
        from optim_hunter.subjects.subject import Options

        options = Options(*(option(self.config, name) for name in ("device", "dtype", "corpus")))
        sizes = self.registrations.family_sizes(case.claim for case in self.collected.values())
        try:
            store = open_store(option(self.config, "store"))
        except UserError as error:
            raise pytest.UsageError(str(error)) from None
        self.run = Run(cases, options, store, family_sizes=sizes, bounds=self.bounds)

    def _plan(self, cases: Mapping[tuple[str, str, str], Case], selected: Sequence[Any]) -> dict[str, Any]:
        from optim_hunter.planned import plan_of

        options = {name: option(self.config, name) for name in ("device", "dtype", "corpus")}
        options["bounds"] = None if self.bounds is None else [[*key, *ends] for key, ends in self.bounds.items()]
        verdicts = [case for _, case, seed in selected if case is not None and seed is None]
        seed_items = sum(case is not None and seed is not None for _, case, seed in selected)
        return plan_of(cases.values(), verdicts, options) | {"seed_items": seed_items}

    def _announce(self, plan: Mapping[str, Any]) -> None:
        """Open the folder of the run, or leave that to the controller of the workers."""
        exchange = exchange_of(self.config)
        if exchange is not None:
            tell(exchange, PLAN, plan)
        elif self.reporting is not None:
            self._open_journal(self.reporting.begin(plan).measured)

    def _open_journal(self, folder: Path) -> None:
        from optim_hunter.journal import Journal

        self.run.journal = Journal(folder)

    def _begin_with_workers(self, plan: Mapping[str, Any], ids: Sequence[str]) -> Path:
        """In the controller: open the folder of the run."""
        assert self.reporting is not None, "workers have no workers"
        for model in self.models:
            if not any(f"[{model}-" in name for name in ids):
                self._print(UNUSED.format(model))
        return self.reporting.begin(plan).path

    def _check_models(self, items: list[pytest.Item]) -> None:
        """Say which chosen models no selected claim runs on, and which are controls; without any, nothing runs."""
        claims = {claim.id for item in items if (claim := getattr(getattr(item, "function", None), "__claim__", None))}
        cases = [case for case in self.collected.values() if case.claim.id in claims]
        controls = {model: of for model in self.models if (of := claims_controlled_by(model, cases))}
        running = models_of(cases) | controls.keys()
        lines = [UNUSED.format(model) for model in self.models if claims and model not in running]
        if lines and not running and not hasattr(self.config, "workerinput"):
            raise pytest.UsageError("; ".join(lines))
        for line in (*lines, *(CONTROL.format(model, ", ".join(of)) for model, of in controls.items())):
            self._print(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """With `--claims-register`, write the lock instead of running."""
        if not self.config.option.claims_register:
            return None
        try:
            done = register(self.registrations.folder / LOCK, self.collected.values())
        except UserError as error:
            raise pytest.UsageError(str(error)) from None
        for line in done.lines():
            self._print(line)
        return True

    # items

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        """Before its first claim let a worker find the folder of the run; after it, let others have the next.

        By now the controller has opened that folder. A worker that keeps a model's prompts while it waits for work
        would keep those waiting whose verdicts rest on them.
        """
        exchange = exchange_of(self.config)
        if exchange is not None and self.run is not None and self.run.journal is None and case_of(item)[0] is not None:
            self._open_journal(Path(heard(exchange, FOLDER)) / UNFINISHED)
        ended = yield
        if self.run is not None and self.run.journal is not None:
            following = case_of(nextitem)[0] if nextitem is not None else None
            self.run.journal.let_go(but=following.passes if following is not None else None)
        return ended

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_setup")
    def pytest_skip_without_gpu(self, item: pytest.Item) -> None:
        """Skip what needs a GPU where there is none."""
        if item.get_closest_marker("gpu") is not None:
            import torch

            if not torch.cuda.is_available():
                pytest.skip("needs a GPU, and torch finds none here")

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_setup")
    def pytest_skip_on_another_corpus(self, item: pytest.Item) -> None:
        """On another corpus skip rules of the packaged book, and the packaged one-layer model unless it was chosen."""
        case, _ = case_of(item)
        if case is None or case.is_control or models.kind(case.model) != "one-layer":
            return
        about_rule = isinstance(case.protocol.task, RuleTask)
        packaged = case.model == models.PACKAGED_ONE_LAYER and case.model not in self.models
        if (about_rule or packaged) and self.corpus_sha256 != packaged_record()["text_sha256"]:
            pytest.skip(OTHER_BOOK if about_rule else OTHER_CORPUS)

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_setup")
    def pytest_skip_settled(self, item: pytest.Item) -> None:
        """Skip the seeds of a claim that is settled."""
        case, seed = case_of(item)
        if case is not None and seed is not None and (settled := self.run.settled(case)):
            pytest.skip(f"settled after {settled} seeds")

    @pytest.hookimpl(trylast=True, specname="pytest_runtest_setup")
    def pytest_decide_claim(self, item: pytest.Item) -> None:
        """Decide a claim once its fixtures stand; invalid ends here, as an error."""
        case, seed = case_of(item)
        if case is None or not isinstance(item, pytest.Function):
            return
        self._bind(case, item)
        if seed is None:
            with stopping():
                decision = self.run.decide(case)
            self._note(item, decision)
            if decision.verdict is Verdict.INVALID:
                self._check_reason(case, decision.reason)
                raise Invalid(f"invalid: {decision.reason}", pytrace=False)

    def _check_reason(self, case: Case, reason: str) -> None:
        """Fail where a verdict is invalid for another reason than the one that is known."""
        stated = self.stated(case)
        if stated is not None and stated.reason not in reason:
            pytest.fail(f"expected invalid because of {stated.reason!r}, but invalid: {reason}", pytrace=False)

    def _bind(self, case: Case, item: pytest.Function) -> None:
        """Give the measure its other fixtures, also for the claim's controls, whose items come later, or never."""
        names = item._fixtureinfo.argnames
        others = {name: item.funcargs[name] for name in names if name != "observation"}
        call = functools.partial(case.measure, **others) if others else case.measure
        for other in self.run.cases.values():
            if other.measure is case.measure:
                self.run.calls.setdefault(other.key, call)
        self.run.calls[case.key] = call

    def _note(self, item: pytest.Item, decision: Any) -> None:
        from optim_hunter.evidence.entries import entry_of

        case = decision.case
        standing = self.registrations.standing(case)
        entry = entry_of(decision, self.run, self.expected(case), standing.entry(), self.again[case.key])
        item.stash[ENTRY] = entry
        item.user_properties += junit_properties(entry)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Measure a seed, or let a verdict pass, fail or be skipped."""
        case, seed = case_of(pyfuncitem)
        if case is None:
            return None
        if seed is None:
            self._conclude(self.run.decide(case))
            return True
        pyfuncitem.user_properties.append((SEED, seed))
        with seed_outcome():
            number = self.run.number(case, seed)
        if number.values is None:
            raise Missing(f"no number: {number.missing}")
        return True

    def _conclude(self, decision: Any) -> None:
        from optim_hunter.evidence.sentences import sentence_of

        expected, case, found = self.expected(decision.case), decision.case, decision.verdict
        sentence = sentence_of(decision)
        all_seeds = case.at_registered_seeds and decision.looks is None
        surprising = expected is not None and expected is not found and all_seeds
        if surprising and Verdict.INCONCLUSIVE in (expected, found):
            pytest.fail(f"expected {expected}, but {sentence}", pytrace=False)
        if found is Verdict.REFUTED:
            raise Refuted(sentence, pytrace=False)
        if found is Verdict.INCONCLUSIVE:
            pytest.skip(sentence)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Carry a verdict's ledger entry on the report, so that the controlling process can write it."""
        report = yield
        case, _ = case_of(item)
        if report.when == "teardown" and case is not None and self.run is not None:
            annotate(report, case, self.run, item.stash.get(ENTRY, None))
        return report

    def pytest_unconfigure(self) -> None:
        """Let go of what this process has measured with, and of what it has measured."""
        if self.run is not None:
            self.run.close()
            if self.run.journal is not None:
                self.run.journal.close()

    def _print(self, line: str) -> None:
        if self.reporting is not None:
            self.reporting.print(line)


@pytest.fixture
def observation(request: pytest.FixtureRequest, claim_case: Case, claim_seed: int | None) -> Any:
    """What one pass showed of this seed, unless its number is known; a verdict gathers all of them itself."""
    if claim_seed is None:
        return None
    plugin: Any = request.config.pluginmanager.get_plugin("optim_hunter_claims")
    with seed_outcome():
        return plugin.run.observe(claim_case, claim_seed) if plugin.run.lacks(claim_case, claim_seed) else None
