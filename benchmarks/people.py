"""How often a claim that people are matched is supported or refuted, where everybody's true share is known.

`python -m benchmarks.people [TRIALS]` draws both people's fifty answers and decides as a run does: resamples of their
answers, bootstrap p, both people matched, Holm over the two claims of the family, of which the other shows nothing.
The model's share is known, as it nearly is from thousands of windows. A second table says what more would decide.
"""

import sys

import numpy as np
from scipy.stats import binom

from fixtures.held_out import MARGIN, matches_people
from optim_hunter.claim import parse_seeds
from optim_hunter.stats.conditions import bootstrap_test, without_bias
from optim_hunter.stats.families import holm
from optim_hunter.stats.verdict import combine, verdict_of
from optim_hunter.tasks.people import published_people

TRUTHS = {
    "the model is as good as the author": (0.70, 0.70, 0.74),
    "the model is as good as the mentor": (0.74, 0.70, 0.74),
    "all three are alike": (0.72, 0.72, 0.72),
    "the model is 10 points better than the mentor": (0.84, 0.70, 0.74),
    "the model is 10 points worse than the mentor": (0.64, 0.70, 0.74),
    "the model is 10 points worse than the author": (0.60, 0.70, 0.74),
}
"""True shares of the model, the author and the mentor."""

FAMILY = 2
TRIALS = 4000
SHARES, ANSWERS = (0.70, 0.74), (50, 100, 150, 200, 300)
"""Of the author and the mentor; and numbers of questions that one might put to each."""


def verdicts(model: float, people: tuple[float, ...], trials: int, seed: int = 0) -> dict[str, float]:
    """The share of the trials in which each verdict was reached."""
    claim = matches_people("linear", "linear", ("linear",), "a linear model")
    resamples, answers = len(parse_seeds(claim.seeds)), [one.n for one in published_people()]
    generator, found = np.random.default_rng(seed), []
    for _ in range(trials):
        results = {}
        for who, (share, n) in enumerate(zip(people, answers, strict=True)):
            right = generator.binomial(n, share) / n
            values = model - generator.binomial(n, right, resamples) / n
            results[str(who)] = bootstrap_test(without_bias(values, model - right), model - right, -MARGIN, claim.alpha)
        both = combine(results)
        p, p_refuted = (holm({"one": p}, FAMILY)["one"] for p in (both.p, both.p_refuted))
        found.append(verdict_of(p, p_refuted, resamples, claim.alpha).value)
    return {verdict: found.count(verdict) / trials for verdict in ("supported", "refuted")}


def most_correct(bound: float, n: int, alpha: float) -> int:
    """The most right answers out of `n` at which the exact test says that the true share is below `bound`.

    −1 where none are few enough.
    """
    place = int(binom.ppf(alpha, n, bound))
    return place if binom.cdf(place, n, bound) <= alpha else place - 1


def noninferiority_power(share: float, margin: float, n: int, alpha: float) -> float:
    """How often a chooser whose share is known is shown to be no worse than a person of the same true `share`.

    The person answers `n` questions, and must be shown to lie below share + margin by the exact one-sided binomial
    test: all of the uncertainty is the person's.
    """
    return float(binom.cdf(most_correct(min(1.0, share + margin), n, alpha), n, share))


def main(trials: str = str(TRIALS)) -> None:
    """Print a row a truth; then a row a person, with the power of the exact test by number of answers."""
    for what, (model, *people) in TRUTHS.items():
        shares = verdicts(model, tuple(people), int(trials))
        print(f"| {what} | {shares['supported']:.1%} | {shares['refuted']:.1%} |")
    print()
    for share in SHARES:
        powers = (noninferiority_power(share, MARGIN, n, 0.05) for n in ANSWERS)
        print(f"| {share:.0%} | {' | '.join(f'{power:.0%}' for power in powers)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
