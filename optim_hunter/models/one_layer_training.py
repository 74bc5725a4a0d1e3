"""Training the one-layer model on every token of the stories for fitting: step by step, and from where it was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from optim_hunter.models.one_layer import BATCH, OneLayerModel, log_probabilities
from optim_hunter.tasks.next_tokens import NextTokens


@dataclass(frozen=True)
class Recipe:
    """How the model is trained; what is random follows from `seed`.

    AdamW with rates that rise for `warmup` steps and then fall to 0 on a straight line. A row of the embedding moves
    only when its symbol occurs, so that its rate is higher than that of the matrices.
    """

    seed: int = 0
    epochs: float = 2.0
    batch: int = 4096
    embedding_rate: float = 4e-2
    rate: float = 3e-3
    warmup: int = 50
    embedding_decay: float = 0.0
    decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)


class Training:
    """A model on its way through the examples; `step` counts the batches that it has seen, out of `steps`.

    The order of an epoch follows from seed and epoch alone, so that weights, moments and the step are all that a
    training needs to go on from where it was, to the same bits.
    """

    def __init__(self, model: OneLayerModel, examples: NextTokens, recipe: Recipe) -> None:
        self.model, self.recipe, self.step = model, recipe, 0
        self._examples = examples
        self._batch = min(recipe.batch, len(examples.places))
        self._batches = len(examples.places) // self._batch
        self.steps = max(1, round(recipe.epochs * self._batches))
        self._names = dict(model.named_parameters())
        self._optimiser = self._make_optimiser()
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)
        self._set_bias()

    def advance(self) -> float:
        """Make the next step and return the loss of its batch before it, in nats a token."""
        self._set_rates()
        windows, following = self._next_batch()
        loss = cross_entropy(self.model(windows), following)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.step += 1
        return loss.item()

    def end(self) -> None:
        """Round the weights to half precision, as they are kept, so that what is measured is what is written."""
        with torch.no_grad():
            for weights in self._names.values():
                weights.copy_(weights.half())

    def arrays(self) -> dict[str, Tensor]:
        """Weights, and both moments of their gradients."""
        kept = {f"weights/{name}": weights.detach() for name, weights in self._names.items()}
        for name, weights in self._names.items():
            moments = self._optimiser.state[weights]
            kept |= {f"{moment}/{name}": moments[moment] for moment in ("exp_avg", "exp_avg_sq") if moments}
        return kept

    def restore(self, step: int, arrays: Mapping[str, Tensor]) -> None:
        """Go on from `arrays` as they were after `step` steps.

        Raises:
            LookupError, RuntimeError: they are those of another model.
        """
        with torch.no_grad():
            for name, weights in self._names.items():
                weights.copy_(arrays[f"weights/{name}"])
                moments = {moment: arrays[f"{moment}/{name}"].clone() for moment in ("exp_avg", "exp_avg_sq")}
                self._optimiser.state[weights] = {"step": torch.tensor(float(step)), **moments}
        self.step = step

    def _next_batch(self) -> tuple[Int[Tensor, "window position"], Int[Tensor, "window"]]:
        epoch, batch = divmod(self.step, self._batches)
        if epoch != self._epoch:
            generator = np.random.default_rng([self.recipe.seed, epoch])
            self._epoch, self._order = epoch, generator.permutation(len(self._examples.places))
        chosen = self._order[batch * self._batch : (batch + 1) * self._batch]
        return torch.as_tensor(self._examples.windows(chosen)), torch.as_tensor(self._examples.following(chosen))

    def _set_bias(self) -> None:
        """Start from the shares of the tokens: what else there is to learn is learned sooner."""
        following = torch.as_tensor(self._examples.tokens[self._examples.places])
        counts = 1 + torch.bincount(following, minlength=self.model.shape.vocabulary)
        with torch.no_grad():
            self.model.bias.copy_((counts / counts.sum()).log())

    def _set_rates(self) -> None:
        share = min(1.0, (self.step + 1) / self.recipe.warmup) * (1 - self.step / self.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * share

    def _make_optimiser(self) -> torch.optim.AdamW:
        recipe, groups = self.recipe, []
        for name, weights in self._names.items():
            rate = recipe.embedding_rate if name == "embedding" else recipe.rate
            decay = recipe.embedding_decay if name == "embedding" else recipe.decay * (weights.ndim > 1)
            groups.append({"params": [weights], "peak": rate, "weight_decay": decay})
        return torch.optim.AdamW(groups, lr=0.0, betas=recipe.betas, eps=1e-10, fused=True)


def losses(model: OneLayerModel, examples: NextTokens) -> Float[np.ndarray, "example"]:
    """Negative log-likelihood of each token that came, in nats."""
    return np.concatenate(list(_losses(model, examples)))


def _losses(model: OneLayerModel, examples: NextTokens) -> Iterator[Float[np.ndarray, "example"]]:
    for first in range(0, len(examples.places), BATCH):
        chosen = np.arange(first, min(first + BATCH, len(examples.places)))
        said = log_probabilities(model, examples.windows(chosen))
        yield -said[np.arange(len(chosen)), examples.following(chosen)]
