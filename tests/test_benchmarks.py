"""The benchmark of the store, on a claim that takes no time."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.store import row

ROOT = Path(__file__).parent.parent

CLAIM = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.regression import RegressionTask

@claim(Claim(
    id="mine/one", statement="It holds.", source="a test", family="mine",
    conditions=(Condition("gain", "a number", "units", 1.0),),
    protocols=(Protocol("published", RegressionTask(examples=50), models=("recorded:llama-3.1-8b",)),), seeds="0-19",
))
def test_one(observation):
    return 2 + observation.episode.seed % 7
"""


def benchmark(tmp_path, *arguments):
    command = [sys.executable, "benchmarks/store.py", "--json", str(tmp_path / "rows.json"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_run_from_the_store_is_compared_with_the_one_that_filled_it(tmp_path):
    (tmp_path / "test_one.py").write_text(CLAIM)
    done = benchmark(tmp_path, str(tmp_path), "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stderr
    assert "verdicts alike: True" in done.stdout
    filling, again = json.loads((tmp_path / "rows.json").read_text())
    assert (filling["name"], again["name"]) == ("filling", "from_store")
    assert filling["verdicts"] == again["verdicts"] == [["mine/one", "recorded:llama-3.1-8b", "published", "supported"]]
    assert again["ratio"] > 0


def test_passes_and_fits_are_those_of_all_models():
    work = {"a": {"forward_passes": 2, "fits": 3, "batch_seeds": 8}, "b": {"forward_passes": 5}, "c": {}}
    entry = {"claim": "mine/one", "model": "a", "protocol": "corrected", "verdict": "refuted", "n": 20}
    told = row("filling", {"run": {"seconds": 1.5, "work": work}, "claims": [entry]})
    assert told == {
        "name": "filling", "seconds": 1.5, "forward_passes": 7, "fits": 3,
        "verdicts": [("mine/one", "a", "corrected", "refuted")],
    }  # fmt: skip


def test_a_run_that_did_not_take_place_is_told(tmp_path):
    done = benchmark(tmp_path, "no_such_claims")
    assert done.returncode == 1
    assert done.stderr.endswith("so nothing was measured: see what it says above\n")
    assert not (tmp_path / "rows.json").exists()
