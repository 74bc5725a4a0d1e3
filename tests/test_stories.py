"""Tokenizer, windows, the planted corpora, and what the linear model shows of them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optim_hunter.claim import InvalidInstrument, NoValue, UserError
from optim_hunter.measures.weights import centred_weight, centred_weights, weight_lead
from optim_hunter.models import linear_solver
from optim_hunter.models.linear_problem import Problem
from optim_hunter.models.linear_solver import Solution
from optim_hunter.observe.stories import StoriesObservation, StoriesObserver
from optim_hunter.tasks.corpus import SEPARATOR, corpus_of
from optim_hunter.tasks.planted_stories import planted_corpus
from optim_hunter.tasks.stories import (
    CONJUNCTIONS,
    StoriesTask,
    draw_windows,
    find_windows,
    story_counts,
    token_texts,
    tokenizer_sha256,
    train_tokenizer,
    word_tokens,
)

PLANT, TWIN = "planted:comma-raises-but", "planted:comma-raises-but-twin"


@cache
def planted_tokenizer():
    return train_tokenizer(planted_corpus(PLANT), 1024)


@cache
def observer(name):
    return StoriesObserver(planted_corpus(name), StoriesTask())


def test_training_twice_gives_one_tokenizer():
    again = train_tokenizer(planted_corpus(PLANT), 1024)
    assert tokenizer_sha256(again) == tokenizer_sha256(planted_tokenizer())
    assert again.get_vocab_size() <= 1024


def test_every_text_survives_the_tokenizer():
    text = "Zoë said “naïve” – 日本 🙂 and\tthen\n\nTom ran."
    assert planted_tokenizer().decode(planted_tokenizer().encode(text).ids) == text


def test_token_texts_read_as_text_where_they_are_whole_characters():
    texts = token_texts(planted_tokenizer())
    assert {",", " but", " Lily"} <= set(texts)
    assert len(texts) == planted_tokenizer().get_vocab_size()


WORDS = (
    "Tom",
    "saw",
    "the",
    "ball",
    "android",
    "fort",
    "so-called",
    "orä",
    "sofa.",
    "butter",
    "but",
    "and",
    "or",
    "so2",
)
story_texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join)
PUNCTUATION = st.sampled_from(["", ",", ".", "!", "…", "é", "日", "1", "-"])


@settings(deadline=None, max_examples=60)
@given(st.lists(story_texts, min_size=1, max_size=4), PUNCTUATION, st.integers(1, 16))
def test_windows_end_just_before_whole_words_of_their_own_story(stories, mark, context):
    tokenizer = planted_tokenizer()
    stories = [story + mark for story in stories]
    windows = find_windows(tokenizer, stories, CONJUNCTIONS, context)
    expected = []
    for number, story in enumerate(stories):
        encoding = tokenizer.encode(story)
        for place, (first, last) in enumerate(encoding.offsets):
            word = story[first:last]
            if place >= context and word in CONJUNCTIONS and not story[last : last + 1].isalnum():
                before = encoding.ids[place - context : place]
                expected.append((before, CONJUNCTIONS.index(word), number))
    found = zip(windows.tokens.tolist(), windows.labels.tolist(), windows.story.tolist(), strict=True)
    assert list(found) == [tuple(row) for row in expected]


def test_a_story_gives_nothing_to_the_next():
    alone = find_windows(planted_tokenizer(), ["Tom saw the red ball"] * 9 + [" and Tom"], CONJUNCTIONS, 4)
    assert alone.tokens.shape == (0, 4)


@pytest.mark.parametrize(
    ("group", "cause"),
    [
        ((" and",), "a choice needs two words or more"),
        ((" and", " but", " and"), "' and' is in it twice"),
        ((" and", "but"), "'but' is no word with one space before it"),
        ((" and", " however"), "' however' is no single token of this corpus's tokenizer"),
    ],
)
def test_a_group_that_cannot_be_asked_for_says_why(group, cause):
    with pytest.raises(UserError, match=cause):
        word_tokens(planted_tokenizer(), group)


def test_a_vocabulary_smaller_than_the_bytes_says_so():
    with pytest.raises(UserError, match="a vocabulary of 256 tokens: the 256 bytes alone take that"):
        train_tokenizer(planted_corpus(PLANT), 256)


def test_too_few_windows_are_counted_by_word():
    text = " and".join([" Tom saw the ball"] * 200) + " but Tom for Tom so Tom or Tom" * 3
    with pytest.raises(UserError, match=r"corpus mine: too few windows before a word, 100 of each .*' but' 3"):
        draw_windows(corpus_of("mine", text, ""), StoriesTask())


def test_a_corpus_without_the_words_says_which_is_missing():
    with pytest.raises(UserError, match="' and' is no single token"):
        draw_windows(corpus_of("mine", "Tom saw the ball. " * 50, ""), StoriesTask())


def test_the_twin_has_the_same_words_and_as_many_commas():
    plant, twin = planted_corpus(PLANT), planted_corpus(TWIN)
    assert [story.replace(",", "") for story in plant.stories] == [story.replace(",", "") for story in twin.stories]
    assert sum(story.count(",") for story in plant.stories) == sum(story.count(",") for story in twin.stories)
    assert plant.sha256 != twin.sha256


def test_an_unknown_planted_corpus_lists_the_known():
    with pytest.raises(UserError, match="choose one of planted:comma-raises-but, planted:comma-raises-but-twin"):
        planted_corpus("planted:other")


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 3])
def test_a_planted_comma_raises_but_and_leads(seed):
    assert min(both(observer(PLANT).observe(seed), ",", " but").values()) > 1


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 3])
def test_in_the_twin_the_comma_tells_nothing(seed):
    assert max(both(observer(TWIN).observe(seed), ",", " but").values()) < 0.35


def test_a_seed_resamples_stories_and_repeats():
    counts = story_counts(200, 7)
    assert counts.sum() == 200
    assert (counts == story_counts(200, 7)).all()
    assert (counts != story_counts(200, 8)).any()
    first, second = observer(PLANT).observe(5), observer(PLANT).observe(5)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.seed == 5
    assert first.gap <= 1e-3


def test_resamples_spread_as_their_optima_do():
    stories = planted_corpus("planted:was-raises-so").stories
    corpus, task = corpus_of("mine", SEPARATOR.join(stories), ""), StoriesTask()
    observed, windows = StoriesObserver(corpus, task), draw_windows(corpus, task)
    loose, tight = [], []
    for seed in range(5):
        seen = observed.observe(seed)
        weight = story_counts(len(corpus.stories), seed)[windows.story].astype(float)
        classes, vocabulary = len(task.group), len(seen.tokens)
        problem = Problem.of(windows.tokens, windows.labels, weight, classes, vocabulary, task.l1)
        best = linear_solver.minimise(problem, 1e-8, 2000).weights.reshape(seen.weights.shape)
        loose.append(centred_weight(seen, " was", " so"))
        tight.append(centred_weight(replace(seen, weights=best), " was", " so"))
    np.testing.assert_allclose(loose, tight, atol=0.1 * np.std(tight, ddof=1))


def test_a_resample_without_a_class_has_no_value():
    lone = "Tom saw the ball. " * 5 + "Tom saw the ball or" * 20
    common = ["Tom saw the ball and Tom saw the ball but Tom saw the ball. " * 4] * 40
    texts = "<|endoftext|>".join([lone, *common])
    rare = StoriesObserver(
        corpus_of("mine", texts, ""), StoriesTask((" and", " but", " or"), 300, 4, minimum_windows=1)
    )
    without = next(seed for seed in range(50) if story_counts(41, seed)[0] == 0)
    with pytest.raises(NoValue, match="no story of this resample has a window before ' or'"):
        rare.observe(without)


def test_a_fit_whose_gap_is_not_a_number_is_refused(monkeypatch):
    def unfinished(problem, *_):
        return Solution(np.zeros((problem.all_features, problem.classes)), np.log(problem.prior), np.nan, np.nan, 1)

    monkeypatch.setattr(linear_solver, "minimise", unfinished)
    with pytest.raises(InvalidInstrument, match="duality gap nan above"):
        StoriesObserver(planted_corpus(PLANT), StoriesTask()).observe(None)


def test_provenance_names_tokenizer_and_windows():
    record = observer(PLANT).provenance()
    assert record["tokenizer_sha256"] == tokenizer_sha256(planted_tokenizer())
    assert set(record["windows"]) == set(CONJUNCTIONS)
    assert observer(PLANT).observe(None).checks["duality gap"] <= 1e-4


def small_observation():
    weights = np.zeros((2, 3, 3))
    weights[1, 1] = [1.0, 4.0, 1.0]
    frequency = np.tile([0.5, 0.3, 0.2], (2, 1))
    return StoriesObservation(weights, np.zeros(3), ("a", ",", " b"), (" and", " but", " or"), None, 0.0, frequency)


def both(observation, token, word, position=-1):
    return {
        "weight": centred_weight(observation, token, word, position),
        "lead": weight_lead(observation, token, word, position),
    }


def test_weights_are_centred_and_led_by_hand():
    np.testing.assert_allclose(centred_weights(small_observation(), ","), [-1, 2, -1])
    assert both(small_observation(), ",", " but") == {"weight": 2.0, "lead": 3.0}
    assert both(small_observation(), ",", " and") == {"weight": -1.0, "lead": -3.0}
    assert both(small_observation(), ",", " but", position=0) == {"weight": 0.0, "lead": 0.0}


def test_a_shift_common_to_all_words_means_nothing():
    one, other = small_observation(), small_observation()
    other.weights[1, 1] += 5
    assert both(one, ",", " but") == both(other, ",", " but")


def test_an_unknown_token_or_word_is_named():
    with pytest.raises(UserError, match="token ';' is not in the vocabulary of 3 tokens"):
        both(small_observation(), ";", " but")
    with pytest.raises(UserError, match="word ' nor' is not in the group"):
        both(small_observation(), ",", " nor")
