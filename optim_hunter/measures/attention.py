"""Where heads look from the token that predicts the answer."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.observe.observation import AttentionMass

MASS_FLOOR = 1e-9
"""Masses below the resolution of float32 softmax count as this, so that a ratio stays finite."""


def output_preference(mass: AttentionMass) -> Float[np.ndarray, "layer head"]:
    """log2 of the mass per token on output values over the mass per token on feature values (1: twice as much)."""
    outputs = np.maximum(mass.outputs, MASS_FLOOR) / mass.output_tokens
    features = np.maximum(mass.features, MASS_FLOOR) / mass.feature_tokens
    preference: Float[np.ndarray, "layer head"] = np.log2(outputs / features)
    return preference


def output_mass_lead(mass: AttentionMass) -> Float[np.ndarray, "layer head"]:
    """Mass on the output values minus that of the median head (fraction of the row)."""
    return above_median_head(mass.outputs)


def example_feature_preference(mass: AttentionMass) -> Float[np.ndarray, "layer head"]:
    """log2 of the mass per token on the examples' feature values over the mass per token on their outputs."""
    features = np.maximum(_on_examples(mass), MASS_FLOOR) / (mass.feature_tokens - mass.query_feature_tokens)
    outputs = np.maximum(mass.outputs, MASS_FLOOR) / mass.output_tokens
    preference: Float[np.ndarray, "layer head"] = np.log2(features / outputs)
    return preference


def example_feature_lead(mass: AttentionMass) -> Float[np.ndarray, "layer head"]:
    """Mass on the examples' feature values minus that of the median head (fraction of the row)."""
    return above_median_head(_on_examples(mass))


def query_feature_lead(mass: AttentionMass) -> Float[np.ndarray, "layer head"]:
    """Mass on the test case's feature values minus that of the median head (fraction of the row)."""
    return above_median_head(mass.query_features)


def _on_examples(mass: AttentionMass) -> Float[np.ndarray, "layer head"]:
    """Mass on the feature values of the examples alone."""
    return mass.features - mass.query_features


def above_median_head(mass: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, "layer head"]:
    """A mass of every head minus that of the median head."""
    lead: Float[np.ndarray, "layer head"] = mass - np.median(mass)
    return lead
