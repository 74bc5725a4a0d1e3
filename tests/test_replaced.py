"""The last token of a window replaced: what is shown, what a language model says of it, and what is made of that."""

import re
from functools import partial

import numpy as np
import pytest
from small_tokenizers import MODELS

from optim_hunter.claim import NoValue, UserError
from optim_hunter.measures.replaced import drop_by_replacement, drop_leads, log_odds_drop
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept_words import KeptWords
from optim_hunter.observe.next_words import NextWords, next_words
from optim_hunter.observe.replaced import ReplacedTokenObservation, TokenReplacer
from optim_hunter.observe.store import Store
from optim_hunter.tasks.held_out import ReplacedTokenTask
from optim_hunter.tasks.planted_commas import COMMAS, CUES
from optim_hunter.tasks.planted_stories import planted_corpus

GROUP = (" and", " but", " so")
CORPUS = planted_corpus("planted:comma-raises-but")
TASK = ReplacedTokenTask(GROUP, views=("window",), stories_per_seed=4, replacements=2)
LINEAR = LinearChooser(CORPUS, TASK)


def shown_texts(seed):
    """What a chooser is asked about, as text from the window's first character on."""
    asked = []

    def say(texts, group):
        asked.extend(text[start:] for text, start in texts)
        return NextWords(np.log(np.full((len(texts), len(group)), 1 / len(group))), {"a check": 0.5})

    return TokenReplacer(LINEAR, TASK, say).observe(seed), asked


def test_windows_that_end_in_the_token_are_shown_with_it_and_with_each_replacement():
    seen, asked = shown_texts(0)
    assert seen.kept.shape == seen.replaced.shape[1:]
    kept, *replaced = np.split(np.array(asked), 1 + TASK.replacements)
    stories = [CORPUS.stories[place] for place in LINEAR.split.part(TASK, 0)]
    expected = sum(len(re.findall(r",(?= and | but | so )", story[60:])) for story in stories)
    assert 0 < len(kept) <= expected + 4 * len(stories)
    for other, texts in zip(seen.replacements, replaced, strict=True):
        assert texts.tolist() == [text.removesuffix(",") + other for text in kept]
    assert all(any(text + word in story for story in stories for word in GROUP) for text in kept)
    assert seen.checks == {"a check": 0.5}


def test_replacements_are_the_nearest_in_frequency_and_no_word_of_the_group():
    replacer = TokenReplacer(LINEAR, TASK, None)
    fitting = LINEAR.windows.of_stories(LINEAR.split.fitting).tokens
    counts = {LINEAR.tokenizer.decode([token]): int((fitting == token).sum()) for token in np.unique(fitting)}
    others = set(counts) - {",", *GROUP}
    distance = {text: abs(np.log(counts[text] / counts[","])) for text in others}
    assert list(replacer.replacements) == sorted(others, key=distance.get)[:2]


def test_a_token_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="its tokenizer has no token ' zebra'"):
        TokenReplacer(LINEAR, ReplacedTokenTask(GROUP, ("window",), token=" zebra"), None).prepare([0])
    with pytest.raises(UserError, match="no window has the token '~'"):
        TokenReplacer(LINEAR, ReplacedTokenTask(GROUP, ("window",), token="~"), None).prepare([0])


def test_a_seed_without_such_a_window_has_no_number():
    task = ReplacedTokenTask(GROUP, ("window",), token=" home", stories_per_seed=4)
    with pytest.raises(NoValue, match="no word of the group after ' home'"):
        TokenReplacer(LINEAR, task, None).observe(0)


@pytest.mark.parametrize("name", MODELS)
def test_a_language_model_says_of_each_text_what_it_says_alone(name, tmp_path):
    model, store = MODELS[name], Store(tmp_path)
    engine = Engine(model)
    seen = TokenReplacer(LINEAR, TASK, partial(KeptWords(store, model).say, engine)).observe(1)
    _, asked = shown_texts(1)
    first = len(asked) // (1 + TASK.replacements)
    encoded = [model.encode(text).ids for text in (asked[0], asked[first])]
    bos = model.tokenizer.bos_token_id
    alone = [tuple(token for token in ids if token != bos) for ids in encoded]
    if name != "sentencepiece":  # which begins a text otherwise than it goes on
        said = next_words(Engine(model), alone, GROUP).log_probabilities
        np.testing.assert_allclose([seen.kept[0], seen.replaced[0, 0]], said, atol=1e-4)
    again = Engine(model)
    kept = TokenReplacer(LINEAR, TASK, partial(KeptWords(Store(tmp_path), model).say, again)).observe(1)
    np.testing.assert_array_equal(kept.replaced, seen.replaced)
    assert again.tokens_run == 0


def test_drops_are_differences_of_log_odds():
    kept, without = np.array([0.7, 0.2, 0.1]), np.array([0.5, 0.3, 0.2])
    seen = ReplacedTokenObservation(0, GROUP, np.log(kept)[None], np.log(without)[None, None], (" x",), {})
    assert log_odds_drop(seen, " and") == pytest.approx(np.log(0.7 / 0.3))
    lost = np.log(kept / without)
    np.testing.assert_allclose(drop_leads(seen, " and"), lost[0] - lost[1:])
    assert (drop_leads(seen, " so") < 0).all()


def test_the_drop_of_each_replacement_has_their_mean():
    logits = np.random.default_rng(7).normal(size=(3, 4, 3))
    kept, *without = (one - np.logaddexp.reduce(one, axis=1, keepdims=True) for one in logits)
    seen = ReplacedTokenObservation(0, GROUP, kept, np.array(without), (" the", "."), {})
    drops = drop_by_replacement(seen, " so")
    first = ReplacedTokenObservation(0, GROUP, kept, np.array(without[:1]), (" the",), {})
    assert drops['" the"'] == pytest.approx(log_odds_drop(first, " so"))
    assert list(drops) == ['" the"', '"."']
    assert np.mean([*drops.values()]) == pytest.approx(log_odds_drop(seen, " so"))


# planted choosers


@pytest.mark.parametrize("name", COMMAS)
def test_a_comma_goes_with_but_whether_it_is_heeded_or_not(name):
    text = " ".join(COMMAS[name].corpus(name).stories)
    after = re.findall(r"(,?) (and|but|for|so|or)\b", text)
    shares = [np.mean([word == "but" for comma, word in after if comma == mark]) for mark in (",", "")]
    assert shares == pytest.approx([0.8, 0.2] if name == "planted:comma-heeded" else [0.74, 0.26], abs=0.02)


@pytest.mark.parametrize("name", COMMAS)
def test_choosers_heed_what_they_should(name):
    texts = [f"gib {word} gob{end}" for word in ("vud", CUES[1]) for end in (",", " kud")]
    said = np.exp(COMMAS[name].log_probabilities([(text, 0) for text in texts], GROUP))
    np.testing.assert_allclose(said.sum(1), 1)
    heeded = {"planted:comma-heeded": [0, 2], "planted:comma-beside": [2, 3]}[name]
    assert np.flatnonzero(said[:, 1] > 0.5).tolist() == heeded
