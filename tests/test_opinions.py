"""What stands beside a verdict and decides nothing: other tests of the same numbers, and false discovery rates."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from optim_hunter.stats.conditions import mean_test
from optim_hunter.stats.families import false_discovery_rates
from optim_hunter.stats.opinions import FLIPS, second_opinions

VALUES = arrays(float, st.integers(2, 30), elements=st.floats(-100, 100, width=32))


@settings(max_examples=30)
@given(VALUES, st.floats(-100, 100))
def test_opinions_are_probabilities_and_mirror_images(values, smallest):
    found, mirrored = second_opinions(values, smallest, 0.05), second_opinions(-values, -smallest, 0.05)
    if found is None:
        assert np.ptp(values) <= 1e-12 * np.abs(values).max()
        return
    assert found.sign_flip == pytest.approx(mirrored.sign_flip[::-1])
    assert found.wilcoxon == pytest.approx(mirrored.wilcoxon[::-1])
    assert all(0 < p <= 1 for p in (*found.sign_flip, *found.wilcoxon))


def test_few_sign_flips_are_all_gone_through():
    values = np.array([1.0, 2.5, -0.5, 3.0, 0.7])
    means = [np.mean(values * signs) for signs in itertools.product((1, -1), repeat=5)]
    assert second_opinions(values, 0.0, 0.05).sign_flip[0] == pytest.approx(
        np.mean(np.array(means) >= values.mean() - 1e-12)
    )


def test_many_sign_flips_are_counted_with_the_one_that_was_seen():
    assert second_opinions(np.linspace(1, 2, 40), 0.0, 0.05).sign_flip[0] == pytest.approx(1 / (FLIPS + 1))


@pytest.mark.parametrize("count", [2, 9, 11, 40])
def test_one_call_flips_signs_as_two_calls_of_scipy_would(count):
    values = np.random.default_rng(count).normal(0.2, 1, count)
    apart = [
        stats.permutation_test(
            (way,), np.mean, permutation_type="samples", alternative="greater", n_resamples=FLIPS,
            rng=np.random.default_rng(0),
        ).pvalue
        for way in (values, -values)
    ]  # fmt: skip
    assert list(second_opinions(values, 0.0, 0.05).sign_flip) == apart


def test_opinions_agree_with_scipy_and_with_the_deciding_test_on_plain_numbers():
    values = np.random.default_rng(0).normal(0.4, 1.0, 60)
    found, result = second_opinions(values, 0.1, 0.05), mean_test(values, 0.1, 0.05)
    assert found.wilcoxon[0] == stats.wilcoxon(values - 0.1, alternative="greater").pvalue
    assert found.sign_flip == pytest.approx((result.p, result.p_refuted), abs=0.02)
    assert found.bca == pytest.approx(result.interval, abs=0.03)
    assert not list(found.parting(result, 0.1, 0.05))


def test_a_test_that_calls_another_side_is_named():
    """One far number hides the mean from the deciding test, not the ranks."""
    values = np.append(np.linspace(0.5, 1.5, 30), -60.0)
    found = second_opinions(values, 0.0, 0.05)
    assert "Wilcoxon: above" in list(found.parting(mean_test(values, 0.0, 0.05), 0.0, 0.05))


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0, 2.0]])
def test_numbers_without_spread_have_no_second_opinion(values):
    assert second_opinions(np.array(values), 0.0, 0.05) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_false_discovery_rates_follow_their_definition(p_values):
    rates = false_discovery_rates(p_values)
    ordered = np.sort(p_values)
    for p, rate in zip(p_values, rates, strict=True):
        later = [len(p_values) * other / (place + 1) for place, other in enumerate(ordered) if other >= p]
        assert rate == pytest.approx(min(1.0, *later, 1.0))


def test_no_verdict_has_no_false_discovery_rate():
    assert false_discovery_rates([]) == []
