"""What is measured of the linear model's weights and of last tokens, on hand-made observations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_claim_files import MEASURES

from optim_hunter.cases import Case
from optim_hunter.claim import NoValue, UserError, Verdict
from optim_hunter.evidence.pictures import figures_of
from optim_hunter.measures.last_tokens import share_followed, share_preceded
from optim_hunter.measures.weights import (
    LARGE,
    RARE,
    centred_profile,
    frequent_share,
    last_position_lead,
    position_spreads,
    spread_profile,
    weight_profile,
)
from optim_hunter.observe.last_tokens import LastTokenCounts
from optim_hunter.observe.stories import StoriesObservation, held_tokens
from optim_hunter.run import Decision, Run
from optim_hunter.subjects.subject import Options

GROUP = (" and", " but", " for", " so")
POSITIONS, TOKENS = 3, 5


def observed(weights, frequency, tokens=None):
    names = tokens or tuple("abcdefghij"[: weights.shape[1]])
    return StoriesObservation(weights, np.zeros(len(GROUP)), names, GROUP, None, 0.0, np.asarray(frequency, float))


# Whole numbers and four classes, so that means and differences are exact.
weights = arrays(float, (POSITIONS, TOKENS, len(GROUP)), elements=st.integers(-8, 8).map(float))
windows = st.integers(1, 30).flatmap(lambda n: arrays(int, (n, POSITIONS), elements=st.integers(0, TOKENS - 1)))
places = st.tuples(st.integers(0, POSITIONS - 1), st.integers(0, TOKENS - 1))


def frequency_of(tokens):
    return held_tokens(tokens, np.ones(len(tokens)), TOKENS) / len(tokens)


@given(weights, windows)
def test_spreads_are_those_over_the_windows(weights, tokens):
    spreads = position_spreads(observed(weights, frequency_of(tokens)))
    for position in range(POSITIONS):
        added = weights[position][tokens[:, position]]
        added = added - added.mean(1, keepdims=True)
        assert spreads[position] == pytest.approx(np.sqrt(np.mean(added.std(0) ** 2)), abs=1e-9)


@given(weights, windows, places, st.integers(-9, 9))
def test_a_shift_of_all_words_of_a_token_changes_nothing(weights, tokens, place, shift):
    shifted = weights.copy()
    shifted[place] += shift
    one, other = (observed(each, frequency_of(tokens)) for each in (weights, shifted))
    np.testing.assert_array_equal(position_spreads(one), position_spreads(other))
    centred = [each.weights - each.weights.mean(2, keepdims=True) for each in (one, other)]
    np.testing.assert_array_equal(*centred)
    if centred[0].any():
        assert frequent_share(one) == frequent_share(other)


@given(weights, windows, st.integers(0, POSITIONS - 1), st.integers(0, 3), st.integers(-9, 9))
def test_a_shift_of_a_word_at_all_tokens_of_a_position_moves_no_spread(weights, tokens, position, word, shift):
    shifted = weights.copy()
    shifted[position, :, word] += shift
    one, other = (observed(each, frequency_of(tokens)) for each in (weights, shifted))
    np.testing.assert_allclose(position_spreads(one), position_spreads(other), atol=1e-9)


@given(weights, windows, places, arrays(float, 4, elements=st.floats(-1000, 1000)))
def test_a_rare_token_moves_a_spread_by_no_more_than_its_share_allows(weights, tokens, place, change):
    changed = weights.copy()
    changed[place] += change
    frequency = frequency_of(tokens)
    share = frequency[place]
    one, other = (observed(each, frequency) for each in (weights, changed))
    limit = np.sqrt(share * (1 - share)) * np.abs(change).max() + 1e-6
    assert np.abs(position_spreads(one) - position_spreads(other)).max() <= limit
    assert abs(last_position_lead(one) - last_position_lead(other)) <= limit


def test_spreads_and_their_lead_by_hand():
    weights = np.zeros((3, 2, 4))
    weights[0, 1], weights[2, 1] = [100, -100, 0, 0], [4, -4, 0, 0]
    frequency = [[0.9999, 0.0001], [0.5, 0.5], [0.5, 0.5]]
    spreads = [np.sqrt(0.0001 * 0.9999 * 5000), 0, np.sqrt(2)]  # √(q(1 − q) · mean square over the four words)
    np.testing.assert_allclose(position_spreads(observed(weights, frequency)), spreads)
    assert last_position_lead(observed(weights, frequency)) == pytest.approx(spreads[2] - spreads[0])
    assert spread_profile(observed(weights, frequency)) == pytest.approx(
        dict(zip(("-3", "-2", "-1"), spreads, strict=True))
    )


def test_only_the_largest_weights_are_asked_whether_they_are_rare():
    rare, small = 30, 500
    weights = np.zeros((1, LARGE + small, 4))
    weights[0, :LARGE, 1] = 9 - np.arange(LARGE) / LARGE
    weights[0, LARGE:, 1] = 1
    frequency = np.full((1, LARGE + small), 0.9 * RARE)
    frequency[0, rare:LARGE] = RARE
    tokens = tuple(map(str, range(LARGE + small)))
    assert frequent_share(observed(weights, frequency, tokens)) == pytest.approx(1 - rare / LARGE)
    assert frequent_share(observed(-weights, frequency, tokens)) == pytest.approx(1 - rare / LARGE)


def test_tokens_without_a_weight_are_neither_large_nor_rare():
    weights = np.zeros((2, 4, 4))
    weights[0, 1, 2], weights[1, 3, 0] = 5, 1
    frequency = [[0.5, RARE / 2, 0.2, 0.3], [0.2, 0.2, 0.1, 0.5]]
    assert frequent_share(observed(weights, frequency)) == 0.5
    with pytest.raises(NoValue, match="every weight is zero"):
        frequent_share(observed(np.ones((2, 4, 4)), frequency))


def test_profiles_are_centred():
    weights = np.zeros((2, 3, 4))
    weights[1, 1] = [1, 5, 1, 1]
    observation = observed(weights, np.ones((2, 3)) / 3)
    assert weight_profile(observation, "b") == {" and": -1, " but": 3, " for": -1, " so": -1}
    assert centred_profile({" and": 1, " but": 5, " for": 1, " so": 1}) == weight_profile(observation, "b")


COUNTS = LastTokenCounts(np.array([[3, 9], [7, 1], [0, 0]]), (",", " was", " is"), (" but", " so"), None)


def test_shares_of_last_tokens_by_hand():
    assert share_preceded(COUNTS, " but", ",") == 0.3
    assert share_followed(COUNTS, ",", " but") == 0.25
    assert share_followed(COUNTS, " was", " so") == 0.125


def test_a_share_of_nothing_has_no_value():
    with pytest.raises(NoValue, match="no story of this resample has a window that ends with ' is'"):
        share_followed(COUNTS, " is", " so")
    with pytest.raises(NoValue, match="no story of this resample has a window before ' so'"):
        share_preceded(replace(COUNTS, counts=COUNTS.counts * [1, 0]), " so", ",")


def test_a_token_or_word_that_was_not_counted_is_named():
    with pytest.raises(UserError, match="';' is not among the 3 tokens that were counted"):
        share_followed(COUNTS, ";", " so")
    with pytest.raises(UserError, match="' or' is not among the 2 words that were counted"):
        share_preceded(COUNTS, " or", ",")


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 10_000))
def test_shares_lie_between_0_and_1_and_do_not_depend_on_the_size_of_the_corpus(first, second, times):
    counts = np.array([[1 + round(9 * first), 3], [round(9 * second), 2], [0, 0]])
    one, other = replace(COUNTS, counts=counts), replace(COUNTS, counts=times * counts)
    for share, *names in ((share_preceded, " but", ","), (share_followed, ",", " but")):
        assert 0 <= share(one, *names) <= 1
        assert share(one, *names) == pytest.approx(share(other, *names))


WEIGHT_CLAIMS = pytest.mark.parametrize(
    ("claim_id", "word"), [("stories/comma-raises-but", " but"), ("stories/was-raises-so", " so")]
)


@WEIGHT_CLAIMS
def test_the_published_weights_that_are_drawn_are_those_that_are_stated(claim_id, word):
    (profile,), stated = MEASURES[claim_id].__profiles__, MEASURES[claim_id].__claim__.published
    drawn = profile.published
    others = [weight for other, weight in drawn.items() if other != word]
    assert f"centred weight {drawn[word]:.2f}, lead {drawn[word] - max(others):.2f}" in stated
    printed = {part.split('"')[1]: float(part.split()[-1]) for part in stated.split(";")[0].split(", ")}
    assert drawn == pytest.approx(centred_profile(printed))


@WEIGHT_CLAIMS
def test_published_weights_are_drawn_beside_those_of_a_model(claim_id, word):
    measure = MEASURES[claim_id]
    case = Case(measure.__claim__, measure, measure.__claim__.protocols[0], "linear", (0, 1), True)
    run, words = Run({case.key: case}, Options()), tuple(case.profiles[0].published)
    token = case.profiles[0].of.keywords["token"]
    for seed in case.seeds:
        weights = np.arange(5.0).reshape(1, 1, 5) + seed
        seen = StoriesObservation(weights, np.zeros(5), (token,), words, seed, 0.0, np.ones((1, 1)))
        run.illustrations.note(case, seed, 0, seen)
    (shown,) = figures_of(Decision(case, Verdict.SUPPORTED), run, [])
    here, published = shown["figure"]["data"]
    assert here["y"] == [-2.0, -1.0, 0.0, 1.0, 2.0]
    assert dict(zip(published["x"], published["y"], strict=True))[f"“{word}”"] == max(published["y"])
