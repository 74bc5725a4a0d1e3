"""What a person answered, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optim_hunter.claim import UserError
from optim_hunter.observe.store import write_whole
from optim_hunter.stories.writable import unwritable

SCHEMA = 1

REMEDIES = {
    "seed": "another seed: give the --seed that it was made with",
    "group": "another group: give the --group that it was made with",
    "corpus_sha256": "another corpus: give the --corpus that it was made with",
    "tokenizer_sha256": "another tokenizer: install the version of tokenizers that it was made with",
    "examples": "other examples: it was edited, or made by another version of optim-hunter, which can go on",
}
"""What tells examples apart → what a file is of where that differs, and what to do; of a corpus its hash decides."""


@dataclass(frozen=True)
class Labelling:
    """The words that a person chose so far, in the order of the examples.

    `identity` is that of the examples (`Examples.identity`); `who` is the person's name, if it was given.
    """

    identity: Mapping[str, Any]
    who: str | None = None
    answers: tuple[str, ...] = ()

    @property
    def asked(self) -> int:
        """How many examples there are."""
        return len(self.identity["examples"])

    @property
    def complete(self) -> bool:
        """Whether every example has its answer."""
        return len(self.answers) == self.asked

    def answered(self, word: str) -> Labelling:
        """One more answer; none where every example has one.

        Raises:
            ValueError: the word is not of the group.
        """
        if word not in self.identity["group"]:
            raise ValueError(f"{word!r} is not of the group")
        return self if self.complete else replace(self, answers=(*self.answers, word))

    def undone(self) -> Labelling:
        """Without the last answer; as it is where there is none."""
        return replace(self, answers=self.answers[:-1])


class AnswerFile:
    """A labelling's file: written whole after each answer, and never over what another wrote.

    Raises:
        UserError: the file is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content = _content(path)

    def read(self, identity: Mapping[str, Any], who: str | None) -> Labelling:
        """What the file holds of these examples; without a file, no answer yet.

        Raises:
            UserError: no file of answers, one of other examples, or one of another person than `who`.
        """
        if self._content is None:
            return Labelling(identity, who)
        found = self._parsed(self._content)
        for name, remedy in REMEDIES.items():
            if found.get(name) != identity[name]:
                raise UserError(f"{self.path} is of {remedy}, or name another file (nothing was changed)")
        if who is not None and found["who"] not in (None, who):
            raise UserError(
                f"{self.path} has the answers of {found['who']}, not of {who}: name another file with --out"
            )
        return Labelling(identity, who or found["who"], tuple(found["answers"]))

    def save(self, labelling: Labelling) -> None:
        """Write the labelling in place of what this object read or wrote last.

        Raises:
            UserError: the file is not as it was left, or cannot be written.
        """
        if _content(self.path) != self._content:
            raise UserError(f"{self.path} was changed by another program, so nothing was written: start again to go on")
        answered = {"who": labelling.who, "answers": labelling.answers}
        content = json.dumps({"schema": SCHEMA, **labelling.identity, **answered}, indent=1).encode()
        try:
            write_whole(self.path, content)
        except OSError as error:
            raise unwritable(self.path, error, "name another with --out") from None
        self._content = content

    def _parsed(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._unreadable(f"no JSON: {error}") from None
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise self._unreadable(f"not of schema {SCHEMA}")
        if fault := _fault(found):
            raise self._unreadable(fault)
        return found

    def _unreadable(self, why: str) -> UserError:
        return UserError(
            f"{self.path} is no file of answers ({why}): restore it, or name another file (nothing was changed)"
        )


def _fault(found: Mapping[str, Any]) -> str:
    """What is wrong with the answers of a file, in words; nothing if they can be read."""
    lists: list[Any] = [found.get(name) for name in ("group", "examples", "answers")]
    if not all(isinstance(part, list) for part in lists):
        return "group, examples and answers are no lists"
    group, examples, answers = lists
    if len(answers) > len(examples):
        return f"{len(answers)} answers to {len(examples)} examples"
    if odd := [word for word in answers if word not in group]:
        return f"the answer {odd[0]!r} is not of its group"
    if not isinstance(found.get("who"), str | None):
        return "who is no text"
    return ""


def _content(path: Path) -> bytes | None:
    """The bytes of a file; None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name another file") from None
