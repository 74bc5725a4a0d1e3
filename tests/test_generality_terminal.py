"""The table of claims × models in a terminal: nothing is cut, however narrow it is."""

import io
import json

import pytest
from rich.console import Console
from sample_ledger import hostile_ledger, sample_ledger

from optim_hunter.generality import command, pages


def printed(ledger, folder, width):
    """The table of a ledger as a terminal of so many characters shows it."""
    path = folder / "ledger.json"
    path.write_text(json.dumps(ledger))
    table = command.table_of_ledgers([path], (), ())
    console = Console(width=width, file=io.StringIO())
    console.print(pages.terminal(table, width))
    return table, console.file.getvalue()


def of_models(*models):
    """A ledger with one claim that was decided on these models."""
    ledger = sample_ledger(claims=1, seeds=5)
    ledger["claims"] = [ledger["claims"][0] | {"model": model} for model in models]
    return ledger


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


MODELS = "smollm2-135m", "random:smollm2-135m", "planted:kernel-regression-twin", "trained-toy"


@pytest.mark.parametrize("width", [16 * 5, 100, 200])
def test_a_table_is_folded_and_not_cut(tmp_path, width):
    table, text = printed(of_models(*MODELS), tmp_path, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    columns = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    folded = ["".join(cell.strip() for cell in column) for column in zip(*columns, strict=True)]
    (row,) = table.rows
    assert row.claim in folded[0]
    for text_of_cell, model in zip(folded[1:], MODELS, strict=True):
        (one,) = row.findings(model)
        assert f"{one.heading}{one.found}".replace(" ", "") in text_of_cell.replace(" ", "")


@pytest.mark.parametrize("width", [30, 16 * 5 - 1])
def test_a_terminal_that_is_too_narrow_gets_a_block_for_each_claim(tmp_path, width):
    table, text = printed(of_models(*MODELS), tmp_path, width)
    assert max(map(len, text.splitlines())) <= width
    (row,) = table.rows
    whole = "".join(text.split())
    assert row.claim in whole
    for model in MODELS:
        (one,) = row.findings(model)
        assert f"{model}: {one.heading}, {one.found}".replace(" ", "") in whole


def test_a_block_says_why_there_is_no_verdict(tmp_path):
    ledger = of_models("smollm2-135m")
    ledger["claims"].append(ledger["claims"][0] | {"claim": "mine/other", "model": "trained-toy"})
    _, text = printed(ledger, tmp_path, 40)
    assert "  trained-toy: – not measured" in text


@pytest.mark.parametrize("width", [20, 500])
def test_text_of_a_ledger_stays_text_in_a_terminal(tmp_path, width):
    _, text = printed(hostile_ledger(), tmp_path, width)
    assert "\x1b" not in text


def test_a_long_reason_of_several_cells_is_said_once(tmp_path):
    reason = "the prompt of seed 0 takes 1,437 tokens with its answer, but the model reads at most 256"
    ledger = of_models("smollm2-135m", "trained-toy")
    for entry in ledger["claims"]:
        entry |= {"verdict": "invalid", "sentence": f"invalid: {reason}"}
    table, text = printed(ledger, tmp_path, 200)
    assert "".join(text.split()).count("".join(reason.split())) == 0
    assert table.below()[0] == f"Reason 1: {reason}"
    assert [table.in_cell(one.found) for one in table.rows[0].findings("trained-toy")] == ["reason 1 below"]
