"""The page of the stories laboratory by itself: its address, its colours, text that is hostile, no network."""

from __future__ import annotations

import colorsys
import json
from urllib.parse import quote

import pytest
from browser import Browser
from demo_pages import BOXES, HALF, SENTENCES, Made, make, press, show

from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus

HOSTILE = (
    "<script>window.owned=1</script>", "</textarea>", '"><img src=x onerror=window.owned=1>', "\u202eabc\u202c",
    "</script><script>window.owned=1</script>",
)  # fmt: skip


STATE = "[demo.state.group, demo.tokenizer.texts[demo.state.token], demo.state.position, demo.state.sentence]"


@pytest.fixture(scope="module")
def half(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Made:  # noqa: ARG001 - first skip, then fit
    return make(tmp_path_factory.mktemp("half"), list(read_corpus(None).stories[:HALF]), "but,so")


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Made:  # noqa: ARG001
    """A corpus whose tokens are markup."""
    stories = planted_corpus(next(iter(PLANTED))).stories
    return make(tmp_path_factory.mktemp("hostile"), [f"{' '.join(HOSTILE)} {story}" for story in stories])


def test_an_address_brings_its_state_back(browser, half):
    show(browser, half)
    first = browser.evaluate("location.hash")
    browser.evaluate(
        "demo.go({ token: demo.tokenizer.ofText.get(' was'), position: 3, sentence: 'a & b = c # d%\\n“e”' })"
    )
    browser.wait_for("location.hash.includes('position=3')")
    state, address = browser.evaluate(STATE), browser.evaluate("location.hash")
    assert state == ["conjunctions", " was", 3, "a & b = c # d%\n“e”"]
    show(browser, half)
    assert browser.evaluate(STATE) != state
    show(browser, half, address[1:])
    assert browser.evaluate(STATE) == state
    assert browser.evaluate("document.getElementById('sentence').value") == state[3]
    assert first == ""
    browser.evaluate("location.hash = '#position=7'")
    browser.wait_for("demo.state.position === 7")


COUNTED = """
    window.writes = 0;
    const write = history.replaceState.bind(history);
    history.replaceState = (...state) => { window.writes++; write(...state); };
    const field = document.getElementById('sentence');
    for (const letter of 'x'.repeat(200)) { field.value += letter; field.dispatchEvent(new Event('input')); }
    window.writes"""


def test_the_address_follows_what_is_typed_without_a_write_for_every_key(browser, half):
    show(browser, half, "sentence=")
    browser.evaluate("document.getElementById('sentence').focus()")
    press(browser, *"Tom was", "Tab")  # which leaves the field
    assert "sentence=Tom+was" in browser.evaluate("location.hash")
    assert browser.evaluate(COUNTED) == 0
    browser.wait_for("window.writes")
    assert browser.evaluate("window.writes") == 1
    assert browser.evaluate("location.hash").endswith("Tom+was" + "x" * 200)


def test_an_address_that_the_browser_refuses_is_told_and_the_page_goes_on(browser, half):
    show(browser, half)
    browser.evaluate("history.replaceState = () => { throw new DOMException('too many', 'SecurityError'); }")
    browser.evaluate("demo.go({ position: 3 })")
    notice = "document.getElementById('notice')"
    browser.wait_for(f"!{notice}.hidden")
    assert "refused to change the address (SecurityError)" in browser.evaluate(f"{notice}.textContent")
    assert browser.evaluate("document.getElementById('position').value") == "3"
    browser.evaluate("delete history.replaceState; demo.go({ position: 4 })")
    browser.wait_for(f"{notice}.hidden")
    assert "position=4" in browser.evaluate("location.hash")
    assert browser.console == []


@pytest.mark.parametrize("text", [*HOSTILE, "%%0", "__proto__", "999"])
def test_a_hostile_address_is_text(browser, half, text):
    show(browser, half, "&".join(f"{name}={quote(text)}" for name in ("group", "token", "position", "sentence")))
    assert browser.evaluate("window.owned") is None
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    notice = browser.evaluate("document.getElementById('notice').textContent")
    assert notice.count("“") == 3
    assert "\u202e" not in notice
    assert browser.evaluate("document.getElementById('sentence').value") == text
    assert browser.console == []


def test_hostile_tokens_are_text(browser, hostile):
    show(browser, hostile)
    texts: list[str] = browser.evaluate("demo.tokenizer.texts")
    markup = [text for text in texts if "<" in text or "\u202e" in text or "script" in text]
    assert any("script" in text for text in markup)
    for text in markup:
        browser.evaluate(
            f"demo.go({{ token: demo.tokenizer.ofText.get({json.dumps(text)}), sentence: {json.dumps(text)} }})"
        )
        browser.evaluate(f"demo.search.open({json.dumps(text)})")
    browser.evaluate("document.querySelector('#boxes').innerText + demo.go({ position: 3 })")
    assert browser.evaluate("window.owned") is None
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.querySelectorAll('script').length") == 1 + 11
    assert "\u202e" not in browser.evaluate("document.querySelector('main').innerText")
    assert browser.console == []


def test_the_planted_rule_shows(browser, hostile):
    """A comma raises " but" in the planted stories, whatever else stands in them."""
    show(browser, hostile)
    boxes = browser.evaluate(BOXES)
    assert max(boxes, key=boxes.get) == " but"
    assert boxes[" but"] > 0.5


def test_nothing_foreign_runs_and_no_network_is_reached(browser, half):
    show(browser, half)
    assert browser.evaluate("performance.getEntriesByType('resource').length") == 0
    browser.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.owned = 1' }))"
    )
    refused = "fetch('https://example.invalid/').then(() => 'sent', () => 'refused')"
    assert browser.evaluate(refused) == "refused"
    assert browser.evaluate("window.owned") is None
    assert any("Content Security Policy" in line and "example.invalid" in line for line in browser.console)


def test_dark_readers_and_narrow_screens(browser, half, tmp_path):
    show(browser, half)
    colours = (
        "[document.body, document.querySelector('.box.raises')].map(part => getComputedStyle(part).backgroundColor)"
    )
    light = browser.evaluate(colours)
    browser.colour_scheme("dark")
    dark = browser.evaluate(colours)
    browser.screenshot(tmp_path / "dark.png")
    browser.colour_scheme("light")
    assert all(one != other for one, other in zip(light, dark, strict=True))
    assert (tmp_path / "dark.png").stat().st_size > 10_000
    with browser.width(375):
        assert browser.evaluate("document.documentElement.scrollWidth") <= 375
    browser.print(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


COLOURS = """(() => {{
    const of = (selector, property) => [...document.querySelectorAll(selector)].map(
        part => getComputedStyle(part)[property].match(/[\\d.]+/g).slice(0, 3).map(Number));
    return [of('.box.{0}', 'borderTopColor'), of('.box.{0}, #sum td.{0}', 'backgroundColor')];
}})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("way", "hue", "warmer"), [("raises", 5, 1), ("lowers", 215, -1)])
def test_red_raises_and_blue_lowers(browser, half, scheme, way, hue, warmer):
    """Hues in degrees of the colour circle, red being 0 and blue 240; a tint is warmer or colder than the page."""
    browser.colour_scheme(scheme)
    show(browser, half, "sentence=" + quote(SENTENCES[3]))
    borders, tints = browser.evaluate(COLOURS.format(way))
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)")
    browser.colour_scheme("light")
    assert borders
    for border in borders:
        assert abs((360 * colorsys.rgb_to_hsv(*border)[0] - hue + 180) % 360 - 180) <= 15, border
    assert len(tints) > 2
    for red, _, blue in tints:
        assert warmer * (red - blue) > warmer * (ground[0] - ground[2]) / 255
