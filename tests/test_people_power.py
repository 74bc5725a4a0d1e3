"""What fifty answers decide by the rule of the claims about people, and what more would, as the documents state it."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.people import ANSWERS, SHARES, TRUTHS, most_correct, noninferiority_power, verdicts
from fixtures.held_out import MARGIN, matches_people

PAGE = (Path(__file__).parents[1] / "docs" / "claims-stories.md").read_text(encoding="utf-8")
STATED = [
    tuple(map(float, re.search(rf"\| {re.escape(truth)}.* \| ([\d.]+) % \| ([\d.]+) % \|$", PAGE, re.M).groups()))
    for truth in TRUTHS
]
TRIALS = 200


def near(found, stated):
    """Within what so few trials may differ from the thousands of the document (Monte Carlo error, 4 times)."""
    return abs(found - stated) <= 4 * np.sqrt(max(stated * (1 - stated), 0.005) / TRIALS)


@pytest.mark.parametrize(("truth", "stated"), list(zip(TRUTHS.values(), STATED, strict=True)))
def test_verdicts_are_as_frequent_as_the_document_states(truth, stated):
    model, *people = truth
    found = verdicts(model, tuple(people), TRIALS, seed=1)
    assert near(found["supported"], stated[0] / 100)
    assert near(found["refuted"], stated[1] / 100)


def test_the_registered_note_states_the_same():
    (note,) = (one.note for one in matches_people("linear", "linear", ("linear",), "a linear model").protocols)
    author, mentor, _, better, *_ = (supported for supported, _ in STATED)
    assert f"in {author:.0f} % ({mentor:.0f} %) of such trials" in note
    assert f"better than the mentor in {better:.0f} %" in note


@given(st.floats(0.05, 1), st.integers(1, 300), st.sampled_from([0.01, 0.05, 0.1]))
def test_the_most_right_answers_are_the_last_that_the_exact_test_rejects(bound, n, alpha):
    rejected = [right for right in range(n + 1) if stats.binomtest(right, n, bound, "less").pvalue <= alpha]
    assert most_correct(bound, n, alpha) == max(rejected, default=-1)


@given(st.floats(0.1, 0.9), st.floats(0.01, 0.3), st.integers(1, 200))
def test_power_is_the_chance_of_few_enough_right_answers_and_grows_with_the_margin(share, margin, n):
    most = most_correct(min(1, share + margin), n, 0.05)
    expected = sum(stats.binom.pmf(right, n, share) for right in range(most + 1))
    assert noninferiority_power(share, margin, n, 0.05) == pytest.approx(expected, abs=1e-9)
    assert noninferiority_power(share, margin + 0.05, n, 0.05) >= expected - 1e-9
    assert noninferiority_power(share, 0.0, n, 0.05) <= 0.05 + 1e-9


@pytest.mark.parametrize("share", SHARES)
def test_as_many_answers_have_the_power_that_the_document_states(share):
    header = re.search(r"\| person's share \| (\d+) answers \| (.*) \|$", PAGE, re.MULTILINE)
    assert (header[1], *header[2].split(" | ")) == tuple(map(str, ANSWERS))
    stated = re.search(rf"^ *\| {100 * share:.0f} %, the \w+ \| (.*) \|$", PAGE, re.MULTILINE)[1].split(" | ")
    assert stated == [f"{100 * noninferiority_power(share, MARGIN, n, 0.05):.0f} %" for n in ANSWERS]
