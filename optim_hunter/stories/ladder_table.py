"""The ladder as tables and a page: losses by rung and question, and what each piece of machinery is worth."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.evidence.figures import BLUE, GREY, Figure, figure_of
from optim_hunter.evidence.fragment import Html, Section, Titled, shown
from optim_hunter.evidence.text import interval_text, plotly_text
from optim_hunter.stories.held_out_scores import Mean
from optim_hunter.stories.ladder_rungs import PIECES, Losses, Question

RESAMPLES, LEVEL = 2000, 0.90
NOTE = """\
Losses in nats: how unlikely what came was, to all tokens or among the words of a group. All rungs answer the same
held-out windows, and were fitted to other stories. Intervals: 90 %, percentiles of 2,000 resamples of whole stories."""

Found = Mapping[str, Mapping[str, Losses]]
"""Rung → question → loss of each window (nats); a rung need not answer every question."""


@dataclass(frozen=True)
class Row:
    """A mean over the windows of a question with its interval, in nats; `name` is a rung or a piece of machinery."""

    name: str
    question: str
    windows: int
    stories: int
    nats: Mean


def loss_rows(found: Found, questions: Sequence[Question]) -> list[Row]:
    """The mean loss of each rung on each question that it answers."""
    return [
        _row(rung, question, losses[question.name])
        for rung, losses in found.items()
        for question in questions
        if question.name in losses
    ]


def worth_rows(found: Found, questions: Sequence[Question]) -> list[Row]:
    """What each piece of machinery takes off the loss, with intervals of the difference in the same resamples."""
    return [
        _row(piece, question, found[without][question.name] - found[whole][question.name])
        for piece, whole, without in PIECES
        for question in questions
        if question.name in found[whole] and question.name in found[without]
    ]


def _row(name: str, question: Question, values: Losses) -> Row:
    return Row(name, question.name, len(values), len(np.unique(question.story)), by_story(values, question))


def by_story(values: Losses, question: Question) -> Mean:
    """The mean over windows, and percentiles of it where as many stories are drawn again with replacement."""
    _, place = np.unique(question.story, return_inverse=True)
    sums, windows = np.bincount(place, values), np.bincount(place).astype(float)
    means = _drawn(len(sums)) @ np.stack([sums, windows], axis=1)
    low, high = np.quantile(means[:, 0] / means[:, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(float(values.mean()), float(low), float(high))


def _drawn(stories: int) -> Float[np.ndarray, "resample story"]:
    """How often each story is drawn in each resample: the same for all rungs of a question."""
    drawn = np.random.default_rng(0).multinomial(stories, np.full(stories, 1 / stories), RESAMPLES)
    return np.asarray(drawn, dtype=float)


def markdown(rows: Sequence[Row], first: str) -> str:
    """A table with a line for each name and a column for each question."""
    questions = list(dict.fromkeys(row.question for row in rows))
    cells = {(row.name, row.question): interval_text(row.nats.mean, row.nats.low, row.nats.high) for row in rows}
    lines = [f"| {first} | {' | '.join(questions)} |", f"|---|{'---|' * len(questions)}"]
    for name in dict.fromkeys(row.name for row in rows):
        lines.append(f"| {name} | {' | '.join(cells.get((name, question), '–') for question in questions)} |")
    return "\n".join(lines)


def comma_separated(losses: Sequence[Row], worth: Sequence[Row]) -> str:
    """Both tables as CSV, a number a line."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(["what", "name", "question", "windows", "stories", "nats", "low", "high"])
    for what, rows in (("loss", losses), ("worth", worth)):
        for row in rows:
            numbers = (f"{number:.5f}" for number in (row.nats.mean, row.nats.low, row.nats.high))
            lines.writerow([what, row.name, row.question, row.windows, row.stories, *numbers])
    return written.getvalue()


def about(corpus: str, losses: Sequence[Row]) -> str:
    """What the numbers are, and of which windows."""
    windows = {row.question: row.windows for row in losses}
    counted = ", ".join(f"{name} {count:,}" for name, count in windows.items())
    return f"{NOTE}\n\nCorpus: {corpus}. Windows: {counted}.\n"


def ladder_page(corpus: str, losses: Sequence[Row]) -> Html:
    """A page with the losses of all rungs."""
    drawn = Titled("Nats, with 90 % intervals by story", figure(losses))
    return shown("What each piece of machinery is worth", [Section("Losses by rung", about(corpus, losses), [drawn])])


COLUMNS = 4


def figure(rows: Sequence[Row]) -> Figure:
    """The losses of all rungs, a panel for each question."""
    questions = list(dict.fromkeys(row.question for row in rows))
    rungs = list(dict.fromkeys(row.name for row in rows))
    grid = -(-len(questions) // COLUMNS)
    layout: dict[str, Any] = {
        "height": 60 + grid * (70 + 19 * len(rungs)),
        "grid": {"rows": grid, "columns": COLUMNS, "pattern": "independent", "xgap": 0.06, "ygap": 0.2},
        "annotations": [],
        "margin": {"l": 210, "r": 16, "t": 40, "b": 40},
        "showlegend": False,
    }
    traces = []
    for place, question in enumerate(questions):
        traces.append(_panel([row for row in rows if row.question == question], place, rungs, layout))
    return figure_of(traces, layout)


def _panel(rows: Sequence[Row], place: int, rungs: Sequence[str], layout: dict[str, Any]) -> dict[str, Any]:
    """Dots with intervals in a panel, whose axes and heading are written into the layout."""
    axis = str(place + 1) if place else ""
    # Names stand beside the first panel of each line alone; all panels have all rungs, the first one on top.
    layout[f"yaxis{axis}"] = {
        "categoryorder": "array", "categoryarray": [plotly_text(rung) for rung in reversed(rungs)],
        "range": [-0.6, len(rungs) - 0.4], "showticklabels": place % COLUMNS == 0,
    }  # fmt: skip
    layout[f"xaxis{axis}"] = {"zeroline": False, "nticks": 5}
    layout["annotations"].append({
        "text": plotly_text(rows[0].question), "xref": f"x{axis} domain", "yref": f"y{axis} domain", "x": 0.5, "y": 1,
        "xanchor": "center", "yanchor": "bottom", "showarrow": False,
    })  # fmt: skip
    means = [row.nats.mean for row in rows]
    return {
        "type": "scatter", "mode": "markers", "xaxis": f"x{axis}", "yaxis": f"y{axis}",
        "x": means, "y": [plotly_text(row.name) for row in rows],
        "marker": {"color": [BLUE if row.name.startswith("one-layer") else GREY for row in rows], "size": 7},
        "error_x": {"type": "data", "symmetric": False, "thickness": 1.5, "width": 3, "color": GREY,
                    "array": [row.nats.high - row.nats.mean for row in rows],
                    "arrayminus": [row.nats.mean - row.nats.low for row in rows]},
        "hovertemplate": "%{y}: %{x:.3f} nats<extra></extra>",
    }  # fmt: skip
