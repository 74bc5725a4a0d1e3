"""Effects with their intervals as small SVG drawings on one common axis: the forest plot of the table of claims.

The axis counts in smallest effects of interest, so that every row has its zero and its threshold at the same place,
whatever its unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WIDTH = 170
ENDS = (-3.0, 6.0)
"""What lies beyond these multiples of the smallest effect is drawn as an arrow."""

Condition = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """Multiples of the smallest effect → pixels."""

    low: float
    high: float
    width: int = WIDTH

    def x(self, multiple: float) -> float:
        """The place of a multiple of the smallest effect; the nearer end where it is off the axis."""
        inside = min(max(multiple, self.low), self.high)
        return round((inside - self.low) / (self.high - self.low) * self.width, 1)

    def mark(self, condition: Condition) -> dict[str, Any]:
        """Where a condition's zero, threshold, effect and interval are drawn, and which ends are off the axis."""
        unit = _multiple_of(condition)
        place: dict[str, Any] = {"zero": self.x(0), "threshold": self.x(condition["smallest_effect"] / unit)}
        if condition["effect"] is None:
            return place
        effect = condition["effect"] / unit
        low, high = (end / unit for end in condition["interval"] or (condition["effect"], condition["effect"]))
        place |= {"effect": self.x(effect), "low": self.x(low), "high": self.x(high)}
        return place | {"off_left": low < self.low, "off_right": high > self.high}


def common_axis(conditions: Iterable[Condition]) -> Axis:
    """An axis on which all conditions fit, as far as `ENDS` allow."""
    multiples = [-0.6, 1.8]
    for condition in conditions:
        unit = _multiple_of(condition)
        multiples += [end / unit for end in _extent(condition)]
    return Axis(max(min(multiples) - 0.2, ENDS[0]), min(max(multiples) + 0.2, ENDS[1]))


def _extent(condition: Condition) -> list[float]:
    if condition["effect"] is None:
        return []
    return [condition["effect"], *(condition["interval"] or ())]


def _multiple_of(condition: Condition) -> float:
    """The smallest effect's size; where that is zero, half of the farthest end, so that something can be drawn."""
    farthest = max((abs(end) for end in _extent(condition)), default=0.0)
    return abs(condition["smallest_effect"]) or farthest / 2 or 1.0
