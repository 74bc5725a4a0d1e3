"""Ablations of the pass: against interventions on the whole prompt, TransformerLens, and what planted models do."""

from dataclasses import replace

import numpy as np
import pytest

from fixtures.architectures import VOUCHED, random_model
from fixtures.models import language_model
from optim_hunter.claim import NoValue
from optim_hunter.measures.ablation import (
    head_drop_leads,
    late_mlp_drop,
    late_mlp_drop_leads,
    late_mlp_drop_over_attention,
)
from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.ablation import ABLATIONS, block_runs
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture
from optim_hunter.observe.interventions import Intervention, intervene, mean, values_of, zeros
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.observation import REPLACEMENTS, BlockAblation, HeadAblation, late_width
from optim_hunter.observe.posed import answer_tokens, pose
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.observe.store import Store
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
        seen = engine.read(engine.start(1), [prompt], Capture(heads=True), ["a prompt"])
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
    passes = pass_over(model, {TASK: dict.fromkeys(set(SEEDS), frozenset({"answer", *NEEDS}))})
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


@pytest.mark.parametrize("seed", [1, 3])
def test_the_published_pair_is_compared_at_the_prompts_last_token(tiny_model, few_other_seeds, seed):
    task = replace(TASK, pair="seed 0")
    passes = pass_over(tiny_model, {task: dict.fromkeys(set(SEEDS), frozenset({"answer", *NEEDS}))})
    pair = passes.observe(task, 0).answer.pair
    shown = passes.observe(task, seed).block_ablation
    engine, prompt = Engine(tiny_model), pose(tiny_model, task, seed).ids
    sets = block_runs(engine.parts)
    for place in (0, len(sets) - 1):
        zero, averaged, *single = expected_drops(engine, task, prompt, 0, pair, sets[place], few_other_seeds)
        seen = shown.drops.reshape(len(REPLACEMENTS), -1)[:, place]
        np.testing.assert_allclose(seen, [zero, averaged, np.mean(single)], atol=2e-3)


def test_together_shows_what_alone_shows(spelling_model):
    """Prompts of several lengths, padded, that continue a shared stem; alone nothing is shared and nothing padded."""
    longer = replace(TASK, examples=5)
    asked = frozenset({"attribution", *NEEDS})
    together = pass_over(
        spelling_model, {TASK: dict.fromkeys({0, 1, 3}, asked), longer: dict.fromkeys({0, 1, 3}, asked)}
    )
    for task in (TASK, longer):
        alone = pass_over(spelling_model, {task: {3: asked}})
        for need in NEEDS:
            seen, expected = together.observe(task, 3).shown[need], alone.observe(task, 3).shown[need]
            np.testing.assert_allclose(seen.drops, expected.drops, atol=2e-3)
            assert seen.difference == pytest.approx(expected.difference, abs=1e-3)


def test_a_seed_is_not_resampled_from_itself_and_needs_enough_others(tiny_model):
    """Of the four other seeds one is seed 2 itself: three are too few for runs of blocks, and enough for heads."""
    seen = pass_over(tiny_model, {TASK: {2: NEEDS}}).observe(TASK, 2)
    with pytest.raises(NoValue, match="parts from it later than other seeds' answers are long"):
        _ = seen.block_ablation
    assert np.isfinite(seen.head_ablation.drops).all()


def test_what_was_seen_is_kept(tiny_model, tmp_path):
    plan = {TASK: dict.fromkeys({0, 1}, NEEDS)}
    first = pass_over(tiny_model, plan, Store(tmp_path))
    seen = [first.observe(TASK, seed) for seed in (0, 1)]
    again = pass_over(replace(tiny_model, open_module=pytest.fail), plan, Store(tmp_path))
    for seed in (0, 1):
        for need in NEEDS:
            np.testing.assert_array_equal(again.observe(TASK, seed).shown[need].drops, seen[seed].shown[need].drops)
    assert again.observe(TASK, 0).block_ablation.width == late_width(3)
    assert again.engine.tokens_run == 0


def test_a_set_costs_one_token(tiny_model, few_other_seeds):
    engine = pass_over(tiny_model, {TASK: {0: {"answer"}}})
    engine.observe(TASK, 0)
    ablating = pass_over(tiny_model, {TASK: {0: {"answer", "head_ablation"}}})
    ablating.observe(TASK, 0)
    heads, others = 3 * 6, 0
    for seed in few_other_seeds:
        posed = pose(tiny_model, TASK, seed)
        others += len(posed.ids) + len(answer_tokens(tiny_model, posed, float(posed.episode.outputs.mean()))) - 1
    assert ablating.engine.tokens_run - engine.engine.tokens_run == others + 1 + len(REPLACEMENTS) * heads


@pytest.mark.parametrize(("name", "carries"), [("planted:late-mlp", True), ("planted:late-mlp-twin", False)])
def test_late_mlps_carry_what_was_planted_in_them(name, carries):
    passes = pass_over(open_language_model(name), {TASK: dict.fromkeys({0, 1}, frozenset({"block_ablation"}))})
    for seed in (0, 1):
        ablation = passes.observe(TASK, seed).block_ablation
        for replacement in REPLACEMENTS:
            assert (late_mlp_drop(ablation, replacement) > 2) == carries
            assert (late_mlp_drop_leads(ablation, replacement).min() > 2) == carries
            assert (late_mlp_drop_over_attention(ablation, replacement) > 2) == carries


@pytest.mark.parametrize("name", ["planted:discarded-head", "planted:discarded-head-twin"])
def test_a_head_carries_what_is_read_of_it(name):
    passes = pass_over(open_language_model(name), {TASK: dict.fromkeys({0, 1}, frozenset({"head_ablation"}))})
    for seed in (0, 1):
        ablation = passes.observe(TASK, seed).head_ablation
        for replacement in ("mean", "resample"):
            leads = head_drop_leads(ablation, replacement)[2, 1]
            assert len(leads) == ablation.drops[0].size - 1
            assert (leads.min() > 0.5) == name.endswith("-twin")


def test_a_head_is_held_against_every_other():
    drops = np.zeros((3, 2, 2))
    drops[2] = [[1, 5], [2, 9]]
    leads = head_drop_leads(HeadAblation(1.0, drops), "resample")
    assert leads.tolist() == [[[-4, -1, -8], [4, 3, -4]], [[1, -3, -7], [8, 4, 7]]]


def test_late_mlps_are_held_against_disjoint_runs():
    drops = np.zeros((3, 2, 5))  # six layers, of which two are late
    drops[2, 1] = [1, 4, 2, 8, 7]
    assert late_mlp_drop_leads(BlockAblation(1.0, drops, width=2), "resample").tolist() == [6, 3, 5]
    with pytest.raises(NoValue, match="a model of 3 layers has no run of 2 MLPs beside the late ones"):
        late_mlp_drop_leads(BlockAblation(1.0, drops[:, :, :2], width=2), "resample")
