"""Intervals of means over seeds: against SciPy, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from optim_hunter.stats.intervals import bootstrap, correlation, student

SEEDS = arrays.arrays(float, st.integers(2, 30), elements=st.floats(-1e6, 1e6, width=32), unique=True)


@settings(max_examples=50, deadline=None)
@given(values=SEEDS)
def test_intervals_hold_their_means_and_students_is_scipys(values: np.ndarray) -> None:
    from scipy import stats

    with_gap = student(np.append(values, np.nan))
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert [with_gap.low, with_gap.high] == pytest.approx([expected.low, expected.high], rel=1e-6, abs=1e-6)
    drawn = bootstrap(values)
    assert drawn.low <= drawn.mean <= drawn.high
    assert drawn.n == with_gap.n == len(values)


def test_too_few_or_constant_seeds_have_no_interval() -> None:
    assert np.isnan(student(np.array([1.0])).low)
    assert bootstrap(np.array([2.0, 2.0, 2.0])).low == 2.0
    assert np.isnan(correlation(np.array([1.0, 2.0, 3.0]), np.ones(3)).mean)
    assert np.isnan(correlation(np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])).low)
    assert correlation(np.arange(9.0), np.append(np.arange(8.0), np.nan)).n == 8
