"""How much faster a run from the store is than the run that filled it.

    python benchmarks/store.py [--json FILE] [arguments of pytest]

By default these are the claims about smollm2-135m of `make evidence`, with the controls that they rest on, in one
process; 'claims/ -m "cpu and not slow" -n 2' are all of them. The store is a folder that is empty at first. Seconds
are those of the ledger: from the first item to the last verdict.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLAIMS = ["claims/", "-m", "cpu and not slow", "-k", "smollm2"]

LEAST = 0.1
"""Seconds that a ledger can tell from none."""


def run(folder: Path, name: str, arguments: list[str]) -> dict[str, Any]:
    """A run over the claims: its ledger."""
    out = folder / name
    options = ["-q", f"--claims-store={folder / 'store'}", f"--claims-out={out}"]
    status = subprocess.run([sys.executable, "-m", "pytest", *arguments, *options], check=False).returncode
    ledger = out / "ledger.json"
    if status not in (0, 1) or not ledger.exists():  # 1: some verdicts are not as expected
        sys.exit(f"pytest ended with status {status}, so nothing was measured: see what it says above")
    return json.loads(ledger.read_text(encoding="utf-8"))


def row(name: str, ledger: dict[str, Any]) -> dict[str, Any]:
    """What a run took, all models together, and what it found."""
    work = ledger["run"]["work"].values()
    return {
        "name": name,
        "seconds": ledger["run"]["seconds"],
        "forward_passes": sum(one.get("forward_passes", 0) for one in work),
        "fits": sum(one.get("fits", 0) for one in work),
        "verdicts": [
            (entry["claim"], entry["model"], entry["protocol"], entry["verdict"]) for entry in ledger["claims"]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("claims", nargs=argparse.REMAINDER, help="arguments of pytest instead of those")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        filling, from_store = (
            row(name, run(Path(folder), name, arguments.claims or CLAIMS)) for name in ("filling", "from_store")
        )
    from_store["ratio"] = filling["seconds"] / max(from_store["seconds"], LEAST)
    for one in (filling, from_store):
        print("{name:10}  {seconds:8.1f} s  {forward_passes:5} forward passes  {fits:4} fits".format(**one))
    print(f"{from_store['ratio']:.0f} times faster; verdicts alike: {filling['verdicts'] == from_store['verdicts']}")
    if arguments.json:
        arguments.json.write_text(json.dumps([filling, from_store], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
