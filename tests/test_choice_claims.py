"""What claims about words in held-out stories measure: on planted rules, on resamples, and beside people."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optim_hunter.claim import Condition, InvalidInstrument, NoValue, UserError
from optim_hunter.measures.choices import (
    accuracy,
    lead_over_person,
    loss_lead,
    losses,
    relative_loss_lead,
    summed_loss_lead,
)
from optim_hunter.observe.choices import SPARSE_SHARE, ChoiceObservation
from optim_hunter.observe.resampled import ResampledChooser, joined
from optim_hunter.observe.store import Store
from optim_hunter.run import Run
from optim_hunter.stats.decision import per_seed
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.held_out import ChoiceTask, ResampledChoiceTask
from optim_hunter.tasks.people import person, published_people
from optim_hunter.tasks.planted_choices import FILLERS, RULES, planted_choices
from optim_hunter.tasks.stories import CONJUNCTIONS
from optim_hunter.tasks.word_groups import WORD_GROUPS

VIEWS = ("prior", "linear", "sparse", "fewest", "window", "story")
TASK = ChoiceTask(views=VIEWS, stories_per_seed=8)


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("fits"))


@pytest.fixture(scope="module", params=RULES)
def planted(request, fits):
    """The name of a rule, and what its stories show on 24 seeds."""
    subject = open_subject(request.param, Options(), {}, fits)
    subject.precheck(TASK, range(24))
    return request.param, [subject.observe(TASK, seed, 0) for seed in range(24)]


def mean(observations, measure, *views):
    return float(np.mean([measure(one, *views) for one in observations]))


def test_the_linear_model_finds_linear_rules_and_no_others(planted):
    name, seen = planted
    lead = mean(seen, loss_lead, "linear", "window")
    assert lead < -0.3 if name == "planted:two-cues" else lead > -0.1
    assert abs(mean(seen, loss_lead, "linear", "prior")) < 0.02 if name in ("planted:two-cues", "planted:no-cue") else (
        mean(seen, loss_lead, "linear", "prior") > 0.3
    )  # fmt: skip


def test_as_many_are_right_as_the_rule_says(planted):
    name, seen = planted
    right = sum((one.log_probabilities["window"].argmax(1) == one.labels).sum() for one in seen)
    total = 24 * 8 * 2  # seeds, stories, windows
    share = {"planted:one-cue": 0.95, "planted:two-cues": 0.8, "planted:no-cue": 0.2}.get(name)
    if share is not None:
        assert stats.binomtest(int(right), total, share).pvalue > 1e-3
    assert right / total == pytest.approx(mean(seen, accuracy, "window"))
    assert mean(seen, losses_mean, "story") == mean(seen, losses_mean, "window")


def losses_mean(one, view):
    return losses(one, view).mean()


def test_few_weights_keep_the_loss_of_few_cues_alone(planted):
    name, seen = planted
    kept = np.sum([relative_loss_lead(one, "sparse", "linear") for one in seen], axis=0)
    assert kept[0] / kept[1] < -0.3 if name == "planted:weak-cues" else kept[0] / kept[1] > -0.01
    assert (kept[0] == 0) == (name != "planted:weak-cues" and name != "planted:strong-cue")
    shares = seen[0].nonzero
    assert shares["sparse"] <= SPARSE_SHARE
    assert shares["fewest"] <= shares["linear"]
    assert all(one.nonzero == shares for one in seen)


@pytest.mark.parametrize("group", WORD_GROUPS)
def test_every_group_has_stories_of_its_own_without_its_words_elsewhere(group):
    words = WORD_GROUPS[group]
    planted = planted_choices("planted:one-cue", words)
    assert not {word.strip() for word in words} & set(FILLERS)
    counted = [word for story in planted.corpus.stories[:50] for word in story.split() if f" {word}" in words]
    assert len(counted) == 100
    np.testing.assert_allclose(np.exp(planted.log_probabilities).sum(-1), 1)


def test_no_other_rule_is_made_up():
    with pytest.raises(UserError, match="no planted rule 'planted:three-cues'"):
        planted_choices("planted:three-cues", CONJUNCTIONS)


class Drawn:
    """Windows without a model: part 1 has none, any other part p has p + 1 stories of three."""

    def __init__(self):
        self.asked = []

    def observe(self, seed):
        self.asked.append(seed)
        generator = np.random.default_rng(seed)
        story = np.repeat(100 * seed + np.arange(seed + 1 if seed != 1 else 0), 3)
        said = np.log(generator.dirichlet(np.ones(5), len(story)))
        labels = generator.integers(5, size=len(story))
        return ChoiceObservation(seed, CONJUNCTIONS, labels, story, {"linear": said}, {"duality gap": seed * 1e-6})


class Silent:
    """Stories without a window."""

    def observe(self, seed):  # noqa: ARG002 - all are alike
        return Drawn().observe(1)


@given(st.integers(0, 10_000), st.integers(2, 8))
def test_a_resample_holds_whole_stories_of_all_parts_and_the_estimate_each_once(seed, whole):
    chooser = Drawn()
    resampled = ResampledChooser(chooser, ResampledChoiceTask(views=("linear",), whole=whole))
    every, drawn = resampled.observe(None), resampled.observe(seed)
    assert chooser.asked == list(range(whole))
    assert every.seed is None
    assert len(every.story) == 3 * sum(part + 1 for part in range(whole) if part != 1)
    assert every.checks == {"duality gap": (whole - 1) * 1e-6}
    assert len(np.unique(every.story)) == len(drawn.story) / 3
    for story in np.unique(drawn.story):
        times = (drawn.story == story).sum() // 3
        own = losses(every, "linear")[every.story == story]
        np.testing.assert_array_equal(np.tile(own, times), losses(drawn, "linear")[drawn.story == story])
    np.testing.assert_array_equal(resampled.observe(seed).story, drawn.story)


def test_a_resample_of_nothing_is_missing_and_one_of_no_parts_refused():
    with pytest.raises(NoValue, match="resampled"):
        ResampledChooser(Silent(), ResampledChoiceTask(views=("linear",), whole=1)).observe(3)
    with pytest.raises(UserError, match="0 parts"):
        ResampledChoiceTask(whole=0)
    assert ResampledChoiceTask(whole=3).parts((7, 9)) == (0, 1, 2)


def test_people_are_as_published_and_answer_anew_with_every_seed():
    assert [(one.who, one.correct, one.n) for one in published_people()] == [("author", 35, 50), ("mentor", 37, 50)]
    author, mentor = published_people()
    shares = np.array([author.resampled_share(seed) for seed in range(4000)])
    assert shares[0] == author.resampled_share(0)
    assert shares.mean() == pytest.approx(0.7, abs=0.01)
    assert shares.std() == pytest.approx(np.sqrt(0.7 * 0.3 / 50), rel=0.05)
    others = [mentor.resampled_share(seed) for seed in range(4000)]
    assert abs(np.corrcoef(shares, others)[0, 1]) < 0.06


def test_a_lead_over_a_person_is_the_recorded_one_without_a_seed():
    every = ResampledChooser(Drawn(), ResampledChoiceTask(views=("linear",), whole=4)).observe(None)
    assert lead_over_person(every, "linear", "mentor") == pytest.approx(accuracy(every, "linear") - 0.74)
    one = Drawn().observe(5)
    expected = accuracy(one, "linear") - person("author").resampled_share(5)
    assert lead_over_person(one, "linear", "author") == pytest.approx(expected)


def test_a_seed_without_a_window_adds_nothing_to_sums_and_has_no_mean():
    none = Drawn().observe(1)
    np.testing.assert_array_equal(relative_loss_lead(none, "linear", "linear"), [0, 0])
    np.testing.assert_array_equal(summed_loss_lead(none, "linear", "linear"), [0, 0])
    for measure in (partial(loss_lead, rival="linear"), accuracy, partial(lead_over_person, who="author")):
        with pytest.raises(NoValue, match="no word of ' and'"):
            measure(none, view="linear")


def test_a_seed_without_a_window_changes_no_ratio_of_sums():
    condition = Condition("kept", "a ratio", "share", -0.01, statistic="ratio of sums")
    sums = np.array([[part, losses(Drawn().observe(part), "linear").sum()] for part in (2, 3, 4, 5)])
    none = relative_loss_lead(Drawn().observe(1), "linear", "linear")
    found = per_seed(condition, [{"kept": one} for one in (*sums, none)])
    assert found[-1] == pytest.approx(sums[:, 0].sum() / sums[:, 1].sum())


def test_leads_follow_their_definitions():
    one, two = Drawn().observe(3), Drawn().observe(4).log_probabilities["linear"][:12]
    both = ChoiceObservation(3, CONJUNCTIONS, one.labels, one.story, {**one.log_probabilities, "window": two}, {})
    difference = losses(both, "window") - losses(both, "linear")
    assert loss_lead(both, "linear", "window") == pytest.approx(difference.mean())
    np.testing.assert_allclose(summed_loss_lead(both, "linear", "window"), [difference.sum(), 12])
    expected = [difference.sum(), losses(both, "window").sum()]
    np.testing.assert_allclose(relative_loss_lead(both, "linear", "window"), expected)


@pytest.mark.parametrize(("gap", "fails"), [(np.nan, True), (2e-3, True), (1e-6, False)])
def test_a_failed_check_stops_a_run_whoever_observed(gap, fails):
    run, case = Run({}, Options()), SimpleNamespace(key="one", model="m", protocol=SimpleNamespace(task=TASK))
    run.descriptions["m", TASK] = {"dtype": "float64"}
    with pytest.raises(InvalidInstrument, match="duality gap") if fails else nullcontext():
        run._note_checks(case, SimpleNamespace(checks={"duality gap": gap}))
    assert run.checks == ({} if fails else {"one": {"duality gap": gap}})


def test_a_check_that_is_not_a_number_stays_one_when_parts_are_joined():
    parts = [replace(Drawn().observe(part), checks={"duality gap": gap}) for part, gap in ((2, 1e-6), (3, np.nan))]
    assert all(np.isnan(joined(order).checks["duality gap"]) for order in (parts, parts[::-1]))
