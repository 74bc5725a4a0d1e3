"""What a language model says of held-out windows: as its own code says it, one text at a time."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import CORPUS, GROUP, MODELS, TASK, TOKENIZERS, TRAINED_ON, model_of

import fixtures.imported  # noqa: F401
from fixtures.architectures import VOUCHED
from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models import planted_parts
from optim_hunter.observe import checks
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.choices_language import LanguageChooser, language_choices, prompts_before, texts_before
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept_words import KeptWords
from optim_hunter.observe.next_words import next_words, share_rows
from optim_hunter.observe.store import Store
from optim_hunter.tasks import corpus as corpora
from optim_hunter.tasks.corpus import SEPARATOR, corpus_of
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.stories import find_windows, token_names, train_tokenizer

WINDOW_TOKENIZER = train_tokenizer(corpus_of("small", SEPARATOR.join(TRAINED_ON), ""), 400)


def windows_of(stories, context=8):
    corpus = corpora.Corpus("drawn", tuple(stories), "0" * 64, "")
    return corpus, find_windows(WINDOW_TOKENIZER, stories, GROUP, context)


def shown(model, corpus, windows, view):
    """What a model is to read, counted in bytes: its own tokens that lie in the window whole, BOS before a story."""
    tokenizer, ours = model.tokenizer, [len(name) for name in token_names(WINDOW_TOKENIZER)]
    bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    prompts = []
    for story, place in zip(windows.story, windows.place, strict=True):
        ids = WINDOW_TOKENIZER.encode(corpus.stories[story]).ids
        first = 0 if view == "story" else place - windows.tokens.shape[1]
        start, stop = (sum(ours[token] for token in ids[:end]) for end in (first, place))
        before = corpus.stories[story].encode()[:stop]
        read = tokenizer(before.decode(), add_special_tokens=False).input_ids
        lengths = token_bytes(tokenizer, read)
        assert sum(lengths) - stop in (0, 1)  # 1 where the tokenizer has put a space before the text
        while first and stop - sum(lengths) < start:
            lengths.pop(0), read.pop(0)
        while first and before[stop - sum(lengths) :][:1] in CONTINUATION:
            lengths.pop(0), read.pop(0)
        prompts.append([*([] if first else bos), *read])
    return prompts


CONTINUATION = [bytes([byte]) for byte in range(0x80, 0xC0)]


def token_bytes(tokenizer, ids):
    """Of a name in the byte alphabet one a letter; of a piece with ▁ for a space those of its UTF-8."""
    names = tokenizer.convert_ids_to_tokens(ids)
    if "▁and" in tokenizer.get_vocab():
        return [len(name.replace("▁", " ").encode()) for name in names]
    return [len(name) for name in names]


def by_its_own_code(model, prompts):
    """transformers' eager attention, one prompt after the other, without padding."""
    tokenizer, module = model.tokenizer, model.module
    spelled = {"▁" + word[1:] if "▁and" in tokenizer.get_vocab() else "Ġ" + word[1:]: word for word in GROUP}
    words = tokenizer.convert_tokens_to_ids(list(spelled))
    usual = module.config._attn_implementation
    module.set_attn_implementation("eager")
    try:
        said = [module(torch.tensor([ids])).logits[0, -1, words].log_softmax(0).numpy() for ids in prompts]
    finally:
        module.set_attn_implementation(usual)
    return np.array(said)


WORDS = ["Tom", " ran", " and", " but", " so", " “", "”", "é", " 🙂", "  ", "\n\n", ".", ",", " and", "Sue", " was sad"]


STORIES = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=14, max_size=40).map(lambda words: "".join(words).strip()),
    min_size=1, max_size=4,
)  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("view", ["window", "story"])
@settings(max_examples=12, deadline=None)
@given(stories=STORIES)
def test_both_views_say_what_the_model_says_of_each_window_alone(name, view, stories):
    corpus, windows = windows_of(stories)
    prompts = shown(MODELS[name], corpus, windows, view)
    said = language_choices(Engine(MODELS[name]), windows, corpus, GROUP, view)
    assert said.shape == (len(windows.labels), len(GROUP))
    if prompts:
        np.testing.assert_allclose(said, by_its_own_code(MODELS[name], prompts), atol=1e-4)
    np.testing.assert_allclose(np.exp(said).sum(1), 1)


@pytest.mark.parametrize("architecture", VOUCHED)
def test_every_architecture_is_read_where_its_own_code_reads_it(architecture):
    model = model_of(TOKENIZERS["bytes, BOS"], VOUCHED[architecture])
    corpus, windows = windows_of(TRAINED_ON[:4])
    for view in ("window", "story"):
        said = language_choices(Engine(model), windows, corpus, GROUP, view)
        np.testing.assert_allclose(said, by_its_own_code(model, shown(model, corpus, windows, view)), atol=1e-4)


def test_a_window_alone_is_said_the_same_of_as_in_a_batch():
    corpus, windows = windows_of(TRAINED_ON[:6])
    engine = Engine(MODELS["bytes, BOS"])
    for view in ("window", "story"):
        together = language_choices(engine, windows, corpus, GROUP, view)
        for story in range(6):
            alone = language_choices(engine, windows.of_stories(np.array([story])), corpus, GROUP, view)
            np.testing.assert_allclose(alone, together[windows.story == story], atol=1e-5)


def test_one_pass_over_each_story_gives_all_its_windows():
    corpus, windows = windows_of(TRAINED_ON[:6])
    engine = Engine(MODELS["bytes, BOS"])
    engine.open()
    before = engine.tokens_run, engine.forward_passes
    language_choices(engine, windows, corpus, GROUP, "story")
    last = [np.flatnonzero(windows.story == story)[-1] for story in np.unique(windows.story)]
    prompts = shown(engine.model, corpus, windows, "story")
    assert engine.tokens_run - before[0] == sum(len(prompts[place]) for place in last)
    assert engine.forward_passes - before[1] == 1


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple), max_size=12))
def test_rows_hold_every_text_and_none_begins_another(prompts):
    rows = share_rows(prompts)
    held = {text: row.tokens[: place + 1] for row in rows for text, place in row.ends.items()}
    assert held == dict(enumerate(prompts))
    for one in rows:
        assert not any(other is not one and other.tokens[: len(one.tokens)] == one.tokens for other in rows)
        assert next(iter(one.ends.values())) == len(one.tokens) - 1


def test_bos_stands_before_the_beginning_of_a_story_alone():
    model = MODELS["bytes, BOS"]
    corpus, windows = windows_of(["Tom saw Sue, Tom saw Sue, Tom saw Sue and ran, but fell. "])
    assert windows.place[0] > windows.tokens.shape[1]
    opening = find_windows(WINDOW_TOKENIZER, corpus.stories, GROUP, int(windows.place[0]))
    begins = {
        (view, which): prompts_before(model, some, corpus, view)[0][0] == model.tokenizer.bos_token_id
        for view in ("window", "story")
        for which, some in (("opening", opening), ("later", windows))
    }
    assert begins == {
        ("window", "opening"): True,
        ("window", "later"): False,
        ("story", "opening"): True,
        ("story", "later"): True,
    }


def test_of_a_story_beyond_the_context_the_end_is_read_without_bos():
    corpus, windows = windows_of(["Tom and Sue ran but fell. " * 20])
    for name in ("bytes, BOS", "bytes"):
        model = replace(MODELS[name], read_context=lambda: 24)
        read = prompts_before(model, windows, corpus, "story")
        for prompt, whole in zip(read, shown(model, corpus, windows, "story"), strict=True):
            assert list(prompt) == whole[-24:]


def test_a_window_in_which_no_token_of_the_model_begins_is_refused():
    corpus, windows = windows_of(["Tom saw Sue, Tom saw Sue, Tom saw Sue and ran. "])

    class Whole:
        """A tokenizer of whole texts."""

        bos_token_id = None

        def __call__(self, text, **_):
            return {"input_ids": [0], "offset_mapping": [(0, len(text))]}

    with pytest.raises(UserError, match="no token to read before a word"):
        prompts_before(replace(MODELS["bytes"], open_tokenizer=Whole), windows, corpus, "window")


def test_memory_that_does_not_suffice_halves_the_rows_and_changes_nothing():
    corpus, windows = windows_of(TRAINED_ON[:8])
    usual = language_choices(Engine(MODELS["bytes, BOS"]), windows, corpus, GROUP, "story")

    def fail_above_three(_module, args, _):
        if len(args[0]) > 3:
            raise torch.OutOfMemoryError("out of memory")

    model = model_of(TOKENIZERS["bytes, BOS"])
    engine = Engine(model)
    hook = model.module.register_forward_pre_hook(fail_above_three, with_kwargs=True)
    np.testing.assert_allclose(language_choices(engine, windows, corpus, GROUP, "story"), usual, atol=1e-5)
    assert engine.halvings > 0
    hook.remove()
    model.module.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(UserError, match="memory of cpu does not suffice for a text of"):
        language_choices(engine, windows, corpus, GROUP, "story")


@pytest.mark.parametrize("name", MODELS)
def test_a_word_that_is_no_single_token_is_refused_before_any_pass(name):
    engine = Engine(MODELS[name])
    with pytest.raises(UserError, match="tiny: its tokenizer has no single token for ' hippopotamus'") as caught:
        next_words(engine, [(0,)], (" and", " hippopotamus"))
    assert "\n" not in str(caught.value)
    assert engine.forward_passes == 0


def test_a_failed_check_is_named(monkeypatch):
    monkeypatch.setitem(checks.TOLERANCES["float32"], "words' logits", -1.0)
    with pytest.raises(InvalidInstrument, match="words' logits"):
        next_words(Engine(MODELS["bytes"]), [(0,)], GROUP)


# a model whose answer was built in

FLAG, SEEN, RAISED, BASE = 16, 17, 3.0, (1.0, 0.5, -0.5)


def planted_model(cue):
    """One head brings from the token before the last whether it is the cue, which raises " but" by 3 nats."""
    tokenizer = TOKENIZERS["bytes, BOS"]
    module = planted_parts.blank_model(tokenizer, 50, layers=1, heads=4)
    module.model.embed_tokens.weight[cue, FLAG] = 1.0
    planted_parts.gather(planted_parts.head_of(module, 0, 0), 1, FLAG, SEEN, 50)
    for word, base in zip(GROUP, BASE, strict=True):
        token = tokenizer.convert_tokens_to_ids("Ġ" + word[1:])
        module.lm_head.weight[token, planted_parts.CONSTANT] = base / planted_parts.CONSTANT_SIZE
        module.lm_head.weight[token, SEEN] = RAISED * (word == " but")
    return replace(MODELS["bytes, BOS"], fingerprint="planted", open_module=lambda: module)


def known(cued):
    """What it says, window by window."""
    logits = np.array(BASE) + RAISED * np.outer(cued, np.array(GROUP) == " but")
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def test_a_word_that_was_planted_behind_a_token_is_raised_as_planted():
    task = ChoiceTask(GROUP, ("window", "story"), stories_per_seed=3, minimum_windows=10)
    windows = LinearChooser(CORPUS, task).windows
    before = [TOKENIZERS["bytes, BOS"](CORPUS.stories[story], add_special_tokens=False) for story in range(20)]
    cue = Counter(token for one in before for token in one.input_ids).most_common(1)[0][0]
    engine = Engine(planted_model(cue))
    asked, seen = chooser(None, engine, task), []
    asked.prepare(range(6))
    for seed in range(6):
        one = asked.observe(seed)
        own = windows.of_stories(asked.linear.split.part(task, seed))
        for view in task.views:
            prompts = prompts_before(engine.model, own, CORPUS, view)
            cued = [prompt[-2] == cue for prompt in prompts]
            np.testing.assert_allclose(one.log_probabilities[view], known(cued), atol=1e-3)
            seen += cued
    assert 0 < sum(seen) < len(seen)


def chooser(store, engine, task=TASK):
    return LanguageChooser(engine, LinearChooser(CORPUS, task, store), KeptWords(store, engine.model))


def test_what_was_said_is_kept_and_shared_by_tasks_with_other_views(tmp_path):
    store, engine = Store(tmp_path), Engine(MODELS["bytes, BOS"])
    first = chooser(store, engine)
    first.prepare(range(4))
    seen = [first.observe(seed) for seed in range(4)]
    assert set(seen[0].log_probabilities) == set(TASK.views)
    assert set(seen[0].checks) == {"words' logits", "model's own logits", "residual stream"}
    again = Engine(MODELS["bytes, BOS"])
    second = chooser(store, again, replace(TASK, views=("story",)))
    second.prepare(range(4))
    for seed in range(4):
        said = second.observe(seed).log_probabilities["story"]
        np.testing.assert_array_equal(said, seen[seed].log_probabilities["story"])
    assert again.forward_passes == 0
    part = second.linear.windows.of_stories(second.linear.split.part(TASK, 0))
    texts = texts_before(part, CORPUS, "story")
    for change in ({}, {"fingerprint": "other"}, {"dtype": "bfloat16"}, {"device": "cuda"}):
        known = KeptWords(store, replace(MODELS["bytes, BOS"], **change)).get(texts, TASK.group)
        assert (known is None) == bool(change)
    engine_of_another = Engine(replace(MODELS["bytes, BOS"], fingerprint="other"))
    chooser(store, engine_of_another).observe(0)
    assert engine_of_another.forward_passes > 0


def test_seeds_run_side_by_side_and_see_their_own_windows():
    engine = Engine(MODELS["bytes, BOS"])
    several = chooser(None, engine, replace(TASK, views=("window",)))
    several.prepare(range(6))
    opened = engine.forward_passes
    seen = [several.observe(seed) for seed in range(6)]
    assert engine.forward_passes == opened + 1
    for seed, one in enumerate(seen):
        windows = several.linear.windows.of_stories(several.linear.split.part(TASK, seed))
        said = language_choices(engine, windows, CORPUS, TASK.group, "window")
        np.testing.assert_allclose(one.log_probabilities["window"], said, atol=1e-5)


def test_a_task_without_views_of_a_language_model_opens_none():
    engine = Engine(replace(MODELS["bytes"], open_module=lambda: pytest.fail("opened")))
    one = chooser(None, engine, replace(TASK, views=()))
    one.prepare(range(2))
    assert not one.observe(0).log_probabilities
