"""The version of the code that makes what the store keeps, so that nothing is taken that it would not make again."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

PASS_SOURCES = (
    "models/language.py",
    "models/loading.py",
    "observe/ablation.py",
    "observe/agreement.py",
    "observe/attend.py",
    "observe/attribution.py",
    "observe/batch.py",
    "observe/candidates.py",
    "observe/checks.py",
    "observe/decoding.py",
    "observe/engine.py",
    "observe/induction.py",
    "observe/instruments.py",
    "observe/interventions.py",
    "observe/kept.py",
    "observe/last_layer.py",
    "observe/layouts.py",
    "observe/logits.py",
    "observe/memory.py",
    "observe/neurons.py",
    "observe/norms.py",
    "observe/observation.py",
    "observe/parts.py",
    "observe/patching.py",
    "observe/plan.py",
    "observe/posed.py",
    "observe/regression.py",
    "observe/streams.py",
    "observe/sums.py",
    "observe/token_rows.py",
    "tasks/answers.py",
    "tasks/datasets.py",
    "tasks/prompts.py",
    "tasks/regression.py",
    "tasks/templates.py",
)
FIT_SOURCES = (
    "models/linear_kernels.py",
    "models/linear_problem.py",
    "models/linear_solver.py",
    "observe/stories.py",
    "tasks/corpus.py",
    "tasks/stories.py",
)
PATH_SOURCES = (
    "models/linear_kernels.py",
    "models/linear_path.py",
    "models/linear_problem.py",
    "models/linear_solver.py",
    "observe/choices.py",
    "tasks/corpus.py",
    "tasks/held_out.py",
    "tasks/stories.py",
)
WORDS_SOURCES = (
    "models/language.py",
    "models/loading.py",
    "observe/agreement.py",
    "observe/attend.py",
    "observe/attribution.py",
    "observe/checks.py",
    "observe/engine.py",
    "observe/instruments.py",
    "observe/kept_words.py",
    "observe/last_layer.py",
    "observe/layouts.py",
    "observe/logits.py",
    "observe/memory.py",
    "observe/next_words.py",
    "observe/norms.py",
    "observe/observation.py",
    "observe/streams.py",
    "observe/sums.py",
    "tasks/answers.py",
    "tasks/datasets.py",
    "tasks/regression.py",
    "tasks/templates.py",
)
LAST_TOKENS_SOURCES = ("observe/last_tokens.py", "tasks/corpus.py", "tasks/stories.py")
NETWORK_SOURCES = (
    "models/hashed_folder.py",
    "models/language.py",
    "models/linear_kernels.py",
    "models/linear_path.py",
    "models/linear_problem.py",
    "models/linear_solver.py",
    "models/loading.py",
    "models/one_layer.py",
    "models/one_layer_parts.py",
    "observe/agreement.py",
    "observe/attend.py",
    "observe/attribution.py",
    "observe/checks.py",
    "observe/choices.py",
    "observe/choices_language.py",
    "observe/engine.py",
    "observe/instruments.py",
    "observe/kept_seeds.py",
    "observe/kept_words.py",
    "observe/last_layer.py",
    "observe/layouts.py",
    "observe/logits.py",
    "observe/memory.py",
    "observe/next_words.py",
    "observe/norms.py",
    "observe/observation.py",
    "observe/one_layer.py",
    "observe/replaced.py",
    "observe/rule_replacements.py",
    "observe/streams.py",
    "observe/sums.py",
    "tasks/answers.py",
    "tasks/corpus.py",
    "tasks/datasets.py",
    "tasks/held_out.py",
    "tasks/network.py",
    "tasks/regression.py",
    "tasks/rules.py",
    "tasks/stories.py",
    "tasks/templates.py",
)
REGRESSORS_SOURCES = ("observe/predictions.py", "tasks/estimators.py", "tasks/regressors.py", "tasks/solvers.py")


@cache
def engine_version(sources: tuple[str, ...], packages: tuple[str, ...]) -> str:
    """sha256 over files of this package, and the versions of the packages that they run on."""
    digest = hashlib.sha256()
    package_folder = Path(__file__).parent.parent
    for source in sources:
        digest.update((package_folder / source).read_bytes())
    for package in packages:
        digest.update(f"{package} {metadata.version(package)}".encode())
    return digest.hexdigest()


def pass_engine() -> str:
    """The version of the engine that runs language models."""
    return engine_version(PASS_SOURCES, ("torch", "transformers", "tokenizers", "numpy"))


def fit_engine() -> str:
    """The version of the code that fits linear models."""
    return engine_version(FIT_SOURCES, ("numba", "numpy", "tokenizers"))


def last_tokens_engine() -> str:
    """The version of the code that draws windows and keeps their last tokens."""
    return engine_version(LAST_TOKENS_SOURCES, ("numpy", "tokenizers"))


def path_engine() -> str:
    """The version of the code that fits linear models over a path of strengths."""
    return engine_version(PATH_SOURCES, ("numba", "numpy", "scipy", "tokenizers"))


def words_engine() -> str:
    """The version of the code that asks language models for the probabilities of words."""
    return engine_version(WORDS_SOURCES, ("torch", "transformers", "tokenizers", "numpy"))


def network_engine() -> str:
    """The version of the code that asks one-layer models and their rule books about held-out stories."""
    return engine_version(NETWORK_SOURCES, ("torch", "numba", "numpy", "scipy", "tokenizers"))


def regressors_engine() -> str:
    """The version of the code that fits regressors."""
    return engine_version(REGRESSORS_SOURCES, ("scikit-learn", "numpy", "scipy", "statsmodels"))
