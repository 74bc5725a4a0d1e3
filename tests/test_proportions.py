"""Exact intervals of shares, and equivalence, against their definitions."""

import json
from importlib import resources

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from optim_hunter.stats.conditions import mean_test
from optim_hunter.stats.equivalence import equivalence_p
from optim_hunter.stats.proportions import exact_interval

pytest_plugins = ["pytester"]

SCHEMA = json.loads(resources.files("optim_hunter.data").joinpath("ledger.schema.json").read_text(encoding="utf-8"))
ANSWERS = st.integers(1, 80).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NUMBERS = arrays(float, st.integers(3, 40), elements=st.floats(-1, 1, width=32))


@given(ANSWERS, st.sampled_from([0.9, 0.95]))
def test_beyond_an_end_of_an_exact_interval_so_many_answers_would_be_rare(answers, level):
    correct, n = answers
    low, high = exact_interval(correct, n, level)
    tail = (1 - level) / 2
    assert low == 0 if correct == 0 else stats.binom.sf(correct - 1, n, low) == pytest.approx(tail, rel=1e-6)
    assert high == 1 if correct == n else stats.binom.cdf(correct, n, high) == pytest.approx(tail, rel=1e-6)


def test_published_shares_have_the_intervals_that_the_documents_state():
    assert exact_interval(35, 50) == pytest.approx((0.554, 0.821), abs=5e-4)
    assert exact_interval(37, 50) == pytest.approx((0.597, 0.854), abs=5e-4)


@given(NUMBERS, st.floats(0.01, 2))
def test_equivalence_is_the_larger_of_two_one_sided_tests(numbers, margin):
    numbers = numbers + np.linspace(0, 0.1, len(numbers))
    above, below = mean_test(numbers, -margin, 0.05), mean_test(numbers, margin, 0.05)
    p = equivalence_p(numbers, margin)
    assert p == pytest.approx(max(above.p, below.p_refuted), abs=1e-9)
    low, high = above.interval
    if min(abs(low + margin), abs(high - margin)) > 1e-6:
        assert (p <= 0.05) == (-margin < low and high < margin)


@pytest.mark.parametrize(
    ("numbers", "p"),
    [([0.04] * 30, 0.0), ([0.06] * 30, 1.0), ([-0.06] * 30, 1.0), ([0.05] * 30, 1.0), ([0.0] * 30, 0.0), ([0.0], 1.0)],
)
def test_numbers_without_spread_are_decided_by_their_value(numbers, p):
    assert equivalence_p(np.array(numbers), 0.05) == p


CLAIMS = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.regression import RegressionTask

def mine(name):
    return Claim(
        id=f"mine/{name}", statement="It is no worse.", source="a test", family=name,
        conditions=(Condition("gain", "a number", "units", -0.5, equivalence=0.5),),
        protocols=(Protocol("published", RegressionTask(examples=50), models=("recorded:llama-3.1-8b",)),),
        seeds="0-29",
    )

@claim(mine("alike"))
def test_alike(observation):
    return (observation.episode.seed % 7 - 3) / 10

@claim(mine("better"))
def test_better(observation):
    return (observation.episode.seed % 7) / 10 + 2
"""


def test_equivalence_stands_beside_a_verdict_and_decides_nothing(pytester):
    pytester.makepyfile(test_mine=CLAIMS)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-store=none", "-k", "verdict")
    folder = pytester.path / "reports/latest"
    ledger = json.loads((folder / "ledger.json").read_text())
    jsonschema.validate(ledger, SCHEMA)
    found = {entry["claim"]: entry for entry in ledger["claims"]}
    assert {entry["verdict"] for entry in found.values()} == {"supported"}
    for name, p in (("mine/alike", 0.0), ("mine/better", 1.0)):
        assert found[name]["conditions"][0]["equivalence"] == {"margin": 0.5, "p": pytest.approx(p, abs=1e-3)}
        assert "two-sided equivalence within ± 0.5: p" in found[name]["sentence"]
    assert "equivalent to 0 within ± 0.5" in (folder / "evidence.html").read_text(encoding="utf-8")
