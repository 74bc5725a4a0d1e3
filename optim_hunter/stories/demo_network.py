"""The one-layer model as the page carries it: a byte for each number, and logits for the words of a few groups."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Int8, Shaped

from optim_hunter.models.one_layer import OneLayerModel, OneLayerShape, log_probabilities
from optim_hunter.tasks.stories import Windows, word_tokens

MATRICES = ("query", "key", "value", "output", "mlp_in", "mlp_out")
STEP = 1 / 64
"""Of the numbers that a symbol has for itself; the page of ten groups then stays below 4 MB."""
LARGEST = 127

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def rounded_network(model: OneLayerModel, words: Sequence[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of the page.

    A symbol's embedding is `token` · `token.scale` + `position` + `own` · `own.step`: a vector of its token, one of its
    position, and what it has for itself, which is small (it decays in training) and so compresses well. Matrices are
    bytes with a scale for each row; biases and the words' unembeddings float32.
    """
    shape = model.shape
    weights = _nothing(shape) | {name: one.detach().numpy() for name, one in model.state_dict().items()}
    embedding = weights["embedding"].reshape(shape.context, shape.vocabulary, shape.width).astype(float)
    token, scale = _as_bytes(embedding.mean(0))
    rest = embedding - token * scale[:, None]
    position = rest.mean(1).astype(np.float32)
    rest = rest - position[:, None]
    step = max(STEP, float(np.abs(rest).max()) / LARGEST)
    arrays = {"token": token, "token.scale": scale, "position": position, "own": np.rint(rest / step).astype(np.int8)}
    arrays["own.step"] = np.array([step], np.float32)
    for name in MATRICES:
        arrays[name], arrays[f"{name}.scale"] = _as_bytes(weights[name].astype(float))
    places = word_tokens(model.tokenizer, words)
    logits = {"unembedding": np.ascontiguousarray(weights["unembedding"][:, places]), "bias": weights["bias"][places]}
    return arrays | logits | {"mlp_bias": weights["mlp_bias"]}


def _nothing(shape: OneLayerShape) -> dict[str, Float[np.ndarray, "..."]]:
    """What stands for parts that a model was trained without: they write 0."""
    width, neurons = shape.width, shape.neurons
    shapes = {**dict.fromkeys(MATRICES, (width, width)), "mlp_in": (width, neurons), "mlp_out": (neurons, width)}
    return {name: np.zeros(sizes, np.float32) for name, sizes in {**shapes, "mlp_bias": (neurons,)}.items()}


def _as_bytes(
    matrix: Float[np.ndarray, "row column"],
) -> tuple[Int8[np.ndarray, "row column"], Float[np.ndarray, "row"]]:
    """Rounded to 255 steps a row, and the size of a step."""
    scale = (np.maximum(np.abs(matrix).max(1), 1e-30) / LARGEST).astype(np.float32)
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale


def restored_network(model: OneLayerModel, arrays: Arrays) -> OneLayerModel:
    """The model with its weights as the page has them."""
    made = copy.deepcopy(model)
    token = arrays["token"] * arrays["token.scale"][:, None]
    embedding = token + arrays["position"][:, None] + arrays["own"] * arrays["own.step"]
    weights = {"embedding": embedding.reshape(-1, token.shape[1])}
    weights |= {name: arrays[name] * arrays[f"{name}.scale"][:, None] for name in MATRICES}
    made.load_state_dict({name: torch.as_tensor(one) for name, one in weights.items()}, strict=False)
    return made


def network_log_probabilities(
    model: OneLayerModel, windows: Windows, words: Sequence[str]
) -> Float[np.ndarray, "window class"]:
    """Logarithms of the probabilities (nats) among these words."""
    from scipy.special import log_softmax

    said = log_probabilities(model, windows.tokens)[:, word_tokens(model.tokenizer, words)]
    return np.asarray(log_softmax(said.astype(float), axis=1))


def mean_loss(said: Float[np.ndarray, "window class"], labels: Int[np.ndarray, "window"]) -> float:
    """Mean negative log-likelihood of the words that came (nats)."""
    return float(-said[np.arange(len(labels)), labels].mean())
