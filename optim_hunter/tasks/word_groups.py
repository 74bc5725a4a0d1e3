"""Groups of five words that a model of stories chooses among, by name or spelled out by the user."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from optim_hunter.claim import UserError
from optim_hunter.tasks.stories import CONJUNCTIONS

WORD_GROUPS: Mapping[str, tuple[str, ...]] = {
    "conjunctions": CONJUNCTIONS,
    "pronouns": (" he", " she", " it", " they", " we"),
    "prepositions": (" in", " on", " with", " at", " from"),
    "to-be": (" was", " were", " is", " are", " be"),
    "determiners": (" the", " a", " an", " some", " every"),
    "possessives": (" his", " her", " their", " my", " your"),
    "feelings": (" happy", " sad", " scared", " excited", " proud"),
    "time": (" when", " then", " again", " always", " never"),
    "auxiliaries": (" could", " would", " can", " will", " did"),
    "sizes": (" big", " little", " small", " long", " high"),
}
"""Each word is one token of the packaged corpus's tokenizer and of TinyStories', with 100 windows or more in both."""


@dataclass(frozen=True)
class WordGroup:
    """A name for files and pages, and the words, each with the space before it."""

    name: str
    words: tuple[str, ...]


def name_of_group(words: tuple[str, ...]) -> str:
    """The name of a group by its words.

    Raises:
        UserError: it has none.
    """
    for name, known in WORD_GROUPS.items():
        if known == words:
            return name
    raise UserError(f"no name for the word group {list(words)}: choose one of {', '.join(WORD_GROUPS)}")


def word_group(written: str) -> WordGroup:
    """A group by its name, or the user's own: words with commas between them, as in `and,but,so`.

    A group of the user's own keeps its commas as its name, which no registered one has.

    Whether each word is a single token is for the tokenizer of a corpus to say (`tasks.stories.word_tokens`).

    Raises:
        UserError: no such name; fewer than two words, or one that is there twice or is no word.
    """
    if written in WORD_GROUPS:
        return WordGroup(written, WORD_GROUPS[written])
    if "," not in written:
        close = difflib.get_close_matches(written, WORD_GROUPS, n=1)
        guess = f"did you mean {close[0]}? " if close else ""
        raise UserError(
            f"no word group {written!r}: {guess}choose one of {', '.join(WORD_GROUPS)}, or write words with commas "
            "between them, as in and,but,so"
        )
    words = [word.strip() for word in written.split(",")]
    if odd := [word for word in words if not word.isalnum()]:
        raise UserError(f"word group {written!r}: {odd[0]!r} is no word; write letters with commas between the words")
    if twice := sorted({word for word in words if words.count(word) > 1}):
        raise UserError(f"word group {written!r}: {twice[0]!r} is in it twice; name each word once")
    return WordGroup(",".join(words), tuple(f" {word}" for word in words))
