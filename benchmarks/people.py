"""How often a claim that people are matched is supported or refuted, where everybody's true share is known.

`python -m benchmarks.people [TRIALS]` draws both people's fifty answers and decides as a run does: resamples of their
answers, bootstrap p, both people matched, Holm over the two claims of the family, of which the other shows nothing.
The model's share is known, as it nearly is from thousands of windows.
"""

import sys

import numpy as np

from fixtures.held_out import MARGIN, matches_people
from optim_hunter.claim import parse_seeds
from optim_hunter.stats.conditions import bootstrap_test
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
            results[str(who)] = bootstrap_test(values, model - right, -MARGIN, claim.alpha)
        both = combine(results)
        p, p_refuted = (holm({"one": p}, FAMILY)["one"] for p in (both.p, both.p_refuted))
        found.append(verdict_of(p, p_refuted, resamples, claim.alpha).value)
    return {verdict: found.count(verdict) / trials for verdict in ("supported", "refuted")}


def main(trials: str = str(TRIALS)) -> None:
    """Print a row a truth."""
    for what, (model, *people) in TRUTHS.items():
        shares = verdicts(model, tuple(people), int(trials))
        print(f"| {what} | {shares['supported']:.1%} | {shares['refuted']:.1%} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
