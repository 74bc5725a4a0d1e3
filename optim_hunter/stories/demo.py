"""What the page of the stories laboratory shows: a fitted linear model for each word group, and held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt32

from optim_hunter.claim import UserError
from optim_hunter.models.linear_path import PathPoint, chosen, log_probabilities
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import Store
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
            _require_parts(chooser)
            good[group] = chooser
        except UserError as error:
            wrong[group] = error
    return good, wrong


def _require_parts(chooser: LinearChooser) -> None:
    """Raise UserError unless each part of the split has what it is for."""
    counts = {name: _word_counts(chooser, getattr(chooser.split, name)) for name in ("fitting", "choosing", "held_out")}
    if counts["fitting"].min() == 0 or counts["choosing"].sum() == 0 or counts["held_out"].sum() == 0:
        raise UserError(
            f"corpus {chooser.corpus.name}: its {len(chooser.corpus.stories)} stories are too few to fit some, choose "
            "by others and hold the rest out; give more stories"
        )


def _word_counts(chooser: LinearChooser, stories: Int[np.ndarray, "story"]) -> Int[np.ndarray, "class"]:
    return np.bincount(chooser.windows.of_stories(stories).labels, minlength=len(chooser.task.group))


def show_group(group: WordGroup, chooser: LinearChooser, fitted: Callable[[PathPoint], None]) -> ShownGroup:
    """Fit a group's path and gather what the page shows of its best model; `fitted` is told of each strength.

    Raises:
        InvalidInstrument: a fit that does not reach its gap.
    """
    points: list[PathPoint] = []
    for point in chooser.fit():
        points.append(point)
        fitted(point)
    best = chosen(points)
    fitting = chooser.windows.of_stories(chooser.split.fitting)
    examples = _in_order_of(chooser.windows.of_stories(chooser.split.held_out), chooser.split.held_out)
    vocabulary, classes = chooser.tokenizer.get_vocab_size(), len(group.words)
    return ShownGroup(
        group,
        best.weights.reshape(chooser.task.context, vocabulary, classes),
        best.offsets,
        count_tokens(fitting, vocabulary, classes),
        examples,
        _figures(best, fitting, examples, classes) | {"held_out_stories": len(chooser.split.held_out)},
    )


def _in_order_of(windows: Windows, stories: Int[np.ndarray, "story"]) -> Windows:
    order = np.argsort(np.argsort(stories)[np.searchsorted(np.sort(stories), windows.story)], kind="stable")
    return Windows(
        windows.tokens[order], windows.labels[order], windows.story[order], windows.place[order], windows.tokenizer
    )


def count_tokens(windows: Windows, vocabulary: int, classes: int) -> UInt32[np.ndarray, "position token class"]:
    """In how many windows a token stands at a position before a word."""
    counts = np.zeros((windows.tokens.shape[1], vocabulary, classes), dtype=np.uint32)
    np.add.at(counts, (np.arange(windows.tokens.shape[1]), windows.tokens, windows.labels[:, None]), 1)
    return counts


def _figures(best: PathPoint, fitting: Windows, held_out: Windows, classes: int) -> dict[str, Any]:
    """Losses in nats, shares of right answers, and what they are of."""
    counts = np.bincount(fitting.labels, minlength=classes)
    said = {
        "linear": log_probabilities(held_out, best.weights, best.offsets),
        "prior": np.tile(np.log(counts / counts.sum()), (len(held_out.labels), 1)),
    }
    rows = np.arange(len(held_out.labels))
    return {
        "l1": best.l1,
        "gap": best.gap,
        "nonzero": best.nonzero,
        "weights": best.weights.size,
        "fitted_windows": len(fitting.labels),
        "held_out_windows": len(held_out.labels),
        "fitted_words": counts.tolist(),
        "loss": {view: float(-table[rows, held_out.labels].mean()) for view, table in said.items()},
        "right": {view: float((table.argmax(1) == held_out.labels).mean()) for view, table in said.items()},
    }
