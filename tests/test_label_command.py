"""`optim-hunter label`: in a terminal, from a script, and what it refuses."""

import codecs
import io
import json
import os
import select
import signal
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

from optim_hunter.cli import main
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.stories.examples import draw_examples
from optim_hunter.tasks.corpus import SEPARATOR, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.stories import CONJUNCTIONS

STORIES, CLAUSES = 700, 6
PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
from optim_hunter.cli import main
sys.exit(main())
"""
PATIENCE = 30.0
"""Seconds after which a terminal that says nothing is given up."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Stories without sense in which " but" mostly comes after a comma, else " and"; enough to hold out fifty."""
    generator = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("corpus") / "stories.txt"
    path.write_text(SEPARATOR.join("".join(clause(generator) for _ in range(CLAUSES)) for _ in range(STORIES)))
    return path


def clause(generator) -> str:
    words = " ".join(generator.choice(("Tom", "Lily", "saw", "the", "red", "ball"), size=10))
    comma = generator.random() < 0.5
    usual = " but" if comma else " and"
    word = usual if generator.random() < 0.8 else generator.choice([word for word in CONJUNCTIONS if word != usual])
    return f"{words}{',' * comma}{word} "


@pytest.fixture(scope="module")
def examples(corpus):
    return draw_examples(LinearChooser(read_corpus(corpus), ChoiceTask()), 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(cache, tmp_path, monkeypatch):
    """A fresh working folder, wide lines, and a cache that the tests of this file share."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(cache))
    return tmp_path


def right_keys(examples) -> list[str]:
    return [str(label + 1) for label in examples.windows.labels]


def scripted(monkeypatch, corpus, lines, *options) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return main(["label", "--corpus", str(corpus), *map(str, options)])


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, corpus, *options):
        self._keyboard, self._screen = os.openpty()
        self.before = termios.tcgetattr(self._screen)
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), self._screen)
        command = [sys.executable, "-c", PROGRAM, "label", "--corpus", str(corpus), *options]
        self.process = subprocess.Popen(command, start_new_session=True, **ends)
        self.shown, self._decoder = "", codecs.getincrementaldecoder("utf-8")()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)
        os.close(self._screen)

    def press(self, keys):
        os.write(self._keyboard, keys.encode())

    def wait_for(self, text):
        """Read until a text is shown, and forget all up to its end."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            ready, _, _ = select.select([self._keyboard], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} does not come after {self.shown!r}"
            self.shown += self._decoder.decode(os.read(self._keyboard, 65536))
        self.shown = self.shown.partition(text)[2]

    def show_what_is_typed(self):
        """Set the terminal as a shell does when it stops a program."""
        termios.tcsetattr(self._screen, termios.TCSANOW, self.before)

    @property
    def reads_keys(self):
        return not termios.tcgetattr(self._screen)[3] & (termios.ICANON | termios.ECHO)

    def end(self):
        """The exit code; the terminal must be as it was."""
        code = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self._screen) == self.before
        return code


def test_a_person_answers_undoes_stops_goes_on_and_sees_the_score(here, corpus, examples):
    keys = right_keys(examples)
    file = here / "labels-conjunctions-0.json"
    with Terminal(corpus) as terminal:
        terminal.wait_for("1 of 50")
        terminal.wait_for(examples.texts[0].split()[-1])
        assert terminal.reads_keys
        terminal.press("1\x1b[A2u")
        for progress in ("2 of 50", "3 of 50", "2 of 50"):
            terminal.wait_for(progress)
        terminal.press("q")
        terminal.wait_for("the same command goes on")
        assert terminal.end() == 0
    assert json.loads(file.read_text())["answers"] == [" and"]
    with Terminal(corpus) as terminal:
        terminal.wait_for("2 of 50")
        terminal.press("u")
        terminal.wait_for("1 of 50")
        terminal.press("".join(keys) + "u" + keys[-1])
        terminal.wait_for("All 50 are answered")
        terminal.wait_for("50 of 50")
        terminal.wait_for("All 50 are answered")
        terminal.press("\r")
        terminal.wait_for("50/50")
        terminal.wait_for("92.9%")  # the lower end of the exact interval
        terminal.wait_for("McNemar")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param(lambda terminal: terminal.press("\x03"), 130, id="Ctrl-C"),
        pytest.param(lambda terminal: terminal.press("\x04"), 0, id="Ctrl-D"),
        pytest.param(lambda terminal: terminal.process.send_signal(signal.SIGTERM), 130, id="terminated"),
    ],
)
def test_however_it_ends_the_terminal_is_as_before_and_the_answers_are_kept(here, corpus, end, code):
    with Terminal(corpus, "--out", "ann.json") as terminal:
        terminal.wait_for("1 of 50")
        terminal.press("2")
        terminal.wait_for("2 of 50")
        end(terminal)
        terminal.wait_for("ann.json keeps what was answered")
        assert terminal.end() == code
    assert json.loads((here / "ann.json").read_text())["answers"] == [" but"]


def test_a_program_that_was_stopped_and_goes_on_reads_keys_again(here, corpus):
    with Terminal(corpus, "--out", "ann.json") as terminal:
        terminal.wait_for("1 of 50")
        terminal.show_what_is_typed()
        assert not terminal.reads_keys
        terminal.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE
        while not terminal.reads_keys and time.monotonic() < deadline:
            time.sleep(0.01)
        assert terminal.reads_keys
        terminal.press("1q")
        terminal.wait_for("keeps what was answered")
        assert terminal.end() == 0
    assert json.loads((here / "ann.json").read_text())["answers"] == [" and"]


@pytest.mark.usefixtures("here")
def test_a_script_answers_like_a_person(corpus, examples, monkeypatch, capsys):
    keys = right_keys(examples)
    assert scripted(monkeypatch, corpus, keys[:20], "--who", "Ann [b]") == 0
    output = capsys.readouterr()
    assert "goes on" in output.out
    assert "21 of 50" in output.err
    assert scripted(monkeypatch, corpus, [*keys[20:-1], "12", "0", keys[-1]], "--who", "Ann [b]") == 0
    output = capsys.readouterr()
    assert "12 does nothing here" in output.err
    scores = {cells[0]: cells[1:] for cells in rows(output.out) if len(cells) == 4 and "/50" in cells[1]}
    labels = examples.windows.labels
    commonest = f'always "{examples.group[np.bincount(all_labels(corpus)).argmax()].strip()}"'
    assert scores["Ann [b]"] == ["50/50", "100%", "92.9% to 100.0%"]
    assert scores[commonest][0] == f"{(labels == np.bincount(all_labels(corpus)).argmax()).sum()}/50"
    assert int(scores["linear model"][0].removesuffix("/50")) > int(scores[commonest][0].removesuffix("/50"))
    assert scores["author, as published, on other examples"] == ["35/50", "70%", "55.4% to 82.1%"]
    assert scores["mentor, as published, on other examples"] == ["37/50", "74%", "59.7% to 85.4%"]
    assert scripted(monkeypatch, corpus, ["u", "u"], "--who", "Ann [b]") == 0
    assert capsys.readouterr().out == output.out  # what came was shown: nothing is asked or undone any more


def rows(output) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]


def all_labels(corpus):
    chooser = LinearChooser(read_corpus(corpus), ChoiceTask())
    return chooser.windows.of_stories(chooser.split.fitting).labels


def test_what_came_is_shown_to_nobody_before_the_end(here, corpus, examples, monkeypatch, capsys):
    scripted(monkeypatch, corpus, ["1"] * 49)
    shown = capsys.readouterr().err.splitlines()
    asked = [line.strip().removesuffix(" ____") for line in shown if line.rstrip().endswith("____")]
    assert asked == [text.strip() for text in examples.texts]
    saved = json.loads((here / "labels-conjunctions-0.json").read_text())
    assert saved["answers"] == [" and"] * 49
    assert "labels" not in saved


@pytest.mark.usefixtures("here")
def test_files_of_several_people_are_scored_together(corpus, examples, monkeypatch, capsys):
    keys = right_keys(examples)
    wrong = [str(int(key) % 5 + 1) for key in keys[:10]]
    scripted(monkeypatch, corpus, keys, "--out", "ann.json")
    scripted(monkeypatch, corpus, wrong + keys[10:], "--out", "ben.json", "--who", "Ben")
    capsys.readouterr()
    assert scripted(monkeypatch, corpus, [], "--score", "ann.json", "ben.json") == 0
    found = rows(capsys.readouterr().out)
    assert ["Ben", "40/50", "80%", "66.3% to 90.0%"] in found
    assert ["ann", "Ben", "40", "10", "0"] in [cells[:5] for cells in found]
    assert sum("✗" in cell for cells in found for cell in cells) == 10


@pytest.fixture
def says_but(here, corpus):
    """A folder with a language model that finds " but" the likeliest of the five after every text."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = LinearChooser(read_corpus(corpus), ChoiceTask()).tokenizer
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.model.embed_tokens.weight.data += 5.0
    model.lm_head.weight.data[tokenizer.token_to_id("Ġbut")] = 1.0
    model.save_pretrained(here / "model")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(here / "model")
    return "./model"


def test_a_language_model_is_asked_for_the_same_examples(says_but, corpus, examples, monkeypatch, capsys):
    assert scripted(monkeypatch, corpus, right_keys(examples), "--model", says_but) == 0
    found = rows(capsys.readouterr().out)
    buts = f"{(examples.windows.labels == 1).sum()}/50"
    assert [cells[:2] for cells in found if cells[0].startswith(says_but)] == [
        [f"{says_but}, window", buts],
        [f"{says_but}, story", buts],
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group", "conjunction"], "did you mean conjunctions"),
        (["--group", "a,b,c,d,e,f,g,h,i,j"], "10 words, but there are keys for 9"),
        (["--group", "and,elephant"], "no single token"),
        (["--corpus", "nowhere.txt"], "no such file"),
        (["--seed", "-1"], "--seed -1: give zero or more"),
        (["--model", "smollm"], "did you mean smollm2-135m? name one of smollm2-135m,"),
        (["--model", "recorded:llama-3.1-8b"], "did you mean llama-3.1-8b? name one of smollm2-135m,"),
        (["--score", "nowhere.json"], "nowhere.json is not there"),
        (["--score", "some.json"], "some.json has 1 of 50 answers"),
        (["--score", "some.json", "./some.json"], "given twice"),
        (["--score", "some.json", "--who", "Ann"], "leave out --out and --who"),
        (["--seed", "1", "--out", "some.json"], "some.json is of another seed"),
        (["--group", "and,but", "--out", "some.json"], "some.json is of another group"),
        (["--corpus", "other.txt", "--out", "some.json"], "some.json is of another corpus"),
        (["--out", "stories/some.json"], "cannot be"),
    ],
)
def test_what_cannot_be_asked_ends_in_one_line_before_any_question(here, corpus, monkeypatch, capsys, options, said):
    (here / "other.txt").write_text(corpus.read_text() + f"\n{SEPARATOR}\nOnce upon a time.")
    (here / "stories").write_text("a file where a folder is asked for")
    scripted(monkeypatch, corpus, ["1"], "--out", "some.json")
    kept = (here / "some.json").read_text()
    capsys.readouterr()
    assert scripted(monkeypatch, corpus, ["1"], *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert (here / "some.json").read_text() == kept


def test_a_corpus_with_too_few_held_out_stories_is_refused(here, corpus, monkeypatch, capsys):
    few = corpus.read_text().split(SEPARATOR)[:470]
    (here / "few.txt").write_text(SEPARATOR.join(few))
    assert scripted(monkeypatch, here / "few.txt", []) == 2
    assert "50 are needed; give a larger corpus" in capsys.readouterr().err
