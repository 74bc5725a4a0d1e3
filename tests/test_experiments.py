"""The published experiments as functions: what their pages say, with which labels, from how many seeds."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Browser
from experiment_pages import GIVEN, Page, keep_apart
from markupsafe import Markup
from material import SEED_DOCUMENTS

from optim_hunter import open_language_model, sklearn_regressors
from optim_hunter.claim import UserError
from optim_hunter.datasets import get_dataset, get_dataset_friedman_2
from optim_hunter.evidence import fragment
from optim_hunter.experiments.attention import attention
from optim_hunter.experiments.cap import capped, capped_seeds, chosen_seeds
from optim_hunter.experiments.claude_wanted_to_try_this import PARTS, analyze_llm_component_understanding
from optim_hunter.experiments.logit_diff import generate_logit_diff_batched
from optim_hunter.experiments.mlp import analyze_mlp_for_specific_tokens
from optim_hunter.experiments.observing import observations
from optim_hunter.experiments.predicting import SeedPredictions
from optim_hunter.experiments.regressors_comparison import Comparison, compare_llm_and_regressors, sections
from optim_hunter.measures.prediction import relative_error_gain
from optim_hunter.model_utils import check_token_positions, get_tokenized_prompt
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.engine import Engine
from optim_hunter.tasks.regression import RegressionTask, draw
from optim_hunter.tasks.regressors import predict

REGRESSORS = [sklearn_regressors.ridge, sklearn_regressors.knn_regression, sklearn_regressors.baseline_average]


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_apart(tmp_path_factory, monkeypatch)


@pytest.fixture(scope="module")
def kernel() -> LanguageModel:
    return open_language_model("planted:kernel-regression")


# Regressors


def test_errors_are_those_of_the_same_examples_and_test_case(kernel: LanguageModel) -> None:
    page = Page(compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 6, 3, kernel))
    bars = page.figure("Mean squared error with")["data"][0]
    shown = dict(zip(bars["y"], bars["x"], strict=True))
    episodes = [draw(RegressionTask("friedman_2", examples=6), seed) for seed in range(3)]
    for name in ("ridge", "knn_regression", "baseline_average"):
        errors = [
            predict(name, one.features, one.outputs, one.test_features[None], one.seed)[0] - one.gold
            for one in episodes
        ]
        assert shown[name] == pytest.approx(np.mean(np.square(errors)))
    assert list(shown.values()) == sorted(shown.values())
    assert "planted:kernel-regression (the model)" in shown
    assert "n = 3 seeds" in page.words
    assert all(reach > 0 for side in ("array", "arrayminus") for reach in bars["error_x"][side])


def test_answers_without_a_number_are_counted_and_shown(tiny_model: LanguageModel) -> None:
    page = Page(compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 4, 3, tiny_model))
    count = int(re.search(r"(\d) of 3 answers of tiny \(the model\) are no number", page.words)[1])
    listed = [row for row in page.rows if row[0] in ("0", "1", "2") and ("no number" in row[1] or "end" in row[1])]
    assert 0 < count == len(listed)
    assert ["ridge", "3 of 3"] in [row[:2] for row in page.rows]


def test_a_seed_without_a_number_is_left_out_for_every_method() -> None:
    model, rival = np.array([1.0, np.nan, 2.0, 9.0]), np.array([0.0, 50.0, 4.0, 0.0])
    methods = {
        "model": SeedPredictions(model, {1: "the answer is no number: '<b>'"}),
        "rival": SeedPredictions(rival, {}),
    }
    compared = Comparison([3, 4, 5, 6], np.zeros(4), methods)
    assert compared.errors["rival"].tolist() == [0.0, 4.0, 0.0]
    squared, absolute, low, answers = sections(compared, 25, low_error=5.0)
    assert "n = 3 seeds; 1 more on which a method gave no number are left out" in squared.text
    assert squared.tables[0].rows[0][1] == "4 of 4"
    assert "below 5.00 on 2 of 3 seeds (3,5)" in low.text
    assert "own list" in low.text
    on_models_list, on_own = (trace["x"] for trace in low.figures[0].figure["data"])
    assert on_models_list == [2.5, 8.0]
    assert on_own == [2.5, 0.0]
    assert "1 of 4 answers" in answers.text
    assert absolute.figures[0].figure["data"][0]["x"] == pytest.approx([4 / 3, 4.0])
    assert "&lt;b&gt;" in fragment.shown("", [answers])


def test_without_any_common_seed_nothing_is_compared() -> None:
    nothing = {"model": SeedPredictions(np.array([np.nan]), {0: "the answer is no number: ''"})}
    (errors, _) = sections(Comparison([0], np.zeros(1), nothing), 25, 1.0)
    assert "nothing to compare" in errors.text
    assert not errors.figures


def test_regressors_of_ones_own_are_called_with_the_models_examples(kernel: LanguageModel) -> None:
    def nearest(x_train: Any, y_train: Any, x_test: Any, y_test: Any, random_state: int = 0) -> Any:
        return sklearn_regressors.knn_regression_v4(x_train, y_train, x_test, y_test, random_state)

    page = Page(compare_llm_and_regressors(get_dataset_friedman_2, [nearest, REGRESSORS[0]], 5, 2, kernel))
    bars = page.figure("Mean absolute error with")["data"][0]
    same = Page(
        compare_llm_and_regressors(get_dataset_friedman_2, [sklearn_regressors.knn_regression_v4], 5, 2, kernel)
    )
    known = same.figure("Mean absolute error with")["data"][0]
    assert bars["x"][bars["y"].index("nearest")] == known["x"][known["y"].index("knn_regression_v4")]


def test_what_was_seen_is_recalled_from_the_store(kernel: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 6, 3, kernel)
    monkeypatch.setattr(Engine, "read", None)
    monkeypatch.setattr("optim_hunter.tasks.regressors.fit", None)
    assert compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 6, 3, kernel) == first


# Parts of a formula


def test_what_follows_the_first_line_of_an_answer_changes_no_score(
    kernel: LanguageModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain = Page(analyze_llm_component_understanding(kernel, n_samples=2))
    decode, longer = LanguageModel.decode, []

    def decode_with_another_number(model: LanguageModel, ids: list[int]) -> str:
        text = decode(model, ids)
        if re.fullmatch(r"[\d.]+\n", text):
            longer.append(text := f"{text}999.5\n")
        return text

    monkeypatch.setattr(LanguageModel, "decode", decode_with_another_number)
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path))
    assert Page(analyze_llm_component_understanding(kernel, n_samples=2)).figures == plain.figures
    assert longer


def test_gains_are_those_of_the_claims_and_of_answers_asked_for_one_by_one(kernel: LanguageModel) -> None:
    page = Page(analyze_llm_component_understanding(kernel, n_samples=4))
    llm = sklearn_regressors.create_llm_regressor(kernel, "kernel")
    for name, shown in zip(PARTS, page.figure("Gain over the mean")["data"][0]["x"], strict=True):
        seen = observations(kernel, get_dataset(name), 10, range(4), {"answer"})
        claimed, alone = [], []
        for one in seen:
            data = one.episode.features, one.episode.outputs, one.episode.test_features[None], [one.episode.gold]
            answer, average = (method(*data).y_predict[0] for method in (llm, sklearn_regressors.baseline_average))
            if np.isnan(answer):
                continue
            claimed.append(relative_error_gain(one, "average"))
            errors = abs(average - one.episode.gold) - abs(answer - one.episode.gold)
            alone.append(errors / np.mean(np.abs(one.episode.outputs - average)))
        assert len(alone) > 1
        assert [shown, shown] == pytest.approx([np.mean(claimed), np.mean(alone)])


def test_every_part_of_the_formula_is_shown(kernel: LanguageModel) -> None:
    page = Page(analyze_llm_component_understanding(kernel, n_samples=4))
    gains = page.figure("Gain over the mean")["data"][0]
    assert gains["y"] == [
        "x0⁴",
        "x1·x2",
        "2/(√x1·√x3)",
        "(x1·x2 − 2/(√x1·√x3))²",
        "(x0⁴ + (x1·x2 − 2/(√x1·√x3))²)^0.75",
    ]
    assert len(page.figure("Answers over true values")["layout"]["updatemenus"][0]["buttons"]) == 5
    correlations = page.figure("Correlation of answer")["data"][0]["x"]
    assert all(one is None or -1 <= one <= 1 for one in correlations)
    assert re.search(r"\d+ of 20 answers of planted:kernel-regression are no number", page.words)


# Caps, pages and mistakes


def test_a_cap_is_honoured_and_said(kernel: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIM_HUNTER_SEEDS_CAP", "2")
    page = Page(compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 6, 3, kernel, random_seeds=[5, 2, 7]))
    assert "Capped: 2 of the 3 seeds that were asked for were run" in page.words
    assert "n = 2 seeds" in page.words
    assert capped_seeds([5, 2, 7]) == [5, 2]
    monkeypatch.setenv("OPTIM_HUNTER_SEEDS_CAP", "few")
    with pytest.raises(UserError, match="OPTIM_HUNTER_SEEDS_CAP='few': write a whole number"):
        capped(3)


def test_fewer_seeds_than_batches_are_said_and_a_seed_named_twice_is_refused(kernel: LanguageModel) -> None:
    def compared(batches: int, seeds: list[int]) -> Page:
        return Page(compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS[:1], 6, batches, kernel, seeds))

    fewer = "5 batches were asked for, but random_seeds holds 2 seeds."
    assert fewer in compared(5, [4, 8]).words
    assert "batches were asked for" not in compared(2, [4, 8, 9]).words
    assert chosen_seeds(5, [4, 8]) == ([4, 8], [fewer])
    assert chosen_seeds(2, None) == ([0, 1], [])
    for batches, seeds, message in (
        (2, [4, 8, 4], "random_seeds names 4 twice"),
        (2, [], "0 seeds: at least one is needed"),
        (0, [4], "0 seeds: at least one is needed"),
        (-1, [4, 8], "-1 seeds: at least one is needed"),
        (1, [-3], "random_state -3: a seed is a whole number"),
        (1, [0.5], "random_state 0.5: a seed is a whole number"),
    ):
        with pytest.raises(UserError, match=message):
            compared(batches, seeds)
        with pytest.raises(UserError, match=message):
            generate_logit_diff_batched(get_dataset_friedman_2, GIVEN[:1], 6, batches, kernel, seeds)


@pytest.mark.parametrize("model", [None, "smollm2-135m"])
def test_what_is_no_model_is_told_at_once(model: Any) -> None:
    for ask in (
        lambda: compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 6, 3, model),
        lambda: generate_logit_diff_batched(get_dataset_friedman_2, GIVEN, 6, 3, model),
        lambda: attention(model, 3, 4, get_dataset_friedman_2),
        lambda: analyze_mlp_for_specific_tokens(model, torch.tensor([[1, 2]]), [0], [1]),
        lambda: analyze_llm_component_understanding(model, 3),
    ):
        with pytest.raises(UserError, match="is no language model: give what load_llama_model returns"):
            ask()


@pytest.mark.parametrize("examples", [0, -1, 51])
def test_examples_that_no_seed_draws_are_told_at_once(kernel: LanguageModel, examples: int) -> None:
    with pytest.raises(UserError, match=f"{examples} examples: choose 1 to 50"):
        compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, examples, 3, kernel)


@pytest.mark.parametrize("count", [0, -1])
def test_no_seed_at_all_is_a_mistake(count: int) -> None:
    with pytest.raises(UserError, match="at least one is needed"):
        capped(count)


def test_a_page_of_its_own_holds_plotly_once_and_a_fragment_not(monkeypatch: pytest.MonkeyPatch) -> None:
    section = fragment.Section("<h>", "5 < 6", tables=[fragment.Table("", ["a"], [["<script>"]])])
    inside = fragment.shown("T", [section])
    monkeypatch.delenv("OPTIM_HUNTER_NOTES")
    page = fragment.shown("T", [section])
    assert page.count('id="plotly"') == 1
    assert 'id="plotly"' not in inside
    assert str(inside).replace(' data-mark="1"', "") in page
    assert page.startswith("<!DOCTYPE html>")
    assert "<h>" not in page
    assert "default-src 'none'" in page
    assert page._repr_html_() == str(page)


def test_other_data_sets_and_regressors_are_refused(kernel: LanguageModel) -> None:
    with pytest.raises(UserError, match="is no data set of ours"):
        attention(kernel, 2, 5, lambda: None)
    with pytest.raises(UserError, match="cannot be shown for ridge: take some of baseline_average"):
        generate_logit_diff_batched(get_dataset_friedman_2, [sklearn_regressors.ridge], 5, 2, kernel)
    twice = [sklearn_regressors.baseline_last] * 2
    with pytest.raises(UserError, match="baseline_last stands for last, which is named already"):
        generate_logit_diff_batched(get_dataset_friedman_2, twice, 5, 2, kernel)
    with pytest.raises(UserError, match="two regressors are called alike"):
        compare_llm_and_regressors(get_dataset_friedman_2, twice, 5, 2, kernel)


# In a browser


def test_all_figures_of_all_experiments_draw(
    browser: Browser, tiny_model: LanguageModel, kernel: LanguageModel, tmp_path: Path
) -> None:
    prompt = get_tokenized_prompt(tiny_model, 4, 1, get_dataset_friedman_2, print_prompt=False)
    places = check_token_positions(tiny_model, get_dataset_friedman_2, 4, print_info=False)
    fragments = [
        compare_llm_and_regressors(get_dataset_friedman_2, REGRESSORS, 4, 3, kernel),
        generate_logit_diff_batched(get_dataset_friedman_2, GIVEN, 6, 3, tiny_model),
        attention(tiny_model, 3, 4, get_dataset_friedman_2),
        analyze_mlp_for_specific_tokens(tiny_model, prompt, *places, num_last_layers=3),
        analyze_llm_component_understanding(kernel, 3),
    ]
    body = Markup("<style>{}</style><main>{}</main>{}").format(
        fragment.style(), Markup("").join(Markup(one) for one in fragments), fragment.assets()
    )
    page = tmp_path / "page.html"
    page.write_text(fragment.secure(fragment.page("All", body)), encoding="utf-8")
    browser.open(page, "?draw=all")
    browser.wait_for("[...document.querySelectorAll('[data-figure]')].every(one => one.dataset.state === 'drawn')")
    assert browser.evaluate("document.querySelectorAll('[data-figure]').length") >= 15
    assert browser.evaluate("document.querySelectorAll('.plot svg.main-svg').length") >= 30
    assert browser.console == []


# The document's calls


@SEED_DOCUMENTS.needed
@pytest.mark.parametrize(
    "function",
    [
        compare_llm_and_regressors,
        generate_logit_diff_batched,
        analyze_llm_component_understanding,
        attention,
        analyze_mlp_for_specific_tokens,
    ],
    ids=lambda function: function.__name__,
)
def test_signatures_take_the_documents_calls(function: Any) -> None:
    document = (SEED_DOCUMENTS.path / "regression-notes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", document, flags=re.DOTALL)
    calls = [
        node
        for block in blocks
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == function.__name__
    ]
    assert calls
    for call in calls:
        inspect.signature(function).bind(*call.args, **{one.arg: one.value for one in call.keywords if one.arg})
