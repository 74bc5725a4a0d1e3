"""The evidence page as text: what it shows, and that no string of a ledger changes what it is made of."""

from __future__ import annotations

import copy
import json
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_ledger import HOSTILE, sample_ledger, with_strings

from optim_hunter.evidence import figures, forest, report, text
from optim_hunter.evidence.profile_figures import DRAWN
from optim_hunter.models.registry import training_curve
from optim_hunter.stats.intervals import Estimate

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "optim_hunter" / "data" / "ledger.schema.json").read_text(encoding="utf-8"))


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and its text without styles and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.text = ""
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data


@pytest.fixture(scope="module")
def ledger() -> dict[str, Any]:
    return sample_ledger(claims=6, seeds=40)


# The page as text


def test_table_of_claims_is_the_first_thing(ledger: dict[str, Any]) -> None:
    page = report.page_html(ledger)
    assert page.index('<table class="claims">') == page.index("<table")
    assert page.index("</table>") < page.index("<details") < page.index("<section")
    words = Structure(page[: page.index("</table>")]).text
    for expected in ("supported", "refuted", "inconclusive", "invalid", "re-analysis", "as expected", "<0.001"):
        assert expected in words


def test_every_row_links_to_its_section(ledger: dict[str, Any]) -> None:
    page = report.page_html(ledger)
    links = [part.split('"')[0] for part in page.split('href="#')[1:]]
    assert len(set(links)) == 6 + 4 + 1
    assert all(f'id="{link}"' in page for link in links)


def test_section_tells_what_the_ledger_holds(ledger: dict[str, Any]) -> None:
    words = Structure(report.page_html(ledger)).text
    for entry in ledger["claims"][:6]:
        for key in ("sentence", "statement", "source", "definition_hash", "again", "protocol_note"):
            assert entry[key] in words
        assert all(condition["quantity"] in words for condition in entry["conditions"])
    assert "the answer is no number" in words
    assert "100-139 (40)" in words


def test_an_unexpected_verdict_and_a_failed_control_are_said(ledger: dict[str, Any]) -> None:
    changed = copy.deepcopy(ledger)
    changed["claims"][0]["expected"] = "refuted"
    changed["claims"][-1]["verdict"] = "inconclusive"
    page = report.page_html(changed)
    words = Structure(page).text
    assert "expected refuted" in words
    assert "11 of 12" in words
    assert '<details class="controls-table" open>' in page


def test_an_unfinished_and_an_empty_run_are_said(ledger: dict[str, Any]) -> None:
    run = {**ledger["run"], "finished": None, "seconds": None, "commit": None}
    words = Structure(report.page_html({"schema": 1, "run": run, "claims": []})).text
    assert "has not finished" in words
    assert "No claim was decided" in words


def test_a_quantity_that_decides_nothing_is_shown_in_its_section_alone(ledger: dict[str, Any]) -> None:
    changed = copy.deepcopy(ledger)
    squares = {**changed["claims"][0]["conditions"][0], "name": "squares", "unit": "squared", "decides": False}
    changed["claims"][0]["conditions"].append(squares)
    table, sections = (Structure(part).text for part in report.page_html(changed).split("<section", 1))
    assert "squared" not in table
    assert "squared" in sections
    assert "decides nothing" in sections


def test_claim_without_any_number_is_shown(ledger: dict[str, Any]) -> None:
    entry = copy.deepcopy(ledger["claims"][0])
    nothing = {"effect": None, "interval": None, "p": None, "p_refuted": None, "n": 0}
    entry |= {**nothing, "p_adjusted": None, "p_refuted_adjusted": None, "verdict": "invalid", "numbers": []}
    entry |= {"source_of_model": None, "corpus": None, "dtype": None, "device": None, "checks": []}
    entry["conditions"] = [{**condition, **nothing} for condition in entry["conditions"]]
    changed = {**ledger, "claims": [entry]}
    jsonschema.validate(changed, SCHEMA)
    attributes = {name for _, *names in Structure(report.page_html(changed)).elements for name in names}
    assert "data-figure" not in attributes
    assert "data-figure" in {name for _, *names in Structure(report.page_html(ledger)).elements for name in names}


def test_strings_cannot_change_the_page(ledger: dict[str, Any]) -> None:
    hostile = " ".join(HOSTILE)
    page = report.page_html(with_strings(ledger, lambda plain: f"{plain} {hostile}"))
    assert Structure(page).elements == Structure(report.page_html(ledger)).elements


@pytest.mark.parametrize("hostile", HOSTILE)
def test_strings_are_shown_as_they_are(hostile: str) -> None:
    page = report.page_html(with_strings(sample_ledger(claims=2, seeds=3), lambda _: hostile))
    assert Structure(page).text.count(text.visible(hostile)) > 40


@settings(max_examples=15, deadline=None)
@given(addition=st.text(max_size=20))
def test_no_text_can_change_the_page(addition: str) -> None:
    small = sample_ledger(claims=2, seeds=3)
    changed = with_strings(small, lambda plain: f"{plain}{addition}")
    assert Structure(report.page_html(changed)).elements == Structure(report.page_html(small)).elements


def test_policy_stands_first_and_names_scripts_by_hash(ledger: dict[str, Any]) -> None:
    page = report.page_html(ledger)
    policy = page[page.index("<head>") + 6 : page.index("</head>")].split('content="')[1].split('"')[0]
    assert page.index("Content-Security-Policy") < page.index("<meta charset")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split(";")[1]
    assert policy.endswith("; form-action 'none'; base-uri 'none'")


def test_policy_leaves_out_scripts_that_are_not_known() -> None:
    smuggled = "<head></head><body><script>window.owned = 1</script><footer><script>known()</script></footer>"
    known = "<head></head><body><footer><script>known()</script></footer>"
    assert report.secure(smuggled).split('content="')[1].split('"')[0] in report.secure(known)


def test_page_is_small(ledger: dict[str, Any]) -> None:
    assert len(report.page_html(ledger)) < 2_500_000


# The ledger's schema


def test_schema_is_one_and_holds_for_the_sample(ledger: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(ledger, SCHEMA)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("verdict", "true"), ("p", 1.2), ("n", -1), ("interval", [1]), ("surprise", 0), ("definition_hash", "ab")],
)
def test_schema_refuses_what_a_ledger_never_holds(ledger: dict[str, Any], key: str, wrong: Any) -> None:
    changed = copy.deepcopy(ledger)
    changed["claims"][0][key] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, SCHEMA)


# Figures, the forest plot and numbers


def test_strip_holds_every_number_once(ledger: dict[str, Any]) -> None:
    entry = copy.deepcopy(ledger["claims"][0])
    for row in entry["numbers"][::2]:
        row["role"] = "find"
    condition = entry["conditions"][0]
    confirming, searching, mean = figures.seed_strip(entry, condition)["data"]
    shown = dict(zip(confirming["customdata"] + searching["customdata"], confirming["x"] + searching["x"], strict=True))
    assert shown == {row["seed"]: row["values"]["gain"] for row in entry["numbers"] if "values" in row}
    low, high = condition["interval"]
    bars = mean["error_x"]
    assert mean["x"] == [condition["effect"]]
    assert [mean["x"][0] - bars["arrayminus"][0], mean["x"][0] + bars["array"][0]] == pytest.approx([low, high])


def test_labels_are_shown_as_they_are() -> None:
    labels, shown = ["<b>x</b>", "a&amp;\u202e\n"], ["&lt;b&gt;x&lt;/b&gt;", "a&amp;amp;⟨U+202E⟩\\n"]
    mean = Estimate(*np.array([[1.0, -2.0], [0.5, -3.0], [1.5, -1.0], [9, 9]]))
    drawn = {kind: draw(labels, mean, "<i>unit</i>", None, None) for kind, draw in DRAWN.items()}
    assert drawn["bars"]["data"][0]["x"] == [f"“{label}”" for label in shown]
    assert drawn["bars"]["data"][0]["marker"]["color"] == [figures.RED, figures.BLUE]
    assert drawn["layers"]["data"][0]["name"] == ", ".join(shown)
    assert drawn["methods"]["data"][0]["y"] == shown
    axes = [drawn["bars"]["layout"]["yaxis"], drawn["layers"]["layout"]["yaxis"], drawn["methods"]["layout"]["xaxis"]]
    assert {axis["title"]["text"] for axis in axes} == {"&lt;i&gt;unit&lt;/i&gt;"}
    bars = figures.component_bars(labels, mean.mean, "<i>title</i>")
    assert (bars["data"][0]["x"], bars["layout"]["title"]["text"]) == (shown, "&lt;i&gt;title&lt;/i&gt;")


def test_head_map_frames_the_marked_head_and_leaves_holes() -> None:
    figure = figures.head_map(np.array([[0.1, np.nan], [0.3, 0.4]]), "share", (1, 0))
    assert json.loads(json.dumps(figure, allow_nan=False))["data"][0]["z"] == [[0.1, None], [0.3, 0.4]]
    frame = figure["layout"]["shapes"][-1]
    assert (frame["x0"], frame["x1"], frame["y0"], frame["y1"]) == (-0.5, 0.5, 0.5, 1.5)


positive = st.floats(1e-3, 1e3)
ordinary = st.floats(-1e4, 1e4)


@given(smallest=positive, numbers=st.lists(ordinary, min_size=3, max_size=3), other=positive)
def test_forest_keeps_order_and_one_threshold(smallest: float, numbers: list[float], other: float) -> None:
    low, effect, high = sorted(numbers)
    condition = {"smallest_effect": smallest, "effect": effect, "interval": [low, high]}
    second = {"smallest_effect": other, "effect": None, "interval": None}
    axis = forest.common_axis([condition, second])
    place = axis.mark(condition)
    assert 0 <= place["low"] <= place["effect"] <= place["high"] <= axis.width
    assert place["threshold"] == axis.mark(second)["threshold"]
    if effect > 1.1 * smallest:
        assert place["effect"] >= place["threshold"]


def test_plotly_knows_every_part_of_the_figures(ledger: dict[str, Any]) -> None:
    numbers = np.array([1.0, -2.0, np.nan])
    mean = Estimate(numbers, numbers - 1, numbers + 1, np.full(3, 9))
    labels = ["embed", "attention 0", "MLP 0"]
    drawn = [draw(labels, mean, "units", [1.0, 2.0, 3.0], None) for draw in DRAWN.values()]
    drawn += [
        DRAWN["bars"](labels, mean, "units", None, [1.0, 2.0, 3.0]),
        figures.training_curve(training_curve("trained-toy")),
    ]
    drawn += [figures.seed_strip(entry, entry["conditions"][0]) for entry in ledger["claims"]]
    drawn += [shown["figure"] for entry in ledger["claims"] for shown in entry["figures"] if "figure" in shown]
    for figure in drawn:
        go.Figure(figure)
        json.dumps(figure, allow_nan=False)


def test_forest_draws_a_claim_without_a_smallest_effect() -> None:
    condition = {"smallest_effect": 0.0, "effect": 3.0, "interval": [2.0, 4.0]}
    place = forest.common_axis([condition]).mark(condition)
    assert place["zero"] == place["threshold"] < place["low"] < place["high"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12.345, "12.3"),
        (-1234.5, "−1,234"),
        (0, "0"),
        (0.0123, "0.0123"),
        (2e-5, "2.0e-5"),
        (None, "–"),
        (3e9, "3.0e9"),
    ],
)
def test_numbers(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("effect", "interval", "shown"),
    [
        (80.51, [72.01, 89.0], ("80.5", "72.0 to 89.0")),
        (-0.0275, [-0.0392, -0.0159], ("−0.028", "−0.039 to −0.016")),
        (1234.0, [800.0, 1700.0], ("1,234", "800 to 1,700")),
        (-0.001, [-0.3, 0.3], ("0.00", "−0.30 to 0.30")),
        (2.0, [2.0, 2.0], ("2.00", "2.00 to 2.00")),
        (2.0, None, ("2.00", None)),
        (None, None, ("–", None)),
    ],
)
def test_estimates(effect: float | None, interval: list[float] | None, shown: tuple[str, str | None]) -> None:
    assert text.estimate(effect, interval) == shown


def test_small_texts() -> None:
    assert [text.probability(p) for p in (0.0002, 0.0134, 0.5, None)] == ["<0.001", "0.013", "0.50", "–"]
    assert [text.stated(x) for x in (36.0, 0.05, -1.0)] == ["36", "0.05", "−1"]
    assert [text.duration(s) for s in (41, 512.3, 7500)] == ["41 s", "8 min 32 s", "2 h 5 min"]
    assert [text.seed_ranges(seeds) for seeds in ([3, 1, 2, 7], [5], [])] == ["1-3,7", "5", "–"]


@given(st.text())
def test_visible_text_hides_nothing(plain: str) -> None:
    shown = text.visible(plain)
    assert all(unicodedata.category(one) not in ("Cc", "Cf", "Cs") for one in shown if one not in "\t\n")
