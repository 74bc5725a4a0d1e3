"""Tables of docs/ list what there is; imports run one way; what decides a stored pass is hashed; files are short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from import_graph import FILES, PACKAGE, ROOT, imported, reached

from optim_hunter.cli import COMMANDS
from optim_hunter.observe.versions import (
    FIT_SOURCES,
    LAST_TOKENS_SOURCES,
    NETWORK_SOURCES,
    PASS_SOURCES,
    PATH_SOURCES,
    REGRESSORS_SOURCES,
    WORDS_SOURCES,
)

README = (ROOT / "README.md").resolve()
PAGES = sorted((ROOT / "docs").resolve().glob("*.md"))
FOLDERS = ("benchmarks", "claims", "docs", "fixtures", "optim_hunter", "scripts", "tests")
MOST_LINES = 400

UNHASHED = {
    "claim.py": "the vocabulary and the errors",
    "models/cache.py": "where files lie",
    "models/sources.py": "where weights come from: the fingerprint in the key tells which they are",
    "observe/store.py": "how files are written and read: they have a checksum and a format version of their own",
    "observe/versions.py": "what it lists is hashed",
}
"""What passes and fits import without depending on it."""


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading row."""
    lines = iter((ROOT / "docs" / page).read_text(encoding="utf-8").splitlines())
    assert any(line.startswith(heading) for line in lines), f"{page} has no table {heading}"
    next(lines)
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return table


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def layer(path: str) -> str:
    """The name of design.md's table for a file: its folder below the package, or itself."""
    folder, slash, _ = path.partition("/")
    return folder + slash


def allowed() -> dict[str, set[str]]:
    """Layer → the layers that it may import, as design.md's table says."""
    above: set[str] = set()
    may: dict[str, set[str]] = {}
    for held, _, imports in rows("design.md", "| of `optim_hunter/` |"):
        row = set(names(held))
        said = above - set(names(imports)) if imports.startswith("rows above") else set(names(imports))
        may |= dict.fromkeys(row, row | said)
        above |= row
    return may


def test_design_lists_every_folder_and_file():
    listed = [name for row in rows("design.md", "| of `optim_hunter/` |") for name in names(row[0])]
    assert sorted(listed) == sorted({layer(path) for path in FILES})


def test_engine_lists_every_file_of_the_pass():
    listed = [name for row in rows("engine.md", "| file of `observe/` |") for name in names(row[0] + row[1])]
    there = [file.name for file in (PACKAGE / "observe").glob("*.py") if file.name != "__init__.py"]
    assert sorted(listed) == sorted(there)


def test_imports_run_one_way():
    may = allowed()
    assert not {(path, other) for path in FILES for other in imported(path) if layer(other) not in may[layer(path)]}


@pytest.mark.parametrize(
    ("starts", "hashed", "elsewhere"),
    [
        pytest.param(("observe/regression.py", "observe/kept.py"), PASS_SOURCES, REGRESSORS_SOURCES, id="pass"),
        pytest.param(("observe/stories.py",), FIT_SOURCES, (), id="fit"),
        pytest.param(("observe/choices.py",), PATH_SOURCES, (), id="path"),
        pytest.param(("observe/one_layer.py", "observe/kept_seeds.py"), NETWORK_SOURCES, (), id="network"),
        pytest.param(("observe/last_tokens.py",), LAST_TOKENS_SOURCES, (), id="last tokens"),
        # Texts and words are in the key.
        pytest.param(("observe/kept_words.py",), WORDS_SOURCES, (), id="words"),
        # The examples' numbers are in the key, so that the code that draws them need not be.
        pytest.param(("tasks/regressors.py", "observe/predictions.py"), REGRESSORS_SOURCES,
                     ("observe/plan.py", "tasks/datasets.py", "tasks/regression.py", "tasks/templates.py"),
                     id="regressors"),
    ],
)  # fmt: skip
def test_what_decides_what_is_stored_is_hashed(starts, hashed, elsewhere):
    """No more either: a file that is hashed without need discards what it did not make."""
    assert len(set(hashed)) == len(hashed)
    assert set(hashed) | set(elsewhere) == reached(starts) - UNHASHED.keys()


def linked(page: Path) -> set[Path]:
    """The pages to which a page links."""
    targets = re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
    return {Path(page.parent, target).resolve() for target in targets}


def test_linked_pages_are_there():
    for page in [README, *PAGES]:
        assert [target for target in linked(page) if not target.is_file()] == [], page.name


def test_every_page_is_reached_from_the_readme():
    seen: set[Path] = set()
    waiting = [README]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            waiting.extend(target for target in linked(page) if target.is_file())
    assert [page.name for page in PAGES if page not in seen] == []


def test_the_readme_names_every_command():
    text = README.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if not re.search(rf"`(optim-hunter )?{name}\b", text)] == []


def test_files_are_short():
    files = [*ROOT.glob("*.py"), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))]
    lines = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lines) > 300
    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}
