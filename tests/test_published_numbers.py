"""The published numbers that need no weights, computed again; the cases stand in published_numbers.csv.

A case without a tolerance agrees to all seven digits that were published; the others say why they do not.
"""

import csv
import json
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from material import PUBLISHED
from sklearn.linear_model import ElasticNet

from optim_hunter.models.registry import recorded_predictions
from optim_hunter.tasks.datasets import table
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regressors import PUBLISHED_REGRESSORS, REGRESSORS, TrainingData, fit_all, label_of, predict
from optim_hunter.tasks.solvers import with_bias

SETS = json.loads(resources.files("optim_hunter.data").joinpath("published_errors.json").read_text("utf-8"))["sets"]
ROWS = list(csv.DictReader(Path(__file__).with_name("published_numbers.csv").read_text("utf-8").splitlines()))
SEEDS = range(100)
NOT_RECOMPUTED = {"mlp_deep1": 0.5}
"""Label → by how much at least two published runs of one protocol differ, as a share of the published error."""
WITHOUT_WORST_SEED = {"mlp_deep2": 0.1}
"""Label → tolerance of the mean without its worst seed, which here holds more than all others together."""


@cache
def tables(dataset):
    return [table(dataset, seed) for seed in SEEDS]


@cache
def errors(dataset, examples, tests, random_state, name):
    """The mean squared error of each seed."""
    cases = [
        TrainingData(x[:examples], y[:examples], z[:tests], seed if random_state is None else random_state)
        for seed, (x, y, z, _) in zip(SEEDS, tables(dataset), strict=True)
    ]
    golds = [gold[:tests] for *_, gold in tables(dataset)]
    fits = fit_all([name], cases, workers=1)
    return np.array([np.mean((one[name].values - gold) ** 2) for one, gold in zip(fits, golds, strict=True)])


def error_in(published, name):
    settings = (published[key] for key in ("dataset", "examples", "tests", "random_state"))
    return float(errors(*settings, name).mean())


def digits(value):
    """As the plots give it: seven digits."""
    return float(f"{value:.7g}")


def case_of(row):
    marks = [pytest.mark.slow] if row["cost"] == "slow" else []
    return pytest.param(row, id=f"{row['set']}-{row['method']}", marks=marks)


@pytest.mark.parametrize("row", [case_of(row) for row in ROWS])
def test_a_published_error_is_recomputed(row):
    published = SETS[row["set"]]
    expected, found = published["mse"][label_of(row["method"])], error_in(published, row["method"])
    if not row["tolerance"]:
        assert digits(found) == expected
        return
    assert row["remark"], "a tolerance needs a reason"
    assert found == pytest.approx(expected, rel=float(row["tolerance"]))


def test_the_table_leaves_no_published_regressor_of_64_examples_out_without_a_reason():
    labels = {REGRESSORS[row["method"]].label for row in ROWS if row["set"] == "original2_jan_feb"}
    regressors = {REGRESSORS[name].label for name in PUBLISHED_REGRESSORS if name != "linear_regression"}
    assert labels | NOT_RECOMPUTED.keys() | WITHOUT_WORST_SEED.keys() == regressors
    assert regressors == SETS["original2_jan_feb"]["mse"].keys() - {"LLaMA-3.1 8B"}


@pytest.mark.slow
@pytest.mark.parametrize("published", ["original2_jan_feb", "original2_mar"])
@pytest.mark.parametrize("label", WITHOUT_WORST_SEED)
def test_without_one_seed_a_published_error_is_recomputed(label, published):
    """No errors by seed were published: whether theirs has such a seed is not known, but 3.5 and 5.0 % apart is."""
    found = np.sort(errors("original2", 64, 32, None, label))[:-1].mean()
    assert found == pytest.approx(SETS[published]["mse"][label], rel=WITHOUT_WORST_SEED[label])


def test_the_last_digit_of_the_features_moves_the_error_of_a_seed_tenfold():
    """Why MLPs agree with tolerances: L-BFGS on unscaled features ends elsewhere when rounding differs."""
    x, y, z, gold = table("original2", 36)
    found = []
    for seed in range(6):
        changed = x[:64] * (1 + 1e-15 * np.random.default_rng(seed).standard_normal(x[:64].shape))
        found.append(np.mean((predict("mlp_deep2", changed, y[:64], z, 36) - gold) ** 2))
    assert max(found) > 5 * min(found)


@pytest.mark.parametrize("label", NOT_RECOMPUTED)
def test_two_published_runs_of_the_same_code_differ_as_much_as_ours(label):
    """Why no tolerance is stated."""
    first, second = (SETS[name]["mse"][label] for name in ("original2_jan_feb", "original2_mar"))
    assert max(first, second) / min(first, second) - 1 > NOT_RECOMPUTED[label]


# published solvers that are not what their name says


def test_the_published_lasso_is_an_elastic_net():
    """Its step forgets to divide by the features' norm, which adds a ridge penalty of (n − 1)/n."""
    found, n = [], 64
    for x, y, z, gold in tables("original2"):
        norms = np.sqrt((x**2).sum(0))
        one_norm, two_norm = 0.1, (n - 1) / n
        net = ElasticNet(one_norm + two_norm, l1_ratio=one_norm / (one_norm + two_norm), tol=1e-8, max_iter=10_000)
        found.append(np.mean((net.fit(x / norms, y).predict(z / norms) - gold) ** 2))
    assert digits(np.mean(found)) == SETS["original2_solvers"]["mse"]["lasso_regression"]


def test_the_published_stochastic_descent_predicts_nearly_zero():
    """Gradients cut to norm 1 at a rate of 0.001 move the weights by 0.2 in all its steps; outputs are about 1,000."""
    zero = np.mean([np.mean(gold**2) for *_, gold in tables("original2")])
    assert zero == pytest.approx(SETS["original2_solvers"]["mse"]["sgd"], rel=5e-4)


def test_the_published_irls_stops_before_it_converges():
    def reweighted(x, y, iterations):
        weights = np.zeros(x.shape[1])
        for _ in range(iterations):
            residual = y - x @ weights
            scaled = x / np.maximum(np.abs(residual), 1e-6)[:, None]
            weights += np.linalg.solve(scaled.T @ x, scaled.T @ residual)
        return weights

    def error(iterations):
        solved = [
            np.mean((with_bias(z) @ reweighted(with_bias(x), y, iterations) - gold) ** 2)
            for x, y, z, gold in tables("original2")
        ]
        return float(np.mean(solved))

    expected = SETS["original2_solvers"]["mse"]["irls"]
    assert digits(error(100)) == expected
    assert error(400) == pytest.approx(434_600, rel=1e-3)  # 434,709 by linear programming


# the same data for all


@pytest.mark.slow
def test_with_25_examples_and_one_test_case_for_all_the_language_model_ranks_eighth_of_25():
    found = {
        name: float(errors("original2", 25, 1, None, name).mean())
        for name in PUBLISHED_REGRESSORS
        if name != "linear_regression"
    }
    published = SETS["original2_jan_feb"]["mse"]
    model = published["LLaMA-3.1 8B"]
    assert sorted(published, key=published.__getitem__).index("LLaMA-3.1 8B") + 1 == 14
    assert model / found["baseline_average"] == pytest.approx(0.313, abs=5e-4)
    close = {name for name, error in found.items() if abs(error / model - 1) < 0.02}
    surely_better = sum(error < model for name, error in found.items() if name not in close)
    assert surely_better + 1 <= 8 <= surely_better + 1 + len(close)
    assert len(found) + 1 == 25


# the base rate

ANSWERS = {"linear_regression": "linear_regression", "knn": "knn_regression", "random_forest": "random_forest",
           "average": "baseline_average", "last": "baseline_last", "random": "baseline_random"}  # fmt: skip


def first_token(value):
    """Llama 3 reads up to three digits as one token."""
    return int(number_text(value).split(".")[0][:3])


@PUBLISHED.needed
@pytest.mark.parametrize("random_state", [0, 1])
def test_published_mean_logits_follow_how_often_outputs_begin_with_or_near_the_token(random_state):
    """The published 0.98 of docs/claims-regression.md: it hangs on what counts as near."""
    published = json.loads((PUBLISHED.path / "logit_diff_accumulated.json").read_text("utf-8"))["sets"]
    pairs = published["notes_HEAD_100"]["pairs"]
    logits = [0.0] + [-pairs[f"gold vs {label}"][-1] for label in ANSWERS]
    x, y, z, gold = tables("friedman_2")[0]
    answers = [gold[0]] + [predict(name, x[:19], y[:19], z, random_state)[0] for name in ANSWERS.values()]
    tokens = np.array([first_token(answer) for answer in answers])
    begun = np.array([[first_token(output) for output in y[:19]] for _, y, _, _ in tables("friedman_2")])
    apart = np.abs(begun[..., np.newaxis] - tokens)
    begin, near = ((apart <= width).sum(axis=1).mean(axis=0) for width in (0, 50))
    assert np.corrcoef(logits, begin)[0, 1] == pytest.approx(0.83, abs=0.015)
    assert np.corrcoef(logits, near)[0, 1] == pytest.approx(0.955, abs=0.01)
    assert np.corrcoef(logits, np.log1p(near))[0, 1] == pytest.approx(0.98, abs=0.01)


# recorded predictions

RECORDED = {"linear_regression": "linear_regression", "knn": "knn_regression", "average": "baseline_average",
            "last": "baseline_last", "random": "baseline_random"}  # fmt: skip


def recomputed(name):
    """What a regressor predicts for each recorded seed; the recorded run took random state 1 for every seed."""
    cases = [TrainingData(x, y, z, 1) for x, y, z, _ in tables("friedman_2")]
    return np.array([one[name].values[0] for one in fit_all([name], cases, workers=1)])


@pytest.mark.parametrize("label", RECORDED)
def test_recorded_predictions_are_recomputed(label):
    recorded = recorded_predictions("recorded:llama-3.1-8b")["predictions"][label]
    assert [digits(value) for value in recomputed(RECORDED[label])] == recorded


def test_recorded_golds_are_recomputed():
    recorded = recorded_predictions("recorded:llama-3.1-8b")["predictions"]["gold"]
    assert [float(gold[0]) for *_, gold in tables("friedman_2")] == recorded


@pytest.mark.slow
def test_recorded_forests_are_recomputed_up_to_equally_good_splits():
    recorded = recorded_predictions("recorded:llama-3.1-8b")["predictions"]["random_forest"]
    found = recomputed("random_forest")
    assert sum(digits(one) == other for one, other in zip(found, recorded, strict=True)) >= 90
    np.testing.assert_allclose(found, recorded, rtol=0.02)
