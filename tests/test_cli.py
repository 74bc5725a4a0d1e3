"""The command line."""

import json

import pytest
from sample_ledger import sample_ledger

from optim_hunter.cli import main


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
