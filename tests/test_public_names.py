"""What others call is documented and typed: docstrings, errors raised, shapes of arrays, types that can be resolved."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_graph import FILES

import optim_hunter
from optim_hunter.claim import InvalidInstrument, NoValue, UserError

ARRAYS = {"np.ndarray", "numpy.ndarray", "ndarray", "torch.Tensor", "Tensor", "NDArray"}
SHAPED = {"Bool", "Float", "Float32", "Float64", "Int", "Int64", "Integer", "Num", "Shaped", "UInt", "UInt8", "UInt32"}
"""Types of jaxtyping: an array inside one of them has a shape."""
ERRORS = {error.__name__ for error in (UserError, NoValue, InvalidInstrument)}
OPEN = ("tasks/", "measures/", "stats/", "claim.py", "models/registry.py", "datasets.py", "utils.py", "llama_model.py",
        "model_utils.py", "sklearn_regressors.py", "LR_methods.py", "experiments/")  # fmt: skip
"""What claims of others and documents import."""
PUBLIC = [path for path in FILES if path.startswith(OPEN)]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Dotted name and definition of each class, function and method without an underscore before it."""
    for part in node.body:
        if isinstance(part, Function | ast.ClassDef) and not part.name.startswith("_"):
            yield f"{prefix}{part.name}", part
            if isinstance(part, ast.ClassDef):
                yield from public(part, f"{part.name}.")


def functions(path: str) -> list[tuple[str, Function]]:
    tree = ast.parse(FILES[path].read_text(encoding="utf-8"))
    return [(name, part) for name, part in public(tree) if isinstance(part, Function)]


def bare_arrays(annotation: ast.expr | None) -> list[str]:
    """Arrays in a type that have no shape."""
    if annotation is None or (isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in SHAPED):
        return []
    if ast.unparse(annotation) in ARRAYS:
        return [ast.unparse(annotation)]
    inner = [child for child in ast.iter_child_nodes(annotation) if isinstance(child, ast.expr)]
    return [name for child in inner for name in bare_arrays(child)]


def raised(function: Function) -> set[str]:
    """Our errors that a function raises by itself."""
    calls = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {ast.unparse(call.func) for call in calls} & ERRORS


@pytest.mark.parametrize("path", PUBLIC)
def test_every_public_name_says_what_it_is(path: str) -> None:
    tree = ast.parse(FILES[path].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body
    assert [name for name, part in public(tree) if not (ast.get_docstring(part) or "").strip()] == []


@pytest.mark.parametrize("path", PUBLIC)
def test_every_error_of_ours_is_stated_by_the_function_that_raises_it(path: str) -> None:
    silent = {name: raised(part) for name, part in functions(path)
              if any(error not in (ast.get_docstring(part) or "") for error in raised(part))}  # fmt: skip
    assert silent == {}


@pytest.mark.parametrize("path", FILES)
def test_arrays_have_shapes_and_everything_a_type(path: str) -> None:
    for name, function in functions(path):
        arguments = function.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        typed = [one for one in given if one.arg not in ("self", "cls")]
        assert [one.arg for one in typed if one.annotation is None] == [], name
        assert function.returns is not None, name
        types = [*(one.annotation for one in typed), function.returns]
        assert [bare for one in types for bare in bare_arrays(one)] == [], name


@pytest.mark.parametrize("name", optim_hunter.__all__)
def test_what_the_package_hands_out_is_there_with_its_documentation(name: str) -> None:
    handed = getattr(optim_hunter, name)
    assert inspect.getdoc(handed)
    assert Path(inspect.getfile(handed)).is_relative_to(Path(optim_hunter.__file__).parent)


def test_a_name_that_is_not_handed_out_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = optim_hunter.nothing


@pytest.mark.parametrize("path", PUBLIC)
def test_public_modules_import_by_themselves(path: str) -> None:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert importlib.import_module(f"optim_hunter.{module}").__name__.endswith(module)
