"""docs/tutorial.md from first line to last, in an empty folder: its files, its commands, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Step:
    """A block of the page, and what the page shows of the output if it is commands."""

    kind: str
    content: str
    shown: tuple[str, ...] = ()


def steps(page: str) -> list[Step]:
    """Files and commands in the page's order."""
    blocks = BLOCK.findall(page)
    found = []
    for (kind, content), (after, output) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind != "text":
            found.append(Step(kind, content, tuple(output.splitlines()) if kind == "sh" and after == "text" else ()))
    return found


def like(shown: str, printed: str) -> bool:
    """Whether a line is the one that is shown: `…` stands for anything, and numbers may differ by a tenth."""
    words = [".*".join(map(re.escape, part.split("…"))) for part in NUMBER.split(shown)]
    found = re.fullmatch(f"({NUMBER.pattern})".join(words), printed.rstrip())
    wanted = [float(number) for number in NUMBER.findall(shown)]
    return found is not None and [float(number) for number in found.groups()] == pytest.approx(wanted, rel=0.1)


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has the package installed, and nothing of this repository."""
    foreign = ("PYTEST", "PYTHONPATH", "COV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    assert ROOT not in tmp_path.parents
    return {**kept, "PATH": programs, "OPTIM_HUNTER_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command.split(), cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_tutorial_runs_as_it_stands_and_prints_what_it_shows(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    for step in steps((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        if step.kind == "python":
            name, code = step.content.split("\n", 1)
            (folder / name.removeprefix("# ")).write_text(code, encoding="utf-8")
            continue
        printed = iter("".join(run(one, folder, elsewhere) for one in step.content.splitlines()).splitlines())
        for shown in step.shown:
            assert shown == "…" or any(like(shown.rstrip(), line) for line in printed), shown
    assert {path.name for path in folder.iterdir()} >= {"first", "fresh", "register.lock"}
    assert (folder / "first" / "evidence.html").is_file()


def test_the_claim_of_the_tutorial_has_at_most_fifteen_lines() -> None:
    files = {code.split("\n", 1)[0]: code.count("\n") - 1 for kind, code in BLOCK.findall(page("docs/tutorial.md"))
             if kind == "python"}  # fmt: skip
    assert files["# test_draws_a_line.py"] <= 15
    (readme,) = (code for kind, code in BLOCK.findall(page("README.md")) if kind == "python")
    assert readme.count("\n") <= 15


def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_readmes_claim_gives_its_verdict_in_an_empty_folder(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    """On the trained toy in place of the language model, which takes minutes; the rest is as it stands."""
    (code,) = (code for kind, code in BLOCK.findall(page("README.md")) if kind == "python")
    (tmp_path / "test_beats_last.py").write_text(code, encoding="utf-8")
    printed = run("pytest --claims-model trained-toy --claims-out here", tmp_path, elsewhere)
    assert re.search(r"^✓ mine/beats-last on trained-toy .* \(n = 30\)", printed, re.MULTILINE)
    assert "31 passed" in printed
    assert "mine/beats-last" in (tmp_path / "here" / "evidence.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("gain 25.1 of 3 (n = 40)", "gain 24.9 of 3 (n = 40)", True),
        ("gain 25.1 of 3", "gain 15.1 of 3", False),
        ("supported: 3", "refuted: 3", False),
        ("evidence: …first", "evidence: /tmp/x9/first", True),
        ("evidence: …first", "evidence: /tmp/x9/second", False),
    ],
)
def test_a_shown_line_is_told_from_another(shown: str, printed: str, alike: bool) -> None:
    assert like(shown, printed) is alike
