"""The options of claims, on the command line and in the ini file."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("model", {"action": "append", "help": "run claims on this model instead of their own (repeatable): a registry "
               "name, owner/name@revision, a folder, random:NAME; claims about the linear model are not touched"}),
    ("seeds", {"help": "100 (that many), 0-99 or 3,5,8; the registered seeds of each claim by default. "
               "Controls always run their own: with fewer they could not fail"}),
    ("device", {"help": "torch device, such as cpu or cuda; by default what the model's marker says"}),
    ("dtype", {"help": "float32, bfloat16 or float16; by default float32 on a CPU and bfloat16 on a GPU"}),
    ("corpus", {"help": "stories for the stories claims: a .txt or .gz file with <|endoftext|> between stories, or "
                "roneneldan/TinyStories; the packaged corpus by default"}),
    ("store", {"help": "folder that keeps what runs saw, so that later runs need no forward pass and no fit; none "
               "keeps nothing (default: store in the cache folder; see optim-hunter store)"}),
    ("out", {"help": "folder for ledger.json and evidence.html (default: reports/<time>, linked as reports/latest)"}),
)  # fmt: skip
INI_OPTIONS = ("model", "seeds", "corpus")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of claims in one group."""
    group = parser.getgroup("claims", "claims of interpretability papers")
    for name, settings in OPTIONS:
        group.addoption(f"--claims-{name}", dest=f"claims_{name}", **settings)
    group.addoption(
        "--claims-sequential", action="store_true",
        help="stop a claim with bounds in claims/bounds.toml as soon as it is settled, by a test valid at every look",
    )  # fmt: skip
    group.addoption("--claims-register", action="store_true", help="write claims/register.lock and run nothing")
    parser.addini("claims_model", "default of --claims-model", type="args")
    for name in ("seeds", "corpus"):
        parser.addini(f"claims_{name}", f"default of --claims-{name}", type="string")


def option(config: pytest.Config, name: str) -> Any:
    """An option from the command line, else from the ini file, else None."""
    value = config.getoption(f"claims_{name}")
    if value is None and name in INI_OPTIONS:
        value = config.getini(f"claims_{name}") or None
    return value


def again(config: pytest.Config, nodeid: str, model: str) -> str:
    """The command that runs an item of a model again, with whatever of its choices this run was given."""
    chosen = {name: option(config, name) for name in ("seeds", "device", "dtype", "corpus")}
    options = {"model": model if option(config, "model") else None, **chosen}
    stated = [f"--claims-{name}={value}" for name, value in options.items() if value is not None]
    return shlex.join(["pytest", nodeid, *stated])
