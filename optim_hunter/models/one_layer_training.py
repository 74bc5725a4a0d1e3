"""Training the one-layer model on every token of the stories for fitting: step by step, and from where it was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import BATCH, EMBEDDING_SCALE, OneLayerModel, log_probabilities
from optim_hunter.tasks.next_tokens import NextTokens
from optim_hunter.tasks.stories import word_tokens
from optim_hunter.tasks.word_groups import WORD_GROUPS

TOKEN, POSITION = "token", "position"
"""Names of what the embeddings of symbols have in common while the model is trained."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Torch's names of what Adam keeps of the gradients."""


@dataclass(frozen=True)
class Recipe:
    """How the model is trained; what is random follows from `seed`.

    AdamW with rates that rise for `warmup` steps and then fall to 0 on a straight line. While it is trained, the
    embedding of a symbol is a vector of its token + one of its position + one of its own, and `own_decay` draws the
    last to 0: a token that is rare at a position is then known from the others. `own_epsilon` lets a row of its own
    move in proportion to its gradient where that is small, instead of by a whole step each time its symbol occurs.

    What is minimised is the mean over windows of nats a token + `group_weight` · nats among the five words of each of
    the ten word groups, where the token of one of them came, be it the beginning of a longer word; a group with a word
    that is no single token of the corpus is left out.
    """

    seed: int = 0
    epochs: float = 2.0
    batch: int = 4096
    rate: float = 3e-3
    shared_rate: float = 1e-2
    own_rate: float = 3e-2
    own_decay: float = 0.3
    own_epsilon: float = 1e-5
    warmup: int = 50
    group_weight: float = 2.0
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
        self._names = dict(model.named_parameters()) | self._shared(model, torch.Generator().manual_seed(recipe.seed))
        self._optimiser = self._make_optimiser()
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)
        self._word_groups = list(_word_groups(model)) if recipe.group_weight else []
        self._set_bias()

    def advance(self) -> float:
        """Make the next step and return the loss of its batch before it, in nats a token, without that of groups."""
        self._set_rates()
        windows, following = self._next_batch()
        said = functional_call(self.model, {"embedding": self._embedding()}, (windows,))
        loss = cross_entropy(said, following)
        among = sum((_loss_among(words, said, following) for words in self._word_groups), torch.zeros(()))
        self._optimiser.zero_grad(set_to_none=True)
        (loss + self.recipe.group_weight * among).backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.step += 1
        return loss.item()

    def end(self) -> None:
        """Add up the parts of the embedding, and round the weights to half precision, in which they are kept.

        What is measured then is what is written. No step can follow.
        """
        with torch.no_grad():
            self.model.embedding.copy_(self._embedding())
            for weights in self._names.values():
                weights.copy_(weights.half())

    def arrays(self) -> dict[str, Float[Tensor, "..."]]:
        """Weights, and both moments of their gradients; a step must have been made."""
        kept = {f"weights/{name}": weights.detach() for name, weights in self._names.items()}
        for name, weights in self._names.items():
            kept |= {f"{moment}/{name}": self._optimiser.state[weights][moment] for moment in MOMENTS}
        return kept

    def restore(self, step: int, arrays: Mapping[str, Float[Tensor, "..."]]) -> None:
        """Go on from `arrays` as they were after `step` steps.

        Raises:
            LookupError, RuntimeError: they are those of another model.
        """
        with torch.no_grad():
            for name, weights in self._names.items():
                weights.copy_(arrays[f"weights/{name}"])
                moments = {moment: arrays[f"{moment}/{name}"].clone() for moment in MOMENTS}
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

    @staticmethod
    def _shared(model: OneLayerModel, generator: torch.Generator) -> dict[str, Parameter]:
        """The vectors of tokens and positions, beside which those of the symbols begin at 0."""
        shape = model.shape
        with torch.no_grad():
            model.embedding.zero_()
        return {
            TOKEN: Parameter(torch.randn(shape.vocabulary, shape.width, generator=generator) * EMBEDDING_SCALE),
            POSITION: Parameter(torch.randn(shape.context, 1, shape.width, generator=generator) * EMBEDDING_SCALE / 3),
        }

    def _embedding(self) -> Float[Tensor, "symbol width"]:
        own, shape = self.model.embedding, self.model.shape
        shared = self._names[TOKEN] + self._names[POSITION]
        return own + shared.reshape(shape.context * shape.vocabulary, shape.width)

    def _make_optimiser(self) -> torch.optim.AdamW:
        recipe = self.recipe
        own = {"peak": recipe.own_rate, "weight_decay": recipe.own_decay, "eps": recipe.own_epsilon}
        shared = {"peak": recipe.shared_rate}
        kinds = {"embedding": own, TOKEN: shared, POSITION: shared}
        other = {"peak": recipe.rate}
        groups = [{"params": [weights], **kinds.get(name, other)} for name, weights in self._names.items()]
        return torch.optim.AdamW(groups, lr=0.0, betas=recipe.betas, eps=1e-10, weight_decay=0.0, fused=True)


def _word_groups(model: OneLayerModel) -> Iterator[Int[Tensor, "word"]]:
    """The tokens of each word group whose words are all single tokens of the model's tokenizer."""
    for group in WORD_GROUPS.values():
        with suppress(UserError):
            yield torch.as_tensor(word_tokens(model.tokenizer, group))


def _loss_among(
    words: Int[Tensor, "word"], said: Float[Tensor, "window token"], following: Int[Tensor, "window"]
) -> Float[Tensor, ""]:
    """Nats lost in choosing among these tokens where one of them came: their sum over all windows of the batch."""
    rows, came = (following[:, None] == words).nonzero(as_tuple=True)
    return cross_entropy(said[rows][:, words], came, reduction="sum") / len(following)


def losses(model: OneLayerModel, examples: NextTokens) -> Float[np.ndarray, "example"]:
    """Negative log-likelihood of each token that came, in nats."""
    return np.concatenate(list(_losses(model, examples)))


def _losses(model: OneLayerModel, examples: NextTokens) -> Iterator[Float[np.ndarray, "example"]]:
    for first in range(0, len(examples.places), BATCH):
        chosen = np.arange(first, min(first + BATCH, len(examples.places)))
        said = log_probabilities(model, examples.windows(chosen))
        yield -said[np.arange(len(chosen)), examples.following(chosen)]
