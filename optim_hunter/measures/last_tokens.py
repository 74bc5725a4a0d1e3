"""What a corpus says of words and the tokens before them: shares of its windows."""

from __future__ import annotations

from optim_hunter.claim import NoValue, UserError
from optim_hunter.observe.last_tokens import LastTokenCounts


def share_preceded(observation: LastTokenCounts, word: str, token: str) -> float:
    """Of the windows before a word, the share whose last token is this.

    Raises:
        UserError: the group has no such word, or the vocabulary no such token.
        NoValue: the resample has no such window.
    """
    row, column = _place(observation.tokens, token, "tokens"), _place(observation.group, word, "words")
    total = observation.counts[:, column].sum()
    if not total:
        raise NoValue(f"no story of this resample has a window before {word!r}")
    return float(observation.counts[row, column] / total)


def share_followed(observation: LastTokenCounts, token: str, word: str) -> float:
    """Of the windows whose last token is this, the share before a word.

    Raises:
        UserError: the group has no such word, or the vocabulary no such token.
        NoValue: the resample has no such window.
    """
    row, column = _place(observation.tokens, token, "tokens"), _place(observation.group, word, "words")
    total = observation.counts[row].sum()
    if not total:
        raise NoValue(f"no story of this resample has a window that ends with {token!r}")
    return float(observation.counts[row, column] / total)


def _place(names: tuple[str, ...], name: str, where: str) -> int:
    if name not in names:
        raise UserError(f"{name!r} is not among the {len(names)} {where} that were counted; name one that is")
    return names.index(name)
