"""Patching between prompts that differ in one example: against interventions on prompts run whole, and plants."""

from dataclasses import replace

import numpy as np
import pytest
from test_claim_files import MEASURES

from fixtures.architectures import VOUCHED, random_model
from fixtures.models import language_model
from optim_hunter.claim import UserError
from optim_hunter.measures.ablation import late_mlp_patched
from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.ablation import block_runs
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture
from optim_hunter.observe.interventions import Intervention, intervene, values_of
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.observation import Patching
from optim_hunter.observe.posed import answer_tokens, pose, pose_changed
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.stats.decision import SeedNumber, examine
from optim_hunter.stats.verdict import verdict_of
from optim_hunter.tasks.datasets import dataset
from optim_hunter.tasks.regression import RegressionTask, draw, with_another_last_example

TASK = RegressionTask(examples=3)
NEEDS = frozenset({"answer", "attribution", "patching"})


def pass_over(model, plan):
    return RegressionPass(Engine(model), plan, PartStore(None, model))


def test_another_last_example_is_the_next_row():
    plain, changed = draw(TASK, 5), with_another_last_example(TASK, 5)
    longer = draw(replace(TASK, examples=4), 5)
    np.testing.assert_array_equal(changed.features, longer.features[[0, 1, 3]])
    np.testing.assert_array_equal(changed.outputs, longer.outputs[[0, 1, 3]])
    assert (changed.gold, changed.test_features.tolist()) == (plain.gold, plain.test_features.tolist())
    everything = replace(TASK, examples=dataset(TASK.dataset).examples)
    with pytest.raises(UserError, match="no further one to put in the last one's place: choose fewer examples"):
        with_another_last_example(everything, 5)


def expected(engine, task, seed, pair, answer):
    """Differences and effects of each run of blocks, by interventions on both prompts run whole."""
    prompts = [[*one(engine.model, task, seed).ids, *answer] for one in (pose, pose_changed)]
    sets = block_runs(engine.parts)
    readings = [engine.read(engine.start(1), [prompt], Capture(), ["a prompt"]) for prompt in prompts]
    changed = []
    for prompt, other in zip(prompts, readings[::-1], strict=True):
        cases = [Intervention(values_of(engine.parts, other, 0, components)) for components in sets]
        clean, patched = intervene(engine, prompt, cases)
        changed.append([float(one.logits[pair[1]] - one.logits[pair[0]]) for one in (clean, *patched)])
    return np.array(changed)


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_patches_of_a_batch_are_interventions_on_each_prompt(name):
    model = language_model(random_model(VOUCHED[name]))
    passes = pass_over(model, {TASK: dict.fromkeys({0, 1, 2, 3}, NEEDS)})
    gaps = []
    for seed in (0, 3):
        observed = passes.observe(TASK, seed)
        baseline = answer_tokens(model, pose(model, TASK, seed), float(observed.episode.outputs.mean()))
        answer = model.tokenizer(observed.answer.text, add_special_tokens=False)["input_ids"]
        step = next(place for place, (one, other) in enumerate(zip(baseline, answer, strict=False)) if one != other)
        plain, changed = expected(Engine(model), TASK, seed, observed.answer.pair, answer[:step])
        shown = observed.patching
        assert [shown.difference, shown.changed] == pytest.approx([plain[0], changed[0]], abs=1e-3)
        np.testing.assert_allclose(shown.noising.ravel(), plain[0] - plain[1:], atol=2e-3)
        np.testing.assert_allclose(shown.denoising.ravel(), changed[1:] - changed[0], atol=2e-3)
        gaps.append(np.abs(shown.noising - shown.denoising).max())
    assert max(gaps) > 3e-3  # above the tolerance: one in the place of the other would be seen


def test_together_shows_what_alone_shows(spelling_model):
    """Prompts of several lengths that share a stem and are padded; alone nothing is."""
    longer = replace(TASK, examples=5, queries_per_seed=2)
    together = pass_over(
        spelling_model, {TASK: dict.fromkeys({0, 1, 3}, NEEDS), longer: dict.fromkeys({0, 1, 3}, NEEDS)}
    )
    for task in (TASK, longer):
        alone = pass_over(spelling_model, {task: {3: NEEDS}}).observe(task, 3).patching
        seen = together.observe(task, 3).patching
        for name in ("noising", "denoising", "direct"):
            np.testing.assert_allclose(getattr(seen, name), getattr(alone, name), atol=2e-3)


@pytest.mark.parametrize("name", ["planted:late-mlp", "planted:late-mlp-twin", "planted:erased-mlp"])
def test_late_mlps_carry_the_example_where_that_was_planted(name):
    passes = pass_over(open_language_model(name), {TASK: dict.fromkeys({0, 1}, frozenset({"attribution", "patching"}))})
    for seed in (0, 1):
        seen = late_mlp_patched(passes.observe(TASK, seed).patching)
        carried = name == "planted:late-mlp"
        for effect in ("noising", "denoising"):
            assert (seen[effect][0] > 2) == carried
            assert (seen[f"{effect} lead"][0].min() > 2) == carried
        assert (seen["direct"][0] > 2) == carried  # what MLP 10 adds in the decoy, MLP 11 takes away
        assert seen["change"] > 2


def test_effects_are_counted_in_the_direction_of_the_change():
    noising = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, -3.0]])
    shown = Patching(-2.0, 1.0, noising, 2 * noising, noising + 1, width=1)
    seen = late_mlp_patched(shown)
    assert [seen[name].tolist() for name in ("noising", "denoising", "direct")] == [[3.0, 3.0], [6.0, 3.0], [2.0, 3.0]]
    assert seen["change"] == 3.0
    assert seen["noising lead"].tolist() == [[4.0, 3.5], [3.0, 3.0]]


@pytest.mark.parametrize(("carried", "rivals", "verdict"), [(1.0, 0.0, "supported"), (0.0, 0.0, "refuted"),
                                                            (1.0, 1.0, "refuted")])  # fmt: skip
@pytest.mark.parametrize("size", [0.03, 3.0])
def test_what_is_carried_decides_however_small_the_change(carried, rivals, verdict, size):
    generator = np.random.default_rng(3)
    numbers = []
    for seed, change in enumerate(generator.normal(0, size, 60)):
        runs = np.full((2, 4), rivals * change) + generator.normal(0, size / 10, (2, 4))
        runs[1, -1] = carried * change
        numbers.append(SeedNumber(seed, late_mlp_patched(Patching(5.0, 5.0 - change, runs, runs, runs, width=1))))
    combined = examine(MEASURES["regression/example-patched"].__claim__, numbers, None, None).combined
    assert verdict_of(combined.p, combined.p_refuted, combined.n, 0.05) == verdict
