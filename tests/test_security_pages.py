"""Hostile strings in every slot of every kind of page: shown as they are, never run, and no network reached."""

from __future__ import annotations

import ast
import json
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from hostile import HOSTILE
from hostile_pages import ALL, COUNT, FIRST_TOKEN, LABELS, MAKERS, TEXTS
from import_graph import FILES, PACKAGE

from optim_hunter.evidence import fragment
from optim_hunter.evidence.text import visible
from optim_hunter.experiments.predicting import LISTED_ANSWERS

DRAWN = "[...document.querySelectorAll('[data-figure]')].every(holder => holder.dataset.state === 'drawn')"
TEMPLATES = {
    "comparison.html": "comparison",
    "demo.html": "demo",
    "generality.html": "generality",
    "notes.html": "notes",
    "page.html": "fit",
}
"""Template of a whole page → a kind that is made with it; most are made with the one of fits."""
CLOSE = ("allow_only", "page", "secure", "shown")
"""Functions of `fragment` through which a whole page goes."""
OF_A_MODEL = {
    "experiments/attention.py:attention",
    "experiments/claude_wanted_to_try_this.py:analyze_llm_component_understanding",
    "experiments/logit_diff.py:generate_logit_diff_batched",
    "experiments/mlp.py:analyze_mlp_for_specific_tokens",
    "experiments/regressors_comparison.py:compare_llm_and_regressors",
}
"""Experiments, which need a model; they hand sections to `fragment.shown`, as two makers do with strings."""
SHOWN = [visible(text) for text in TEXTS]


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as changed:
        changed.chdir(tmp_path_factory.mktemp("elsewhere"))  # where there are no claims
        yield


@pytest.fixture(scope="module")
def reached() -> set[str]:
    """The functions of the package, as `file:name`, that the makers went through to close their pages."""
    return set()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, reached: set[str]) -> dict[str, Path]:
    """One page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    allow_only = fragment.allow_only

    def noted(page: str, scripts: Iterable[str]) -> str:
        on_the_way = [frame.f_code for frame, _ in traceback.walk_stack(sys._getframe())]
        ours = [code for code in on_the_way if Path(code.co_filename).is_relative_to(PACKAGE)]
        reached.update(f"{Path(code.co_filename).relative_to(PACKAGE).as_posix()}:{code.co_name}" for code in ours)
        return allow_only(page, scripts)

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(fragment, "allow_only", noted)
        for kind, make in MAKERS.items():
            (folder / f"{kind}.html").write_text(make(folder), encoding="utf-8")
    return {kind: folder / f"{kind}.html" for kind in MAKERS}


def closing(path: str) -> set[str]:
    """The functions of a file, as `file:name`, that close a whole page."""
    source = FILES[path].read_text(encoding="utf-8")
    tree = ast.parse(source if "fragment" in source else "")
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    of_fragment = [node for node in imports if node.module == "optim_hunter.evidence.fragment"]
    names = {name.asname or name.name for node in of_fragment for name in node.names if name.name in CLOSE}
    names |= {f"fragment.{name}" for name in CLOSE}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {
        f"{path}:{function.name}"
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names
    }


def show(browser: Browser, page: Path, query: str = "") -> None:
    browser.open(page, query)
    browser.wait_for("window.demo" if page.stem == "demo" else DRAWN if query else "true")


def shown(browser: Browser, selector: str) -> list[str]:
    """The text of every element, as a reader of the page's text gets it."""
    found: list[str] = browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map(element => element.textContent)"
    )
    return found


FOREIGN = (
    "img, iframe, object, embed, video, marquee, base, link, form, [href^='javascript'], "
    "[onload], [onerror], [onclick], [onfocus], [onmouseover]"
)


def nothing_ran(browser: Browser, page: Path, foreign: str = FOREIGN) -> None:
    """Nothing of the page in view was run or asked for, and no element stands in it that a string brought."""
    assert browser.evaluate("window.owned") is None
    assert browser.evaluate("location.pathname") == str(page)
    assert [one for one in browser.requested if not one.startswith(("data:", "blob:"))] == browser.requested[:1]
    assert browser.console == []
    assert shown(browser, foreign) == []


def test_the_strings_are_many_and_differ() -> None:
    assert COUNT >= 60
    assert len(set(HOSTILE.values())) == COUNT
    assert json.loads(json.dumps(HOSTILE).encode().decode("utf-8")) == HOSTILE


def test_every_kind_of_page_forbids_the_network_first_of_all(made: dict[str, Path]) -> None:
    templates = resources.files("optim_hunter.evidence").joinpath("templates").iterdir()
    whole = {one.name for one in templates if one.name.endswith(".html") and "<html" in one.read_text(encoding="utf-8")}
    assert whole == set(TEMPLATES)
    for page in [one.read_text("utf-8") for one in made.values()]:
        policy = re.search(r'<head><meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
        assert policy
        rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
        assert re.fullmatch(r"('sha256-[\w+/=]+' ?)*", rules["script-src"])
        assert (rules["style-src"], rules["img-src"]) == ("'unsafe-inline'", "data: blob:")


@pytest.mark.usefixtures("made")
def test_every_function_that_closes_a_page_makes_one_of_strings(reached: set[str]) -> None:
    there = {name for path in FILES if path != "evidence/fragment.py" for name in closing(path)}
    assert there >= OF_A_MODEL | {"stories/fit_page.py:fit_html", "evidence/report.py:page_html"}
    assert there - OF_A_MODEL - reached == set()


def test_sections_show_each_string_in_every_slot(browser: Browser, made: dict[str, Path], tmp_path: Path) -> None:
    show(browser, made["experiments"], "?draw=all")
    assert shown(browser, "h2") == [visible(ALL)]
    assert browser.evaluate("document.title") == re.sub("[ \t\n]+", " ", visible(ALL))
    assert shown(browser, ".warning") == SHOWN
    assert shown(browser, "h3")[-COUNT:] == SHOWN
    assert shown(browser, "h3 + p")[-COUNT:] == SHOWN
    assert shown(browser, "summary")[-COUNT:] == SHOWN
    assert shown(browser, "thead th")[-2 * COUNT :] == [text for text in SHOWN for _ in range(2)]
    assert shown(browser, "tbody td")[-13 * COUNT :] == [text for text in SHOWN for _ in range(13)]
    assert set(SHOWN) <= set(shown(browser, "tbody th"))
    assert set(SHOWN[:LISTED_ANSWERS]) <= set(shown(browser, "td:nth-child(2):last-child")[:-COUNT])
    browser.print(tmp_path / "page.pdf")  # which opens what is folded away
    nothing_ran(browser, made["experiments"])


def test_a_fit_shows_each_word_and_token(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["fit"], "?draw=all")
    words = [visible(text.strip()) for text in TEXTS]
    captions = [text.removeprefix("“").split("”, offset")[0] for text in shown(browser, "summary")]
    assert [text for text in captions if text in set(words)] == words
    tokens = shown(browser, "tbody th")
    assert all(visible(repr(text)) in tokens for text in TEXTS if "\ufffd" not in text)
    assert visible(ALL) in shown(browser, "main")[0]
    nothing_ran(browser, made["fit"])


def test_a_ladder_shows_each_rung_and_question(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["ladder"], "?draw=all")
    assert visible(ALL) in shown(browser, "h3 + p")[0]
    assert as_labels(TEXTS) - drawn_labels(browser, ".ytick text") == set()
    questions = [" ".join(TEXTS[start : start + LABELS]) for start in range(0, COUNT, LABELS)]
    assert as_labels(questions) == drawn_labels(browser, ".annotation-text")
    assert shown(browser, MADE_OF_LABELS) == []
    nothing_ran(browser, made["ladder"])


def test_the_score_of_rule_books_shows_each_group(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["scores"])
    assert shown(browser, "h3") == SHOWN
    captions = shown(browser, "figcaption")
    assert [caption.endswith(text) for caption, text in zip(captions, SHOWN, strict=True)] == [True] * COUNT
    nothing_ran(browser, made["scores"])


def test_a_table_of_claims_shows_each_claim(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["generality"])
    claims = shown(browser, "tbody th summary")
    assert [any(claim.endswith(text) for claim in claims) for text in SHOWN] == [True] * COUNT
    statements = shown(browser, "tbody th details small")
    assert [any(one.endswith(text) for one in statements) for text in SHOWN] == [True] * COUNT
    assert visible(ALL) in shown(browser, "thead th")[1]
    assert shown(browser, "main > h2") == ["Made from"]
    nothing_ran(browser, made["generality"])


def test_a_comparison_shows_each_claim(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["comparison"])
    claims = shown(browser, "tbody th")
    assert [any(claim.endswith(text) for claim in claims) for text in SHOWN] == [True] * COUNT
    assert visible(ALL) in shown(browser, ".when")[0]
    assert all(visible(ALL) in model for model in shown(browser, ".model")[:COUNT])
    assert any(visible(ALL) in cell for cell in shown(browser, "h2 + table td"))
    nothing_ran(browser, made["comparison"])


def test_a_document_shows_what_its_blocks_gave(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["notes"])
    printed = shown(browser, "pre.output")
    assert all(text.strip("\n") in [one.strip("\n") for one in printed] for text in SHOWN if text.strip())
    failures = shown(browser, ".failed pre")
    assert [one.removesuffix("\n") for one in failures[::2]] == SHOWN
    assert shown(browser, "h1") == [visible(ALL)]
    assert len(shown(browser, ".when span")) == COUNT
    assert len(shown(browser, "footer")) == 1
    violations = [line for line in browser.console if "Content Security Policy" in line or "Unsafe attempt" in line]
    assert violations == browser.console  # HTML that an author wrote, or a block gave as such, meets the policy
    browser.console.clear()
    nothing_ran(browser, made["notes"], "base, iframe, link, [http-equiv=refresh]")


TOKEN_SLOTS = """(([token, text]) => {
    demo.go({ token, position: 16, sentence: text });
    demo.search.open(text);
    const of = selector => [...document.querySelectorAll(selector)].map(element => element.textContent);
    return { verdict: of('#verdict q')[0], option: of('#tokens [role=option]')[0], box: of('#boxes .word'),
        strongest: of('#strongest th[scope=row]'), example: of('#examples mark'), sum: of('#sum th[scope=row]'),
        field: document.getElementById('sentence').value, all: document.querySelector('main').innerText };
})"""


def test_the_demo_shows_each_token_wherever_tokens_stand(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["demo"])
    for place, text in enumerate(TEXTS):
        slots: dict[str, Any] = browser.evaluate(f"{TOKEN_SLOTS}({json.dumps([FIRST_TOKEN + place, text])})")
        as_shown = visible(text.replace("\n", "↵").replace("\t", "⇥"))
        assert slots["verdict"] == as_shown
        assert slots["option"].startswith(as_shown)
        assert set(slots["example"]) == {as_shown}
        assert slots["field"] == text.replace("\r", "\n")
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", slots["all"])
    assert slots["box"] == [visible(text.replace("\t", "⇥")) for text in TEXTS[:5]]
    nothing_ran(browser, made["demo"])


RULE_SLOTS = """(text => {
    demo.go({ tab: 'rules', rule: text, sentence: text });
    const of = selector => [...document.querySelectorAll(selector)].map(element => element.textContent);
    return { name: of('#rule-name')[0], sentence: of('#rule-sentence')[0], fired: of('#fired tbody button'),
        mark: of('#firing mark'), condition: of('#rule-condition li'), tokens: of('#rule-condition q'),
        words: of('#expected .word'), field: document.getElementById('rules-sentence').value,
        all: document.querySelector('main').innerText };
})"""


def test_the_demo_shows_each_rule_wherever_rules_stand(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["demo"])
    every = [visible(text.replace("\n", "↵").replace("\t", "⇥")) for text in TEXTS]
    for text in TEXTS:
        slots: dict[str, Any] = browser.evaluate(f"{RULE_SLOTS}({json.dumps(text)})")
        as_shown = visible(text.replace("\n", "↵").replace("\t", "⇥"))
        assert slots["name"] == slots["sentence"] == as_shown
        assert as_shown in slots["mark"]
        assert slots["condition"][0] == f"{as_shown}, {as_shown}"
        assert slots["tokens"] == [as_shown, *every]
        assert slots["field"] == text.replace("\r", "\n")
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", slots["all"])
    assert slots["words"] == [visible(text.replace("\t", "⇥")) for text in TEXTS[:5]]
    browser.evaluate("while (!demo.rulesTab.fields['more-rules'].hidden) demo.rulesTab.fields['more-rules'].click()")
    assert shown(browser, "#rules tbody button") == shown(browser, "#rules tbody small") == every
    nothing_ran(browser, made["demo"])


def test_the_demo_takes_any_address(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["demo"])
    for text in TEXTS:
        browser.evaluate(f"""new Promise(done => {{
            addEventListener('hashchange', () => done(true), {{ once: true }});
            const text = {json.dumps(text[:900])};
            const names = ['group', 'token', 'position', 'tab', 'rule', 'sentence'];
            location.hash = new URLSearchParams(names.map(name => [name, text]));
        }})""")
        notice = shown(browser, "#notice")[0]
        assert f"group “{visible(text[:80])}”" in notice.replace("↵", "\n").replace("⇥", "\t")
    nothing_ran(browser, made["demo"])


MADE_OF_LABELS = ".plot a, .plot b, .plot i, .plot sub, .plot sup, .plot script, .plot tspan[style]"


def as_labels(texts: Iterable[str]) -> set[str]:
    """Texts as figures show them, without their spaces, which SVG folds."""
    return {"".join(visible(text).replace("\n", "\\n").replace("\t", "\\t").split()) for text in texts}


def drawn_labels(browser: Browser, selector: str) -> set[str]:
    """What figures show, likewise."""
    return {"".join(label.split()) for label in shown(browser, selector)}


def test_labels_of_figures_are_text(browser: Browser, made: dict[str, Path]) -> None:
    show(browser, made["figures"], "?draw=all")
    assert " ".join(shown(browser, "figcaption")[: -(-COUNT // LABELS)]) == visible(ALL)
    assert as_labels(TEXTS) - drawn_labels(browser, ".xtick text") == set()
    assert shown(browser, MADE_OF_LABELS) == []
    nothing_ran(browser, made["figures"])
