"""Every regressor over 100 seeds of a data set: seconds, mean squared error, and what was warned of, by method.

    python benchmarks/regressors.py [--json FILE] [--dataset friedman_2] [--examples 25] [--tests 1] [--seeds 100]

`seconds` is the whole run, with the start of the worker processes; as called without options it is to stay below 45
on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from optim_hunter.tasks.datasets import table
from optim_hunter.tasks.regressors import REGRESSORS, Fit, TrainingData, fit_all

NAMES = [name for name, regressor in REGRESSORS.items() if not regressor.required]


def row_of(name: str, fits: list[dict[str, Fit]], golds: list[np.ndarray]) -> dict[str, Any]:
    """How far a method errs, what it took and warned of, and how often it gave no prediction."""
    warned: Counter[str] = Counter()
    for seed in fits:
        warned.update(seed[name].warnings)
    missing = sum(seed[name].missing is not None for seed in fits)
    seconds = sum(seed[name].seconds for seed in fits)
    error = np.mean([np.mean((seed[name].values - gold) ** 2) for seed, gold in zip(fits, golds, strict=True)])
    shown = {"name": name, "mse": float(error), "processor_seconds": seconds}
    return {**shown, "warnings": dict(warned), "missing": missing}


def measured(dataset: str, examples: int, tests: int, seeds: int) -> dict[str, Any]:
    """All methods on the first seeds of a data set, the one that errs least first."""
    load = os.getloadavg()[0]
    started = time.perf_counter()
    drawn = [table(dataset, seed) for seed in range(seeds)]
    cases = [TrainingData(x[:examples], y[:examples], z[:tests], seed) for seed, (x, y, z, _) in enumerate(drawn)]
    fits = fit_all(NAMES, cases)
    seconds = time.perf_counter() - started
    golds = [gold[:tests] for *_, gold in drawn]
    rows = sorted((row_of(name, fits, golds) for name in NAMES), key=lambda one: one["mse"])
    total = sum(row["processor_seconds"] for row in rows)
    return {"seconds": seconds, "processor_seconds": total, "seeds": seeds, "load_before": load, "methods": rows}


def show(result: dict[str, Any]) -> None:
    """A line a method, then the whole."""
    for row in result["methods"]:
        counts = ", ".join(f"{count} {category}" for category, count in row["warnings"].items()) or "no warnings"
        shown = f"{row['name']:40} {row['mse']:12.7g} {row['processor_seconds']:6.2f} s"
        print(f"{shown}  {counts}; {row['missing']} without a prediction")
    seconds = f"{result['seconds']:.1f} s, {result['processor_seconds']:.1f} s of processors"
    print(f"{len(NAMES)} methods, {result['seeds']} seeds: {seconds} (load {result['load_before']:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--dataset", default="friedman_2")
    parser.add_argument("--examples", type=int, default=25)
    parser.add_argument("--tests", type=int, default=1, help="test cases of a seed")
    parser.add_argument("--seeds", type=int, default=100)
    arguments = parser.parse_args()
    result = measured(arguments.dataset, arguments.examples, arguments.tests, arguments.seeds)
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
