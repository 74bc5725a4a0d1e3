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

        self.model = registry.find_language_model(name, options.device, options.dtype)
        self.engine, self.kept = Engine(self.model), PartStore(store, self.model)
        self.passes = {stem: RegressionPass(self.engine, plan, self.kept) for stem, plan in plans.items()}
        self._source, self._store, self._kept_words = options.corpus, store, KeptWords(store, self.model)
        self._choosers: dict[ChoiceTask, LanguageChooser] = {}
        self._replacers: dict[ChoiceTask, TokenReplacer] = {}
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
        if isinstance(task, ReplacedTokenTask):
            replacer = self._replacer(task)
            replacer.prepare(seeds)
            asked = filter(None, map(replacer.asked, seeds))
            self._kept_words.open_if_lacking(self.engine, asked, task.group)
        elif isinstance(task, ChoiceTask):
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
        fits = [one.linear for one in self._choosers.values()] + [one.linear for one in self._replacers.values()]
        taken = self.kept.taken + self._kept_words.taken + sum(one.taken for one in fits)
        return {
            "source_of_model": asdict(self.model.provenance),
            "device": self.model.device,
            "dtype": self.model.dtype,
            "corpus": self._described(task) if isinstance(task, ChoiceTask) else None,
            "work": {
                "forward_passes": self.engine.forward_passes,
                "tokens_run": self.engine.tokens_run,
                "fits": sum(one.fits for one in fits),
                "from_store": taken,
                "batch_seeds": max((one.batch_seeds for one in self.passes.values()), default=0),
                "out_of_memory": self.engine.halvings + sum(one.out_of_memory for one in self.passes.values()),
            },
        }

    def _described(self, task: ChoiceTask) -> dict[str, Any]:
        asks = self._replacers[task] if isinstance(task, ReplacedTokenTask) else self._choosers[task]
        return self.corpus.described | asks.linear.provenance()

    def _chooser(self, task: ChoiceTask) -> LanguageChooser:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.observe.choices_language import LanguageChooser
        from optim_hunter.observe.resampled import resampling

        if task not in self._choosers:
            linear = LinearChooser(self.corpus, task, self._store)
            self._choosers[task] = LanguageChooser(self.engine, linear, self._kept_words)
            self._shown[task] = resampling(self._choosers[task], task)
        return self._choosers[task]

    def _replacer(self, task: ReplacedTokenTask) -> TokenReplacer:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.observe.replaced import TokenReplacer

        if task not in self._replacers:
            linear = LinearChooser(self.corpus, task, self._store)
            replacer = TokenReplacer(linear, task, partial(self._kept_words.say, self.engine))
            self._replacers[task] = self._shown[task] = replacer
        return self._replacers[task]
