"""The one-layer model of stories: a symbol for each token at each position, one attention layer, one MLP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load, save
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.functional import embedding, gelu, scaled_dot_product_attention

from optim_hunter.claim import UserError
from optim_hunter.models.hashed_folder import HashedFolder, hashes
from optim_hunter.tasks.stories import tokenizer_sha256

PARTS = frozenset({"attention", "mlp"})
"""What the model can be asked, or trained, to do without."""

EMBEDDING_SCALE = 0.3
"""Standard deviation of the entries of an embedding before training: scores begin near 0, logits below 1."""

BATCH = 8192
"""Windows that are answered at once."""

WEIGHTS, TOKENIZER, RECORD = "weights.safetensors", "tokenizer.json", "training.json"
AGAIN = "train it again in another folder (optim-hunter train … --out DIR)"
FOLDER = HashedFolder(
    RECORD,
    (WEIGHTS, TOKENIZER),
    {"shape": dict},
    "record of a one-layer model",
    finished="give a folder that optim-hunter train --out has finished",
    again=AGAIN,
)


@dataclass(frozen=True)
class OneLayerShape:
    """Sizes of the model and the parts that it has; the heads share the width out among themselves."""

    vocabulary: int = 1024
    context: int = 16
    width: int = 128
    heads: int = 8
    neurons: int = 512
    attention: bool = True
    mlp: bool = True


class OneLayerModel(Module):
    """Logits of the next token from `context` tokens. Nothing is normalised, so that tables hold all but the MLP.

        residual = embedding[last] + Σ_head Σ_position attention · value         (at the last position alone)
        logits   = (residual + MLP(residual)) · unembedding + bias

    A query depends on the last token, a key and a value on one token at one position (`models/one_layer_tables.py`).

    Attributes:
        attention, mlp: whether the model has this part.
        tokenizer: that of the corpus it was trained on.
        tokenizer_sha256: the hash of its JSON.
        record: how it was trained: corpus, seed, losses (nats a token), versions; empty before training.
    """

    def __init__(self, shape: OneLayerShape, tokenizer: Tokenizer, generator: torch.Generator) -> None:
        super().__init__()
        self.shape, self.attention, self.mlp = shape, shape.attention, shape.mlp
        self.tokenizer, self.tokenizer_sha256 = tokenizer, tokenizer_sha256(tokenizer)
        self.record: dict[str, Any] = {}
        width, neurons = shape.width, shape.neurons

        def drawn(rows: int, columns: int, scale: float) -> Parameter:
            return Parameter(torch.randn(rows, columns, generator=generator) * scale)

        self.embedding = drawn(shape.context * shape.vocabulary, width, EMBEDDING_SCALE)
        if shape.attention:
            self.query, self.key, self.value, self.output = (drawn(width, width, width**-0.5) for _ in range(4))
        if shape.mlp:
            self.mlp_in, self.mlp_bias = drawn(width, neurons, width**-0.5), Parameter(torch.zeros(neurons))
            self.mlp_out = drawn(neurons, width, neurons**-0.5)
        self.unembedding = drawn(width, shape.vocabulary, width**-0.5)
        self.bias = Parameter(torch.zeros(shape.vocabulary))

    def forward(
        self, windows: Int[Tensor, "window position"], without: frozenset[str] = frozenset()
    ) -> Float[Tensor, "window token"]:
        """Logits; the parts named in `without` write nothing."""
        residual = self.residual(windows, without)
        if self.mlp and "mlp" not in without:
            residual = residual + self.neurons(residual) @ self.mlp_out
        return residual @ self.unembedding + self.bias

    def residual(
        self, windows: Int[Tensor, "window position"], without: frozenset[str] = frozenset()
    ) -> Float[Tensor, "window width"]:
        """The last token's embedding, and what the heads add to it."""
        symbols = self.symbols(windows)
        last = embedding(symbols[:, -1], self.embedding)
        return last + self._attended(symbols, last) if self.attention and "attention" not in without else last

    def symbols(self, windows: Int[Tensor, "window position"]) -> Int[Tensor, "window position"]:
        """The row of each token's embedding: the same token is another symbol at another position."""
        return windows + self.shape.vocabulary * torch.arange(self.shape.context)

    def neurons(self, residual: Float[Tensor, "window width"]) -> Float[Tensor, "window neuron"]:
        """Activations of the MLP."""
        return gelu(residual @ self.mlp_in + self.mlp_bias)

    def _attended(
        self, symbols: Int[Tensor, "window position"], last: Float[Tensor, "window width"]
    ) -> Float[Tensor, "window width"]:
        """What the heads write. Keys and values are made once for all symbols: that costs less than for each window."""

        def split(vectors: Float[Tensor, "window position width"]) -> Float[Tensor, "window head position size"]:
            return vectors.reshape(*vectors.shape[:2], self.shape.heads, -1).transpose(1, 2)

        keys, values = (split(embedding(symbols, self.embedding @ matrix)) for matrix in (self.key, self.value))
        mixed = scaled_dot_product_attention(split((last @ self.query).unsqueeze(1)), keys, values)
        return mixed.flatten(1) @ self.output


def log_probabilities(
    model: OneLayerModel, windows: Int[np.ndarray, "window position"], without: frozenset[str] = frozenset()
) -> Float[np.ndarray, "window token"]:
    """Logarithms (nats) of the probabilities of the next token, in batches, float32; `without` is out of `PARTS`."""
    with torch.inference_mode():
        tokens = torch.as_tensor(np.ascontiguousarray(windows), dtype=torch.long)
        said = [model(part, without).log_softmax(-1) for part in torch.split(tokens, BATCH)]
    return torch.cat(said).numpy()


def load_one_layer(folder: Path | None = None) -> OneLayerModel:
    """The model of a folder that `optim-hunter train` wrote, in float32; for None the packaged one.

    Raises:
        UserError: the folder holds no such model, or a file of it is damaged or of another.
    """
    if folder is None:
        with resources.as_file(resources.files("optim_hunter.data").joinpath("one_layer")) as packaged:
            return load_one_layer(packaged)
    record, contents = FOLDER.read(folder)
    try:
        weights, tokenizer = load(contents[WEIGHTS]), Tokenizer.from_str(contents[TOKENIZER].decode())
        model = OneLayerModel(OneLayerShape(**record["shape"]), tokenizer, torch.Generator().manual_seed(0))
        model.load_state_dict(weights)
    except (SafetensorError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{folder} holds files that cannot be read ({_one_line(error)})", AGAIN) from None
    model.record = record
    return model.eval()


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a finished training.

    Raises:
        UserError: there is none.
    """
    return FOLDER.read_record(folder)


def folder_contents(model: OneLayerModel, record: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a model's folder; the record comes last and holds the hashes of the others."""
    halves = {name: weights.detach().half().contiguous() for name, weights in model.state_dict().items()}
    contents = {WEIGHTS: save(halves), TOKENIZER: model.tokenizer.to_str().encode()}
    whole = {"shape": asdict(model.shape), **record, "files": hashes(contents)}
    return {**contents, RECORD: f"{json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode()}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
