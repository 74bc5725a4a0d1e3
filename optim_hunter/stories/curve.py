"""The curve of a fit: its losses along the path of prices, beside what they are measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optim_hunter.evidence.experiment_figures import ORANGE
from optim_hunter.evidence.figures import BLUE, GREY, RED, Figure, figure_of
from optim_hunter.evidence.text import plotly_text, stated

LINES = (
    ("fitting_loss", "training loss", BLUE, "solid"),
    ("held_out_loss", "held-out loss", RED, "solid"),
    ("choosing_loss", "loss on the stories for choosing", RED, "dot"),
    ("l1_term", "L1 term", ORANGE, "solid"),
)
"""Field of a point of the path, name, colour and dash."""
VIEW_DASHES = {"window": "dash", "story": "longdashdot"}


def training_curve(summary: Mapping[str, Any]) -> Figure:
    """Losses in nats over the price of a weight, which falls to the right as the fit grows free.

    Where a document about a gradient descent shows steps of training, this shows optima: each point is a fit that
    was solved to its gap from the one before it.
    """
    path = summary["path"]
    strengths = [point["l1"] for point in path]
    traces = [_line(path, *line) for line in LINES]
    traces.append(_level(strengths, "always the words' shares", summary["commonest"], GREY, "dot"))
    beside = summary["language_model"] or {"views": {}}
    for view, scored in beside["views"].items():
        traces.append(_level(strengths, f"{beside['name']}, {view}", scored, GREY, VIEW_DASHES[view]))
    return figure_of(traces, {**_layout(strengths), **_chosen(summary["l1"])})


def _line(path: Sequence[Mapping[str, Any]], field: str, name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [point["l1"] for point in path],
        "y": [point[field] for point in path],
        "customdata": [point["nonzero"] for point in path],
        "line": {"color": colour, "dash": dash},
        "marker": {"size": 5},
        "hovertemplate": "l1 %{x:.3g}: %{y:.4f} nats, %{customdata:,} weights",
    }


def _level(strengths: Sequence[float], name: str, scored: Mapping[str, Any], colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plotly_text(name),
        "x": [strengths[0], strengths[-1]],
        "y": [scored["held_out_nll"]] * 2,
        "line": {"color": colour, "dash": dash},
        "hovertemplate": "%{y:.4f} nats",
    }


def _layout(strengths: Sequence[float]) -> dict[str, Any]:
    decades = [float(np.log10(strengths[0])) + 0.08, float(np.log10(strengths[-1])) - 0.08]
    return {
        "height": 440,
        "xaxis": {
            "type": "log",
            "range": decades,
            "dtick": 1,
            "exponentformat": "power",
            "title": {"text": "l1, the price of a weight (nats): falls to the right"},
        },
        "yaxis": {"title": {"text": "nats a window"}, "rangemode": "tozero"},
        "legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 64, "r": 16, "t": 84, "b": 56},
    }


def _chosen(l1: float) -> dict[str, Any]:
    line = {"type": "line", "x0": l1, "x1": l1, "y0": 0, "y1": 1, "yref": "paper", "line": {"color": GREY, "width": 1}}
    words = {"x": float(np.log10(l1)), "y": 0, "yref": "paper", "yanchor": "bottom", "xanchor": "left",
             "showarrow": False, "text": f"chosen: {stated(l1)}"}  # fmt: skip
    return {"shapes": [line], "annotations": [words]}
