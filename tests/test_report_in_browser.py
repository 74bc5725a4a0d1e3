"""The evidence page in headless Chromium: what comes first, what draws and when, and that nothing foreign runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from sample_ledger import HOSTILE, hostile_ledger, sample_ledger

from optim_hunter.evidence import report, text
from optim_hunter.evidence.profile_figures import beside_each_other
from optim_hunter.stats.intervals import student

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
import json
from pathlib import Path
from optim_hunter.evidence import report as evidence

def pytest_html_results_summary(prefix):
    evidence.install(prefix, json.loads(Path("ledger.json").read_text(encoding="utf-8")))

def pytest_html_results_table_row(report, cells):
    evidence.fill_row(cells, report.nodeid, measured="[seed " in report.nodeid)

def pytest_unconfigure(config):
    evidence.secure_file(Path(config.getoption("htmlpath")))
"""
TESTS = """
import pytest

@pytest.mark.parametrize("seed", ["seed 1", "seed 2"])
def test_measured(seed):
    pass

@pytest.mark.parametrize("seed", [*range(50), "<img src=x onerror='window.owned = 1'>"])
def test_seed(seed):
    pass

def test_verdict():
    pytest.skip("<script>window.owned = 1</script>")
"""
DRAWN = "[...document.querySelectorAll('[data-figure]')].every(holder => holder.dataset.state === 'drawn')"
FIRST = "document.querySelector('[data-figure]')"


@pytest.fixture(scope="module")
def pytest_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that a real run of pytest-html has written."""
    folder = tmp_path_factory.mktemp("run")
    files = {
        "conftest.py": CONFTEST,
        "test_seeds.py": TESTS,
        "pytest.ini": "[pytest]",
        "ledger.json": json.dumps(sample_ledger(claims=6, seeds=40)),
    }
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:optim_hunter",
        "-p",
        "no:cacheprovider",
        "-c",
        "pytest.ini",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "--html=evidence.html", "--self-contained-html"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "evidence.html"


def test_claims_come_first_and_tests_are_folded_away(browser: Browser, pytest_page: Path) -> None:
    browser.open(pytest_page)
    assert browser.evaluate("document.body.firstElementChild.id") == "evidence"
    assert browser.evaluate("document.querySelector('table').getBoundingClientRect().top") < 150
    assert browser.evaluate("document.querySelector('#tests').open") is False
    assert browser.evaluate("document.querySelectorAll('#tests #results-table tbody').length") == 1
    assert "measured" not in browser.evaluate("document.querySelector('#data-container').dataset.jsonblob")
    browser.evaluate("document.querySelector('[data-test-result=passed]').click()")
    assert browser.evaluate("document.querySelectorAll('#results-table tbody').length") == 52
    assert "<img src=x" in browser.evaluate("document.querySelector('#results-table').textContent")
    assert browser.evaluate("window.owned") is None


def test_figures_draw_at_first_sight(browser: Browser, pytest_page: Path) -> None:
    browser.open(pytest_page)
    assert browser.evaluate("[typeof Plotly, document.querySelectorAll('[data-state]').length]") == ["undefined", 0]
    browser.evaluate(f"{FIRST}.scrollIntoView()")
    browser.wait_for(f"{FIRST}.dataset.state === 'drawn'")
    assert browser.evaluate(f"{FIRST}.querySelectorAll('svg.main-svg .scatterlayer .point').length") >= 39
    assert browser.evaluate("document.querySelectorAll('[data-state]').length") < 3
    assert browser.console == []


@pytest.fixture
def sample_page(browser: Browser, tmp_path: Path) -> Browser:
    """The page of twelve claims on 30 seeds, opened."""
    page = tmp_path / "page.html"
    page.write_text(report.page_html(sample_ledger(claims=12, seeds=30)), encoding="utf-8")
    browser.open(page)
    return browser


ROWS = "[...document.querySelectorAll('tbody[data-sort]')].filter(one => !one.hidden)"
ORDER = "[...document.querySelectorAll('tbody[data-sort]')].map(one => JSON.parse(one.dataset.sort).{})"


def test_claims_are_filtered_by_text_verdict_model_and_family(sample_page: Browser) -> None:
    def shown(control: str, value: str) -> int:
        sample_page.evaluate(f"(one => {{ one.value = '{value}'; one.dispatchEvent(new Event('input', "
                             f"{{ bubbles: true }})); }})(document.querySelector('#filter {control}'))")  # fmt: skip
        return int(sample_page.evaluate(f"{ROWS}.length"))

    refuted = [one for one in sample_ledger(claims=12, seeds=30)["claims"][:12] if one["verdict"] == "refuted"]
    assert shown("[name=verdict]", "refuted") == len(refuted)
    fewer = sum(one["model"] == "smollm2-135m" for one in refuted)
    assert shown("[name=model]", "smollm2-135m") == fewer
    assert f"{fewer} of 12" in sample_page.evaluate("document.querySelector('#filter output').textContent")
    both = sum(one["model"] == "smollm2-135m" and one["family"] == "stories" for one in refuted)
    assert shown("[name=family]", "stories") == both
    sample_page.evaluate("document.querySelector('#filter button').click()")
    assert shown("input", "COMMA ") == 3
    assert sample_page.evaluate(f"{ROWS}.every(one => one.textContent.includes('comma-raises-but'))")


def test_claims_are_sorted_by_keyboard_and_back(sample_page: Browser) -> None:
    before = sample_page.evaluate(ORDER.format("claim"))
    effect = "document.querySelector('[data-column=effect]')"
    states = []
    for _ in range(3):
        sample_page.evaluate(f"{effect}.focus()")
        sample_page.key("Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
        states.append(sample_page.evaluate(f"[{effect}.closest('th').ariaSort, {ORDER.format('effect')}]"))
    (up, rising), (down, falling), (none, _) = states
    assert (up, down, none) == ("ascending", "descending", "none")
    assert rising == sorted(rising)
    assert falling == rising[::-1]
    assert sample_page.evaluate(ORDER.format("claim")) == before


def test_seeds_are_told_on_demand(sample_page: Browser) -> None:
    assert sample_page.evaluate("document.querySelectorAll('.seeds table').length") == 0
    sample_page.evaluate("document.querySelector('details.seeds').open = true")
    sample_page.wait_for("document.querySelector('details.seeds').dataset.state === 'filled'")
    ledger = sample_ledger(claims=12, seeds=30)
    told = sample_page.evaluate(
        "[...document.querySelectorAll('.seeds tbody tr')].map(row => row.cells[2].textContent)"
    )
    assert told == [one["answer"] for one in ledger["exchanges"]["told 0"].values()]
    assert sample_page.evaluate("document.querySelectorAll('.seeds pre').length") == 0
    sample_page.evaluate("document.querySelectorAll('.seeds details')[4].open = true")
    sample_page.wait_for("document.querySelector('.seeds pre')")
    assert sample_page.evaluate("document.querySelector('.seeds pre').textContent") == ledger["prompts"]["prompt 104"]
    assert sample_page.console == []


def test_an_attention_row_is_its_tokens_and_needs_no_plotly(sample_page: Browser) -> None:
    row = "document.querySelector('[data-kind=row]')"
    sample_page.evaluate(f"{row}.scrollIntoView()")
    sample_page.wait_for(f"{row}.dataset.state === 'drawn'")
    assert sample_page.evaluate(f"{row}.querySelectorAll('span').length") == 1350
    assert sample_page.evaluate(f"{row}.querySelector('p').textContent").startswith("Most lies on token ")


def test_a_narrow_screen_is_not_scrolled_sideways(sample_page: Browser) -> None:
    with sample_page.width(390):
        assert sample_page.evaluate("document.documentElement.scrollWidth") <= 390


def test_print_holds_every_figure(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(report.page_html(sample_ledger(claims=2, seeds=5)), encoding="utf-8")
    browser.open(page)
    browser.wait_for("document.documentElement.dataset.plotly === 'unpacked'")
    browser.print(tmp_path / "page.pdf")
    assert browser.evaluate(DRAWN) is True
    assert browser.evaluate("document.querySelector('.controls-table').open") is True
    assert browser.evaluate("document.querySelectorAll('.seeds[open]').length") == 0


def test_hostile_text_is_shown_and_never_run(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(report.page_html(hostile_ledger()), encoding="utf-8")
    browser.open(page, "?draw=all")
    browser.wait_for(DRAWN)
    assert browser.evaluate("window.owned") is None
    assert browser.evaluate("document.querySelectorAll('main script, main img, main [href^=javascript]').length") == 0
    shown = browser.evaluate("document.querySelector('#evidence').textContent")
    assert all(text.visible(hostile) in shown for hostile in HOSTILE)
    assert browser.evaluate("document.querySelectorAll('.plot svg.main-svg').length") >= 2 * len(HOSTILE)
    assert browser.console == []


def test_labels_of_a_figure_are_text(browser: Browser, tmp_path: Path) -> None:
    changed = sample_ledger(claims=1, seeds=3)
    mean = student(np.array([[1.0, -1.0], [1.2, -0.8]]))
    drawn = beside_each_other(["<b>but</b>", "&lt;or"], mean, "nats", None, None)
    changed["claims"] = [changed["claims"][0] | {"figures": [{"title": "weights", "figure": drawn}], "numbers": []}]
    page = tmp_path / "page.html"
    page.write_text(report.page_html(changed), encoding="utf-8")
    browser.open(page, "?draw=all")
    browser.wait_for(DRAWN)
    ticks = browser.evaluate("[...document.querySelectorAll('.xtick text')].map(tick => tick.textContent)")
    assert ticks == ["“<b>but</b>”", "“&lt;or”"]


def test_dark_readers_get_a_dark_page(browser: Browser, pytest_page: Path) -> None:
    browser.open(pytest_page)
    colour = "getComputedStyle(document.body).backgroundColor"
    light = browser.evaluate(colour)
    browser.colour_scheme("dark")
    assert browser.evaluate(colour) != light
    browser.colour_scheme("light")
