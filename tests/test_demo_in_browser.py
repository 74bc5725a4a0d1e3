"""The page of the stories laboratory in headless Chromium: the numbers of Python, by keyboard, and nothing foreign."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from browser import Browser
from demo_pages import BOXES, HALF, SENTENCES, Made, make, press, show
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from test_demo import packed

from optim_hunter.cli import main
from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.word_groups import WORD_GROUPS

ODD = [
    "", " ", "  ", "\n\n", " \n ", "\t", "a\tb", "a\r\nb", "\r", "  two  spaces   three ", "\u00a0", "a\u00a0 b",
    "\u0085", "a \u0085b", "\ufeffa", "\u2028", "\u3000x", "\u180ea", "\x1c", "\x00", "\x7f", "\u200bzero", "\u00ad",
    "don't I'll we've it's DON'T 'tis '", "isn’t “quoted”", "…", "1 22 333 4,000.5", "٣٤ ½ Ⅷ ²", "e\u0301", "école ÀÉ",
    "naïve café", "Привет мир", "你好，世界", "こんにちは", "한국어", "שלום", "مرحبا", "नमस्ते", "\u202eabc",
    "🙂", "👩‍👩‍👧", "🇩🇪x",
    "𝒳𝟙", "\ud800", "a\udfffb", "\ud83dx", "\udc00\ud800", "�", "_under-score_", "a/b\\c", "<|endoftext|>", "Ġand",
    "âĢĻ", "</script><script>", "zzzzzzzzzzzz", "aaaa bbbb", "Once upon a time there was a girl named Lily.", "x" * 300,
]  # fmt: skip


ANY_TEXT = st.text(st.characters(exclude_categories=["Cn", "Co"]), max_size=30)
"""Of assigned characters: browsers know letters that Unicode got after the tokenizer's tables were made."""


PROBABILITIES = "[...document.querySelectorAll('#probabilities li')].map(bar => Number(bar.dataset.probability))"


@pytest.fixture(scope="module")
def half(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Made:  # noqa: ARG001 - first skip, then fit
    return make(tmp_path_factory.mktemp("half"), list(read_corpus(None).stories[:HALF]), "but,so")


def focused(browser: Browser) -> str:
    return browser.evaluate("document.activeElement.id")


def test_a_comma_before_the_word_raises_but(browser, half):
    show(browser, half)
    press_token(browser, ",")
    boxes = browser.evaluate(BOXES)
    assert max(boxes, key=boxes.get) == " but"
    token = half.encode(",")[0]
    weights = half.best.weights[15 * half.chooser.tokenizer.get_vocab_size() + token]
    np.testing.assert_allclose(list(boxes.values()), weights - weights.mean(), atol=1e-12)
    shown = browser.evaluate("document.querySelector('#boxes [data-word=\" but\"]').textContent")
    assert f"+{boxes[' but']:.2f}" in shown
    assert "raises" in shown
    assert "raises  but most" in browser.evaluate("document.getElementById('verdict').textContent")


def press_token(browser: Browser, text: str) -> None:
    """Choose a token by the keyboard alone, from the top of the page."""
    browser.evaluate("document.activeElement.blur()")
    for _ in range(3):
        press(browser, "Tab")
        if focused(browser) == "token":
            break
    assert focused(browser) == "token"
    press(browser, *text)
    assert browser.evaluate("document.getElementById('token').getAttribute('aria-expanded')") == "true"
    press(browser, "Enter")


def test_everything_is_reached_by_keyboard(browser, half):
    show(browser, half, "token=" + quote(" was"))
    press_token(browser, "but")
    assert browser.evaluate("demo.tokenizer.texts[demo.state.token].trim()").startswith("but")
    press(browser, "Tab", "ArrowLeft")
    assert browser.evaluate("demo.state.position") == 15
    press(browser, "ArrowLeft")
    assert browser.evaluate("document.getElementById('position').getAttribute('aria-valuetext')").startswith(
        "14: 2 tokens"
    )
    for _ in range(80):
        press(browser, "Tab")
        if focused(browser) == "sentence":
            break
    assert focused(browser) == "sentence"
    browser.evaluate("document.getElementById('sentence').select()")
    press(browser, *"Tom was")
    np.testing.assert_allclose(browser.evaluate(PROBABILITIES), half.probabilities("Tom was"), atol=1e-6)


def test_every_control_has_a_name_and_changes_are_announced(browser, half):
    show(browser, half)
    unnamed = "[...document.querySelectorAll('select,input,textarea')].filter(field => !field.labels.length)"
    assert browser.evaluate(f"{unnamed}.map(field => field.id)") == []
    statuses = browser.evaluate("[...document.querySelectorAll('[role=status]')].map(region => region.id)")
    assert statuses == ["found", "verdict", "likely", "rules-likely", "rules-found"]
    tables = "[...document.querySelectorAll('table')].map(table => table.ariaLabelledByElements?.[0] ?? "
    tables += "document.getElementById(table.getAttribute('aria-labelledby')))"
    assert browser.evaluate(f"{tables}.map(heading => heading.textContent)") == [
        "Strongest tokens at this position",
        "Tokens with similar weights",
        "The sum behind it",
    ]
    assert browser.evaluate(
        "[...document.querySelectorAll('button')].every(button => button.textContent.trim() || button.ariaLabel)"
    )


SAID = "document.getElementById('found').textContent"


def write_token(browser: Browser, text: str) -> None:
    browser.evaluate("document.getElementById('token').focus()")
    press(browser, *text)


def test_a_search_says_how_many_it_found_and_a_failed_one_that_nothing_was_chosen(browser, half):
    show(browser, half)
    assert browser.evaluate(SAID) == ""
    write_token(browser, "wa")
    options = browser.evaluate("document.querySelectorAll('#tokens [role=option]').length")
    assert browser.evaluate(SAID) == f"{options} tokens"
    press(browser, "s")
    assert browser.evaluate(SAID) == "1 token"
    press(browser, *"qqq")
    assert browser.evaluate(SAID) == "no token of the vocabulary holds this"
    assert browser.evaluate("document.getElementById('tokens').childElementCount") == 0
    assert browser.evaluate("document.getElementById('token').getAttribute('aria-expanded')") == "false"
    press(browser, "Enter")
    assert browser.evaluate(SAID) == "nothing chosen: no token of the vocabulary holds “wasqqq”"
    press(browser, "Escape")
    assert browser.evaluate(SAID) == ""
    assert browser.evaluate("document.getElementById('token').value") == ","
    press(browser, "Enter")
    assert browser.evaluate(SAID) == ""
    assert browser.evaluate("demo.tokenizer.texts[demo.state.token]") == ","


@pytest.mark.parametrize("group", ["conjunctions", "but,so"])
def test_a_word_as_it_is_written_comes_before_a_capital(browser, half, group):
    """Whichever of them has the larger weights in a group."""
    show(browser, half, f"group={quote(group)}")
    assert {" but", " But"} <= set(browser.evaluate("demo.tokenizer.texts"))
    write_token(browser, "but")
    press(browser, "Enter")
    assert browser.evaluate("demo.tokenizer.texts[demo.state.token]") == " but"
    both = "[' But', ' but'], 'but', {}"
    for order in ("[0, 1]", "[1, 0]"):
        assert browser.evaluate(f"findTokens({both.format(order)})") == [1, 0]


def test_tokens_are_those_of_tokenizers(browser, half):
    show(browser, half)
    same_tokens(browser, half, ODD)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(ANY_TEXT, min_size=50, max_size=200))
def test_tokens_of_any_text_are_those_of_tokenizers(browser, half, texts):
    show(browser, half)
    same_tokens(browser, half, texts)


def same_tokens(browser: Browser, made: Made, texts: list[str]) -> None:
    ours = browser.evaluate(f"{json.dumps(texts)}.map(text => demo.tokenizer.encode(text))")
    theirs = [made.encode(text) for text in texts]
    assert {text: pair for text, *pair in zip(texts, ours, theirs, strict=True) if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_has_the_probabilities_of_python(browser, half, sentence):
    show(browser, half, "sentence=" + quote(sentence))
    np.testing.assert_allclose(browser.evaluate(PROBABILITIES), half.probabilities(sentence), atol=1e-6, rtol=0)
    assert ("never saw" in browser.evaluate("document.getElementById('sentence-about').textContent")) == (
        len(half.encode(sentence.rstrip(" "))) < 16
    )


def test_the_sum_shown_is_the_probability(browser, half):
    show(browser, half, "sentence=" + quote(SENTENCES[3]))
    rows = browser.evaluate(
        "[...document.querySelectorAll('#sum tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    number = {
        row: [float(text.replace("−", "-").replace("·", "0")) for text in cells[2:]]
        for row, cells in enumerate(rows)
        if 0 < row < len(rows) - 1
    }
    parts, total = [number[row] for row in list(number)[:-1]], number[len(rows) - 2]
    assert len(parts) == 17
    np.testing.assert_allclose(np.sum(parts, 0), total, atol=0.1)  # two decimals a cell
    np.testing.assert_allclose(softmax(total), half.probabilities(SENTENCES[3]), atol=0.01)


def test_examples_hold_the_token_and_the_word_that_came(browser, half):
    show(browser, half, "token=" + quote(",") + "&position=12")
    held_out = half.chooser.windows.of_stories(half.chooser.split.held_out)
    there = held_out.tokens[:, 11] == half.encode(",")[0]
    number, total = f"{there.sum():,}", f"{len(held_out.labels):,}"
    about = browser.evaluate("document.getElementById('examples-about').textContent")
    assert about.startswith(f"{number} of the {total} held-out windows")
    windows = half.chooser.tokenizer.decode_batch(held_out.tokens[there].tolist())
    words = [half.chooser.task.group[label] for label in held_out.labels[there]]
    expected = {f"…{text}{word}".replace("\n", "↵") for text, word in zip(windows, words, strict=True)}
    shown = browser.evaluate("[...document.querySelectorAll('#examples .window')].map(window => window.textContent)")
    assert len(shown) == 10
    assert set(shown) <= expected
    parts = "[...document.querySelectorAll('#examples {}')].map(part => part.textContent)"
    assert set(browser.evaluate(parts.format("mark"))) == {","}
    assert set(browser.evaluate(parts.format("b"))) == set(words)


def test_similar_tokens_are_those_of_the_cosine(browser, half):
    show(browser, half)
    weights = half.best.weights.reshape(16, -1, 5)
    profiles = (weights - weights.mean(2, keepdims=True)).transpose(1, 0, 2).reshape(weights.shape[1], -1)
    own = profiles[half.encode(",")[0]]
    norms = np.linalg.norm(profiles, axis=1)
    cosines = np.where(norms > 0, profiles @ own / np.maximum(norms * np.linalg.norm(own), 1e-300), 0)
    expected = np.sort(cosines)[::-1][1:11]
    shown = browser.evaluate(
        "[...document.querySelectorAll('#similar tbody tr')].map(row => Number(row.cells[1].textContent))"
    )
    np.testing.assert_allclose(shown, expected, atol=0.0051)


@pytest.mark.slow
def test_all_ten_groups_of_the_packaged_corpus_fit_into_a_page(tmp_path, capsys):
    """With all their held-out windows; what the store in the cache has is not fitted again."""
    page = tmp_path / "page.html"
    assert main(["demo", "-o", str(page)]) == 0
    assert "left out" not in capsys.readouterr().err
    assert page.stat().st_size <= 4_000_000
    arrays, description = packed(page.read_text(encoding="utf-8"))
    assert [group["name"] for group in description["groups"]] == list(WORD_GROUPS)
    kept = [len(arrays[f"{number}.labels"]) for number in range(10)]
    assert kept == [group["held_out_windows"] for group in description["groups"]]


@pytest.mark.slow
def test_a_comma_raises_but_on_the_whole_packaged_corpus(browser, tmp_path):
    page: Any = tmp_path / "page.html"
    assert main(["demo", "--group", "conjunctions", "-o", str(page), "--store", "none"]) == 0
    browser.open(page)
    browser.wait_for("window.demo")
    press_token(browser, ",")
    boxes = browser.evaluate(BOXES)
    assert max(boxes, key=boxes.get) == " but"
