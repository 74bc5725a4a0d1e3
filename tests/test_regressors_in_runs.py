"""Regressors beside what a run observes: kept, in a model's place, and as controls of claims."""

import json

import numpy as np
import pytest

import fixtures.imported  # noqa: F401
from optim_hunter.claim import NoValue, UserError
from optim_hunter.models.registry import check_name, kind, marker
from optim_hunter.observe.predictions import Predictors
from optim_hunter.observe.store import Store
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.regression import RegressionTask, draw
from optim_hunter.tasks.regressors import PUBLISHED_REGRESSORS, predict

pytest_plugins = ["pytester"]
CHEAP = ("linear_regression", "knn_regression", "baseline_random", "solve_irls")


def test_predictions_are_made_once_and_then_kept(tmp_path, monkeypatch):
    task = RegressionTask("friedman_2", examples=4, queries_per_seed=2)
    plans = {"friedman_2": {task: dict.fromkeys({0, 1, 2}, frozenset({"regressors"}))}}
    first = Predictors(CHEAP, plans, Store(tmp_path), "regressors")
    shown = first.predictions(task, 1, 1)
    assert (first.fits, first.taken) == (3 * len(CHEAP), 0)
    episode = draw(task, 1, 1)
    alone = predict("solve_irls", episode.features, episode.outputs, episode.test_features[None], 1)[0]
    assert shown["solve_irls"] == pytest.approx(alone)
    with pytest.raises(NoValue, match="from 4 examples"):  # five neighbours of four examples
        shown["knn_regression"]
    assert list(shown) == ["linear_regression", "baseline_random", "solve_irls", "knn_regression"]
    second = Predictors(CHEAP, plans, Store(tmp_path), "regressors")
    again = second.predictions(task, 1, 1)
    assert (second.fits, second.taken) == (0, 3 * len(CHEAP))
    assert again.finite == shown.finite
    assert again.missing == shown.missing
    monkeypatch.setattr("optim_hunter.observe.predictions.regressors_engine", lambda: "another version")
    third = Predictors(CHEAP, plans, Store(tmp_path), "regressors")
    third.predictions(task, 1)
    assert third.taken == 0


def test_regressors_stand_beside_the_answer_of_any_subject():
    task = RegressionTask("friedman_2", examples=50)
    plans = {"friedman_2": {task: {3: {"answer", "regressors"}}}}
    for name in ("recorded:llama-3.1-8b", "regressor:linear_regression"):
        observation = open_subject(name, Options(), plans, None).observe(task, 3, 0)
        assert set(observation.regressors) == set(PUBLISHED_REGRESSORS)
        assert observation.regressors["linear_regression"] == pytest.approx(178.7167, rel=1e-6)  # as recorded
        assert np.isfinite(observation.prediction)


def test_names_of_regressors_are_checked():
    check_name("regressor:random_forest")
    assert (kind("regressor:ridge"), marker("regressor:ridge", "cuda")) == ("regressor", "cpu")
    with pytest.raises(UserError, match="did you mean ridge"):
        check_name("regressor:rigde")
    with pytest.raises(UserError, match="cannot stand in a model's place"):
        check_name("regressor:baseline_constant")


CLAIM = """
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.tasks.regression import RegressionTask

@claim(Claim(
    id="mine/beats-average", statement="It does.", source="a test", family="mine", needs={"answer", "regressors"},
    conditions=(Condition("gain", "error of the mean minus its own", "units of the output", 1.0),), seeds="0-23",
    protocols=(Protocol("corrected", RegressionTask("friedman_2", examples=25), models=("planted:output-head",)),),
    controls={"regressor:linear_regression": Verdict.SUPPORTED, "regressor:baseline_average": Verdict.REFUTED},
))
def test_beats_average(observation):
    gold = observation.episode.gold
    return abs(observation.regressors["baseline_average"] - gold) - abs(observation.prediction - gold)
"""


def test_regressors_are_controls_of_claims_about_answers_and_may_be_chosen(pytester, monkeypatch):
    shown = "linear_regression", "baseline_average"
    monkeypatch.setattr("optim_hunter.subjects.regressor.PUBLISHED_REGRESSORS", shown)
    pytester.makepyfile(test_mine=CLAIM)
    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--claims-out=out", "--claims-store=store", "--claims-model=regressor:ridge"
    )
    ledger = json.loads((pytester.path / "out" / "ledger.json").read_text())
    verdicts = {entry["model"]: entry["verdict"] for entry in ledger["claims"]}
    assert verdicts == {
        "regressor:linear_regression": "supported",
        "regressor:baseline_average": "refuted",
        "regressor:ridge": "supported",
    }
    source = next(entry["source_of_model"] for entry in ledger["claims"] if entry["model"] == "regressor:ridge")
    assert source["source"].startswith("scikit-learn ")
    works = ledger["run"]["work"]
    assert sum(work["fits"] for work in works.values()) == 24 * (len(shown) + 3)  # predictions once for all three
    assert result.ret == 0
