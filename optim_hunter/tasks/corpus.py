"""Where stories come from: the packaged corpus, a file of the user's, or TinyStories on the hub."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from optim_hunter.claim import UserError

SEPARATOR = "<|endoftext|>"
HUB_NAME = "roneneldan/TinyStories"
HUB_FILE = "TinyStories-valid.txt"
HUB_REVISION = "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64"
MOST_BYTES = 4 * 2**30
"""Of the text in a .gz file: twice all of TinyStories. A small file can be packed so that it fills any memory."""
FORMS = f"a .txt or .gz file of stories with {SEPARATOR} between them, or {HUB_NAME}"


@dataclass(frozen=True)
class Corpus:
    """Stories, with a name that says what they are, the sha256 of the unpacked text, and what to know of it.

    `written_by` is the sha256 of the weights that wrote the text, where that is known.
    """

    name: str
    stories: tuple[str, ...]
    sha256: str
    note: str
    written_by: str | None = None

    @property
    def described(self) -> dict[str, Any]:
        """What it is, as plain JSON data."""
        return {"name": self.name, "sha256": self.sha256, "note": self.note}


def read_corpus(source: str | Path | None) -> Corpus:
    """The packaged corpus for None, a file for a path, TinyStories (validation split) for its hub name.

    Raises:
        UserError: a missing, empty or broken file, text that is not UTF-8, a hub that cannot be reached.
    """
    if source is None:
        record = packaged_record()
        with resources.as_file(resources.files("optim_hunter.data").joinpath("stories.txt.gz")) as path:
            return corpus_of("packaged stories.txt.gz", read_text(path), f"{record['what']}; {record['missing']}")
    if str(source) == HUB_NAME:
        name = f"{HUB_NAME} {HUB_FILE} at revision {HUB_REVISION[:12]}"
        return corpus_of(name, read_text(_hub_file()), "the validation split of TinyStories (CDLA-Sharing-1.0)")
    path = Path(source)
    return corpus_of(path.name, read_text(path), "")


def packaged_record() -> dict[str, Any]:
    """How the packaged corpus was made: the hash of its text, that of the weights that wrote it, and more."""
    record = json.loads(resources.files("optim_hunter.data").joinpath("stories.json").read_text(encoding="utf-8"))
    assert isinstance(record, dict)
    return record


def check_corpus(source: str | None) -> None:
    """Read a corpus file that was named, before any long work; the hub is not asked yet.

    Raises:
        UserError: as `read_corpus`.
    """
    if source is not None and source != HUB_NAME:
        read_corpus(source)


def corpus_of(name: str, text: str, note: str) -> Corpus:
    """Split a text into its stories.

    Raises:
        UserError: no story in it.
    """
    stories = tuple(story for part in text.split(SEPARATOR) if (story := part.strip()))
    if not stories:
        raise UserError(f"corpus {name}: there is no story in it; give {FORMS}")
    digest, record = hashlib.sha256(text.encode()).hexdigest(), packaged_record()
    written_by = record["weights_sha256"] if digest == record["text_sha256"] else None
    return Corpus(name, stories, digest, note, written_by)


def read_text(path: Path) -> str:
    """Text of a .gz file or of a plain one.

    Raises:
        UserError: the file is missing, no file, broken, not UTF-8, or larger than `MOST_BYTES` when unpacked.
    """
    try:
        return (_unpacked(path) if path.suffix == ".gz" else path.read_bytes()).decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"corpus {path}: there is no such file; give {FORMS}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"corpus {path}: no whole gzip file ({error}); fetch or compress it again") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"corpus {path}: not UTF-8 at byte {error.start}; convert it, e.g. with iconv -t utf-8"
        ) from None
    except OSError as error:
        raise UserError(f"corpus {path}: cannot be read ({error.strerror}); give {FORMS}") from None


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"corpus {path}: unpacks to more than {MOST_BYTES:,} bytes; give a part of it, or a .txt file")
    return content


def _hub_file() -> Path:
    """The validation text of TinyStories, from the hub's cache or the hub."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(HUB_NAME, HUB_FILE, repo_type="dataset", revision=HUB_REVISION))
    except Exception as error:  # the hub's client raises those of several libraries
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"corpus {HUB_NAME}: the hub cannot be reached ({cause}); connect, or give the path of a downloaded file"
        ) from None
