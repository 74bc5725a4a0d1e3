"""A document: its front matter, its Markdown as tokens, and the Python blocks in it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markdown_it.token import Token

from optim_hunter.claim import UserError
from optim_hunter.notes.forms import parser


@dataclass(frozen=True)
class Block:
    """A Python block.

    Attributes:
        name: its id, or `line N` for a plain block.
        output: `pandoc` or `raw` for a block to execute, `plain` for one that is only shown.
    """

    name: str
    code: str
    output: str

    @property
    def plain(self) -> bool:
        """Whether it is shown and not run, unless all are."""
        return self.output == "plain"


@dataclass(frozen=True)
class Document:
    """What a file holds. The token of block i carries i as `meta["block"]`."""

    front: Mapping[str, str]
    tokens: Sequence[Token]
    environment: dict[str, Any]
    """What the parser hands on to the renderer: the footnotes."""
    blocks: Sequence[Block]


def read(path: Path) -> Document:
    """The document of a file.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or is not of the form; with the line.
    """
    try:
        source = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a Markdown file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    try:
        return parse(source)
    except UserError as error:
        raise UserError(f"{path}, {error}") from None


def parse(source: str) -> Document:
    """The document of a text; raises UserError with the line for what is not of the form."""
    environment: dict[str, Any] = {}
    tokens = parser().parse(source, environment)
    front = _front_matter(tokens[0].content) if tokens and tokens[0].type == "front_matter" else {}
    blocks: list[Block] = []
    lines: dict[str, int] = {}
    for token in tokens:
        if token.type == "execute" or _is_python(token):
            line = token.map[0] + 1 if token.map else 0
            name = token.meta.get("id", f"line {line}")
            if name in lines:
                raise UserError(f'line {line}: id="{name}" is that of line {lines[name]} as well: give it another')
            lines[name] = line
            blocks.append(Block(name, token.content, token.meta.get("output", "plain")))
            token.meta["block"] = len(blocks) - 1
    return Document(front, tokens, environment, blocks)


def _is_python(token: Token) -> bool:
    return token.type == "fence" and token.info.split()[:1] in (["python"], ["py"])


def _front_matter(text: str) -> dict[str, str]:
    try:
        fields = yaml.safe_load(text) or {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise UserError(
            f"line {line}: the front matter is no YAML ({error.problem}): quote values that hold a colon"
        ) from None
    if not isinstance(fields, dict):
        raise UserError("line 1: the front matter is no list of fields: write `title: …`, one field a line")
    return {str(name): _in_words(value) for name, value in fields.items() if value is not None}


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_in_words(one) for one in value)
    return value.isoformat() if isinstance(value, datetime.date) else str(value)
