"""How often the suite's verdicts are wrong, and how strong an effect must be for it to see it.

    python -m benchmarks.calibrate        (or `make calibrate`)

Simulates whole claims, decided by the same `Run` that decides real ones, on nulls that sit at the smallest effect, and
writes docs/calibration.json, docs/calibration.md and the pictures of both. Ends with 1 where a rate of false verdicts
lies above α, or coverage below what is promised, beyond Monte-Carlo error: outside of the exact 99 % interval.
"""

from __future__ import annotations

import gc
import json
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.calibration_nulls import BOUNDS, GAINS, NULLS, ZERO, Null, normal, recorded_gains, skewed
from benchmarks.calibration_page import covers_too_little, draw_pictures, page, too_often_wrong
from optim_hunter.cases import Case
from optim_hunter.claim import Verdict
from optim_hunter.run import Decision, Run
from optim_hunter.stats.decision import SeedNumber
from optim_hunter.stats.equivalence import equivalence_p
from optim_hunter.stats.proportions import exact_interval
from optim_hunter.subjects.subject import Options

DOCS = Path(__file__).parent.parent / "docs"
POWER_RUNS = 300
EFFECTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Above the smallest effect, in standard deviations of a seed's number."""

SEEDS = (20, 50, 100, 200)
STOPPING_RUNS = 1000
HALF_WIDTHS = (3, 4, 5, 7)
"""Bounds on either side of the smallest effect, in standard deviations of a seed's number."""


class SimulatedRun(Run):
    """A run that takes the numbers of its seeds, one after the other, from those that were drawn.

    It does without the number of seeds to go, which decides nothing and takes long.
    """

    drawn: Mapping[int, SeedNumber]

    def _measure(self, case: Case, seed: int) -> SeedNumber:  # noqa: ARG002
        return self.drawn[seed]

    def _open_if_unmeasured(self, case: Case) -> None:
        """There is no model."""

    def _needed(self, *_: Any) -> None:
        return None


def decide(null: Null, generator: np.random.Generator, shift: float = 0.0) -> tuple[Decision, int]:
    """The verdict on one simulated claim, and how many of its seeds were looked at."""
    numbers, estimate = null.draw(generator, shift)
    seeds = tuple(number.seed for number in numbers)
    case = Case(null.claim, lambda _: None, null.claim.protocols[0], "simulated", seeds, True)
    bounds = {(null.claim.id, name): ends for name, ends in null.bounds.items()} or None
    run = SimulatedRun({case.key: case}, Options(), family_sizes={null.claim.family: null.size}, bounds=bounds)
    run.drawn, run.numbers[case.key] = {number.seed: number for number in numbers}, {}
    if estimate is not None:
        run.estimates[case.key] = estimate
    decision = run.decide(case)
    return decision, len(run.looked_at(case))


@dataclass(frozen=True)
class Tally:
    """What so many draws of one claim ended in; `covered` counts intervals that hold the truth, where there is one."""

    runs: int
    supported: int
    refuted: int
    covered: int | None
    median_seeds: float


def tally(null: Null, runs: int, shift: float = 0.0) -> Tally:
    """Draw and decide a claim so many times; the generator depends on the claim and the shift alone."""
    generator = np.random.default_rng(zlib.crc32(f"{null.test}, {null.name}, {shift}".encode()))
    gc.freeze()  # statsmodels collects all garbage at every Holm adjustment
    drawn = [decide(null, generator, shift) for _ in range(runs)]
    verdicts = [decision.verdict for decision, _ in drawn]
    stops = [seeds if decision.verdict is not Verdict.INCONCLUSIVE else np.inf for decision, seeds in drawn]
    return Tally(
        runs,
        verdicts.count(Verdict.SUPPORTED),
        verdicts.count(Verdict.REFUTED),
        _covered(null, [decision for decision, _ in drawn]) if shift == 0 else None,
        float(np.median(stops)),
    )


def _covered(null: Null, decisions: Iterable[Decision]) -> int | None:
    """Intervals that hold the smallest effect; None where the interval is that of the worst of several numbers."""
    intervals = []
    for decision in decisions:
        tested = decision.tested
        assert tested is not None, decision.reason
        if len(tested.conditions) > 1 or tested.columns["a"] is not None or tested.candidate is not None:
            return None
        intervals.append(tested.conditions["a"].interval)
    smallest = null.claim.conditions[0].smallest_effect
    return sum(ends is not None and ends[0] <= smallest <= ends[1] for ends in intervals)


def rate_interval(count: int, runs: int) -> list[float]:
    """The exact 99 % interval of a rate."""
    return [round(end, 5) for end in exact_interval(count, runs, 0.99)]


def row_of(null: Null, runs: int, power_runs: int = POWER_RUNS) -> dict[str, Any]:
    """One row of calibration.json: rates at the smallest effect with their exact intervals, power at `null.shift`."""
    found, stronger = tally(null, runs), tally(null, power_runs, null.shift)
    covered = found.covered
    return {
        "test": null.test,
        "null": null.name,
        "runs": runs,
        "false_supported": found.supported / runs,
        "false_refuted": found.refuted / runs,
        "alpha": null.claim.alpha,
        "power": stronger.supported / power_runs,
        "power_interval": rate_interval(stronger.supported, power_runs),
        "effect_of_power": null.shift,
        "false_supported_interval": rate_interval(found.supported, runs),
        "false_refuted_interval": rate_interval(found.refuted, runs),
        "coverage": None if covered is None else covered / runs,
        "coverage_interval": None if covered is None else rate_interval(covered, runs),
        "nominal_coverage": 1 - 2 * null.claim.alpha,
    }


def equivalence_row(runs: int = 4000, seeds: int = 100) -> dict[str, Any]:
    """Two one-sided tests of recorded gains whose mean is the margin, half a standard deviation; power at a mean of 0.

    *Supported* is "as good as none" here; the test refutes nothing.
    """
    generator = np.random.default_rng(0)
    margin = 0.5 * recorded_gains().std()
    called = {}
    for mean in (margin, 0.0):
        drawn = mean + generator.choice(recorded_gains(), (runs, seeds))
        called[mean] = sum(equivalence_p(values, margin) <= GAINS.alpha for values in drawn)
    return {
        "test": "equivalence", "null": f"recorded gains at the margin, {seeds} seeds", "runs": runs,
        "false_supported": called[margin] / runs, "false_refuted": 0.0, "alpha": GAINS.alpha,
        "power": called[0.0] / runs, "power_interval": rate_interval(called[0.0], runs), "effect_of_power": 0.0,
        "false_supported_interval": rate_interval(called[margin], runs),
        "false_refuted_interval": rate_interval(0, runs),
        "coverage": None, "coverage_interval": None, "nominal_coverage": 1 - 2 * GAINS.alpha,
    }  # fmt: skip


def power_point(seeds: int, effect: float, sequential: bool) -> dict[str, Any]:
    """Share of draws of recorded gains that end in *supported*."""
    bounds = {"a": BOUNDS} if sequential else {}
    test = "sequential" if sequential else "mean"
    null = Null(test, f"recorded gains, {seeds} seeds", skewed(seeds), GAINS, bounds=bounds)
    supported = tally(null, POWER_RUNS, effect).supported
    return {"test": test, "seeds": seeds, "effect": effect, "runs": POWER_RUNS, "power": supported / POWER_RUNS,
            "power_interval": rate_interval(supported, POWER_RUNS)}  # fmt: skip


def stopping(half_width: int, size: int, effect: float, numbers: str) -> dict[str, Any]:
    """Median seeds until a sequential claim is settled, of 100; None where fewer than half are.

    All bounds and sizes of a family get the same draws, so that they alone differ.
    """
    spread = recorded_gains().std() if numbers == "recorded gains" else 1.0
    claim, draw = (GAINS, skewed(100)) if numbers == "recorded gains" else (ZERO, normal(100))
    smallest = claim.conditions[0].smallest_effect
    ends = (smallest - half_width * spread, smallest + half_width * spread)
    null = Null("stopping", numbers, draw, claim, bounds={"a": ends}, size=size)
    median = tally(null, STOPPING_RUNS, effect).median_seeds
    return {"numbers": numbers, "half_width": half_width, "family_size": size, "effect": effect,
            "runs": STOPPING_RUNS, "median_seeds": median if np.isfinite(median) else None}  # fmt: skip


def measured() -> dict[str, list[dict[str, Any]]]:
    """All that the page shows, on all cores."""
    work = Parallel(n_jobs=-1, batch_size=1)
    rows = work(delayed(row_of)(null, null.runs) for null in sorted(NULLS, key=lambda null: -null.runs))
    order = [(null.test, null.name) for null in NULLS]
    curves = [(seeds, effect, False) for seeds in SEEDS for effect in EFFECTS]
    curves += [(100, effect, True) for effect in EFFECTS]
    stops = [(half, size, effect, numbers) for numbers in ("normal", "recorded gains") for effect in (0.7, 0.35)
             for size in (1, 3) for half in HALF_WIDTHS]  # fmt: skip
    return {
        "rows": [*sorted(rows, key=lambda row: order.index((row["test"], row["null"]))), equivalence_row()],
        "power": work(delayed(power_point)(*point) for point in curves),
        "stopping": work(delayed(stopping)(*point) for point in stops),
    }


def main() -> int:
    found = measured()
    (DOCS / "calibration.json").write_text(json.dumps(found["rows"], indent=1, ensure_ascii=False) + "\n", "utf-8")
    (DOCS / "calibration.md").write_text(page(found), "utf-8")
    draw_pictures(found, DOCS / "pictures")
    wrong = [row for row in found["rows"] if too_often_wrong(row) or covers_too_little(row)]
    for row in wrong:
        rates = ", ".join(f"{rate} {row[rate]}" for rate in ("false_supported", "false_refuted", "coverage"))
        print(f"{row['test']}, {row['null']}: {rates}, α {row['alpha']}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
