"""`optim-hunter fit`: what it writes, told again from the files alone; what stops it and how it goes on."""

import hashlib
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.special import log_softmax
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import fixtures.imported  # noqa: F401
from fixtures.architectures import VOUCHED, random_model
from optim_hunter.claim import UserError
from optim_hunter.cli import main
from optim_hunter.models import linear_path
from optim_hunter.stories import fit
from optim_hunter.stories.fitted_folder import read_fitted_folder
from optim_hunter.tasks.corpus import SEPARATOR
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.planted_stories import planted_corpus

STORIES = planted_corpus("planted:comma-raises-but").stories


GROUP = (" and", " but", " for", " so", " or")


WRITTEN = {"weights.safetensors", "tokenizer.json", "summary.json", "fit.html"}


STALLED = """
import sys, time
import optim_hunter.models.linear_path as path
from optim_hunter.cli import main

solve, solved = path.minimise, []

def solve_two(*arguments, **options):
    if len(solved) == 2:
        time.sleep(600)
    solved.append(solve(*arguments, **options))
    return solved[-1]

path.minimise = solve_two
raise SystemExit(main(sys.argv[1:]))
"""
"""The command, which never comes to the end of its third fit, so that a signal meets it in the middle of the path."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


def write_corpus(path, stories=STORIES):
    path.write_text(f"\n{SEPARATOR}\n".join(stories), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "planted <b>.txt")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, corpus):
    """A finished folder, which no test writes to."""
    folder = tmp_path_factory.mktemp("fitted") / "fit"
    assert main(["fit", "--group", "conjunctions", "--corpus", corpus, "--out", str(folder), "--store", "none"]) == 0
    return folder


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def held_out_windows(tokenizer):
    """Tokens before each word and its place in the group, in the tenth of the stories with the largest hashes."""
    words = [tokenizer.token_to_id(word.replace(" ", "Ġ")) for word in GROUP]
    windows, labels = [], []
    for story in STORIES:
        share = int.from_bytes(hashlib.sha256(story.encode()).digest()[:6], "big") / 2**48
        ids = tokenizer.encode(story).ids
        for place in range(16, len(ids) * (share >= 0.9)):
            if ids[place] in words:  # the planted stories have no longer word that begins with one of these tokens
                windows.append(ids[place - 16 : place])
                labels.append(words.index(ids[place]))
    return np.array(windows), np.array(labels)


def test_the_files_alone_give_the_held_out_numbers_again(fitted):
    assert {path.name for path in fitted.iterdir()} == WRITTEN
    arrays, summary = load_file(fitted / "weights.safetensors"), summary_of(fitted)
    tokenizer = Tokenizer.from_file(str(fitted / "tokenizer.json"))
    assert arrays["weights"].shape == (16, tokenizer.get_vocab_size(), 5)
    windows, labels = held_out_windows(tokenizer)
    logits = arrays["offsets"] + arrays["weights"][np.arange(16), windows].sum(1)
    said = log_softmax(logits, axis=1)
    assert summary["held_out_nll"] == pytest.approx(-said[np.arange(len(labels)), labels].mean(), abs=1e-12)
    assert summary["held_out_accuracy"] == pytest.approx((said.argmax(1) == labels).mean(), abs=1e-12)
    assert sum(summary["split"]["parts"]["held_out"]["windows"].values()) == len(labels)
    assert summary["nonzero"] == np.count_nonzero(arrays["weights"])
    assert summary["classes"] == list(GROUP)
    text = f"\n{SEPARATOR}\n".join(STORIES)
    assert summary["corpus"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert 0 <= summary["gap"] <= 1e-4
    low, high = summary["held_out_nll_interval"]
    assert low < summary["held_out_nll"] < high < summary["commonest"]["held_out_nll_interval"][1]
    comma = tokenizer.token_to_id(",")
    assert np.unravel_index(arrays["weights"].argmax(), arrays["weights"].shape) == (15, comma, 1)


def test_the_strength_was_chosen_without_the_held_out_stories(fitted):
    summary = summary_of(fitted)
    best = min(summary["path"], key=lambda point: point["choosing_loss"])
    assert (summary["l1"], summary["nonzero"]) == (best["l1"], best["nonzero"])
    assert summary["held_out_nll"] == best["held_out_loss"]
    weights = load_file(fitted / "weights.safetensors")["weights"]
    assert best["l1_term"] == pytest.approx(best["l1"] * np.abs(weights).sum())


def test_progress_goes_to_stderr_and_the_summary_to_stdout(corpus, tmp_path, capsys):
    command = ["fit", "--group", "but,and,so", "--corpus", corpus, "--out", str(tmp_path / "own")]
    assert main(command) == 0
    shown = capsys.readouterr()
    summary = summary_of(tmp_path / "own")
    assert (summary["group"], summary["classes"]) == ("but,and,so", [" but", " and", " so"])
    assert len(re.findall(r"^ \d\.\d\de-\d\d", shown.err, re.MULTILINE)) == len(summary["path"])
    assert shown.out.startswith("but,and,so in planted <b>.txt: ")
    assert shown.out.splitlines()[-1] == str(tmp_path / "own" / "fit.html")
    assert re.search(r"' but': ',' at −1 \+", shown.out)
    before = {path: path.read_bytes() for path in (tmp_path / "own").iterdir()}
    assert main(command) == 0
    again = capsys.readouterr()
    assert "holds this fit already" in again.out.splitlines()[0]
    assert again.out.splitlines()[1:] == shown.out.splitlines()
    assert not again.err
    assert {path: path.read_bytes() for path in (tmp_path / "own").iterdir()} == before


def begin_and_stop(command, stop):
    """Start the command in a process of its own and stop it while it fits the third strength."""
    with subprocess.Popen(
        [sys.executable, "-c", STALLED, *command], stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        told = ""
        while (line := process.stderr.readline()) and not line.startswith(" 6.95e-03"):
            told += line
        process.send_signal(stop)
        rest = process.stderr.read()
    assert line, told
    return process.returncode, rest


def test_a_killed_fit_goes_on_where_it_was(corpus, fitted, capsys):
    command = ["fit", "--group", "conjunctions", "--corpus", corpus, "--out", "killed", "--store", "none"]
    assert begin_and_stop(command, signal.SIGKILL) == (-signal.SIGKILL, "")
    assert not WRITTEN & {path.name for path in Path("killed").iterdir()}
    Path("killed/summary.0123456789ab.unfinished").write_text("{")  # as one that was killed while it wrote
    assert main([*command[:2], "and,but", *command[3:]]) == 2
    assert "unfinished fit of another group" in capsys.readouterr().err
    assert main(command) == 0
    assert capsys.readouterr().err.count("as kept") == 2
    assert {path.name for path in Path("killed").iterdir()} == WRITTEN
    for name in ("weights.safetensors", "tokenizer.json"):
        assert Path("killed", name).read_bytes() == (fitted / name).read_bytes()


def test_ctrl_c_says_in_one_line_how_to_go_on(corpus, capsys):
    command = ["fit", "--group", "conjunctions", "--corpus", corpus, "--out", "stopped", "--store", "kept"]
    code, rest = begin_and_stop(command, signal.SIGINT)
    assert (code, len(rest.splitlines())) == (130, 1), rest
    assert "stopped at l1 0.00483" in rest
    assert "the same command goes on from there" in rest
    assert main(command) == 0
    assert capsys.readouterr().err.count("as kept") == 2


OWN = {
    "foreign": ["thesis.tex"],
    "broken": ["summary.json"],
    "own": ["tokenizer.json", "draft.unfinished"],
    "own tokenizer": ["tokenizer.json"],
    "own folder": ["d.unfinished/draft.txt"],
    "own names": ["weights.safetensors/draft.txt"],
}
"""Folders with files of the user's own."""


LATIN = "caf\xe9".encode("latin-1")


MISTAKES = [
    (["--group", "conjunction"], "did you mean conjunctions"),
    (["--group", "and,but,and"], "'and' is in it twice"),
    (["--group", "and,zebra"], "' zebra' is no single token"),
    (["--corpus", "latin.txt"], "not UTF-8 at byte 3"),
    (["--corpus", "nowhere.txt"], "there is no such file"),
    (["--corpus", "few.txt"], "too few windows before a word, 100 of each are needed"),
    (["--corpus", "one.txt"], "1 stories leave too few windows"),
    (["--corpus", "lone.txt"], "leave too few windows held out"),
    (["--out", "/proc/fit"], "/proc/fit cannot be written"),
    (["--out", "latin.txt"], "latin.txt is no folder"),
    (["--out", "foreign"], "foreign holds something that is no fit (thesis.tex)"),
    (["--out", "broken"], "summary.json is no JSON"),
    (["--out", "own"], "own holds something that is no fit (draft.unfinished)"),
    (["--out", "own tokenizer"], "own tokenizer holds tokenizer.json, but no fit"),
    (["--out", "own folder"], "own folder holds something that is no fit (d.unfinished)"),
    (["--out", "own names"], "own names holds something that is no fit (weights.safetensors)"),
    (["--store", "/proc/store"], "/proc/store cannot be written"),
    (["--store", "latin.txt"], "store latin.txt is no folder"),
    (["--model", "smollm"], "unknown model 'smollm': did you mean smollm2-135m? name one of smollm2-135m,"),
    (["--model", "linear"], "--model linear is no language model"),
    (["--model", "llama-3.1-8b"], "torch sees 0 GPUs here: name another with --model, or leave --model out"),
    (["--model", "planted:base-rate"], "no single token for ' and'"),
]


def one_held_out():
    """Stories for fitting and for choosing, and a single one held out from both."""
    split = split_stories(STORIES)
    return [STORIES[place] for place in (*split.fitting, *split.choosing, split.held_out[0])]


@pytest.mark.parametrize(("options", "said"), MISTAKES, ids=[" ".join(options) for options, _ in MISTAKES])
def test_mistakes_end_in_one_line_and_touch_nothing(corpus, monkeypatch, capsys, options, said):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    Path("latin.txt").write_bytes(LATIN)
    write_corpus(Path("few.txt"), STORIES[:30])
    write_corpus(Path("one.txt"), [" ".join(STORIES)])
    write_corpus(Path("lone.txt"), one_held_out())
    for folder, files in OWN.items():
        for file in files:
            Path(folder, file).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, file).write_text("years of work")
    before = contents()
    asked = {"--group": "conjunctions", "--corpus": corpus, "--out": "out", "--store": "none"}
    asked |= dict([options])
    assert main(["fit", *(word for pair in asked.items() for word in pair)]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert len(shown.err.splitlines()) == 1
    assert len(shown.err) < 400
    assert "synthetic:" not in shown.err  # no list of what would be refused as well
    assert "--claims-" not in shown.err.replace("--claims-store", "")  # which the command does not have
    assert not shown.out
    assert contents() == before
    assert not Path("out").exists()


def contents():
    return {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}


def test_a_fit_that_misses_its_gap_is_a_line_that_promises_nothing(corpus, monkeypatch, capsys):
    monkeypatch.setattr(linear_path, "TOLERANCE", -1.0)
    assert main(["fit", "--group", "and,but", "--corpus", corpus, "--out", "out", "--store", "none"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "duality gap" in last
    assert "goes on" not in last


@pytest.mark.parametrize("lost", ["weights.safetensors", "fit.html"])
def test_a_fit_that_lost_a_file_says_what_to_do_here(fitted, corpus, tmp_path, capsys, lost):
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    (copy / lost).unlink()
    assert main(["fit", "--group", "conjunctions", "--corpus", corpus, "--out", str(copy), "--store", "none"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"holds this fit, but not whole ({copy / lost} is not there): name another folder" in line
    assert "give a folder" not in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group", "and,but"], "holds the fit of another group or corpus"),
        (["--corpus", "other.txt"], "holds the fit of another group or corpus"),
        (["--model", "smollm2-135m"], "holds this fit beside no language model, not smollm2-135m"),
    ],
)
def test_a_finished_fit_of_another_question_is_left_alone(fitted, corpus, capsys, options, said):
    write_corpus(Path("other.txt"), STORIES[:150])
    before = {path: path.read_bytes() for path in fitted.iterdir()}
    asked = {"--group": "conjunctions", "--corpus": corpus, "--out": str(fitted)} | dict([options])
    assert main(["fit", *(word for pair in asked.items() for word in pair)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "name another folder with --out" in line
    assert {path: path.read_bytes() for path in fitted.iterdir()} == before


def test_a_finished_fit_of_another_version_is_not_taken_for_this_one(fitted, corpus, capsys, monkeypatch):
    monkeypatch.setattr(fit, "path_engine", lambda: "another")
    command = ["fit", "--group", "conjunctions", "--corpus", corpus, "--out"]
    assert main([*command, str(fitted)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds the fit of another version of this program: name another folder with --out" in line


def test_a_language_model_is_asked_about_the_same_windows(corpus, fitted, capsys):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(fitted / "tokenizer.json")))
    module = random_model(VOUCHED["llama"], tokens=len(tokenizer))
    module.save_pretrained("model")
    tokenizer.save_pretrained("model")
    command = ["fit", "--group", "conjunctions", "--corpus", corpus, "--out", "beside", "--store", "none"]
    assert main([*command, "--model", "./model"]) == 0
    beside = summary_of(Path("beside"))["language_model"]
    assert beside["name"] == "./model"
    assert list(beside["views"]) == ["window", "story"]
    windows, labels = held_out_windows(tokenizer.backend_tokenizer)
    words = [tokenizer.convert_tokens_to_ids(word.replace(" ", "Ġ")) for word in GROUP]
    said = log_softmax(last_logits(module, windows)[:, words], axis=1)
    scored = beside["views"]["window"]
    assert scored["held_out_nll"] == pytest.approx(-said[np.arange(len(labels)), labels].mean(), rel=1e-4)
    assert f"./model, shown the window: {scored['held_out_nll']:.1f}"[:-2] in capsys.readouterr().out
    page = Path("beside/fit.html").read_text(encoding="utf-8")
    curve = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    (dashed,) = [trace for trace in curve["data"] if trace["line"]["dash"] == "dash"]
    assert dashed["name"] == "./model, window"
    assert dashed["y"] == [scored["held_out_nll"]] * 2


def last_logits(module, windows):
    import torch

    with torch.no_grad():
        return module(torch.from_numpy(windows)).logits[:, -1].double().numpy()


def test_the_page_runs_nothing_of_the_corpus(fitted):
    text = (fitted / "fit.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "planted <b>" not in text
    assert html.escape("planted <b>.txt") in text


def test_the_page_draws_its_curve(browser, fitted):
    browser.open(fitted / "fit.html")
    browser.wait_for("document.querySelector('.plot .main-svg .scatterlayer .trace')")
    drawn = browser.evaluate("document.querySelector('.plot').data.map(trace => [trace.name, trace.y.length])")
    rows = browser.evaluate("[...document.querySelectorAll('tbody tr')].map(row => row.innerText)")
    assert browser.console == []
    strengths = len(summary_of(fitted)["path"])
    assert ["training loss", strengths] in drawn
    assert ["held-out loss", strengths] in drawn
    assert ["L1 term", strengths] in drawn
    assert any(row.startswith("','") and "−1" in row for row in rows)


def test_help_is_there_before_heavy_imports():
    code = (
        "import sys\nfrom optim_hunter.cli import main\n"
        "try:\n    main(['fit', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'plotly', 'numpy') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"
    for word in ("--group", "--corpus", "--out", "--model", "--store", *WRITTEN, "examples:"):
        assert word in shown


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "is not there"),
        (lambda folder: (folder / "summary.json").write_text("[]"), "no summary of a fit"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "is not the file that"),
        (lambda folder: save_file({"weights": np.zeros(3)}, folder / "weights.safetensors"), "is not the file that"),
    ],
)
def test_a_damaged_folder_is_not_read(fitted, tmp_path, damage, said):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in fitted.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert read_fitted_folder(copy).classes == GROUP
    damage(copy)
    with pytest.raises(UserError, match=said):
        read_fitted_folder(copy)
