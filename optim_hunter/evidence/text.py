"""How untrusted text and numbers are written where people read them. Pure functions."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from optim_hunter.tasks.spelling import spelled

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"


def visible(text: str) -> str:
    """Text with its invisible characters spelled out: `⟨U+202E⟩` for a right-to-left override.

    Control and format characters and separators of lines (Unicode categories Cc, Cf, Cs, Zl and Zp) can reorder,
    break or hide what stands beside them; tabs and line ends stay.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    hides = character not in "\t\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return spelled(character) if hides else character


OBJECT_PROPERTIES = {
    "__proto__", "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toString", "toLocaleString",
    "valueOf",
}  # fmt: skip
"""Names that every object of JavaScript has: Plotly takes them for categories that it knows, and does not draw them."""


def plotly_text(text: str) -> str:
    """Text that Plotly shows as it is, though it reads tags, entities, line ends and TeX in its labels."""
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
    if text in OBJECT_PROPERTIES:
        escaped = f"&#{ord(text[0])};{text[1:]}"
    return escaped.replace("\n", "\\n").replace("\t", "\\t")


def number(value: float | None) -> str:
    """Three significant digits, with thousands separated: `12.3`, `−1,230`, `4.1e-5`; `–` where there is none."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e7:
        text = f"{size:.1e}".replace("e-0", "e-").replace("e+0", "e")
    else:
        text = f"{size:,.{max(0, 2 - math.floor(math.log10(size)))}f}"
    return (MINUS if value < 0 else "") + text


def stated(value: float) -> str:
    """A number that was stated rather than measured, as it was stated: `36`, `0.05`."""
    return f"{value:,.10g}".replace("-", MINUS, 1) if value < 0 else f"{value:,.10g}"


def estimate(effect: float | None, interval: Sequence[float] | None) -> tuple[str, str | None]:
    """An effect and its interval to two digits of the interval's half width: `−0.028`, `−0.039 to −0.016`."""
    if effect is None or interval is None:
        return number(effect), None
    low, high = interval
    decimals = 1 - math.floor(math.log10((high - low) / 2)) if high > low else math.inf
    if decimals > 6 or max(abs(low), abs(high)) >= 1e7:
        return number(effect), f"{number(low)} to {number(high)}"
    effect_text, low_text, high_text = (_fixed(value, max(0, int(decimals))) for value in (effect, low, high))
    return effect_text, f"{low_text} to {high_text}"


def interval_text(mean: float, low: float, high: float) -> str:
    """A mean with its interval behind it: `−0.028 (−0.039 to −0.016)`; without one the mean alone."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(mean)
    shown, between = estimate(mean, (low, high))
    return f"{shown} ({between})"


def _fixed(value: float, decimals: int) -> str:
    text = f"{abs(value):,.{decimals}f}"
    return MINUS + text if value < 0 and text.strip("0.,") else text


def probability(value: float | None) -> str:
    """A p value: `0.013`, `<0.001`, `–` where there is none."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 1e-3:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """`8 min 32 s`, `2 h 5 min`, `41 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def seed_ranges(seeds: list[int]) -> str:
    """Seeds as `--claims-seeds` takes them: `0-99`, `0-2,7,9-11`."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1][1:] = [seed]
        else:
            runs.append([seed])
    return ",".join("-".join(str(end) for end in run) for run in runs) or UNKNOWN


def work_text(work: Mapping[str, Any]) -> str:
    """What a model took, in words: `214 forward passes, 168,031 tokens; 9 parts taken from the store`."""
    counted = [
        (work.get("forward_passes"), "forward passes"),
        (work.get("tokens_run"), "tokens"),
        (work.get("fits"), "fits"),
    ]
    text = ", ".join(f"{count:,} {what}" for count, what in counted if count is not None)
    if work.get("batch_seeds"):
        text += f", {work['batch_seeds']} seeds side by side"
    if work.get("out_of_memory"):
        text += f" (memory did not suffice {work['out_of_memory']} times, each time the batch was halved)"
    return f"{text}; {work.get('from_store', 0):,} parts taken from the store"
