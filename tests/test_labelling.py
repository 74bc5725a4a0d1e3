"""Examples for people, their answers, and the file that keeps these."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binom

from optim_hunter.claim import UserError
from optim_hunter.stats.families import holm
from optim_hunter.stats.proportions import exact_interval
from optim_hunter.stories.examples import EXAMPLES, Examples, draw_windows_by_story, window_text
from optim_hunter.stories.label_screen import ask, pressed
from optim_hunter.stories.labelling import AnswerFile, Labelling
from optim_hunter.stories.score_tables import comparisons
from optim_hunter.stories.scoring import Answers, compare, least_lead, mcnemar
from optim_hunter.tasks.people import published_people
from optim_hunter.tasks.stories import Windows

GROUP = [" and", " but", " for"]
IDENTITY = {
    "seed": 0,
    "group": GROUP,
    "corpus": "stories.txt",
    "corpus_sha256": "ab",
    "tokenizer_sha256": "cd",
    "examples": [{"story": story, "place": 16} for story in range(4)],
}
TEXTS = [f"text {number}" for number in range(4)]
KEYS = st.lists(st.sampled_from(["1", "2", "3", "u", "x", "9", "\n"]))


def after(keys: list[str]) -> list[str]:
    """What is answered after keys, as a plain list that forgets no rule."""
    answers: list[str] = []
    for key in keys:
        if key == "u":
            answers = answers[:-1]
        elif key in "123" and len(answers) < len(TEXTS):
            answers.append(GROUP[int(key) - 1])
        elif key == "\n" and len(answers) == len(TEXTS):
            break
    return answers


def press(path, keys, who=None):
    """Press keys at the examples of a file, and give what is then answered."""
    file = AnswerFile(path)
    console = Console(file=io.StringIO())
    return ask(file.read(IDENTITY, who), TEXTS, iter(keys), file.save, console)


@settings(deadline=None, max_examples=50)  # files are written
@given(keys=KEYS, stop=st.integers(0, 30))
def test_any_keys_leave_what_they_say_and_stopping_anywhere_changes_nothing(tmp_path_factory, keys, stop):
    folder = tmp_path_factory.mktemp("answers")
    straight = press(folder / "straight.json", keys)
    assert list(straight.answers) == after(keys)
    first = press(folder / "stopped.json", [*keys[:stop], "q", "1"])
    assert list(first.answers) == after(keys[:stop])
    finished = first.complete and "\n" in keys[:stop]
    if not finished:
        assert press(folder / "stopped.json", keys[stop:]) == straight
    if straight.answers:
        assert AnswerFile(folder / "stopped.json").read(IDENTITY, None) == straight


def test_each_key_is_kept_before_the_next_is_asked_for(tmp_path):
    path = tmp_path / "answers.json"

    def keys():
        yield "2"
        assert json.loads(path.read_text())["answers"] == [" but"]
        yield "u"
        assert json.loads(path.read_text())["answers"] == []
        yield "U"
        yield "3"

    assert press(path, keys()).answers == (" for",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1}, "another seed: give the --seed"),
        ({"group": [" and", " but", " or"]}, "another group: give the --group"),
        ({"corpus_sha256": "ba"}, "another corpus: give the --corpus"),
        ({"tokenizer_sha256": "dc"}, "the version of tokenizers"),
        ({"examples": [{"story": 9, "place": 16}] * 4}, "other examples"),
        ({"who": "Ben"}, "has the answers of Ben, not of Ann"),
        ({"schema": 2}, "not of schema 1"),
        ({"answers": [" or"]}, "' or' is not of its group"),
        ({"answers": [["and"]]}, "is not of its group"),
        ({"answers": [" and"] * 5}, "5 answers to 4 examples"),
        ({"answers": None}, "no lists"),
        ({"who": 3}, "who is no text"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left(tmp_path, changed, said):
    path = tmp_path / "answers.json"
    press(path, "12", "Ann")
    content = json.dumps(json.loads(path.read_text()) | changed)
    path.write_text(content)
    with pytest.raises(UserError, match=said) as refused:
        AnswerFile(path).read(IDENTITY, "Ann")
    assert "\n" not in str(refused.value)
    assert path.read_text() == content


@pytest.mark.parametrize("content", [b"", b"[]", b'{"schema": 1', b"\xff", b"[" * 100_000, b"null"])
def test_a_damaged_file_is_refused_and_left(tmp_path, content):
    path = tmp_path / "answers.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="restore it, or name another file") as refused:
        AnswerFile(path).read(IDENTITY, None)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


def test_a_renamed_corpus_is_the_same_corpus_and_a_name_may_come_later(tmp_path):
    path = tmp_path / "answers.json"
    press(path, "12")
    read = AnswerFile(path).read(IDENTITY | {"corpus": "renamed.txt"}, "Ann")
    assert (read.who, read.answers) == ("Ann", (" and", " but"))


def test_what_another_program_wrote_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "answers.json"
    file = AnswerFile(path)
    labelling = file.read(IDENTITY, None)
    press(path, "1")
    with pytest.raises(UserError, match="changed by another program"):
        file.save(labelling.answered(" but"))
    assert AnswerFile(path).read(IDENTITY, None).answers == (" and",)


def test_a_file_that_cannot_be_written_or_read_names_the_remedy(tmp_path):
    (tmp_path / "plain").write_text("")
    with pytest.raises(UserError, match=r"cannot be (read|written)"):
        press(tmp_path / "plain" / "answers.json", "1")
    with pytest.raises(UserError, match="cannot be read"):
        AnswerFile(tmp_path)


def test_a_word_of_another_group_is_no_answer():
    with pytest.raises(ValueError, match="not of the group"):
        Labelling(IDENTITY).answered(" or")


class FakeTerminal:
    """Hands over bytes as they are typed."""

    def __init__(self, monkeypatch, *typed):
        chunks = iter(typed)
        monkeypatch.setattr("os.read", lambda *_: next(chunks, b""))


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ([b"1", b"2u"], "12u"),
        ([b"\x1b[A\x1b[1~1\x1b[15~\x1bOP2", b"\x1b"], "12"),
        ([b"\r", b"3"], "\n3"),
        ([b"1\x042", b"3"], "1"),
        ([b"\xff"], "\ufffd"),
    ],
)
def test_keys_that_move_and_function_keys_are_no_answers(monkeypatch, typed, keys):
    FakeTerminal(monkeypatch, *typed)
    assert "".join(pressed(0)) == keys


def many_windows(stories: int = 200) -> Windows:
    """Stories with 1, 2, 3 … 10 windows each, over and over."""
    story = np.repeat(np.arange(stories), np.arange(stories) % 10 + 1)
    columns = np.zeros((len(story), 16), dtype=int), np.arange(len(story)), story, np.arange(len(story))
    return Windows(*columns, tokenizer=None)


def test_a_seed_draws_the_same_windows_of_fifty_stories():
    windows = many_windows()
    drawn, again, other = (draw_windows_by_story(windows, seed) for seed in (0, 0, 1))
    assert len(np.unique(drawn.story)) == len(drawn.story) == EXAMPLES
    assert drawn.labels.tolist() == again.labels.tolist() != other.labels.tolist()
    assert np.array_equal(windows.story[drawn.labels], drawn.story)


def test_every_window_is_about_as_likely():
    """Of stories with few windows and with many, first examples of 2,000 draws: a story's share is its windows'."""
    windows = many_windows()
    first = [draw_windows_by_story(windows, seed).story[0] % 10 for seed in range(2000)]
    share = np.bincount(first, minlength=10) / len(first)
    expected = np.arange(1, 11) / 55
    assert np.abs(share - expected).max() < 5 * np.sqrt(0.25 / len(first))


@pytest.mark.parametrize(
    ("text", "at_start", "said"),
    [
        ("ax felt", False, "…ax felt"),
        (" felt", False, "… felt"),
        ("Once upon", True, "Once upon"),
        ("\ufffd\ufffd he said.\nShe", False, "… he said.⏎She"),
        ("a\x1b[2Jb\u202e", True, "a⟨U+001B⟩[2Jb⟨U+202E⟩"),
    ],
)
def test_windows_are_shown_on_one_line_without_what_steers_a_terminal(text, at_start, said):
    assert window_text(text, at_start) == said


@pytest.mark.parametrize(("first", "second", "p"), [(0, 0, 1.0), (6, 0, 2 / 64), (0, 5, 2 / 32), (8, 2, 112 / 1024)])
def test_mcnemar_is_the_sign_test_of_where_two_part(first, second, p):
    assert mcnemar(first, second) == pytest.approx(p)


def test_less_than_the_least_lead_is_never_significant():
    assert least_lead(1) == 6
    assert min(mcnemar(5 + both, both) for both in range(23)) > 0.05


@pytest.mark.parametrize(("comparisons", "least"), [(1, 6), (2, 7), (3, 7), (4, 8)])
def test_the_least_lead_is_that_of_the_adjusted_p(comparisons, least):
    """Holm's smallest p is the smallest times their number."""
    assert least_lead(comparisons) == least
    smallest = [holm({"one": mcnemar(lead, 0)}, comparisons)["one"] for lead in (least - 1, least)]
    assert smallest[1] <= 0.05 < smallest[0]


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (1, "p: McNemar's exact test, adjusted by Holm for 1 comparison. Two that are fewer than 6 right answers apart "
            "never reach 0.05 before the adjustment. A large p"),
        (2, "for 3 comparisons. Two that are fewer than 6 right answers apart never reach 0.05 before the adjustment; "
            "with 3 comparisons the clearest reaches it from 7 on. A large p"),
    ],
)  # fmt: skip
def test_the_note_says_what_lead_it_takes_before_and_after_the_adjustment(people, said):
    none, labels = np.zeros((0, 16), int), np.zeros(10, int)
    examples = Examples(0, (" and", " but"), None, Windows(none, labels, labels, labels, tokenizer=None))
    answered = [Answers(str(person), labels) for person in range(people + 1)]
    _, note = comparisons(examples, answered[:people], answered[people:])
    assert said in note.plain


def test_people_are_compared_with_those_behind_them():
    labels = np.array([0, 1, 2, 0, 1])
    ann, ben = Answers("Ann", labels), Answers("Ben", np.array([0, 1, 0, 2, 2]))
    model = Answers("model", np.array([0, 0, 0, 0, 1]))
    compared = compare([ann, ben], [model], labels)
    told = [(one.first, one.second, one.alike, one.only_first, one.only_second) for one in compared]
    assert told == [("Ann", "Ben", 2, 3, 0), ("Ann", "model", 3, 2, 0), ("Ben", "model", 2, 1, 2)]
    assert [one.p for one in compared] == [min(1.0, 3 * mcnemar(3, 0)), 1.0, 1.0]


def power(only_first: float, only_second: float, n: int) -> float:
    """How often McNemar's exact test finds that of `n` examples these shares are right for one of two alone."""
    parted, share = np.arange(n + 1), only_first / (only_first + only_second)
    few = binom.ppf(0.025, parted, 0.5)
    few -= binom.cdf(few, parted, 0.5) > 0.025
    found = binom.cdf(few, parted, share) + binom.cdf(few, parted, 1 - share)
    return float(binom.pmf(parted, n, only_first + only_second) @ found)


def test_the_page_says_what_fifty_examples_decide():
    page = " ".join((Path(__file__).parent.parent / "docs" / "stories.md").read_text(encoding="utf-8").split())
    for person in published_people():
        low, high = (f"{100 * end:.1f}" for end in exact_interval(person.correct, person.n))
        assert f"{person.correct}" in page
        assert f"{100 * person.share:.0f} % (" in page
        assert f"{low} to {high})" in page
    widths = [high - low for low, high in (exact_interval(correct, EXAMPLES) for correct in range(25, 41))]
    assert f"{100 * min(widths):.0f} to {100 * max(widths):.0f} points wide" in page
    assert f"fewer than {least_lead(1)} right answers" in page
    assert next(lead for lead in range(1, 20) if mcnemar(lead + 4, 4) <= 0.05) == 9
    assert "with 4 against, it takes 9" in page
    assert f"fifty find it {100 * power(0.2, 0.05, 50):.0f} times of 100" in page
    assert f"one hundred {100 * power(0.2, 0.05, 100):.0f} times" in page
