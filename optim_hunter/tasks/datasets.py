"""Data sets by name and seed: Friedman's three, original2 and its sub-expressions, and additive families."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import UserError

SEEDS = 2**32
"""Seeds below this are those of all generators."""

Features = Float[np.ndarray, "row feature"]
Outputs = Float[np.ndarray, "row"]
Rows = tuple[Features, Outputs]
TrainTestSplit = tuple[Features, Outputs, Features, Outputs]
"""x_train [n, d], y_train [n], x_test [m, d], y_test [m]."""


@dataclass(frozen=True)
class DataSet:
    """A data set: a generator of rows, and which of them are examples and which test cases.

    Attributes:
        draw: (rows, seed, noise) → features and outputs before rounding. More rows start with the same ones while
            noise is 0.
        examples: rows that are in-context examples.
        tests: rows that are test cases.
        shuffled: examples and test cases are chosen by `train_test_split`; else the examples come first.
        decimals: to which features and outputs are rounded, if they are.
    """

    draw: Callable[[int, int, float], Rows]
    examples: int
    tests: int
    shuffled: bool = False
    decimals: int | None = 2

    @property
    def rows(self) -> int:
        """Rows of a table."""
        return self.examples + self.tests

    def rounded(self, rows: int, seed: int, noise: float = 0.0) -> Rows:
        """Rows as regressors see them; prompts write at most three decimals of them.

        Raises:
            UserError: no seed, or no standard deviation of noise.
        """
        _check_drawing(seed, noise)
        features, outputs = self.draw(rows, seed, noise)
        if self.decimals is None:
            return features, outputs
        return features.round(self.decimals), outputs.round(self.decimals)

    def table(self, seed: int, noise: float = 0.0) -> TrainTestSplit:
        """Examples and test cases of a seed; `noise` is the standard deviation of what is added to the outputs."""
        features, outputs = self.rounded(self.rows, seed, noise)
        if not self.shuffled:
            split = self.examples
            return features[:split], outputs[:split], features[split:], outputs[split:]
        from sklearn.model_selection import train_test_split

        x_train, x_test, y_train, y_test = train_test_split(features, outputs, test_size=self.tests, random_state=seed)
        return x_train, y_train, x_test, y_test

    def further_case(self, seed: int, query: int) -> tuple[Float[np.ndarray, "feature"], float]:
        """Test case `query` (from `tests` on) of a seed: the generator's rows behind those of its table."""
        features, outputs = self.rounded(self.examples + query + 1, seed)
        return features[-1], float(outputs[-1])


def _check_drawing(seed: object, noise: object) -> None:
    """NumPy's generators take these seeds, and tell of others in as many ways as there are generators."""
    if not (isinstance(seed, Integral) and 0 <= int(seed) < SEEDS):
        raise UserError(f"random_state {seed!r}: a seed is a whole number from 0 to 2³² − 1")
    if not (isinstance(noise, Real) and 0 <= float(noise) < np.inf):
        raise UserError(f"noise {noise!r}: give a standard deviation, a number from 0 on")


def friedman(number: int, rows: int, seed: int, noise: float) -> Rows:
    """Friedman's data sets (Friedman 1991, Multivariate adaptive regression splines), as scikit-learn draws them.

    1: y = 10 sin(π x0 x1) + 20 (x2 − ½)² + 10 x3 + 5 x4, ten features in [0, 1] of which five count.
    2: y = sqrt(x0² + (x1·x2 − 1/(x1·x3))²), 3: y = arctan((x1·x2 − 1/(x1·x3)) / x0), both with x0 in [0, 100],
    x1 in [40π, 560π], x2 in [0, 1], x3 in [1, 11].
    """
    from sklearn import datasets

    features, outputs = getattr(datasets, f"make_friedman{number}")(n_samples=rows, noise=noise, random_state=seed)
    return features, outputs


Formula = Callable[[Features], Outputs]


def fourth_power(features: Features) -> Outputs:
    """x0⁴."""
    return features[:, 0] ** 4


def product(features: Features) -> Outputs:
    """x1·x2."""
    return features[:, 1] * features[:, 2]


def inverse_root(features: Features) -> Outputs:
    """2 / (√x1·√x3): 0.045 to 0.56. The three decimals of a prompt leave it two or three digits, 1 % at worst."""
    return 2 / (np.sqrt(features[:, 1]) * np.sqrt(features[:, 3]))


def squared_combination(features: Features) -> Outputs:
    """(x1·x2 − 2/(√x1·√x3))²."""
    return (product(features) - inverse_root(features)) ** 2


def whole(features: Features) -> Outputs:
    """(x0⁴ + (x1·x2 − 2/(√x1·√x3))²)^0.75."""
    return (fourth_power(features) + squared_combination(features)) ** 0.75


def original2(formula: Formula, rows: int, seed: int, noise: float) -> Rows:
    """A formula over the published features: x0 in [0, 3], x1 in [4π, 56π], x2 in [0, 2], x3 in [1, 11].

    Not rounded: the published errors of the regressors come out to all their digits so, and with rounding they do not.
    """
    generator = np.random.RandomState(seed)
    least, widths = np.array([0, 4 * np.pi, 0, 1]), np.array([3, 52 * np.pi, 2, 10])
    features = least + widths * generator.uniform(size=(rows, 4))
    return features, formula(features) + noise * generator.standard_normal(rows)


SHAPES: Mapping[str, Callable[[Features], Features]] = {
    "linear": lambda u: u,
    "quadratic": lambda u: 2 * u**2 - 1,
    "sine": lambda u: np.sin(2 * np.pi * u),
}
"""Family → what it does to each feature, from [−1, 1] to [−1, 1]. Straight lines explain nothing of `quadratic`."""


def additive(shape: str, features: int, rows: int, seed: int, noise: float) -> Rows:
    """y = 500 · (1 + Σ wᵢ·g(xᵢ/50 − 1)), with g of `SHAPES` and every x uniform in [0, 100].

    The weights are drawn first from `numpy.random.default_rng(seed)`, standard normal and then divided by the sum of
    their absolute values: either sign is as likely for each, so that with four features one seed of eight has weights
    of one sign. Outputs lie in [0, 1000] with any number of features. So an answer needs no sign, and its integer part
    is, as in friedman_2, up to three digits: its first token says much of it.
    Features are rounded before the formula sees them, so that what is called linear is so in the numbers shown.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.standard_normal(features)
    weights = drawn / np.abs(drawn).sum()
    x = generator.uniform(0, 100, size=(rows, features)).round(2)
    outputs = 500 * (1 + SHAPES[shape](x / 50 - 1) @ weights)
    return x, outputs + noise * generator.standard_normal(rows)


LARGEST_X = 99
SMALLEST_OUTPUT, LARGEST_OUTPUT = 100, 999
ENDS = 160, 939
"""Between these lies a noisy line before its noise: four of its standard deviations inside the outputs."""
LEAST_RISE = 390
LINE_NOISE = 15.0
"""Standard deviation of the noise of a noisy line (units of the output)."""


def noisy_line(rows: int, seed: int, noise: float) -> Rows:
    """y = a + (b − a)·x/99 + noise in whole numbers from 100 to 999, one feature x out of 0, 1, … 99.

    What the trained toy was trained on. The ends a (at x = 0) and b (at x = 99) are uniform in [160, 939] but differ by
    at least half of that width. Noise of standard deviation `LINE_NOISE` is always there; `noise` adds to it.
    """
    generator, noise_generator = np.random.default_rng((seed, 0)), np.random.default_rng((seed, 1))
    first, last = generator.uniform(*ENDS, 2)
    while abs(first - last) < LEAST_RISE:
        first, last = generator.uniform(*ENDS, 2)
    x = generator.integers(LARGEST_X + 1, size=rows)
    deviations = noise_generator.standard_normal((rows, 2)) @ (LINE_NOISE, noise)
    outputs = first + (last - first) * x / LARGEST_X + deviations
    return x[:, None].astype(float), outputs.round().clip(SMALLEST_OUTPUT, LARGEST_OUTPUT)


in_order = partial(DataSet, examples=64, tests=32)
exact = partial(in_order, decimals=None)
shuffled = partial(DataSet, examples=50, tests=1, shuffled=True)

DATASETS: Mapping[str, DataSet] = {
    "friedman_1": shuffled(partial(friedman, 1)),
    "friedman_2": shuffled(partial(friedman, 2)),
    "friedman_3": shuffled(partial(friedman, 3)),
    "noisy-line": exact(noisy_line),
    "original2": exact(partial(original2, whole)),
    "original2:fourth-power": exact(partial(original2, fourth_power)),
    "original2:product": exact(partial(original2, product)),
    "original2:inverse-root": exact(partial(original2, inverse_root)),
    "original2:squared-combination": exact(partial(original2, squared_combination)),
}

FAMILY = re.compile(rf"({'|'.join(SHAPES)}):([1-9][0-9]{{0,3}})")
MOST_FEATURES = 1000


def known_names() -> tuple[str, ...]:
    """The names of the table, then the forms of the families; N is a number of features."""
    return (*DATASETS, *(f"{shape}:N" for shape in SHAPES))


def dataset(name: str) -> DataSet:
    """The data set of a name.

    Raises:
        UserError: no such name, or a family without its number of features.
    """
    if name in DATASETS:
        return DATASETS[name]
    match = FAMILY.fullmatch(name)
    if match and int(match[2]) <= MOST_FEATURES:
        return in_order(partial(additive, match[1], int(match[2])))
    if (shape := name.partition(":")[0]) in SHAPES:
        features = f"a whole number from 1 to {MOST_FEATURES:,}, the number of features"
        raise UserError(f"no data set {name!r}: N in {shape}:N is {features}")
    raise UserError(f"no data set {name!r}: choose one of {', '.join(known_names())}")


def table(name: str, seed: int, noise: float = 0.0) -> TrainTestSplit:
    """Examples and test cases of a seed, as the published protocol splits them.

    Friedman's: 50 examples and one test case; the others: 64 and 32.

    Raises:
        UserError: no such data set, no seed, or no standard deviation of noise.
    """
    return dataset(name).table(seed, noise)
