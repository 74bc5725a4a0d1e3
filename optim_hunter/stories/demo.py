"""What the page of the stories laboratory shows: a fitted linear model for each word group, and held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt32

from optim_hunter.claim import UserError
from optim_hunter.models.linear_path import PathPoint
from optim_hunter.observe.choices import LINEAR_VIEWS, FittedPath, LinearChooser
from optim_hunter.observe.store import Store
from optim_hunter.stories.held_out_scores import scores
from optim_hunter.stories.parts import require_parts
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.stories import Windows
from optim_hunter.tasks.word_groups import WordGroup


@dataclass(frozen=True)
class ShownGroup:
    """A group as the page shows it.

    `counts` says how often each token stood at each position before each word in the windows that were fitted;
    `examples` are all held-out windows, those of a story together, the stories in the split's random order; `figures`
    are plain JSON data.
    """

    group: WordGroup
    weights: Float[np.ndarray, "position token class"]
    offsets: Float[np.ndarray, "class"]
    counts: UInt32[np.ndarray, "position token class"]
    examples: Windows
    figures: dict[str, Any]


def open_choosers(
    groups: Sequence[WordGroup], corpus: Corpus, store: Store | None
) -> tuple[dict[WordGroup, LinearChooser], dict[WordGroup, UserError]]:
    """Groups that the corpus has windows enough of, and what is wrong with the others; nothing is fitted yet."""
    good: dict[WordGroup, LinearChooser] = {}
    wrong: dict[WordGroup, UserError] = {}
    for group in groups:
        chooser = LinearChooser(corpus, ChoiceTask(group.words, ("prior", "linear")), store)
        if good:  # trained on the same corpus
            chooser.tokenizer = next(iter(good.values())).tokenizer
        try:
            require_parts(chooser)
            good[group] = chooser
        except UserError as error:
            wrong[group] = error
    return good, wrong


def show_group(group: WordGroup, chooser: LinearChooser, fitted: Callable[[PathPoint], None]) -> ShownGroup:
    """Fit a group's path and gather what the page shows of its best model; `fitted` is told of each strength.

    Raises:
        InvalidInstrument: a fit that does not reach its gap.
    """
    points: list[PathPoint] = []
    for point in chooser.fit():
        points.append(point)
        fitted(point)
    path = FittedPath(tuple(points), chooser.prior)
    fitting = chooser.windows.of_stories(chooser.split.fitting)
    examples = _in_order_of(chooser.windows.of_stories(chooser.split.held_out), chooser.split.held_out)
    vocabulary, classes = chooser.tokenizer.get_vocab_size(), len(group.words)
    return ShownGroup(
        group,
        path.chosen.weights.reshape(chooser.task.context, vocabulary, classes),
        path.chosen.offsets,
        count_tokens(fitting, vocabulary, classes),
        examples,
        _figures(path, fitting, examples) | {"held_out_stories": len(chooser.split.held_out)},
    )


def _in_order_of(windows: Windows, stories: Int[np.ndarray, "story"]) -> Windows:
    """Windows of these stories (and of no other), in the order in which `stories` has them."""
    place = dict(zip(stories.tolist(), range(len(stories)), strict=True))
    order = np.argsort([place[story] for story in windows.story.tolist()], kind="stable")
    return Windows(
        windows.tokens[order], windows.labels[order], windows.story[order], windows.place[order], windows.tokenizer
    )


def count_tokens(windows: Windows, vocabulary: int, classes: int) -> UInt32[np.ndarray, "position token class"]:
    """In how many windows a token stands at a position before a word."""
    counts = np.zeros((windows.tokens.shape[1], vocabulary, classes), dtype=np.uint32)
    np.add.at(counts, (np.arange(windows.tokens.shape[1]), windows.tokens, windows.labels[:, None]), 1)
    return counts


def _figures(path: FittedPath, fitting: Windows, held_out: Windows) -> dict[str, Any]:
    """Losses in nats, shares of right answers, and what they are of."""
    best = path.chosen
    scored = {view: scores(LINEAR_VIEWS[view](path, held_out), held_out) for view in ("linear", "prior")}
    return {
        "l1": best.l1,
        "gap": best.gap,
        "nonzero": best.nonzero,
        "weights": best.weights.size,
        "fitted_windows": len(fitting.labels),
        "held_out_windows": len(held_out.labels),
        "fitted_words": np.bincount(fitting.labels, minlength=len(path.prior)).tolist(),
        "loss": {view: one.nll.mean for view, one in scored.items()},
        "right": {view: one.accuracy.mean for view, one in scored.items()},
    }
