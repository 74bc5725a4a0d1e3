"""A language model as the rest of the project sees it: module, tokenizer, and where both came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optim_hunter.models.sources import Provenance

if TYPE_CHECKING:
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
    """A causal language model, ready for passes: evaluation mode, no gradients, SDPA attention."""

    name: str
    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    provenance: Provenance
    device: str
    dtype: str

    @property
    def context(self) -> int:
        """The longest prompt, in tokens."""
        return int(self.module.config.get_text_config().max_position_embeddings)

    @property
    def layers(self) -> int:
        """Number of transformer blocks."""
        return int(self.module.config.get_text_config().num_hidden_layers)

    @property
    def heads(self) -> int:
        """Number of query heads in a layer."""
        return int(self.module.config.get_text_config().num_attention_heads)

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
