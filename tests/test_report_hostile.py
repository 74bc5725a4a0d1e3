"""The evidence page in headless Chromium, with every string of the shared list in every slot of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Browser
from hostile_pages import ALL, TEXTS, evidence_page, hostile_report
from test_report_in_browser import CONFTEST, ROOT

from optim_hunter.evidence import text

ONCE = "#evidence .how, #run"
FILLED = "[...document.querySelectorAll('details.seeds')].every(one => one.dataset.state === 'filled')"
SLOTS = {
    "claim": "h2",
    "statement": ".statement",
    "source": ".statement + .note",
    "model": "h3 .model",
    "protocol": "h3 .protocol",
    "sentence": ".sentence",
    "condition": "table th[scope=row]",
    "missing": ".provenance details li",
    "family": ".provenance",
    "caption": "figcaption",
    "token": ".plot.row span:nth-child(2)",
    "partner": ".warning",
    "column of a seed": ".seeds thead",
    "answer": ".seeds .answer",
    "reason of a seed": ".seeds td.note",
    "prompt": ".seeds pre",
    "command": ".provenance .command",
}
"""Slot → where it stands in the section of a claim."""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """The page with all of it opened."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(evidence_page(path.parent), encoding="utf-8")
    browser.open(path, "?draw=all")
    browser.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")
    browser.wait_for(FILLED)
    browser.evaluate("document.querySelectorAll('details.prompt').forEach(one => { one.open = true; })")
    browser.wait_for("[...document.querySelectorAll('details.prompt')].every(one => one.querySelector('pre'))")
    return browser


def test_each_string_is_shown_in_every_slot(page: Browser) -> None:
    for slot, selector in SLOTS.items():
        shown = page.evaluate(
            "[...document.querySelectorAll('section.claim')].slice(0, -1).map(claim => "
            f"[...claim.querySelectorAll({json.dumps(selector)})].map(one => one.textContent).join('\\n'))"
        )
        assert len(shown) == len(TEXTS)
        lacking = [one for one, seen in zip(TEXTS, shown, strict=True) if expected(slot, one) not in seen]
        assert not lacking, (slot, lacking)


def expected(slot: str, one: str) -> str:
    """What is shown for a string: of a token's line ends their sign, all else but what is invisible as it is."""
    shown = text.visible(one)
    return shown.replace("\n", "↵") if slot == "token" else shown


def test_each_string_is_shown_in_the_table_of_claims_and_can_be_chosen(page: Browser) -> None:
    rows = page.evaluate("[...document.querySelectorAll('table.claims tbody')].map(one => one.textContent)")
    assert all(text.visible(one) in row for one, row in zip(TEXTS, rows, strict=True))
    for name in ("model", "family"):
        options = page.evaluate(
            f"[...document.querySelector('select[name={name}]').options].map(one => one.textContent)"
        )
        assert all(any(" ".join(text.visible(one).split()) in " ".join(option.split()) for option in options)
                   for one in TEXTS)  # fmt: skip


def test_what_the_run_says_of_itself_is_text(page: Browser) -> None:
    assert text.visible(ALL) in page.evaluate("document.querySelector('#run').textContent")


MADE_OF_TEXT = "main :is(script, img, iframe, object, embed, form, base, u, marquee, video, math), main svg :is(a, use)"
HANDLERS = "[...one.attributes].filter(part => part.name.startsWith('on'))"


def test_nothing_of_it_ran(page: Browser) -> None:
    assert page.evaluate("window.owned") is None
    assert page.evaluate(f"document.querySelectorAll('{MADE_OF_TEXT}').length") == 0
    assert page.evaluate(
        "[...document.querySelectorAll('main [href]')].every(one => one.attributes.href.value[0] === '#')"
    )
    assert page.evaluate(f"[...document.querySelectorAll('main *')].flatMap(one => {HANDLERS}).length") == 0
    assert page.console == []


def test_no_string_turns_its_neighbours_around(page: Browser) -> None:
    isolating = "['isolate', 'plaintext', 'isolate-override', 'bidi-override']"
    loose = page.evaluate(
        "[...document.querySelectorAll('#evidence :is(.model, .protocol, .statement, .sentence, h2, figcaption, td, "
        f"th, dd, li, pre, .plot.row span)')].filter(one => !{isolating}.includes(getComputedStyle(one).unicodeBidi))"
        ".map(one => one.tagName + '.' + one.className)"
    )
    assert loose == []


RUN = """
import pytest
from hostile import HOSTILE

@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE.values()))
def test_hostile(text, record_property):
    record_property(text.replace("\\0", ""), text)
    print(text)
    pytest.fail(text, pytrace=False)

@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE.values()))
def test_skipped(text):
    pytest.skip(text)
"""
OF_TESTS = "#results-table :is(script, img, iframe, object, embed, form, svg):not(.media *)"
"""What text must not make; an empty container for pictures is pytest-html's own."""
FAILED = (
    "[...document.querySelectorAll('#results-table tbody')].filter(one => one.textContent.includes('test_hostile'))"
)


def test_nothing_that_pytest_html_says_runs(page: Browser, tmp_path: Path) -> None:
    """Ids, reasons, output and properties of tests; pytest itself spells out of ids what is not printable."""
    files = {"conftest.py": CONFTEST, "test_run.py": RUN, "pytest.ini": "[pytest]"}
    files["ledger.json"] = json.dumps(hostile_report())
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:optim_hunter", "-p", "no:cacheprovider", "-c", "pytest.ini"]
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    subprocess.run(
        [*command, "--html=evidence.html", "--self-contained-html"], cwd=tmp_path, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    page.open(tmp_path / "evidence.html")
    page.evaluate("document.querySelector('#tests').open = true")
    assert page.evaluate(f"{FAILED}.length") == len(TEXTS)
    logs = page.evaluate(f"{FAILED}.map(one => one.textContent)")
    plain = [(one, log) for one, log in zip(TEXTS, logs, strict=True) if one.isprintable()]
    assert len(plain) > 60
    assert [one for one, log in plain if one not in log] == []
    assert page.evaluate("window.owned") is None
    assert page.evaluate(f"document.querySelectorAll('{OF_TESTS}').length") == 0
    assert page.console == []
