"""What the evidence page weighs and how soon it opens: 25 claims on 100 seeds with figures, prompts and answers.

    python benchmarks/report.py [--claims 25] [--seeds 100] [--runs 5] [--ledger LEDGER]

The page is made from a ledger of generated numbers (`tests/sample_ledger.py`), or from that of a run. Times are those
of headless Chromium, with a fresh profile of the browser for every run: from the request of the page to the end of its
load event, when the table of claims can be sorted; then from scrolling to the first figure until it is drawn, which
unpacks and runs plotly.js, and from asking for the seeds of a claim until their table stands.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browser import Browser, browsing, find_chromium
from sample_ledger import sample_ledger

from optim_hunter.evidence.report import page_html

FIGURE = "document.querySelector('[data-figure]')"
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
SORTABLE = "document.querySelector('thead button:not(:disabled)') !== null"
SEEDS = "document.querySelector('details.seeds')"


def main() -> None:
    arguments = parser().parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium on this machine (Debian: apt-get install chromium)")
    content = read(arguments)
    begun = time.perf_counter()
    page = page_html(content)
    made = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page, encoding="utf-8")
        rows = [opened(chromium, path) for _ in range(arguments.runs)]
        print(table(content, path, made, rows))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("--claims", type=int, default=25)
    made.add_argument("--seeds", type=int, default=100)
    made.add_argument("--runs", type=int, default=5)
    made.add_argument("--ledger", type=Path)
    return made


def read(arguments: argparse.Namespace) -> dict:
    if arguments.ledger is None:
        return sample_ledger(arguments.claims, arguments.seeds)
    content: dict = json.loads(arguments.ledger.read_text(encoding="utf-8"))
    return content


def opened(chromium: str, page: Path) -> dict[str, float]:
    """Seconds until things are there, in a browser of its own."""
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with folder as profile, browsing(chromium, Path(profile)) as browser:
        browser.open(page)
        assert browser.evaluate(SORTABLE)
        assert browser.evaluate("document.querySelectorAll('[data-state]').length") == 0
        return {"load": browser.evaluate(LOADED) / 1000, **dict(on_demand(browser))}


def on_demand(browser: Browser) -> Iterator[tuple[str, float]]:
    for name, act, done in (
        ("first figure", f"{FIGURE}.scrollIntoView()", f"{FIGURE}.dataset.state === 'drawn'"),
        ("seeds of a claim", f"{SEEDS}.open = true", f"{SEEDS}.dataset.state === 'filled'"),
    ):
        begun = time.perf_counter()
        browser.evaluate(act)
        browser.wait_for(done)
        yield name, time.perf_counter() - begun


def table(content: dict, path: Path, made: float, rows: list[dict[str, float]]) -> str:
    claims = [entry for entry in content["claims"] if not entry["control"]]
    numbers = sum(len(entry["numbers"]) for entry in claims)
    lines = [
        f"| {len(claims)} claims, {numbers:,} rows of seeds, {len(content.get('prompts', {}))} prompts | |",
        "|---|---|",
        f"| ledger | {len(json.dumps(content)) / 1e6:.1f} MB |",
        f"| page | {path.stat().st_size / 1e6:.1f} MB, made in {made:.1f} s |",
    ]
    for name in rows[0]:
        times = [row[name] for row in rows]
        lines.append(f"| {name} | {statistics.median(times):.2f} s (at most {max(times):.2f} of {len(times)}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
