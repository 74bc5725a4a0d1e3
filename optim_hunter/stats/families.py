"""Adjustment for looking at several claims: of one family, or of a whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache


def holm(p_values: Mapping[str, float], size: int) -> dict[str, float]:
    """Holm's step-down adjustment over a family of `size` claims (statsmodels).

    Members that were not run count with p = 1, so that a selection never makes a verdict easier.
    """
    padding = [1.0] * max(0, size - len(p_values))
    ordered = tuple(sorted([*p_values.values(), *padding]))
    adjusted = dict(zip(ordered, _adjusted(ordered), strict=True))
    return {name: adjusted[p] for name, p in p_values.items()}


def false_discovery_rates(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's q of each verdict of a run (SciPy): decides nothing, and is shown beside Holm's p.

    Calling all with q ≤ 0.05 lets 5 % of these calls be wrong on average. Claims that share their seeds depend on each
    other; the rate holds where they do so positively.
    """
    from scipy.stats import false_discovery_control

    return [float(q) for q in false_discovery_control(p_values)] if p_values else []


@lru_cache(1024)
def _adjusted(p_values: tuple[float, ...]) -> tuple[float, ...]:
    """Adjusted once for all members of a family: statsmodels collects all garbage at each call, which takes long."""
    if len(p_values) == 1:
        return p_values
    from statsmodels.stats.multitest import multipletests

    return tuple(float(p) for p in multipletests(p_values, method="holm")[1])
