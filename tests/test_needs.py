"""Candidates, induction and activations: against other instruments, and however prompts are batched and cut."""

import copy
import re
import string
from collections import Counter
from dataclasses import fields, replace
from itertools import chain, pairwise

import numpy as np
import pytest
import sklearn.ensemble
import sklearn.linear_model
import sklearn.neighbors
import tokenizers
import torch
from transformers import PreTrainedTokenizerFast

import optim_hunter
from fixtures.architectures import MIXTURE, VOUCHED, random_model
from fixtures.models import language_model
from optim_hunter.claim import InvalidInstrument, NoValue, UserError
from optim_hunter.observe import checks
from optim_hunter.observe.agreement import PROBE_LENGTHS
from optim_hunter.observe.attribution import difference_error
from optim_hunter.observe.candidates import FITTED
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.induction import LabelToken, induction_mass
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.observation import PREDICTORS
from optim_hunter.observe.plan import unite
from optim_hunter.observe.posed import answer_tokens, pose
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.observe.store import Store
from optim_hunter.tasks.prompts import number_text, regression_prompt
from optim_hunter.tasks.regression import RegressionTask, draw

TASK = RegressionTask(examples=6)
SHORTER = replace(TASK, examples=5)
NEW = frozenset({"candidates", "induction", "activations"})
SEEDS = frozenset(range(4))
SHARED = {TASK: dict.fromkeys(SEEDS, NEW), replace(SHORTER, queries_per_seed=2): dict.fromkeys(SEEDS, NEW)}
"""Both prompts of a seed share their first five examples."""


def pass_over(model, plan, store=None):
    return RegressionPass(Engine(model), plan, PartStore(store, model))


def assert_same(one, other):
    for shown, expected in ((one.candidates, other.candidates), (one.induction, other.induction),
                            (one.activations, other.activations)):  # fmt: skip
        for field in fields(shown):
            seen, wanted = getattr(shown, field.name), getattr(expected, field.name)
            if isinstance(seen, np.ndarray | float):
                np.testing.assert_allclose(seen, wanted, atol=1e-4)
            else:
                assert seen == wanted, field.name


class Text:
    """Where numbers and labels stand in a prompt, found by regular expressions; places are those of tokens."""

    def __init__(self, model, task, seed, query=0):
        self.text = regression_prompt(draw(task, seed, query), task.template).text
        encoded = model.encode(self.text)
        self.ids, self.offsets = encoded.ids, encoded.offsets
        self.examples = task.examples

    def tokens(self, start, end):
        """Positions of the tokens between two characters."""
        return [place for place, (first, last) in enumerate(self.offsets) if first < end and last > max(start, first)]

    def values(self, label):
        """The tokens of a label's number, example by example; the test case's are left out."""
        found = re.finditer(rf"{label}: (\S+)\n", self.text)
        return [self.tokens(*match.span(1)) for match in found][: self.examples]

    def labels(self):
        """Tokens of each label of the test case, and of the same label of each example."""
        for label in ["\n\nFeature 0: ", *(f"\nFeature {number}: " for number in range(1, 4)), "\nOutput: "]:
            *examples, test_case = [self.tokens(*match.span()) for match in re.finditer(label, self.text)]
            assert len(examples) == self.examples
            yield test_case, examples


def expected_masses(text, patterns):
    """Stripe and mass on the same place [layer, head], from whole patterns [layer, head, query, key]."""
    followed, same = [], []
    for test_case, examples in text.labels():
        for place, query in enumerate(test_case[:-1]):
            followed.append(sum(patterns[:, :, query, example[place + 1]] for example in examples))
            same.append(sum(patterns[:, :, query, example[place]] for example in examples))
    return torch.stack(followed).mean(0), torch.stack(same).mean(0), len(followed)


def assert_masses(shown, text, patterns):
    stripe, same, count = expected_masses(text, patterns)
    np.testing.assert_allclose(shown.stripe, stripe, atol=1e-5)
    np.testing.assert_allclose(shown.same_place, same, atol=1e-5)
    assert shown.tokens == count


def assert_activations(shown, text, neurons):
    """Against all activations [layer, token, neuron]."""

    def mean(label, examples=slice(None)):
        return neurons[:, list(chain(*text.values(label)[examples]))].mean(1)

    np.testing.assert_allclose(shown.outputs, mean("Output"), atol=1e-4)
    for half, examples in enumerate((slice(0, None, 2), slice(1, None, 2))):
        np.testing.assert_allclose(shown.output_halves[half], mean("Output", examples), atol=1e-4)
        for feature in range(4):
            expected = mean(f"Feature {feature}", examples)
            np.testing.assert_allclose(shown.feature_halves[half, feature], expected, atol=1e-4)
    np.testing.assert_allclose(shown.features[2], mean("Feature 2"), atol=1e-4)


# other instruments


@pytest.mark.parametrize("name", VOUCHED)
def test_transformer_lens_sees_the_same(name):
    task = replace(TASK, examples=3, queries_per_seed=2)
    model = language_model(random_model(VOUCHED[name]))
    passes = pass_over(model, {task: dict.fromkeys({0, 1}, frozenset({"induction", "activations"}))})
    hooked = optim_hunter.bridge(model)
    for query in range(2):
        text, seen = Text(model, task, 1, query), passes.observe(task, 1, query)
        with torch.inference_mode():
            cache = hooked.run_with_cache(torch.tensor([text.ids]))[1]
        layers = range(3)
        assert_masses(seen.induction, text, torch.stack([cache["pattern", layer][0] for layer in layers]))
        neurons = torch.stack([cache[f"blocks.{layer}.mlp.hook_post"][0] for layer in layers])
        assert_activations(seen.activations, text, neurons)
        assert seen.activations.layers.tolist() == [0, 1, 2]


def eager_patterns_and_neurons(model, ids):
    """By the model's own eager attention, and its MLPs written out."""
    module, inputs = copy.deepcopy(model.module), []
    module.set_attn_implementation("eager")
    for layer in module.model.layers:
        layer.mlp.register_forward_pre_hook(lambda mlp, args: inputs.append((mlp, args[0][0])))
    patterns = torch.stack(module(torch.tensor([ids]), output_attentions=True).attentions)[:, 0]
    neurons = [torch.nn.functional.silu(mlp.gate_proj(hidden)) * mlp.up_proj(hidden) for mlp, hidden in inputs]
    return patterns, torch.stack(neurons)


def test_examples_of_different_length_are_told_apart_by_their_own_places(spelling_model):
    """In a batch with padding, where a part of the prompt was run for others too."""
    passes = pass_over(spelling_model, SHARED)
    for task in SHARED:
        for seed in (0, 3):
            text = Text(spelling_model, task, seed, task.queries_per_seed - 1)
            (first_label, *_) = (examples for _, examples in text.labels())
            assert len({later[0] - earlier[0] for earlier, later in pairwise(first_label)}) > 1
            seen = passes.observe(task, seed, task.queries_per_seed - 1)
            patterns, neurons = eager_patterns_and_neurons(spelling_model, text.ids)
            assert_masses(seen.induction, text, patterns)
            assert_activations(seen.activations, text, neurons)
            assert passes.batch_seeds >= len(SEEDS)


def observed_candidates(name):
    """A model of an architecture, and what it showed of seed 5."""
    model = language_model(random_model(VOUCHED[name]))
    return model, pass_over(model, {TASK: {5: {"candidates"}}}).observe(TASK, 5)


def said_by_scikit_learn(episode):
    """Predictor → number; the random output is any of the prompt's."""
    fitted = {
        "linear_regression": sklearn.linear_model.LinearRegression(),
        "knn_regression": sklearn.neighbors.KNeighborsRegressor(5),
        "random_forest": sklearn.ensemble.RandomForestRegressor(max_depth=3, random_state=5),
    }
    known = {"gold": episode.gold, "average": episode.outputs.mean(), "last": episode.outputs[-1]}
    return known | {
        predictor: regressor.fit(episode.features, episode.outputs).predict(episode.test_features[None])[0]
        for predictor, regressor in fitted.items()
    }


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_candidates_have_the_logits_of_the_plain_model(name):
    model, observed = observed_candidates(name)
    seen = observed.candidates
    module = copy.deepcopy(model.module)
    module.set_attn_implementation("eager")
    own = module(torch.tensor([Text(model, TASK, 5).ids])).logits[0, -1]
    cap = getattr(module.config, "final_logit_softcapping", None)
    logits = torch.tensor(seen.logits)
    torch.testing.assert_close(
        cap * torch.tanh(logits / cap) if cap else logits, own[seen.tokens.tolist()], atol=1e-4, rtol=0
    )
    np.testing.assert_allclose(seen.contributions.sum(0) + seen.constant, seen.logits, atol=1e-4)
    assert seen.tokens[seen.columns["llm"]] == own.argmax()


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_candidates_are_the_first_tokens_of_what_each_predictor_says(name):
    _, observed = observed_candidates(name)
    seen, outputs = observed.candidates, observed.episode.outputs
    texts = {predictor: seen.texts[seen.columns[predictor]] for predictor in PREDICTORS}
    numbers = said_by_scikit_learn(observed.episode)
    integers = {predictor: number_text(number).split(".")[0] for predictor, number in numbers.items()}
    assert {predictor: texts[predictor] for predictor in numbers} == integers
    begun = Counter(number_text(output).split(".")[0] for output in outputs)
    assert texts["random"] in begun
    assert dict(zip(seen.texts, seen.output_counts.tolist(), strict=True)) == {
        text: begun[text] for text in {*begun, *texts.values()}
    }
    assert list(seen.columns) == list(PREDICTORS)
    assert len(set(seen.tokens)) == len(seen.tokens)


def test_mass_of_a_planted_induction_head_is_one():
    tokens = [LabelToken(30 + place, [place + 3, place + 12]) for place in range(5)]
    rows = torch.zeros(1, 4, 5, 36)
    for place, token in enumerate(tokens):
        rows[0, 0, place, [one + 1 for one in token.same_places]] = 0.5  # what followed: an induction head
        rows[0, 1, place, token.same_places] = 0.5  # the same token: a duplicate-token head
        rows[0, 2, place, token.position + 1 - 2] = 1.0  # the published stripe, for two examples
        rows[0, 3, place, : token.position + 1] = 1 / (token.position + 1)
    seen = induction_mass(rows, tokens)
    np.testing.assert_allclose(seen.stripe[0], [1, 0, 0, seen.uniform], atol=1e-6)
    np.testing.assert_allclose(seen.same_place[0], [0, 1, 0, seen.uniform], atol=1e-6)
    np.testing.assert_allclose(seen.published[0], [0, 0, 1, seen.uniform_published], atol=1e-6)


# batches, stems, queries, memory, store


@pytest.mark.parametrize("rows_at_once", [8, 3])
def test_together_shows_what_alone_shows(spelling_model, rows_at_once):
    module = copy.deepcopy(spelling_model.module)

    def fail_above(_module, args, _):
        if len(args[0]) > rows_at_once:
            raise torch.OutOfMemoryError("out of memory")

    module.register_forward_pre_hook(fail_above, with_kwargs=True)
    together = pass_over(replace(spelling_model, open_module=lambda: module), SHARED)
    for task in SHARED:
        one = replace(task, queries_per_seed=1)
        for seed in SEEDS:
            alone = pass_over(spelling_model, {one: {seed: NEW}})
            assert_same(together.observe(task, seed), alone.observe(one, seed))
    assert (together.out_of_memory > 0) == (rows_at_once == 3)


def test_a_prompt_that_nothing_is_asked_of_may_share_its_test_case(spelling_model):
    """The digits with which it begins are those of an example of the longer prompt, whose activations count."""

    def begins(seed):
        return [number_text(features[0])[:2] for features in
                (draw(SHORTER, seed).test_features, draw(TASK, seed).features[SHORTER.examples])]  # fmt: skip

    seed = next(seed for seed in range(1000) if len(set(begins(seed))) == 1)
    plan = {SHORTER: {seed: {"attention"}}, TASK: {seed: {"activations"}}}
    seen = pass_over(spelling_model, plan).observe(TASK, seed).activations
    alone = pass_over(spelling_model, {TASK: {seed: {"activations"}}}).observe(TASK, seed).activations
    np.testing.assert_allclose(seen.output_halves, alone.output_halves, atol=1e-5)
    np.testing.assert_allclose(seen.feature_halves, alone.feature_halves, atol=1e-5)


def test_new_needs_cost_no_pass_of_their_own(tiny_model):
    passes = pass_over(tiny_model, {TASK: dict.fromkeys(SEEDS, NEW)})
    passes.observe(TASK, 0)
    probe = 2 * len(PROBE_LENGTHS)
    assert passes.engine.forward_passes == probe + 1
    prompts = sum(len(Text(tiny_model, TASK, seed).ids) for seed in SEEDS)
    assert passes.engine.tokens_run == 2 * sum(PROBE_LENGTHS) + prompts
    shared = pass_over(tiny_model, {TASK: dict.fromkeys(SEEDS, NEW), SHORTER: dict.fromkeys(SEEDS, NEW)})
    shared.observe(TASK, 0)
    assert shared.engine.forward_passes == probe + 3  # the shared examples, then each prompt's own rest
    test_case = 41
    assert shared.engine.tokens_run == passes.engine.tokens_run + test_case * len(SEEDS)


def test_prompts_of_other_words_are_prompts_of_their_own(tiny_model):
    names = ["published", "paraphrase", "other names", "shuffled features"]
    tasks = [replace(TASK, template=name) for name in names]
    plans = unite([(task, NEW, [1]) for task in tasks])
    seen = [pass_over(tiny_model, plans[task.stem]).observe(task, 1) for task in tasks]
    assert [one.induction.tokens for one in seen] == [24, 24, 48, 24]  # the tokenizer spells Sensor and Yield
    said = [{**one.candidates.predictor_tokens, "llm": 0} for one in seen]
    assert said == said[:1] * len(tasks)
    published, _, _, shuffled = (one.activations.features for one in seen)
    order = [np.abs(published - one).mean((1, 2)).argmin() for one in shuffled]
    assert order == [0, 1, 2, 3]  # a feature is the same one wherever it stands


@pytest.mark.parametrize("seeds", [range(4), range(2, 4)])
def test_published_candidates_are_those_of_seed_0(tiny_model, tmp_path, seeds):
    task = replace(TASK, pair="seed 0", queries_per_seed=2)
    plan, store = {task: dict.fromkeys(set(seeds), frozenset({"candidates"}))}, Store(tmp_path / "store")
    published = pass_over(tiny_model, plan, store)
    own = pass_over(tiny_model, {TASK: dict.fromkeys({0, 3}, frozenset({"candidates"}))})
    reference = own.observe(TASK, 0).candidates
    again = pass_over(replace(tiny_model, open_module=pytest.fail), plan, Store(store.folder))
    for passes in (published, again):
        for seed in reversed(seeds):
            for query in range(2):
                seen = passes.observe(task, seed, query)
                assert seen.candidates.predictor_tokens == reference.predictor_tokens
                begun = sum(seen.candidates.output_counts)
                assert begun == task.examples
    assert own.observe(TASK, 3).candidates.predictor_tokens != reference.predictor_tokens


def test_a_second_run_recalls_all_and_opens_no_weights(tiny_model, tmp_path):
    store = Store(tmp_path / "store")
    first = pass_over(tiny_model, SHARED, store)
    again = pass_over(replace(tiny_model, open_module=pytest.fail), SHARED, Store(store.folder))
    for task in SHARED:
        for seed in SEEDS:
            assert_same(first.observe(task, seed), again.observe(task, seed))
    assert again.engine.forward_passes == 0


# what is refused, and what has no value


def test_what_a_prompt_cannot_show_has_no_value_and_a_reason(tiny_model):
    few, lines = replace(TASK, examples=1), tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, "[UNK]"))
    lines.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("\n+"), behavior="merged_with_next")
    fast = PreTrainedTokenizerFast(tokenizer_object=lines, unk_token="[UNK]")
    by_line = replace(tiny_model, open_tokenizer=lambda: fast)
    seen = pass_over(tiny_model, {few: {0: NEW}}).observe(few, 0)
    with pytest.raises(NoValue, match="one example cannot be split into two halves"):
        _ = seen.activations
    with pytest.raises(NoValue, match="a regressor cannot be fitted to so few examples"):
        _ = seen.candidates
    with pytest.raises(NoValue, match="no label of the test case is two tokens"):
        _ = pass_over(by_line, {TASK: {0: {"induction"}}}).observe(TASK, 0).induction
    with pytest.raises(UserError, match="shows no induction: add 'induction'"):
        _ = pass_over(tiny_model, {TASK: {0: {"attention"}}}).observe(TASK, 0).induction


def test_experts_have_no_neurons_to_read():
    model = language_model(random_model(MIXTURE))
    with pytest.raises(UserError, match="have no single down projection, so that their neurons cannot be read: choose"):
        pass_over(model, {TASK: {0: {"activations"}}}).prepare(TASK, [0])


@pytest.mark.parametrize(
    ("need", "name"),
    [("candidates", "attributed difference"), ("induction", "attention rows"), ("induction", "row sums"),
     ("activations", "residual stream")],
)  # fmt: skip
def test_a_failed_check_is_invalid(tiny_model, monkeypatch, need, name):
    monkeypatch.setitem(checks.TOLERANCES["float32"], name, -1.0)
    with pytest.raises(InvalidInstrument, match=rf"tiny, seed 0: check \"{name}\" failed"):
        pass_over(tiny_model, {TASK: {0: {need}}}).observe(TASK, 0)


def test_one_wrong_candidate_among_many_is_seen():
    generator = torch.Generator().manual_seed(0)
    contributions, constant = torch.randn(60, 30, generator=generator), torch.randn(30, generator=generator)
    logits = contributions.sum(0) + constant
    assert difference_error(contributions, constant, logits) < 1e-6
    logits[7] += 0.1 * float(contributions.abs().sum(0).mean())
    assert difference_error(contributions, constant, logits) > max(
        checks.TOLERANCES[dtype]["attributed difference"] for dtype in ("float32", "float16")
    )
    assert difference_error(contributions[:, :1], constant[:1], logits[:1]) == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_in_short_floats_is_no_fault(tiny_model, dtype):
    module = copy.deepcopy(tiny_model.module).to(getattr(torch, dtype))
    short = replace(tiny_model, dtype=dtype, open_module=lambda: module)
    shown = pass_over(short, {TASK: {1: NEW}}).observe(TASK, 1)
    assert {"attributed difference", "attention rows", "row sums", "residual stream"} <= shown.checks.keys()
    assert np.isfinite(shown.activations.outputs).all()
    assert shown.activations.output_halves.dtype == shown.candidates.contributions.dtype == np.float32


def test_fitted_predictors_are_regressors_of_the_table():
    from optim_hunter.tasks.regressors import REGRESSORS

    assert set(FITTED.values()) <= REGRESSORS.keys()
    assert set(FITTED) | {"gold", "average", "last", "llm"} == set(PREDICTORS)


def test_a_sign_that_the_tokenizer_joins_with_the_space_before_it_stands_by_itself(tiny_model):
    """As after the prompt's last token, which is the space."""
    words = {word: place for place, word in enumerate(["[UNK]", " -", *string.printable])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "[UNK]"))
    split = tokenizers.Regex(r" -|[\s\S]")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(split, behavior="isolated")
    tokenizer.decoder = tokenizers.decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    model = replace(tiny_model, open_tokenizer=lambda: fast)
    posed = pose(model, TASK, 0)
    assert model.encode(posed.prompt.text + "-1.5").ids[-4:] == [words[piece] for piece in (" -", "1", ".", "5")]
    for number, text in ((-1.5, "-1.5\n\n"), (1.5, "1.5\n\n")):
        assert answer_tokens(model, posed, number) == [words[piece] for piece in text]
