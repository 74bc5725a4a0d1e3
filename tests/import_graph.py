"""Which module of the package imports which, read from the code without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "optim_hunter"
FILES = {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}
"""Path below the package → file."""


@cache
def imported(path: str) -> frozenset[str]:
    """The files of the package that a file imports, inside functions too; for types alone is no import."""
    found = {_file(name) for name in _names(ast.parse(FILES[path].read_text(encoding="utf-8")))}
    return frozenset(found - {None, path})  # type: ignore[arg-type]


def reached(starts: Iterable[str]) -> set[str]:
    """The files themselves and all that they import, directly or not."""
    seen: set[str] = set()
    waiting = [*starts]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(imported(path))
    return seen


def _names(node: ast.AST) -> Iterator[str]:
    """What is imported below a node, as dotted names: `from a import b` is `a.b`, a module or not."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written in full"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _names(child)


def _file(name: str) -> str | None:
    """The file of the package behind a dotted name, or behind the module that holds it."""
    parts = name.split(".")
    if parts[0] != "optim_hunter":
        return None
    for below in (parts[1:], parts[1:-1]):
        for path in ("/".join(below) + ".py", "/".join([*below, "__init__.py"])):
            if path in FILES:
                return path
    raise AssertionError(f"{name} is no module of the package")
