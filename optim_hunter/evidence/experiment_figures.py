"""Figures of the published experiments: means with intervals, and menus that choose what is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from optim_hunter.evidence.figures import BLUE, GREY, RED, Figure, figure_of, heat_of
from optim_hunter.evidence.text import plotly_text
from optim_hunter.stats.intervals import Estimate

ORANGE = "#d08a1d"
COLOURS = (RED, BLUE, ORANGE, GREY)
"""Of the series of a figure, in their order."""

Kind = Literal["bars", "lines"]
Steps = tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "edge"]]
"""Shares and the edges of their bins, one more."""


def method_bars(
    names: Sequence[str], series: Mapping[str, Estimate], unit: str, marked: str | None = None, log: bool = False
) -> Figure:
    """Horizontal bars with intervals, a group for each name, the first on top.

    A single series is blue, but for the one of its names that is `marked`. Where all are above 0 buttons choose a
    linear or a logarithmic axis, and `log` says which comes first.
    """
    colours: Sequence[Any] = COLOURS
    if len(series) == 1:
        colours = [[RED if name == marked else BLUE for name in names]]
    shown = [plotly_text(name) for name in names]
    pairs = zip(series.items(), colours, strict=False)
    traces = [interval_bars(shown, plotly_text(label), one, colour) for (label, one), colour in pairs]
    layout = {
        "height": 110 + len(names) * (14 + 10 * len(traces)),
        "xaxis": {"title": {"text": plotly_text(unit)}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "automargin": True},
        **_legend_above(),
    }
    if all(np.all(one.mean > 0) for one in series.values()):
        layout["xaxis"]["type"] = "log" if log else "linear"
        layout["updatemenus"] = [_choice_of_scale(log)]
    return figure_of(traces, layout)


def interval_bars(places: Sequence[Any], name: str, one: Estimate, colour: Any) -> dict[str, Any]:
    """Horizontal bars with intervals, a trace; its places and name are shown as they are."""
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": list(places),
        "x": _plain(one.mean),
        "error_x": _interval(one),
        "marker": {"color": colour},
        "customdata": _hover(one),
        "hovertemplate": "%{y}: %{x:.4g} (%{customdata[0]:.4g} to %{customdata[1]:.4g}), n = %{customdata[2]}",
    }


def _choice_of_scale(log: bool) -> dict[str, Any]:
    scales = [_button(scale, "relayout", {"xaxis.type": scale}) for scale in ("linear", "log")]
    return {**_menu(scales), "type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "active": int(log)}


def by_choice(labels: Sequence[str], choices: Mapping[str, Mapping[str, Estimate]], unit: str, kind: Kind) -> Figure:
    """Means with intervals along labels; a menu chooses which of `choices` (name → series) is drawn."""
    return _chosen(
        {
            choice: [
                _along(labels, name, one, colour, kind)
                for (name, one), colour in zip(series.items(), COLOURS, strict=False)
            ]
            for choice, series in choices.items()
        },
        {"height": 420, "xaxis": {"automargin": True}, "yaxis": {"title": {"text": plotly_text(unit)}}},
    )


def predicted_and_true(
    choices: Mapping[str, tuple[Float[np.ndarray, "seed"], Float[np.ndarray, "seed"], Sequence[int]]], name: str
) -> Figure:
    """Predictions over true values, a dot for each seed, with the line on which they are equal; a menu chooses.

    Args:
        choices: name → true values, predictions and seeds.
        name: of what predicts.
    """
    return _chosen(
        {choice: [_identity(true, predicted), _dots(true, predicted, seeds, name)]
         for choice, (true, predicted, seeds) in choices.items()},
        {"height": 420, "xaxis": {"title": {"text": "true value"}}, "yaxis": {"title": {"text": "prediction"}}},
    )  # fmt: skip


def histograms(choices: Mapping[str, Mapping[str, Steps]], unit: str) -> Figure:
    """Share of values by bin, a stepped line for each series; a menu chooses.

    Args:
        choices: name → series → shares and edges.
        unit: of the edges.
    """
    steps = {
        choice: [
            {"type": "scatter", "mode": "lines", "name": plotly_text(name), "x": _plain(edges),
             "y": _plain(np.append(shares, shares[-1])), "line": {"shape": "hv", "color": colour},
             "hovertemplate": "%{x:.3g}: %{y:.3g}"}
            for (name, (shares, edges)), colour in zip(series.items(), COLOURS, strict=False)
        ]
        for choice, series in choices.items()
    }  # fmt: skip
    return _chosen(steps, {
        "height": 380, "xaxis": {"title": {"text": plotly_text(unit)}},
        "yaxis": {"title": {"text": "share of activations"}, "type": "log"},
    })  # fmt: skip


def grid_map(rows: Sequence[str], columns: Sequence[str], values: Float[np.ndarray, "row column"]) -> Figure:
    """One number for each row and column; NaN leaves a hole."""
    heat = heat_of(values) | {
        "x": [plotly_text(column) for column in columns],
        "y": [plotly_text(row) for row in rows],
        "hovertemplate": "%{y}, %{x}: %{z:.4g}<extra></extra>",
    }
    layout = {
        "height": 150 + 18 * len(rows),
        "xaxis": {"automargin": True, "showgrid": False},
        "yaxis": {"automargin": True, "autorange": "reversed", "showgrid": False},
    }
    return figure_of([heat], layout)


def _along(labels: Sequence[str], name: str, one: Estimate, colour: str, kind: Kind) -> dict[str, Any]:
    trace = {
        "name": plotly_text(name),
        "x": [plotly_text(label) for label in labels],
        "y": _plain(one.mean),
        "error_y": _interval(one),
        "customdata": _hover(one),
        "hovertemplate": "%{x}: %{y:.4g} (%{customdata[0]:.4g} to %{customdata[1]:.4g}), n = %{customdata[2]}",
    }
    if kind == "bars":
        return {**trace, "type": "bar", "marker": {"color": colour}}
    return {**trace, "type": "scatter", "mode": "lines+markers", "line": {"color": colour}, "marker": {"size": 4}}


def _dots(true: np.ndarray, predicted: np.ndarray, seeds: Sequence[int], name: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": plotly_text(name), "x": _plain(true), "y": _plain(predicted),
        "customdata": list(seeds), "marker": {"color": BLUE, "size": 8, "opacity": 0.75},
        "hovertemplate": "seed %{customdata}: true %{x:.4g}, predicted %{y:.4g}",
    }  # fmt: skip


def _identity(true: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    both = np.concatenate([true, predicted])
    ends = [float(np.nanmin(both)), float(np.nanmax(both))] if np.isfinite(both).any() else []
    return {
        "type": "scatter", "mode": "lines", "name": "prediction = true value", "x": ends, "y": ends,
        "line": {"color": GREY, "dash": "dash"}, "hoverinfo": "skip",
    }  # fmt: skip


def _chosen(choices: Mapping[str, list[dict[str, Any]]], layout: dict[str, Any]) -> Figure:
    """All traces of all choices, those of the first seen; a menu above makes another choice's seen."""
    first, *_ = choices
    traces = [{**trace, "visible": choice == first} for choice, several in choices.items() for trace in several]
    owners = [choice for choice, several in choices.items() for _ in several]
    buttons = [_button(choice, "restyle", {"visible": [owner == choice for owner in owners]}) for choice in choices]
    menu = {"updatemenus": [{**_menu(buttons), "x": 0, "xanchor": "left"}]} if len(choices) > 1 else {}
    return figure_of(traces, {**layout, **menu, **_legend_above()})


def _button(label: str, method: str, change: dict[str, Any]) -> dict[str, Any]:
    return {"label": plotly_text(label), "method": method, "args": [change]}


def _menu(buttons: list[dict[str, Any]]) -> dict[str, Any]:
    quiet = {"bgcolor": "rgba(138,143,152,0.15)", "bordercolor": GREY, "borderwidth": 1}
    return {"buttons": buttons, "y": 1.02, "yanchor": "bottom", "pad": {"b": 4}, **quiet}


def _legend_above() -> dict[str, Any]:
    return {"legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.02, "yanchor": "bottom"},
            "margin": {"l": 64, "r": 16, "t": 56, "b": 56}}  # fmt: skip


def _interval(one: Estimate) -> dict[str, Any]:
    return {"type": "data", "symmetric": False, "array": _plain(one.high - one.mean),
            "arrayminus": _plain(one.mean - one.low), "thickness": 1.2, "width": 3, "color": GREY}  # fmt: skip


def _hover(one: Estimate) -> list[list[float | None]]:
    return _plain(np.stack([one.low, one.high, one.n], axis=-1))


def _plain(values: np.ndarray) -> Any:
    """As lists, for JSON."""
    return np.asarray(values, float).tolist()
