"""A language model as the subject of claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import optim_hunter.models.registry as registry
from optim_hunter.claim import UserError
from optim_hunter.observe.plan import Plan
from optim_hunter.observe.store import Store
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.corpus import Corpus, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask, ReplacedTokenTask
from optim_hunter.tasks.regression import RegressionTask

if TYPE_CHECKING:
    from optim_hunter.observe.choices_language import LanguageChooser
    from optim_hunter.observe.replaced import TokenReplacer
    from optim_hunter.observe.resampled import Chooser
    from optim_hunter.observe.token_rows import TokenRow


class LanguageSubject:
    """A language model that runs every prompt once for all claims: regression prompts, and held-out stories."""

    def __init__(self, name: str, options: Options, plans: Mapping[str, Plan], store: Store | None) -> None:
        from optim_hunter.observe.engine import Engine
        from optim_hunter.observe.kept import PartStore
        from optim_hunter.observe.kept_words import KeptWords
        from optim_hunter.observe.regression import RegressionPass

        self.model = registry.open_language_model(name, options.device, options.dtype)
        self.engine, self.kept = Engine(self.model), PartStore(store, self.model)
        self.passes = {stem: RegressionPass(self.engine, plan, self.kept) for stem, plan in plans.items()}
        self._source, self._store, self._kept_words = options.corpus, store, KeptWords(store, self.model)
        self._choosers: dict[ChoiceTask, LanguageChooser | TokenReplacer] = {}
        self._shown: dict[ChoiceTask, Chooser | TokenReplacer] = {}

    @cached_property
    def corpus(self) -> Corpus:
        """The stories of tasks about them.

        Raises:
            UserError: they cannot be read, or the model wrote them.
        """
        corpus = read_corpus(self._source)
        if corpus.written_by is not None and corpus.written_by == self.model.provenance.sha256:
            raise UserError(
                f"{self.model.name} wrote this corpus ({corpus.name}), so that it says nothing of the model: give "
                "another with --claims-corpus"
            )
        return corpus

    def precheck(self, task: Any, seeds: Sequence[int]) -> None:
        if isinstance(task, ChoiceTask):
            self._chooser(task).prepare(task.parts(seeds))
        else:
            self.passes[task.stem].prepare(task, seeds)

    def observe(self, task: Any, seed: int | None, query: int) -> Any:
        if isinstance(task, ChoiceTask):
            return self._shown[task].observe(seed)
        if seed is None:
            raise ValueError("prompts are observed seed by seed")
        return self.passes[task.stem].observe(task, seed, query)

    def attention_row(self, task: RegressionTask, seed: int, layer: int, head: int) -> TokenRow:
        """Where a head looks, token by token."""
        return self.passes[task.stem].attention_row(task, seed, layer, head)

    def close(self) -> None:
        self.engine.close()

    def describe(self, task: Any) -> dict[str, Any]:
        fits = [chooser.linear for chooser in self._choosers.values()]
        taken = self.kept.taken + self._kept_words.taken + sum(one.taken for one in fits)
        return {
            "source_of_model": asdict(self.model.provenance),
            "device": self.model.device,
            "dtype": self.model.dtype,
            "corpus": self._described(self._choosers[task]) if isinstance(task, ChoiceTask) else None,
            "work": {
                "forward_passes": self.engine.forward_passes,
                "tokens_run": self.engine.tokens_run,
                "fits": sum(one.fits for one in fits),
                "from_store": taken,
                "batch_seeds": max((one.batch_seeds for one in self.passes.values()), default=0),
                "out_of_memory": self.engine.halvings + sum(one.out_of_memory for one in self.passes.values()),
            },
        }

    def _described(self, chooser: LanguageChooser | TokenReplacer) -> dict[str, Any]:
        return self.corpus.described | chooser.linear.provenance()

    def _chooser(self, task: ChoiceTask) -> LanguageChooser | TokenReplacer:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.observe.choices_language import LanguageChooser
        from optim_hunter.observe.replaced import TokenReplacer
        from optim_hunter.observe.resampled import resampling

        if task not in self._choosers:
            linear = LinearChooser(self.corpus, task, self._store)
            self._choosers[task] = (
                TokenReplacer(linear, task, partial(self._kept_words.say, self.engine))
                if isinstance(task, ReplacedTokenTask)
                else LanguageChooser(self.engine, linear, self._kept_words)
            )
            self._shown[task] = resampling(self._choosers[task], task)
        return self._choosers[task]
