"""Every regressor over 100 seeds of friedman_2 with 25 examples: seconds, and what was warned of, by method.

    python benchmarks/regressors.py [--json FILE] [--seeds 100] [--examples 25] [--workers N]

`seconds` is the whole run, with the start of the worker processes; it is to stay below 45 on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from optim_hunter.observe.predictions import table_of
from optim_hunter.tasks.regression import RegressionTask
from optim_hunter.tasks.regressors import REGRESSORS, Fit, fit_all

NAMES = [name for name, regressor in REGRESSORS.items() if not regressor.required]


def row_of(name: str, fits: list[dict[str, Fit]]) -> dict[str, Any]:
    """What a method took and warned of, and how often it gave no prediction."""
    warned: Counter[str] = Counter()
    for seed in fits:
        warned.update(seed[name].warnings)
    missing = sum(seed[name].missing is not None for seed in fits)
    seconds = sum(seed[name].seconds for seed in fits)
    return {"name": name, "processor_seconds": seconds, "warnings": dict(warned), "missing": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--examples", type=int, default=25)
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    started = time.perf_counter()
    task = RegressionTask("friedman_2", examples=arguments.examples)
    tables = [table_of(task, seed) for seed in range(arguments.seeds)]
    fits = fit_all(NAMES, tables, arguments.workers)
    seconds = time.perf_counter() - started
    rows = [row_of(name, fits) for name in NAMES]
    for row in sorted(rows, key=lambda one: -one["processor_seconds"]):
        counts = ", ".join(f"{count} {category}" for category, count in row["warnings"].items()) or "no warnings"
        print(f"{row['name']:40} {row['processor_seconds']:6.2f} s  {counts}; {row['missing']} without a prediction")
    total = sum(row["processor_seconds"] for row in rows)
    print(
        f"{len(NAMES)} methods, {arguments.seeds} seeds: {seconds:.1f} s, {total:.1f} s of processors (load {load:.2f})"
    )
    if arguments.json:
        result = {
            "seconds": seconds,
            "processor_seconds": total,
            "seeds": arguments.seeds,
            "load_before": load,
            "methods": rows,
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
