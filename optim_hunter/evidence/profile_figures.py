"""Figures of profiles: means over the seeds with intervals, the seed that stands for all, and what was published."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from optim_hunter.evidence.experiment_figures import ORANGE, interval_bars
from optim_hunter.evidence.figures import BLUE, GREY, RED, Figure, figure_of
from optim_hunter.evidence.text import number, plotly_text
from optim_hunter.stats.intervals import Estimate

One = Sequence[float] | None
"""The numbers of one seed, or what was published, label by label."""

LAYER = re.compile(r"(attention|MLP) (\d+)")
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
FEW = 12
"""As many bars have room for their numbers."""


def beside_each_other(labels: Sequence[str], mean: Estimate, unit: str, example: One, published: One) -> Figure:
    """A bar for each label."""
    names = [plotly_text(f"“{label}”") for label in labels]
    text = [number(value) for value in mean.mean] if len(labels) <= FEW else None
    traces = [
        {
            **_bars(names, mean, "mean"),
            "marker": {"color": [RED if value > 0 else BLUE for value in mean.mean]},
            "text": text,
            "textposition": "outside",
            "cliponaxis": False,
        }
    ]
    if published is not None:
        traces.append({"type": "bar", "name": "published", "x": names, "y": list(published), "marker": {"color": GREY}})
    if example is not None:
        traces.append(_hollow(names, example))
    return figure_of(traces, _upright(unit) | {"bargap": 0.35})


def along_the_depth(labels: Sequence[str], mean: Estimate, unit: str, example: One, published: One) -> Figure:
    """Attention blocks and MLPs side by side at each layer; what is neither stands before the first layer."""
    assert published is None, "nothing published is drawn along the depth"
    places = [_place(label) for label in labels]
    traces = []
    for kind, colour in (("other", GREY), ("attention", ORANGE), ("MLP", BLUE)):
        chosen = [index for index, (of, _) in enumerate(places) if of == kind]
        if not chosen:
            continue
        part = Estimate(*(np.asarray(one)[chosen] for one in (mean.mean, mean.low, mean.high, mean.n)))
        name = kind if kind != "other" else ", ".join(labels[index] for index in chosen)
        layers = [places[index][1] for index in chosen]
        side = {"offsetgroup": "MLP" if kind == "MLP" else "attention"}
        traces.append({**_bars(layers, part, plotly_text(name)), "marker": {"color": colour}, **side})
        if example is not None:
            dots = _hollow(layers, [example[index] for index in chosen], colour)
            traces.append({**dots, "showlegend": False, **side})
    shown = range(0, max(layer for _, layer in places) + 1, 1 if len(labels) <= 2 * FEW else 4)
    axis = {"title": {"text": "layer"}, "tickvals": list(shown)}
    return figure_of(traces, _upright(unit) | {"xaxis": axis, "scattermode": "group", "barmode": "group"})


def one_under_the_other(labels: Sequence[str], mean: Estimate, unit: str, example: One, published: One) -> Figure:
    """A horizontal bar for each label, the first marked as the claim's own."""
    assert published is None, "nothing published is drawn beside methods"
    names = [plotly_text(label) for label in labels]
    colours = [RED, *[BLUE] * (len(labels) - 1)]
    traces = [interval_bars(names, "mean", mean, colours)]
    if example is not None:
        hollow = _hollow(names, example)
        traces.append({**hollow, "x": hollow["y"], "y": names, "hovertemplate": "this seed: %{x:.4g}<extra></extra>"})
    layout = {
        "height": 110 + 28 * len(labels),
        "xaxis": {"title": {"text": plotly_text(unit)}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "automargin": True},
        "legend": LEGEND,
        "showlegend": False,
    }
    return figure_of(traces, layout)


DRAWN: Mapping[str, Callable[[Sequence[str], Estimate, str, One, One], Figure]] = {
    "bars": beside_each_other,
    "layers": along_the_depth,
    "methods": one_under_the_other,
}
"""`Profile.drawn` → labels, estimate, unit, one seed, published → figure."""


def _place(label: str) -> tuple[str, int]:
    """A block's kind and layer; what is no block stands at −1."""
    found = LAYER.fullmatch(label)
    return (found[1], int(found[2])) if found else ("other", -1)


def _bars(places: Sequence[Any], mean: Estimate, name: str) -> dict[str, Any]:
    upright = interval_bars(places, name, mean, BLUE)
    turned = {"x": upright["y"], "y": upright["x"], "error_y": upright["error_x"], "orientation": "v"}
    rest = {key: value for key, value in upright.items() if key not in ("x", "y", "error_x", "orientation")}
    swapped = rest["hovertemplate"].replace("%{y}", "%{X}").replace("%{x", "%{y").replace("%{X}", "%{x}")
    return {**rest, **turned, "hovertemplate": swapped}


def _hollow(places: Sequence[Any], values: Sequence[float], colour: str = GREY) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "one seed",
        "x": list(places),
        "y": list(values),
        "marker": {"symbol": "circle-open", "size": 7, "color": colour, "line": {"width": 1.6}},
        "hovertemplate": "this seed: %{y:.4g}<extra></extra>",
    }


def _upright(unit: str) -> dict[str, Any]:
    return {"height": 320, "xaxis": {"automargin": True}, "yaxis": {"title": {"text": plotly_text(unit)}},
            "legend": LEGEND, "margin": {"l": 64, "r": 16, "t": 40, "b": 48}}  # fmt: skip
