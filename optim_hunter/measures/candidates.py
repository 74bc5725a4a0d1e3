"""The first tokens of several predictors' answers: their logits, and what components add to a difference of two."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import Candidates

INFORMATIVE_PAIRS = (("average", "llm"), ("last", "llm"))
"""The pairs of predictors that the paper names."""

FEWEST_TOKENS = 3
"""Two tokens correlate by ±1 whatever their logits are."""


def pair_sizes(candidates: Candidates) -> tuple[Float[np.ndarray, "named"], Float[np.ndarray, "rival"]]:
    """|logit difference| of the named pairs, and of every other pair of predictors (logits).

    Two answers that begin with the same token differ by 0: such a pair tells nothing, whichever it is.
    """
    logits = {name: candidates.logits[column] for name, column in candidates.columns.items()}
    sizes = {pair: abs(logits[pair[0]] - logits[pair[1]]) for pair in combinations(logits, 2)}
    named = [frozenset(pair) for pair in INFORMATIVE_PAIRS]
    rivals = [size for pair, size in sizes.items() if frozenset(pair) not in named]
    own = [next(size for pair, size in sizes.items() if frozenset(pair) == wanted) for wanted in named]
    return np.array(own), np.array(rivals)


def each_against_each(
    named: Float[np.ndarray, "named"], rivals: Float[np.ndarray, "rival"]
) -> Float[np.ndarray, "2 named_rival"]:
    """Named numbers in row 0 and rivals in row 1, every named one beside every rival."""
    return np.stack([np.repeat(named, len(rivals)), np.tile(rivals, len(named))])


def pair_leads_over_own_rivals(candidates: Candidates) -> Float[np.ndarray, "named"]:
    """|logit difference| of the named pairs minus the mean of the other pairs with the model itself (logits).

    The model's own token has the largest logit, so that any pair with it differs by more than one without.
    """
    own = candidates.logits[candidates.columns["llm"]]
    others = {name: column for name, column in candidates.columns.items() if name != "llm"}
    sizes = {name: abs(candidates.logits[column] - own) for name, column in others.items()}
    named = [first for first, _ in INFORMATIVE_PAIRS]
    rivals = np.mean([size for name, size in sizes.items() if name not in named])
    return np.array([sizes[name] for name in named]) - rivals


def base_rate_correlation(candidates: Candidates) -> float:
    """Pearson correlation of logit and log(1 + outputs that begin with the token), over the answers' first tokens.

    Raises:
        NoValue: the answers begin with fewer than three tokens, or all begin equally many outputs.
    """
    columns = sorted(set(candidates.columns.values()))
    logits, counts = candidates.logits[columns], np.log1p(candidates.output_counts[columns])
    if len(columns) < FEWEST_TOKENS:
        raise NoValue(f"the answers begin with {len(columns)} different tokens: too few to correlate")
    if np.ptp(counts) == 0 or np.ptp(logits) == 0:
        raise NoValue("all tokens begin equally many outputs, or have the same logit: nothing to correlate")
    return float(np.corrcoef(logits, counts)[0, 1])


def pair_difference(candidates: Candidates, first: str, second: str) -> Float[np.ndarray, "component"]:
    """What each component adds to logit(first predictor's token) − logit(second's), in logits.

    Raises:
        NoValue: both answers begin with the same token, so that the difference is 0 by definition.
    """
    columns = _columns(candidates, first, second)
    difference: Float[np.ndarray, "component"] = candidates.contributions[:, columns] @ np.array([1.0, -1.0])
    return difference


def observed_difference(candidates: Candidates, first: str, second: str) -> float:
    """logit(first predictor's token) − logit(second's), as the model's output has them.

    Raises:
        NoValue: both answers begin with the same token, so that the difference is 0 by definition.
    """
    columns = _columns(candidates, first, second)
    return float(candidates.logits[columns] @ np.array([1.0, -1.0]))


def _columns(candidates: Candidates, first: str, second: str) -> list[int]:
    columns = [candidates.columns[first], candidates.columns[second]]
    if columns[0] == columns[1]:
        raise NoValue(f"{first} and {second} begin with the same token {candidates.texts[columns[0]]!r}")
    return columns
