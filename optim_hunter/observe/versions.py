"""The version of the code that makes what the store keeps, so that nothing is taken that it would not make again."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

PASS_SOURCES = (
    ".",
    "../tasks/answers.py",
    "../tasks/datasets.py",
    "../tasks/prompts.py",
    "../tasks/regression.py",
    "../tasks/templates.py",
    "../models/language.py",
    "../models/loading.py",
)
FIT_SOURCES = ("stories.py", "checks.py", "../tasks/stories.py", "../tasks/corpus.py", "../models/linear_problem.py",
               "../models/linear_solver.py")  # fmt: skip
REGRESSORS_SOURCES = ("../tasks/regressors.py", "../tasks/estimators.py", "../tasks/solvers.py")


@cache
def engine_version(sources: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """sha256 over files or folders of code, and the versions of the packages that it runs on."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in sources:
        path = here / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    for package in packages:
        digest.update(f"{package} {metadata.version(package)}".encode())
    return digest.hexdigest()


def pass_engine() -> str:
    """The version of the engine that runs language models."""
    return engine_version(PASS_SOURCES, ("torch", "transformers", "tokenizers", "numpy"))


def fit_engine() -> str:
    """The version of the code that fits linear models."""
    return engine_version(FIT_SOURCES, ("torch", "numpy", "scipy", "tokenizers"))


def regressors_engine() -> str:
    """The version of the code that fits regressors."""
    return engine_version(REGRESSORS_SOURCES, ("scikit-learn", "numpy", "scipy", "statsmodels"))
