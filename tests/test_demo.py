"""The command `demo`: what lies in its page, how large it may be, and what goes wrong in a line."""

import gzip
import json
import re
from base64 import b64decode

import numpy as np
import pytest
from safetensors.numpy import load

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.cli import main
from optim_hunter.measures.choices import correct, losses
from optim_hunter.models import linear_path
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.stories import demo_making
from optim_hunter.stories.demo import ShownGroup, count_tokens, open_choosers, show_group
from optim_hunter.stories.demo_page import demo_html
from optim_hunter.tasks.corpus import SEPARATOR
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus
from optim_hunter.tasks.word_groups import WordGroup, word_group

CORPUS = planted_corpus(next(iter(PLANTED)))
GROUP = word_group("conjunctions")


@pytest.fixture(scope="module")
def chooser() -> LinearChooser:
    return open_choosers([GROUP], CORPUS, None)[0][GROUP]


@pytest.fixture(scope="module")
def shown(chooser) -> ShownGroup:
    return show_group(GROUP, chooser, lambda _point: None)


@pytest.fixture
def corpus_file(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(SEPARATOR.join(CORPUS.stories), encoding="utf-8")
    return path


def packed(page: str) -> tuple[dict, dict]:
    """The arrays of a page, and its description."""
    data = gzip.decompress(b64decode(re.search(r'id="data">([^<]+)<', page)[1]))
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return load(data), json.loads(header["__metadata__"]["page"])


def test_the_figures_are_those_of_the_held_out_stories(shown):
    chooser = LinearChooser(CORPUS, ChoiceTask(GROUP.words, ("prior", "linear"), stories_per_seed=1))
    seen = [chooser.observe(seed) for seed in range(len(chooser.split.held_out))]
    for view in ("prior", "linear"):
        found, right = (np.concatenate([measure(one, view) for one in seen]) for measure in (losses, correct))
        assert shown.figures["loss"][view] == pytest.approx(found.mean())
        assert shown.figures["right"][view] == pytest.approx(right.mean())
    assert shown.figures["nonzero"] == np.count_nonzero(shown.weights)
    assert shown.figures["held_out_windows"] == len(shown.examples.labels)


def test_examples_are_held_out_and_counts_are_of_fitted_windows(chooser, shown):
    assert np.isin(shown.examples.story, chooser.split.held_out).all()
    order = [np.flatnonzero(chooser.split.held_out == story)[0] for story in shown.examples.story]
    assert order == sorted(order)
    fitted = chooser.windows.of_stories(chooser.split.fitting)
    comma = chooser.tokenizer.token_to_id(",")
    for label in range(5):
        there = (fitted.tokens[:, 15] == comma) & (fitted.labels == label)
        assert shown.counts[15, comma, label] == there.sum()
    assert (count_tokens(fitted, *shown.counts.shape[1:]).sum((1, 2)) == len(fitted.labels)).all()


def test_the_page_holds_the_model_unrounded(chooser, shown):
    arrays, description = packed(demo_html([shown], CORPUS, chooser.tokenizer))
    assert arrays["0.weights"].tobytes() == np.ascontiguousarray(shown.weights).tobytes()
    assert arrays["0.offsets"].tobytes() == shown.offsets.tobytes()
    assert description["groups"][0]["words"] == list(GROUP.words)
    assert (arrays["0.examples"] == shown.examples.tokens).all()
    assert len(description["names"]) == chooser.tokenizer.get_vocab_size()


def test_one_corpus_makes_one_page(chooser, shown):
    assert demo_html([shown], CORPUS, chooser.tokenizer) == demo_html([shown], CORPUS, chooser.tokenizer)


def test_a_page_above_the_limit_has_fewer_examples_and_then_is_refused(chooser, shown):
    whole = demo_html([shown], CORPUS, chooser.tokenizer)
    limit = len(whole.encode()) - 2000
    page = demo_html([shown], CORPUS, chooser.tokenizer, limit)
    arrays, description = packed(page)
    assert len(page.encode()) <= limit
    kept = len(arrays["0.labels"])
    assert 0 < kept < len(shown.examples.labels) == description["groups"][0]["held_out_windows"]
    assert (arrays["0.examples"] == shown.examples.tokens[:kept]).all()
    with pytest.raises(UserError, match="ask for fewer groups"):
        demo_html([shown], CORPUS, chooser.tokenizer, 50_000)


def test_a_page_names_what_is_foreign_as_text(chooser, shown):
    name = "<script>window.owned=1</script>\u202e"
    page = demo_html([shown], planted_named(name), chooser.tokenizer)
    assert name not in page
    assert "\u202e" not in page
    assert page.index("default-src 'none'") < page.index("<title>")
    assert packed(page)[1]["corpus"]["name"] == name


def planted_named(name: str):
    return type(CORPUS)(name, CORPUS.stories, CORPUS.sha256, CORPUS.note)


def test_groups_that_a_corpus_lacks_are_left_out_with_a_line_unless_asked_for(corpus_file, tmp_path, capsys):
    page, store = tmp_path / "new" / "page.html", str(tmp_path / "store")
    assert main(["demo", "--corpus", str(corpus_file), "-o", str(page), "--store", store]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(page)
    assert [group["name"] for group in packed(page.read_text())[1]["groups"]] == ["conjunctions"]
    assert printed.err.count("left out ") == 9
    assert "1 of 1 conjunctions: held-out loss" in printed.err
    assert main(["demo", "--group", "time", "--corpus", str(corpus_file), "-o", str(page), "--store", store]) == 2
    assert "left out" not in capsys.readouterr().err


TWO = {name: word_group(name).words for name in ("conjunctions", "and,but")}


def fit_of_the_second_misses_its_gap(monkeypatch):
    def missing(group, chooser, fitted):
        if group.name == "and,but":
            raise InvalidInstrument("duality gap 3.0e-04 above 0.0001")
        return show_group(group, chooser, fitted)

    monkeypatch.setattr(demo_making, "show_group", missing)


def test_a_fit_that_misses_its_gap_is_left_out_with_a_line_unless_it_was_asked_for(
    corpus_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(demo_making, "WORD_GROUPS", TWO)
    fit_of_the_second_misses_its_gap(monkeypatch)
    page = tmp_path / "page.html"
    command = ["demo", "--corpus", str(corpus_file), "-o", str(page), "--store", str(tmp_path / "store")]
    assert main(command) == 0
    assert "left out and,but: duality gap 3.0e-04" in capsys.readouterr().err
    assert [group["name"] for group in packed(page.read_text())[1]["groups"]] == ["conjunctions"]
    page.unlink()
    assert main([*command, "--group", *TWO]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("optim-hunter: and,but: duality gap 3.0e-04")
    assert not page.exists()


def test_no_fit_at_all_is_a_line_and_no_page(corpus_file, tmp_path, monkeypatch, capsys):
    """The real path of a fit that does not reach its gap."""
    monkeypatch.setattr(linear_path, "TOLERANCE", -1.0)
    page = tmp_path / "page.html"
    assert main(["demo", "--corpus", str(corpus_file), "-o", str(page), "--store", "none"]) == 2
    assert "no group is left to be shown" in capsys.readouterr().err.splitlines()[-1]
    assert not page.exists()


def test_nothing_but_an_earlier_page_is_overwritten(corpus_file, tmp_path, capsys):
    page = tmp_path / "page.html"
    command = ["demo", "--group", "and,but", "--corpus", str(corpus_file), "-o", str(page), "--store", "none"]
    page.write_text("<!DOCTYPE html><p>years of work")
    assert main(command) == 2
    assert "is there and is no page of this command" in capsys.readouterr().err
    assert page.read_text() == "<!DOCTYPE html><p>years of work"
    page.unlink()
    assert main(command) == 0
    first = page.read_bytes()
    assert main([*command[:2], "but,and", *command[3:]]) == 0
    assert page.read_bytes() != first


def test_a_group_and_words_that_are_its_name_are_two():
    """`to-be` is a group of five words, `to,be` one of two."""
    assert word_group("to,be").name == "to,be" != word_group("to-be").name
    assert word_group(" to , be ") == word_group("to,be")


def test_groups_of_ones_own_come_in_the_order_asked(corpus_file, tmp_path):
    page = tmp_path / "page.html"
    asked = ["but,and", "and,but,so"]
    assert main(["demo", "--group", *asked, "--corpus", str(corpus_file), "-o", str(page), "--store", "none"]) == 0
    arrays, description = packed(page.read_text())
    assert [group["words"] for group in description["groups"]] == [[" but", " and"], [" and", " but", " so"]]
    assert [arrays[f"{number}.weights"].shape[2] for number in (0, 1)] == [2, 3]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--group", "conjunction"], "did you mean conjunctions"),
        (["--group", "time", "time"], "name each group once"),
        (["--group", "and,but", "and, but"], "name each group once"),
        (["--corpus", "no-such-file.txt"], "there is no such file"),
        (["-o", "."], "it is a folder"),
        (["-o", "/proc/none/page.html"], "name another with -o"),
    ],
)
def test_what_cannot_be_is_a_line_before_any_fit(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--store", "none", *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_too_few_stories_are_refused_before_any_fit():
    few = type(CORPUS)("few", (" ".join(CORPUS.stories),), CORPUS.sha256, "")
    _, wrong = open_choosers([GROUP], few, None)
    assert "give a corpus of more stories" in str(wrong[GROUP])


def test_a_stopped_command_goes_on_where_it_was(corpus_file, tmp_path, monkeypatch, capsys):
    arguments = ["demo", "--group", "conjunctions", "--corpus", str(corpus_file), "-o", str(tmp_path / "page.html")]
    arguments += ["--store", str(tmp_path / "store")]
    stop_after, opened = [2], []

    def stopped(group: WordGroup, chooser: LinearChooser, fitted):
        def told(point):
            fitted(point)
            if chooser.fits in stop_after:
                raise KeyboardInterrupt

        opened.append(chooser)
        return show_group(group, chooser, told)

    monkeypatch.setattr(demo_making, "show_group", stopped)
    assert main(arguments) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
    stop_after.clear()
    assert main(arguments) == 0
    assert opened[1].taken == 2
    assert opened[1].fits > 0
