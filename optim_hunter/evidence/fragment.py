"""Markup with figures: what the evidence page, the published experiments and the notes are made of.

A fragment holds headings, sentences, tables, and figures as data; it draws nothing by itself. The page around it holds
plotly.js once, and one known script that draws each figure when it comes into view. Templates escape every string.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from optim_hunter.evidence import text
from optim_hunter.evidence.code_lines import changed_lines
from optim_hunter.evidence.figures import Figure

IN_NOTES = "OPTIM_HUNTER_NOTES"
"""Set while the blocks of a document run: its page holds plotly.js, so that a fragment is enough.

The value marks the fragment. It is drawn for the run, so that no text that a model or a data set brings can hold it.
"""


@dataclass(frozen=True)
class Titled:
    """A figure with the caption over it; `key` ties its place in the page to its data."""

    title: str
    figure: Figure

    @cached_property
    def key(self) -> str:
        """A hash of the data, so that fragments made by different processes can stand in one page."""
        return hashlib.sha256(json.dumps(self.figure, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Table:
    """Rows of text under a caption; the first cell of each names the row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """What is seen, in a sentence or two, and what shows it."""

    heading: str
    text: str
    figures: Sequence[Titled] = ()
    tables: Sequence[Table] = ()


class Html(str):
    """HTML as text; a notebook shows it as it is meant."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def shown(title: str, sections: Sequence[Section], warnings: Sequence[str] = ()) -> Html:
    """Sections under a title: a page of its own, or a fragment for the page of the notes (`OPTIM_HUNTER_NOTES`).

    `warnings` stand above them.
    """
    mark = os.environ.get(IN_NOTES)
    markup = Markup(render("fragment.html", title=title, sections=sections, warnings=warnings, mark=mark))
    if mark:
        return Html(markup)
    body = Markup('<style>{}</style>\n<main class="page">\n{}\n</main>\n{}').format(style(), markup, assets())
    return Html(secure(page(title, body)))


def parts(printed: str, mark: str) -> list[tuple[str, bool]]:
    """What was printed, cut into texts and fragments (True) that bear the mark, in order; the mark is taken out.

    A fragment cannot end early: within it every string is escaped.
    """
    opening = f'<section class="fragment" data-mark="{mark}">'
    cut = re.split(rf"^({re.escape(opening)}.*?^</section>)$", printed, flags=re.DOTALL | re.MULTILINE)
    found = [(unmarked(part, mark), place % 2 == 1) for place, part in enumerate(cut)]
    return [(part, is_fragment) for part, is_fragment in found if part]


def unmarked(markup: str, mark: str) -> str:
    """Markup without the mark of its fragments."""
    return markup.replace(f' data-mark="{mark}"', "")


def page(title: str, body: Markup) -> str:
    """A whole document around markup."""
    return render("page.html", title=title, body=body)


def style() -> Markup:
    """The style sheet of fragments and figures, for a `<style>` element."""
    return Markup(template_text("page.css"))


def assets() -> Markup:
    """plotly.js and the script that draws, for the end of a page's body: once a page."""
    return Markup(render("assets.html"))


def secure(whole_page: str, scripts: Iterable[str] = ()) -> str:
    """A page with a Content-Security-Policy: nothing is loaded, no form is sent, and only known scripts run.

    Known, by their hashes, are plotly.js, the script that draws, and the text of `scripts`.
    """
    return allow_only(whole_page, [*scripts, template_text("figures.js"), _plotly_source()])


def allow_only(whole_page: str, scripts: Iterable[str]) -> str:
    """The same for a page without figures: no script runs but those of this text."""
    hashes = " ".join(f"'sha256-{_base64(hashlib.sha256(script.encode()).digest())}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "form-action 'none'; base-uri 'none'"  # which default-src does not cover
    )
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return whole_page.replace("<head>", f"<head>{tag}", 1)


def render(template: str, **values: Any) -> str:
    """A template of this package, filled in; every string is escaped, and what is invisible in it spelled out."""
    return _environment().get_template(template).render(**values)


def template_text(name: str) -> str:
    """A file beside the templates, as it is."""
    return resources.files("optim_hunter.evidence").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("optim_hunter.evidence", "templates"),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "number": text.number,
        "stated": text.stated,
        "probability": text.probability,
        "duration": text.duration,
        "seeds": text.seed_ranges,
        "work_text": text.work_text,
        "data": _json_data,
        "packed_data": _packed_data,
        "json": json.dumps,
    }
    environment.globals |= {
        "raw": lambda name: Markup(template_text(name)),
        "plotly": _packed_plotly,
        "estimate": text.estimate,
        "changed_lines": changed_lines,
    }
    return environment


def _shown(value: Any) -> Any:
    """What a template writes for a value: text with nothing invisible in it."""
    return value if isinstance(value, Markup) else text.visible(str(value))


def _json_data(value: Any) -> Markup:
    """JSON that can stand in a `<script>` element, since no `<` is left in it."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def _packed_data(value: Any) -> Markup:
    """JSON as gzip in base64, for what is looked at on demand."""
    content = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    return Markup(_base64(gzip.compress(content, mtime=0)))


@functools.cache
def _plotly_source() -> str:
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source


@functools.cache
def _packed_plotly() -> Markup:
    """plotly.js as gzip in base64: a third of its size, and parsed by no browser before a figure is seen."""
    return Markup(_base64(gzip.compress(_plotly_source().encode(), mtime=0)))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
