"""The one-layer model as tables: a token at a position is one symbol, so that all but the MLP can be looked up.

    score       [head, last token, symbol]    how much a head wants a symbol where this token is the last
    head out    [head, symbol, logit]         what a head adds to the logits for each unit of attention to a symbol
    direct      [last token, logit]           what the last token says without any head
    neuron in   the two tables above with the neurons' inputs in the place of the logits
    neuron out  [neuron, logit]               what a neuron adds for each unit of activation

Attention is the softmax of sixteen scores that were looked up. What the MLP adds remains: it is
gelu(neuron in) · neuron out, where gelu's inputs are sums of look-ups too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import gelu

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import OneLayerModel


class OneLayerTables:
    """Tables of a model in float32, each made when it is asked for: all scores would be 134 million numbers.

    A symbol is a row of the embedding, position × vocabulary + token; heads and neurons count from 0. A part that the
    model was trained without has no tables.

    Raises:
        UserError: (every method that takes them) no such head, neuron or token.
    """

    def __init__(self, model: OneLayerModel) -> None:
        self.model, self.shape = model, model.shape
        self.heads = range(model.shape.heads if model.attention else 0)
        self.neurons = range(model.shape.neurons if model.mlp else 0)
        self._last = model.embedding.detach()[-model.shape.vocabulary :]

    @torch.inference_mode()
    def scores(self, head: int, last: int) -> Float[Tensor, "symbol"]:
        """Scores of a head for every symbol where `last` is the last token, as they enter the softmax."""
        return self._scores(self._keys(head), head, last)

    @torch.inference_mode()
    def attention(self, head: int, windows: Int[Tensor, "window position"]) -> Float[Tensor, "window position"]:
        """Attention of a head to each position: softmax of the scores that the tables hold."""
        symbols, found, keys = self.model.symbols(windows), torch.empty(windows.shape), self._keys(head)
        for last in sorted(set(windows[:, -1].tolist())):
            ends = windows[:, -1] == last
            found[ends] = self._scores(keys, head, last)[symbols[ends]].softmax(-1)
        return found

    def _keys(self, head: int) -> Float[Tensor, "symbol size"]:
        return self.model.embedding @ self._part(self.model.key, head)

    def _scores(self, keys: Float[Tensor, "symbol size"], head: int, last: int) -> Float[Tensor, "symbol"]:
        require("token", last, range(self.shape.vocabulary))
        query = self._last[last] @ self._part(self.model.query, head)
        return keys @ query * len(query) ** -0.5

    @torch.inference_mode()
    def head_writes(self, head: int) -> Float[Tensor, "symbol width"]:
        """What a head adds to the residual stream for each unit of attention to a symbol."""
        output = self.model.output[self._slice(head)]
        return self.model.embedding @ (self._part(self.model.value, head) @ output)

    @torch.inference_mode()
    def head_logits(self, head: int) -> Float[Tensor, "symbol token"]:
        """The same in logits."""
        return self.head_writes(head) @ self.model.unembedding

    @torch.inference_mode()
    def direct_logits(self) -> Float[Tensor, "last token"]:
        """What the last token adds to the logits without any head, with the bias."""
        return self._last @ self.model.unembedding + self.model.bias

    @torch.inference_mode()
    def head_neurons(self, head: int) -> Float[Tensor, "symbol neuron"]:
        """What a head adds to the inputs of the neurons for each unit of attention to a symbol."""
        return self.head_writes(head) @ self.model.mlp_in

    @torch.inference_mode()
    def direct_neurons(self) -> Float[Tensor, "last neuron"]:
        """What the last token adds to the inputs of the neurons, with their bias."""
        return self._last @ self.model.mlp_in + self.model.mlp_bias

    @torch.inference_mode()
    def neuron_logits(self) -> Float[Tensor, "neuron token"]:
        """What a neuron adds to the logits for each unit of activation."""
        return self.model.mlp_out @ self.model.unembedding

    def logits(self, windows: Int[Tensor, "window position"]) -> Float[Tensor, "window token"]:
        """The logits of the model from the tables alone."""
        found = self._looked_up(windows, self.direct_logits(), self.head_logits)
        return found + self.activations(windows) @ self.neuron_logits() if self.neurons else found

    def activations(self, windows: Int[Tensor, "window position"]) -> Float[Tensor, "window neuron"]:
        """Activations of the neurons from the tables alone."""
        return gelu(self._looked_up(windows, self.direct_neurons(), self.head_neurons))

    @torch.inference_mode()
    def _looked_up(
        self,
        windows: Int[Tensor, "window position"],
        direct: Float[Tensor, "last out"],
        of_head: Callable[[int], Float[Tensor, "symbol out"]],
    ) -> Float[Tensor, "window out"]:
        symbols, found = self.model.symbols(windows), direct[windows[:, -1]]
        for head in self.heads:
            table, attention = of_head(head), self.attention(head, windows)
            for position in range(self.shape.context):
                found += attention[:, position, None] * table[symbols[:, position]]
        return found

    def _part(self, matrix: Float[Tensor, "width width"], head: int) -> Float[Tensor, "width size"]:
        return matrix[:, self._slice(head)]

    def _slice(self, head: int) -> slice:
        """The head's share of the width."""
        require("head", head, self.heads)
        size = self.shape.width // self.shape.heads
        return slice(head * size, (head + 1) * size)


def require(what: str, number: int, there: range) -> None:
    """Raise UserError unless the model has a head, neuron or token of this number."""
    if number not in there:
        raise UserError(f"no {what} {number}: this model has {f'0 to {there[-1]}' if there else 'none'}")
