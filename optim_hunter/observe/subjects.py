"""What a claim is run on: a language model, recorded answers, a regressor, a generator, or a corpus's linear model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import optim_hunter.models.registry as registry
from optim_hunter.claim import UserError
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.observe.plan import Plan
from optim_hunter.observe.predictions import RegressorSubject, WithRegressors, asks_regressors, without_regressors
from optim_hunter.observe.store import Store
from optim_hunter.observe.synthetic import SyntheticSubject
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import RegressionTask, draw


class Subject(Protocol):
    """Shows one observation a seed, and says what it is."""

    def precheck(self, task: Any, seeds: Sequence[int]) -> None:
        """Raise a UserError before any long work when a task cannot be run on these seeds."""

    def observe(self, task: Any, seed: int | None, query: int) -> Any:
        """The observation of a seed's query; with None that of the whole corpus, where there is one."""

    def close(self) -> None:
        """Free the weights; what was seen stays, and what is asked next opens them again."""

    def describe(self) -> dict[str, Any]:
        """Where it comes from, for the ledger."""


@dataclass(frozen=True)
class Options:
    """How models are opened: `device` and `dtype` as torch names them, `corpus` as `read_corpus` takes it."""

    device: str | None = None
    dtype: str | None = None
    corpus: str | None = None


class LanguageSubject:
    """A language model that runs every prompt once for all claims."""

    def __init__(self, name: str, options: Options, plans: Mapping[str, Plan], store: Store | None) -> None:
        from optim_hunter.observe.engine import Engine
        from optim_hunter.observe.kept import PartStore
        from optim_hunter.observe.regression import RegressionPass

        self.model = registry.open_language_model(name, options.device, options.dtype)
        self.engine, self.kept = Engine(self.model), PartStore(store, self.model)
        self.passes = {stem: RegressionPass(self.engine, plan, self.kept) for stem, plan in plans.items()}

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        self.passes[task.stem].prepare(task, seeds)

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> RegressionObservation:
        if seed is None:
            raise ValueError("a language model is observed seed by seed")
        return self.passes[task.stem].observe(task, seed, query)

    def close(self) -> None:
        self.engine.close()

    def describe(self) -> dict[str, Any]:
        return {
            "source_of_model": asdict(self.model.provenance),
            "device": self.model.device,
            "dtype": self.model.dtype,
            "corpus": None,
            "work": {
                "forward_passes": self.engine.forward_passes,
                "tokens_run": self.engine.tokens_run,
                "from_store": self.kept.taken,
                "batch_seeds": max(one.batch_seeds for one in self.passes.values()),
                "out_of_memory": sum(one.out_of_memory for one in self.passes.values()),
            },
        }


class RecordedSubject:
    """Answers that were recorded in a published run; there are no weights to look into."""

    def __init__(self, name: str) -> None:
        self.name, self.record = name, registry.recorded_predictions(name)

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        missing = sorted(set(seeds) - set(self.record["seeds"]))
        recorded = RegressionTask("friedman_2", examples=self.record["examples"])
        if (task.stem, task.examples) != (recorded.stem, recorded.examples) or task.queries_per_seed > 1 or missing:
            raise UserError(
                f"{self.name} holds seeds {self.record['seeds'][0]}-{self.record['seeds'][-1]} with "
                f"{self.record['examples']} examples and one query: ask for those, of {recorded.stem}"
            )

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> RegressionObservation:
        index = self.record["seeds"].index(seed)
        answer = number_text(self.record["predictions"]["llama"][index])
        episode = draw(task, self.record["seeds"][index], query)
        return RegressionObservation(episode, frozenset({"answer"}), answer)

    def close(self) -> None:
        """There are no weights."""

    def describe(self) -> dict[str, Any]:
        source = {"source": self.record["what"], "revision": None, "sha256": None, "licence": None, "note": ""}
        return {"source_of_model": source, "device": None, "dtype": None, "corpus": None}


class LinearSubject:
    """The linear model over 16 tokens, fitted on resamples of a corpus of stories."""

    def __init__(self, name: str, options: Options, store: Store | None) -> None:
        from optim_hunter.observe.stories import StoriesObserver
        from optim_hunter.tasks.corpus import read_corpus
        from optim_hunter.tasks.planted_stories import planted_corpus

        self.corpus = planted_corpus(name) if name.startswith("planted:") else read_corpus(options.corpus)
        self._store = store
        self._observers: dict[Any, StoriesObserver] = {}

    def precheck(self, task: Any, seeds: Sequence[int]) -> None:  # noqa: ARG002 - any seed resamples the corpus
        self._observer(task)

    def observe(self, task: Any, seed: int | None, query: int) -> Any:  # noqa: ARG002 - a fit asks nothing further
        return self._observer(task).observe(seed)

    def close(self) -> None:
        """Corpus and fits are small."""

    def describe(self) -> dict[str, Any]:
        corpus = {"name": self.corpus.name, "sha256": self.corpus.sha256, "note": self.corpus.note}
        observers = self._observers.values()
        work = {"fits": sum(one.fits for one in observers), "from_store": sum(one.taken for one in observers)}
        fitted = corpus | self._fitted()
        return {"source_of_model": None, "device": "cpu", "dtype": "float64", "corpus": fitted, "work": work}

    def _fitted(self) -> dict[str, Any]:
        """Windows, tokenizer and strength of the fits; a corpus is fitted for one task in nearly every run."""
        fitted = [observer.provenance() for observer in self._observers.values()]
        return fitted[0] if len(fitted) == 1 else {}

    def _observer(self, task: Any) -> Any:
        from optim_hunter.observe.stories import StoriesObserver

        if task not in self._observers:
            self._observers[task] = StoriesObserver(self.corpus, task, self._store)
        return self._observers[task]


def open_subject(name: str, options: Options, plans: Mapping[str, Plan], store: Store | None) -> Subject:
    """Open what a registry name stands for.

    Raises:
        UserError: it cannot be opened; the message says what to do.
    """
    if asks_regressors(plans):
        return WithRegressors(open_subject(name, options, without_regressors(plans), store), plans, store)
    kind = registry.kind(name)
    if kind == "regressor":
        return RegressorSubject(name, plans, store)
    if kind == "recorded":
        return RecordedSubject(name)
    if kind == "synthetic":
        return SyntheticSubject(name)
    if kind == "linear":
        return LinearSubject(name, options, store)
    return LanguageSubject(name, options, plans, store)
