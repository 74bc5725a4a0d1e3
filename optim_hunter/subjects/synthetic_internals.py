"""What generators show of components and logits: for claims about internals that no small network can carry."""

from __future__ import annotations

import numpy as np

from optim_hunter.observe.observation import PREDICTORS, Answer, Attribution, Candidates, RegressionObservation
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
    answer = Answer(number_text(episode.gold + off))
    return RegressionObservation(episode, {"answer": answer, "attribution": attribution})


def two_pairs_stand_out(episode: Episode, generator: np.random.Generator) -> RegressionObservation:
    """The model's token is far above those of the average and of the last output, and the others lie between."""
    return _with_logits(episode, ("average", "last"), generator)


def other_pairs_stand_out(episode: Episode, generator: np.random.Generator) -> RegressionObservation:
    """The same with truth and nearest neighbours in the place of average and last."""
    return _with_logits(episode, ("gold", "knn_regression"), generator)


def _with_logits(episode: Episode, low: tuple[str, str], generator: np.random.Generator) -> RegressionObservation:
    """Steady logits of about 0 for two predictors and 6 for the model, unsteady ones between for the others."""
    logits = {name: generator.normal(0.0, 0.3) if name in low else generator.uniform(1.0, 5.0) for name in PREDICTORS}
    logits["llm"] = generator.normal(6.0, 0.3)
    values, places = np.array(list(logits.values())), range(len(PREDICTORS))
    candidates = Candidates(
        contributions=values[np.newaxis],
        constant=np.zeros(len(values)),
        logits=values,
        tokens=np.arange(len(values)),
        columns=dict(zip(PREDICTORS, places, strict=True)),
        output_counts=np.zeros(len(values), int),
        texts=PREDICTORS,
    )
    return RegressionObservation(episode, {"candidates": candidates})
