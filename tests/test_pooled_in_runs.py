"""Statistics over seeds and rivals found by their mean, as a run shows them: verdict, ledger, page."""

import json
from importlib import resources

import jsonschema
import pytest

import fixtures.imported  # noqa: F401

pytest_plugins = ["pytester"]
SCHEMA = json.loads((resources.files("optim_hunter.data") / "ledger.schema.json").read_text())

CLAIM = """
import numpy as np
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.regression import RegressionTask

@claim(Claim(
    id="mine/{name}", statement="It holds.", source="a test", family="mine", seeds="0-59",
    protocols=(Protocol("corrected", RegressionTask(examples=5), models=("synthetic:extreme-output",)),),
    {claim}
))
def test_{name}(observation):
    seed = observation.episode.seed
    noise = np.random.default_rng(seed).normal(size=3)
    return {body}
"""
POOLED = 'conditions=(Condition("difference", "a number", "units", 1.0, "low minus high"),),'
RIVALS = (
    'conditions=(Condition("wins", "a number", "units", 1.0),), shown=(Condition("error", "another", "units", 0.0),), '
    'search=True, found_by="error", candidates=("<b>ridge</b>", "forest", "mean"),'
)


@pytest.fixture
def entry(pytester):
    """Run one claim; its ledger entry."""

    def run(claim, body, *arguments):
        pytester.makepyfile(test_mine=CLAIM.format(name="mine", claim=claim, body=body))
        settings = ("-p", "no:cacheprovider", "--claims-store=none", "--claims-out=out", *arguments)
        result = pytester.runpytest_inprocess(*settings)
        assert "Traceback" not in result.stdout.str()
        ledger = json.loads((pytester.path / "out/ledger.json").read_text())
        jsonschema.validate(ledger, SCHEMA)
        (only,) = ledger["claims"]
        return only

    return run


def test_a_difference_between_groups_of_seeds_is_a_verdict_with_its_statistic(entry, pytester):
    found = entry(POOLED, "[float(seed % 3 == 0), noise[0] + 2.5 * (seed % 3 == 0)]")
    (condition,) = found["conditions"]
    assert (found["verdict"], found["n"]) == ("supported", 60)
    assert condition["statistic"] == "low minus high"
    assert condition["effect"] == pytest.approx(condition["pooled"]) == pytest.approx(2.5, abs=0.5)
    values = [row["values"]["difference"] for row in found["numbers"]]
    assert sum(values) / 60 == pytest.approx(condition["effect"])
    page = (pytester.path / "out/evidence.html").read_text()
    assert "statistic over seeds: low minus high" in page


def test_seeds_that_are_all_in_one_group_are_inconclusive_and_say_so(entry):
    found = entry(POOLED, "[1.0, noise[0]]")
    assert found["verdict"] == "inconclusive"
    assert "one of the two groups of seeds has fewer than 5" in found["sentence"]
    assert found["conditions"][0]["effect"] is None


def test_the_rival_is_found_on_one_half_and_named(entry, pytester):
    errors = "np.exp(noise) + [3.0, 0.0, 1.0]"
    found = entry(RIVALS, f"{{'wins': 5 - ({errors}), 'error': {errors}}}")
    assert (found["candidate"], found["candidate_name"]) == ([1], "forest")
    assert (found["verdict"], found["n"]) == ("supported", 30)
    (figure,) = found["figures"]
    assert figure["figure"]["data"][0]["x"][0] == "&lt;b&gt;ridge&lt;/b&gt;"
    assert "<b>ridge</b>" not in (pytester.path / "out/evidence.html").read_text()


def test_a_statistic_that_does_not_exist_is_one_line(pytester):
    claim = POOLED.replace("low minus high", "high minus low")
    pytester.makepyfile(test_mine=CLAIM.format(name="mine", claim=claim, body="[1.0, 2.0]"))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["mine/mine: no statistic 'high minus low': choose one of low minus high,*"])
    assert "plugin.py" not in result.stdout.str()
