"""Shares of the absolute direct logit attribution to a pair of tokens.

The share of a set of components is Σ|contribution| over the set divided by Σ|contribution| over the embedding,
all attention blocks and all MLPs; a contribution is to the difference of the pair's logits.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import Attribution, RegressionObservation, late_width


def pair_contributions(attribution: Attribution) -> Float[np.ndarray, "component"]:
    """What each component adds to logit(baseline's token) − logit(model's token)."""
    baseline, own = attribution.pair
    return attribution.contributions[:, baseline] - attribution.contributions[:, own]


def shares(contributions: Float[np.ndarray, "component *pair"]) -> Float[np.ndarray, "component *pair"]:
    """Each component's share of the absolute attribution; adds up to 1 over the components."""
    sizes = np.abs(contributions)
    totals = sizes.sum(axis=0)
    return np.divide(sizes, totals, out=np.zeros_like(sizes), where=totals > 0)


def mlp_runs(component_shares: Float[np.ndarray, "component"], width: int) -> Float[np.ndarray, "run"]:
    """The share of every run of `width` consecutive MLPs, from the first layer on."""
    return np.convolve(component_shares[2::2], np.ones(width), mode="valid")


def late_mlp_leads(attribution: Attribution) -> Float[np.ndarray, "rival_run"]:
    """Share of the late MLPs minus that of every disjoint run of as many consecutive MLPs, from the first on.

    Raises:
        NoValue: the model is too shallow for a disjoint run.
    """
    component_shares = shares(pair_contributions(attribution))
    layers = len(component_shares) // 2
    width = late_width(layers)
    if layers < 2 * width:
        raise NoValue(f"a model of {layers} layers has no run of {width} MLPs beside the late ones")
    runs = mlp_runs(component_shares, width)
    return runs[-1] - runs[:-width]


def late_mlp_specificity(attribution: Attribution, seed: int, pairs: int = 100) -> float:
    """Share of the late MLPs for the answers' pair minus the mean share for random pairs of prompt tokens.

    The pairs are drawn, with a generator of their own for every seed, from the distinct tokens of the prompt.
    """
    late = late_width(len(attribution.contributions) // 2)
    generator = np.random.default_rng([seed, pairs])
    drawn = np.array([generator.choice(attribution.prompt, 2, replace=False) for _ in range(pairs)])
    differences = attribution.contributions[:, drawn[:, 0]] - attribution.contributions[:, drawn[:, 1]]
    own = shares(pair_contributions(attribution))[2::2][-late:].sum()
    random = shares(differences)[2::2][-late:].sum(axis=0).mean()
    return float(own - random)


def late_mlps_without_last(attribution: Attribution) -> dict[str, float]:
    """What the late MLPs without the last one hold, against what as many would hold if all were alike.

    Returns the share of the late MLPs but the last, less that of as many components if all components held alike
    (`above alike components`) and less that of as many MLPs if all MLPs held alike what they hold together
    (`above alike MLPs`), and the share of the last MLP (`last MLP`).

    Raises:
        NoValue: the model is so shallow that its last MLP is its only late one.
    """
    component_shares = shares(pair_contributions(attribution))
    layers = len(component_shares) // 2
    width = late_width(layers) - 1
    if width < 1:
        raise NoValue(f"of {layers} MLPs only the last is late")
    held = float(component_shares[2::2][-1 - width : -1].sum())
    return {
        "above alike components": held - width / len(component_shares),
        "above alike MLPs": held - width / layers * float(component_shares[2::2].sum()),
        "last MLP": float(component_shares[-1]),
    }


def mlp_lead_over_attention(attribution: Attribution) -> float:
    """Share of all MLPs minus that of all attention blocks."""
    component_shares = shares(pair_contributions(attribution))
    return float(component_shares[2::2].sum() - component_shares[1::2].sum())


def contribution_profile(observation: RegressionObservation) -> dict[str, float]:
    """What each component adds to logit(model's token) − logit(baseline's token), by name, for the report.

    Raises:
        NoValue: the seed has no pair.
    """
    added = -pair_contributions(observation.pair_attribution)
    return dict(zip(component_names(len(added)), added.tolist(), strict=True))


def component_profile(observation: RegressionObservation) -> dict[str, float]:
    """Share of each component by name, for the report.

    Raises:
        NoValue: the seed has no pair.
    """
    component_shares = shares(pair_contributions(observation.pair_attribution))
    return dict(zip(component_names(len(component_shares)), component_shares.tolist(), strict=True))


def component_names(components: int) -> list[str]:
    """`embed`, then `attention 0`, `MLP 0`, … of each layer: the order in which components write."""
    return ["embed", *(f"{block} {layer}" for layer in range(components // 2) for block in ("attention", "MLP"))]
