"""The folder of a fit before it is finished: whether it may be used, for which question, and what is kept in it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from optim_hunter.claim import UserError
from optim_hunter.observe.store import write_whole
from optim_hunter.stories.fitted_folder import SUMMARY, TOKENIZER, WEIGHTS, read_summary

PAGE, UNFINISHED, QUESTION = "fit.html", "unfinished", "question.json"
OURS = re.compile("|".join(map(re.escape, (WEIGHTS, TOKENIZER, SUMMARY, PAGE, UNFINISHED))) + r"|.+\.unfinished")
"""Names of what a fit leaves in its folder, also when it is killed while it writes."""

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
    if foreign := sorted(path.name for path in folder.iterdir() if not OURS.fullmatch(path.name)):
        raise UserError(f"{folder} holds something that is no fit ({foreign[0]}): {OTHER}")
    if (folder / SUMMARY).exists():
        _require_same(folder, question, model)
        return True
    _require_no_other_unfinished(folder, question)
    return False


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
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{marked} cannot be read ({error}): {OTHER}, or remove {folder / UNFINISHED}") from None
    if question.differences(begun) - {"engine"}:  # what another version fitted is not taken from the store
        raise UserError(
            f"{folder} holds an unfinished fit of another group or corpus: {OTHER}, or give the same command as then"
        )


def require_writable(folder: Path) -> None:
    """Make the folder, before long work.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> UserError:
    """The user's mistake behind an error of the disk."""
    return UserError(f"{folder} cannot be written ({error.strerror}): make it writable, or {OTHER}")


def mark(folder: Path, question: Question) -> None:
    """Note whose unfinished fit this is.

    Raises:
        OSError: the disk refuses.
    """
    write_whole(folder / UNFINISHED / QUESTION, json.dumps(asdict(question)).encode())


def clear(folder: Path) -> None:
    """Remove what was kept for a fit that is finished now."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    for left in folder.glob("*.unfinished"):
        left.unlink(missing_ok=True)
