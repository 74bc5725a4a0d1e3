"""Two versions of code line by line, as the page shows them."""

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optim_hunter.evidence import fragment
from optim_hunter.evidence.code_lines import changed_lines, lines_of

BEFORE = ast.unparse(
    ast.parse("""
def test_late(observation):
    return {'lead': lead(observation), 'né': {'a': 1, **rest(observation)}, 'drop': drop(observation, times=2)}
""")
)
AFTER = BEFORE.replace("times=2", "times=3")


def test_an_entry_of_a_dictionary_has_a_line_of_its_own():
    assert lines_of(BEFORE) == [
        "def test_late(observation):",
        "    return {",
        "        'lead': lead(observation),",
        "        'né': {",
        "        'a': 1, **rest(observation)},",
        "        'drop': drop(observation, times=2)}",
    ]


def test_only_what_differs_is_marked():
    was, now = changed_lines(BEFORE, AFTER)
    assert [line for line, changed in was if changed] == ["        'drop': drop(observation, times=2)}"]
    assert [line for line, changed in now if changed] == ["        'drop': drop(observation, times=3)}"]
    assert [line for line, changed in was if not changed] == [line for line, changed in now if not changed]
    assert not any(changed for version in changed_lines(BEFORE, BEFORE) for _, changed in version)


def test_the_page_marks_changed_lines_and_escapes_them():
    macros = fragment._environment().get_template("macros.html").module
    shown = str(macros.changed_parts([{"part": "code", "was": "a\nb", "now": "a\n<b>"}], "Then", "Now"))
    assert "<pre>  a\n<mark>− b</mark></pre>" in shown
    assert "<pre>  a\n<mark>+ &lt;b&gt;</mark></pre>" in shown
    added = str(macros.changed_parts([{"part": "code", "was": None, "now": "a"}], "Then", "Now"))
    assert "<pre>not stated</pre>" in added
    assert "<pre><mark>+ a</mark></pre>" in added


@given(st.text(), st.text())
@example("{1: 2, 3: 4}", "{1: 2}")
@example("(" * 500, "\\d")
@example("\ud800", "'\\d'")
def test_no_text_is_lost(was, now):
    for text, lines in zip((was, now), changed_lines(was, now), strict=True):
        shown = "".join("".join(line.split()) for line, _ in lines)
        assert shown == "".join(text.encode(errors="replace").decode().split())


@pytest.mark.parametrize("code", ["", "0.0", "not code at all", "'unfinished"])
def test_what_is_no_code_keeps_its_lines(code):
    assert lines_of(code) == [code]
