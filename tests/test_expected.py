"""Verdicts that are known hold on the corpus on which they were found, and on no other."""

import pytest

import fixtures.imported  # noqa: F401
from optim_hunter import Claim, Condition, Protocol, Verdict
from optim_hunter.cases import Case
from optim_hunter.claim import UserError
from optim_hunter.registration import read_registrations
from optim_hunter.tasks.corpus import SEPARATOR, corpus_of, packaged_record
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus
from optim_hunter.tasks.regression import RegressionTask
from optim_hunter.tasks.stories import StoriesTask

pytest_plugins = ["pytester"]
PACKAGED = packaged_record()["text_sha256"]
OTHER = "0123456789ab" + "0" * 52

ENTRY = '[[expected]]\nclaim = "mine/known"\nmodel = "linear"\nprotocol = "published"\nverdict = "{}"\n'
CLAIM = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.held_out import ChoiceTask

@claim(Claim(
    id="mine/known", statement="Stories have words.", source="a test", family="mine",
    conditions=(Condition("words", "a number", "words", 1.0),),
    protocols=(Protocol("published", ChoiceTask(views=(), minimum_windows=1, stories_per_seed=1), models=("linear",)),),
    seeds="0-19",
))
def test_known(observation):
    return (observation.seed % 3) / 10 + {}
"""


def case_of(task):
    condition = Condition("gain", "a number", "units", 1.0)
    protocols = (Protocol("published", task, models=("linear",)),)
    claim = Claim(
        id="mine/known", statement="It holds.", source="a test", family="mine", conditions=(condition,),
        protocols=protocols,
    )  # fmt: skip
    return Case(claim, None, protocols[0], "linear", (0,), True)


def stated(folder, *entries):
    (folder / "expected.toml").write_text("".join(entries))
    return read_registrations(folder)


@pytest.mark.parametrize("task", [StoriesTask(), ChoiceTask()])
def test_without_a_corpus_the_packaged_one_is_meant(tmp_path, task):
    known = stated(tmp_path, ENTRY.format("refuted"))
    assert known.expected_of(case_of(task), lambda: PACKAGED).verdict is Verdict.REFUTED
    assert known.expected_of(case_of(task), lambda: OTHER) is None


def test_each_corpus_has_its_own_verdict(tmp_path):
    other = ENTRY.format("supported") + f'corpus = "{OTHER[:12]}"\n'
    known = stated(tmp_path, other, ENTRY.format("refuted"))
    assert known.expected_of(case_of(ChoiceTask()), lambda: OTHER).verdict is Verdict.SUPPORTED
    assert known.expected_of(case_of(ChoiceTask()), lambda: PACKAGED).verdict is Verdict.REFUTED
    assert known.expected_of(case_of(ChoiceTask()), lambda: "f" * 64) is None


def test_regression_reads_no_corpus(tmp_path):
    case = case_of(RegressionTask())
    known = stated(tmp_path, ENTRY.format("refuted"))
    assert known.expected_of(case, lambda: pytest.fail("the corpus was read")).verdict is Verdict.REFUTED
    with pytest.raises(UserError, match=r"expected.toml: 'mine/known'.* reads no corpus: remove `corpus`"):
        stated(tmp_path, ENTRY.format("refuted"), f'corpus = "{OTHER}"\n').check_expected({case.claim.id: case.claim})


def test_a_corpus_is_read_only_where_something_is_stated(tmp_path):
    known = stated(tmp_path)
    assert known.expected_of(case_of(ChoiceTask()), lambda: pytest.fail("the corpus was read")) is None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (ENTRY.format("refuted") + "corpus = 12\n", "corpus 12 of mine/known on linear is no hash"),
        (ENTRY.format("refuted") + f'corpus = "{OTHER[:11]}"\n', "is no hash; each .*12 or more hex digits"),
        (ENTRY.format("refuted") + 'corpus = "TinyStories-valid"\n', "is no hash"),
        (ENTRY.format("refuted") * 2, "mine/known on linear is stated twice for one corpus"),
        (ENTRY.format("refuted") + ENTRY.format("supported") + f'corpus = "{PACKAGED[:20]}"\n', "is stated twice"),
        (ENTRY.format("invalid"), "mine/known on linear needs a reason"),
        (ENTRY.format("invalid") + 'reason = " "\n', "needs a reason"),
        (ENTRY.format("refuted") + 'reason = "no window"\n', "is not invalid, and takes no reason"),
        (ENTRY.format("perhaps"), "'perhaps' is not a valid Verdict"),
    ],
)
def test_a_malformed_entry_is_refused(tmp_path, entries, message):
    with pytest.raises(UserError, match=message) as caught:
        stated(tmp_path, entries)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("of_this_corpus", "outcome"), [(True, {"xfailed": 1}), (False, {"failed": 1})])
def test_a_run_is_held_to_what_was_found_on_its_corpus(pytester, of_this_corpus, outcome):
    text = SEPARATOR.join(planted_corpus(next(iter(PLANTED))).stories)
    (pytester.path / "stories.txt").write_text(text)
    pytester.makepyfile(test_known=CLAIM.format(0))
    corpus = corpus_of("stories", text, "").sha256 if of_this_corpus else OTHER
    stated(pytester.path, ENTRY.format("refuted") + f'corpus = "{corpus[:16]}"\n')
    arguments = "-p", "no:cacheprovider", "--claims-store=none", "--claims-corpus=stories.txt"
    pytester.runpytest_inprocess(*arguments).assert_outcomes(passed=20, **outcome)


@pytest.mark.parametrize(
    ("reason", "outcome"), [("gave no number", {"xfailed": 1}), ("a control came out", {"errors": 1})]
)
def test_an_invalid_verdict_is_known_by_its_reason(pytester, reason, outcome):
    (pytester.path / "stories.txt").write_text(SEPARATOR.join(planted_corpus(next(iter(PLANTED))).stories))
    pytester.makepyfile(test_known=CLAIM.format("float('nan')"))
    corpus = corpus_of("stories", (pytester.path / "stories.txt").read_text(), "").sha256
    stated(pytester.path, ENTRY.format("invalid") + f'corpus = "{corpus[:16]}"\nreason = "{reason}"\n')
    arguments = "-p", "no:cacheprovider", "--claims-store=none", "--claims-corpus=stories.txt"
    result = pytester.runpytest_inprocess(*arguments)
    assert result.parseoutcomes().items() >= outcome.items()
