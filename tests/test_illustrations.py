"""What the report shows of seeds beside their numbers: rows of heads, profiles, prompts and answers in the ledger."""

from __future__ import annotations

import numpy as np
import pytest

from optim_hunter.cases import Case
from optim_hunter.claim import Claim, Condition, NoValue, Profile, Protocol, UserError, Verdict, claim
from optim_hunter.evidence.exchanges import exchanges_of, gather
from optim_hunter.evidence.pictures import example_seed, figures_of
from optim_hunter.observe.plan import unite
from optim_hunter.run import Run
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.prompts import regression_prompt
from optim_hunter.tasks.regression import RegressionTask, draw

TASK = RegressionTask("friedman_2", examples=5)
CLAIM = Claim(
    id="mine/last",
    statement="",
    source="",
    conditions=(Condition("gain", "", "units", 1.0),),
    protocols=(Protocol("corrected", TASK, ("planted:late-mlp",)),),
    family="mine",
    needs=frozenset({"answer"}),
)


def halves(observation):
    if observation.episode.seed == 1:
        raise NoValue("left out")
    return {"one": float(observation.episode.seed), "other": 1.0}


def case_with(*profiles: Profile, expected: Verdict | None = None) -> Case:
    @claim(CLAIM, *profiles)
    def measure(observation):
        return observation.prediction

    return Case(CLAIM, measure, CLAIM.protocols[0], "regressor:baseline_last", tuple(range(5)), True, expected)


def decided(case: Case) -> tuple[Run, list, list]:
    run = Run({case.key: case}, Options(), family_sizes={})
    decision = run.decide(case)
    return run, decision, figures_of(decision, run, run.looked_at(case))


def test_a_profile_is_drawn_as_the_mean_of_its_seeds_beside_the_seed_in_the_middle() -> None:
    case = case_with(Profile("halves", "units", halves))
    _, decision, (shown,) = decided(case)
    mean, one = shown["figure"]["data"]
    assert mean["y"] == [(0 + 2 + 3 + 4) / 4, 1.0]
    example = example_seed(decision)
    values = decision.tested.by_seed["gain"]
    assert sorted(values.values()).index(values[example]) == 2
    assert one["y"] == [float(example), 1.0]
    assert "mean over 4 seeds" in shown["title"]


def test_a_control_has_no_figures() -> None:
    assert decided(case_with(Profile("halves", "units", halves), expected=Verdict.SUPPORTED))[2] == []


def test_an_error_in_a_profile_is_told_in_one_line() -> None:
    run = Run({}, Options(), family_sizes={})
    case = case_with(Profile("broken", "units", lambda _: 1 / 0))
    with pytest.raises(UserError, match="mine/last: its profile 'broken' raised ZeroDivisionError"):
        run.number(case, 0)


def test_prompts_and_answers_stand_in_the_ledger_once() -> None:
    case = case_with()
    run, _, _ = decided(case)
    ledger: dict = {}
    entries = [exchanges_of(case, run.illustrations) for _ in range(2)]
    for entry in entries:
        gather(ledger, entry)
    (key,), (by_seed,) = ledger["exchanges"], ledger["exchanges"].values()
    assert entries == [{"exchanges": key}] * 2
    episode = draw(TASK, 3)
    told = by_seed["3"]
    assert ledger["prompts"][told["prompt"]] == regression_prompt(episode, TASK.template).text
    assert float(told["answer"]) == pytest.approx(episode.outputs[-1], abs=1e-3)
    assert float(told["truth"]) == pytest.approx(episode.gold, abs=1e-3)
    assert len(ledger["prompts"]) == 5


def test_a_row_over_tokens_is_what_the_masses_are_summed_of() -> None:
    task = RegressionTask("noisy-line", examples=10, template="compact")
    subject = open_subject("trained-toy", Options(), unite([(task, {"attention"}, [0])]), None)
    subject.precheck(task, [0])
    mass = subject.observe(task, 0, 0).attention.outputs
    layer, head = np.unravel_index(mass.argmax(), mass.shape)
    row = subject.attention_row(task, 0, int(layer), int(head))
    text = "".join(row.tokens)
    assert text.endswith(regression_prompt(draw(task, 0), task.template).text)
    assert row.weights.sum() == pytest.approx(1, abs=1e-4)
    after = np.array([place > 0 and row.tokens[place - 1] == ": " and "y" in row.tokens[place - 2]
                      for place in range(len(row.tokens))])  # fmt: skip
    fraction = np.array([token.startswith(".") for token in row.tokens]) & np.roll(after, 1)
    assert row.weights[after | fraction].sum() == pytest.approx(float(mass[layer, head]), abs=1e-4)
