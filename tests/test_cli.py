"""The command line."""

import json
import os
import re
import shlex
import time

import numpy as np
import pytest
from sample_ledger import sample_ledger

from optim_hunter.cli import COMMANDS, command_line, main
from optim_hunter.observe.store import Store, open_store


def test_a_page_is_made_from_a_ledger_alone(tmp_path, capsys):
    ledger = tmp_path / "ledger.json"
    ledger.write_text(json.dumps(sample_ledger(claims=2, seeds=5)))
    assert main(["report", str(ledger)]) == 0
    page = tmp_path / "report.html"
    assert capsys.readouterr().out.strip() == str(page)
    assert "default-src 'none'" in page.read_text()


@pytest.mark.parametrize("content", [None, "not json", "[]", '{"schema": 99}'])
def test_what_is_no_ledger_ends_in_one_line(tmp_path, capsys, content):
    ledger = tmp_path / "ledger.json"
    if content is not None:
        ledger.write_text(content)
    assert main(["report", str(ledger)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_names_the_remedy(tmp_path, capsys):
    ledger = tmp_path / "ledger.json"
    ledger.write_text(json.dumps(sample_ledger(claims=1, seeds=5)))
    assert main(["report", str(ledger), "--out", str(tmp_path / "no" / "page.html")]) == 2
    assert "name another with --out" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[command] for command in COMMANDS] + [["store", "prune"]], ids=" ".join)
def test_help_says_what_a_command_does_with_examples_that_can_be_given(words, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    shown = capsys.readouterr().out
    before, _, after = shown.partition("options:")
    assert len(before.split("\n\n")[1].split()) > 8
    lines = [line for line in after.partition("examples:")[2].splitlines() if "optim-hunter" in line]
    examples = [shlex.split(line.partition("optim-hunter ")[2], comments=True) for line in lines]
    assert sum(example[0] == words[0] for example in examples) >= 2
    for example in examples:
        command_line().parse_args(example)


@pytest.mark.parametrize(
    ("command", "codes"),
    [("report", {"0", "2"}), ("compare", {"0", "1", "2"}), ("notes", {"0", "1", "2", "130"}), ("store", {"0", "2"})],
)
def test_help_says_which_exit_codes_there_are(command, codes, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out.partition("exit code:")[2].partition("\n\n")[0]
    assert set(re.findall(r"\d+", said)) == codes


@pytest.fixture
def store(tmp_path, monkeypatch) -> Store:
    """The default store with three passes of a model, one of them old, and a fit of a corpus."""
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    store = open_store(None)
    for number in range(3):
        store.put({"kind": "pass", "model": "llama [8b]", "number": number}, {}, {"a": np.zeros(1000)})
    os.utime(next(store.folder.glob("*/*")), (time.time() - 10 * 86400,) * 2)
    store.put({"kind": "fit", "corpus": "stories"}, {}, {})
    return store


def cells(output: str) -> list[list[str]]:
    """The rows of a printed table."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]


def test_the_store_is_listed_by_kind_and_model(store, capsys):
    damaged = store.folder / "ab" / f"{64 * '0'}.{12 * '0'}.damaged"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"x" * 1000)
    (store.folder / "ab" / f"{64 * '1'}.safetensors").write_bytes(b"")
    assert main(["store"]) == 0
    output = capsys.readouterr().out
    rows = cells(output)
    assert output.splitlines()[0] == str(store.folder)
    assert [row[:3] for row in rows] == [
        ["damaged", "", "1"],
        ["fit", "stories", "1"],
        ["pass", "llama [8b]", "3"],
        ["unreadable", "", "1"],
        ["total", "", "6"],
    ]
    assert rows[0][3] == "1.0 kB"
    oldest, newest = rows[2][4:]
    assert oldest < newest == rows[-1][5]


@pytest.mark.parametrize(
    ("options", "removed", "left"),
    [
        ([], "nothing", 4),
        (["--damaged"], "nothing", 4),
        (["--older-than", "9"], "1 stored", 3),
        (["--all"], "4 stored", 0),
    ],
)
def test_the_store_is_pruned_and_says_what_was_removed(store, capsys, options, removed, left):
    assert main(["store", "prune", *options]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"removed {removed} (")
    assert str(store.folder) in line
    assert len(list(store.folder.glob("*/*"))) == left


@pytest.mark.parametrize("order", [["--store", "{}", "prune", "--all"], ["prune", "--all", "--store", "{}"]])
def test_another_store_may_be_named_before_or_after_prune(store, tmp_path, capsys, order):
    other = open_store(str(tmp_path / "other"))
    other.put({"kind": "fit"}, {}, {})
    assert main(["store", *(word.format(other.folder) for word in order)]) == 0
    assert "removed 1 stored" in capsys.readouterr().out
    assert len(list(store.folder.glob("*/*"))) == 4


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["--store", "nowhere"], "no store in nowhere"),
        (["--store", "nowhere", "prune"], "no store in nowhere"),
        (["prune", "--older-than", "-1"], "zero days or more"),
        (["prune", "--older-than", "nan"], "zero days or more"),
    ],
)
def test_what_the_store_cannot_do_ends_in_one_line(store, capsys, command, reason):
    assert main(["store", *command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert len(list(store.folder.glob("*/*"))) == 4
