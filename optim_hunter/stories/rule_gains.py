"""What each rule of a book gains on stories that were held out, with the uncertainty of these stories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from optim_hunter.claim import Verdict
from optim_hunter.stats.conditions import Result, mean_test
from optim_hunter.stats.families import holm
from optim_hunter.stats.verdict import verdict_of
from optim_hunter.stories.rule_material import fired
from optim_hunter.tasks.rules import RuleBook, log_probabilities_of
from optim_hunter.tasks.stories import Windows

ALPHA = 0.05

RESAMPLES, SEED = 2000, 0


@dataclass(frozen=True)
class Judged:
    """A quantity of one rule with the ends of its 90 % interval, and its verdict among all rules of the book.

    `p` and `p_refuted` are one-sided and adjusted (Holm); NaN where no story tells of the rule.
    """

    effect: float
    low: float
    high: float
    p: float
    p_refuted: float
    verdict: Verdict


def rule_gains(book: RuleBook, windows: Windows) -> sparse.csc_array:
    """What each rule gains in each window where it fires [window, rule]: the loss without it minus that with it (nats).

    Without it means that its shifts are 0, and all others as they are.
    """
    said = fired(book, windows)
    entries, shifts = sparse.coo_array(said.rules), book.shifts
    logits = said.rules.astype(float) @ shifts + book.offsets
    labels = windows.labels[entries.row]
    gains = _log_probability(logits[entries.row], labels)
    gains -= _log_probability(logits[entries.row] - shifts[entries.col], labels)
    return sparse.csc_array((gains, (entries.row, entries.col)), shape=said.rules.shape)


def _log_probability(
    logits: Float[np.ndarray, "entry class"], labels: Int[np.ndarray, "entry"]
) -> Float[np.ndarray, "entry"]:
    from scipy.special import log_softmax

    return np.asarray(log_softmax(logits, axis=1)[np.arange(len(labels)), labels])


def story_values(
    values: sparse.csc_array | Float[np.ndarray, "window quantity"], story: Int[np.ndarray, "window"]
) -> Float[np.ndarray, "story quantity"]:
    """Numbers a story whose mean is the mean over all windows; stories weigh by their windows, the ratio linearised."""
    _, place = np.unique(story, return_inverse=True)
    windows = np.bincount(place)
    of_story = sparse.csr_array((np.ones(len(place)), (place, np.arange(len(place)))))
    sums = of_story @ values
    dense = np.asarray(sums.todense() if sparse.issparse(sums) else sums)
    mean = dense.sum(0) / windows.sum()
    return np.asarray(mean + (dense - mean * windows[:, None]) / windows.mean())


def judge_gains(book: RuleBook, windows: Windows) -> list[Judged]:
    """The gain of each rule (nats a window), held against 0.

    The interval is of a bootstrap by story; the verdict is of the t tests that reckon with skewness
    (`stats.conditions.mean_test`), since a bootstrap of some thousand resamples has no p as small as Holm's adjustment
    over a thousand rules asks for.
    """
    if not book.rules:
        return []
    values = story_values(rule_gains(book, windows), windows.story)
    low, high = bootstrap_interval(values)
    return judged([mean_test(column, 0.0, ALPHA) for column in values.T], low, high)


def bootstrap_interval(
    values: Float[np.ndarray, "story quantity"],
) -> tuple[Float[np.ndarray, "quantity"], Float[np.ndarray, "quantity"]]:
    """Ends of the 90 % percentile interval of means when as many stories are drawn with replacement."""
    stories = len(values)
    counts = np.random.default_rng(SEED).multinomial(stories, np.full(stories, 1 / stories), size=RESAMPLES)
    low, high = np.quantile(counts @ values / stories, [ALPHA, 1 - ALPHA], axis=0)
    return low, high


def judged(results: list[Result], low: Float[np.ndarray, "rule"], high: Float[np.ndarray, "rule"]) -> list[Judged]:
    """Verdicts with both p adjusted over all rules."""
    names = [str(place) for place in range(len(results))]
    p = holm({name: result.p for name, result in zip(names, results, strict=True)}, len(results))
    against = holm({name: result.p_refuted for name, result in zip(names, results, strict=True)}, len(results))
    return [
        Judged(
            result.effect, float(low[place]), float(high[place]), p[name], against[name],
            verdict_of(p[name], against[name], result.n, ALPHA),
        )
        for place, (name, result) in enumerate(zip(names, results, strict=True))
    ]  # fmt: skip


def book_losses(book: RuleBook, windows: Windows) -> Float[np.ndarray, "window"]:
    """Negative log-likelihood of the words that came (nats)."""
    said = log_probabilities_of(fired(book, windows).rules, book.shifts, book.offsets)
    return np.asarray(-said[np.arange(len(windows.labels)), windows.labels])
