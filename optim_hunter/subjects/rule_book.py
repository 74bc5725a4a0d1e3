"""A rule book as the subject of claims: asked about another corpus than the one that it was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optim_hunter.claim import UserError
from optim_hunter.observe.store import Store
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.corpus import Corpus, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.planted_commas import ELSEWHERE

if TYPE_CHECKING:
    from optim_hunter.observe.choices import LinearChooser
    from optim_hunter.observe.rule_books import RuleBookChooser
    from optim_hunter.tasks.rules import RuleBook


MOST_IN_COMMON = 0.01
"""Of a corpus that rule books are asked about, the share of stories that they may have been fitted to."""


def share_in_common(corpus: Corpus, other: Corpus) -> float:
    """The share of a corpus's stories that are in another too, however they are spaced and broken into lines."""
    own, known = ([" ".join(story.split()) for story in one.stories] for one in (corpus, other))
    held = set(known)
    return sum(story in held for story in own) / len(own)


class RuleBookSubject:
    """The packaged rule books, fitted to the packaged corpus; or a planted one, whose rule holds elsewhere or not."""

    def __init__(self, name: str, options: Options, store: Store | None) -> None:
        self._name, self._source, self._store = name, options.corpus, store
        self._choosers: dict[ChoiceTask, RuleBookChooser] = {}

    def precheck(self, task: ChoiceTask, seeds: Sequence[int]) -> None:
        linear = self._chooser(task).linear
        linear.split.part(task, max(task.parts(seeds)))

    def observe(self, task: ChoiceTask, seed: int | None, query: int) -> Any:  # noqa: ARG002 - stories have no queries
        return self._chooser(task).observe(seed)

    def close(self) -> None:
        """A rule book is small."""

    def describe(self, task: ChoiceTask) -> dict[str, Any]:
        linear = self._chooser(task).linear
        corpus = linear.corpus.described | linear.provenance()
        return {"source_of_model": None, "device": "cpu", "dtype": "float64", "corpus": corpus, "work": {}}

    def _chooser(self, task: ChoiceTask) -> RuleBookChooser:
        from optim_hunter.observe.rule_books import RuleBookChooser

        if task not in self._choosers:
            linear, book = self._planted(task) if self._name in ELSEWHERE else self._packaged(task)
            self._choosers[task] = RuleBookChooser(linear, book)
        return self._choosers[task]

    def _packaged(self, task: ChoiceTask) -> tuple[LinearChooser, RuleBook]:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.tasks.rule_files import read_rule_book_of_group
        from optim_hunter.tasks.word_groups import name_of_group

        tokenizer = LinearChooser(read_corpus(None), task, self._store).tokenizer
        linear = LinearChooser(self._other_corpus(), task, self._store)
        linear.tokenizer = tokenizer  # windows in the tokens that the rules name
        return linear, read_rule_book_of_group(name_of_group(task.group), tokenizer)

    def _other_corpus(self) -> Corpus:
        """The corpus with a note of what it shares with the packaged one."""
        corpus = read_corpus(self._source)
        share = share_in_common(corpus, read_corpus(None))
        told = f"{share:.2%} of its stories are in the packaged corpus, to which the rule books were fitted"
        if share > MOST_IN_COMMON:
            raise UserError(
                f"{corpus.name}: {told}, and {MOST_IN_COMMON:.0%} at most may be; give another with --claims-corpus"
            )
        return replace(corpus, note="; ".join(filter(None, (corpus.note, told))))

    def _planted(self, task: ChoiceTask) -> tuple[LinearChooser, RuleBook]:
        from optim_hunter.models.planted_network import mark_book
        from optim_hunter.observe.choices import LinearChooser

        linear = LinearChooser(ELSEWHERE[self._name].corpus(self._name), task, self._store)
        return linear, mark_book("planted", ",", " but", linear.tokenizer, task.group)
