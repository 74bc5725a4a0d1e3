"""Rule books as files: JSON, since it writes any token exactly and every language, a browser's too, reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from optim_hunter.claim import UserError
from optim_hunter.tasks.rules import Both, Condition, Rule, RuleBook, Suggestion, TokenIn, first_twice
from optim_hunter.tasks.spelling import in_one_line, rule_tokens
from optim_hunter.tasks.stories import tokenizer_sha256, word_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = "optim-hunter rule book 1"
Made = TypeVar("Made", TokenIn, Both)

MOST_BYTES = 20_000_000
"""No rule book that people read is larger; a file that is larger is something else."""

MOST_DIGITS = 300
"""A whole number of more digits is read as a float, in which the largest are infinite."""


class _Object(dict[str, Any]):
    """An object of the file, with the keys in it that were written before."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = first_twice([key for key, _ in pairs])


def read_rule_book(path: Path, tokenizer: Tokenizer) -> RuleBook:
    """The rule book of a file, for this tokenizer.

    Raises:
        UserError: the file cannot be read, is none, was made for another tokenizer, or names what does not exist.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"it has more than {MOST_BYTES:,} bytes and is no rule book")
        return _book(_parsed(path.read_text(encoding="utf-8")), tokenizer)
    except UnicodeDecodeError as error:
        raise UserError(f"rule book {path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise UserError(f"rule book {path}: cannot be read ({error.strerror})") from None
    except UserError as error:
        raise UserError(f"rule book {path}: {error}") from None


def packaged_groups() -> tuple[str, ...]:
    """The groups that have a packaged rule book."""
    folder = resources.files("optim_hunter.data").joinpath("rules")
    if not folder.is_dir():
        return ()
    return tuple(sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json")))


def read_rule_book_of_group(group: str, tokenizer: Tokenizer) -> RuleBook:
    """The packaged rule book of a group by name.

    Raises:
        UserError: there is none, or it was made for another tokenizer.
    """
    if group not in packaged_groups():
        raise UserError(f"no packaged rule book {group!r}: there are {', '.join(packaged_groups())}")
    with resources.as_file(resources.files("optim_hunter.data").joinpath("rules", f"{group}.json")) as path:
        return read_rule_book(path, tokenizer)


def require_rule_book_place(path: Path) -> None:
    """See that nothing but a rule book would be replaced.

    Raises:
        UserError: something else is there.
    """
    if not path.exists():
        return
    try:
        is_one = path.is_file() and path.stat().st_size <= MOST_BYTES and _is_rule_book(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        is_one = False
    if not is_one:
        raise UserError(f"{path} is there and is no rule book: it is left as it is; name another file")


def _is_rule_book(text: str) -> bool:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def written(book: RuleBook) -> str:
    """The text of the file: a rule a line, so that versions of it can be compared."""
    head = {
        "format": FORMAT,
        "tokenizer_sha256": book.tokenizer_sha256,
        "group": list(book.group),
        "intercepts": dict(book.intercepts),
    }
    lists = {
        "rules": [_rule_entry(rule) for rule in book.rules],
        "suggested": [
            _rule_entry(suggestion.rule) | {"gain": suggestion.gain, "p": suggestion.p} for suggestion in book.suggested
        ],
        "refused": [_condition_entry(condition) for condition in book.refused],
    }
    lines = [f'"{key}": {_line(value)}' for key, value in head.items()]
    lines += [f'"{key}": [' + ",".join("\n" + _line(entry) for entry in lists[key]) + "\n]" for key in lists]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rule_entry(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "sentence": rule.sentence,
        "condition": _condition_entry(rule.condition),
        "shifts": dict(rule.shifts),
        "examples": list(rule.examples),
    }


def _condition_entry(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, Both):
        return {"both": [_condition_entry(condition.first), _condition_entry(condition.second)]}
    at = {"at": condition.near} if condition.near == condition.far else {"within": [condition.near, condition.far]}
    return {"tokens": list(condition.tokens)} | at


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_int=_whole, object_pairs_hook=_Object)
    except RecursionError:
        raise UserError("lists within lists without end: it is no rule book") from None
    except json.JSONDecodeError as error:
        raise UserError(f"no JSON at line {error.lineno}, column {error.colno} ({error.msg})") from None


def _no_number(name: str) -> NoReturn:
    raise UserError(f"{name} is no number that a shift can have")


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _book(content: Any, tokenizer: Tokenizer) -> RuleBook:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f'it is no rule book; such a file has "format": "{FORMAT}"')
    keys = ("format", "tokenizer_sha256", "group", "intercepts", "rules")
    _check_keys(content, "the file", keys, ("suggested", "refused"))
    own = tokenizer_sha256(tokenizer)
    if content["tokenizer_sha256"] != own:
        named = in_one_line(str(content["tokenizer_sha256"])[:12])
        raise UserError(
            f"made for another tokenizer ({named}…, not {own[:12]}…): take the corpus that it was fitted to"
        )
    group = _texts(content["group"], "group")
    word_tokens(tokenizer, group)
    return RuleBook(
        group=group,
        tokenizer_sha256=own,
        vocabulary=rule_tokens(tokenizer),
        intercepts=_numbers(content["intercepts"], "intercepts"),
        rules=tuple(map(_rule, *_numbered(content, "rules"))),
        suggested=tuple(map(_suggestion, *_numbered(content, "suggested"))),
        refused=tuple(map(_condition, *_numbered(content, "refused"))),
    )


def _numbered(content: Mapping[str, Any], key: str) -> tuple[list[Any], list[str]]:
    """The entries of a list, and what each is called as long as it has no name."""
    entries = _list(content.get(key, []), key)
    return entries, [f"number {place} of {key}" for place in range(1, len(entries) + 1)]


RULE_KEYS = ("name", "sentence", "condition", "shifts", "examples")


def _suggestion(entry: Any, place: str) -> Suggestion:
    whose = _called(entry, place)
    _check_keys(entry, whose, (*RULE_KEYS, "gain", "p"))
    numbers = _numbers(_part(entry, ("gain", "p")), whose)
    return Suggestion(_rule(_part(entry, RULE_KEYS), place), numbers["gain"], numbers["p"])


def _part(entry: Mapping[str, Any], keys: Sequence[str]) -> _Object:
    return _Object([(key, entry[key]) for key in keys])


def _called(entry: Any, place: str) -> str:
    named = isinstance(entry, dict) and isinstance(entry.get("name"), str)
    return f"rule {entry['name']!r}" if named else place


def _rule(entry: Any, place: str) -> Rule:
    whose = _called(entry, place)
    _check_keys(entry, whose, RULE_KEYS)
    for key in ("name", "sentence"):
        if not (isinstance(entry[key], str) and entry[key].strip() and entry[key].isprintable()):
            raise UserError(f"{whose}: its {key} must be one line of text")
    condition = _condition(entry["condition"], whose)
    shifts = _numbers(entry["shifts"], f"{whose}, shifts")
    return Rule(entry["name"], entry["sentence"], condition, shifts, _texts(entry["examples"], f"{whose}, examples"))


def _condition(entry: Any, whose: str) -> Condition:
    if isinstance(entry, dict) and "both" in entry:
        _check_keys(entry, f"{whose}, condition", ("both",))
        parts = _list(entry["both"], f"{whose}, both")
        if len(parts) != 2:
            raise UserError(f"{whose}: both needs two conditions, not {len(parts)}")
        return _named(whose, Both, _token_in(parts[0], whose), _token_in(parts[1], whose))
    return _token_in(entry, whose)


def _token_in(entry: Any, whose: str) -> TokenIn:
    where = "within" if isinstance(entry, dict) and "within" in entry else "at"
    _check_keys(entry, f"{whose}, condition", ("tokens", where))
    positions = _list(entry["within"], f"{whose}, within") if where == "within" else [entry["at"]] * 2
    if len(positions) != 2 or any(type(position) is not int for position in positions):
        raise UserError(f"{whose}: positions are whole numbers: at 1, or within [2, 8]")
    return _named(whose, TokenIn, _texts(entry["tokens"], f"{whose}, tokens"), *positions)


def _named(whose: str, kind: type[Made], *parts: Any) -> Made:
    """Make a condition; what is wrong with it is said of the rule."""
    try:
        return kind(*parts)
    except UserError as error:
        raise UserError(f"{whose}: {error}") from None


def _check_keys(entry: Any, whose: str, keys: Sequence[str], others: Sequence[str] = ()) -> None:
    if not isinstance(entry, _Object):
        raise UserError(f"{whose}: an object with {', '.join(keys)} is needed")
    _check_once(entry, whose)
    if lacking := [key for key in keys if key not in entry]:
        raise UserError(f"{whose}: {lacking[0]!r} is missing")
    if unknown := [key for key in entry if key not in (*keys, *others)]:
        raise UserError(f"{whose}: {unknown[0]!r} is unknown; there are {', '.join((*keys, *others))}")


def _check_once(entry: _Object, whose: str) -> None:
    if entry.twice is not None:
        raise UserError(f"{whose}: {entry.twice!r} is written twice")


def _list(value: Any, whose: str) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{whose}: a list is needed")
    return value


def _texts(value: Any, whose: str) -> tuple[str, ...]:
    if not all(isinstance(text, str) for text in _list(value, whose)):
        raise UserError(f"{whose}: a list of texts is needed")
    if broken := [text for text in value if any("\ud800" <= character <= "\udfff" for character in text)]:
        raise UserError(f"{whose}: {broken[0]!r} holds half a character (a surrogate), which no file can")
    return tuple(value)


def _numbers(value: Any, whose: str) -> Mapping[str, float]:
    if not isinstance(value, _Object):
        raise UserError(f"{whose}: an object of numbers is needed")
    _check_once(value, whose)
    for key, number in value.items():
        if type(number) not in (int, float) or not math.isfinite(number):
            raise UserError(f"{whose}: {key!r} is no number")
    return {key: float(number) for key, number in value.items()}
