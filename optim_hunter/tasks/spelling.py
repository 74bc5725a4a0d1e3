"""Characters and parts of characters that nobody sees, spelled out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from optim_hunter.tasks.stories import token_names, token_texts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MARKED = {"\n": "⏎", "\t": "⇥"}


def spelled(character: str) -> str:
    """A character by its number: `⟨U+202E⟩` for a right-to-left override."""
    return f"⟨U+{ord(character):04X}⟩"


def in_one_line(text: str) -> str:
    """Text in which whatever is not printed is marked (line ends, tabs) or spelled out; spaces stay."""
    return text if text.isprintable() else "".join(map(_printed, text))


def _printed(character: str) -> str:
    return character if character.isprintable() else MARKED.get(character, spelled(character))


def rule_tokens(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Each token as rules name it: its text, or where it is a part of a character its bytes, `⟨E2 80⟩`.

    In the byte alphabet of the tokenizer's file such a token would look like another character (0xE9 is "é" there).
    """
    named = zip(token_texts(tokenizer), token_names(tokenizer), strict=True)
    return tuple(_by_bytes(name) if text == name and not name.isascii() else text for text, name in named)


def _by_bytes(name: str) -> str:
    return f"⟨{' '.join(f'{_byte_of_letter()[letter]:02X}' for letter in name)}⟩"


@cache
def _byte_of_letter() -> dict[str, int]:
    """The byte alphabet: a byte that Latin-1 prints is its own letter, the others are those from U+0100 on."""
    own = [byte for byte in range(256) if 33 <= byte <= 126 or (byte >= 161 and byte != 173)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + place): byte for place, byte in enumerate(others)}
