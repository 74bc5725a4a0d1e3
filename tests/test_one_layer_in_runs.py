"""Claims about the one-layer model in runs on another corpus than the packaged one."""

import json

import pytest

import fixtures.imported  # noqa: F401

pytest_plugins = ["pytester"]

CLAIM = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.measures.choices import losses
from optim_hunter.tasks.held_out import ChoiceTask

TASK = ChoiceTask((" and", " but"), ("prior", "one-layer"), stories_per_seed=1)

@claim(Claim(
    id="mine/learned", statement="The network learned it.", source="a test", family="mine",
    conditions=(Condition("lead", "loss of the shares minus that of the network", "nats", 0.01),),
    protocols=(Protocol("corrected", TASK, models=("one-layer",)),), seeds="0-3",
))
def test_learned(observation):
    return float((losses(observation, "prior") - losses(observation, "one-layer")).mean())
"""


@pytest.fixture
def run(pytester):
    """Run the claim on stories of its own: what pytest said, and the verdicts of the ledger."""
    stories = [f"Once there was a dog {n} and a cat, but they ran home and slept there well." for n in range(40)]
    (pytester.path / "stories.txt").write_text("\n<|endoftext|>\n".join(stories))
    pytester.makepyfile(test_learned=CLAIM)

    def run_claim(*arguments):
        options = "-p", "no:cacheprovider", "--claims-corpus=stories.txt", "--claims-store=none", "-rs"
        result = pytester.runpytest_inprocess(*options, *arguments)
        ledger = json.loads((pytester.path / "reports" / "latest" / "ledger.json").read_text())
        return result, [entry["verdict"] for entry in ledger["claims"]]

    return run_claim


def test_of_another_corpus_the_packaged_model_is_not_asked(run):
    result, verdicts = run()
    result.assert_outcomes(skipped=5)
    assert (result.ret, verdicts) == (0, [])
    result.stdout.fnmatch_lines(["*the packaged one-layer model is of another corpus: train one*one-layer:FOLDER*"])


def test_a_rule_of_the_packaged_book_is_asked_of_its_corpus_alone(run, pytester):
    about_rule = CLAIM.replace("ChoiceTask", "RuleTask").replace("held_out", "network")
    pytester.makepyfile(test_learned=about_rule.replace("stories_per_seed=1", "stories_per_seed=1, rule='comma-1'"))
    result, verdicts = run("--claims-model=one-layer")
    assert (result.ret, verdicts) == (0, [])
    result.stdout.fnmatch_lines(["*the rule is of the packaged book, which is about the packaged corpus*"])


def test_who_names_it_is_told_that_it_cannot_answer(run):
    result, verdicts = run("--claims-model=one-layer")
    assert (result.ret, verdicts) == (1, ["invalid"])
    result.stdout.fnmatch_lines(["*the one-layer model was trained on another corpus than stories.txt*"])
