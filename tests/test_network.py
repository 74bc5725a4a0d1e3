"""What is asked of the one-layer model: parts ablated, tokens replaced, rules watched, on networks with set weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import NoValue, UserError
from optim_hunter.measures.choices import loss_lead, losses
from optim_hunter.measures.network import (
    loss_rise,
    random_rise,
    rule_frequency,
    rule_gain,
    rule_use,
    share_of_gain,
)
from optim_hunter.measures.replaced import drop_leads, log_odds_drop
from optim_hunter.models.one_layer import OneLayerModel
from optim_hunter.models.one_layer_parts import replaced, stream_and_write, without_random_part
from optim_hunter.models.planted_network import NETWORKS
from optim_hunter.models.registry import check_name
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.one_layer import OneLayerChooser, PartAblater, RuleObservation, among
from optim_hunter.observe.rule_replacements import RuleReplacer, places_met
from optim_hunter.subjects.one_layer import planted_network
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.held_out import ChoiceTask, ReplacedTokenTask
from optim_hunter.tasks.network import AblatedPartTask, RuleTask
from optim_hunter.tasks.planted_choices import CERTAIN, SURE
from optim_hunter.tasks.rules import Both, Rule, RuleBook, TokenIn
from optim_hunter.tasks.stories import CONJUNCTIONS, train_tokenizer

SEEDS = range(6)


def seen(name, task):
    subject = open_subject(name, Options(), {}, None)
    subject.precheck(task, SEEDS)
    return [subject.observe(task, seed, 0) for seed in SEEDS]


def mean(observations, measure, *arguments):
    return np.mean([measure(one, *arguments) for one in observations], axis=0)


WORDS = {
    "planted:network-last-word": CERTAIN,
    "planted:network-word-before": CERTAIN,
    "planted:network-both-words": SURE,
}


@pytest.mark.parametrize("name", WORDS)
def test_a_planted_network_says_what_its_rule_says(name):
    found = seen(name, ChoiceTask(views=("one-layer",), stories_per_seed=100))
    said = np.concatenate([one.log_probabilities["one-layer"] for one in found])
    np.testing.assert_allclose(np.exp(said).sum(1), 1)
    np.testing.assert_allclose(np.exp(said.max(1)), WORDS[name], atol=2e-3)
    right = said.argmax(1) == np.concatenate([one.labels for one in found])
    assert abs(right.mean() - WORDS[name]) < 4 * np.sqrt(WORDS[name] * (1 - WORDS[name]) / len(right))


@pytest.mark.parametrize(
    ("name", "part", "matters"),
    [
        ("planted:network-both-words", "mlp", True),
        ("planted:network-word-before", "mlp", False),
        ("planted:network-both-words", "attention", True),
        ("planted:network-word-before", "attention", True),
        ("planted:network-last-word", "attention", False),
    ],
)
def test_the_loss_rises_without_a_part_that_is_read_and_no_other(name, part, matters):
    found = seen(name, AblatedPartTask(views=(), stories_per_seed=20, part=part))
    rises = [mean(found, loss_rise, replacement) for replacement in ("zero", "mean", "resample")]
    if matters:
        assert min(rises) > 0.3
        assert mean(found, random_rise) < min(rises)
    else:
        np.testing.assert_allclose(rises, 0, atol=1e-5)
        assert mean(found, random_rise) > 0.005


def test_what_is_not_ablated_is_what_the_model_says():
    name, task = "planted:network-both-words", AblatedPartTask(views=(), part="mlp")
    whole = seen(name, replace(task, part="attention"))
    plain = seen(name, ChoiceTask(views=("one-layer",)))
    for one, other, expected in zip(seen(name, task), whole, plain, strict=True):
        np.testing.assert_allclose(one.intact, expected.log_probabilities["one-layer"], atol=1e-5)
        np.testing.assert_allclose(other.intact, expected.log_probabilities["one-layer"], atol=1e-5)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_random_part_is_as_large_as_was_asked(seed, share):
    generator = np.random.default_rng(seed)
    stream = torch.from_numpy(generator.normal(size=(300, 8)).astype(np.float32) * np.arange(1, 9, dtype=np.float32))
    whole = float((stream - stream.mean(0)).square().sum(1).mean())
    left = without_random_part(stream, stream, share * whole, generator)
    assert float((stream - left).square().sum(1).mean()) == pytest.approx(share * whole, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(left.mean(0), stream.mean(0), atol=1e-3)
    everything = without_random_part(stream, stream, 2 * whole, generator)
    np.testing.assert_allclose(everything, stream.mean(0).expand_as(stream), atol=1e-3)


def test_what_is_replaced_is_nothing_the_mean_or_written_elsewhere():
    generator = np.random.default_rng(0)
    reference = torch.from_numpy(generator.normal(size=(50, 3)).astype(np.float32))
    write = torch.zeros(400, 3)
    assert not replaced(write, reference, "zero", generator).any()
    assert torch.equal(replaced(write, reference, "mean", generator)[7], reference.mean(0))
    elsewhere = replaced(write, reference, "resample", generator)
    assert {tuple(row) for row in elsewhere.tolist()} == {tuple(row) for row in reference.tolist()}


def test_a_part_that_the_model_lacks_is_not_ablated():
    corpus, whole = planted_network("planted:network-last-word", CONJUNCTIONS)
    without = replace(whole.shape, mlp=False)
    model = OneLayerModel(without, whole.tokenizer, torch.Generator().manual_seed(0))
    with pytest.raises(UserError, match="trained without its mlp"):
        stream_and_write(model, "mlp", np.zeros((1, 16), dtype=int))
    task = AblatedPartTask(views=(), part="attention")
    chooser = OneLayerChooser(LinearChooser(corpus, task), model, None)
    assert PartAblater(chooser, task).observe(0).random.shape[0] == task.draws


@pytest.mark.parametrize(("mark", "word", "name"), [(",", " but", "comma"), (" was", " so", "was")])
def test_a_replaced_token_moves_the_network_that_heeds_it_alone(mark, word, name):
    task = ReplacedTokenTask(views=(), stories_per_seed=12, token=mark)
    heeding, beside = (seen(f"planted:network-{does}-{name}", task) for does in ("heeds", "beside"))
    raised = np.log(SURE / (1 - SURE) * 4)
    for found, expected in ((heeding, raised), (beside, 0)):
        np.testing.assert_allclose(mean(found, log_odds_drop, word), expected, atol=3e-3)
        np.testing.assert_allclose(mean(found, drop_leads, word), expected, atol=3e-3)
    assert len(heeding[0].replacements) == 3
    assert not {mark, *CONJUNCTIONS} & set(heeding[0].replacements)


def test_a_rule_gains_in_both_corpora_and_is_used_by_the_network_that_heeds_it():
    task = RuleTask(views=(), stories_per_seed=8, rule="any")
    heeding, beside = (seen(f"planted:network-{does}-comma", task) for does in ("heeds", "beside"))
    for found in (heeding, beside):
        gain, fired = np.sum([rule_gain(one) for one in found], axis=0)
        assert gain / fired > 0.3
        assert np.sum([rule_frequency(one) for one in found], axis=0)[0] == fired
    used = [np.sum([rule_use(one) for one in found], axis=0) for found in (heeding, beside)]
    assert used[0][0] / used[0][1] == pytest.approx(1, rel=1e-3)
    assert used[1][0] / used[1][1] == pytest.approx(0, abs=1e-3)


def test_a_conjunction_is_used_by_the_network_that_heeds_both_and_not_by_one_that_makes_half_of_the_rule_it_adds_to():
    """The second network moves by half of what the book says of the mark: that is nothing of the rule about both."""
    task = RuleTask(views=(), stories_per_seed=8, rule="any")
    heeding, beside = (seen(f"planted:network-{does}-conjunction", task) for does in ("heeds", "beside"))
    for found in (heeding, beside):
        gain, fired = np.sum([rule_gain(one) for one in found], axis=0)
        assert gain / fired > 0.1
    used = [np.sum([rule_use(one) for one in found], axis=0) for found in (heeding, beside)]
    assert used[0][0] / used[0][1] == pytest.approx(1, abs=5e-3)
    assert used[1][0] / used[1][1] == pytest.approx(0, abs=1e-3)


def test_the_arms_of_a_conjunction_have_one_part_replaced_the_other_and_both():
    book = RuleBook(("x", "y"), "", ("a", "b", "c", "d", "e", "x", "y"), {"x": 0.0, "y": 0.0})
    rule = Rule("r", "s", Both(TokenIn(("a",), 1, 1), TokenIn(("b",), 2, 4)), {"x": 1.0})
    window = np.array([[2] * 13 + [1, 3, 0]])
    replacer = RuleReplacer(book, np.array([9, 5, 9, 5, 1, 9, 5]), 2)
    first, second, both = replacer.arms(rule, window)
    assert first[:, 0, 13:].tolist() == [[1, 3, 2], [1, 3, 3]]
    assert second[:, 0, 13:].tolist() == [[3, 3, 0], [2, 3, 0]]
    assert both[:, 0, 13:].tolist() == [[3, 3, 2], [2, 3, 3]]
    assert (np.stack([first, second, both])[..., :13] == 2).all()


@given(st.integers(0, 2**32 - 1))
def test_what_either_part_does_by_itself_is_no_part_of_a_conjunction(seed):
    """Whatever a network makes of each token at each position, what is left is what it makes of both."""
    generator = np.random.default_rng(seed)
    book = RuleBook(("x", "y"), "", tuple("abcdexy"), {"x": 0.0, "y": 0.0})
    rule = Rule("r", "s", Both(TokenIn(("a",), 1, 1), TokenIn(("b", "c"), 2, 5)), {"x": 1.0})
    windows = generator.integers(0, 5, (6, 16))
    windows[:, 15], windows[:, 12] = 0, 1
    weights, both = generator.normal(size=(16, 7, 2)), generator.normal(size=2)

    def say(tokens):
        met = (tokens[:, 15] == 0) & np.isin(tokens[:, 11:15], (1, 2)).any(1)
        return weights[np.arange(16), tokens].sum(1) + met[:, None] * both

    lost = RuleReplacer(book, np.arange(7), 2).lost(rule, windows, say)
    np.testing.assert_allclose(lost, np.broadcast_to(both, lost.shape), atol=1e-9)


def test_of_no_window_in_which_a_rule_fires_all_sums_are_zero():
    none = np.zeros((0, 5))
    observation = RuleObservation(0, CONJUNCTIONS, 7, np.zeros(0, int), np.arange(5.0), none, none, none, none)
    for measure, expected in ((rule_gain, [0, 0]), (rule_use, [0, 0]), (rule_frequency, [0, 7])):
        np.testing.assert_array_equal(measure(observation), expected)


def test_of_no_window_a_network_says_nothing():
    corpus, model = planted_network("planted:network-heeds-comma", CONJUNCTIONS)
    chooser = OneLayerChooser(LinearChooser(corpus, ChoiceTask(views=("one-layer",))), model, None)
    assert chooser.said(np.zeros((0, 16), dtype=int)).shape == (0, 5)


def test_the_tokens_of_a_rule_are_those_that_meet_it():
    book = RuleBook(("x", "y"), "", ("a", "b", "c", "x", "y"), {"x": 0.0, "y": 0.0})
    windows = np.array([[3] * 12 + [0, 1, 2, 0], [4] * 12 + [1, 1, 0, 2]])
    span = TokenIn(("a", "b"), 2, 3)
    expected = [[False] * 12 + [False, True, False, False], [False] * 12 + [False, True, True, False]]
    for condition in (span, Both(span, TokenIn(("c",), 1, 1))):
        np.testing.assert_array_equal(places_met(condition.atoms[0], book, windows), expected)


def test_rules_keep_their_gain_where_they_hold():
    task = ChoiceTask(views=("prior", "rules", "refitted"), stories_per_seed=12)
    for name, low, high in (("planted:rules-elsewhere", 0.9, 1.1), ("planted:rules-elsewhere-twin", -20, -1)):
        above, below = np.sum([share_of_gain(one, "rules", "refitted") for one in seen(name, task)], axis=0)
        assert low < above / below < high


def test_a_network_is_not_asked_about_a_corpus_with_other_tokens():
    corpus, model = planted_network("planted:network-last-word", CONJUNCTIONS)
    other, _ = planted_network("planted:network-heeds-comma", CONJUNCTIONS)
    with pytest.raises(UserError, match="trained on another corpus than planted:network-heeds-comma"):
        OneLayerChooser(LinearChooser(other, ChoiceTask(views=("one-layer",))), model, None)
    assert model.tokenizer.to_str() == train_tokenizer(corpus, 1024).to_str()


def test_a_folder_that_is_not_there_is_no_model():
    with pytest.raises(UserError, match=r"one-layer:nowhere.*no such folder; give one that optim-hunter train"):
        check_name("one-layer:nowhere")


def test_a_seed_without_a_window_has_no_number():
    task = ReplacedTokenTask(views=(), stories_per_seed=1, token=" zob")
    subject = open_subject("planted:network-heeds-was", Options(), {}, None)
    subject.precheck(task, range(8))
    reasons = []
    for seed in range(8):
        try:
            subject.observe(task, seed, 0)
        except NoValue as reason:
            reasons.append(str(reason))
    assert reasons
    assert set(reasons) == {"no word of the group after ' zob' in the stories of this seed"}


def test_a_word_that_is_not_in_the_group_is_not_raised():
    network = NETWORKS["planted:network-heeds-was"]
    with pytest.raises(UserError, match="raises ' so', which is not in the group"):
        network.build(network.corpus("x", ()), (" in", " on"))


def test_shares_of_a_gain_are_sums_over_windows():
    (one, *_) = seen("planted:network-word-before", ChoiceTask(views=("prior", "one-layer"), stories_per_seed=8))
    gained = (losses(one, "prior") - losses(one, "one-layer")).sum()
    np.testing.assert_allclose(share_of_gain(one, "prior", "one-layer"), [0, gained])
    assert loss_lead(one, "one-layer", "prior") > 1
    np.testing.assert_allclose(np.exp(among(np.ones((2, 9)), np.arange(4))), 0.25)
