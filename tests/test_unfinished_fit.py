"""What a stopped fit leaves in its folder, and what of it is taken up or tidied away."""

from dataclasses import replace

import pytest

import fixtures.imported  # noqa: F401
from optim_hunter.claim import UserError
from optim_hunter.stories.unfinished_fit import Question, clear, is_finished, mark

GROUP = (" and", " but", " for", " so", " or")


def test_nothing_but_what_a_fit_left_is_tidied_away(tmp_path):
    files = {
        "weights.0123456789ab.unfinished": False, "weights.0123456789AB.unfinished": True, "draft.unfinished": True,
        "unfinished/question.json": False, "unfinished/ab/kept": False, "summary.json": True,
    }  # fmt: skip
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "fit.0123456789ab.unfinished").mkdir()
    clear(tmp_path)
    assert {name: (tmp_path / name).exists() for name in files} == files
    assert (tmp_path / "fit.0123456789ab.unfinished").is_dir()


def test_what_a_kill_leaves_before_a_fit_is_marked_as_begun_stops_no_fit(tmp_path):
    question = Question("0" * 64, GROUP, "engine")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "question.0123456789ab.unfinished").touch()
    assert not is_finished(tmp_path, question, None)
    (tmp_path / "unfinished" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds notes\.txt, but no fit"):
        is_finished(tmp_path, question, None)
    mark(tmp_path, question)
    assert not is_finished(tmp_path, question, None)


def test_an_unfinished_fit_of_another_version_is_begun_anew(tmp_path):
    ours, older = (Question("a" * 64, ("and", "but"), engine) for engine in ("this", "older"))
    mark(tmp_path, older)
    assert not is_finished(tmp_path, ours, None)
    with pytest.raises(UserError, match="unfinished fit of another group or corpus"):
        is_finished(tmp_path, replace(ours, corpus_sha256="b" * 64), None)
