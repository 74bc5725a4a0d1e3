"""Means over windows with intervals over stories."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import fixtures.imported  # noqa: F401
from optim_hunter.stories.held_out_scores import mean_by_story


@given(st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=4), min_size=2, max_size=8), st.integers(2, 4))
def test_windows_of_a_story_are_no_independent_evidence(stories, times):
    """The mean is that of the windows; to say each window several times makes no interval narrower."""

    def of(copies):
        values = np.array([value for story in stories for value in story * copies])
        return mean_by_story(values, np.repeat(np.arange(len(stories)), [len(story) * copies for story in stories]))

    once, repeated = of(1), of(times)
    assert once.mean == pytest.approx(np.mean([value for story in stories for value in story]))
    assert (repeated.low, repeated.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert once.low - 1e-9 <= once.mean <= once.high + 1e-9  # as far as sums are rounded


def test_a_window_a_story_is_the_interval_of_student():
    values = np.random.default_rng(0).normal(size=30)
    found = mean_by_story(values, np.arange(30)[::-1])
    known = stats.t.interval(0.9, 29, values.mean(), values.std(ddof=1) / math.sqrt(30))
    assert (found.low, found.high) == pytest.approx(known)
