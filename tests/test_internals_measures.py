"""Measures of claims about internals, against arrays made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optim_hunter.claim import NoValue
from optim_hunter.measures.activations import output_distance_lead, squared_distance
from optim_hunter.measures.attention import (
    example_feature_lead,
    example_feature_preference,
    output_mass_lead,
    output_preference,
    query_feature_lead,
)
from optim_hunter.measures.attribution import late_mlps_without_last, mlp_lead_over_attention, shares
from optim_hunter.measures.candidates import (
    base_rate_correlation,
    each_against_each,
    pair_leads_over_own_rivals,
    pair_sizes,
)
from optim_hunter.measures.profiles import (
    PROFILE_NAMES,
    SIGNED_NAMES,
    grouped_profile,
    has_low_error,
    profile_by_depth,
)
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.attribution import attention_mass
from optim_hunter.observe.observation import (
    PREDICTORS,
    Activations,
    Answer,
    AttentionMass,
    Attribution,
    Candidates,
    RegressionObservation,
)
from optim_hunter.observe.posed import pose
from optim_hunter.tasks.regression import Episode, RegressionTask

LAYERS = 32
COMPONENTS = 1 + 2 * LAYERS

sizes = st.floats(0.01, 100)


def attribution(contributions: np.ndarray) -> Attribution:
    """Contributions to the model's token alone; the baseline's gets nothing."""
    pair = np.stack([np.zeros_like(contributions), contributions], axis=1)
    return Attribution(pair, (0, 1), np.array([0, 1]), ("average", "own"))


def candidates(logits: list[float], columns: list[int] | None = None, counts: list[int] | None = None) -> Candidates:
    """Of each predictor in turn the column, each column's logit and count."""
    values = np.array(logits, float)
    return Candidates(
        contributions=values[np.newaxis],
        constant=np.zeros(len(values)),
        logits=values,
        tokens=np.arange(len(values)),
        columns=dict(zip(PREDICTORS, columns or range(len(values)), strict=True)),
        output_counts=np.array(counts or [0] * len(values)),
        texts=("",) * len(values),
    )


def observation(answer: str, contributions: np.ndarray) -> RegressionObservation:
    """Outputs 0, 0, 40 and 40, so that their mean errs by 20; the truth is 100."""
    episode = Episode(0, np.zeros((4, 4)), np.array([0.0, 0.0, 40.0, 40.0]), np.zeros(4), 100.0)
    return RegressionObservation(episode, {"answer": Answer(answer), "attribution": attribution(contributions)})


# late MLPs


@given(size=sizes)
def test_components_that_are_alike_hold_no_more_than_alike_ones(size: float) -> None:
    seen = late_mlps_without_last(attribution(np.full(COMPONENTS, size)))
    assert seen == pytest.approx(
        {"above alike components": 0, "above alike MLPs": 0, "last MLP": 1 / COMPONENTS}, abs=1e-12
    )


def test_four_mlps_above_the_others_are_seen_and_the_last_alone_is_not() -> None:
    contributions = np.ones(COMPONENTS)
    contributions[2 + 2 * 27 : 2 + 2 * 31 : 2] = -11.0  # signs do not count
    seen = late_mlps_without_last(attribution(contributions))
    assert seen["above alike components"] == pytest.approx(44 / 105 - 4 / 65)
    assert seen["above alike MLPs"] == pytest.approx(44 / 105 - 4 / 32 * 72 / 105)
    contributions = np.ones(COMPONENTS)
    contributions[-1] = 60.0
    seen = late_mlps_without_last(attribution(contributions))
    assert seen["last MLP"] == pytest.approx(60 / 124)
    assert seen["above alike components"] == pytest.approx(4 / 124 - 4 / 65)
    assert seen["above alike MLPs"] == pytest.approx(4 / 124 - 4 / 32 * 91 / 124)


def test_larger_mlps_alone_are_above_alike_components_but_not_above_alike_mlps() -> None:
    contributions = np.ones(COMPONENTS)
    contributions[2::2] = 3.0
    seen = late_mlps_without_last(attribution(contributions))
    assert seen["above alike components"] > 0.02
    assert seen["above alike MLPs"] == pytest.approx(0, abs=1e-12)


def test_a_model_with_one_late_mlp_has_no_number() -> None:
    with pytest.raises(NoValue, match="of 4 MLPs only the last"):
        late_mlps_without_last(attribution(np.ones(9)))


@given(arrays(float, COMPONENTS, elements=sizes), st.floats(0.1, 10))
def test_lead_of_mlps_is_odd_in_the_blocks_and_free_of_scale(contributions: np.ndarray, scale: float) -> None:
    swapped = contributions.copy()
    swapped[1::2], swapped[2::2] = contributions[2::2], contributions[1::2]
    lead = mlp_lead_over_attention(attribution(contributions))
    assert mlp_lead_over_attention(attribution(-scale * contributions)) == pytest.approx(lead)
    assert mlp_lead_over_attention(attribution(swapped)) == pytest.approx(-lead)
    assert -1 <= lead <= 1


# attention


def test_mass_leads_are_over_the_median_head_of_the_same_kind() -> None:
    outputs, query = np.array([[0.1, 0.2, 0.7]]), np.array([[0.3, 0.0, 0.2]])
    mass = AttentionMass(outputs, np.array([[0.8, 0.4, 0.3]]), query, 10, 44, 4)
    np.testing.assert_allclose(output_mass_lead(mass), [[-0.1, 0.0, 0.5]])
    np.testing.assert_allclose(example_feature_lead(mass), [[0.1, 0.0, -0.3]])
    np.testing.assert_allclose(query_feature_lead(mass), [[0.1, -0.2, 0.0]])
    np.testing.assert_allclose(example_feature_preference(mass), np.log2([[0.5 / 4 / 0.1, 0.5, 0.1 / 4 / 0.7]]))


@pytest.mark.parametrize("reach", [5, 10, 20, 60])
def test_a_head_that_looks_at_what_is_near_does_not_attend_to_features(tiny_model: LanguageModel, reach: int) -> None:
    """Attention that falls with the distance in tokens alone, on a real prompt's layout."""
    posed = pose(tiny_model, RegressionTask(examples=25), 3)
    groups = {
        "outputs": posed.positions_of("output"),
        "features": posed.positions_of("feature"),
        "query_features": posed.query_positions,
    }
    falling = torch.exp(-torch.arange(len(posed.ids)).flip(0) / reach)
    mass = attention_mass((falling / falling.sum()).reshape(1, 1, -1), groups)
    assert example_feature_preference(mass).item() < 0
    assert -output_preference(mass).item() > 0, "with the test case's own features it would seem to"


# profiles


@given(arrays(float, COMPONENTS, elements=sizes))
def test_a_profile_by_depth_loses_nothing(contributions: np.ndarray) -> None:
    component_shares = shares(contributions)
    profile = dict(zip(PROFILE_NAMES, profile_by_depth(component_shares), strict=True))
    assert sum(profile.values()) == pytest.approx(1)
    assert profile["embedding"] == component_shares[0]
    last_four = component_shares[2::2][-4:].sum()
    assert profile["MLPs, eighth 8 of the depth"] == pytest.approx(last_four)
    assert profile["attention, eighth 1 of the depth"] == pytest.approx(component_shares[1:9:2].sum())


@pytest.mark.parametrize(("answer", "low"), [("100", True), ("109.9", True), ("110.0", False), ("89", False)])
def test_low_error_is_below_half_of_what_the_mean_errs_by_on_the_examples(answer: str, low: bool) -> None:
    flat, steep = observation(answer, np.ones(COMPONENTS)), observation(answer, np.arange(COMPONENTS) + 1.0)
    assert has_low_error(flat) is has_low_error(steep) is low


def test_a_grouped_profile_has_both_directions_and_a_bad_answer_none() -> None:
    seen = grouped_profile(observation("100", np.ones(COMPONENTS)))
    assert seen.shape == (2, len(SIGNED_NAMES))
    assert (seen[0] == 1).all()
    np.testing.assert_array_equal(*np.split(seen[1] * np.repeat([1, -1], len(PROFILE_NAMES)), 2))
    with pytest.raises(NoValue, match="no number"):
        grouped_profile(observation("about 100", np.ones(COMPONENTS)))
    with pytest.raises(NoValue, match="7 layers"):
        grouped_profile(observation("100", np.ones(15)))


# candidates


def test_named_pairs_stand_apart_from_the_26_others() -> None:
    logits = dict.fromkeys(PREDICTORS, 4.0) | {"average": 1.0, "last": 2.0, "llm": 6.0}
    named, rivals = pair_sizes(candidates(list(logits.values())))
    assert named.tolist() == [5.0, 4.0]
    assert sorted(rivals.tolist()) == [0.0] * 10 + [1.0] + [2.0] * 10 + [3.0] * 5
    leads = pair_leads_over_own_rivals(candidates(list(logits.values())))
    assert leads.tolist() == [3.0, 2.0]


def test_answers_that_begin_alike_differ_by_nothing() -> None:
    named, rivals = pair_sizes(candidates([1.0, 5.0], columns=[0, 0, 0, 0, 1, 0, 0, 1]))
    assert named.tolist() == [0.0, 4.0]
    assert sorted(set(rivals.tolist())) == [0.0, 4.0]


@given(arrays(float, 8, elements=st.floats(-20, 20)), st.floats(-50, 50))
def test_pairs_do_not_depend_on_what_is_added_to_all_logits(logits: np.ndarray, shift: float) -> None:
    before, after = (pair_sizes(candidates(list(values))) for values in (logits, logits + shift))
    np.testing.assert_allclose(np.concatenate(before), np.concatenate(after), atol=1e-9)
    beside = each_against_each(*before)
    assert beside.shape == (2, 52)
    assert {tuple(pair) for pair in beside.T} == {(a, b) for a in before[0] for b in before[1]}


def test_base_rate_is_one_where_logits_are_log_odds_of_counts() -> None:
    counts = [0, 1, 2, 5, 0, 1, 3, 9]
    assert base_rate_correlation(candidates(list(np.log1p(counts) - 3), counts=counts)) == pytest.approx(1)
    assert base_rate_correlation(candidates(list(-np.log1p(counts)), counts=counts)) == pytest.approx(-1)


def test_base_rate_counts_a_shared_token_once_and_other_outputs_not_at_all() -> None:
    columns, counts = [0, 0, 0, 0, 0, 1, 2, 3], [0, 1, 2, 0, 9]
    alone = base_rate_correlation(candidates([0.0, 1.0, 3.0, 2.0, 0.0], columns, counts))
    assert alone == pytest.approx(np.corrcoef([0, 1, 3, 2], np.log1p([0, 1, 2, 0]))[0, 1])
    other = candidates([0.0, 1.0, 3.0, 2.0, -99.0], columns, counts)
    assert base_rate_correlation(other) == alone


@pytest.mark.parametrize(
    ("columns", "counts", "reason"),
    [([0, 0, 0, 0, 0, 0, 1, 1], [0, 1], "2 different tokens"), (None, [3] * 8, "equally many outputs")],
)
def test_nothing_to_correlate_gives_no_number(columns: list[int] | None, counts: list[int], reason: str) -> None:
    with pytest.raises(NoValue, match=reason):
        base_rate_correlation(candidates(list(range(len(counts))), columns, counts))


# activations


def activations(outputs: np.ndarray, features: np.ndarray) -> Activations:
    """The same means in both halves; `features` are feature × layer × neuron."""
    return Activations(
        layers=np.arange(len(outputs)),
        output_halves=np.stack([outputs, outputs]),
        feature_halves=np.stack([features, features]),
        output_tokens=np.array([3, 3]),
        feature_tokens=np.full((2, len(features)), 3),
    )


def test_outputs_apart_from_alike_features_lead_and_one_odd_feature_does_the_reverse() -> None:
    usual, odd = np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])
    lead = output_distance_lead(activations(odd, np.stack([usual] * 4)))
    assert lead.tolist() == pytest.approx([4 / ((5 + 4) / 5)])
    lead = output_distance_lead(activations(usual, np.stack([odd, usual, usual, usual])))
    assert lead.tolist() == pytest.approx([(4 / 4 - 4 * 3 / 6) / ((5 + 4) / 5)])


@given(arrays(float, (5, 2, 3), elements=st.floats(0.5, 5)), st.floats(0.1, 10))
def test_lead_has_no_unit_and_vanishes_where_outputs_are_as_features_are(means: np.ndarray, scale: float) -> None:
    lead = output_distance_lead(activations(means[0], means[1:]))
    scaled = output_distance_lead(activations(scale * means[0], scale * means[1:]))
    np.testing.assert_allclose(scaled, lead, atol=1e-12)
    alike = activations(means[0], np.stack([means[0]] * 4))
    np.testing.assert_allclose(output_distance_lead(alike), 0, atol=1e-12)


def test_chance_averages_out_of_a_distance() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0, 1, (2, 2, 400, 50)) + np.array([0.2, 0.0]).reshape(2, 1, 1, 1)
    distances = squared_distance(first, second)
    error = distances.std(ddof=1) / np.sqrt(len(distances))
    assert abs(distances.mean() - 50 * 0.2**2) < 3 * error
    naive = ((first - second).mean(axis=0) ** 2).sum(axis=-1)
    assert naive.mean() > 10 * distances.mean()


def test_one_feature_or_a_dead_layer_gives_no_number() -> None:
    means = np.ones((1, 3))
    with pytest.raises(NoValue, match="one feature"):
        output_distance_lead(activations(means, means[np.newaxis]))
    dead = activations(0 * means, np.zeros((4, 1, 3)))
    with pytest.raises(NoValue, match="not active"):
        output_distance_lead(dead)
