"""The benchmark of the store, on claims that take no time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def benchmark(tmp_path, *arguments):
    command = [sys.executable, "benchmarks/store.py", "--json", str(tmp_path / "rows.json"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_run_from_the_store_is_compared_with_the_one_that_filled_it(tmp_path):
    done = benchmark(tmp_path, "claims/stories/test_comma_raises_but.py", "-k", "planted", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stderr
    assert "verdicts alike: True" in done.stdout
    filling, again = json.loads((tmp_path / "rows.json").read_text())
    assert (filling["name"], again["name"]) == ("filling", "from_store")
    assert filling["fits"] > 0
    assert again["fits"] == 0
    assert again["ratio"] == pytest.approx(filling["seconds"] / again["seconds"])


def test_a_run_that_did_not_take_place_is_told(tmp_path):
    done = benchmark(tmp_path, "no_such_claims")
    assert done.returncode == 1
    assert done.stderr.endswith("pytest ended with status 4: nothing is measured\n")
    assert not (tmp_path / "rows.json").exists()
