"""Which earlier blocks a block relies on: those that must have run in the same interpreter before it runs.

Read from the code alone. A block relies on

- an earlier one that binds or uses a name which it takes from before,
- every earlier one with a statement made for its effect alone (`numpy.random.seed(0)`, `os.environ["X"] = "1"`,
  `rows.append(1)`; `print(…)` is none),
- what those rely on, and earlier blocks that call a function which those define.

What is not seen: what an imported function changes beside giving a value, where the block takes no name of the caller;
a change within a `print`, an `assert` or an assignment; and one made through a second name of the same object.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BUILTINS = frozenset(dir(builtins))
UNREADABLE = frozenset({"eval", "exec", "globals", "locals", "vars", "get_ipython"})
"""What reads or binds names that the code does not show."""
AT_ONCE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Import, ast.ImportFrom, ast.FunctionDef,
           ast.AsyncFunctionDef, ast.ClassDef, ast.With)  # fmt: skip
"""Statements whose names are bound for certain once they are done; of a loop or a condition that cannot be told."""


@dataclass(frozen=True)
class Names:
    """The names of a block.

    Attributes:
        taken: read, and not bound for certain before by the block itself.
        touched: bound, or read (built-in ones apart).
        defined: functions and classes, whose calls may change what their code names.
        lasting: it has a statement made for its effect alone.
        opaque: its names cannot be told; it relies on all before it, and all after rely on it.
    """

    taken: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    lasting: bool = False
    opaque: bool = False


def names(code: str) -> Names:
    """The names of a block of Python."""
    taken: set[str] = set()
    touched: set[str] = set()
    certain: set[str] = set()
    try:
        statements = ast.parse(code).body
        for statement in statements:
            read, bound = _read_and_bound(statement)
            taken |= read - certain
            touched |= bound | (read - BUILTINS)
            certain |= bound if isinstance(statement, AT_ONCE) else set()
    except SyntaxError:  # IPython's magics are none of Python's syntax
        return Names(opaque=True)
    nodes = [node for statement in statements for node in ast.walk(statement)]
    everything = any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in nodes)
    opaque = everything or bool(UNREADABLE & taken)
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return Names(
        frozenset(taken), frozenset(touched), frozenset(defined), any(_for_effect(node) for node in nodes), opaque
    )


def relied_on(block: int, blocks: Sequence[Names]) -> set[int]:
    """The indices of the earlier blocks that a block relies on, directly or through others."""
    taken = set(blocks[block].taken)
    everything = blocks[block].opaque
    found: set[int] = set()
    while more := {
        index
        for index, earlier in enumerate(blocks[:block])
        if index not in found and (everything or earlier.opaque or earlier.lasting or earlier.touched & taken)
    }:
        found |= more
        taken.update(*(blocks[index].taken | blocks[index].defined for index in more))
        everything = everything or any(blocks[index].opaque for index in more)
    return found


def _read_and_bound(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """The block's names that a statement reads, functions in it included, and those that it binds."""
    top = symtable.symtable(ast.unparse(statement), "block", "exec")
    own = top.get_symbols()
    inner = [symbol for table in _within(top) for symbol in table.get_symbols() if symbol.is_global()]
    changed = {
        target.id
        for node in ast.walk(statement)
        for target in _changed(node)
        if isinstance(target, ast.Name)  # `x += 1` and `del x` need x, though symtable calls it bound
    }
    read = {symbol.get_name() for symbol in [*own, *inner] if symbol.is_referenced()} | changed
    bound = {symbol.get_name() for symbol in own if symbol.is_assigned() or symbol.is_imported()}
    return read, bound | {symbol.get_name() for symbol in inner if symbol.is_assigned()}


def _changed(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.AugAssign):
        return [node.target]
    return node.targets if isinstance(node, ast.Delete) else []


def _within(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _within(child)


def _for_effect(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        call = node.value
        is_print = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
        return not is_print and not isinstance(call, ast.Constant | ast.Name | ast.Attribute)
    return isinstance(node, ast.Delete) or (
        isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
    )
