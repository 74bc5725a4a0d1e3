"""Figures of the evidence page, as Plotly JSON. Labels are untrusted text and shown as they are.

Colours tell apart for colour-blind readers and on light and dark ground; ink and grid lines are the page's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.evidence.text import estimate, plotly_text, stated

Figure = dict[str, Any]
"""A Plotly figure as plain JSON data: `data` and `layout`."""

RED = "#c9503f"
BLUE = "#3f7fbf"
GREY = "#8a8f98"
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def seed_strip(entry: Mapping[str, Any], condition: Mapping[str, Any]) -> Figure:
    """The numbers of all seeds for one condition, with mean, interval and the smallest effect as a line.

    Args:
        entry: a claim of the ledger.
        condition: one of its conditions; seeds that only searched are drawn hollow.
    """
    confirming = _values(entry, condition["name"], searching=False)
    searching = _values(entry, condition["name"], searching=True)
    traces = [_dots(confirming, "seed", {"color": BLUE, "size": 7, "opacity": 0.75})]
    if searching:
        traces.append(_dots(searching, "searching seed, not counted", {"color": GREY, "symbol": "circle-open"}))
    if condition["effect"] is not None:
        traces.append(_mean(condition, entry["alpha"]))
    threshold = condition["smallest_effect"]
    layout = {
        "height": 265,
        "xaxis": {"title": {"text": plotly_text(condition["unit"]), "standoff": 6}, "zeroline": True},
        "yaxis": {"visible": False, "range": [-0.62, 1.15], "fixedrange": True},
        "shapes": [{"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "paper",
                    "line": {"color": RED, "width": 2, "dash": "dash"}}],
        "annotations": [{"x": threshold, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
                         "text": f"smallest effect {stated(threshold)}"}],
        "legend": {"orientation": "h", "y": -0.36, "yanchor": "top"},
        "margin": {"l": 12, "r": 12, "t": 28, "b": 40},
    }  # fmt: skip
    return figure_of(traces, layout)


def component_bars(labels: Sequence[str], values: Float[np.ndarray, " component"], title: str) -> Figure:
    """Direct logit attribution (or any signed number) of each component, in the model's order."""
    return figure_of(
        [_signed_bars(labels, values)], {"title": _title(title), "height": 340, "xaxis": {"automargin": True}}
    )


def head_map(matrix: Float[np.ndarray, "layer head"], title: str, marked: tuple[int, ...] | None = None) -> Figure:
    """One number for each layer and head; `marked` is the (layer, head) that gets a frame.

    Where numbers are negative, red is above zero and blue below; NaN leaves a hole.
    """
    heads = matrix.shape[1]
    heat = heat_of(matrix) | {"hovertemplate": "L%{y}H%{x}: %{z:.4g}<extra></extra>", "xgap": 1, "ygap": 1}
    axis = {"showgrid": False, "zeroline": False}
    layout = {
        "title": _title(title),
        "height": int(150 + 14 * len(matrix)),
        "xaxis": {"title": {"text": "head"}, "dtick": 1 if heads <= 16 else 4, "range": [-0.6, heads - 0.4], **axis},
        "yaxis": {"title": {"text": "layer"}, "dtick": 1 if len(matrix) <= 12 else 4, **axis},
        "shapes": [] if marked is None else _frame(*marked),
    }
    return figure_of([heat], layout)


def heat_of(matrix: Float[np.ndarray, "row column"]) -> dict[str, Any]:
    """A heat map's trace; where numbers are negative, red is above zero and blue below."""
    signed = bool(np.any(matrix < 0))
    return {
        "type": "heatmap",
        "z": matrix.tolist(),
        "colorscale": "RdBu_r" if signed else "Cividis",
        "zmid": 0 if signed else None,
        "colorbar": {"outlinewidth": 0, "thickness": 14},
    }


def _title(text: str) -> dict[str, Any]:
    return {"text": plotly_text(text)}


def _values(entry: Mapping[str, Any], condition: str, *, searching: bool) -> dict[int, float]:
    found = {}
    for row in entry["numbers"]:
        value = row.get("values", {}).get(condition)
        if value is not None and (row.get("role") == "find") is searching:
            found[row["seed"]] = value
    return found


def _dots(values: Mapping[int, float], name: str, marker: dict[str, Any]) -> dict[str, Any]:
    """Dots with a height that depends on the seed alone, spread evenly by the golden ratio."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": list(values.values()),
        "y": [seed * GOLDEN_RATIO % 1 for seed in values],
        "customdata": list(values),
        "marker": marker,
        "hovertemplate": "seed %{customdata}: %{x:.4g}<extra></extra>",
    }


def _mean(condition: Mapping[str, Any], alpha: float) -> dict[str, Any]:
    effect = condition["effect"]
    low, high = condition["interval"] or (effect, effect)
    share = f"{100 * (1 - 2 * alpha):.3g} %"
    effect_text, interval_text = estimate(effect, condition["interval"])
    seen = f"effect {effect_text}" + (f", {share} interval {interval_text}" if interval_text else "")
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"effect and {share} interval",
        "x": [effect],
        "y": [-0.3],
        "marker": {"color": RED, "size": 11, "symbol": "diamond"},
        "error_x": {"type": "data", "symmetric": False, "array": [high - effect], "arrayminus": [effect - low],
                    "color": RED, "thickness": 3, "width": 7},
        "hovertemplate": f"{seen}<extra></extra>",
    }  # fmt: skip


def _signed_bars(labels: Sequence[str], values: Float[np.ndarray, " bar"]) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": [plotly_text(label) for label in labels],
        "y": np.asarray(values).tolist(),
        "marker": {"color": [RED if value > 0 else BLUE for value in values]},
        "hovertemplate": "%{x}: %{y:.4g}<extra></extra>",
    }


def _frame(layer: int, head: int) -> list[dict[str, Any]]:
    """A black line in a white one, which stands out on every colour of the map."""
    corners = {"type": "rect", "x0": head - 0.5, "x1": head + 0.5, "y0": layer - 0.5, "y1": layer + 0.5}
    return [{**corners, "line": {"color": color, "width": width}} for color, width in (("#fff", 6), ("#000", 2.5))]


def untitled(figure: Figure) -> Figure:
    """The figure without its title, for a page that shows it as a caption."""
    return {**figure, "layout": {key: value for key, value in figure["layout"].items() if key != "title"}}


def training_curve(curve: Sequence[Mapping[str, float]]) -> Figure:
    """Error by step of training, and that of the mean of the examples, which knows nothing of the case.

    Args:
        curve: looks at the model during training: `step`, `error` and `error_of_mean` (units of the output).
    """
    steps = [look["step"] for look in curve]
    traces = [
        {"type": "scatter", "mode": "lines+markers", "name": name, "x": steps, "y": [look[key] for look in curve],
         "line": {"color": colour, "dash": dash}, "hovertemplate": "step %{x}: %{y:.4g}<extra></extra>"}
        for name, key, colour, dash in (
            ("model", "error", RED, "solid"), ("mean of the examples", "error_of_mean", GREY, "dash"))
    ]  # fmt: skip
    layout = {
        "height": 300,
        "xaxis": {"title": {"text": "step"}},
        "yaxis": {"title": {"text": "mean absolute error"}, "rangemode": "tozero"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "margin": {"l": 64, "r": 16, "t": 40, "b": 48},
    }
    return figure_of(traces, layout)


def figure_of(traces: list[dict[str, Any]], layout: dict[str, Any]) -> Figure:
    """Traces with the page's quiet layout, as plain JSON data: what is not finite becomes null."""
    quiet = {"template": {}, "margin": {"l": 64, "r": 16, "t": 16, "b": 56}, "showlegend": len(traces) > 1}
    figure: Figure = _finite({"data": traces, "layout": {**quiet, **layout}})
    return figure


def _finite(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: _finite(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_finite(value) for value in part]
    if isinstance(part, float):
        return float(part) if math.isfinite(part) else None
    return part
