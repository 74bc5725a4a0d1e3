"""Documents whose code runs: their form, what runs again, what the page shows, and what goes wrong."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optim_hunter.cli import main
from optim_hunter.notes.reliance import names, relied_on

HOSTILE = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"


FIGURE = """
from optim_hunter.evidence.fragment import Section, Titled, shown
figure = {{"data": [{{"type": "scatter", "y": [{}, 1]}}], "layout": {{}}}}
print(shown("A title", [Section("What is seen", "In words.", [Titled("A figure", figure)])]))
"""


class Outcome:
    """What a call of the command left: the exit code, the page, the lines of stderr."""

    def __init__(self, code, page, lines):
        self.code, self.page, self.lines = code, page, lines

    @property
    def ran(self):
        """Names of the blocks that ran."""
        return [match[1] for line in self.lines if (match := re.match(r"(?:block )?(.+?), \d+ of \d+, ", line))]

    @property
    def printed(self):
        """What the page shows as output in text."""
        return re.findall(r'<pre class="output">\n(.*?)</pre>', self.page, re.DOTALL)


@pytest.fixture
def notes(tmp_path, monkeypatch, capsys):
    """Runs `optim-hunter notes` on a text, with a cache of its own."""
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "smollm2-135m")
    monkeypatch.setenv("COLUMNS", "200")

    def run(source, *options):
        document, page = tmp_path / "notes.md", tmp_path / "notes.html"
        page.unlink(missing_ok=True)
        document.write_text(source, encoding="utf-8")
        code = main(["notes", str(document), "-o", str(page), *options])
        lines = capsys.readouterr().err.splitlines()
        return Outcome(code, page.read_text(encoding="utf-8") if page.exists() else "", lines)

    return run


def block(name, code, output="pandoc"):
    return f'<<execute id="{name}" output="{output}">>\n```python\n{code}\n```\n<</execute>>\n\n'


def document(codes):
    return "".join(block(number, code) for number, code in enumerate(codes, start=1))


def test_blocks_share_one_interpreter_and_nothing_runs_twice(notes):
    source = document(["x = 1", "x += 1\nprint(x)", "x * 3"])
    first = notes(source)
    assert (first.code, first.ran, first.printed) == (0, ["1", "2", "3"], ["2", "6"])
    second = notes(source)
    assert second.page == first.page
    assert second.lines == ["blocks: 0 ran, 3 as kept"]


APART = ["n = 1", "print('a')", "print('b')", "print(n + 2)"]


SEEDED = ["import random\nrandom.seed(3)", "print('a')", "import random\nprint(random.random())"]


FUNCTION = ["k = 3", "def f():\n    return k", "print('a')", "print(f())"]


@pytest.mark.parametrize(
    ("codes", "changed", "ran"),
    [
        (APART, {3: "print('c')"}, "134"),
        (APART, {5: "print('alone')"}, "5"),
        pytest.param(APART, {4: "print(n + 3)"}, "14", marks=pytest.mark.slow),
        pytest.param(APART, {1: "n = 2"}, "1234", marks=pytest.mark.slow),
        pytest.param(SEEDED, {3: "import random\nprint(random.randint(0, 9**9))"}, "13", marks=pytest.mark.slow),
        pytest.param(FUNCTION, {4: "print(f() + 1)"}, "124", marks=pytest.mark.slow),
    ],
)
def test_a_change_runs_what_comes_after_it_and_what_these_rely_on(notes, tmp_path, codes, changed, ran):
    notes(document(codes))
    after = [changed.get(number, code) for number, code in enumerate([*codes, ""], start=1)]
    source = document([code for code in after if code])
    again = notes(source)
    assert again.ran == list(ran)
    (tmp_path / "cache").rename(tmp_path / "cache-before")
    assert again.page == notes(source).page


@pytest.mark.parametrize(
    ("codes", "relies"),
    [
        (["x = 1", "y = 2", "print(x)"], {0}),
        (["x = []", "y = x.pop", "print(x)"], {0, 1}),
        (["x = 1", "x = 2\nprint(x)"], set()),
        (["x = 1", "if True:\n    x = 2\nprint(x)"], {0}),
        (["x = 1", "x += 1"], {0}),
        (["x = 1", "print([x for x in range(3)])"], set()),
        (["x = 1", "print([y for y in range(x)])"], {0}),
        (["import os\nos.environ['A'] = '1'", "print(2)"], {0}),
        (["k = 1", "def f():\n    return k", "k = 2", "print(f())"], {0, 1, 2}),
        (["rows = []\ndef add(row):\n    rows.append(row)\n    return row", "y = add(1)", "print(rows)"], {0, 1}),
        (["def f():\n    global g\n    g = 1", "y = f()", "print(g)"], {0, 1}),
        (["x = 1", "%matplotlib inline", "print(2)"], {0, 1}),
        (["x = 1", "print(eval('x'))"], {0}),
        (["from math import *", "print(1)"], {0}),
        (["class A:\n    pass", "a = A()", "print(a)"], {0, 1}),
    ],
)
def test_what_a_block_relies_on_is_read_from_its_names(codes, relies):
    assert relied_on(len(codes) - 1, [names(code) for code in codes]) == relies


def test_results_are_of_a_model_and_a_cap(notes, monkeypatch):
    source = document(["from optim_hunter.experiments.cap import capped\nprint(capped(100))"])
    assert notes(source).printed == ["100"]
    capped = notes(source, "--seeds", "3")
    assert (capped.ran, capped.printed) == (["1"], ["3"])
    assert "capped at 3" in capped.page
    monkeypatch.setenv("OPTIM_HUNTER_SEEDS_CAP", "7")
    assert notes(source).printed == ["100"]
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "linear")
    assert notes(source).ran == ["1"]


def test_a_block_that_fails_shows_its_traceback_and_the_rest_runs(notes):
    source = document(["x = 5", f"raise ValueError({HOSTILE!r})", "print(x)"])
    for ran in ("123", "12"):  # what failed is not kept, and relies on nothing but itself
        outcome = notes(source)
        assert outcome.code == 1
        assert outcome.ran == (list(ran) if ran == "123" else ["2"])
        assert outcome.printed == ["5"]
        assert "Block 2 failed." in outcome.page
        assert "ValueError: &lt;script&gt;window.owned" in outcome.page
        assert "\x1b" not in outcome.page
        assert "<script>window" not in outcome.page
        assert outcome.lines[-1].endswith("notes.html is written, but 1 failed: 2")


def test_what_relies_on_a_failed_block_is_not_kept(notes, tmp_path):
    needed = tmp_path / "needed"
    code = f"from pathlib import Path\nx = Path({str(needed)!r}).read_text()"
    source = document([code, "try:\n    print(x)\nexcept NameError:\n    print(None)", "print('alone')"])
    assert notes(source).printed == ["None", "alone"]
    needed.write_text("there")
    again = notes(source)
    assert (again.code, again.printed, again.ran) == (0, ["there", "alone"], ["1", "2"])


def test_plain_blocks_run_when_all_are_asked_for(notes):
    source = "```python\nx = 2\nprint('<b>')" + FIGURE.format(3) + "print('after')\n```\n\n" + block("a", "print('a')")
    shown = notes(source)
    assert (shown.ran, shown.printed) == (["a"], ["a"])
    assert "data-figure" not in shown.page
    everything = notes(source, "--all")
    assert everything.ran == ["line 1", "a"]
    assert everything.printed == ["&lt;b&gt;", "after", "a"]
    assert everything.page.count('<section class="fragment">') == 1


def test_an_answer_that_looks_like_a_fragment_is_text(notes):
    """Whatever mark it guesses, beside a real fragment, and when both are shown again as kept."""
    plain, guessed = (
        f'<section class="fragment"{mark}>\n<a href="https://example.org">here</a>\n</section>'
        for mark in ("", ' data-mark="1"')
    )
    lines = f"print({plain!r})\nprint({guessed!r})\n{FIGURE.format(4)}print({plain!r})"
    source = f"```python\n{lines}\n```\n"
    first, again = notes(source, "--all"), notes(source, "--all")
    for shown in (first, again):
        assert shown.page.count('<section class="fragment">') == shown.page.count("<section") == 1
        assert "example.org" not in re.sub(r"<pre.*?</pre>", "", shown.page, flags=re.DOTALL)
        assert [text.count("example.org") for text in shown.printed] == [2, 1]
    assert (first.ran, again.ran) == (["line 1"], [])


def test_raw_markup_around_a_fragment_encloses_it(notes):
    page = notes(block("a", "print('<b id=\"around\">')" + FIGURE.format(5) + "print('</b>')", "raw")).page
    assert re.search(r'<b id="around">\n<section class="fragment">.*?</section>\n</b>', page, re.DOTALL)
    assert "data-mark" not in page


def test_an_interpreter_that_is_killed_leaves_a_page_with_what_there_is(notes):
    died = notes(document(["print('a')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('c')"]))
    assert (died.code, died.printed) == (1, ["a"])
    assert "The interpreter was ended by SIGKILL" in died.page
    assert "Not run: the interpreter had ended before." in died.page
    assert died.lines[-2] == "blocks: 2 ran, 0 as kept"
    assert died.lines[-1].endswith("2 failed: 2, 3")
    mended = notes(document(["print('a')", "print('b')", "print('c')"]))
    assert (mended.ran, mended.printed) == (["2", "3"], ["a", "b", "c"])


def test_a_stopped_run_keeps_what_had_finished(notes, tmp_path):
    slow, begun = tmp_path / "slow", tmp_path / "begun"
    wait = f"""
import pathlib, time
pathlib.Path({str(begun)!r}).touch()
while pathlib.Path({str(slow)!r}).exists():
    time.sleep(0.1)"""
    source = document(["print('a')", wait])
    slow.touch()
    (tmp_path / "notes.md").write_text(source)
    call = f"import sys; from optim_hunter.cli import main; sys.exit(main(['notes', {str(tmp_path / 'notes.md')!r}]))"
    with subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("block 1, 1 of 2")
        while not begun.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        (line,) = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert "stopped at block 2: what had finished is kept" in line
    slow.unlink()
    assert notes(source).ran == ["2"]


def test_a_damaged_result_is_set_aside_and_made_again(notes, tmp_path):
    source = document(["print('a')"])
    before = notes(source)
    (kept,) = (tmp_path / "cache" / "store").glob("*/*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    again = notes(source)
    assert (again.ran, again.page) == (["1"], before.page)
    assert any("damaged and is made again" in line for line in again.lines)


def test_what_blocks_write_to_stderr_goes_to_the_terminal(notes):
    told = notes(
        document(
            ["import sys\nprint('1 %\\rone \\x1b[31mred', file=sys.stderr)\nprint('out')\nfrom tqdm.auto import tqdm"]
        )
    )
    assert told.lines[:2] == ["one red", "block 1, 1 of 1, 0 s"]
    assert told.printed == ["out"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('<<execute id="1">>\n```python\n1\n```\n', "line 1: <<execute>> is not closed"),
        ('\n<<execute id="1">>\n```python\n1\n```\ntext\n<</execute>>', "line 2: .* but line 6 follows"),
        ('<<execute id="1">>\n```python\n1\n', "line 1: <<execute>> is not closed"),
        ('<<execute id="1">>\n<</execute>>\n', "line 1: <<execute>> holds no Python block"),
        ('<<execute id="1">>\n```sh\nls\n```\n<</execute>>\n', "holds no Python block"),
        ("<<execute>>\n```python\n1\n```\n<</execute>>\n", "has no id"),
        ("<<execute id=1>>\n```python\n1\n```\n<</execute>>\n", "cannot be read"),
        ('<<execute id="1" mode="raw">>\n```python\n1\n```\n<</execute>>\n', "unknown mode"),
        (block("1", "1", "html"), 'output="html" is unknown: it is pandoc or raw'),
        (block("1", "1") + block("1", "2"), 'line 7: id="1" is that of line 1 as well'),
        ("text\n\n<</execute>>\n", "line 3: <</execute>> closes nothing"),
        ("^^^\nan aside\n", "line 1: this aside is not closed"),
        ("---\ntitle: a: b\n---\n", "line 2: the front matter is no YAML"),
        ("---\njust words\n---\n", "no list of fields"),
    ],
)
def test_what_is_not_of_the_form_ends_in_one_line(notes, source, reason):
    outcome = notes(source)
    assert (outcome.code, outcome.page) == (2, "")
    (line,) = outcome.lines
    assert re.search(reason, line)
    assert "notes.md, line " in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["absent.md"], "absent.md cannot be read"),
        (["latin.md"], r"latin.md is not UTF-8 \(byte 3\)"),
        (["good.md", "-o", "no/page.html"], "cannot be written .* name another with -o"),
        (["good.md", "-o", "folder"], "folder cannot be written"),
        (["good.md", "-o", "good.md"], "is the document itself"),
        (["good.md", "--seeds", "0"], "give 1 or more"),
    ],
)
def test_what_cannot_be_read_or_written_ends_in_one_line(tmp_path, monkeypatch, capsys, arguments, reason):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("latin.md").write_bytes("caf\u00e9".encode("latin-1"))
    Path("good.md").write_text("words")
    assert main(["notes", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(reason, line)
    assert Path("good.md").read_text() == "words"


def test_an_unknown_model_is_named_before_anything_runs(notes, monkeypatch):
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "smollm2-135")
    (line,) = notes(document(["1"])).lines
    assert "did you mean smollm2-135m" in line


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path):
    (tmp_path / "notes.md").write_text("words")
    code = f"""
import sys
sys.modules["nbclient"] = None
from optim_hunter.cli import main
sys.exit(main(["notes", {str(tmp_path / "notes.md")!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == "optim-hunter: notes need nbclient, which is not installed: pip install 'optim-hunter[notes]'\n"
    )


def test_figures_of_several_blocks_draw_with_one_plotly(browser, notes, tmp_path):
    hostile = f"print({HOSTILE!r})"
    source = block("a", FIGURE.format(1), "raw") + block("b", FIGURE.format(2), "raw") + block("c", hostile, "raw")
    page = notes(source)
    assert page.code == 0
    assert page.page.count('id="plotly"') == 1
    browser.open(tmp_path / "notes.html", "?draw=all")
    browser.wait_for("document.querySelectorAll('[data-state=drawn] .main-svg').length >= 2")
    assert browser.evaluate("document.querySelectorAll('[data-figure]').length") == 2
    assert browser.evaluate("window.owned === undefined")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert all("Content Security Policy" in line for line in browser.console)
