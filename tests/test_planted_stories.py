"""Planted corpora tell their rule and nothing else; resamples of them are counted and fitted, and kept."""

import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from optim_hunter.measures.weights import frequent_share, last_position_lead
from optim_hunter.models.registry import ENTRIES
from optim_hunter.observe.last_tokens import LastTokenCounter
from optim_hunter.observe.store import Store
from optim_hunter.observe.stories import StoriesObserver
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus
from optim_hunter.tasks.stories import (
    CONJUNCTIONS,
    LastTokenTask,
    StoriesTask,
    draw_windows,
    story_counts,
    token_texts,
)

AT_THE_END = [name for name, plant in PLANTED.items() if not plant.shuffled and not plant.words_after]
COMMON = 0.05


@cache
def counter(name):
    return LastTokenCounter(planted_corpus(name), LastTokenTask())


@cache
def observer(name):
    return StoriesObserver(planted_corpus(name), StoriesTask())


@cache
def text(name):
    return "\n".join(planted_corpus(name).stories)


def test_every_planted_corpus_is_in_the_registry():
    assert {name for name, entry in ENTRIES.items() if entry.planted and entry.kind == "linear"} >= PLANTED.keys()


@pytest.mark.parametrize("name", PLANTED)
def test_a_mark_is_a_token_of_its_own(name):
    texts = token_texts(draw_windows(planted_corpus(name), LastTokenTask()).tokenizer)
    assert {mark.text for mark in PLANTED[name].marks if mark.text and mark.text in text(name)} <= set(texts)


@pytest.mark.parametrize("name", PLANTED)
def test_shares_of_marks_sum_to_1(name):
    assert sum(mark.share for mark in PLANTED[name].marks) == pytest.approx(1)


@pytest.mark.parametrize("name", AT_THE_END)
def test_a_common_mark_is_followed_by_its_word_as_often_as_planted(name):
    seen = counter(name).observe(None)
    for mark in PLANTED[name].marks:
        if mark.text and mark.share > COMMON:
            counts = seen.counts[seen.tokens.index(mark.text)]
            error = np.sqrt(mark.probability * (1 - mark.probability) / counts.sum())
            followed = counts[CONJUNCTIONS.index(mark.word)] / counts.sum()
            assert followed == pytest.approx(mark.probability, abs=4 * error)
            assert counts.sum() / seen.counts.sum() == pytest.approx(mark.share, abs=0.04)


def test_the_twin_of_was_differs_in_the_conjunctions_alone():
    plant, twin = text("planted:was-raises-so"), text("planted:was-raises-so-twin")
    assert plant != twin
    assert re.sub("|".join(CONJUNCTIONS), " …", plant) == re.sub("|".join(CONJUNCTIONS), " …", twin)


def test_the_twin_of_the_last_position_has_its_commas_a_word_earlier():
    plant, twin = text("planted:last-position"), text("planted:last-position-twin")
    assert plant.replace(",", "") == twin.replace(",", "")
    assert plant.count(",") == twin.count(",") > 1000


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_where_the_mark_stands_is_where_the_weights_are(seed):
    assert last_position_lead(observer("planted:last-position").observe(seed)) > 0.3
    assert last_position_lead(observer("planted:last-position-twin").observe(seed)) < -0.3


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_large_weights_are_of_rare_marks_where_rare_marks_decide(seed):
    assert frequent_share(observer("planted:frequent-marks").observe(seed)) > 0.9
    assert frequent_share(observer("planted:frequent-marks-twin").observe(seed)) < 0.5


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_frequencies_and_counts_are_those_of_the_stories_that_were_drawn(seed):
    name = "planted:last-position"
    windows = draw_windows(planted_corpus(name), StoriesTask())
    times = story_counts(200, seed) if seed is not None else np.ones(200, int)
    drawn = [(tokens, label) for tokens, label, story in zip(windows.tokens, windows.labels, windows.story, strict=True)
             for _ in range(times[story])]  # fmt: skip
    pairs = Counter((int(tokens[-1]), int(label)) for tokens, label in drawn)
    counts = counter(name).observe(seed).counts
    assert {place: counts[place] for place in zip(*np.nonzero(counts), strict=True)} == pairs
    frequency = observer(name).observe(seed).frequency
    for position, token in ((0, drawn[0][0][0]), (15, drawn[0][0][15])):
        held = np.mean([tokens[position] == token for tokens, _ in drawn])
        assert frequency[position, token] == pytest.approx(held)
    np.testing.assert_allclose(frequency.sum(1), 1)


def test_counts_agree_with_the_frequencies_of_the_fit():
    counts, fit = counter("planted:salient-corpus").observe(3), observer("planted:salient-corpus").observe(3)
    assert counts.tokens == fit.tokens
    np.testing.assert_allclose(counts.counts.sum(1) / counts.counts.sum(), fit.frequency[-1])


def test_what_was_counted_and_fitted_is_kept(tmp_path):
    corpus = planted_corpus("planted:salient-corpus")
    for kind, task in ((StoriesObserver, StoriesTask()), (LastTokenCounter, LastTokenTask())):
        made, taken = kind(corpus, task, Store(tmp_path)), kind(corpus, task, Store(tmp_path))
        one, other = made.observe(3), taken.observe(3)
        np.testing.assert_equal(vars(one), vars(other))
        assert made.provenance() == taken.provenance()
        assert taken.fits == 0 < taken.taken
        assert made.taken == 0


def test_counting_fits_nothing():
    assert counter("planted:salient-corpus").fits == 0
    assert set(counter("planted:salient-corpus").provenance()["windows"]) == set(CONJUNCTIONS)
