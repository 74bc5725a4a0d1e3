"""The page of a document: what its form allows, mathematics, pictures, the documents of the seeds."""

import re
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from material import SEED_DOCUMENTS

from optim_hunter.notes.document import parse, read
from optim_hunter.notes.page import About, mathematics, page_html
from optim_hunter.notes.reliance import names, relied_on

HOSTILE = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"


def bare_page(source, **about):
    return page_html(parse(source), {}, Path(), "untitled", About("smollm2-135m", **{"cap": None, **about}))


FORM = f"""---
title: "{HOSTILE}"
date: 2024-12-01
reading_time: 30 minutes
authors: [A, B]
---
# First

Words[^1] where \\( a < b \\), $y_1$ is 3 $ and 4 $, and \\(\\text{{{HOSTILE}}}\\).

\\[
\\frac{{1}}{{2}}
- 3
\\]

Then \\[x^2\\] goes on.

^^^
Some *words* aside
^^^

## Second
## Third
## Fourth

````md
<<execute id="1">>
^^^
````

[^1]: A note.
[^2]: To which nothing refers.
"""


def test_the_page_shows_what_the_form_allows():
    page = bare_page(FORM)
    assert "<h1>&lt;script&gt;window.owned" in page
    assert "<span>2024-12-01</span><span>30 minutes to read</span><span>authors: A, B</span>" in page
    assert page.count("<h1") == 1
    assert re.search(r"<aside>\n<p>Some <em>words</em> aside</p>\n</aside>", page)
    assert page.count("<math") == page.count("</math>") == 5
    assert len(re.findall('<math[^>]* display="block"', page)) == 2
    assert "goes on." in page
    assert "<mo>&lt;</mo>" in page
    assert "is 3 $ and 4 $" in page
    assert "<script>window" not in page
    assert [found[1] for found in re.findall(r'<a href="#(\w+)">(\w+)</a></li>', page)] == ["Second", "Third", "Fourth"]
    assert "To which nothing refers." in page
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= set(re.findall(r'id="([\w-]+)"', page))


@given(st.text(alphabet="ab<>&\"'#x;\\{}_^$ 03C\n", min_size=1, max_size=40))
def test_mathematics_is_one_element_of_well_formed_text(tex):
    element = ElementTree.fromstring(mathematics(tex, "inline"))
    assert element.tag in ("{http://www.w3.org/1998/Math/MathML}math", "code")
    assert all(
        part.tag.startswith("{http://www.w3.org/1998/Math/MathML}") or part is element for part in element.iter()
    )


def test_pictures_beside_the_document_are_put_into_the_page(tmp_path):
    (tmp_path / "a b.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.txt").write_text("secret")
    source = "![what it *shows*](a%20b.png) ![gone](gone.png) ![text](secret.txt)"
    page = page_html(parse(source), {}, tmp_path, "untitled", About("smollm2-135m", None))
    assert '<img src="data:image/png;base64,iVBORw==" alt="what it shows">' in page
    assert "[gone: gone.png was not found beside the document]" in page
    assert "<title>untitled</title>" in page


@SEED_DOCUMENTS.needed
def test_the_seeds_documents_are_of_the_form():
    notes = read(SEED_DOCUMENTS.path / "regression-notes.md")
    executed = {block.name: block.output for block in notes.blocks if not block.plain}
    assert executed == {"1": "pandoc", **dict.fromkeys(("2", "9", "8", "3", "4", "5"), "raw")}
    assert len(notes.blocks) == 9
    found = [names(block.code) for block in notes.blocks]
    assert [relied_on(index, found) for index in range(9)] == [set()] * 9
    page = page_html(notes, {}, SEED_DOCUMENTS.path, "notes", About("smollm2-135m", None))
    assert "<title>Reverse-Engineering Linear Regression in Language Models Notes</title>" in page
    assert page.count("<math") == 2
    assert "L27H28, L28H29, L27H30 look interesting" in re.search(r"<aside>(.*?)</aside>", page, re.DOTALL)[1]
    assert "Transformers Learn In-Context" in page
    essay = read(SEED_DOCUMENTS.path / "handcrafting.md")
    assert not essay.blocks
    page = page_html(essay, {}, SEED_DOCUMENTS.path, "essay", About("smollm2-135m", None))
    assert "<title>Thoughts on Hand Crafting Language Models</title>" in page
    assert page.count("<math") == 3
