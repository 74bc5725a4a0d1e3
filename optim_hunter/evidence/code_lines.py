"""Two versions of code as lines, for a page that shows which of them changed."""

from __future__ import annotations

import ast
import warnings
from difflib import SequenceMatcher
from itertools import pairwise

Line = tuple[str, bool]
"""A line, and whether the other version lacks it."""


def changed_lines(was: str, now: str) -> tuple[list[Line], list[Line]]:
    """The lines of two versions of code, each with whether the other lacks it at its place."""
    before, after = lines_of(was), lines_of(now)
    same = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    kept_before = {block.a + place for block in same for place in range(block.size)}
    kept_after = {block.b + place for block in same for place in range(block.size)}
    return (
        [(line, place not in kept_before) for place, line in enumerate(before)],
        [(line, place not in kept_after) for place, line in enumerate(after)],
    )


def lines_of(code: str) -> list[str]:
    """The lines of code; an entry of a dictionary begins one, since `ast.unparse` writes all of them in one line.

    What is no code has the lines that it has.
    """
    starts = _entries(code)
    lines = []
    for number, line in enumerate(code.encode(errors="replace").split(b"\n"), start=1):
        indent = b" " * (len(line) - len(line.lstrip()) + 4)
        cuts = [0, *sorted(column for at, column in starts if at == number), len(line)]
        pieces = [line[start:end].rstrip() for start, end in pairwise(cuts)]
        lines += [piece.decode() for piece in (pieces[0], *(indent + piece for piece in pieces[1:]))]
    return lines


def _entries(code: str) -> set[tuple[int, int]]:
    """Where the entries of dictionaries begin: line from 1, byte from 0."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return set()
    keys = (key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys if key is not None)
    return {(key.lineno, key.col_offset) for key in keys}
