"""The folder of a fit before it is finished: whether it may be used, for which question, and what is kept in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from optim_hunter.claim import UserError
from optim_hunter.observe.store import write_whole
from optim_hunter.stories.fitted_folder import SUMMARY, TOKENIZER, WEIGHTS, read_summary

PAGE, UNFINISHED, QUESTION = "fit.html", "unfinished", "question.json"
FILES = (WEIGHTS, TOKENIZER, SUMMARY, PAGE)
LEFT = re.compile(r"(weights|tokenizer|summary|fit)\.[0-9a-f]{12}\.unfinished")
"""Names of what a fit leaves in its folder when it is killed while it writes a file (`store.write_whole`)."""

LEFT_BY_MARK = re.compile(r"question\.[0-9a-f]{12}\.unfinished")

OTHER = "name another folder with --out"


@dataclass(frozen=True)
class Question:
    """What tells one fit from another: the text of the corpus, the words, and the version of the code that fits."""

    corpus_sha256: str
    group: Sequence[str]
    engine: str

    def differences(self, written: object) -> frozenset[str]:
        """Names of what is otherwise in JSON data of a question."""
        found = written if isinstance(written, dict) else {}
        own = json.loads(json.dumps(asdict(self)))
        return frozenset(name for name, value in own.items() if found.get(name) != value)


def is_finished(folder: Path, question: Question, model: str | None) -> bool:
    """Whether a folder holds this very fit, beside this language model or none.

    Raises:
        UserError: it holds another fit, finished or not, or something else, or is no folder.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: {OTHER}")
    if foreign := sorted(path.name for path in folder.iterdir() if not _may_be_ours(path)):
        raise UserError(f"{folder} holds something that is no fit ({foreign[0]}): {OTHER}")
    if (folder / SUMMARY).exists():
        _require_same(folder, question, model)
        return True
    if (folder / UNFINISHED / QUESTION).exists():
        _require_no_other_unfinished(folder, question)
    elif foreign := sorted(path.name for path in folder.rglob("*") if not _left_by_mark(path)):
        raise UserError(f"{folder} holds {foreign[0]}, but no fit that was begun or finished: {OTHER}")
    return False


def _may_be_ours(path: Path) -> bool:
    """By its name and kind, which a user's own file may have as well."""
    if path.name == UNFINISHED:
        return path.is_dir() and not path.is_symlink()
    return path.is_file() and (path.name in FILES or LEFT.fullmatch(path.name) is not None)


def _left_by_mark(path: Path) -> bool:
    """Whether it is what `mark` leaves when it is killed before it ends."""
    return path.name == UNFINISHED or LEFT_BY_MARK.fullmatch(path.name) is not None


def _require_same(folder: Path, question: Question, model: str | None) -> None:
    summary = read_summary(folder)
    if differences := question.differences(summary.get("question")):
        what = "of another version of this program" if differences == {"engine"} else "of another group or corpus"
        raise UserError(f"{folder} holds the fit {what}: {OTHER}")
    beside = (summary.get("language_model") or {}).get("name")
    if beside != model:
        raise UserError(
            f"{folder} holds this fit beside {beside or 'no language model'}, not {model or 'none'}: {OTHER}"
        )


def _require_no_other_unfinished(folder: Path, question: Question) -> None:
    marked = folder / UNFINISHED / QUESTION
    try:
        begun = json.loads(marked.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{marked} cannot be read ({error}): {OTHER}, or remove {folder / UNFINISHED}") from None
    if question.differences(begun) - {"engine"}:  # what another version fitted is not taken from the store
        raise UserError(
            f"{folder} holds an unfinished fit of another group or corpus: {OTHER}, or give the same command as then"
        )


def mark(folder: Path, question: Question) -> None:
    """Note whose unfinished fit this is.

    Raises:
        OSError: the disk refuses.
    """
    write_whole(folder / UNFINISHED / QUESTION, json.dumps(asdict(question)).encode())


def clear(folder: Path) -> None:
    """Remove what was kept for a fit that is finished now and what killed processes left; what resists stays."""
    if (folder / UNFINISHED / QUESTION).is_file():
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    for path in folder.iterdir():
        if LEFT.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()
