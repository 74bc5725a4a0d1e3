"""What fifty answers decide by the rule of the claims about people, as the documents state it."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.people import TRUTHS, verdicts
from fixtures.held_out import matches_people

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
