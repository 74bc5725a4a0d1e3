"""What a document may hold beside Markdown: blocks to execute, asides, mathematics in `\\( \\)` and `\\[ \\]`."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from optim_hunter.claim import UserError

OUTPUTS = ("pandoc", "raw")
END = "<</execute>>"
FORM = '<<execute id="…" output="pandoc|raw">>, a Python block between ```python and ```, <</execute>>'
START = re.compile(r"<<execute((?:\s+\w+=\"[^\"]*\")*)\s*>>")
ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")
FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})\s*(?P<language>\S*)")


def parser() -> MarkdownIt:
    """A Markdown parser that knows the form of the notes.

    Its tokens are markdown-it's; a block to execute is a token `execute` with the code as content and `id` and `output`
    in its meta. HTML in the document is the author's and stays.
    """
    markdown = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    front_matter_plugin(markdown)
    footnote_plugin(markdown)
    anchors_plugin(markdown, max_level=6)
    dollarmath_plugin(markdown, allow_labels=False, allow_space=False, allow_digits=False, double_inline=True)
    container_plugin(markdown, "aside", marker="^", validate=lambda words, _marker: not words.strip())
    may_end: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    markdown.block.ruler.before("fence", "execute", execute_block, may_end)
    markdown.block.ruler.before("fence", "bracket_math", bracket_math_block, may_end)
    markdown.inline.ruler.before("escape", "bracket_math", bracket_math)
    markdown.core.ruler.before("footnote_tail", "footnote_kept", keep_unreferenced_footnotes)
    markdown.core.ruler.push("aside_closed", require_closed_asides)
    return markdown


def execute_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The rule for `<<execute …>>`; raises UserError with the line for what is not of the form."""
    first = _line(state, start)
    if state.is_code_block(start) or not first.startswith(("<<execute", END)):
        return False
    if silent:
        return True
    attributes = _attributes(first, start)
    opening = _next_line(state, start + 1, end)
    fence = FENCE.fullmatch(_line(state, opening)) if opening < end else None
    if fence is None or fence["language"] not in ("python", "py"):
        raise _wrong(start, f"holds no Python block. The form is {FORM}")
    closing = next((line for line in range(opening + 1, end) if _ends(_line(state, line), fence["fence"])), end)
    last = _next_line(state, closing + 1, end)
    if last >= end or _line(state, last) != END:
        found = "is not closed" if last >= end else f"is not closed after its Python block, but line {last + 1} follows"
        raise _wrong(start, f"{found}. The form is {FORM}")
    token = state.push("execute", "", 0)
    token.block, token.map, token.meta = True, [start, last + 1], attributes
    token.content = state.getLines(opening + 1, closing, state.sCount[opening], False)
    state.line = last + 1
    return True


def _attributes(first: str, line: int) -> dict[str, str]:
    if first == END:
        raise UserError(f"line {line + 1}: {END} closes nothing: remove it, or open the block. The form is {FORM}")
    match = START.fullmatch(first)
    if match is None:
        raise UserError(f"line {line + 1}: {first} cannot be read. The form is {FORM}")
    attributes = {"output": "pandoc", **dict(ATTRIBUTE.findall(match[1]))}
    if unknown := attributes.keys() - {"id", "output"}:
        raise UserError(f"line {line + 1}: {first} has an unknown {min(unknown)}: it takes id and output")
    if not attributes.get("id", "").strip():
        raise UserError(f"line {line + 1}: {first} has no id: give it one that no other block has")
    if attributes["output"] not in OUTPUTS:
        raise UserError(f'line {line + 1}: output="{attributes["output"]}" is unknown: it is {" or ".join(OUTPUTS)}')
    return attributes


def _wrong(line: int, what: str) -> UserError:
    return UserError(f"line {line + 1}: <<execute>> {what}")


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()


def _next_line(state: StateBlock, line: int, end: int) -> int:
    """The next line that is not blank."""
    return next((number for number in range(line, end) if not state.isEmpty(number)), end)


def _ends(line: str, fence: str) -> bool:
    return len(line) >= len(fence) and set(line) == {fence[0]}


def bracket_math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""The rule for `\[ … \]` that begins and ends a line; in it no line is Markdown."""
    if state.is_code_block(start) or not _line(state, start).startswith(r"\["):
        return False
    last = next((line for line in range(start, end) if r"\]" in _line(state, line)), end)
    if last >= end or not _line(state, last).endswith(r"\]"):
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.block, token.map = True, [start, last + 1]
        token.content = state.getLines(start, last + 1, state.blkIndent, False).strip()[2:-2]
        state.line = last + 1
    return True


def bracket_math(state: StateInline, silent: bool) -> bool:
    r"""The rule for `\( … \)`, and for `\[ … \]` within a paragraph."""
    opening = state.src[state.pos : state.pos + 2]
    closing = {r"\(": r"\)", r"\[": r"\]"}.get(opening)
    if closing is None:
        return False
    end = state.src.find(closing, state.pos + 2, state.posMax)
    if end < 0 or not state.src[state.pos + 2 : end].strip():
        return False
    if not silent:
        token = state.push("math_inline" if opening == r"\(" else "math_inline_double", "math", 0)
        token.content = state.src[state.pos + 2 : end]
    state.pos = end + 2
    return True


def keep_unreferenced_footnotes(state: StateCore) -> None:
    """Number the footnotes that no text refers to after the others: a list of references is often written so."""
    footnotes = state.env.get("footnotes", {"refs": {}, "list": {}})
    for label, number in footnotes["refs"].items():
        if number < 0:
            footnotes["refs"][label] = len(footnotes["list"])
            footnotes["list"][len(footnotes["list"])] = {"label": label[1:], "count": 0}


def require_closed_asides(state: StateCore) -> None:
    """Raises UserError for `^^^` without its end, which would take in the rest of the document."""
    lines = state.src.split("\n")
    for token in state.tokens:
        if token.type == "container_aside_open":
            assert token.map is not None
            start, end = token.map
            if end >= len(lines) or not lines[end].strip(" >").startswith(token.markup):
                raise UserError(f"line {start + 1}: this aside is not closed: end it with a line {token.markup}")
