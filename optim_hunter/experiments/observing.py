"""What a model showed of a published experiment's prompts: recalled from the store, or run by the claims' own pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from optim_hunter.claim import UserError
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.observe.plan import unite
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.observe.store import open_store
from optim_hunter.tasks.regression import RegressionTask

Dataset = Callable[..., Any]
"""One of `optim_hunter.datasets`: it has a `dataset_name`."""


def observations(
    model: LanguageModel, dataset: Dataset, examples: int, seeds: Sequence[int], needs: Iterable[str], pair: str = "own"
) -> list[RegressionObservation]:
    """What the model showed of each seed.

    Args:
        model: as `open_language_model` or `load_llama_model` gives it.
        dataset: one of `optim_hunter.datasets`.
        examples: in the prompt.
        seeds: one observation each, in this order.
        needs: out of `optim_hunter.claim.NEEDS`.
        pair: whose tokens are compared, as `RegressionTask` has it.

    Raises:
        UserError: the data set is none of ours, the prompt does not fit, or the model cannot be opened.
        InvalidInstrument: a check of the instruments fails.
    """
    task = RegressionTask(dataset_name(dataset), examples=examples, pair=pair)
    plan = unite([(task, frozenset(needs), seeds)])[task.dataset]
    passing = RegressionPass(engine_of(model), plan, PartStore(open_store(None), model))
    passing.prepare(task, seeds)
    return [passing.observe(task, seed) for seed in seeds]


def dataset_name(dataset: Dataset) -> str:
    """The name under which tasks know a data set.

    Raises:
        UserError: it has none.
    """
    name = getattr(dataset, "dataset_name", None)
    if not isinstance(name, str):
        raise UserError(
            f"{getattr(dataset, '__name__', dataset)!r} is no data set of ours: take one of optim_hunter.datasets, "
            "for example get_dataset_friedman_2 or get_dataset('linear:3')"
        )
    return name


@lru_cache(1)
def engine_of(model: LanguageModel) -> Engine:
    """The engine of a model, the same one for calls in a row, so that its own checks are made once."""
    return Engine(model)
