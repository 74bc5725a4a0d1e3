"""The command `demo`: what lies in its page, how large it may be, and what goes wrong in a line."""

import gzip
import json
import re
from base64 import b64decode

import numpy as np
import pytest
from safetensors.numpy import load

from optim_hunter.claim import UserError
from optim_hunter.cli import main
from optim_hunter.measures.choices import correct, losses
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.stories import demo_making
from optim_hunter.stories.demo import ShownGroup, count_tokens, open_choosers, show_group
from optim_hunter.stories.demo_page import page_html
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
    arrays, description = packed(page_html([shown], CORPUS, chooser.tokenizer))
    assert arrays["0.weights"].tobytes() == np.ascontiguousarray(shown.weights).tobytes()
    assert arrays["0.offsets"].tobytes() == shown.offsets.tobytes()
    assert description["groups"][0]["words"] == list(GROUP.words)
    assert (arrays["0.examples"] == shown.examples.tokens).all()
    assert len(description["names"]) == chooser.tokenizer.get_vocab_size()


def test_one_corpus_makes_one_page(chooser, shown):
    assert page_html([shown], CORPUS, chooser.tokenizer) == page_html([shown], CORPUS, chooser.tokenizer)


def test_a_page_above_the_limit_has_fewer_examples_and_then_is_refused(chooser, shown):
    whole = page_html([shown], CORPUS, chooser.tokenizer)
    limit = len(whole.encode()) - 2000
    page = page_html([shown], CORPUS, chooser.tokenizer, limit)
    arrays, description = packed(page)
    assert len(page.encode()) <= limit
    kept = len(arrays["0.labels"])
    assert 0 < kept < len(shown.examples.labels) == description["groups"][0]["held_out_windows"]
    assert (arrays["0.examples"] == shown.examples.tokens[:kept]).all()
    with pytest.raises(UserError, match="ask for fewer groups"):
        page_html([shown], CORPUS, chooser.tokenizer, 50_000)


def test_a_page_names_what_is_foreign_as_text(chooser, shown):
    name = "<script>window.owned=1</script>\u202e"
    page = page_html([shown], planted_named(name), chooser.tokenizer)
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
    assert "give more stories" in str(wrong[GROUP])


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
