"""Drafts of a rule's name and sentence, for a person to keep or to better."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Float

from optim_hunter.tasks.rules import Condition, TokenIn
from optim_hunter.tasks.spelling import in_one_line

SHOWN_TOKENS = 5
"""So many tokens of a set are named in a sentence, two of them in a name; the condition has all."""

WORTH_SAYING = 0.05
"""Shifts that are smaller (nats) are not spoken of."""

MARKS = {
    ",": "comma", ".": "stop", "!": "exclamation", "?": "question", '"': "quote", "'": "apostrophe", "\n": "line",
    ";": "semicolon", ":": "colon", "-": "dash",
}  # fmt: skip


def drafted_sentence(condition: Condition, shifts: Mapping[str, float]) -> str:
    """What the rule says, as in: A "," just before the word raises " but" and lowers " and"."""
    subject = " together with ".join(_atom_text(atom) for atom in condition.atoms)
    raised = [word for word, shift in sorted(shifts.items(), key=lambda pair: -pair[1]) if shift > WORTH_SAYING]
    lowered = [word for word, shift in sorted(shifts.items(), key=lambda pair: pair[1]) if shift < -WORTH_SAYING]
    said = [f"{verb} {_listed(words)}" for verb, words in (("raises", raised), ("lowers", lowered)) if words]
    return f"{subject[0].upper()}{subject[1:]} {' and '.join(said) or 'moves no word by much'}."


def drafted_name(condition: Condition, taken: Collection[str]) -> str:
    """A name that can be typed at a shell, unlike those that are taken: comma-1, was-1-and-wanted-2to8."""
    name = "-and-".join(_atom_name(atom) for atom in condition.atoms)
    if name not in taken:
        return name
    return next(longer for number in range(2, len(taken) + 3) if (longer := f"{name}-{number}") not in taken)


def as_shifts(group: tuple[str, ...], values: Float[np.ndarray, "class"]) -> dict[str, float]:
    """Shifts by word, to a thousandth of a nat; those that are 0 are left out."""
    return {word: round(float(value), 3) for word, value in zip(group, values, strict=True) if round(value, 3)}


def _atom_text(atom: TokenIn) -> str:
    shown = [_quoted(token) for token in atom.tokens[:SHOWN_TOKENS]]
    if rest := len(atom.tokens) - len(shown):
        shown.append(f"{rest} more")
    tokens = f"a {shown[0]}" if len(shown) == 1 else f"one of {', '.join(shown)}"
    return f"{tokens} {place_text(atom)}"


def place_text(atom: TokenIn) -> str:
    """Where a token is looked for, in words."""
    if atom.near == atom.far:
        return "just before the word" if atom.near == 1 else f"{atom.near} tokens before the word"
    return f"anywhere {atom.near} to {atom.far} tokens before the word"


def _quoted(token: str) -> str:
    return f'"{in_one_line(token)}"'


def _listed(words: list[str]) -> str:
    quoted = [_quoted(word) for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _atom_name(atom: TokenIn) -> str:
    words = "+".join(_spoken(token) for token in atom.tokens[:2])
    if rest := len(atom.tokens) - 2 if len(atom.tokens) > 2 else 0:
        words += f"+{rest}"
    return f"{words}-{atom.near}" if atom.near == atom.far else f"{words}-{atom.near}to{atom.far}"


def _spoken(token: str) -> str:
    """A token in letters; one that goes on within a word begins with a dot, as .ing."""
    spoken = "".join(MARKS.get(letter, letter) for letter in token.strip(" "))
    spoken = re.sub(r"[^\w.]", "_", spoken) or "space"
    inside = token[:1].isalnum() and token[:1].islower()
    return f".{spoken}" if inside else spoken
