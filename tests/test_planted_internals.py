"""Plants of claims about internals, measured with plain hooks and transformers' own attention, not our observers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from jaxtyping import Float
from test_planted import SEEDS, encode, episode, mlp_shares, planted, write_logits
from torch import Tensor

from optim_hunter.models.planted_parts import integer_tokens
from optim_hunter.tasks.prompts import number_text, regression_prompt, tokens_of

BEFORE_LAST, LAST = -2, -1


def shares_of_mlps(name: str, seed: int) -> Float[np.ndarray, " layer"]:
    """Share of each MLP in what is written for the answer against the mean's first token."""
    _, tokenizer = planted(name)
    effects, logits = write_logits(name, seed)
    mean = number_text(episode(seed).outputs.mean()).split(".")[0]
    return mlp_shares(effects, (int(logits.argmax()), int(tokenizer.convert_tokens_to_ids(mean))))


def counts_of(numbers: Float[np.ndarray, " number"], integers: int) -> Float[np.ndarray, " integer"]:
    """How many of the numbers begin with each integer."""
    return np.bincount(numbers.astype(int), minlength=integers)


@cache
def neurons(name: str, seed: int) -> Float[Tensor, "layer token neuron"]:
    """The input of every layer's down projection."""
    model, tokenizer = planted(name)
    seen: list[Tensor] = []
    hooks = [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
        for layer in model.model.layers
    ]
    tokens, _ = encode(tokenizer, regression_prompt(episode(seed)))
    model(tokens, logits_to_keep=1)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen)


def mean_neurons(name: str, seed: int, column: int) -> Float[np.ndarray, "layer neuron"]:
    """Mean over the tokens of a column of the examples: feature 0 … 3, or 4, the outputs."""
    prompt = regression_prompt(episode(seed))
    _, offsets = encode(planted(name)[1], prompt)
    values = prompt.values[: 5 * len(episode(seed).outputs)][column::5]
    places = [place for value in values for place in tokens_of(value, offsets)]
    return neurons(name, seed)[:, places].mean(1).numpy()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_mlp_but_one_writes_the_answer_and_in_the_twin_the_last(seed: int) -> None:
    plant, twin = (shares_of_mlps(f"planted:before-last-mlp{suffix}", seed) for suffix in ("", "-twin"))
    assert plant[BEFORE_LAST] > 0.4
    assert plant[LAST] < 0.06
    assert (plant[LAST], plant[BEFORE_LAST]) == pytest.approx((twin[BEFORE_LAST], twin[LAST]), abs=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_logits_follow_counts_of_outputs_and_in_the_twin_those_of_feature_1(seed: int) -> None:
    data = episode(seed)
    for suffix, followed, other in (("", 0, 1), ("-twin", 1, 0)):
        _, tokenizer = planted("planted:base-rate")
        logits = write_logits(f"planted:base-rate{suffix}", seed)[1][integer_tokens(tokenizer)].numpy()
        values = data.outputs, np.append(data.features[:, 1], data.test_features[1])
        counts = [counts_of(one, len(logits)) for one in values]
        assert np.corrcoef(logits, counts[followed])[0, 1] > 0.25
        assert abs(np.corrcoef(logits, counts[other])[0, 1]) < 0.1
        seen = counts[followed] > 0
        assert logits[seen].mean() - logits[~seen].mean() > 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_neurons_fire_at_outputs_and_in_the_twin_at_feature_1(seed: int) -> None:
    for suffix, marked in (("", 4), ("-twin", 1)):
        means = [mean_neurons(f"planted:output-neurons{suffix}", seed, column) for column in range(5)]
        lengths = [np.linalg.norm(mean) for mean in means]
        own = [np.linalg.norm(means[marked] - mean) for mean in means]
        rest = [column for column in range(5) if column != marked]
        among = max(np.linalg.norm(means[a] - means[b]) for a in rest for b in rest)
        assert min(own[column] for column in rest) > 2 * among
        assert min(own[column] for column in rest) > 0.5 * max(lengths)


def test_the_copier_of_late_mlp_looks_where_an_induction_head_does_and_base_rate_heads_do_not() -> None:
    """From a label's token, one example back and one token on."""
    for name, head, on_stripe in (("planted:late-mlp", (3, 0), True), ("planted:base-rate", (1, 0), False)):
        model, tokenizer = planted(name)
        model.set_attn_implementation("eager")
        tokens, _ = encode(tokenizer, regression_prompt(episode(0)))
        rows = model(tokens, output_attentions=True, logits_to_keep=1).attentions[head[0]][0, head[1]]
        words = tokenizer.convert_ids_to_tokens(tokens[0])
        label = max(place for place, word in enumerate(words) if word == "Feature")
        earlier = [
            place + 1 for place, word in enumerate(words[:label]) if word == "Feature" and words[place + 2] == "3"
        ]
        assert float(rows[label, earlier].sum()) == pytest.approx(float(on_stripe), abs=1e-3)
