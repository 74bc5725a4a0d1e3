"""The store: exact, whole or not there, and never trusted when damaged."""

import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open

from optim_hunter.claim import UserError
from optim_hunter.observe import store as store_module
from optim_hunter.observe.store import Store, open_store, prune, stored_files

KEY = {"kind": "pass", "model": "m", "tokens": [1, 2, 3]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DTYPES = st.sampled_from(
    [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.uint64, np.bool, np.complex64]
)
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))


def as_bytes(arrays):
    """Type, shape and bytes of arrays, in which NaN equals itself."""
    return {name: (values.dtype.str, values.shape, values.tobytes()) for name, values in arrays.items()}


@settings(max_examples=60, deadline=None)
@given(
    header=st.dictionaries(st.text(), JSON, max_size=4), arrays=st.dictionaries(st.text(max_size=8), ARRAYS, max_size=3)
)
def test_what_was_put_comes_back_exactly(header, arrays):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.put(KEY, header, arrays)
        stored = store.get(KEY)
        assert repr(stored.header) == repr(header)  # NaN, -0.0 and 1 against True included
        assert as_bytes(stored.arrays) == as_bytes(arrays)
        assert (store.written, store.read, store.damaged, store.problems) == (1, 1, [], [])


@pytest.mark.parametrize("order", [np.asfortranarray, np.transpose, lambda values: values[:, ::2], np.flip])
def test_arrays_in_any_memory_order_come_back_the_same(tmp_path, order):
    values = order(np.arange(12.0).reshape(3, 4))
    store = Store(tmp_path)
    store.put(KEY, {}, {"a": values})
    np.testing.assert_array_equal(store.get(KEY).arrays["a"], values)


@pytest.mark.parametrize(
    "arrays", [{"text": np.array(["a"])}, {"objects": np.array([None])}, {"__metadata__": np.zeros(1)}]
)
def test_what_cannot_be_read_again_is_never_written(tmp_path, arrays):
    with pytest.raises(Exception, match=r"str32|object|optim_hunter"):
        Store(tmp_path).put(KEY, {}, arrays)
    assert list(tmp_path.iterdir()) == []


def test_the_key_decides_and_its_order_does_not(tmp_path):
    store = Store(tmp_path)
    store.put({"kind": "fit", "seed": 1}, {"n": 1}, {})
    store.put({"seed": 1, "kind": "fit"}, {"n": 2}, {})
    assert store.get({"kind": "fit", "seed": 1}).header == {"n": 2}
    for other in ({"kind": "fit"}, {"kind": "fit", "seed": 1.0}, {"kind": "fit", "seed": True}):
        assert store.get(other) is None
    assert store.damaged == []


def small_file(folder: Path) -> tuple[Store, Path, bytes]:
    """A store with one small file."""
    store = Store(folder)
    store.put({"k": "é"}, {"answer": "1E-5", "x": [1e-9]}, {"a": np.arange(3, dtype=np.float32)})
    (path,) = folder.glob("*/*")
    return store, path, path.read_bytes()


def test_every_bit_of_a_file_is_under_its_checksum(tmp_path):
    store, path, whole = small_file(tmp_path)
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert store.get({"k": "é"}) is None
        assert len(store.damaged) == bit + 1
        assert not path.exists()
    assert (store.read, store.problems) == (0, [])
    path.write_bytes(whole)
    assert store.get({"k": "é"}) is not None


def test_truncation_addition_and_lost_sectors_are_seen(tmp_path):
    store, path, whole = small_file(tmp_path)
    lost = [whole[:start] + bytes(16) + whole[start + 16 :] for start in range(0, len(whole), 16)]
    damaged = [whole[:length] for length in range(len(whole))] + [whole + b" ", whole + whole] + lost
    for content in damaged:
        path.write_bytes(content)
        assert store.get({"k": "é"}) is None
    assert len(store.damaged) == len(damaged)


def test_a_damaged_file_is_set_aside_named_and_made_again(tmp_path):
    store, path, whole = small_file(tmp_path)
    for last in (b"?", b"!"):
        path.write_bytes(whole[:-1] + last)
        assert store.get({"k": "é"}) is None
        store.put({"k": "é"}, {"again": True}, {})
        assert store.get({"k": "é"}).header == {"again": True}
    aside = sorted(tmp_path.glob("*/*.damaged"))
    assert {file.read_bytes() for file in aside} == {whole[:-1] + b"?", whole[:-1] + b"!"}  # neither is lost
    assert sorted(line.split(" (")[0] for line in store.damaged) == [str(file) for file in aside]
    assert all("checksum" in line for line in store.damaged)


@pytest.mark.parametrize("made_again", [True, False])
def test_what_another_process_has_set_aside_or_made_again_stays(tmp_path, monkeypatch, made_again):
    store, path, whole = small_file(tmp_path)
    path.write_bytes(whole[:-1])
    unpack = store_module._unpack

    def other_process_is_faster(content, key):
        monkeypatch.setattr(store_module, "_unpack", unpack)
        assert Store(tmp_path).get({"k": "é"}) is None
        if made_again:
            Store(tmp_path).put({"k": "é"}, {}, {})
        return unpack(content, key)

    monkeypatch.setattr(store_module, "_unpack", other_process_is_faster)
    assert store.get({"k": "é"}) is None
    assert (len(store.damaged), store.problems) == (1, [])
    assert sorted(file.state for file in stored_files(tmp_path)) == ["damaged"] + ["stored"] * made_again


def test_another_key_under_the_right_name_is_damage(tmp_path):
    store, path, whole = small_file(tmp_path)
    store.put(KEY, {}, {})
    next(file for file in tmp_path.glob("*/*.safetensors") if file != path).write_bytes(whole)
    assert store.get(KEY) is None
    assert "another key" in store.damaged[0]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\2\0\0\0\0\0\0\0{}", b"\xff" * 64, b"\x64\0\0\0\0\0\0\0" + b"[" * 100, b"\0" * 4096]
)
def test_a_foreign_file_is_set_aside(tmp_path, content):
    store, path, _ = small_file(tmp_path)
    path.write_bytes(content)
    assert store.get({"k": "é"}) is None
    assert len(store.damaged) == 1


def test_another_format_version_is_no_damage_and_is_replaced(tmp_path, monkeypatch):
    store = Store(tmp_path)
    monkeypatch.setattr(store_module, "FORMAT_VERSION", 2)
    store.put(KEY, {"version": 2}, {})
    monkeypatch.undo()
    assert store.get(KEY) is None
    assert (store.read, store.damaged, store.problems) == (0, [], [])
    store.put(KEY, {"version": 1}, {})
    assert store.get(KEY).header == {"version": 1}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_stops_the_writing_and_not_the_run(tmp_path, monkeypatch, call, code):
    store = Store(tmp_path)
    store.put(KEY, {"kept": 1}, {})
    calls = []

    def refuse(*_):
        calls.append(call)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    store.put(KEY, {"kept": 2}, {})
    store.put({**KEY, "more": True}, {}, {})
    assert len(calls) == 1  # no second try
    assert store.get(KEY).header == {"kept": 1}
    assert [file.state for file in stored_files(tmp_path)] == ["stored"]
    (problem,) = store.problems
    assert str(stored_files(tmp_path)[0].path) in problem
    assert all(word in problem for word in ("free space", "--claims-store FOLDER", "--claims-store none"))
    assert "\n" not in problem


@contextmanager
def file_size_limit(limit: int):
    """Let the system refuse files above so many bytes, as a full disk does (Python ignores its signal)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_the_system_cuts_short_leaves_nothing_behind(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, {"kept": 1}, {})
    with file_size_limit(1 << 20):
        store.put(KEY, {"kept": 2}, {"large": np.zeros(1 << 19)})
    assert "File too large" in store.problems[0]
    assert store.get(KEY).header == {"kept": 1}
    assert [file.state for file in stored_files(tmp_path)] == ["stored"]


def test_an_interrupt_leaves_no_unfinished_file_and_is_handed_on(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).put(KEY, {}, {})
    assert stored_files(tmp_path) == []


def test_what_cannot_be_opened_is_a_problem_and_not_damage(tmp_path):
    store, path, _ = small_file(tmp_path)
    path.unlink()
    path.mkdir()
    assert store.get({"k": "é"}) is None
    assert (str(path) in store.problems[0], store.damaged) == (True, [])


def test_the_default_store_lies_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path))
    assert open_store(None).folder == tmp_path / "store"
    assert open_store(str(tmp_path / "a" / "b")).folder.is_dir()
    assert open_store("none") is None
    assert list((tmp_path / "store").iterdir()) == []  # the probe leaves nothing


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"store .*file is no folder: .*--claims-store FOLDER.*store none"):
        open_store(str(tmp_path / "file"))
    for choice in (tmp_path / "file" / "below", "/proc"):
        with pytest.raises(UserError, match=r"cannot be written .*--claims-store FOLDER.*store none") as raised:
            open_store(str(choice))
        assert str(choice) in str(raised.value)
    with pytest.raises(UserError, match="name another"):
        open_store("~nobody-of-this-name/store")


FOREIGN = ("ab/notes.txt", f"photos/{64 * 'a'}.safetensors", f"{64 * 'a'}.safetensors", "ab/model.safetensors")


@pytest.fixture
def one_of_each(tmp_path):
    """A store with stored, damaged and unfinished files, old and new, and files that are none of its."""
    store, path, whole = small_file(tmp_path)
    store.put(KEY, {}, {})
    path.write_bytes(whole[:-1])
    store.get({"k": "é"})
    store.put({"k": "é"}, {}, {})
    for name in ("0" * 12, "1" * 12):
        path.with_suffix(f".{name}.unfinished").write_bytes(b"part")
    for foreign in FOREIGN:
        (tmp_path / foreign).parent.mkdir(exist_ok=True)
        (tmp_path / foreign).write_text("mine")
    for old in (path, path.with_suffix(f".{'0' * 12}.unfinished")):
        os.utime(old, (time.time() - 3 * 86400,) * 2)
    return tmp_path


@pytest.mark.parametrize(
    ("older_than", "damaged", "removed"),
    [
        (np.inf, False, ["unfinished"]),
        (np.inf, True, ["damaged", "unfinished"]),
        (2, False, ["stored", "unfinished"]),
        (4, False, ["unfinished"]),
        (-np.inf, True, ["damaged", "stored", "stored", "unfinished"]),
    ],
)
def test_pruning_removes_what_was_asked_for_and_nothing_of_others(one_of_each, older_than, damaged, removed):
    assert sorted(file.state for file in prune(one_of_each, older_than, damaged)) == removed
    assert len(stored_files(one_of_each)) == 5 - len(removed)
    assert all((one_of_each / foreign).read_text() == "mine" for foreign in FOREIGN)


CHILDREN = """
import os, signal, sys
from pathlib import Path
import numpy as np
from optim_hunter.observe.store import Store

def fill(rounds):
    store = Store(Path(sys.argv[1]))
    for turn in range(rounds):
        for number in range(6):
            store.put({"number": number}, {"turn": turn}, {"a": np.full((number + 1) * 20_000, turn)})
    assert store.problems == []

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

for line in sys.stdin:
    rounds, dies_in = line.split()
    child = os.fork()
    if child == 0:
        if dies_in != "-":
            setattr(os, dies_in, die)
        fill(int(rounds))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""A small program without torch, which forks a child that fills the store for each line that it is told."""


class Children(subprocess.Popen[str]):
    """The program above, told to start children one after the other."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", CHILDREN, str(folder)]
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, rounds: int, dies_in: str = "-") -> int:
        """Start a child, which may kill itself in a function of `os`; its process id."""
        print(rounds, dies_in, file=self.stdin, flush=True)
        return int(self.stdout.readline())

    def ended(self) -> int:
        """Wait for the child; its exit status."""
        return int(self.stdout.readline())


def whole_files(folder: Path) -> set[int]:
    """Numbers of the files that children have written; asserts that all of them are whole and none is damaged."""
    store = Store(folder)
    found = {number: stored for number in range(6) if (stored := store.get({"number": number}))}
    for number, stored in found.items():
        np.testing.assert_array_equal(stored.arrays["a"], np.full((number + 1) * 20_000, stored.header["turn"]))
    assert (store.damaged, store.problems) == ([], [])
    return set(found)


def test_a_killed_process_leaves_only_whole_files(tmp_path):
    delays, seen = random.Random(0), set()
    with Children(tmp_path) as children:
        for _ in range(30):
            child = children.start(rounds=10_000)
            time.sleep(delays.uniform(0, 0.06))
            os.kill(child, signal.SIGKILL)
            assert children.ended() == signal.SIGKILL
            assert whole_files(tmp_path) >= seen  # what was once whole is never lost
            seen = whole_files(tmp_path)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_process_killed_between_writing_and_renaming_loses_nothing(tmp_path, moment):
    with Children(tmp_path) as children:
        children.start(1)
        assert children.ended() == 0
        for _ in range(3):
            children.start(1, moment)
            assert children.ended() == signal.SIGKILL
            assert whole_files(tmp_path) == set(range(6))
    unfinished = [file for file in stored_files(tmp_path) if file.state == "unfinished"]
    assert len(unfinished) == 3
    assert prune(tmp_path, np.inf, damaged=True) == []  # they may be of a live process
    for file in unfinished:
        os.utime(file.path, (time.time() - 4000,) * 2)
    assert len(prune(tmp_path, np.inf, damaged=False)) == 3
    assert whole_files(tmp_path) == set(range(6))


def test_two_processes_fill_the_same_store(tmp_path):
    with Children(tmp_path) as one, Children(tmp_path) as another:
        one.start(8)
        another.start(8)
        whole_files(tmp_path)  # while both write
        assert (one.ended(), another.ended()) == (0, 0)
    assert whole_files(tmp_path) == set(range(6))
    assert {file.state for file in stored_files(tmp_path)} == {"stored"}


def test_a_file_is_plain_safetensors_with_a_json_header(tmp_path):
    store, path, _ = small_file(tmp_path)
    with safe_open(path, "np") as file:
        entry = json.loads(file.metadata()["optim_hunter"])
        assert list(file.keys()) == ["a"]
    assert (entry["key"], entry["version"]) == ({"k": "é"}, 1)
    assert path.parent == store.folder / path.name[:2]
