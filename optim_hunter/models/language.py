"""A language model as the rest of the project sees it: module, tokenizer, and where both came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jaxtyping import Int

from optim_hunter.claim import UserError
from optim_hunter.models.sources import Provenance

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Encoded:
    """Token ids, and for each token the characters [start, end) of the text that it stands for.

    BOS stands for no characters: (0, 0).
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model. Weights, tokenizer and context are each opened when they are first asked for.

    `open_module`, `open_tokenizer` and `read_context` open them; `fingerprint` is a hash of what all three are made
    from.
    """

    name: str
    open_tokenizer: Callable[[], PreTrainedTokenizerFast]
    provenance: Provenance
    device: str
    dtype: str
    read_context: Callable[[], int]
    fingerprint: str
    open_module: Callable[[], PreTrainedModel]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The model's own fast tokenizer.

        Raises:
            UserError: it cannot be opened, or gives no character offsets.
        """
        return self.open_tokenizer()

    @cached_property
    def context(self) -> int:
        """The longest prompt, in tokens.

        Raises:
            UserError: the model's configuration cannot be opened.
        """
        return self.read_context()

    @cached_property
    def module(self) -> PreTrainedModel:
        """The weights, ready for passes: evaluation mode, no gradients, SDPA attention.

        Raises:
            UserError: they cannot be opened.
        """
        return self.open_module()

    def open_text(self) -> None:
        """Open tokenizer and context, so that what is wrong with them is told before long work.

        Raises:
            UserError: one of them cannot be opened.
        """
        _ = self.tokenizer, self.context

    @property
    def identity(self) -> dict[str, str]:
        """What the store's keys of passes and of words say of the model; what else they depend on is their `engine`."""
        return {"model": self.name, "weights": self.fingerprint, "dtype": self.dtype, "device": self.device}

    @cached_property
    def beside_weights(self) -> dict[str, Any]:
        """What others look up in the weights and keep as long as they are open."""
        return {}

    def close(self) -> None:
        """Let the weights go; they are opened again when they are next asked for."""
        for opened in ("module", "beside_weights"):
            self.__dict__.pop(opened, None)

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a text: the tokenizer's and those of the generation configuration."""
        ends = getattr(self.module.generation_config, "eos_token_id", None)
        several = ends if isinstance(ends, list) else [ends]
        return frozenset(int(token) for token in (*several, self.tokenizer.eos_token_id) if token is not None)

    def encode(self, text: str) -> Encoded:
        """Token ids of a text; a tokenizer that has a BOS token gets exactly one, in front."""
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = [int(token) for token in encoding["input_ids"]]
        offsets = [(int(start), int(end)) for start, end in encoding["offset_mapping"]]
        bos = self.tokenizer.bos_token_id
        if bos is None or ids[:1] == [bos]:
            return Encoded(ids, offsets)
        return Encoded([int(bos), *ids], [(0, 0), *offsets])

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, spaces as they are and special tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def to_string(self, tokens: list[int] | Int[Tensor, "token"]) -> str:
        """The text of tokens, special ones shown as the tokenizer writes them."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def check_language_model(model: object) -> None:
    """Look whether a function of the notes was given a model, before it runs anything.

    Raises:
        UserError: it was given something else, a name for example.
    """
    if not isinstance(model, LanguageModel):
        raise UserError(f"{model!r} is no language model: give what load_llama_model returns")
