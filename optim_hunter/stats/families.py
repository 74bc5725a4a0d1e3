"""Adjustment for looking at several claims of one family."""

from __future__ import annotations

from collections.abc import Mapping


def holm(p_values: Mapping[str, float], size: int) -> dict[str, float]:
    """Holm's step-down adjustment over a family of `size` claims (statsmodels).

    Members that were not run count with p = 1, so that a selection never makes a verdict easier.
    """
    if size == 1 and len(p_values) == 1:
        return dict(p_values)  # there is nothing to adjust, and statsmodels collects all garbage at each call
    from statsmodels.stats.multitest import multipletests

    padding = [1.0] * max(0, size - len(p_values))
    adjusted = multipletests([*p_values.values(), *padding], method="holm")[1]
    return dict(zip(p_values, (float(p) for p in adjusted), strict=False))
