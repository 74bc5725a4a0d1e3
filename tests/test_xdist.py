"""Two workers of pytest-xdist: the same ledger, nothing measured twice, ordinary tests as they were."""

import json
from importlib import resources
from types import SimpleNamespace

import jsonschema
import pytest
from forked import Forked
from xdist.scheduler import EachScheduling, LoadScheduling

from optim_hunter.cases import Case
from optim_hunter.claim import Claim, Condition, Protocol
from optim_hunter.measurements import Measurements
from optim_hunter.scheduling import ModelScheduling, SchedulingByContent, model_of, scheduling
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.regression import RegressionTask

pytest_plugins = ["pytester"]
SCHEMA = json.loads((resources.files("optim_hunter.data") / "ledger.schema.json").read_text())
CLAIMS = """
import pytest
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.tasks.regression import RegressionTask

def define(name):
    protocol = Protocol("published", RegressionTask(examples=EXAMPLES), models=MODELS)
    return claim(Claim(
        id=f"mine/{name}", statement="It holds.", source="a test", family="mine", needs={"answer"}, seeds="0-20",
        conditions=(Condition("gain", "a number", "units", 1.0),), protocols=(protocol,),
        controls={CONTROL: Verdict.SUPPORTED}, control_seeds="0-20"))

def gain(observation):
    return len(observation.shown["answer"].text) % 3 + (observation.episode.seed % 7) / 10

@define("one")
def test_one(observation):
    return 2 + gain(observation)

@define("two")
def test_two(observation):
    return 3 + gain(observation)
"""

EXPECTED = """
[[expected]]
claim = "mine/one"
model = "{}"
protocol = "published"
verdict = "supported"
"""


def evidence(folder, name, *arguments):
    options = ("-p", "no:cacheprovider", "-q", "--claims-store=none", "--claims-out", name)
    Forked((*options, *arguments), folder, folder / "printed.txt").wait()
    ledger = json.loads((folder / name / "ledger.json").read_text())
    jsonschema.validate(ledger, SCHEMA)
    return ledger


RUN = (6, ("planted:kernel-regression", "planted:output-head"), "planted:kernel-regression-twin")
TOLD = (50, ("recorded:llama-3.1-8b", "synthetic:two-error-groups"), "synthetic:extreme-output")
"""Examples, models and control; of models that are run, and of others, which are quick."""


@pytest.mark.parametrize(("of", "selection"), [(RUN, ()), (TOLD, ("-k", "verdict"))], ids=["all", "verdicts"])
def test_two_workers_write_the_same_ledger_and_measure_nothing_twice(tmp_path, of, selection):
    names = "\n".join(f"{name} = {value!r}" for name, value in zip(("EXAMPLES", "MODELS", "CONTROL"), of, strict=True))
    (tmp_path / "test_mine.py").write_text(names + CLAIMS)
    (tmp_path / "expected.toml").write_text(EXPECTED.format(of[1][0]))
    alone = evidence(tmp_path, "alone", *selection)
    both = evidence(tmp_path, "both", *selection, "-n", "2")
    assert both["claims"] == alone["claims"]
    assert "supported" in {entry["expected"] for entry in both["claims"]}
    assert both.get("exchanges") == alone.get("exchanges")
    assert both["run"]["work"] == alone["run"]["work"]
    if of is RUN:
        assert all(work["tokens_run"] > 0 for work in alone["run"]["work"].values())
        assert len(alone["run"]["work"]) == 3


PROTOCOLS = {"smollm2-135m": "corrected", "owner/name@0123": "own task", "./a folder": "published"}


@pytest.mark.parametrize(
    ("item", "model"),
    [
        ("claims/a.py::test_a[smollm2-135m-corrected-17]", "smollm2-135m"),
        ("claims/a.py::test_a[owner/name@0123-own task-verdict]", "owner/name@0123"),
        ("claims/a.py::test_a[./a folder-published-3]@group", "./a folder"),
        ("tests/a.py::test_a[one-two-three]", None),
        ("tests/a.py::test_a[one-two-3]", None),
        ("tests/a.py::test_a", None),
    ],
)
def test_only_an_item_of_the_plan_names_its_model(item, model):
    models = {f"{name}-{protocol}": name for name, protocol in PROTOCOLS.items()}
    assert model_of(item, models) == model


class Node:
    """A worker that takes note of the items it is sent."""

    gateway = SimpleNamespace(id="one of two")

    def __init__(self):
        self.sent, self.shutting_down = [], False

    def send_runtest_some(self, indices):
        self.sent += indices

    def shutdown(self):
        self.shutting_down = True


def plan_of(items):
    """The plan with the cases of all items that `seeds` made."""
    models = {item.partition("[")[2].rpartition("-p-")[0] for item in items if "-p-" in item}
    return {"cases": [["mine/a", model, "p", [0]] for model in models]} if models else None


def distributed(pytester, items, *arguments):
    """The scheduling and, for each of two workers, the items that it is sent first."""
    config = pytester.parseconfig("--tx", "2*popen", *arguments)
    chosen = scheduling(LoadScheduling(config), config, None, lambda: plan_of(items))
    nodes = Node(), Node()
    for node in nodes:
        chosen.add_node(node)
    for node in nodes:
        chosen.add_node_collection(node, items)
    chosen.schedule()
    return chosen._chosen, [[items[index] for index in node.sent] for node in nodes]


def seeds(model, count):
    return [f"a.py::test_a[{model}-p-{seed}]" for seed in (*range(count), "verdict")]


def test_a_model_is_measured_by_one_worker_verdicts_last_and_the_longest_first(pytester):
    small, large, other = seeds("small", 3), seeds("large", 9), seeds("other", 4)
    chosen, (one, two) = distributed(pytester, [*small, *large, *other])
    assert isinstance(chosen, ModelScheduling)
    assert one == large
    assert two == other


def test_a_model_s_claims_in_another_folder_may_go_to_another_worker(pytester):
    prompts, stories = ([f"{folder}/{item}" for item in seeds("m", 9)] for folder in ("prompts", "stories"))
    assert distributed(pytester, [*prompts, *stories])[1] == [prompts, stories]


def test_a_model_s_prompts_and_stories_are_held_apart():
    held = []
    journal = SimpleNamespace(hold=lambda passes: held.append(passes) or False)
    for task in (RegressionTask(examples=5), RegressionTask(examples=9), ChoiceTask()):
        protocol = Protocol("corrected", task, ("m",))
        claim = Claim(id="mine/a", statement="It holds.", source="a test", family="mine", needs={"answer"}, seeds="0",
                      conditions=(Condition("gain", "a number", "units", 1.0),), protocols=(protocol,))  # fmt: skip
        case = Case(claim, None, protocol, "m", (0,), True)
        assert Measurements({case.key: case}, Options(), journal=journal).lacks(case, 0)
    assert held[0] == held[1] != held[2]


@pytest.mark.parametrize(("dist", "together"), [("load", False), ("loadfile", True)])
def test_ordinary_tests_beside_claims_stay_together_where_that_was_asked_for(pytester, dist, together):
    ordinary = [f"b.py::test_{number}" for number in range(4)]
    chosen, _ = distributed(pytester, [*ordinary, *seeds("m", 9)], "--dist", dist)
    scopes = {chosen._split_scope(item) for item in ordinary}
    assert len(scopes) == (1 if together else 4)


def test_without_claims_the_scheduling_is_the_one_that_was_asked_for(pytester):
    chosen, _ = distributed(pytester, [f"b.py::test_[one-two-{number}]" for number in range(8)])
    assert isinstance(chosen, LoadScheduling)
    config = pytester.parseconfig("--tx", "2*popen")
    assert isinstance(scheduling(LoadScheduling(config), config, None, lambda: None), SchedulingByContent)
    each = EachScheduling(config)
    assert scheduling(each, config, None, lambda: None) is each
