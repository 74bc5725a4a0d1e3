"""The suite on trial, in short: whole claims at their smallest effect, and the page of the long form."""

import json
from pathlib import Path

import pytest

from benchmarks.calibrate import DOCS, covers_too_little, equivalence_row, row_of, tally, too_often_wrong
from benchmarks.calibration_nulls import GAINS, NULLS, Null, gains, recorded_gains, single

SHORT = {
    "mean": 200, "mean, two conditions": 150, "mean, search of 30": 150, "wins": 200,
    "bootstrap fits": 400, "sequential": 25,
}  # fmt: skip
"""Test → draws of each of its nulls."""

CHOSEN = [null for null in NULLS if null.test in SHORT and "24" not in null.name]


@pytest.mark.parametrize("null", CHOSEN, ids=lambda null: f"{null.test}, {null.name}")
def test_no_claim_at_its_smallest_effect_is_called_too_often(null):
    row = row_of(null, SHORT[null.test], power_runs=20)
    assert not too_often_wrong(row)
    assert not covers_too_little(row)
    assert row["power"] > max(row["false_supported"], 0.2)


def test_an_equivalence_at_its_margin_is_not_called_too_often():
    row = equivalence_row(runs=300)
    assert not too_often_wrong(row)
    assert row["power"] > 0.9


def test_a_liberal_test_is_found_out():
    """Gains a fifth of a standard deviation above the smallest effect, said to be at it."""
    biased = Null("t", "biased", lambda generator, shift: (single(gains(generator, 100, shift + 0.2)), None), GAINS)
    row = row_of(biased, 100, power_runs=1)
    assert too_often_wrong(row)
    assert covers_too_little(row)


def test_a_tally_is_the_same_each_time_and_has_its_truth():
    assert tally(NULLS[0], 20) == tally(NULLS[0], 20)
    assert recorded_gains().mean() == pytest.approx(0, abs=1e-9)
    assert len(recorded_gains()) == 100


def test_a_strong_effect_stops_before_half_of_the_seeds():
    sequential = next(null for null in NULLS if null.test == "sequential")
    assert tally(sequential, 31, 0.7).median_seeds < 50


def test_the_kept_rates_are_of_these_nulls_and_none_is_too_high():
    rows = json.loads(Path(DOCS, "calibration.json").read_text(encoding="utf-8"))
    assert [(row["test"], row["null"]) for row in rows[:-1]] == [(null.test, null.name) for null in NULLS]
    assert [row["runs"] for row in rows[:-1]] == [null.runs for null in NULLS]
    for row in rows:
        assert row["runs"] >= (1000 if row["test"].startswith("sequential") else 2000)
        assert all(0 <= row[rate] <= 1 for rate in ("false_supported", "false_refuted", "alpha", "power"))
    assert not [row["null"] for row in rows if too_often_wrong(row) or covers_too_little(row)]
