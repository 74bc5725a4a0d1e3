"""The published experiments that look inside a model: logit differences, attention, activations."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from experiment_pages import GIVEN, Page, keep_apart

from optim_hunter import open_language_model, sklearn_regressors
from optim_hunter.claim import UserError
from optim_hunter.datasets import get_dataset_friedman_2
from optim_hunter.experiments.attention import attention
from optim_hunter.experiments.logit_diff import generate_logit_diff_batched
from optim_hunter.experiments.mlp import analyze_mlp_for_specific_tokens
from optim_hunter.measures.activations import distances
from optim_hunter.model_utils import check_token_positions, get_tokenized_prompt
from optim_hunter.models.language import LanguageModel
from optim_hunter.tasks.prompts import number_text, regression_prompt
from optim_hunter.tasks.regression import RegressionTask, draw


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_apart(tmp_path_factory, monkeypatch)


def first_token(model: LanguageModel, prompt: str, value: float) -> int:
    """The token that a number begins with where it stands after the prompt."""
    return model.encode(prompt + number_text(value)).ids[len(model.encode(prompt).ids)]


def logits_after(model: LanguageModel, prompt: str) -> np.ndarray:
    """The plain model's logits at the prompt's last token."""
    with torch.inference_mode():
        return model.module(torch.tensor([model.encode(prompt).ids])).logits[0, -1].numpy()


def test_logit_differences_sum_to_those_of_the_plain_model(tiny_model: LanguageModel) -> None:
    llm = sklearn_regressors.create_llm_regressor(tiny_model, "tiny", max_new_tokens=1)
    page = Page(generate_logit_diff_batched(get_dataset_friedman_2, [*GIVEN, llm], 6, 3, tiny_model))
    episodes = [draw(RegressionTask("friedman_2", examples=6), seed) for seed in range(3)]
    prompts = [regression_prompt(one).text for one in episodes]
    logits = [logits_after(tiny_model, prompt) for prompt in prompts]
    gold = [first_token(tiny_model, prompt, one.gold) for prompt, one in zip(prompts, episodes, strict=True)]
    own = np.mean([seed[token] - seed.max() for seed, token in zip(logits, gold, strict=True)])
    published = np.mean([seed[gold[0]] - seed[logits[0].argmax()] for seed in logits])
    lines = shown_for(page.figure("Accumulated"), "gold vs llm-tiny")
    assert [line["y"][-1] for line in lines] == pytest.approx([own, published], abs=1e-3)
    assert lines[0]["x"] == ["embed", "attention 0", "MLP 0", "attention 1", "MLP 1", "attention 2", "MLP 2"]


def test_every_pair_is_shown_with_its_seeds_and_tokens_that_are_alike_are_left_out(tiny_model: LanguageModel) -> None:
    page = Page(generate_logit_diff_batched(get_dataset_friedman_2, GIVEN, 6, 3, tiny_model))
    rows = {row[0]: int(row[1]) for row in page.rows if len(row) == 5 and " vs " in row[0]}
    assert len(rows) == 15
    own = [int(row[1]) for row in page.rows if len(row) == 5 and " vs " in row[0]][:15]
    alike = int(re.search(r"In (\d+) of 45 cases both answers begin with the same token", page.words)[1])
    assert alike == 45 - sum(own)
    assert "gold vs baseline_last" in rows
    assert len(page.figures) == 4


def test_seeds_may_be_named_and_need_not_hold_seed_0(tiny_model: LanguageModel) -> None:
    page = generate_logit_diff_batched(get_dataset_friedman_2, GIVEN[:2], 5, 2, tiny_model, random_seeds=[3, 8, 9])
    assert "on 2 seeds" in page


def test_too_few_examples_for_a_regressor_are_a_mistake(tiny_model: LanguageModel) -> None:
    with pytest.raises(UserError, match=r"logit differences of seed 0: .*ask for more"):
        generate_logit_diff_batched(get_dataset_friedman_2, GIVEN, 4, 1, tiny_model)


def shown_for(figure: dict[str, Any], choice: str) -> list[dict[str, Any]]:
    """The traces that a figure's menu shows for a choice."""
    (button,) = [one for one in figure["layout"]["updatemenus"][0]["buttons"] if one["label"] == choice]
    visible = button["args"][0]["visible"]
    return [trace for trace, seen in zip(figure["data"], visible, strict=True) if seen]


# Attention and activations


def test_the_planted_head_leads_the_map() -> None:
    page = Page(
        attention(open_language_model("planted:output-head"), num_seeds=2, seq_len=5, dataset=get_dataset_friedman_2)
    )
    assert "L2H1 puts the largest share of its row on the tokens of the earlier output values" in page.words
    assert next(row for row in page.rows if row[0].startswith("L"))[0] == "L2H1"
    assert len(page.figures) >= 3


def test_activations_are_what_the_down_projection_takes_in(tiny_model: LanguageModel) -> None:
    prompt = get_tokenized_prompt(tiny_model, 5, 1, get_dataset_friedman_2, print_prompt=False)
    outputs, features = check_token_positions(tiny_model, get_dataset_friedman_2, 5, print_info=False)
    page = Page(analyze_mlp_for_specific_tokens(tiny_model, prompt, outputs, features, num_last_layers=2))
    seen: list[np.ndarray] = []
    last = tiny_model.module.model.layers[-1].mlp.down_proj
    handle = last.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].numpy()))
    with torch.inference_mode():
        tiny_model.module(prompt)
    handle.remove()
    figure = page.figure("the menu chooses the statistic")
    for name, of in (("mean", np.mean), ("standard deviation", np.std), ("share above zero", lambda a: np.mean(a > 0))):
        at_outputs, at_features = (trace["y"][-1] for trace in shown_for(figure, name))
        assert [at_outputs, at_features] == pytest.approx([of(seen[0][outputs]), of(seen[0][features])], abs=1e-4)
    assert figure["data"][0]["x"] == ["MLP 1", "MLP 2"]
    assert "no part of a number" not in page.words


def test_places_of_another_prompt_are_noticed(tiny_model: LanguageModel) -> None:
    prompt = get_tokenized_prompt(tiny_model, 4, 1, get_dataset_friedman_2, print_prompt=False)
    outputs, features = check_token_positions(tiny_model, get_dataset_friedman_2, 4, print_info=False)
    page = analyze_mlp_for_specific_tokens(tiny_model, prompt, [place + 1 for place in outputs], [features[0]])
    assert "are no part of a number" in page
    for wrong, message in (
        (([], features), "no place for outputs"),
        ((outputs, [9999]), "no place 9999 for features"),
        ((outputs, [*features, outputs[0]]), "each token is of one kind"),
    ):
        with pytest.raises(UserError, match=message):
            analyze_mlp_for_specific_tokens(tiny_model, prompt, *wrong)


def token_places(examples: int) -> tuple[list[int], list[int]]:
    """Of outputs and of features: numbers of two tokens, four features before each output, and a test case."""
    starts = range(0, 20 * examples + 16, 4)
    outputs = [start + token for start in starts if start % 20 == 16 for token in range(2)]
    return outputs, [start + token for start in starts if start % 20 != 16 for token in range(2)]


def test_distance_is_without_what_chance_adds() -> None:
    generator = np.random.default_rng(0)
    places = token_places(1000)
    outputs, features = (generator.normal(0.2, 1.0, (1, len(kind), 60)) for kind in places)
    alike = distances(outputs, features, *places)
    assert abs(alike["squared distance"][0]) < 0.05
    apart = distances(outputs, features + 0.2, *places)
    assert apart["squared distance"][0] == pytest.approx(0.2**2 / ((0.2**2 + 0.4**2) / 2), rel=0.1)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_distance_is_not_moved_by_what_tells_features_apart(shift: float) -> None:
    """Four kinds of features without noise: what outputs differ from is their mean, whichever feature stands where."""
    places = token_places(6)
    means = np.random.default_rng(1).normal(0, 3, (4, 60))
    kind = np.array([place % 20 // 4 for place in places[1]])
    features = means[kind][np.newaxis]
    at_outputs = means.mean(axis=0) + shift
    outputs = np.tile(at_outputs, (1, len(places[0]), 1))
    features[:, -8:] += 100.0  # the test case, which has no output
    found = distances(outputs, features, *places)["squared distance"]
    lengths = ((means.mean(axis=0) ** 2).sum() + (at_outputs**2).sum()) / 2
    assert found.tolist() == pytest.approx([60 * shift**2 / lengths], abs=1e-9)


def test_a_single_example_has_no_distance() -> None:
    places = token_places(1)
    outputs, features = (np.ones((1, len(kind), 3)) for kind in places)
    assert np.isnan(distances(outputs, features, *places)["squared distance"][0])
