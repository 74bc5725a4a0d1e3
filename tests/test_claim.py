"""Definitions, hashes and seeds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.cases import cases_of, registered_seeds
from optim_hunter.claim import (
    Claim,
    Condition,
    Protocol,
    UserError,
    Verdict,
    definition_hash,
    measure_code,
    parse_seeds,
)
from optim_hunter.tasks.regression import RegressionTask

CLAIM = Claim(
    id="test/claim",
    statement="It holds.",
    source="a test",
    conditions=(Condition("gain", "a number", "units", 1.0),),
    protocols=(
        Protocol("corrected", RegressionTask(examples=4), models=("smollm2-135m", "llama-3.1-8b")),
        Protocol("published", RegressionTask(examples=50), models=("recorded:llama-3.1-8b",)),
    ),
    family="test",
    controls={"planted:kernel-regression": Verdict.SUPPORTED},
    made_about=("llama-3.1-8b", "recorded:llama-3.1-8b"),
    seen_seeds="0-99",
)


def measure(observation):
    """A docstring."""
    return observation.prediction  # a comment


def another_measure(observation):
    return -observation.prediction


def spelled_otherwise():
    def measure(observation):
        # another comment, and no docstring
        return observation.prediction

    return measure


def hash_of(claim, measure):
    return definition_hash(claim.definition(), measure_code(measure))


@given(st.lists(st.integers(0, 500), min_size=2, unique=True).map(sorted))
def test_a_list_of_seeds_is_read_back(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == tuple(seeds)


@given(st.integers(1, 300), st.integers(0, 50))
def test_a_count_starts_at_the_first_seed(count, first):
    assert parse_seeds(str(count), first) == tuple(range(first, first + count))


def test_ranges_may_be_listed():
    assert parse_seeds("0-2, 5,7-8") == (0, 1, 2, 5, 7, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write a count"),
        ("0", "no seed at all"),
        ("-3", "write a count"),
        ("1--3", "write a count"),
        ("a", "write a count"),
        ("1.5", "write a count"),
        ("9-3", "must ascend"),
        ("5,3", "must ascend"),
        ("3,3", "named twice"),
        ("0-5,5-9", "named twice"),
    ],
)
def test_bad_seeds_say_what_is_wrong(text, message):
    with pytest.raises(UserError, match=message):
        parse_seeds(text)


def test_layout_comments_and_models_do_not_change_the_hash():
    source = hash_of(CLAIM, measure)
    assert hash_of(CLAIM, spelled_otherwise()) == source
    moved = replace(CLAIM, protocols=(replace(CLAIM.protocols[0], models=("random:smollm2-135m",)), CLAIM.protocols[1]))
    assert hash_of(moved, measure) == source


@pytest.mark.parametrize(
    "change",
    [
        {"statement": "It does not."},
        {"alpha": 0.01},
        {"seeds": "0-9"},
        {"conditions": (Condition("gain", "a number", "units", 2.0),)},
        {"protocols": (Protocol("corrected", RegressionTask(examples=5), ("smollm2-135m",)),)},
        {"controls": {}},
    ],
)
def test_anything_that_matters_changes_the_hash(change):
    assert hash_of(replace(CLAIM, **change), measure) != hash_of(CLAIM, measure)


def test_the_measure_is_part_of_the_definition():
    assert hash_of(CLAIM, another_measure) != hash_of(CLAIM, measure)


def test_models_that_the_paper_looked_at_get_fresh_seeds():
    corrected, published = CLAIM.protocols
    assert registered_seeds(CLAIM, corrected, "llama-3.1-8b") == tuple(range(100, 200))
    assert registered_seeds(CLAIM, corrected, "smollm2-135m") == tuple(range(100))
    assert registered_seeds(CLAIM, published, "recorded:llama-3.1-8b") == tuple(range(100))


def test_cases_are_controls_then_models():
    cases = list(cases_of(CLAIM, measure, (), None))
    assert [case.model for case in cases] == [
        "planted:kernel-regression",
        "smollm2-135m",
        "llama-3.1-8b",
        "recorded:llama-3.1-8b",
    ]
    assert [case.is_reanalysis for case in cases] == [False, False, False, True]
    assert all(case.at_registered_seeds for case in cases)


def test_claims_seeds_do_not_touch_controls():
    control, *others = cases_of(CLAIM, measure, (), "5")
    assert control.seeds == tuple(range(24))
    assert [case.seeds[0] for case in others] == [0, 100, 0]
    assert {len(case.seeds) for case in others} == {5}
    assert not any(case.at_registered_seeds for case in others)


def test_a_chosen_model_replaces_those_of_its_kind():
    chosen = [case.model for case in cases_of(CLAIM, measure, ("random:smollm2-135m",), None) if not case.is_control]
    assert chosen == ["random:smollm2-135m"]
