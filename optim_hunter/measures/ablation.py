"""What ablations take from the logit difference of the pair: the total effect of components, others held against it.

A difference is logit(the model's own token) − logit(the mean baseline's), so that what carries the answer lowers it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import (
    REPLACEMENTS,
    Attribution,
    BlockAblation,
    HeadAblation,
    Patching,
    RegressionObservation,
    late_width,
)

ATTENTION, MLP = 0, 1


def late_mlp_drop(ablation: BlockAblation, replacement: str) -> float:
    """What the late MLPs take with them (logits)."""
    return float(_drops(ablation, replacement)[MLP, -1])


def late_mlp_drop_leads(ablation: BlockAblation, replacement: str) -> Float[np.ndarray, "rival_run"]:
    """The same minus what every disjoint run of as many consecutive MLPs takes, from the first on (logits).

    Raises:
        NoValue: the model is too shallow for a disjoint run.
    """
    return _late_leads(_drops(ablation, replacement)[MLP], ablation.width)


def _late_leads(runs: Float[np.ndarray, "run"], width: int) -> Float[np.ndarray, "rival_run"]:
    if len(runs) <= width:
        raise NoValue(f"a model of {len(runs) + width - 1} layers has no run of {width} MLPs beside the late ones")
    leads: Float[np.ndarray, "rival_run"] = runs[-1] - runs[:-width]
    return leads


def late_mlp_patched(patching: Patching) -> dict[str, Any]:
    """What the late MLPs carry of the change of the difference, counted in its direction, over its size (logits both).

    `noising` and `denoising` are the effects of patching, with their leads over every disjoint run of as many
    consecutive MLPs; `direct` is what the late MLPs add directly to the change. Sums of row 0 over sums of row 1 are
    shares of the change. `change` is its size alone (logits).

    Raises:
        NoValue: the model is too shallow for a disjoint run.
    """
    change = patching.difference - patching.changed
    towards = np.sign(change)
    noising, denoising = (towards * effect[MLP] for effect in (patching.noising, patching.denoising))
    carried = {
        "noising": noising[-1],
        "noising lead": _late_leads(noising, patching.width),
        "denoising": denoising[-1],
        "denoising lead": _late_leads(denoising, patching.width),
        "direct": towards * patching.direct[MLP, -1],
    }
    size = abs(change)
    return {name: np.stack([part, np.full_like(part, size)]) for name, part in carried.items()} | {"change": size}


def late_mlp_drop_over_attention(ablation: BlockAblation, replacement: str) -> float:
    """What the late MLPs take minus what the attention blocks of the same layers take (logits)."""
    drops = _drops(ablation, replacement)
    return float(drops[MLP, -1] - drops[ATTENTION, -1])


def drop_profile(observation: RegressionObservation, replacement: str) -> dict[str, float]:
    """What each run of blocks takes with it (logits), by kind and the first of its layers, for the report.

    Raises:
        NoValue: the seed has no pair, or no other seed's writes to take.
    """
    drops = _drops(observation.block_ablation, replacement)
    kinds = (("attention", drops[ATTENTION]), ("MLP", drops[MLP]))
    return {f"{kind} {first}": float(drop) for kind, of in kinds for first, drop in enumerate(of)}


def late_mlp_direct_effect(attribution: Attribution) -> float:
    """What the late MLPs add to the difference directly (logits): what would go with them if nothing else moved."""
    baseline, own = attribution.pair
    mlps = attribution.contributions[2::2]
    late = mlps[-late_width(len(mlps)) :]
    return float((late[:, own] - late[:, baseline]).sum())


def head_drop(ablation: HeadAblation, replacement: str) -> Float[np.ndarray, "layer head"]:
    """What each head takes with it (logits)."""
    return ablation.drops[REPLACEMENTS.index(replacement)]


def head_drop_leads(ablation: HeadAblation, replacement: str) -> Float[np.ndarray, "layer head rival"]:
    """What each head takes minus what every other head takes, layer by layer (logits)."""
    drops = head_drop(ablation, replacement)
    others = ~np.eye(drops.size, dtype=bool)
    leads = (drops.reshape(-1, 1) - drops.reshape(1, -1))[others]
    return leads.astype(np.float32).reshape(*drops.shape, -1)


def _drops(ablation: BlockAblation, replacement: str) -> Float[np.ndarray, "kind run"]:
    return ablation.drops[REPLACEMENTS.index(replacement)]
