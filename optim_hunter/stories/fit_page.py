"""The page of a fit: what it found, its curve and path, the strongest weights, and what the windows are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from optim_hunter.evidence.fragment import Section, Table, Titled, shown
from optim_hunter.evidence.text import duration, number, stated
from optim_hunter.stories.curve import training_curve
from optim_hunter.stories.fit_summary import counts_text, score_rows, weights_text
from optim_hunter.stories.fitted_folder import FittedFolder
from optim_hunter.stories.parts import PARTS
from optim_hunter.stories.strongest import strongest
from optim_hunter.tasks.stories import Windows

WEIGHTS_SHOWN = 12

CURVE = """\
From left to right a weight grows cheaper, so that the model may use more of them: what steps of training are to a
model that is trained by gradient descent. Every point is an optimum, solved to its duality gap from the one before it.
The line marks the price that did best on the stories for choosing; the held-out stories were seen by neither fit nor
choice. The training loss is without the L1 term, which is l1 times the sum of the weights' sizes; both together are
what is minimised."""

WEIGHTS = """\
Position −1 is the last token before the word, and in weights.safetensors the last row. A weight is in nats: what
it adds to the logit of its word. The last columns tell in how many of the windows for fitting the token stands
there; a large weight of what is seldom there decides little."""

WINDOWS = """\
The corpus has a byte-level BPE tokenizer of its own, trained on all of it. A window is the {context} tokens of
one story before a whole word of the group: the word is the single token that begins with a space, and no letter or
digit goes on from it. A word with fewer than {context} tokens before it in its story makes no window; words may
lie in each other's windows. Stories are split {how}; of equal stories only one is used."""


def fit_html(fitted: FittedFolder, held: Int[np.ndarray, "position token"]) -> str:
    """The page, which needs no network.

    Args:
        held: `occurrences` in the windows for fitting.
    """
    summary = fitted.summary
    words = ", ".join(word.strip() for word in fitted.classes)
    sections = [
        Section("What was found", _found(summary), tables=[_scores(summary)]),
        Section("The curve", CURVE, [Titled("Losses along the path", training_curve(summary))], [_path(summary)]),
        Section("The strongest weights", WEIGHTS, tables=_weights(fitted, held)),
        Section("The windows", WINDOWS.format(context=summary["context"], how=summary["split"]["how"]),
                tables=[_parts(summary)]),
        Section("Made with", _note(summary), tables=[_origin(summary)]),
    ]  # fmt: skip
    return shown(f"Which of {words} comes next?", sections)


def occurrences(windows: Windows) -> Int[np.ndarray, "position token"]:
    """In how many windows each token stands at each position."""
    vocabulary = windows.tokenizer.get_vocab_size()
    return np.stack([np.bincount(column, minlength=vocabulary) for column in windows.tokens.T])


def _found(summary: Mapping[str, Any]) -> str:
    taken = duration(summary["seconds"]) if summary["seconds"] >= 1 else "under a second"
    return f"{counts_text(summary)}. {weights_text(summary)}. The whole path took {taken}."


def _scores(summary: Mapping[str, Any]) -> Table:
    columns = ("", "loss in nats", "% right")
    return Table(f"On the held-out windows, intervals {summary['intervals']}", columns, score_rows(summary))


def _path(summary: Mapping[str, Any]) -> Table:
    fields = {
        "l1": stated, "fitting_loss": _four, "choosing_loss": _four, "held_out_loss": _four, "l1_term": _four,
        "nonzero": "{:,}".format, "gap": number, "seconds": number,
    }  # fmt: skip
    rows = [[write(point[field]) for field, write in fields.items()] for point in summary["path"]]
    names = ("l1", "training loss", "for choosing", "held out", "L1 term", "weights other than 0", "gap", "seconds")
    return Table("The path of prices (losses in nats)", names, rows)


def _four(value: float) -> str:
    return f"{value:.4f}"


def _weights(fitted: FittedFolder, held: Int[np.ndarray, "position token"]) -> list[Table]:
    windows, columns = held[0].sum(), ("token", "position", "weight", "windows", "% of windows")
    tables = []
    for place, word in enumerate(fitted.classes):
        rows = [
            (repr(one.text), stated(one.position), number(one.weight), f"{held[one.position, one.token]:,}",
             number(100 * held[one.position, one.token] / windows))
            for one in strongest(fitted, place, WEIGHTS_SHOWN)
        ]  # fmt: skip
        tables.append(Table(f"“{word.strip()}”, offset {number(fitted.offsets[place])}", columns, rows))
    return tables


def _parts(summary: Mapping[str, Any]) -> Table:
    columns = ("part", "stories", "with windows", "windows", *(word.strip() for word in summary["classes"]))
    rows = []
    for name in PARTS:
        part = summary["split"]["parts"][name]
        counts = [sum(part["windows"].values()), *part["windows"].values()]
        stories = (part["stories"], part["stories_with_windows"])
        rows.append([name.replace("_", " "), *(f"{count:,}" for count in (*stories, *counts))])
    return Table("Windows by part and word", columns, rows)


def _note(summary: Mapping[str, Any]) -> str:
    return f"The corpus: {summary['corpus']['note'] or summary['corpus']['name']}."


def _origin(summary: Mapping[str, Any]) -> Table:
    rows = [
        ("corpus", summary["corpus"]["name"]),
        ("sha256 of its text", summary["corpus"]["sha256"]),
        ("sha256 of the tokenizer", summary["tokenizer_sha256"]),
        ("tokens", f"{summary['vocabulary']:,}"),
        *summary["versions"].items(),
    ]
    return Table("Corpus, tokenizer and versions", ("", ""), rows)
