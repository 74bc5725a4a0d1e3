"""What the package imports is declared, and what is declared is pinned."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def plain(distribution):
    return re.sub("[-_.]+", "-", distribution).lower()


def names(*kinds):
    return {plain(re.match(r"[\w.-]+", line)[0]) for kind in kinds for line in DECLARED[kind]}


def imported(files):
    """The packages that files import, but for the standard library's and ours."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    return {name for name in found - sys.stdlib_module_names if name not in ("optim_hunter", "_pytest")}


@pytest.mark.parametrize("optional", [False, True])
def test_what_is_imported_is_declared(optional):
    packages = imported(
        file for file in (ROOT / "optim_hunter").rglob("*.py") if ("notes" in file.parent.parts) == optional
    )
    declared = names("core", "notes") if optional else names("core")
    belongs = packages_distributions()
    assert packages
    assert [name for name in packages if not declared & {plain(one) for one in belongs[name]}] == []


def test_what_is_declared_is_pinned():
    pinned = {
        plain(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert names("core", "notes", "test", "lint") - pinned - {"optim-hunter"} == set()
