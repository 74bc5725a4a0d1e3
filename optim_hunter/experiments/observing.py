"""What a model showed of a published experiment's prompts: recalled from the store, or run by the claims' own pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from functools import lru_cache
from typing import Any

from optim_hunter.claim import UserError
from optim_hunter.models.language import LanguageModel, check_language_model
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
    model: LanguageModel, dataset: Dataset, examples: int, seeds: Sequence[int], needs: Set[str]
) -> list[RegressionObservation]:
    """What the model showed of each seed, in this order.

    Args:
        model: as `open_language_model` or `load_llama_model` gives it.
        dataset: one of `optim_hunter.datasets`.
        examples: in the prompt.
        seeds: one prompt each.
        needs: out of `optim_hunter.claim.NEEDS`.

    Raises:
        UserError: the data set is none of ours, the prompt does not fit, or the model cannot be opened.
        InvalidInstrument: a check of the instruments fails.
    """
    return observed(model, [task_of(dataset, examples)], seeds, needs)[0]


def observed(
    model: LanguageModel, tasks: Sequence[RegressionTask], seeds: Sequence[int], needs: Set[str]
) -> list[list[RegressionObservation]]:
    """The same for tasks of one data set, task by task; prompts that they share are run once.

    Raises:
        UserError: no language model, the prompt does not fit, or the model cannot be opened.
        InvalidInstrument: a check of the instruments fails.
    """
    check_language_model(model)
    (plan,) = unite((task, needs, seeds) for task in tasks).values()
    passing = RegressionPass(engine_of(model), plan, PartStore(open_store(None), model))
    for task in tasks:
        passing.prepare(task, seeds)
    return [[passing.observe(task, seed) for seed in seeds] for task in tasks]


def task_of(dataset: Dataset, examples: int, pair: str = "own") -> RegressionTask:
    """The task that puts a data set to a model.

    Raises:
        UserError: the data set is none of ours.
    """
    return RegressionTask(dataset_name(dataset), examples=examples, pair=pair)


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
