"""What runs take and keep, as their users see it: the work in the ledger, the store, its faults."""

import gc
import json

import pytest
from transformers import LlamaForCausalLM

import fixtures.imported  # noqa: F401
from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.agreement import PROBE_LENGTHS
from optim_hunter.tasks.prompts import regression_prompt
from optim_hunter.tasks.regression import RegressionTask, draw

pytest_plugins = ["pytester"]
MODEL, SEEDS, TASK = "planted:output-head", range(20), RegressionTask(examples=5)
OPENING = 3 * PROBE_LENGTHS[0] + 2 * PROBE_LENGTHS[1]
"""Tokens of the short prompts on which the pass is looked at when a model is opened, in five passes."""

ABOUT = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.regression import RegressionTask

def about(name, needs, seeds="0-19"):
    return claim(Claim(
        id=f"mine/{name}", statement="It holds.", source="a test", family="mine", needs=needs, seeds=seeds,
        conditions=(Condition("mass", "a number", "share", -1.0),),
        protocols=(Protocol("corrected", RegressionTask(examples=5), models=("planted:output-head",)),),
    ))
"""
CLAIMS = (
    ABOUT
    + """
@about("attends", {"attention"})
def test_attends(observation):
    return float(observation.attention.outputs.mean())

@about("answers", {"attention", "answer"})
def test_answers(observation):
    return float(observation.attention.features.mean()) + 0 * len(observation.answer.text)
"""
)
DEAR = (
    ABOUT
    + """
@about("attends", {"attention"}, "SEEDS")
def test_attends(observation):
    return float(observation.attention.outputs.mean())

@about("ablated", {"head_ablation"}, "0-3")
def test_ablated(observation):
    return float(observation.head_ablation.drops.mean())
"""
)


@pytest.fixture
def run(pytester):
    def run_claims(out, *arguments, claims=CLAIMS):
        pytester.makepyfile(test_mine=claims)
        options = ("-p", "no:cacheprovider", f"--claims-out={out}", "--claims-store=store", *arguments)
        result = pytester.runpytest_inprocess(*options)
        path = pytester.path / out / "ledger.json"
        return result, json.loads(path.read_text()) if path.exists() else None

    return run_claims


def test_every_prompt_is_run_once_for_all_claims_and_a_second_run_runs_none(run):
    _, first = run("first")
    model = open_language_model(MODEL, None, None)
    prompts = sum(len(model.encode(regression_prompt(draw(TASK, seed)).text).ids) for seed in SEEDS)
    work = first["run"]["work"][MODEL]
    steps = work["forward_passes"] - 5 - 1  # those of the opening, and one prefill of all seeds side by side
    assert work["batch_seeds"] >= len(SEEDS)
    assert 1 <= steps < 16
    assert prompts + OPENING < work["tokens_run"] <= prompts + OPENING + steps * len(SEEDS)
    _, second = run("second")
    again = second["run"]["work"][MODEL]
    assert again["forward_passes"] == again["tokens_run"] == 0
    assert again["from_store"] == 2 * len(SEEDS)
    for one, other in zip(first["claims"], second["claims"], strict=True):
        assert one["numbers"] == other["numbers"]
        assert one["verdict"] == other["verdict"]
        assert one["checks"] == other["checks"]


def test_seeds_that_a_dear_claim_does_not_ask_for_cost_what_they_cost_without_it(run):
    """Ten seeds of attention, four of them with the heads ablated: six more seeds cost their prompts and no more."""
    costs = {}
    for seeds in ("0-3", "0-9"):
        _, ledger = run(seeds, f"--claims-store=store-{seeds}", claims=DEAR.replace("SEEDS", seeds))
        costs[seeds] = ledger["run"]["work"][MODEL]["tokens_run"]
    model = open_language_model(MODEL, None, None)
    further = sum(len(model.encode(regression_prompt(draw(TASK, seed)).text).ids) for seed in range(4, 10))
    assert costs["0-9"] - costs["0-3"] == further
    assert costs["0-3"] > 2 * further


def test_verdicts_alone_run_each_prompt_once_although_controls_come_between(pytester):
    """A control that is decided amid a model's seeds takes the weights' place, and not what was seen."""
    controlled = (
        CLAIMS.replace(
            "conditions=(",
            'controls={"planted:output-head-twin": Verdict.SUPPORTED}, control_seeds="0-19", conditions=(',
        )
        .replace("Claim, Condition", "Claim, Condition, Verdict")
        .replace('family="mine"', "family=name")
    )
    pytester.makepyfile(test_mine=controlled)
    pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-k", "verdict and not twin", "--claims-out=out", "--claims-store=none"
    )
    run = json.loads((pytester.path / "out" / "ledger.json").read_text())["run"]
    model = open_language_model(MODEL)
    prompts = sum(len(model.encode(regression_prompt(draw(TASK, seed)).text).ids) for seed in SEEDS)
    tokens = [work["tokens_run"] for work in run["work"].values()]
    assert max(tokens) < 1.1 * (prompts + OPENING) + 15 * len(SEEDS)


def test_a_run_lets_go_of_weights_and_of_the_garbage_collector(run):
    before = gc.get_freeze_count(), number_of_models()
    run("first")
    assert gc.get_freeze_count() <= before[0]
    assert number_of_models() <= before[1]


def number_of_models():
    gc.collect()
    return sum(type(one) is LlamaForCausalLM for one in gc.get_objects())


def test_none_keeps_and_takes_nothing(run, pytester):
    _, ledger = run("out", "--claims-store=none")
    assert ledger["run"]["work"][MODEL]["from_store"] == 0
    assert not (pytester.path / "store").exists()


def test_a_damaged_file_is_told_and_made_again(run, pytester):
    _, first = run("first")
    damaged = sorted((pytester.path / "store").rglob("*.safetensors"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-7])
    result, second = run("second")
    result.stdout.fnmatch_lines(["store: *.damaged (*)"])
    assert second["run"]["work"][MODEL]["from_store"] == 2 * len(SEEDS) - 1
    assert [one["verdict"] for one in first["claims"]] == [one["verdict"] for one in second["claims"]]
    assert len(second["run"]["store_problems"]) == 1
    assert run("third")[1]["run"]["work"][MODEL]["forward_passes"] == 0


def test_a_store_that_cannot_be_written_is_refused_before_any_pass(run, pytester):
    (pytester.path / "file").write_text("in the way")
    result, ledger = run("out", "--claims-store=file/store")
    assert ledger is None
    result.stderr.fnmatch_lines(["ERROR: store file/store cannot be written *--claims-store none*"])


def test_a_disk_that_becomes_full_is_told_and_the_run_goes_on(run, monkeypatch):
    from optim_hunter.observe import store

    def refuse(path, content):  # noqa: ARG001 - as the function that it stands for
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_whole", refuse)
    result, ledger = run("out")
    result.stdout.fnmatch_lines(["store: *cannot be written (No space left on device)*free space there*"])
    assert [entry["verdict"] for entry in ledger["claims"]] == ["supported", "supported"]
