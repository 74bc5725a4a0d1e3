"""The tab of rules in headless Chromium: the numbers of Python, which rules fire, by keyboard and by address."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
from demo_pages import press, show
from rule_pages import chosen, rule_page
from scipy.special import erf, softmax

from optim_hunter.stories.demo_network import network_log_probabilities
from optim_hunter.tasks.rule_sentences import place_text
from optim_hunter.tasks.rules import fires, rule_book_log_probabilities

LONG = "Tom wanted to play with the big red ball in the park with his friend Sue. He was very, very happy,"
SHOWN = """Object.fromEntries(['rules', 'linear', 'network'].map(who => [who,
    [...document.querySelectorAll(`#expected [data-who=${who}]`)].map(bar => Number(bar.dataset.probability))]))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = tmp_path_factory.mktemp("rules") / "page.html"
    path.write_text(rule_page().html, encoding="utf-8")
    return SimpleNamespace(page=path)


def test_windows_have_the_probabilities_of_python(browser, page):
    made = rule_page()
    show(browser, page, "tab=rules")
    examples = chosen(made.shown.examples, slice(60))
    tokens = examples.tokens
    said = browser.evaluate(f"""{json.dumps(tokens.tolist())}.map(window => [demo.rulesTab.book.probabilities(window),
        demo.rulesTab.network.probabilities(window, demo.model.words)])""")
    rules, network = (np.array([row[place] for row in said]) for place in (0, 1))
    np.testing.assert_allclose(rules, np.exp(rule_book_log_probabilities(made.book, tokens)), atol=1e-12)
    expected = np.exp(network_log_probabilities(made.rounded, examples, made.book.group))
    np.testing.assert_allclose(network, expected, atol=1e-4)  # float32 there


def test_erf_is_that_of_scipy(browser, page):
    show(browser, page)
    numbers = [*np.linspace(-7, 7, 141).tolist(), 1e-9, 40.0]
    np.testing.assert_allclose(browser.evaluate(f"{json.dumps(numbers)}.map(erf)"), erf(numbers), rtol=1e-13, atol=0)


def test_a_sentence_shows_the_rules_that_fire_and_who_expects_what(browser, page):
    made = rule_page()
    show(browser, page, f"tab=rules&sentence={quote(LONG)}")
    window = np.array([made.model.tokenizer.encode(LONG).ids[-16:]])
    firing = {made.book.rules[place].name for place in fires(made.book, window).indices}
    shown = browser.evaluate("[...document.querySelectorAll('#fired tbody button')].map(one => one.textContent)")
    assert set(shown) == firing
    assert len(firing) > 2
    said = browser.evaluate(SHOWN)
    np.testing.assert_allclose(said["rules"], np.exp(rule_book_log_probabilities(made.book, window))[0], atol=1e-12)
    weights = made.shown.weights[np.arange(16), window[0]].sum(0) + made.shown.offsets
    np.testing.assert_allclose(said["linear"], softmax(weights), atol=1e-12)
    assert sum(said["network"]) == pytest.approx(1)
    likely = browser.evaluate("document.getElementById('rules-likely').textContent")
    assert all(name in likely for name in ("rule book", "linear model", "one-layer model"))


def test_a_short_sentence_is_not_put_to_the_network(browser, page):
    show(browser, page, f"tab=rules&sentence={quote('Tom was')}")
    said = browser.evaluate(SHOWN)
    assert said["network"] == []
    assert len(said["rules"]) == len(said["linear"]) == 5
    assert "is asked from 16 on" in browser.evaluate("document.getElementById('rules-sentence-about').textContent")
    shown = browser.evaluate("[...document.querySelectorAll('#fired tbody button')].map(one => one.textContent)")
    assert any(name.startswith("was") for name in shown)


def test_the_windows_of_a_rule_are_those_in_which_it_fires(browser, page):
    made = rule_page()
    for place in (0, next(place for place, rule in enumerate(made.book.rules) if len(rule.condition.atoms) == 2)):
        rule = made.book.rules[place]
        show(browser, page, f"tab=rules&rule={quote(rule.name)}")
        assert browser.evaluate("document.getElementById('rule-name').textContent") == rule.name
        there = fires(made.book, made.shown.examples.tokens).toarray()[:, place]
        about = browser.evaluate("document.getElementById('firing-about').textContent")
        assert about.startswith(f"It fires in {there.sum()} of {len(there)} held-out windows")
        named = {token for atom in rule.condition.atoms for token in atom.tokens}
        marks = browser.evaluate("[...document.querySelectorAll('#firing mark')].map(mark => mark.textContent)")
        assert set(marks) <= {token.replace("\n", "↵") for token in named}
        assert marks


def test_a_rule_is_shown_with_every_token_of_its_condition(browser, page):
    """The sentences of these two leave tokens out."""
    long = [rule for rule in rule_page().book.rules if " more " in rule.sentence]
    joined = next(rule for rule in long if len(rule.condition.atoms) == 2)
    for rule in (next(rule for rule in long if len(rule.condition.atoms) == 1), joined):
        show(browser, page, f"tab=rules&rule={quote(rule.name)}")
        shown = browser.evaluate("[...document.querySelectorAll('#rule-condition li')].map(one => one.textContent)")
        assert shown == [atom_in_words(*pair) for pair in zip(rule.condition.atoms, JOINED, strict=False)]


JOINED = ("", "together with ")


def atom_in_words(atom, joined):
    """All tokens of a part, and where it is looked for."""
    tokens = ", ".join(token.replace("\n", "↵") for token in atom.tokens)
    return f"{joined}{'one of: ' if len(atom.tokens) > 1 else ''}{tokens}, {place_text(atom)}"


def test_the_page_says_how_far_its_rounding_moves_a_probability(browser, page):
    change = 100 * rule_page().rules.books["conjunctions"]["network"]["change"]
    show(browser, page, "tab=rules")
    said = re.search(
        r"rounded to bytes for this page: no probability moves by more than ([\d.]+) points",
        browser.evaluate("document.getElementById('book-figures').textContent"),
    )
    assert change <= float(said[1]) < change + 0.01


def test_rules_are_found_chosen_and_shared_by_keyboard_and_address(browser, page):
    show(browser, page)
    browser.evaluate("document.getElementById('linear-tab').focus()")
    press(browser, "ArrowRight")
    assert browser.evaluate("document.activeElement.id") == "rules-tab"
    assert browser.evaluate("document.getElementById('linear-panel').hidden")
    listed = "[...document.querySelectorAll('#rules tbody button')].map(one => one.textContent)"
    assert len(browser.evaluate(listed)) == 15
    browser.evaluate("document.getElementById('rules-search').focus()")
    press(browser, *"smiled")
    found = browser.evaluate(listed)
    assert 0 < len(found) < 15
    browser.evaluate("document.querySelector('#rules tbody button').click()")
    assert browser.evaluate("demo.state.rule") == found[0]
    assert browser.evaluate("document.activeElement.id") == "rule-name"
    browser.evaluate("demo.writeAddress()")
    address = browser.evaluate("location.hash")
    show(browser, page, address[1:])
    assert browser.evaluate("[demo.state.tab, demo.state.rule]") == ["rules", found[0]]
    assert browser.evaluate("document.getElementById('rule-name').textContent") == found[0]
    assert browser.console == []


def test_a_group_without_a_book_says_so_and_an_unknown_rule_is_told(browser, page):
    show(browser, page, "tab=rules&group=but%2Cso&rule=no-such")
    assert not browser.evaluate("document.getElementById('no-book').hidden")
    assert browser.evaluate("document.getElementById('book').hidden")
    assert "rule “no-such”" in browser.evaluate("document.getElementById('notice').textContent")


def test_every_control_of_the_tab_has_a_name_and_every_table_a_heading(browser, page):
    show(browser, page, "tab=rules")
    unnamed = "[...document.querySelectorAll('select,input,textarea')].filter(field => !field.labels.length)"
    assert browser.evaluate(f"{unnamed}.map(field => field.id)") == []
    heads = "[...document.querySelectorAll('#rules-panel table')].map(table => table.getAttribute('aria-labelledby'))"
    assert browser.evaluate(heads) == ["fired-heading", "rules-heading"]
    with browser.width(390):
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
