"""What replacing the last token of a window takes from the words that may come next."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.observe.replaced import ReplacedTokenObservation


def log_odds_drop(observation: ReplacedTokenObservation, word: str) -> float:
    """Log-odds (nats) of a word against the rest of its group, less what they are with the token replaced.

    Mean over the windows of the seed, and over the replacements.
    """
    place = observation.group.index(word)
    return float(np.mean(_log_odds(observation.kept, place) - _log_odds(observation.replaced, place)))


def drop_by_replacement(observation: ReplacedTokenObservation, word: str) -> dict[str, float]:
    """`log_odds_drop` of each replacement alone, by its text in quotes."""
    place = observation.group.index(word)
    drops = (_log_odds(observation.kept, place) - _log_odds(observation.replaced, place)).mean(axis=1)
    return {f'"{text}"': float(drop) for text, drop in zip(observation.replacements, drops, strict=True)}


def drop_leads(observation: ReplacedTokenObservation, word: str) -> Float[np.ndarray, "other_word"]:
    """What a word's log-probability loses minus what that of each other word of the group loses (nats)."""
    place = observation.group.index(word)
    lost = (observation.kept - observation.replaced).mean((0, 1))
    leads: Float[np.ndarray, "other_word"] = lost[place] - np.delete(lost, place)
    return leads


def _log_odds(log_probabilities: Float[np.ndarray, "*window class"], place: int) -> Float[np.ndarray, "*window"]:
    others = np.delete(log_probabilities, place, axis=-1)
    odds: Float[np.ndarray, "*window"] = log_probabilities[..., place] - np.logaddexp.reduce(others, axis=-1)
    return odds
