"""Every instrument, on every decoy and its twin, finds what decoys.toml says that a right one must find."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_claim_files import MEASURES
from torch import Tensor

from optim_hunter.cases import Case
from optim_hunter.claim import MINIMUM_SEEDS, Verdict
from optim_hunter.models import planted_decoys
from optim_hunter.models.planted import BUILDS
from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture, Reading, TokenReading
from optim_hunter.observe.interventions import Component, Intervention, Values, intervene, mean, values_of, zeros
from optim_hunter.observe.logits import direct_contributions
from optim_hunter.run import Run
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.prompts import number_text, regression_prompt
from optim_hunter.tasks.regression import Episode, RegressionTask, draw

TABLE: Mapping[str, Mapping[str, Any]] = {
    entry["name"]: entry for entry in tomllib.loads((Path(__file__).parent / "decoys.toml").read_text())["model"]
}
INSTRUMENTS = ("direct", "zero", "mean", "resample")
DECOYS = sorted(name for name in TABLE if not name.endswith("-twin"))
TASK, SEEDS = RegressionTask(examples=5), range(4)
"""Of effects; claims are run with as many examples, so that all are quick, and with their own tasks otherwise."""
SMALLEST_SHARE = 0.1
CORRELATIONAL = {"regression/head-attends-outputs", "regression/late-mlps-dominate"}


@dataclass(frozen=True)
class Row:
    """One cell of the table: a claim, or an instrument pointed at components at a token, and what it must find."""

    model: str
    instrument: str
    expected: str
    of: str = ""
    at: int = -1


def rows() -> Iterator[Row]:
    for name, entry in TABLE.items():
        yield from (Row(name, f"regression/{claim}", verdict) for claim, verdict in entry["claims"].items())
        for effect in entry["effects"]:
            yield from (Row(name, one, effect[one], effect["of"], effect.get("at", -1)) for one in INSTRUMENTS)


ROWS = list(rows())


def case_of(row: Row) -> Case:
    """The claim on the decoy, as a control: with the fewest seeds that can decide."""
    measure = MEASURES[row.instrument]
    protocol = measure.__claim__.protocols[0]
    seeds = range(MINIMUM_SEEDS * (2 if measure.__claim__.search else 1))
    quick = replace(protocol, task=replace(protocol.task, examples=TASK.examples))
    return Case(measure.__claim__, measure, quick, row.model, tuple(seeds), True, Verdict(row.expected))


@pytest.fixture(scope="module")
def run() -> Run:
    cases = [case_of(row) for row in ROWS if row.instrument in MEASURES]
    return Run({case.key: case for case in cases}, Options())


def components_of(text: str) -> tuple[Component, ...]:
    """`L2H1`, `MLP 10`, `attention 4`, or several joined by `+`."""
    named = []
    for name in text.split(" + "):
        if head := re.fullmatch(r"L(\d+)H(\d+)", name):
            named.append(Component("head", int(head[1]), int(head[2])))
        else:
            kind, layer = name.lower().split()
            named.append(Component("mlp" if kind == "mlp" else "attention", int(layer)))
    return tuple(named)


@cache
def episode(seed: int) -> Episode:
    return draw(TASK, seed)


@dataclass(frozen=True)
class Effect:
    """Components at a token, counted from the last, −1."""

    of: tuple[Component, ...]
    at: int


class Trial:
    """A model, and what components of it do to the logit difference of its answer and the mean baseline's."""

    def __init__(self, name: str, effects: Sequence[Effect]) -> None:
        self.engine, self.effects = Engine(open_language_model(name)), effects
        self.engine.open()
        self.places = sorted({effect.at for effect in effects})
        self.readings = {seed: self.read(seed) for seed in SEEDS}

    def tokens(self, seed: int, answer: str = "") -> list[int]:
        return list(self.engine.model.encode(regression_prompt(episode(seed)).text + answer).ids)

    def read(self, seed: int) -> Reading:
        look = Capture(heads=True, positions=[self.places])
        return self.engine.read(self.engine.start(1), [self.tokens(seed)], look, [f"seed {seed}"])

    def written(self, seed: int, effect: Effect) -> Values:
        """What the components of an effect write at its token for a seed."""
        values = values_of(self.engine.parts, self.readings[seed], 0, effect.of)
        place = self.places.index(effect.at)
        return {component: value[place : place + 1] for component, value in values.items()}

    def removals(self, seed: int, effect: Effect) -> Iterator[Intervention]:
        """The components' writes made nothing, the mean of the other seeds', and another seed's."""
        others = [self.written(other, effect) for other in SEEDS if other != seed]
        for values in (zeros(effect.of), mean(others), others[0]):
            yield Intervention(values, (effect.at,))

    def shares(self, seed: int) -> Iterator[dict[str, float]]:
        """Of each effect, by instrument: how much of the logit difference is the components' own."""
        prompt = self.tokens(seed)
        removals = [one for effect in self.effects for one in self.removals(seed, effect)]
        clean, changed = intervene(self.engine, prompt, removals)
        mean_answer = self.tokens(seed, number_text(episode(seed).outputs.mean()))
        pair = int(clean.logits.argmax()), mean_answer[len(prompt)]
        whole = difference(clean.logits, pair)
        for place, effect in enumerate(self.effects):
            removed = changed[3 * place : 3 * place + 3]
            lost = [whole - difference(seen.logits, pair) for seen in removed]
            own = [self.direct(clean, removed[0], effect, pair), *lost]
            yield {how: value / whole for how, value in zip(INSTRUMENTS, own, strict=True)}

    def direct(self, clean: TokenReading, zeroed: TokenReading, effect: Effect, pair: tuple[int, int]) -> float:
        """What the components themselves add to the pair's logit difference at the last token."""
        blocks = sorted({1 + 2 * one.layer + (one.kind == "mlp") for one in effect.of})
        own = clean.writes[blocks] - zeroed.writes[blocks]
        return difference(direct_contributions(own, clean.residual, self.engine.parts, pair)[0].sum(0), (0, 1))


def difference(logits: Tensor, pair: tuple[int, int]) -> float:
    return float(logits[pair[0]] - logits[pair[1]])


@cache
def found(name: str) -> Mapping[tuple[str, int, str], Sequence[float]]:
    """Components, their token and the instrument → the shares of all seeds."""
    asked = [(effect["of"], effect.get("at", -1)) for effect in TABLE[name]["effects"]]
    trial = Trial(name, [Effect(components_of(of), at) for of, at in asked])
    seeds = [list(trial.shares(seed)) for seed in SEEDS]
    return {
        (*one, how): [shares[place][how] for shares in seeds] for place, one in enumerate(asked) for how in INSTRUMENTS
    }


def sign(values: Sequence[float]) -> str:
    """`carries`, `opposes` or `nothing` where it is so on every seed."""
    if min(values) > SMALLEST_SHARE:
        return "carries"
    if max(values) < -SMALLEST_SHARE:
        return "opposes"
    return "nothing" if np.abs(values).max() < SMALLEST_SHARE else f"neither on every seed: {values}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(filter(None, (row.model, row.instrument, row.of))))
def test_a_right_instrument_finds_what_the_table_says(row: Row, run: Run) -> None:
    if row.instrument in MEASURES:
        assert run.decide(case_of(row)).verdict == row.expected
    else:
        assert sign(found(row.model)[row.of, row.at, row.instrument]) == row.expected


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.instrument in CORRELATIONAL and row.model in DECOYS], ids=lambda row: row.model
)
def test_a_decoy_and_its_twin_look_alike_to_the_claim_that_correlates(row: Row, run: Run) -> None:
    cases = case_of(row), case_of(replace(row, model=f"{row.model}-twin"))
    for seed in range(MINIMUM_SEEDS):
        decoy, twin = (run.number(case, seed).values for case in cases)
        for quantity, value in decoy.items():
            np.testing.assert_allclose(value, twin[quantity], atol=1e-3, err_msg=quantity)


WRONG: Mapping[str, Callable[[Row], Sequence[float]]] = {
    "direct attribution in the place of ablation": lambda row: found(row.model)[row.of, row.at, "direct"],
    "ablation in the place of direct attribution": lambda row: found(row.model)[row.of, row.at, "zero"],
    "ablations of one at a time, added up": lambda row: np.sum(
        [found(row.model)[one, row.at, row.instrument] for one in row.of.split(" + ")], axis=0
    ).tolist(),
    "sizes without sign": lambda row: np.abs(found(row.model)[row.of, row.at, row.instrument]).tolist(),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_instrument_is_caught_by_a_decoy_and_by_no_twin(wrong: Callable[[Row], Sequence[float]]) -> None:
    asked = [row for row in ROWS if row.instrument in INSTRUMENTS and has_each_component(row)]
    caught = {row.model for row in asked if sign(wrong(row)) != row.expected}
    assert caught
    assert caught <= set(DECOYS)


def has_each_component(row: Row) -> bool:
    """Whether the table has a row of its own for each component of a row."""
    return all((one, row.at, row.instrument) in found(row.model) for one in row.of.split(" + "))


def test_the_table_has_every_decoy_and_its_twin() -> None:
    decoys = [name for name, build in BUILDS.items() if build.__module__ == planted_decoys.__name__]
    assert sorted(decoys) == DECOYS
    assert sorted(TABLE) == sorted(name + suffix for name in decoys for suffix in ("", "-twin"))
