"""Word groups, the split of a corpus, and what linear views say of held-out stories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.measures.choices import correct, losses
from optim_hunter.models import linear_path
from optim_hunter.models.linear_solver import Solution
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import Store
from optim_hunter.tasks.corpus import SEPARATOR, corpus_of
from optim_hunter.tasks.held_out import ChoiceTask, split_stories
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus
from optim_hunter.tasks.word_groups import WORD_GROUPS, word_group

CORPUS = planted_corpus(next(iter(PLANTED)))
TASK = ChoiceTask(views=("prior", "linear", "sparse"), stories_per_seed=1)


@given(st.lists(st.text(min_size=1)))
def test_every_text_is_on_one_side_once_and_stays_there(stories):
    split = split_stories(stories)
    places = np.concatenate([split.fitting, split.choosing, split.held_out])
    assert sorted(stories[place] for place in places) == sorted(set(stories))
    more = split_stories([*stories, "one more story"])
    assert {stories[place] for place in split.held_out} <= {
        [*stories, "one more story"][place] for place in more.held_out
    }


def test_seeds_share_no_story_and_a_seed_too_many_is_refused():
    split = split_stories([f"story {number}" for number in range(1000)])
    task = ChoiceTask(stories_per_seed=7)
    parts = [split.part(task, seed) for seed in range(len(split.held_out) // 7)]
    assert len(np.unique(np.concatenate(parts))) == 7 * len(parts)
    with pytest.raises(UserError, match="ask for seeds below"):
        split.part(task, len(parts))


def test_a_group_is_named_or_spelled_out():
    assert word_group("time").words == WORD_GROUPS["time"]
    assert word_group("and, but").words == (" and", " but")
    for wrong, said in (
        ("conjunction", "did you mean"),
        ("and,and", "twice"),
        ("and,b t", "no word"),
        ("and,", "no word"),
    ):
        with pytest.raises(UserError, match=said):
            word_group(wrong)


def test_the_planted_rule_is_found_and_held_out_windows_are_those_of_the_seed(tmp_path):
    chooser = LinearChooser(CORPUS, TASK, Store(tmp_path))
    seen = chooser.observe(0)
    assert np.isin(seen.story, chooser.split.part(TASK, 0)).all()
    for view in TASK.views:
        np.testing.assert_allclose(np.exp(seen.log_probabilities[view]).sum(1), 1)
    every = [chooser.observe(seed) for seed in range(len(chooser.split.held_out))]
    mean = {view: np.mean([losses(one, view).mean() for one in every]) for view in TASK.views}
    assert mean["linear"] < mean["prior"] - 0.1
    likeliest = [seen.group[place] for place in seen.log_probabilities["linear"].argmax(1)]
    came = [seen.group[label] for label in seen.labels]
    assert correct(seen, "linear").tolist() == [said == word for said, word in zip(likeliest, came, strict=True)]
    again = LinearChooser(CORPUS, TASK, Store(tmp_path))
    np.testing.assert_allclose(again.observe(0).log_probabilities["linear"], seen.log_probabilities["linear"])
    assert again.fits == 0


def test_no_held_out_window_was_fitted():
    chooser = LinearChooser(CORPUS, TASK)
    fitted = chooser.windows.of_stories(chooser.split.fitting)
    assert not np.isin(fitted.story, chooser.split.held_out).any()


def test_a_view_that_nobody_asked_for_is_refused():
    with pytest.raises(UserError, match="no view"):
        ChoiceTask(views=("linear", "guess"))
    with pytest.raises(UserError, match="name it in the task"):
        losses(LinearChooser(CORPUS, ChoiceTask(views=("prior",))).observe(0), "linear")


def test_a_word_that_no_story_for_fitting_has_is_named():
    fillers = "Tom saw Sue and ran, but Sue hid. " * 12
    rare = (f"{number} {fillers}So Tom or Sue ran." for number in range(1000))
    elsewhere = [story for story in rare if not len(split_stories([story]).fitting)][:20]
    text = f"\n{SEPARATOR}\n".join([*(f"{number} {fillers}" for number in range(200)), *elsewhere])
    task = ChoiceTask((" and", " but", " or"), ("linear",), stories_per_seed=1, minimum_windows=10)
    with pytest.raises(UserError, match="its stories for fitting have no window before ' or'"):
        LinearChooser(corpus_of("edge", text, ""), task).observe(0)


def test_a_fit_whose_gap_is_not_a_number_is_refused(monkeypatch):
    def unfinished(problem, *_):
        return Solution(np.zeros((problem.all_features, problem.classes)), np.log(problem.prior), np.nan, np.nan, 1)

    monkeypatch.setattr(linear_path, "minimise", unfinished)
    with pytest.raises(InvalidInstrument, match="duality gap nan above"):
        LinearChooser(CORPUS, TASK).observe(0)


def test_weights_that_are_not_finite_say_nothing():
    windows = LinearChooser(CORPUS, TASK).windows
    weights, offsets = np.zeros((16 * windows.tokenizer.get_vocab_size(), 5)), np.zeros(5)
    for broken in (weights, offsets):
        broken.flat[-1] = np.nan
        with pytest.raises(InvalidInstrument, match="weights that are not finite"):
            linear_path.log_probabilities(windows, weights, offsets)
        broken.flat[-1] = 0.0
