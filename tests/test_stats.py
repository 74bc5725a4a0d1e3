"""Verdicts from numbers: properties, references and known cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from optim_hunter.claim import Claim, Condition, Protocol, Verdict
from optim_hunter.stats.conditions import binomial_test, bootstrap_test, mean_test, seeds_test, without_bias
from optim_hunter.stats.decision import SeedNumber, examine, mean_of_queries
from optim_hunter.stats.families import holm
from optim_hunter.stats.power import seeds_to_settle
from optim_hunter.stats.search import find_candidate, halves
from optim_hunter.stats.skewness import critical_t, p_above, possible_skewnesses
from optim_hunter.stats.verdict import combine, too_many_missing, verdict_of, with_losses

VALUES = arrays(float, st.integers(2, 40), elements=st.floats(-1e3, 1e3, width=32))
P = st.floats(0, 1)


def a_claim(**changes):
    settings = {
        "id": "test/claim", "statement": "", "source": "", "family": "test",
        "conditions": (Condition("a", "", "", 0.0), Condition("b", "", "", 0.0)),
        "protocols": (Protocol("corrected", None, ()),),
    }  # fmt: skip
    return Claim(**settings | changes)


@given(VALUES, st.floats(-1e3, 1e3), st.floats(0.01, 0.2))
def test_the_interval_excludes_the_smallest_effect_exactly_when_a_test_rejects(values, smallest, alpha):
    result = mean_test(values, smallest, alpha)
    low, high = result.interval
    if min(abs(low - smallest), abs(high - smallest)) > 1e-6 * (1 + abs(smallest)):
        assert (result.p <= alpha) == (low > smallest)
        assert (result.p_refuted <= alpha) == (high < smallest)


@given(VALUES, st.floats(-1e3, 1e3))
def test_the_two_one_sided_tests_are_mirror_images(values, smallest):
    result, mirrored = mean_test(values, smallest, 0.05), mean_test(-values, -smallest, 0.05)
    assert result.p == pytest.approx(mirrored.p_refuted)
    assert result.effect == pytest.approx(-mirrored.effect)


def halls_p(t, skewness, n):
    """One-sided p of Hall's transformed t, in its form as a cube."""
    delta = skewness / np.sqrt(n)
    return stats.t.sf(((1 + delta * t / 3) ** 3 - 1) / delta + delta / 6, n - 1)


def test_the_test_of_a_mean_asks_three_t_tests_and_takes_the_largest_p():
    values = np.array([1.0, 2.0, 4.0, 5.5, 2.5, 9.0])
    t = (values.mean() - 1) / (values.std(ddof=1) / np.sqrt(6))
    skewness, error = stats.skew(values, bias=False), np.sqrt(6 * 6 * 5 / (4 * 7 * 9))
    three = [stats.t.sf(t, 5), halls_p(t, skewness - error, 6), halls_p(t, skewness + error, 6)]
    found = mean_test(values, 1.0, 0.05)
    assert found.p == pytest.approx(max(three))
    three = [stats.t.cdf(t, 5), *(1 - halls_p(t, skewness + sign * error, 6) for sign in (-1, 1))]
    assert found.p_refuted == pytest.approx(max(three))
    assert {type(number) for number in (found.p, found.p_refuted, *found.interval)} == {float}  # what xdist can send


def test_two_numbers_show_no_skewness_and_are_left_to_student():
    values = np.array([1.0, 2.0])
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert mean_test(values, 0.0, 0.05).interval == pytest.approx((interval.low, interval.high))


@given(VALUES, st.floats(-1e3, 1e3), st.floats(-10, 10))
def test_skewness_and_bias_make_no_verdict_easier_than_students(values, smallest, bias):
    if np.std(values) <= 1e-9 * np.abs(values).max():
        return
    found, plain = mean_test(values, smallest, 0.05, bias), stats.ttest_1samp(values, smallest)
    assert found.p >= (plain.pvalue / 2 if plain.statistic > 0 else 1 - plain.pvalue / 2) - 1e-9
    low, high = found.interval
    assert low <= found.effect <= high
    assert low <= found.effect + bias <= high


@pytest.mark.parametrize("n", [24, 50])
def test_skewed_numbers_are_called_no_more_often_than_alpha(n):
    """Exponential losses at their mean, of which Student's t test supports more than twice α at 24 seeds."""
    draws = 1 - np.random.default_rng(n).exponential(1, (3000, n))
    called = sum(mean_test(values, 0.0, 0.05).p <= 0.05 for values in draws)
    assert stats.binomtest(called, len(draws), 0.05, alternative="greater").pvalue > 0.01
    students = np.mean(stats.ttest_1samp(draws, 0.0, axis=1, alternative="greater").pvalue <= 0.05)
    assert students > 0.07


@given(st.floats(-4, 4), st.integers(3, 200), st.floats(0.001, 0.2))
def test_the_critical_t_is_where_p_is_alpha(shown, n, alpha):
    skewnesses = possible_skewnesses(shown, n)
    critical = critical_t(alpha, skewnesses, n)
    assert p_above(critical, skewnesses, n) == pytest.approx(alpha, rel=1e-6)


@given(st.integers(1, 49), st.floats(-0.45, 0.45))
def test_wins_and_losses_are_counted_exactly(wins, smallest):
    values = np.repeat([0.5, -0.5], [wins, 50 - wins])
    result = seeds_test(values, smallest, 0.05)
    assert result == binomial_test(values, smallest, 0.05)
    assert result.p == pytest.approx(stats.binom.sf(wins - 1, 50, 0.5 + smallest))
    low, high = result.interval
    if min(abs(low - smallest), abs(high - smallest)) > 1e-6:
        assert (result.p <= 0.05) == (low > smallest)
        assert (result.p_refuted <= 0.05) == (high < smallest)


@pytest.mark.parametrize("n", [20, 24, 50, 100])
def test_even_wins_are_called_no_more_often_than_alpha(n):
    """Over all counts that there are, where Student's t test is wrong in 5.9 % of the cases at 50 seeds."""
    called = [seeds_test(np.repeat([0.5, -0.5], [k, n - k]), 0.0, 0.05).p <= 0.05 for k in range(1, n)]
    assert stats.binom.pmf(np.arange(1, n)[called], n, 0.5).sum() <= 0.05


@pytest.mark.parametrize("values", [[0.5, 0.0, -0.5] * 9, [1.0, 2.0] * 9, [-0.5, 0.5]])
def test_other_numbers_are_left_to_the_test_of_a_mean(values):
    assert seeds_test(np.array(values), 0.0, 0.05) == mean_test(np.array(values), 0.0, 0.05)


def test_one_number_has_no_interval_and_decides_nothing():
    result = mean_test(np.array([5.0]), 0.0, 0.05)
    assert result.interval is None
    assert (result.p, result.p_refuted) == (1.0, 1.0)


@given(st.integers(20, 200), st.integers(0, 200), st.floats(-3, 3))
def test_bootstrap_p_counts_the_resamples_beyond_once_their_bias_is_off(n, above, bias):
    above = min(above, n)
    values = np.concatenate([np.ones(above), np.zeros(n - above)])
    result = bootstrap_test(without_bias(values + bias, above / n), above / n, 0.5, 0.05)
    assert result.p == pytest.approx((1 + n - above) / (n + 1))
    assert 0 < result.p <= 1
    assert 0 < result.p_refuted <= 1


@given(st.integers(0, 10_000), st.floats(-5, 5))
def test_the_bootstrap_interval_holds_its_estimate_whatever_the_bias(seed, bias):
    resamples = np.random.default_rng(seed).normal(1.0 + bias, 0.3, 100)
    result = bootstrap_test(without_bias(resamples, 1.0), 1.0, 0.0, 0.05)
    assert result.interval[0] < result.effect < result.interval[1]


@given(st.integers(20, 150), st.integers(0, 10_000), st.floats(-1, 1), st.sampled_from([0.05, 0.025, 0.1]))
def test_the_bootstrap_interval_excludes_what_the_test_rejects_and_nothing_else(n, seed, smallest, alpha):
    resamples = np.random.default_rng(seed).normal(0, 0.5, n).round(1)  # with ties, also with the smallest effect
    result = bootstrap_test(resamples, float(resamples.mean()), round(smallest, 1), alpha)
    if result.interval is None:
        assert 1 / (n + 1) > alpha
        return
    assert (result.p <= alpha) == (round(smallest, 1) < result.interval[0])
    assert (result.p_refuted <= alpha) == (round(smallest, 1) > result.interval[1])


def test_the_ends_of_100_resamples_are_the_5th_from_below_and_above():
    result = bootstrap_test(np.random.default_rng(0).permutation(100.0 + np.arange(1, 101)), 150.5, 0.0, 0.05)
    assert result.interval == (105.0, 196.0)


def test_numbers_alike_but_for_rounding_have_no_spread():
    result = mean_test(np.array([0.3] * 29 + [0.1 + 0.2]), 0.0, 0.05)
    assert (result.p, result.p_refuted) == (0.0, 1.0)


def test_a_condition_with_several_numbers_holds_for_each_and_is_refuted_by_one():
    generator = np.random.default_rng(5)
    claim = a_claim(conditions=(Condition("a", "", "", 0.0),))

    def verdict(means):
        rows = generator.normal(means, 1.0, (60, len(means)))
        tested = examine(claim, [SeedNumber(seed, {"a": row}) for seed, row in enumerate(rows)], None, None)
        return verdict_of(tested.combined.p, tested.combined.p_refuted, 60, 0.05), tested.columns["a"]

    assert verdict([1.0, 2.0, 0.7])[0] is Verdict.SUPPORTED
    assert verdict([1.0, -0.8, 2.0]) == (Verdict.REFUTED, 1)
    assert verdict([1.0, 2.0, 0.0]) == (Verdict.INCONCLUSIVE, 2)


def test_the_best_of_many_rivals_of_a_seed_refutes_nothing():
    """Every rival lies 0.07 below on average, but the best of 21 noisy ones of a seed does not."""
    generator = np.random.default_rng(6)
    claim = a_claim(conditions=(Condition("a", "", "", 0.05),))
    leads = generator.normal(0.07, 0.05, (100, 21))
    assert leads.min(axis=1).mean() < 0.05
    tested = examine(claim, [SeedNumber(seed, {"a": row}) for seed, row in enumerate(leads)], None, None)
    assert verdict_of(tested.combined.p, tested.combined.p_refuted, 100, 0.05) is not Verdict.REFUTED


def test_bootstrap_is_never_divided_by_the_root_of_its_seeds():
    generator = np.random.default_rng(0)
    few, many = (bootstrap_test(generator.normal(1, 1, n), 1.0, 0.0, 0.05) for n in (200, 20_000))
    assert np.ptp(few.interval) == pytest.approx(np.ptp(many.interval), rel=0.2)


@settings(max_examples=8)  # statsmodels collects garbage at every call
@given(st.dictionaries(st.sampled_from("abcdef"), P, min_size=1), st.integers(1, 8))
def test_holm_never_helps_and_a_selection_never_helps_more(p_values, extra):
    adjusted = holm(p_values, len(p_values) + extra)
    assert all(adjusted[name] >= p_values[name] for name in p_values)
    alone = holm(dict([next(iter(p_values.items()))]), len(p_values) + extra)
    name = next(iter(p_values))
    assert alone[name] >= adjusted[name] - 1e-12


def test_queries_of_a_seed_are_one_number_and_a_lost_one_counts_as_the_worst_query():
    whole = [mean_of_queries(seed, [{"a": 1.0 + seed}, {"a": 9.0 + seed}], []) for seed in range(24)]
    lossy = mean_of_queries(24, [{"a": 5.0}], ["no number"])
    assert (whole[3].values, whole[3].lost) == ({"a": 8.0}, 0.0)
    assert (lossy.values, lossy.lost, lossy.missing) == ({"a": 5.0}, 0.5, "no number")
    assert mean_of_queries(25, [], ["this", "that"]) == SeedNumber(25, None, "this", 1.0)
    tested = examine(a_claim(conditions=(Condition("a", "", "", 0.0),)), [*whole, lossy], None, None)
    assert tested.combined.n == 25
    assert tested.losses.p > tested.combined.p
    means, lowest, highest = np.array([8.0, 5.0]), np.array([4.0, 5.0]), np.array([12.0, 5.0])
    scored = with_losses(means, 0, 0.0, np.array([0.0, 0.5]), lowest, highest)
    assert scored == pytest.approx([8.0, (5.0 - 12.0) / 2])  # a loss lies as far below 0 as the best query above it


def test_holm_known_case():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}, 3) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


@given(P, P, st.integers(0, 200))
def test_verdicts_follow_the_p_values(p, p_refuted, n):
    verdict = verdict_of(p, p_refuted, n, 0.05)
    assert (verdict is Verdict.SUPPORTED) == (n >= 20 and p <= 0.05)
    assert verdict is not Verdict.REFUTED or p_refuted <= 0.05


def test_a_claim_holds_where_all_conditions_hold_and_is_refuted_where_one_is():
    generator = np.random.default_rng(1)
    high, low = generator.normal(2, 1, 40), generator.normal(-2, 1, 40)
    tests = {"a": mean_test(high, 0.0, 0.05), "b": mean_test(low, 0.0, 0.05)}
    both, one = combine({"a": tests["a"]}), combine(tests)
    assert verdict_of(both.p, both.p_refuted, both.n, 0.05) is Verdict.SUPPORTED
    assert verdict_of(one.p, one.p_refuted, one.n, 0.05) is Verdict.REFUTED
    assert one.decisive == "b"


@given(VALUES, st.integers(1, 10), st.floats(-100, 100))
def test_a_missing_seed_is_scored_no_better_than_the_worst(values, missing, smallest):
    scored = with_losses(values, missing, smallest)
    assert len(scored) == len(values) + missing
    assert scored[-1] <= values.min()
    assert scored[-1] - smallest <= smallest - values.max() + 1e-9


def test_more_than_a_tenth_missing_is_too_many():
    assert not too_many_missing(10, 100)
    assert too_many_missing(11, 100)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("numbers", ["normal", "gamma"])
def test_seeds_to_settle_agrees_with_simulation(numbers, sign):
    generator = np.random.default_rng(2)

    def draw(size):
        return 0.4 + (generator.normal(0, 1, size) if numbers == "normal" else 2 - generator.gamma(4, 0.5, size))

    needed = seeds_to_settle(sign * draw(20_000), 0.0, 0.05)
    power = np.mean([mean_test(values, 0.0, 0.05).p <= 0.05 for values in draw((1500, needed))])
    assert power == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0, 0.0], [3.0], [1e-9, 1.0, -1.0]])
def test_no_number_of_seeds_is_promised_where_none_is_known(values):
    assert seeds_to_settle(np.array(values), 0.0, 0.05) is None


@given(st.lists(st.integers(0, 1000), min_size=2, unique=True))
def test_halves_share_no_seed_and_lose_none(seeds):
    finding, confirming = halves(seeds)
    assert not set(finding) & set(confirming)
    assert sorted(finding + confirming) == sorted(seeds)
    assert 0 <= len(finding) - len(confirming) <= 1


def test_the_search_finds_the_candidate_that_meets_both_conditions():
    generator = np.random.default_rng(3)
    first, second = generator.normal(0, 1, (2, 30, 4, 5))
    first[:, 2, 3] += 3
    second[:, 2, 3] += 3
    first[:, 0, 0] += 9
    assert find_candidate({"a": first, "b": second}, {"a": 1.0, "b": 1.0}) == (2, 3)


def test_a_search_is_paid_for_by_confirming_on_other_seeds():
    generator = np.random.default_rng(4)
    refuted = 0
    for _ in range(40):
        numbers = [SeedNumber(seed, {name: generator.normal(0, 1, (6, 6)) for name in "ab"}) for seed in range(60)]
        tested = examine(a_claim(search=True), numbers, None, None)
        assert tested.combined.n == 30
        refuted += tested.combined.p <= 0.05
    assert refuted <= 6


def test_a_named_candidate_uses_all_seeds():
    numbers = [SeedNumber(seed, {name: np.full((2, 2), float(seed)) for name in "ab"}) for seed in range(30)]
    tested = examine(a_claim(search=True), numbers, None, (1, 1))
    assert tested.combined.n == 30
    assert set(tested.roles.values()) == {"confirm"}


def test_missing_seeds_are_counted_and_scored_as_losses():
    numbers = [SeedNumber(seed, {"a": 1.0 + seed / 100, "b": 2.0 + seed / 100}) for seed in range(27)]
    numbers += [SeedNumber(seed, None, "no number") for seed in range(27, 30)]
    tested = examine(a_claim(), numbers, None, None)
    assert tested.missing == 3
    assert tested.combined.n == 27
    assert tested.losses.n == 30
    assert tested.losses.p > tested.combined.p


def test_no_number_at_all_gives_nothing_to_test():
    assert examine(a_claim(), [SeedNumber(0, None, "no number")], None, None) is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 100])
def test_false_verdicts_at_the_smallest_effect_are_no_more_than_alpha(n):
    generator = np.random.default_rng(n)
    claim = a_claim(conditions=(Condition("a", "", "", 1.0),))
    verdicts = []
    for _ in range(2000):
        numbers = [SeedNumber(seed, {"a": value}) for seed, value in enumerate(generator.normal(1.0, 3.0, n))]
        both = examine(claim, numbers, None, None).combined
        verdicts.append(verdict_of(both.p, both.p_refuted, both.n, claim.alpha))
    for false in (Verdict.SUPPORTED, Verdict.REFUTED):
        assert stats.binomtest(verdicts.count(false), len(verdicts), claim.alpha, alternative="greater").pvalue > 0.001
