"""The linear model of all next tokens: one weight for each token at each position and each token that may come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding_bag

from optim_hunter.models.ngrams import fit_ngrams
from optim_hunter.tasks.next_tokens import NextTokens

EPOCHS = 2.0
BATCH = 4096
RATE = 1e-2
"""Adam's rate at the start, which falls to 0 on a straight line."""

BETAS = 0.9, 0.99


@dataclass(frozen=True)
class TokensLinear:
    """logits = offsets + Σ_position weights[position · vocabulary + token] (nats)."""

    weights: Float[Tensor, "symbol token"]
    offsets: Float[Tensor, "token"]

    @torch.inference_mode()
    def log_probabilities(self, windows: Int[np.ndarray, "window position"]) -> Float[np.ndarray, "window token"]:
        """Of the next token, in nats."""
        return np.asarray(self.logits(torch.as_tensor(windows)).log_softmax(-1).numpy())

    def logits(self, windows: Int[Tensor, "window position"]) -> Float[Tensor, "window token"]:
        """Before they are normalised."""
        symbols = windows + len(self.offsets) * torch.arange(windows.shape[1])
        return embedding_bag(symbols, self.weights, mode="sum") + self.offsets


def fit_tokens_linear(
    examples: NextTokens, vocabulary: int, seed: int, advance: Callable[[int, int], None], epochs: float = EPOCHS
) -> TokensLinear:
    """Train on minibatches with Adam, begun at the bigrams: the last position says what it says by itself.

    Nothing but the few epochs and the falling rate holds the weights back, so that no optimum is reached: the loss is
    an upper bound of what a linear model can do.

    Args:
        seed: of the order of the examples.
        advance: is told of the steps that are done, and how many there are.
    """
    model = _bigrams(examples, vocabulary)
    batch = min(BATCH, len(examples.places))
    steps = max(1, round(epochs * len(examples.places) / batch))
    optimiser = torch.optim.Adam([model.weights, model.offsets], lr=RATE, betas=BETAS, fused=True)
    for step, chosen in enumerate(_batches(len(examples.places), batch, steps, seed)):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / steps)
        windows, following = torch.as_tensor(examples.windows(chosen)), torch.as_tensor(examples.following(chosen))
        optimiser.zero_grad()
        cross_entropy(model.logits(windows), following).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        advance(step + 1, steps)
    return TokensLinear(model.weights.detach(), model.offsets.detach())


def _bigrams(examples: NextTokens, vocabulary: int) -> TokensLinear:
    """Weights of the last position that make the model the bigrams of Kneser and Ney, all others 0."""
    unigrams, bigrams = (fit_ngrams(examples.tokens, examples.lengths, order, vocabulary) for order in (1, 2))
    offsets = np.log(unigrams.probabilities(np.zeros((1, 1), dtype=np.int64)))
    after = np.log(bigrams.probabilities(np.arange(vocabulary)[:, None]))
    weights = torch.zeros(examples.context * vocabulary, vocabulary)
    weights[-vocabulary:] = torch.from_numpy(after - offsets)
    return TokensLinear(weights.requires_grad_(), torch.from_numpy(offsets[0]).float().requires_grad_())


def _batches(examples: int, batch: int, steps: int, seed: int) -> list[Int[np.ndarray, "example"]]:
    """Examples of each step; every epoch is another order of all, without what is left over at its end."""
    generator, a_epoch = np.random.default_rng(seed), examples // batch
    orders = [generator.permutation(examples)[: a_epoch * batch] for _ in range(-(-steps // a_epoch))]
    return list(np.concatenate(orders).reshape(-1, batch)[:steps])
