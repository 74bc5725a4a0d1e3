"""docs/calibration.md and its pictures, from what `calibrate.py` has measured."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from tests.browser import browsing, find_chromium

Row = Mapping[str, Any]

BLUE, RED, GREY = "#3f7fbf", "#c9503f", "#8a8f98"
SHADES = ("#b9d3ec", "#7fb0de", "#3f7fbf", "#1f4e80")

PAGE = Path(__file__).with_suffix(".md").read_text("utf-8")


def page(found: Mapping[str, Sequence[Row]]) -> str:
    """The page as Markdown."""
    return PAGE.format(
        rates=_rates(found["rows"]),
        wrong="; ".join(map(_label, filter(too_often_wrong, found["rows"]))) or "none",
        coverage=_coverage(found["rows"]),
        uncovered="; ".join(map(_label, filter(covers_too_little, found["rows"]))) or "none",
        power=_power(found["power"]),
        power_runs=f"{found['power'][0]['runs']:,}",
        stopping=_stopping(found["stopping"]),
        runs=f"{found['stopping'][0]['runs']:,}",
    )


def too_often_wrong(row: Row) -> bool:
    """Whether a rate of false verdicts lies above α beyond Monte-Carlo error."""
    return any(row[f"{kind}_interval"][0] > row["alpha"] for kind in ("false_supported", "false_refuted"))


def covers_too_little(row: Row) -> bool:
    """Whether its intervals hold the truth less often than they promise, beyond Monte-Carlo error."""
    return row["coverage"] is not None and row["coverage_interval"][1] < row["nominal_coverage"]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines)


def _share(rate: float | None, ends: Sequence[float] | None = None) -> str:
    if rate is None:
        return "–"
    return f"{100 * rate:.1f}" + (f" ({100 * ends[0]:.1f}–{100 * ends[1]:.1f})" if ends else "")


def _rates(rows: Sequence[Row]) -> str:
    columns = ("test", "null", "runs", "false *supported*, %", "false *refuted*, %", "power, %", "at effect")
    return _table(columns, ([
        row["test"], row["null"], f"{row['runs']:,}",
        _share(row["false_supported"], row["false_supported_interval"]),
        _share(row["false_refuted"], row["false_refuted_interval"]),
        _share(row["power"], row["power_interval"]), f"{row['effect_of_power']:g}",
    ] for row in rows))  # fmt: skip


def _coverage(rows: Sequence[Row]) -> str:
    return _table(("test", "null", "coverage, %"), (
        [row["test"], row["null"], _share(row["coverage"], row["coverage_interval"])]
        for row in rows if row["coverage"] is not None
    ))  # fmt: skip


def _power(points: Sequence[Row]) -> str:
    effects = sorted({point["effect"] for point in points})
    rows = []
    for name, curve in _curves(points).items():
        rows.append([name, *(_share(curve[effect]["power"], curve[effect]["power_interval"]) for effect in effects)])
    return _table(["seeds; effect in standard deviations", *(f"{effect:g}" for effect in effects)], rows)


def _curves(points: Sequence[Row]) -> dict[str, dict[float, Row]]:
    curves: dict[str, dict[float, Row]] = {}
    for point in points:
        name = "sequential, up to 100 seeds" if point["test"] == "sequential" else f"{point['seeds']} seeds"
        curves.setdefault(name, {})[point["effect"]] = point
    return curves


def _stopping(stops: Sequence[Row]) -> str:
    widths = sorted({stop["half_width"] for stop in stops})
    medians = {tuple(stop[key] for key in ("numbers", "effect", "family_size", "half_width")): stop for stop in stops}
    rows = []
    for key in dict.fromkeys(place[:3] for place in medians):
        shown = [medians[*key, width]["median_seeds"] for width in widths]
        rows.append([key[0], f"{key[1]:g}", str(key[2]), *("–" if seeds is None else f"{seeds:g}" for seeds in shown)])
    return _table(["numbers", "effect", "family", *(f"bounds ± {width}" for width in widths)], rows)


def draw_pictures(found: Mapping[str, Sequence[Row]], folder: Path) -> None:
    """Write the three pictures with a headless Chromium.

    Raises:
        RuntimeError: none is installed.
    """
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError("the pictures need Chromium: install it, for example with apt install chromium")
    rows = found["rows"]
    figures = {
        "false-verdicts": (_rate_figure(rows), 760),
        "coverage": (_coverage_figure([row for row in rows if row["coverage"] is not None]), 560),
        "power": (_power_figure(found["power"]), 420),
    }
    for name, (figure, height) in figures.items():
        _screenshot(chromium, figure, (900, height), folder / f"{name}.png")


def _screenshot(chromium: str, figure: go.Figure, size: tuple[int, int], path: Path) -> None:
    figure.update_layout(width=size[0], height=size[1], template="plotly_white", font={"size": 13})
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "figure.html"
        drawn.write_text(figure.to_html(config={"staticPlot": True}, include_plotlyjs=True), "utf-8")
        profile = Path(folder) / "profile"
        profile.mkdir()
        with browsing(chromium, profile, size) as browser:
            browser.open(drawn)
            browser.evaluate("document.body.style.margin = '0'")
            browser.wait_for("document.querySelector('.main-svg')")
            browser.screenshot(path, whole_page=True)


def _label(row: Row) -> str:
    return f"{row['test']}: {row['null']}"


def _dots(rows: Sequence[Row], kind: str, name: str, colour: str, shift: float) -> go.Scatter:
    rates = [100 * row[kind] for row in rows]
    ends = [[100 * end for end in row[f"{kind}_interval"]] for row in rows]
    return go.Scatter(
        x=rates, y=[place + shift for place in range(len(rows))], mode="markers", name=name,
        marker={"color": colour, "size": 7},
        error_x={"type": "data", "symmetric": False, "thickness": 1.5, "color": colour,
                 "array": [high - rate for rate, (_, high) in zip(rates, ends, strict=True)],
                 "arrayminus": [rate - low for rate, (low, _) in zip(rates, ends, strict=True)]},
    )  # fmt: skip


def _over_rows(rows: Sequence[Row], traces: Sequence[go.Scatter], promised: float, title: str) -> go.Figure:
    figure = go.Figure(traces)
    figure.add_vline(x=promised, line={"color": GREY, "dash": "dash"})
    labels = {"tickvals": list(range(len(rows))), "ticktext": [_label(row) for row in rows]}
    figure.update_layout(
        xaxis={"title": title},
        yaxis={"autorange": "reversed", "automargin": True, **labels},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        margin={"l": 10, "r": 20, "t": 50, "b": 50},
    )
    return figure


def _rate_figure(rows: Sequence[Row]) -> go.Figure:
    traces = [
        _dots(rows, "false_supported", "supported", BLUE, -0.15),
        _dots(rows, "false_refuted", "refuted", RED, 0.15),
    ]
    return _over_rows(rows, traces, 100 * rows[0]["alpha"], "false verdicts, % of the runs, with exact 99 % intervals")


def _coverage_figure(rows: Sequence[Row]) -> go.Figure:
    title = "intervals that hold the truth, %, with exact 99 % intervals"
    return _over_rows(rows, [_dots(rows, "coverage", "coverage", BLUE, 0)], 100 * rows[0]["nominal_coverage"], title)


def _power_figure(points: Sequence[Row]) -> go.Figure:
    figure = go.Figure()
    for index, (name, curve) in enumerate(_curves(points).items()):
        sequential = name.startswith("sequential")
        line = {"color": RED, "dash": "dash"} if sequential else {"color": SHADES[index]}
        share = [100 * point["power"] for point in curve.values()]
        figure.add_scatter(x=list(curve), y=share, name=name, mode="lines+markers", line=line)
    figure.update_layout(
        xaxis={"title": "effect above the smallest, in standard deviations of a seed’s number", "range": [0, 1.02]},
        yaxis={"title": "supported, % of the runs", "range": [0, 102]},
        legend={"x": 0.98, "y": 0.05, "xanchor": "right"},
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
    )
    return figure
