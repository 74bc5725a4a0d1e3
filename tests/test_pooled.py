"""Statistics over seeds: the jackknife's pseudo-values, what they add up to, and the verdicts that rest on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from optim_hunter.claim import Claim, Condition, Protocol, UserError
from optim_hunter.stats.conditions import mean_test
from optim_hunter.stats.decision import SeedNumber, examine
from optim_hunter.stats.pooled import (
    STATISTICS,
    UndefinedStatisticError,
    check_statistics,
    low_minus_high,
    pseudo_values,
    split_share,
    steadiness,
)

NUMBERS = arrays(float, st.integers(12, 40), elements=st.floats(-100, 100, width=32))
SEED = st.integers(0, 2**32 - 1)


def a_claim(statistic="low minus high", **changes):
    settings = {
        "id": "test/claim", "statement": "", "source": "", "family": "test",
        "conditions": (Condition("a", "", "", 0.0, statistic),),
        "protocols": (Protocol("corrected", None, ()),),
    }  # fmt: skip
    return Claim(**settings | changes)


def raw_numbers(name, n, generator):
    """Numbers that a statistic of the table takes, of three candidates or columns."""
    if name == "low minus high":
        groups = np.repeat((np.arange(n) % 2)[:, np.newaxis], 3, axis=1)
        return np.stack([groups, generator.normal(size=(n, 3))], axis=1)
    if name == "ratio of sums":
        return np.stack([generator.normal(size=(n, 3)), generator.integers(1, 30, (n, 3))], axis=1)
    return generator.normal(1.0, 1.0, (n, 2, 3) if name == "steadiness lead" else (n, 4))


@pytest.mark.parametrize("name", STATISTICS)
@given(seed=SEED, n=st.integers(12, 40))
def test_pseudo_values_follow_their_definition_and_know_no_order_of_seeds(name, seed, n):
    generator = np.random.default_rng(seed)
    raw, order = raw_numbers(name, n, generator), generator.permutation(n)
    found = pseudo_values(name, raw)
    whole, last = STATISTICS[name](raw), STATISTICS[name](raw[:-1])
    assert found.shape == (n, 3)
    np.testing.assert_allclose(found[-1], n * whole - (n - 1) * last)
    np.testing.assert_allclose(pseudo_values(name, raw[order]), found[order], atol=1e-9)


@given(NUMBERS, SEED)
def test_the_pseudo_values_of_a_difference_of_means_average_to_it(numbers, seed):
    groups = np.random.default_rng(seed).permutation(np.arange(len(numbers)) % 2)
    found = pseudo_values("low minus high", np.stack([groups, numbers], axis=1))
    assert found.mean() == pytest.approx(numbers[groups == 1].mean() - numbers[groups == 0].mean(), abs=1e-6)


def test_the_t_test_of_pseudo_values_is_nearly_welchs_test():
    """For two groups the spread is Welch's but for n − 1 in the place of n, and with other degrees of freedom."""
    generator = np.random.default_rng(0)
    groups, numbers = np.repeat([1, 0], 40), np.concatenate([generator.normal(1, 1, 40), generator.normal(0, 2, 40)])
    found = stats.ttest_1samp(
        pseudo_values("low minus high", np.stack([groups, numbers], axis=1)), 0.5, alternative="greater"
    )
    welch = stats.ttest_ind(numbers[:40] - 0.5, numbers[40:], equal_var=False, alternative="greater")
    assert found.pvalue == pytest.approx(welch.pvalue, rel=0.05)


@given(NUMBERS)
def test_a_ratio_of_sums_is_the_mean_of_seeds_that_count_alike(numbers):
    found = pseudo_values("ratio of sums", np.stack([7 * numbers, np.full(len(numbers), 7.0)], axis=1))
    np.testing.assert_allclose(found, numbers, atol=1e-6)


@given(SEED)
def test_a_ratio_of_sums_is_the_mean_over_all_windows(seed):
    generator = np.random.default_rng(seed)
    windows = [generator.normal(size=size) for size in generator.integers(1, 20, 15)]
    raw = np.array([[part.sum(), len(part)] for part in windows])
    assert STATISTICS["ratio of sums"](raw) == pytest.approx(np.concatenate(windows).mean(), abs=1e-9)


@given(NUMBERS, st.floats(0.1, 10), st.floats(-5, 5))
def test_a_share_of_variance_lies_between_a_half_split_and_one_and_knows_no_scale(numbers, scale, shift):
    numbers = numbers + np.linspace(0, 1, len(numbers))
    share = split_share(numbers)
    assert 0 < share <= 1 + 1e-9
    assert split_share(scale * numbers + shift) == pytest.approx(share, rel=1e-6)


def test_known_shares_of_the_best_split():
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    assert split_share(stats.norm.ppf(quantiles)) == pytest.approx(2 / np.pi, abs=1e-3)
    assert split_share(quantiles) == pytest.approx(0.75, abs=1e-3)
    assert split_share(np.repeat([1.0, 5.0], [3, 30])) == pytest.approx(1.0)


def test_the_best_split_is_that_of_every_threshold_tried():
    numbers = np.random.default_rng(3).lognormal(size=(25, 2))
    for column, share in zip(numbers.T, split_share(numbers), strict=True):
        tried = []
        for threshold in column:
            low, high = column[column <= threshold], column[column > threshold]
            if len(high):
                within = low.var() * len(low) + high.var() * len(high)
                tried.append(1 - within / (len(column) * column.var()))
        assert share == pytest.approx(max(tried))


@given(NUMBERS, st.floats(0.1, 10))
def test_steadiness_is_one_over_one_plus_the_squared_coefficient_of_variation(numbers, scale):
    numbers = numbers + 200
    assert steadiness(scale * numbers) == pytest.approx(1 / (1 + stats.variation(numbers) ** 2))


def test_a_rival_that_is_always_0_has_no_steadiness_and_does_not_stop_the_others():
    raw = np.stack([np.ones((24, 2)), np.tile([0.0, 1.0], (24, 1))], axis=1)
    np.testing.assert_allclose(pseudo_values("steadiness lead", raw), np.tile([1.0, 0.0], (24, 1)), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        (
            "low minus high",
            [[1.0, 0.3]] * 20 + [[0.0, 0.3]] * 4,
            "has fewer than 5",
        ),
        ("low minus high", [[0.5, 0.3]] * 24, "neither 1"),
        ("ratio of sums", [[0.5, 0.0]] * 24, "sums to 0"),
        ("split share lead", [[1.0, 2.0]] * 24, "nothing to split"),
        ("split share lead", [[1.0, 2.0]], "at least two"),
    ],
)
def test_a_statistic_that_cannot_be_computed_says_why(name, raw, reason):
    with pytest.raises(UndefinedStatisticError, match=reason):
        pseudo_values(name, np.array(raw))


def test_a_group_of_four_is_enough_for_the_statistic_that_leaves_one_seed_out():
    values = np.stack([np.repeat([1, 0], [4, 20]), np.arange(24.0)], axis=1)
    assert low_minus_high(values) == pytest.approx(1.5 - 13.5)


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (a_claim("mean of means"), "no statistic 'mean of means': choose one of low"),
        (a_claim(bootstrap=True), "corpus"),
    ],
)
def test_a_wrong_statistic_is_refused(claim, reason):
    with pytest.raises(UserError, match=reason):
        check_statistics(claim)


def seeds_of(raw, missing=0):
    numbers = [SeedNumber(seed, {"a": row}) for seed, row in enumerate(raw)]
    return numbers + [SeedNumber(len(raw) + seed, None, "no number", 1.0) for seed in range(missing)]


def test_a_claim_is_tested_on_its_pseudo_values_and_shows_them():
    raw = raw_numbers("low minus high", 30, np.random.default_rng(1))[:, :, 0]
    tested = examine(a_claim(), seeds_of(raw), None, None)
    np.testing.assert_allclose(tested.values["a"], pseudo_values("low minus high", raw))
    assert list(tested.by_seed["a"].values()) == pytest.approx(tested.values["a"])
    assert tested.pooled["a"] == pytest.approx(low_minus_high(raw))
    assert tested.conditions["a"].effect == pytest.approx(tested.values["a"].mean())


def test_a_statistic_and_its_value_without_bias_must_both_lie_above():
    """The best split of so few errors takes too large a share: the jackknife moves it, and the verdict needs both."""
    raw = np.random.default_rng(7).lognormal(size=(30, 2))
    tested = examine(a_claim("split share lead"), seeds_of(raw), None, None)
    pseudo, whole = pseudo_values("split share lead", raw)[:, 0], float(STATISTICS["split share lead"](raw)[0])
    assert abs(whole - pseudo.mean()) > 0.01
    alone = [mean_test(values, 0.0, 0.05) for values in (pseudo, pseudo - pseudo.mean() + whole)]
    found = tested.conditions["a"]
    assert found.p == pytest.approx(max(one.p for one in alone))
    assert found.p_refuted == pytest.approx(max(one.p_refuted for one in alone))
    assert found.interval == pytest.approx(
        (min(one.interval[0] for one in alone), max(one.interval[1] for one in alone))
    )
    assert tested.losses == tested.combined


def test_of_several_columns_the_one_nearest_to_failing_is_shown():
    generator = np.random.default_rng(2)
    raw = generator.normal(size=(60, 2, 3))
    raw[:, 0] += [4, 4, 1]
    tested = examine(a_claim("steadiness lead"), seeds_of(raw), None, None)
    assert tested.columns["a"] == 2
    assert tested.pooled["a"] == pytest.approx(steadiness(raw[:, 0, 2]) - steadiness(raw[:, 1, 2]))


def test_missing_seeds_are_scored_as_the_worst_pseudo_value_or_worse():
    raw = raw_numbers("low minus high", 40, np.random.default_rng(3))[:, :, 0]
    raw[:, 1] += raw[:, 0]
    tested = examine(a_claim(), seeds_of(raw, missing=4), None, None)
    assert (tested.combined.n, tested.losses.n, tested.missing) == (40, 44, 4)
    assert tested.losses.p > 2 * tested.combined.p


def test_a_search_takes_pseudo_values_within_each_half():
    raw = raw_numbers("low minus high", 80, np.random.default_rng(4))
    raw[:, 0] = (np.arange(80) // 2 % 2)[:, np.newaxis]  # both halves hold both groups
    raw[:, 1, 1] += 2 * raw[:, 0, 1]
    tested = examine(a_claim(search=True), seeds_of(raw), None, None)
    assert tested.candidate == (1,)
    np.testing.assert_allclose(tested.values["a"], pseudo_values("low minus high", raw[1::2])[:, 1])
    finders = [tested.by_seed["a"][seed] for seed in range(0, 80, 2)]
    np.testing.assert_allclose(finders, pseudo_values("low minus high", raw[::2])[:, 1])


def test_a_rival_is_found_by_its_mean_on_seeds_that_do_not_count():
    generator = np.random.default_rng(5)
    errors = generator.exponential([3.0, 1.0, 2.0], (60, 3))
    errors[1::2] = errors[1::2][:, ::-1]  # on the confirming half another would be the best
    conditions = {"conditions": (Condition("wins", "", "", 0.0),), "shown": (Condition("error", "", "", 0.0),)}
    claim = a_claim(search=True, found_by="error", **conditions)
    numbers = [SeedNumber(seed, {"wins": 2.0 - row, "error": row}) for seed, row in enumerate(errors)]
    tested = examine(claim, numbers, None, None)
    assert tested.candidate == (1,)
    assert tested.combined.n == 30


def null_draw(name, n, generator):
    """Numbers whose statistic is 0 in the population, for each statistic of the table."""
    if name == "low minus high":
        return np.stack([generator.random(n) < 0.4, generator.normal(size=n)], axis=1)
    if name == "ratio of sums":
        windows = generator.poisson(24, n)
        return np.stack([np.sqrt(windows) * generator.normal(size=n), windows], axis=1)
    if name == "steadiness lead":
        return generator.normal(1.0, 1.0, (n, 2))
    return np.log10(np.abs(generator.normal(0, 200, (n, 2))))


@pytest.mark.slow
@pytest.mark.parametrize("name", STATISTICS)
def test_false_verdicts_of_a_statistic_over_seeds_are_no_more_than_alpha(name):
    """At the smallest effect, either way, with 100 seeds; docs/statistics.md has the measured rates."""
    generator = np.random.default_rng(6)
    results = []
    for _ in range(1000):
        raw = null_draw(name, 100, generator)
        pseudo, whole = pseudo_values(name, raw).ravel(), STATISTICS[name](raw).item()
        results.append(mean_test(pseudo, 0.0, 0.05, whole - pseudo.mean()))
    for p_values in ([one.p for one in results], [one.p_refuted for one in results]):
        false = sum(p <= 0.05 for p in p_values)
        assert stats.binomtest(false, len(results), 0.05, alternative="greater").pvalue > 0.001
