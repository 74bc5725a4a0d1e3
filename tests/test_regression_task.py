"""Data, prompts, positions and answers of the regression task."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.models import language_model
from optim_hunter.claim import Claim, Condition, NoValue, Protocol, UserError
from optim_hunter.models.registry import recorded_predictions
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.plan import unite
from optim_hunter.observe.posed import pose
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.observe.store import Store
from optim_hunter.subjects.recorded import RecordedSubject
from optim_hunter.tasks.answers import parse_number
from optim_hunter.tasks.prompts import Value, number_text, regression_prompt, tokens_of
from optim_hunter.tasks.regression import RegressionTask, draw
from optim_hunter.tasks.templates import TEMPLATES

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


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=20)
@given(seed=SEEDS, features=st.integers(1, 12), examples=st.integers(1, 25))
def test_positions_point_at_the_numbers(template, seed, features, examples):
    episode = draw(RegressionTask(f"linear:{features}", examples), seed)
    prompt = regression_prompt(episode, template)
    rows = np.vstack([episode.features, episode.test_features])
    found = {(one.kind, one.example, one.feature): prompt.text[one.start : one.end] for one in prompt.values}
    expected = {("feature", *place): str(value) for place, value in np.ndenumerate(rows)}
    expected |= {("output", place, 0): str(value) for place, value in enumerate(episode.outputs)}
    assert found == expected
    assert len(prompt.values) == len(found)
    starts = [one.start for one in prompt.values]
    assert starts == sorted(starts)


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=10)
@given(seed=SEEDS, features=st.integers(1, 12), examples=st.integers(1, 5))
def test_tokens_of_the_values_are_their_numbers(template, seed, features, examples):
    task = RegressionTask(f"sine:{features}", examples, template=template)
    model = language_model(None)
    posed = pose(model, task, seed)
    for kind, count in {"output": examples, "feature": features * (examples + 1)}.items():
        positions = posed.positions_of(kind)
        numbers = [value for value in posed.prompt.values if value.kind == kind]
        assert len(numbers) == count
        shown = model.decode([posed.ids[position] for position in positions])
        assert shown == "".join(posed.prompt.text[value.start : value.end] for value in numbers)


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 25))
def test_the_published_prompt_has_the_published_layout(seed, examples):
    episode = draw(RegressionTask(examples=examples), seed)
    instruction, *blocks = re.split("\n{2,}", regression_prompt(episode).text)
    assert len(blocks) == examples + 1
    for block, (*features, output) in zip(blocks, rows_of(episode), strict=True):
        lines = [f"Feature {index}: {value}" for index, value in enumerate(features)]
        assert block.split("\n") == [*lines, f"Output: {output}"]
    assert regression_prompt(episode).text.startswith(f"{instruction}\n\n\n\n\nFeature 0: ")


def rows_of(episode):
    """Every case as its prompt shows it; the test case without its output."""
    return [*np.column_stack([episode.features, episode.outputs]).tolist(), [*episode.test_features.tolist(), ""]]


def test_templates_word_the_same_numbers_in_their_own_way():
    episode = draw(RegressionTask(examples=3), 2)
    prompts = {name: regression_prompt(episode, name) for name in TEMPLATES}
    texts = {name: prompt.text for name, prompt in prompts.items()}
    assert len(set(texts.values())) == len(TEMPLATES)
    examples = {name: text[text.index("\n\n\n\n\n") :] for name, text in texts.items()}
    assert examples["paraphrase"] == examples["published"]
    assert examples["other names"] == examples["published"].replace("Feature", "Sensor").replace("Output", "Yield")
    assert sorted(texts["shuffled features"].split("\n")) == sorted(texts["published"].split("\n"))


@settings(max_examples=20)
@given(SEEDS)
def test_shuffled_features_have_one_order_a_seed(seed):
    values = regression_prompt(draw(RegressionTask("linear:5", examples=4), seed), "shuffled features").values
    orders = [[one.feature for one in values if one.kind == "feature" and one.example == case] for case in range(5)]
    assert all(order == orders[0] for order in orders)
    assert sorted(orders[0]) == list(range(5))


def test_the_order_of_shuffled_features_depends_on_the_seed():
    prompts = [regression_prompt(draw(RegressionTask(examples=1), seed), "shuffled features") for seed in range(48)]
    orders = {tuple(one.feature for one in prompt.values[:4]) for prompt in prompts}
    assert len(orders) > 12


def test_a_template_that_is_not_the_published_one_is_part_of_the_definition():
    stated, other = (
        Claim("a", "b", "c", (Condition("d", "e", "f", 1.0),), (Protocol("p", task, ()),), "g").definition()
        for task in (RegressionTask(), RegressionTask(template="paraphrase"))
    )
    task = stated["protocols"][0]["task"]
    assert set(task) == {"kind", "dataset", "examples", "pair"}
    assert other["protocols"][0]["task"] == task | {"template": "paraphrase"}


def test_an_unknown_template_lists_the_known():
    with pytest.raises(UserError, match="no template 'rude': choose one of published, paraphrase"):
        RegressionTask(template="rude")


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


def test_the_store_keeps_templates_apart(tiny_model, tmp_path):
    task = RegressionTask(examples=2)
    other = replace(task, template="other names")
    store = Store(tmp_path)

    def passes_for(one):
        plans = unite([(task, {"answer"}, [0]), (other, {"answer"}, [0])])
        engine = Engine(tiny_model)
        observation = RegressionPass(engine, plans[one.stem], PartStore(store, tiny_model)).observe(one, 0)
        return observation.answer, engine.forward_passes

    published, made = passes_for(task)
    renamed, made_anew = passes_for(other)
    assert made > 0
    assert made_anew > 0
    assert published != renamed
    assert passes_for(task) == (published, 0)
    assert passes_for(other) == (renamed, 0)


def test_recorded_answers_are_of_the_published_prompt_alone():
    subject = RecordedSubject("recorded:llama-3.1-8b")
    subject.precheck(RegressionTask("friedman_2", examples=50), range(100))
    for task in (RegressionTask("original2", examples=50), RegressionTask(examples=50, template="paraphrase")):
        with pytest.raises(UserError, match="ask for those, of friedman_2, published"):
            subject.precheck(task, range(100))
