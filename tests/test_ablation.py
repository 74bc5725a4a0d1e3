"""Ablations of the pass: against interventions on the whole prompt, TransformerLens, and what planted models do."""


import numpy as np
import pytest

from fixtures.architectures import VOUCHED, random_model
from fixtures.models import language_model
from optim_hunter.observe.ablation import ABLATIONS
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Look
from optim_hunter.observe.interventions import Intervention, intervene, mean, values_of, zeros
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.observation import REPLACEMENTS
from optim_hunter.observe.plan import Asked
from optim_hunter.observe.posed import answer_tokens, pose
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.tasks.regression import RegressionTask

NEEDS = frozenset(ABLATIONS)
TASK = RegressionTask(examples=3)
SEEDS = range(4)


@pytest.fixture(autouse=True)
def few_other_seeds(monkeypatch):
    """Prompts of four other seeds, of which one is also asked about."""
    seeds = (2, 40, 41, 42)
    monkeypatch.setattr("optim_hunter.observe.regression.OTHER_SEEDS", seeds)
    return seeds


def pass_over(model, plan, store=None):
    return RegressionPass(Engine(model), plan, PartStore(store, model))


def parting(model, task, observed):
    """The prompt up to the token before the answers part, how many of the answer's tokens that takes, and the pair."""
    posed = pose(model, task, observed.episode.seed)
    baseline = answer_tokens(model, posed, float(observed.episode.outputs.mean()))
    answer = model.tokenizer(observed.answer.text, add_special_tokens=False)["input_ids"]
    step = next(place for place, (one, other) in enumerate(zip(baseline, answer, strict=False)) if one != other)
    assert observed.answer.pair == (baseline[step], answer[step])
    return [*posed.ids, *answer[:step]], step, observed.answer.pair


def difference(logits, pair):
    return float(logits[pair[1]] - logits[pair[0]])


def given_by_others(engine, task, seeds, step, components):
    """What components give at this step of the mean baseline's answer, prompt by prompt."""
    for seed in seeds:
        posed = pose(engine.model, task, seed)
        answer = answer_tokens(engine.model, posed, float(posed.episode.outputs.mean()))
        prompt = [*posed.ids, *answer[:step]]
        seen = engine.read(engine.start(1), [prompt], Look(heads=True), ["a prompt"])
        yield values_of(engine.parts, seen, 0, components)


def expected_drops(engine, task, prompt, step, pair, components, others):
    """What zeros, the mean and each of the other seeds take from the difference: prompts alone, run whole."""
    given = list(given_by_others(engine, task, others, step, components))
    cases = [Intervention(values) for values in (zeros(components), mean(given), *given)]
    clean, changed = intervene(engine, prompt, cases)
    return [difference(clean.logits, pair) - difference(one.logits, pair) for one in changed]


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_ablations_of_a_batch_are_interventions_on_each_prompt(name, few_other_seeds):
    model = language_model(random_model(VOUCHED[name]))
    passes = pass_over(model, {TASK: Asked({"answer", *NEEDS}, set(SEEDS))})
    engine = Engine(model)
    for seed in (0, 3):
        observed = passes.observe(TASK, seed)
        prompt, step, pair = parting(model, TASK, observed)
        for need in NEEDS:
            shown = observed.shown[need]
            drops = shown.drops.reshape(len(REPLACEMENTS), -1)
            for place, components in list(enumerate(ABLATIONS[need].sets(engine.parts)))[seed % 2 :: 5]:
                zero, averaged, *single = expected_drops(engine, TASK, prompt, step, pair, components, few_other_seeds)
                np.testing.assert_allclose(drops[:2, place], [zero, averaged], atol=2e-3)
                if ABLATIONS[need].draws == len(few_other_seeds):
                    assert drops[2, place] == pytest.approx(np.mean(single), abs=2e-3)
                else:
                    assert np.abs(drops[2, place] - np.array(single)).min() < 2e-3
