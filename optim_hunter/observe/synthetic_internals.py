"""What generators show of components and logits: for claims about internals that no small network can carry."""

from __future__ import annotations

import numpy as np

from optim_hunter.observe.observation import Attribution, RegressionObservation
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import Episode

LAYERS = 16
LAST_MLP_LEAD = 2.0
"""By how much the last MLP adds more to the pair's logit difference; other components add about 1."""


def profiles_differ(episode: Episode, generator: np.random.Generator) -> RegressionObservation:
    """Half of the seeds answer well, and in these the last MLP writes more."""
    good = bool(generator.random() < 0.5)
    return _attributed(episode, good, last_mlp_leads=good, generator=generator)


def profiles_alike(episode: Episode, generator: np.random.Generator) -> RegressionObservation:
    """Half of the seeds answer well, and in half of all, whichever, the last MLP writes more."""
    good, leads = generator.random(2) < 0.5
    return _attributed(episode, bool(good), last_mlp_leads=bool(leads), generator=generator)


def _attributed(
    episode: Episode, good: bool, last_mlp_leads: bool, generator: np.random.Generator
) -> RegressionObservation:
    """The true output, or the same off by twice the spread of the outputs, with contributions of random sizes."""
    off = 0.0 if good else 2 * float(np.ptp(episode.outputs))
    contributions = np.zeros((1 + 2 * LAYERS, 2))
    contributions[:, 1] = generator.normal(1.0, 0.3, len(contributions))
    contributions[-1, 1] += LAST_MLP_LEAD * last_mlp_leads
    attribution = Attribution(contributions, (0, 1), np.array([0, 1]), ("average", "own"))
    answer = number_text(episode.gold + off)
    return RegressionObservation(episode, frozenset({"answer", "attribution"}), answer, attribution=attribution)
