"""A page whose tab of rules has a packaged book and the one-layer model, without a fit, for the tests of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from optim_hunter.models.one_layer import OneLayerModel, load_one_layer
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.stories.demo import ShownGroup
from optim_hunter.stories.demo_network import restored_network
from optim_hunter.stories.demo_page import demo_html
from optim_hunter.stories.demo_rules import PageRules, page_rules
from optim_hunter.tasks.corpus import Corpus, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.rule_files import read_rule_book_of_group
from optim_hunter.tasks.rules import RuleBook
from optim_hunter.tasks.stories import Windows
from optim_hunter.tasks.word_groups import WordGroup, word_group

LISTED = 400
"""Held-out windows in the page."""


@dataclass
class RulePage:
    """A page of the conjunctions with weights at random, and what it shows as Python has it."""

    html: str
    shown: ShownGroup
    book: RuleBook
    rules: PageRules
    model: OneLayerModel

    @property
    def rounded(self) -> OneLayerModel:
        """The one-layer model as the page has it."""
        return restored_network(self.model, self.rules.arrays)


@cache
def rule_page() -> RulePage:
    """The page, made once a process."""
    model, group = load_one_layer(), word_group("conjunctions")
    shown = shown_group(group, read_corpus(None), model)
    book = read_rule_book_of_group(group.name, model.tokenizer)
    rules = page_rules([shown], {group: book}, model)
    other = ShownGroup(WordGroup("but,so", (" but", " so")), *without_words(shown, 2))
    return RulePage(
        demo_html([shown, other], read_corpus(None), model.tokenizer, rules=rules), shown, book, rules, model
    )


def shown_group(group: WordGroup, corpus: Corpus, model: OneLayerModel) -> ShownGroup:
    """The first held-out windows of a group, and a linear model drawn with a seed."""
    chooser = LinearChooser(corpus, ChoiceTask(group.words), None)
    chooser.tokenizer = model.tokenizer
    held_out = chosen(chooser.windows.of_stories(chooser.split.held_out), slice(LISTED))
    generator, shape = np.random.default_rng(0), (16, model.shape.vocabulary, len(group.words))
    weights = generator.normal(size=shape) * (generator.random(shape) < 0.05)
    both = {"linear": 0.5, "prior": 0.9}
    figures = {
        "l1": 1e-4, "gap": 1e-5, "nonzero": int(np.count_nonzero(weights)), "weights": weights.size, "loss": both,
        "fitted_windows": 10, "held_out_windows": LISTED, "fitted_words": [2] * len(group.words), "right": both,
        "held_out_stories": 10,
    }  # fmt: skip
    return ShownGroup(group, weights, generator.normal(size=shape[2]), np.ones(shape, np.uint32), held_out, figures)


def without_words(shown: ShownGroup, words: int) -> tuple:
    """What a group of the first words alone would show of the same windows."""
    figures = shown.figures | {"fitted_words": [5] * words}
    few = chosen(shown.examples, shown.examples.labels < words)
    return shown.weights[:, :, :words], shown.offsets[:words], shown.counts[:, :, :words], few, figures


def chosen(windows: Windows, which: Any) -> Windows:
    """Some of the windows."""
    parts = (windows.tokens, windows.labels, windows.story, windows.place)
    return Windows(*(part[which] for part in parts), windows.tokenizer)
