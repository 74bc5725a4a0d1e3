"""A corpus that was drawn from a known rule book gives that book back."""

from dataclasses import replace

import numpy as np
import pytest

from optim_hunter.claim import Verdict
from optim_hunter.stories.rule_gains import ALPHA, judge_gains
from optim_hunter.stories.rule_growth import accept, fit, grow, refuse, suggest
from optim_hunter.stories.rule_material import GroupTask, Material, new_rule_book
from optim_hunter.stories.rule_score import beside, score, score_page, score_text
from optim_hunter.stories.rule_use import RuleUse
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.rules import Rule, RuleBook, TokenIn, rule_book_log_probabilities
from optim_hunter.tasks.stories import CONJUNCTIONS, draw_windows, token_texts
from optim_hunter.tasks.word_groups import word_group
from tests.planted_rules import PLANTED_RULES, planted_corpus

STORIES = 1500
NATS = 0.35
"""Within this a fitted shift comes to the planted one, both about their mean: two standard errors where few windows
tell of it, and what the penalty takes."""


MOST_RULES, STEP = 40, 6
"""Ten times as many rules as were planted, and how many are suggested at once."""


def as_sets(condition):
    return frozenset((frozenset(atom.tokens), atom.near, atom.far) for atom in condition.atoms)


PLANTED_CONDITIONS = {as_sets(rule.condition) for rule in PLANTED_RULES}


@pytest.fixture(scope="module")
def material():
    corpus = planted_corpus(STORIES)
    windows, split = draw_windows(corpus, GroupTask(CONJUNCTIONS)), split_stories(corpus.stories)
    return Material(*(windows.of_stories(part) for part in (split.fitting, split.choosing, split.held_out)))


@pytest.fixture(scope="module")
def truth(material):
    """The planted book for the tokens of the corpus's own tokenizer."""
    texts = token_texts(material.tokenizer)
    return RuleBook(CONJUNCTIONS, "planted", texts, dict.fromkeys(CONJUNCTIONS, 0.0), PLANTED_RULES)


@pytest.fixture(scope="module")
def network(material, truth):
    """What the planted book says of the stories for fitting."""
    return rule_book_log_probabilities(truth, material.fitting.tokens)


@pytest.fixture(scope="module")
def grown(material, network):
    """What comes back where a suggestion is accepted if its p is below `ALPHA`, until a round brings none."""
    book = new_rule_book(material, word_group("conjunctions"))
    for _ in range(MOST_RULES):
        found = suggest(book, material, network, STEP)
        if not (sure := [one.rule.name for one in found if one.p < ALPHA]):
            return fit(book, material)[0]
        others = [one.rule.name for one in found if one.rule.name not in sure]
        book = fit(accept(refuse(replace(book, suggested=tuple(found)), others), sure), material)[0]
    raise AssertionError(f"every round brings more: {[rule.name for rule in book.rules]}")


def test_the_book_comes_back_and_nothing_else(grown):
    assert len(grown.rules) == len(PLANTED_RULES)
    assert {as_sets(rule.condition) for rule in grown.rules} == PLANTED_CONDITIONS


@pytest.mark.slow  # a round for each of forty rules
def test_growth_by_any_gain_finds_the_book_first_and_then_rules_that_no_held_out_story_supports(material, network):
    """As the packaged books were grown: the stories for choosing let chance in, the held-out ones do not."""
    *_, book = grow(new_rule_book(material, word_group("conjunctions")), material, network, MOST_RULES, STEP)
    book = fit(book, material)[0]
    planted, extra = book.rules[: len(PLANTED_RULES)], book.rules[len(PLANTED_RULES) :]
    assert {as_sets(rule.condition) for rule in planted} == PLANTED_CONDITIONS
    assert extra, "where growth ends by itself, docs/rule-book.md should say so"
    verdicts = [judged.verdict for judged in judge_gains(book, material.held_out)]
    assert verdicts[: len(planted)] == [Verdict.SUPPORTED] * len(planted)
    assert Verdict.SUPPORTED not in verdicts[len(planted) :]


def test_the_shifts_come_back(grown):
    for rule in grown.rules:
        planted = next(one for one in PLANTED_RULES if as_sets(one.condition) == as_sets(rule.condition))
        assert np.abs(about_mean(rule) - about_mean(planted)).max() < NATS, rule.name


def test_each_planted_rule_is_supported_and_one_that_says_nothing_is_not(grown, material):
    idle = Rule("idle", "s", TokenIn((" sun",), 3, 3), {" but": 0.3})
    *planted, last = judge_gains(replace(grown, rules=(*grown.rules, idle)), material.held_out)
    assert [judged.verdict for judged in planted] == [Verdict.SUPPORTED] * len(PLANTED_RULES)
    assert last.verdict is not Verdict.SUPPORTED


def test_the_network_uses_what_it_was_made_of_and_nothing_else(grown, material, truth):
    """The rule about " sun" is in the book, but the network was made without it."""
    foreign = Rule("foreign", "s", TokenIn((" sun",), 1, 4), {" but": 1.0})
    book = replace(grown, rules=(*grown.rules, foreign))
    use = RuleUse(book, material, lambda windows: rule_book_log_probabilities(truth, windows))
    *planted, last = use.judge(book.rules)
    assert [judged.verdict for judged in planted] == [Verdict.SUPPORTED] * len(PLANTED_RULES)
    assert last.verdict is Verdict.REFUTED


def test_what_was_refused_is_not_suggested_again(grown, material, network):
    """Without it, the first rule would be the first to be suggested, as it was for the empty book."""
    refused = replace(grown, rules=grown.rules[1:], refused=(grown.rules[0].condition,))
    found = {one.rule.condition for one in suggest(refused, material, network, 3)}
    assert found
    assert grown.rules[0].condition not in found


def about_mean(rule):
    shifts = np.array([rule.shifts.get(word, 0.0) for word in CONJUNCTIONS])
    return shifts - shifts.mean()


def test_the_planted_book_closes_the_gap_to_the_network_that_it_was_made_of(grown, material, truth):
    scored = score("planted", grown, material, lambda windows: rule_book_log_probabilities(truth, windows), (1, 2, 9))
    assert [book.rules for book in scored.books] == [1, 2, len(PLANTED_RULES)]
    assert 0 < scored.books[0].share < scored.books[-1].share
    assert scored.books[-1].low < scored.books[-1].share < scored.books[-1].high
    assert scored.books[-1].share == pytest.approx(1, abs=0.02)
    assert 0.5 < scored.linear.share < scored.books[-1].share, "a linear model knows nothing of conjunctions"
    assert beside(scored.path, 1).weights >= 1
    assert beside(scored.path, 10**9) is None
    assert [point.weights for point in scored.refitted] == [point.weights for point in scored.path if point.weights][
        : len(scored.refitted)
    ]
    assert scored.refitted[0].share > scored.path[0].share, "the price that leaves so few weights shrinks them"
    assert "closes" in score_page([scored])
    assert "planted: prior" in score_text([scored])
