"""Claims × models: one run and its table, the same from ledgers, reasons of empty cells, and untrusted text."""

import copy
import dataclasses
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sample_ledger import HOSTILE, hostile_ledger, sample_ledger

import fixtures.imported  # noqa: F401
from optim_hunter import Claim, Condition, Protocol
from optim_hunter.cli import main
from optim_hunter.evidence.text import visible
from optim_hunter.generality import claims_run, command, pages
from optim_hunter.models import registry
from optim_hunter.models.planted_parts import number_tokenizer
from optim_hunter.tasks.regression import RegressionTask

PLANTED, TWIN = "planted:kernel-regression", "planted:kernel-regression-twin"
NO_GPU = "random:llama-3.1-8b"
CLAIMS = """
import numpy as np
import pytest
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.prediction import absolute_error_gain
from optim_hunter.tasks.regression import RegressionTask
from optim_hunter.tasks.stories import StoriesTask

def about(name, task=RegressionTask(examples=6), models=("smollm2-135m",), **more):
    return Claim(
        id=f"mine/{name}", statement="It <holds> | always.", source="a test", seeds="0-23",
        conditions=(Condition("gain", "a number", "units", 10.0),), protocols=(Protocol("corrected", task, models),),
        **{"needs": {"answer"}, "family": "mine"} | more,
    )

@claim(about("beats-average", controls={"TWIN": Verdict.REFUTED}))
def test_beats_average(observation):
    return absolute_error_gain(observation)

@claim(about("named", family="named", named={"PLANTED": (1, 2)}))
def test_named(observation):
    return np.full((2, 3), 1.0 + observation.episode.seed % 2)

@claim(about("fails", family="fails", named={"PLANTED": (1, 2)}))
def test_fails(observation, broken):
    return 1.0

@pytest.fixture
def broken():
    raise IndexError("of a fixture")

@claim(about("weights", StoriesTask(), ("linear",), needs=frozenset(), family="weights"))
def test_weights(observation):
    return 1.0

@claim(about("loses", family="causal", partner_of="mine/beats-average"))
def test_loses(observation):
    return -absolute_error_gain(observation)

@pytest.mark.slow
@claim(about("slow", family="slow"))
def test_slow(observation):
    return 20.0 + observation.episode.seed % 2

def test_plain():
    assert False, "no claim"
""".replace("PLANTED", PLANTED).replace("TWIN", TWIN)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model):
    """A folder with claims/, a random tiny model in ./tiny, and the table of one run in out/."""
    folder = tmp_path_factory.mktemp("generality")
    (folder / "claims").mkdir()
    (folder / "claims" / "test_generality_claims.py").write_text(CLAIMS)
    tiny_model.module.save_pretrained(folder / "tiny")
    number_tokenizer().save_pretrained(folder / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTEST_ADDOPTS", "--claims-store=none")
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        assert main(["generality", PLANTED, TWIN, "./tiny", NO_GPU, "--out", "out"]) == 0
    return folder


@pytest.fixture
def there(made, monkeypatch):
    """The working folder is the one of `made`."""
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The working folder is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table_in(folder):
    return json.loads((folder / "generality.json").read_text())


def cells_of(table, claim):
    (row,) = [row for row in table["claims"] if row["claim"] == claim]
    return row["models"]


def verdicts(cells):
    return {model: [one["verdict"] for one in cell.get("verdicts", [])] for model, cell in cells.items()}


# A run


def test_every_model_has_its_verdict_and_its_null(made):
    table = table_in(made / "out")
    assert table["models"] == [PLANTED, TWIN, "./tiny", "random:./tiny", NO_GPU]
    found = verdicts(cells_of(table, "mine/beats-average"))
    assert (found[PLANTED], found[TWIN]) == (["supported"], ["refuted"])  # the twin is the claim's control, too
    assert found["./tiny"] == found["random:./tiny"] == ["invalid"]
    lost = cells_of(table, "mine/beats-average")["random:./tiny"]["verdicts"][0]["sentence"]
    assert "of 24 seeds gave no number" in lost


def test_the_table_has_the_numbers_of_the_ledger(made):
    (run,) = table_in(made / "out")["ledgers"]
    ledger = json.loads((made / run["path"]).read_text())
    (entry,) = [one for one in ledger["claims"] if (one["claim"], one["model"]) == ("mine/beats-average", PLANTED)]
    assert not any("more than one run" in note for note in table_in(made / "out")["notes"])
    (cell,) = cells_of(table_in(made / "out"), "mine/beats-average")[PLANTED]["verdicts"]
    assert {key: entry[key] for key in pages.KEPT} == cell
    assert cell["n"] == 24
    assert run["commit"] == ledger["run"]["commit"]


def test_a_partner_stands_below_its_claim(made):
    table = table_in(made / "out")
    assert [(row["claim"], row["partner_of"]) for row in table["claims"]] == [
        ("mine/beats-average", None),
        ("mine/loses", "mine/beats-average"),
        ("mine/named", None),
    ]
    assert verdicts(cells_of(table, "mine/loses"))[PLANTED] == ["refuted"]
    page = (made / "out/generality.html").read_text()
    assert page.count('<tr class="partner">') == 1
    assert page.count(">cause refuted by its “gain”</span>") == 1


def test_an_empty_cell_says_why(made):
    table = table_in(made / "out")
    named = cells_of(table, "mine/named")
    assert verdicts(named)[PLANTED] == ["refuted"]
    assert named[TWIN]["reason"] == f"named for {PLANTED} alone"
    assert f"mine/weights: it is about the linear model of stories ({', '.join(table['models'])})" in table["notes"]
    assert "marked slow and left out, unless --claims asks for them: mine/slow" in table["notes"]
    fails = rf"mine/fails: IndexError: .* \({PLANTED}\); named for {PLANTED} alone \({', '.join(table['models'][1:])}\)"
    assert any(re.fullmatch(fails, note) for note in table["notes"])
    if not torch.cuda.is_available():
        assert cells_of(table, "mine/loses")[NO_GPU]["reason"] == "needs a GPU, and torch finds none here"


def test_the_same_table_as_markdown_and_page(made):
    text = (made / "out/generality.md").read_text()
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *rows)} == {7}
    assert "| ↳ mine/loses<br>gain &gt; 10 units |" in rows[1]
    assert "| ✓ supported; unregistered; cause refuted by its “gain”<br>" in rows[0]
    page = (made / "out/generality.html").read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "It &lt;holds&gt; | always." in page


def test_why_a_claim_does_not_run_on_a_model(monkeypatch):
    task = RegressionTask("linear:1", examples=8)
    monkeypatch.setattr(registry, "own_task", lambda name: task if name == "trained" else None)
    one = {"statement": "", "source": "", "family": "mine", "conditions": (Condition("gain", "", "units", 1.0),)}
    about_lines = Claim(id="a", protocols=(Protocol("corrected", RegressionTask(), ("smollm2-135m",)),), **one)
    about_data = Claim(
        id="b", protocols=(Protocol("corrected", RegressionTask("original2"), ("smollm2-135m",)),), **one
    )
    assert claims_run.runs(about_lines, len, "trained")
    assert not claims_run.runs(about_data, len, "trained")
    assert claims_run.why_not(about_data, "trained").startswith("the model brings a task of its own")
    needing = dataclasses.replace(about_lines, needs=frozenset({"attention"}))
    assert claims_run.why_not(needing, "regressor:ridge") == "the model cannot show what this claim needs (attention)"
    assert claims_run.why_not(about_lines, "recorded:llama-3.1-8b") == "it is about language models"


# From ledgers


def test_ledgers_give_the_same_table(there, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    models = [PLANTED, TWIN, "./tiny", "random:./tiny", NO_GPU]
    out = tmp_path / "again"
    assert main(["generality", *models, "--from", "out/run/ledger.json", "--out", str(out)]) == 0
    assert "✓ supported" in capsys.readouterr().out
    before, after = table_in(there / "out"), table_in(out)
    assert after["models"] == before["models"]
    for row in before["claims"]:
        assert verdicts(cells_of(after, row["claim"])) == verdicts(row["models"])
    assert cells_of(after, "mine/named")[TWIN] == cells_of(before, "mine/named")[TWIN]
    assert cells_of(after, "mine/loses")[NO_GPU] == {"reason": "not measured"}
    assert after["notes"] == [f"{NO_GPU}: no ledger has it"]
    few = ["--claims", "*/weights", "--claims", "*/slow", "--claims", "*/named", "--out", str(tmp_path / "few")]
    assert main(["generality", PLANTED, TWIN, "--from", "out/run/ledger.json", *few]) == 0
    assert table_in(tmp_path / "few")["notes"] == [
        f"mine/slow: not measured ({PLANTED}, {TWIN})",
        f"mine/weights: it is about the linear model of stories ({PLANTED}, {TWIN})",
    ]


def test_without_claims_a_ledger_suffices(made, elsewhere):
    ledger = str(made / "out/run/ledger.json")
    assert main(["generality", "--from", ledger, "--claims", "*/named", "--claims", "*/loses", "--out", "table"]) == 0
    table = table_in(elsewhere / "table")
    assert table["models"] == [TWIN, PLANTED, "./tiny", "random:./tiny"]  # controls are decided first
    assert sorted(row["claim"] for row in table["claims"]) == ["mine/loses", "mine/named"]
    assert cells_of(table, "mine/named")[TWIN] == {"reason": "not measured"}


def test_a_claim_and_its_partner_may_lie_in_different_ledgers(elsewhere):
    ledger = sample_ledger(claims=1, seeds=5)
    partner = ledger["claims"][0] | {"claim": "mine/cause", "partner_of": ledger["claims"][0]["claim"]}
    other = ledger | {"claims": [partner | {"verdict": "refuted"}]}
    for name, content in (("1.json", ledger), ("2.json", other)):
        (elsewhere / name).write_text(json.dumps(content))
    assert main(["generality", "--from", "2.json", "1.json", "--out", "table"]) == 0
    text = (elsewhere / "table/generality.md").read_text()
    assert text.index("✓ supported; cause refuted by its “gain”") < text.index("↳ mine/cause")
    assert main(["generality", "--from", "2.json", "--out", "alone"]) == 0
    assert "↳" not in (elsewhere / "alone/generality.md").read_text()


def test_of_two_ledgers_the_last_counts_and_that_is_said(elsewhere):
    first = sample_ledger(claims=2, seeds=5)
    second = copy.deepcopy(first)
    second["claims"] = [second["claims"][0] | {"verdict": "inconclusive"}]
    for name, ledger in (("1.json", first), ("2.json", second)):
        (elsewhere / name).write_text(json.dumps(ledger))
    assert main(["generality", "--from", "1.json", "2.json", "--out", "table"]) == 0
    table = table_in(elsewhere / "table")
    claim, model = second["claims"][0]["claim"], second["claims"][0]["model"]
    assert verdicts(cells_of(table, claim))[model] == ["inconclusive"]
    assert any(
        note.startswith(f"{model} (") and "in more than one run" in note and claim in note for note in table["notes"]
    )
    assert [one["path"] for one in table["ledgers"]] == ["1.json", "2.json"]


def test_protocols_of_a_claim_are_named_where_there_are_several(elsewhere):
    ledger = sample_ledger(claims=1, seeds=5)
    ledger["claims"].append(ledger["claims"][0] | {"protocol": "published", "registration": "amended"})
    (elsewhere / "ledger.json").write_text(json.dumps(ledger))
    assert main(["generality", "--from", "ledger.json", "--out", "table"]) == 0
    text = (elsewhere / "table/generality.md").read_text()
    assert "✓ supported; corrected<br>" in text
    assert "✓ supported; published; amended<br>" in text


# Models


def test_nulls_stand_beside_language_models_alone():
    models = ("smollm2-135m", PLANTED, "recorded:llama-3.1-8b", "regressor:ridge", "smollm2-135m")
    assert command.with_nulls(models) == ("smollm2-135m", "random:smollm2-135m", *models[1:4])
    assert command.nulls_beside(["random:b", "a", "b", "random:a", "b"]) == ("b", "random:b", "a", "random:a")


def test_a_default_model_that_is_not_there_is_named_and_left_out(there, monkeypatch):
    monkeypatch.setattr(command, "DEFAULT_MODELS", (PLANTED, "not-there-yet"))
    monkeypatch.setenv("PYTEST_ADDOPTS", "--claims-store=none")
    assert main(["generality", "--claims", "*/slow", "--seeds", "20", "--out", "default"]) == 0
    table = table_in(there / "default")
    assert table["models"] == [PLANTED]
    assert any(note.startswith("not-there-yet is left out: unknown model") for note in table["notes"])
    (found,) = cells_of(table, "mine/slow")[PLANTED]["verdicts"]
    assert (found["verdict"], found["n"], found["at_registered_seeds"]) == ("supported", 20, False)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["no-such-model"], "unknown model 'no-such-model'"),
        (["./nowhere"], "nowhere"),
        ([PLANTED, "--seeds", "5-3"], "they must ascend"),
        ([PLANTED, "--out", "out"], "out holds another table: name another folder with --out"),
        ([PLANTED, "--out", "out/run/ledger.json/below"], "cannot be written"),
        (["--from", "no.json"], "no.json is no ledger"),
        (["--from", "out/run/ledger.json", "--seeds", "3"], "--seeds and --from"),
        ([PLANTED, "--claims", "yours/*"], "claims has no claim that has an id like yours/*"),
        ([PLANTED, "--claims", "*/weights"], f"none of the claims that were asked for runs on {PLANTED}"),
    ],
)
@pytest.mark.usefixtures("there")
def test_what_cannot_be_made_ends_in_one_line(capfd, arguments, line):
    before, files = Path("out/generality.json").read_bytes(), set(Path().rglob("*"))
    assert main(["generality", *arguments]) == 2
    said = capfd.readouterr()
    (told,) = said.err.splitlines()
    assert line in told
    assert said.out.strip() == ""
    assert Path("out/generality.json").read_bytes() == before
    assert set(Path().rglob("*")) == files


def test_claims_that_cannot_be_collected_are_named(elsewhere, capfd):
    (elsewhere / "test_generality_broken.py").write_text("import no_such_package")
    assert main(["generality", PLANTED]) == 2
    (told,) = capfd.readouterr().err.splitlines()
    assert "test_generality_broken.py" in told
    assert "No module named 'no_such_package'" in told


def test_a_run_that_was_stopped_leaves_its_ledger(elsewhere, capfd, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--claims-store=none")
    stopping = CLAIMS.replace("return -absolute_error_gain(observation)", "raise KeyboardInterrupt")
    (elsewhere / "test_generality_stopped.py").write_text(stopping)
    assert main(["generality", PLANTED, "--claims", "*/named", "--claims", "*/loses", "--out", "out"]) == 130
    assert (
        "optim-hunter: stopped; out/run has the verdicts so far: make their table with --from" in capfd.readouterr().err
    )
    assert main(["generality", "--from", "out/run/ledger.json", "--out", "table"]) == 0
    assert table_in(elsewhere / "table")["ledgers"][0]["path"] == "out/run/ledger.json"


# Untrusted text


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *(name for name, _ in attrs)))


def written(folder, ledger):
    """The page and the Markdown of a ledger."""
    folder.mkdir()
    (folder / "ledger.json").write_text(json.dumps(ledger))
    assert main(["generality", "--from", str(folder / "ledger.json"), "--out", str(folder / "table")]) == 0
    return [(folder / "table" / f"generality.{end}").read_text() for end in ("html", "md")]


def test_no_text_of_a_ledger_becomes_markup(elsewhere, capsys):
    page, text = written(elsewhere / "plain", sample_ledger(claims=len(HOSTILE), seeds=2))
    hostile_page, hostile_text = written(elsewhere / "hostile", hostile_ledger())
    assert set(Elements(hostile_page).found) == set(Elements(page).found)
    assert "<script" not in hostile_page
    assert "<" not in hostile_text.replace("<br>", "")
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in hostile_text.splitlines() if line.startswith("|")}
    assert len(columns) == 1
    assert "\x1b[31m" not in capsys.readouterr().out
    assert text.count("|") > 10


@given(st.text())
def test_markdown_shows_text_as_it_is(text):
    shown = pages._plain(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(\\\\)*[|`*_\[\]]", shown)
    back = html.unescape(re.sub(r"\\(.)", r"\1", shown.replace("<br>", "\n")))
    assert back == visible(text).replace("\t", " ")
