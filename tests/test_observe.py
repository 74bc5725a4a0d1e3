"""The pass over regression prompts: what it shows, what it costs, and what it refuses."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from fixtures.architectures import DISAGREEING, NOT_CLOSING, random_model
from fixtures.models import language_model
from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.observe import checks
from optim_hunter.observe.agreement import PROBE_LENGTHS
from optim_hunter.observe.decoding import MAX_NEW_TOKENS
from optim_hunter.observe.engine import TOKENS_AT_ONCE, Engine
from optim_hunter.observe.instruments import read_batch
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.layouts import decoder_parts
from optim_hunter.observe.plan import unite
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.observe.store import Store
from optim_hunter.tasks.prompts import regression_prompt, tokens_of
from optim_hunter.tasks.regression import RegressionTask, draw

TASK = RegressionTask(examples=5)
SHORTER = replace(TASK, examples=3)
SEEDS = frozenset(range(10))
SERVED = frozenset({"answer", "attribution", "attention"})
"""The needs of `test_needs.py` run on the same machinery."""
EVERYTHING = dict.fromkeys(SEEDS, SERVED)
PROBE_PASSES, PROBE_TOKENS = 2 * len(PROBE_LENGTHS), 2 * sum(PROBE_LENGTHS)
"""What it costs to compare the pass with the model's own code."""


def pass_over(model, plan, store=None):
    return RegressionPass(Engine(model), plan, PartStore(store, model))


def length(model, task, seed, query=0):
    return len(model.encode(regression_prompt(draw(task, seed, query)).text).ids)


def with_module(model, change):
    """The model with a changed copy of its weights."""
    module = copy.deepcopy(model.module)
    change(module)
    return replace(model, open_module=lambda: module)


def assert_same(one, other):
    assert one.answer == other.answer
    np.testing.assert_allclose(one.attention.outputs, other.attention.outputs, atol=1e-5)
    np.testing.assert_allclose(one.attention.features, other.attention.features, atol=1e-5)
    assert (one.shown["attribution"] is None) == (other.shown["attribution"] is None)
    if one.shown["attribution"] is not None:
        pairs = one.pair_attribution, other.pair_attribution
        assert pairs[0].pair_text == pairs[1].pair_text
        np.testing.assert_allclose(pairs[0].contributions, pairs[1].contributions, atol=1e-4)


@pytest.mark.parametrize("queries", [1, 3])
def test_a_batch_shows_of_each_seed_what_it_shows_alone(spelling_model, queries):
    task = replace(TASK, queries_per_seed=queries)
    plan = {SHORTER: EVERYTHING, task: EVERYTHING}
    together = pass_over(spelling_model, plan)
    assert len({length(spelling_model, TASK, seed) for seed in SEEDS}) > 1
    for seed in SEEDS:
        alone = pass_over(spelling_model, {TASK: {seed: SERVED}})
        assert_same(together.observe(task, seed), alone.observe(TASK, seed))
    assert together.batch_seeds >= len(SEEDS)


def test_prompts_that_share_their_start_show_what_they_show_alone(tiny_model):
    together = pass_over(tiny_model, {TASK: EVERYTHING, SHORTER: EVERYTHING})
    for task in (TASK, SHORTER):
        assert_same(together.observe(task, 7), pass_over(tiny_model, {task: EVERYTHING}).observe(task, 7))


def test_each_token_that_prompts_share_is_run_once(tiny_model):
    """The number of passes and tokens is that of one prefill, and a decode that continues from its cache."""
    plan = {
        TASK: dict.fromkeys(SEEDS, frozenset({"attention"})),
        SHORTER: dict.fromkeys(SEEDS, frozenset({"attention"})),
    }
    both = pass_over(tiny_model, plan)
    for seed in SEEDS:
        both.observe(TASK, seed)
        both.observe(SHORTER, seed)
    assert both.engine.forward_passes == PROBE_PASSES + 3  # the shared start, then each prompt's own rest
    probe = PROBE_TOKENS
    longer, shorter = (sum(length(tiny_model, task, seed) for seed in SEEDS) for task in (TASK, SHORTER))
    test_cases = 40 * len(SEEDS)
    assert longer < both.engine.tokens_run - probe < longer + test_cases < longer + shorter


def test_the_answer_continues_from_the_prompt(tiny_model):
    one = pass_over(tiny_model, {TASK: {3: {"answer"}}})
    observed = one.observe(TASK, 3)
    answered = len(tiny_model.encode(observed.answer.text).ids) - 1
    extra = one.engine.tokens_run - PROBE_TOKENS - length(tiny_model, TASK, 3)
    assert answered - 1 <= extra < MAX_NEW_TOKENS
    assert one.engine.forward_passes == PROBE_PASSES + 1 + extra


def test_queries_of_a_seed_show_what_they_show_alone(tiny_model):
    several = replace(TASK, queries_per_seed=4)
    together = pass_over(tiny_model, {several: EVERYTHING})
    for query in range(4):
        observed = together.observe(several, 2, query)
        alone = draw(TASK, 2, query)
        assert observed.episode.gold == alone.gold
        prompt = tiny_model.encode(regression_prompt(alone).text).ids
        module = tiny_model.module
        rows = read_batch(module, decoder_parts(module), [prompt], rows=True).rows[0]
        places = [place for value in regression_prompt(alone).values if value.kind == "output"
                  for place in tokens_of(value, tiny_model.encode(regression_prompt(alone).text).offsets)]  # fmt: skip
        np.testing.assert_allclose(observed.attention.outputs, rows[:, :, -1, places].sum(-1), atol=1e-5)
    assert_same(together.observe(several, 2, 0), pass_over(tiny_model, {TASK: EVERYTHING}).observe(TASK, 2))


def test_queries_cost_their_own_tokens_alone(tiny_model):
    several = replace(TASK, queries_per_seed=8)
    one, many = (pass_over(tiny_model, {task: {0: {"attention"}}}) for task in (TASK, several))
    one.observe(TASK, 0)
    many.observe(several, 0, 7)
    query = length(tiny_model, TASK, 0) - length(tiny_model, replace(TASK, examples=4), 0)
    assert many.engine.tokens_run < one.engine.tokens_run + 8 * query


def test_pair_is_taken_where_the_answers_part(tiny_model):
    observed = pass_over(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0)
    baseline, own = observed.pair_attribution.pair_text
    assert baseline != own
    assert own in observed.answer.text


@pytest.mark.parametrize("seeds", [range(10), range(3, 6)])
def test_published_pair_is_that_of_seed_0_for_every_seed(tiny_model, seeds):
    """Whether seed 0 is asked for or not, and whichever seed comes first."""
    task = replace(TASK, pair="seed 0")
    published = pass_over(tiny_model, {task: dict.fromkeys(set(seeds), SERVED)})
    texts = {published.observe(task, seed).pair_attribution.pair_text for seed in reversed(seeds)}
    last = pass_over(tiny_model, {task: dict.fromkeys(SEEDS, frozenset({"attribution"}))}).observe(task, 4)
    np.testing.assert_allclose(
        published.observe(task, 4).pair_attribution.contributions, last.pair_attribution.contributions, atol=1e-5
    )
    own = pass_over(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0).pair_attribution.pair_text
    assert texts == {own}


def test_pair_of_seed_0_is_there_for_shorter_prompts_of_its_batch(spelling_model):
    assert length(spelling_model, TASK, 0) > min(length(spelling_model, TASK, seed) for seed in SEEDS)
    task = replace(TASK, pair="seed 0")
    passes = pass_over(spelling_model, {task: dict.fromkeys(SEEDS, frozenset({"attribution"}))})
    assert len({passes.observe(task, seed).pair_attribution.pair_text for seed in SEEDS}) == 1


def test_seed_0_in_a_later_batch_is_run_once(tiny_model, monkeypatch):
    tokens_a_seed = length(tiny_model, TASK, 0) * 6 // 5  # the prompt and one example more
    monkeypatch.setitem(TOKENS_AT_ONCE, "cpu", 3 * tokens_a_seed + 9)
    task = replace(TASK, pair="seed 0")
    passes = pass_over(tiny_model, {task: dict.fromkeys(SEEDS, frozenset({"attribution"}))})
    for seed in reversed(range(10)):
        passes.observe(task, seed)
    assert passes.batch_seeds == 3
    prompts = sum(length(tiny_model, task, seed) for seed in SEEDS)
    assert passes.engine.tokens_run - PROBE_TOKENS - prompts <= 3 * (MAX_NEW_TOKENS - 1)


def test_attention_mass_counts_the_tokens_of_the_values(tiny_model):
    observed = pass_over(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0)
    prompt = regression_prompt(draw(TASK, 0))
    encoded = tiny_model.encode(prompt.text)
    outputs = [tokens_of(value, encoded.offsets) for value in prompt.values if value.kind == "output"]
    assert observed.attention.output_tokens == sum(map(len, outputs)) == 15
    assert observed.attention.feature_tokens == 3 * 4 * 6


def test_a_seed_runs_only_the_tasks_that_asked_for_it(tiny_model):
    plans = unite([(TASK, {"answer"}, [0]), (SHORTER, {"attention"}, [1]), (TASK, {"attention"}, [2])])
    passes = pass_over(tiny_model, plans[TASK.stem])
    costs = {}
    for task, seed in ((SHORTER, 1), (TASK, 2), (TASK, 0)):
        before = passes.engine.tokens_run
        assert passes.observe(task, seed).shown.keys() == plans[TASK.stem][task][seed]
        costs[seed] = passes.engine.tokens_run - before
    assert costs[1] - PROBE_TOKENS == length(tiny_model, SHORTER, 1)
    assert costs[2] == length(tiny_model, TASK, 2)
    assert 0 <= costs[0] - length(tiny_model, TASK, 0) < MAX_NEW_TOKENS


def test_seeds_pay_for_the_needs_of_their_own_claims_alone(tiny_model, tmp_path):
    """A claim of four seeds with dear needs beside one of ten: six seeds cost what they cost without it."""
    cheap, dear = (TASK, {"attention"}, range(10)), (TASK, {"block_ablation", "head_ablation"}, range(4))
    costs, plans = {}, {"both": [cheap, dear], "cheap": [cheap], "dear": [(TASK, cheap[1] | dear[1], range(4))]}
    for name, wanted in plans.items():
        passes = pass_over(tiny_model, unite(wanted)[TASK.stem], Store(tmp_path / name))
        for seed in max((one[2] for one in wanted), key=len):
            passes.observe(TASK, seed)
        costs[name] = passes.engine.tokens_run - PROBE_TOKENS
    six = sum(length(tiny_model, TASK, seed) for seed in range(4, 10))
    assert costs["both"] == costs["dear"] + six
    assert costs["cheap"] == six + sum(length(tiny_model, TASK, seed) for seed in range(4))
    assert costs["dear"] > 2 * (costs["cheap"] - six)


def test_a_claim_with_fewer_needs_takes_from_the_store_what_one_with_more_left_there(tiny_model, tmp_path):
    store, more, fewer = Store(tmp_path), {"answer", "attention"}, {"attention"}
    pass_over(tiny_model, {TASK: {3: more}}, store).observe(TASK, 3)
    again = pass_over(tiny_model, unite([(TASK, fewer, [3, 4])])[TASK.stem], store)
    assert again.observe(TASK, 3).shown.keys() == fewer
    assert again.engine.tokens_run == 0
    again.observe(TASK, 4)
    assert again.engine.tokens_run == PROBE_TOKENS + length(tiny_model, TASK, 4)


def test_who_runs_beside_whom_does_not_depend_on_who_is_asked_first(spelling_model):
    plan = unite([(TASK, {"answer"}, range(10)), (TASK, {"attention"}, range(0, 10, 3))])[TASK.stem]
    for first in SEEDS:
        passes = pass_over(spelling_model, plan)
        passes.batch_seeds = 2
        passes.observe(TASK, first)
        ran = frozenset(seed for task, seed, _, _ in passes._parts)
        assert len({frozenset(plan[TASK][seed]) for seed in ran}) == 1
        for other in ran:
            again = pass_over(spelling_model, plan)
            again.batch_seeds = 2
            again.observe(TASK, other)
            assert frozenset(seed for task, seed, _, _ in again._parts) == ran


def test_what_was_not_asked_for_is_refused_with_the_remedy(tiny_model):
    observed = pass_over(tiny_model, {TASK: dict.fromkeys(SEEDS, frozenset({"attention"}))}).observe(TASK, 0)
    with pytest.raises(UserError, match="this observation shows no answer: add 'answer' to the claim's needs"):
        _ = observed.prediction


# memory


def failing_above(rows):
    """A module's forward that finds no memory for more rows."""

    def hook(_module, args, _):
        if len(args[0]) > rows:
            raise torch.OutOfMemoryError("out of memory")

    return hook


def test_out_of_memory_halves_the_batch_and_goes_on(tiny_model):
    plan = {TASK: EVERYTHING}
    small = with_module(tiny_model, lambda module: module.register_forward_pre_hook(failing_above(3), with_kwargs=True))
    passes = pass_over(small, plan)
    for seed in SEEDS:
        assert_same(passes.observe(TASK, seed), pass_over(tiny_model, plan).observe(TASK, seed))
    assert passes.batch_seeds == 3
    assert passes.out_of_memory == 2


def test_torch_says_out_of_memory_otherwise_on_a_cpu(tiny_model):
    def fail_once(_module, args, _):
        if len(args[0]) > 3:
            torch.empty(1 << 60, dtype=torch.uint8)

    small = with_module(tiny_model, lambda module: module.register_forward_pre_hook(fail_once, with_kwargs=True))
    passes = pass_over(small, {TASK: dict.fromkeys(SEEDS, frozenset({"attention"}))})
    passes.observe(TASK, 0)
    assert passes.batch_seeds == 3


def test_memory_that_does_not_suffice_for_one_seed_is_told(tiny_model):
    def fail_on_prompts(_module, args, _):
        if args[0].shape[1] > 100:
            raise torch.OutOfMemoryError("out of memory")

    none = with_module(tiny_model, lambda module: module.register_forward_pre_hook(fail_on_prompts, with_kwargs=True))
    with pytest.raises(UserError, match=r"tiny: memory of cpu does not suffice for the prompts of one seed: try"):
        pass_over(none, {TASK: EVERYTHING}).observe(TASK, 0)


# what is refused


def test_a_model_that_gives_nan_is_invalid(tiny_model):
    def break_for_long_prompts(module):
        module.model.layers[1].mlp.register_forward_hook(
            lambda _, __, output: output + float("nan") if output.shape[1] > 100 else None
        )

    broken = with_module(tiny_model, break_for_long_prompts)
    with pytest.raises(InvalidInstrument, match=r"tiny gives logits that are not finite on seed 3: check its weights"):
        pass_over(broken, {TASK: {3: SERVED}}).observe(TASK, 3)


def test_weights_that_hold_nan_are_refused_before_the_first_seed(tiny_model):
    broken = with_module(tiny_model, lambda module: module.model.layers[1].mlp.down_proj.weight.fill_(float("nan")))
    with pytest.raises(
        InvalidInstrument, match=r"tiny gives logits that are not finite on a short prompt: check its weights"
    ):
        pass_over(broken, {TASK: EVERYTHING}).prepare(TASK, [0])


@pytest.mark.parametrize("name", ["residual stream", "attributed difference", "attention rows", "row sums"])
def test_a_failed_check_is_invalid(tiny_model, monkeypatch, name):
    monkeypatch.setitem(checks.TOLERANCES["float32"], name, -1.0)
    with pytest.raises(InvalidInstrument, match=rf"tiny, seed 0: check \"{name}\" failed"):
        pass_over(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0)


def test_a_prompt_longer_than_the_context_is_refused_before_any_pass(tiny_model):
    passes = pass_over(replace(tiny_model, read_context=lambda: 250), {TASK: EVERYTHING, SHORTER: EVERYTHING})
    with pytest.raises(UserError, match=r"takes 312 tokens with its answer, but tiny reads at most 250: choose"):
        passes.prepare(TASK, [0])
    assert passes.engine.forward_passes == 0
    passes.prepare(SHORTER, SEEDS)
    assert passes.observe(SHORTER, 0).answer  # shorter prompts are not spoilt by it


@pytest.mark.parametrize("name", [*NOT_CLOSING, *DISAGREEING])
def test_an_architecture_whose_parts_do_not_sum_to_the_whole_is_refused_before_the_first_seed(name):
    module = random_model((NOT_CLOSING | DISAGREEING)[name])
    with pytest.raises(InvalidInstrument, match=r"tiny: check .* failed, .* does what the pass does not know: choose"):
        pass_over(language_model(module), {TASK: EVERYTHING}).prepare(TASK, [0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_in_short_floats_is_no_fault(tiny_model, dtype):
    """bfloat16 alone may make 10 % between two attention kernels of transformers."""
    module = copy.deepcopy(tiny_model.module).to(getattr(torch, dtype))
    short = replace(tiny_model, dtype=dtype, open_module=lambda: module)
    passes = pass_over(short, {TASK: EVERYTHING, replace(SHORTER, queries_per_seed=2): EVERYTHING})
    passes.prepare(TASK, SEEDS)
    assert {"residual stream", "attention rows", "model's own logits"} <= passes.observe(TASK, 1).checks.keys()


def test_another_architecture_is_refused():
    with pytest.raises(UserError, match="is not built like a decoder that the instruments know"):
        decoder_parts(torch.nn.Linear(2, 2))


# the store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


PLAN = {TASK: EVERYTHING, replace(TASK, pair="seed 0"): EVERYTHING, replace(SHORTER, queries_per_seed=2): EVERYTHING}


def test_a_second_run_makes_no_pass_and_opens_no_weights(tiny_model, store):
    first = pass_over(tiny_model, PLAN, store)
    unopened = replace(tiny_model, open_module=pytest.fail, open_tokenizer=pytest.fail, read_context=pytest.fail)
    again = pass_over(unopened, PLAN, Store(store.folder))
    for task in PLAN:
        seen_first = [first.observe(task, seed, task.queries_per_seed - 1) for seed in SEEDS]
        again.prepare(task, SEEDS)
        for seed, seen in zip(SEEDS, seen_first, strict=True):
            recalled = again.observe(task, seed, task.queries_per_seed - 1)
            assert_same(recalled, seen)
            assert recalled.checks == seen.checks
    assert again.engine.forward_passes == 0
    assert again.store.taken > 0


def test_what_the_store_lacks_is_run_and_nothing_else(tiny_model, store):
    answers = pass_over(tiny_model, {TASK: dict.fromkeys(range(4), frozenset({"answer"}))}, store)
    answers.observe(TASK, 0)
    more = pass_over(tiny_model, {TASK: dict.fromkeys(range(5), frozenset({"answer", "attention"}))}, store)
    more.observe(TASK, 3)
    prompts = sum(length(tiny_model, TASK, seed) for seed in range(4))
    assert more.store.taken == 4
    fresh = more.engine.tokens_run - PROBE_TOKENS - prompts
    assert 0 < fresh - length(tiny_model, TASK, 4) < MAX_NEW_TOKENS  # seed 4 lacked its answer too


def test_a_damaged_file_is_set_aside_and_made_again(tiny_model, store):
    plan = {TASK: {0: {"answer"}}}
    seen = pass_over(tiny_model, plan, store).observe(TASK, 0)
    (file,) = store.folder.rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    again = pass_over(tiny_model, plan, store)
    assert again.observe(TASK, 0).answer == seen.answer
    assert again.engine.forward_passes > 0
    assert len(store.damaged) == 1
    assert pass_over(replace(tiny_model, open_module=pytest.fail), plan, store).observe(TASK, 0).answer == seen.answer


@pytest.mark.parametrize("change", [{"fingerprint": "other"}, {"dtype": "bfloat16"}, {"name": "other"}])
def test_another_model_takes_nothing(tiny_model, store, change):
    plan = {TASK: {0: {"answer"}}}
    pass_over(tiny_model, plan, store).observe(TASK, 0)
    prompt = regression_prompt(draw(TASK, 0)).text
    assert PartStore(store, tiny_model).get("answer", prompt, None) is not None
    assert PartStore(store, replace(tiny_model, **change)).get("answer", prompt, None) is None
