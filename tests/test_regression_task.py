"""Data, prompts, positions and answers of the regression task."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optim_hunter.claim import NoValue, UserError
from optim_hunter.models.registry import recorded_predictions
from optim_hunter.tasks.answers import parse_number
from optim_hunter.tasks.prompts import Value, number_text, regression_prompt, tokens_of
from optim_hunter.tasks.regression import RegressionTask, draw

SEEDS = st.integers(0, 2**31 - 1)


def test_golds_and_averages_are_those_of_the_recorded_run():
    recorded = recorded_predictions("recorded:llama-3.1-8b")["predictions"]
    episodes = [draw(RegressionTask(examples=50), seed) for seed in range(100)]
    np.testing.assert_allclose([episode.gold for episode in episodes], recorded["gold"])
    np.testing.assert_allclose([episode.outputs.mean() for episode in episodes], recorded["average"], atol=1e-3)
    np.testing.assert_allclose([episode.outputs[-1] for episode in episodes], recorded["last"], atol=1e-3)


@settings(max_examples=20)
@given(SEEDS)
def test_outputs_follow_friedmans_formula(seed):
    episode = draw(RegressionTask(), seed)
    x0, x1, x2, x3 = episode.features.T
    expected = np.sqrt(x0**2 + (x1 * x2 - 1 / (x1 * x3)) ** 2)
    np.testing.assert_allclose(episode.outputs, expected, atol=0.005 * 1760 + 0.1)  # x2 is rounded to two decimals


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 25))
def test_positions_point_at_the_numbers(seed, examples):
    episode = draw(RegressionTask(examples=examples), seed)
    prompt = regression_prompt(episode)
    found = [float(prompt.text[value.start : value.end]) for value in prompt.values]
    rows = np.column_stack([episode.features, episode.outputs]).ravel().tolist()
    assert found == [*rows, *episode.test_features]
    assert prompt.text.endswith("Output: ")
    assert len(re.findall("Output: ", prompt.text)) == examples + 1


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 24))
def test_a_shorter_prompt_starts_a_longer_one(seed, examples):
    longer = regression_prompt(draw(RegressionTask(examples=25), seed)).text
    shorter = regression_prompt(draw(RegressionTask(examples=examples), seed)).text
    shared = shorter[: shorter.rindex("\n\n")]
    assert longer.startswith(shared)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=20), st.integers(0, 50), st.integers(1, 20))
def test_tokens_of_a_value_are_those_that_overlap_it(lengths, start, length):
    ends = np.cumsum(lengths).tolist()
    offsets = list(zip([0, *ends], ends, strict=False))
    value = Value("output", 0, start, start + length)
    expected = [
        index
        for index, (first, last) in enumerate(offsets)
        if set(range(first, last)) & set(range(start, start + length))
    ]
    assert tokens_of(value, offsets) == expected


def test_too_many_examples_are_refused():
    with pytest.raises(UserError, match="51 examples asked for, but a seed draws 50"):
        draw(RegressionTask(examples=51), 0)


def test_an_unknown_data_set_lists_the_known():
    with pytest.raises(UserError, match="no data set 'nope': choose one of friedman_1, friedman_2"):
        draw(RegressionTask("nope"), 0)


@given(st.floats(-1e6, 1e6))
def test_numbers_are_read_back_as_written(value):
    text = number_text(value)
    if "e" not in text:
        assert parse_number(text + "\n\nFeature 0: 1") == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("487.12", 487.12),
        (" 487\n", 487.0),
        ("1,234.5", 1234.5),
        ("12,345,678", 12345678.0),
        ("-3.5", -3.5),
        ("−3.5", -3.5),
        ("+7", 7.0),
        (".5", 0.5),
        ("10\n20", 10.0),
    ],
)
def test_numbers_are_parsed(answer, value):
    assert parse_number(answer) == value


@pytest.mark.parametrize(
    "answer", ["", "\n5", "five", "12 units", "1,23", "1.2.3", "--3", "0x10", "1e5", "٣", "12,3456", "nan"]
)
def test_what_is_no_number_is_missing_with_its_text(answer):
    with pytest.raises(NoValue, match="the answer is no number"):
        parse_number(answer)
