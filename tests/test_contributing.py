"""CONTRIBUTING.md and docs/tutorial.md name what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from material import ALL, BESIDE, TINYSTORIES

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "claims", "docs", "optim_hunter", "scripts", "tests")
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def named(page: str) -> set[str]:
    """Paths of this repository in code spans and links."""
    words = re.findall(r"[`(]([\w./-]+)[`)]|pytest (tests/[\w./-]+)", page)
    return {word for pair in words for word in pair if word.split("/")[0] in FOLDERS and "/" in word}


def test_every_file_that_is_named_is_there() -> None:
    assert len(named(PAGE)) > 40
    assert sorted(path for path in named(PAGE) if not (ROOT / path).exists()) == []


def test_every_row_names_a_place_a_test_and_a_page() -> None:
    rows = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "**" in line]
    assert {"claim", "task", "model", "measure"} <= {re.findall(r"\*\*(.+?)\*\*", row[0])[0] for row in rows}
    assert {len(row) for row in rows} == {4}


@pytest.mark.parametrize("target", re.findall(r"`?make (\w+)", PAGE))
def test_every_make_target_is_one(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_what_is_not_in_the_repository_is_named_once() -> None:
    assert {one.variable for one in ALL} == set(re.findall(r"`(OPTIM_HUNTER_\w+)`", PAGE))
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"${{{TINYSTORIES.variable}:-../{BESIDE.name}/{TINYSTORIES.place}}}" in command
    beside = re.compile(rf"""/ ["']{BESIDE.name}["']|/{BESIDE.name}/""")
    files = [file for folder in (*FOLDERS, "fixtures") for file in (ROOT / folder).rglob("*.py")]
    assert [file.name for file in files if beside.search(file.read_text("utf-8"))] == ["material.py"]


def test_every_option_of_pytest_that_is_named_is_one() -> None:
    pages = PAGE + (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    options = set(re.findall(r"--claims-[a-z-]+", pages))
    command = [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert options
    assert {option for option in options if not re.search(rf"{option}\b(?!-)", told)} == set()
