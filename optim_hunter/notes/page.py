"""A document and what its blocks gave, as one page that needs no network."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from optim_hunter.evidence import fragment
from optim_hunter.evidence.text import visible
from optim_hunter.notes.document import Block, Document
from optim_hunter.notes.forms import parser
from optim_hunter.notes.results import Output, Result

FIGURE = re.compile(r"<div\b[^>]*\sdata-figure=")
CHARACTER = re.compile(r"&#x([0-9A-F]{5});")
"""How latex2mathml writes a sign in the text of an element."""
UNWANTED = re.compile(
    r"<(?=/?(?:base|iframe|link|meta|noembed|noframes|plaintext|textarea|title|xmp)\b"  # past the policy, or all text
    r"|!--(?!.*?-->)|(script|style|template)\b(?!.*?</\1))",  # without an end
    flags=re.IGNORECASE | re.DOTALL,
)
"""Where elements begin that reach the network past the page's policy, or that swallow what follows."""
SHOWN_FIRST = ("title", "date", "reading_time")
CONTENTS_FROM = 3
"""Headings from which on a page gets a table of contents."""


@dataclass(frozen=True)
class About:
    """What the page says of its making: the model that was chosen, and the cap of `--seeds`."""

    model: str
    cap: int | None


def page_html(document: Document, results: Mapping[int, Result], folder: Path, fallback: str, about: About) -> str:
    """The page of a document.

    Args:
        results: of the blocks that were run, by index.
        folder: where the pictures lie that the document names.
        fallback: the title, where neither the front matter nor a heading gives one.
        about: what the page says of its making.
    """
    headings = _headings(document.tokens)
    title = document.front.get("title") or (headings[0].text if headings else fallback)
    body = _body(document, results, folder, "title" in document.front)
    page = fragment.render(
        "notes.html",
        title=title,
        own_title="title" in document.front,
        front=document.front,
        others={name: value for name, value in document.front.items() if name not in SHOWN_FIRST},
        headings=_contents(headings),
        body=body,
        style=fragment.style() + Markup(_colours()),
        figures=bool(FIGURE.search(body)),
        ran=bool(results),
        about=about,
    )
    return fragment.secure(page)


def _body(document: Document, results: Mapping[int, Result], folder: Path, shifted: bool) -> Markup:
    markdown = parser()
    rules: dict[str, Callable[[Sequence[Token], int], str]] = {
        "execute": lambda tokens, at: block_html(*_of(document, results, tokens[at])),
        "fence": lambda tokens, at: _fence(document, results, tokens[at]),
        "code_block": lambda tokens, at: code_html(tokens[at].content, ""),
        "container_aside_open": lambda *_: "<aside>\n",
        "container_aside_close": lambda *_: "</aside>\n",
        "math_inline": lambda tokens, at: mathematics(tokens[at].content, "inline"),
        "math_inline_double": lambda tokens, at: mathematics(tokens[at].content, "block"),
        "math_block": lambda tokens, at: f"<div class='scroll'>{mathematics(tokens[at].content, 'block')}</div>\n",
        "image": lambda tokens, at: picture(tokens[at], folder),
        "html_block": lambda tokens, at: tamed(tokens[at].content),
        "html_inline": lambda tokens, at: tamed(tokens[at].content),
    }
    if shifted:  # the page's only h1 is its title
        rules |= dict.fromkeys(("heading_open", "heading_close"), _shifted_heading)
    for kind, rule in rules.items():
        markdown.add_render_rule(kind, _renders(rule))
    renderer = cast(RendererHTML, markdown.renderer)
    anchor = renderer.rules["footnote_anchor"]
    markdown.add_render_rule("footnote_anchor", _without_references(anchor))
    return Markup(renderer.render(document.tokens, markdown.options, document.environment))


def _renders(rule: Callable[[Sequence[Token], int], str]) -> Callable[..., str]:
    def render(_renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: Any, _environment: Any) -> str:
        return rule(tokens, at)

    return render


def _without_references(anchor: Callable[..., str]) -> Callable[..., str]:
    """No way back from a footnote that no text refers to."""

    def render(_renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, environment: Any) -> str:
        note = environment["footnotes"]["list"][tokens[at].meta["id"]]
        return "" if note.get("count") == 0 else anchor(tokens, at, options, environment)

    return render


def _shifted_heading(tokens: Sequence[Token], at: int) -> str:
    token = tokens[at]
    level = min(int(token.tag[1]) + 1, 6)
    if token.nesting < 0:
        return f"</h{level}>\n"
    return Markup('<h{} id="{}">').format(level, token.attrGet("id"))


def _of(document: Document, results: Mapping[int, Result], token: Token) -> tuple[Block, Result | None]:
    index = token.meta["block"]
    return document.blocks[index], results.get(index)


def _fence(document: Document, results: Mapping[int, Result], token: Token) -> str:
    if "block" in token.meta:
        return block_html(*_of(document, results, token))
    return code_html(token.content, (token.info.split() or [""])[0])


def block_html(block: Block, result: Result | None) -> Markup:
    """A block: the code, folded away if it stands for its output; its traceback; what it gave."""
    code = code_html(block.code, "python")
    if not block.plain:
        state = Markup(" open") if result is None or result.error is not None else ""
        code = Markup('<details class="code"{}><summary>Code</summary>\n{}</details>\n').format(state, code)
    parts = [code]
    if result is not None and result.error is not None:
        words = "This block failed." if block.plain else f"Block {block.name} failed."
        error = Markup('<div class="failed"><p>{}</p>\n<pre>{}</pre></div>\n')
        parts.append(error.format(visible(words), visible(result.error)))
    parts += _outputs(result.outputs if result else (), block.output)
    return Markup('<div class="block">\n{}</div>\n').format(Markup().join(parts))


def _outputs(outputs: Sequence[Output], mode: str) -> list[Markup]:
    shown = outputs if mode == "plain" else _as_printed(outputs)
    return [_output(output, mode) for output in shown]


def _as_printed(outputs: Sequence[Output]) -> list[Output]:
    """What was printed in one piece again: raw HTML around a fragment encloses it."""
    joined: list[Output] = []
    for is_printed, group in groupby(outputs, lambda one: one.kind in {"printed", "fragment"}):
        some = list(group)
        joined += [Output("printed", "".join(one.content for one in some))] if is_printed else some
    return joined


def _output(output: Output, mode: str) -> Markup:
    if output.kind in {"html", "fragment"} or (output.kind == "printed" and mode == "raw"):
        return Markup('<div class="output">\n{}\n</div>\n').format(tamed(output.content))
    return _preformatted(output.content)


def tamed(html: str) -> Markup:
    """HTML of an author or a block, in which the elements are text that the page's policy cannot hold (`UNWANTED`)."""
    return Markup(UNWANTED.sub("&lt;", html))


def _preformatted(text: str) -> Markup:
    shown = visible(text).strip("\n")
    return Markup('<pre class="output">\n{}</pre>\n').format(shown) if shown.strip() else Markup()


def code_html(code: str, language: str) -> Markup:
    """Code in colours, where its language is known."""
    try:
        lexer = get_lexer_by_name(language or "text")
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    return Markup(highlight(visible(code), lexer, HtmlFormatter(cssclass="highlight", wrapcode=True)))


def _colours() -> str:
    """The style of code, light and dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def mathematics(tex: str, display: str) -> Markup:
    """MathML of TeX, `inline` or `block`; the TeX itself where it cannot be read."""
    try:
        element = convert_to_element(tex.strip(), display=display)
    except Exception:  # of many kinds, for what is no mathematics
        return Markup('<code class="unread" title="this is no TeX that could be read">{}</code>').format(visible(tex))
    for part in element.iter():
        part.text = CHARACTER.sub(lambda sign: chr(int(sign[1], 16)), part.text) if part.text else part.text
    return Markup(ElementTree.tostring(element, encoding="unicode"))


def picture(token: Token, folder: Path) -> Markup:
    """An image in the page itself; where there is no such file, what it shows in words."""
    source, words = str(token.attrGet("src")), _words(token.children or [])
    kind = mimetypes.guess_type(source)[0] or ""
    try:
        content = (folder / unquote(source)).read_bytes() if kind.startswith("image/") else None
    except (OSError, ValueError):
        content = None
    if content is None:
        return Markup('<span class="absent">[{}: {} was not found beside the document]</span>').format(words, source)
    data = base64.b64encode(content).decode("ascii")
    return Markup('<img src="data:{};base64,{}" alt="{}">').format(kind, data, words)


@dataclass(frozen=True)
class Heading:
    """A heading of the document; `level` is 1 to 6."""

    level: int
    anchor: str
    text: str


def _headings(tokens: Sequence[Token]) -> list[Heading]:
    return [
        Heading(int(token.tag[1]), str(token.attrGet("id")), _words(inline.children or []))
        for token, inline in pairwise(tokens)
        if token.type == "heading_open"
    ]


def _words(tokens: Sequence[Token]) -> str:
    kinds = ("text", "code_inline", "math_inline", "softbreak")
    return "".join(token.content or " " for token in tokens if token.type in kinds).strip()


def _contents(headings: Sequence[Heading]) -> list[Heading]:
    """Headings of the two highest levels after the title, if they are several."""
    if not headings:
        return []
    levels = sorted({heading.level for heading in headings})
    if sum(heading.level == levels[0] for heading in headings) == 1:
        levels = levels[1:]
    chosen = [heading for heading in headings if heading.level in levels[:2]]
    return chosen if len(chosen) >= CONTENTS_FROM else []
