"""What 32 queries of a seed cost against one: the prefill of their prompts, with attention rows read.

    python benchmarks/queries.py [--json FILE] [--model smollm2-135m] [--repeats 5]

Each round times both, in alternating order; `ratio` is the median over rounds of the time over that of one query in
the same round. Prompts have 25 examples; the examples are run once, and each query is the test case alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.tasks.regression import RegressionTask

QUERIES = (1, 8, 32)


def seconds_of(engine: Engine, queries: int, seed: int) -> tuple[float, int]:
    """Seconds and tokens of a seed's pass."""
    task = RegressionTask(examples=25, queries_per_seed=queries)
    one = RegressionPass(engine, {task: {seed: {"attention"}}}, PartStore(None, engine.model))
    before, started = engine.tokens_run, time.perf_counter()
    one.observe(task, seed)
    return time.perf_counter() - started, engine.tokens_run - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--model", default="smollm2-135m", help="a name of the registry")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that are timed")
    arguments = parser.parse_args()
    engine = Engine(open_language_model(arguments.model, None, None))
    engine.open()
    seconds_of(engine, 2, 0)
    rounds: list[dict[int, tuple[float, int]]] = []
    for number in range(arguments.repeats):
        order = QUERIES[:: -1 if number % 2 else 1]
        rounds.append({queries: seconds_of(engine, queries, number) for queries in order})
    table = []
    for queries in QUERIES:
        row = {
            "name": f"queries_{queries}",
            "tokens": statistics.median(one[queries][1] for one in rounds),
            "ratio": statistics.median(one[queries][0] / one[1][0] for one in rounds),
            "seconds": statistics.median(one[queries][0] for one in rounds),
        }
        table.append(row)
        print("{name:12} {tokens:6,.0f} tokens  ratio {ratio:5.2f}  {seconds:7.2f} s".format(**row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
