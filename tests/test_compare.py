"""Two ledgers side by side: what is told, where, and with which exit code."""

import copy
import json

import pytest
from sample_ledger import HOSTILE, sample_ledger

from optim_hunter.cli import main
from optim_hunter.evidence.comparison import compare


@pytest.fixture(scope="module")
def ledger():
    return sample_ledger(4, seeds=20)


def changed(ledger, **parts):
    """The ledger with other parts of its first entry."""
    other = copy.deepcopy(ledger)
    other["claims"][0] |= parts
    return other


def first(before, after):
    return next(pair for pair in compare(before, after).pairs if pair.key[0] == before["claims"][0]["claim"])


def test_a_run_is_like_itself(ledger):
    found = compare(ledger, ledger)
    assert (found.changed, found.runs, found.verdicts_changed) == ((), (), 0)
    assert len(found.pairs) == len(ledger["claims"])


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        ({"definition_hash": "f" * 64}, "the claim was amended between the runs"),
        ({"definition_hash": "f" * 64, "statement": "Another."}, "the claim was amended between the runs: statement"),
        ({"seeds": list(range(300, 320))}, "other seeds: "),
        ({"smallest_effect": 77.0}, "smallest effect "),
        ({"source_of_model": {"source": "elsewhere"}}, "the model has other weights"),
        ({"dtype": "bfloat16"}, "dtype "),
        ({"n": 3}, "n "),
    ],
)
def test_what_differs_of_a_claim_is_said(ledger, parts, note):
    pair = first(ledger, changed(ledger, **parts))
    assert any(one.startswith(note) for one in pair.notes), pair.notes
    assert pair.changed
    assert not pair.verdict_changed


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ([0, 1], [1, 2], True),
        ([0, 1], [1.1, 2], False),
        ([3, 4], [1, 2], False),
        ([0, 9], [3, 4], True),
        (None, [0, 1], None),
    ],
)
def test_intervals_overlap_where_they_share_a_value(ledger, one, other, overlap):
    before, after = changed(ledger, interval=one), changed(ledger, interval=other)
    assert first(before, after).overlap is overlap
    assert first(after, before).overlap is overlap


def test_another_corpus_is_another_row(ledger):
    other = changed(ledger, corpus={"name": "mine", "sha256": "a" * 64})
    alone = [pair.notes for pair in compare(ledger, other).pairs if pair.before is None or pair.after is None]
    assert sorted(alone) == [("only in the first run",), ("only in the second run",)]


def written(tmp_path, **ledgers):
    for name, ledger in ledgers.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.json").write_text(json.dumps(ledger))
    return [str(tmp_path / name) for name in ledgers]


def test_a_changed_verdict_ends_in_one(ledger, tmp_path, capsys):
    was = ledger["claims"][0]["verdict"]
    now = "refuted" if was == "supported" else "supported"
    names = written(tmp_path, a=ledger, b=changed(ledger, verdict=now))
    assert main(["compare", *names, "--out", str(tmp_path / "page.html")]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("optim-hunter: 1 verdict changed of ")
    assert was in printed.out
    assert now in printed.out
    page = (tmp_path / "page.html").read_text()
    assert page.count("another verdict") == 1
    assert "default-src 'none'" in page
    assert "<script" not in page


def test_the_same_verdicts_end_in_nought_whatever_else_changed(ledger, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    other = changed(ledger, effect=ledger["claims"][0]["effect"] + 1)
    other["claims"].pop()
    other["run"]["versions"]["torch"] = "99"
    names = written(tmp_path, a=ledger, b=other)
    assert main(["compare", *names]) == 0
    printed = capsys.readouterr().out
    assert "0 verdicts changed" in printed
    assert "only in the first run" in " ".join(printed.split())
    assert "torch" in printed


def test_files_do_as_well_as_folders_and_what_is_no_ledger_ends_in_two(ledger, tmp_path, capsys):
    (name,) = written(tmp_path, a=ledger)
    assert main(["compare", name, f"{name}/ledger.json"]) == 0
    (tmp_path / "old.json").write_text('{"schema": 1}')
    for wrong in ("nowhere", tmp_path / "old.json"):
        assert main(["compare", name, str(wrong)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda ledger: ledger.pop("claims"), "'claims' is a required property"),
        (lambda ledger: ledger["claims"][1].pop("conditions"), "claims[1]: 'conditions' is a required property"),
        (lambda ledger: ledger["claims"][0].update(effect="much"), "claims[0].effect: 'much' is not of type"),
        (lambda ledger: ledger["claims"][0].update(verdict="<b>"), "claims[0].verdict: '<b>' is not one of"),
        (lambda ledger: ledger["run"].pop("machine"), "run: 'machine' is a required property"),
    ],
)
@pytest.mark.parametrize("command", [["compare"], ["report"]])
def test_a_damaged_ledger_is_told_with_the_place(ledger, tmp_path, capsys, harm, told, command):
    harm(harmed := copy.deepcopy(ledger))
    names = written(tmp_path, a=harmed, b=ledger)
    assert main([*command, *names[: 1 + (command == ["compare"])]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"optim-hunter: {tmp_path}/a/ledger.json is damaged, or of another version (")
    assert told in line
    assert not (tmp_path / "a/report.html").exists()


def test_the_report_of_a_folder_lies_in_it(ledger, tmp_path, capsys):
    (name,) = written(tmp_path, a=ledger)
    assert main(["report", name]) == 0
    assert capsys.readouterr().out.strip() == f"{name}/report.html"
    assert "default-src 'none'" in (tmp_path / "a/report.html").read_text()


def test_no_text_of_a_ledger_becomes_markup(ledger, tmp_path):
    after = copy.deepcopy(ledger)
    for text, entry in zip(HOSTILE * 3, after["claims"], strict=False):
        entry |= {"claim": text, "model": text, "unit": text, "protocol": text}
    after["run"]["command"] = HOSTILE[0]
    names = written(tmp_path, a=ledger, b=after)
    assert main(["compare", *names, "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert not any(text in page for text in HOSTILE if "<" in text)
