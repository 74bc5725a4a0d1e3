"""The linear model of a corpus as the subject of claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optim_hunter.observe.store import Store
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.held_out import ChoiceTask, split_stories
from optim_hunter.tasks.stories import LastTokenTask, StoriesTask

if TYPE_CHECKING:
    from optim_hunter.observe.choices import LinearChooser
    from optim_hunter.observe.last_tokens import LastTokenCounter
    from optim_hunter.observe.resampled import Chooser
    from optim_hunter.observe.stories import StoriesObserver

    Observer = StoriesObserver | LinearChooser | LastTokenCounter


class LinearSubject:
    """The linear model over 16 tokens, fitted on resamples of a corpus of stories or asked about held-out ones; or the
    corpus itself, counted."""

    def __init__(self, name: str, options: Options, store: Store | None) -> None:
        from optim_hunter.tasks.corpus import read_corpus
        from optim_hunter.tasks.planted_stories import planted_corpus

        self.corpus = planted_corpus(name) if name.startswith("planted:") else read_corpus(options.corpus)
        self._store = store
        self._observers: dict[Any, Observer] = {}
        self._shown: dict[Any, Observer | Chooser] = {}

    def precheck(self, task: Any, seeds: Sequence[int]) -> None:
        self._observer(task)
        if isinstance(task, ChoiceTask):
            split_stories(self.corpus.stories).part(task, max(task.parts(seeds)))

    def observe(self, task: Any, seed: int | None, query: int) -> Any:  # noqa: ARG002 - a fit asks nothing further
        self._observer(task)
        return self._shown[task].observe(seed)

    def close(self) -> None:
        """Corpus and fits are small."""

    def describe(self, task: Any) -> dict[str, Any]:
        observers = self._observers.values()
        work = {"fits": sum(one.fits for one in observers), "from_store": sum(one.taken for one in observers)}
        corpus = self.corpus.described | self._observer(task).provenance()
        return {"source_of_model": None, "device": "cpu", "dtype": "float64", "corpus": corpus, "work": work}

    def _observer(self, task: Any) -> Observer:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.observe.last_tokens import LastTokenCounter
        from optim_hunter.observe.resampled import resampling
        from optim_hunter.observe.stories import StoriesObserver

        if task not in self._observers:
            kinds: dict[type, Any] = {LastTokenTask: LastTokenCounter, StoriesTask: StoriesObserver}
            observer = kinds.get(type(task), LinearChooser)(self.corpus, task, self._store)
            self._observers[task], self._shown[task] = observer, resampling(observer, task)
        return self._observers[task]
