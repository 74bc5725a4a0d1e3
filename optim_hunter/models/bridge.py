"""A second view of a language model, for hooks: a TransformerBridge over the same weights."""

from __future__ import annotations

import copy
import tempfile
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import AutoTokenizer, PreTrainedModel

from optim_hunter.claim import UserError
from optim_hunter.models.language import LanguageModel
from optim_hunter.models.loading import freeze, quiet

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def bridge(model: LanguageModel) -> TransformerBridge:
    """The model as TransformerLens shows it, with a hook at every intermediate value.

    Both views have one set of weights in memory: an edit in place of a weight of one is an edit of the other.
    All else is the bridge's own, so that its hooks and its eager attention neither slow nor change `model.module`.
    The bridge computes every attention pattern and keeps every position of what is cached: it is for what the
    pass of the claims does not show. Its compatibility mode makes weights of its own, and not for GPT-NeoX.

        from optim_hunter import bridge, open_language_model

        model = open_language_model("smollm2-135m")
        hooked = bridge(model)
        tokens = torch.tensor([model.encode(prompt).ids], device=model.device)
        logits, seen = hooked.run_with_cache(tokens, names_filter="blocks.0.hook_mlp_out")
        write = seen["blocks.0.hook_mlp_out"][0, -1]  # what the MLP of layer 0 adds to the residual stream

        def ablate(write, hook):
            return torch.zeros_like(write)

        ablated = hooked.run_with_hooks(tokens, fwd_hooks=[("blocks.0.hook_mlp_out", ablate)])

    Raises:
        UserError: TransformerLens does not know the architecture, or would keep a copy of some of its weights.
    """
    from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

    if type(model.module).__name__ not in SUPPORTED_ARCHITECTURES:
        raise UserError(_refusal(model, "TransformerLens does not know it"))
    bridged = _boot(model, second_view(model.module, "eager"))
    # A text becomes the same tokens in both views: TransformerLens would put EOS where a tokenizer has no BOS.
    bridged.cfg.default_prepend_bos = model.tokenizer.bos_token_id is not None
    if model.module.config.model_type == "gpt_neox":
        _share_fused(bridged)
    if copied := _own_weights(bridged, model.module):
        raise UserError(_refusal(model, f"TransformerLens would keep a copy of {copied[0]}"))
    return bridged


def second_view(module: PreTrainedModel, attention: str) -> PreTrainedModel:
    """Another module of the same class over the same weights and buffers, with a configuration of its own.

    `attention` is its attention implementation, as transformers names it.
    """
    config = copy.deepcopy(module.config)
    config._attn_implementation = attention
    config.architectures = [type(module).__name__]
    with quiet(), torch.device("meta"):
        view = type(module)(config)
    view.load_state_dict(module.state_dict(), assign=True)
    view.tie_weights()
    for name, buffer in module.named_buffers():  # some are in no state_dict, such as the rotary frequencies
        owner, _, leaf = name.rpartition(".")
        setattr(view.get_submodule(owner), leaf, buffer)
    view.generation_config = copy.deepcopy(module.generation_config)
    return freeze(view, str(module.device))


def _boot(model: LanguageModel, view: PreTrainedModel) -> TransformerBridge:
    from transformer_lens.model_bridge import TransformerBridge

    # TransformerLens loads the tokenizer again, from the folder that AutoTokenizer read it from.
    with quiet(), tempfile.TemporaryDirectory() as folder:
        model.tokenizer.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return TransformerBridge.boot_transformers(
            model.name, hf_model=view, tokenizer=tokenizer, device=str(view.device), dtype=view.dtype
        )


class _OneOfFused(nn.Module):
    """The rows of query (0), key (1) or value (2) of a fused projection, whose rows go head by head."""

    def __init__(self, part: int, heads: int) -> None:
        super().__init__()
        self.part, self.heads = part, heads

    def forward(self, fused: Float[Tensor, "fused_row *d_model"]) -> Float[Tensor, "row *d_model"]:
        return fused.reshape(self.heads, 3, -1, *fused.shape[1:])[:, self.part].flatten(0, 1)


def _share_fused(bridged: TransformerBridge) -> None:
    """Let GPT-NeoX's query, key and value read the fused weights, of which TransformerLens keeps copies.

    They lie head by head, so that no strided view of them is a matrix of queries, keys or values alone.
    """
    for block in bridged.blocks:
        fused = block.attn.original_component.query_key_value
        for part, name in enumerate("qkv"):
            linear = getattr(block.attn, name).original_component
            for leaf in ("weight", "bias"):
                setattr(linear, leaf, getattr(fused, leaf))
                parametrize.register_parametrization(linear, leaf, _OneOfFused(part, bridged.cfg.n_heads), unsafe=True)


def _own_weights(bridged: TransformerBridge, module: PreTrainedModel) -> list[str]:
    """Names of the bridge's parameters that are not stored where those of `module` are."""
    shared = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    named = bridged.named_parameters()
    return [name for name, parameter in named if parameter.untyped_storage().data_ptr() not in shared]


def _refusal(model: LanguageModel, reason: str) -> str:
    return f"no bridge for {type(model.module).__name__} ({reason}): put forward hooks on model.module"
