"""The data sets of the published notes, as functions of a random state."""

from __future__ import annotations

from dataclasses import dataclass

from optim_hunter.tasks.datasets import TrainTestSplit, dataset, table


@dataclass(frozen=True)
class GetDataset:
    """Draws one data set; `dataset_name` is its name in `optim_hunter.tasks.datasets`."""

    dataset_name: str

    def __call__(self, random_state: int = 0, noise: float = 0.0) -> TrainTestSplit:
        """x_train [n, d], y_train [n], x_test [m, d], y_test [m]; `noise` is the standard deviation of the outputs'."""
        return table(self.dataset_name, random_state, noise)


def get_dataset(name: str) -> GetDataset:
    """The data set of a name, such as `linear:4` or `original2:product`.

    Raises:
        UserError: no such name.
    """
    dataset(name)
    return GetDataset(name)


get_dataset_friedman_1 = get_dataset("friedman_1")
get_dataset_friedman_2 = get_dataset("friedman_2")
get_dataset_friedman_3 = get_dataset("friedman_3")
get_original2 = get_dataset("original2")
