"""Runs that are killed or stopped: what they leave is whole, and the same command goes on to the same verdicts."""

import json
import signal
import time
from importlib import resources

import jsonschema
import numpy as np
import pytest
from forked import Forked

from optim_hunter.claim import UserError
from optim_hunter.evidence.report_command import make_report
from optim_hunter.outputs import UNFINISHED, open_run_folder

SCHEMA = json.loads((resources.files("optim_hunter.data") / "ledger.schema.json").read_text())
CLAIMS = """
import time
import pytest
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.tasks.regression import RegressionTask

def define(name, model, examples, **more):
    protocol = Protocol("published", RegressionTask(examples=examples), models=(model,))
    return claim(Claim(
        id=f"mine/{name}", statement="It holds.", source="a test", family="mine", needs={"answer"}, seeds="0-24",
        conditions=(Condition("gain", "a number", "units", 1.0),), protocols=(protocol,), **more))

def gain(observation):
    time.sleep(0.01)
    return len(observation.shown["answer"].text) % 3 + (observation.episode.seed % 7) / 10

@define("holds", "recorded:llama-3.1-8b", 50, controls={"synthetic:extreme-output": Verdict.SUPPORTED},
        control_seeds="0-24")
def test_holds(observation):
    return 2 + gain(observation)

@define("fails", *OTHER)
def test_fails(observation):
    return gain(observation) - 3
"""
RUN, TOLD = ("planted:kernel-regression", 8), ("synthetic:two-error-groups", 50)
"""A model that is run, and one that is quick, so that workers need not import what runs models."""
NUMBERS = 75
"""That a run measures."""
OPTIONS = "-q", "-p", "no:cacheprovider", "-p", "no:logging", "--claims-store=none"
"""Without logging, in which Ctrl-C may fall on an instruction that has no line, and that pytest cannot print."""


def write_claims(folder, other=RUN):
    (folder / "test_claims.py").write_text(f"OTHER = {other!r}\n{CLAIMS}")


@pytest.fixture
def folder(tmp_path):
    write_claims(tmp_path)
    return tmp_path


def start(folder, *arguments, most=None):
    return Forked((*OPTIONS, *arguments), folder, folder / "printed.txt", most)


def measured(folder):
    files = folder.glob(f"reports/2*/{UNFINISHED}/*.jsonl")
    return sum(path.read_bytes().count(b'"number"') for path in files)


def wait_for(process, folder, numbers):
    """Wait until so many numbers are measured, or the run has ended."""
    while process.poll() is None and measured(folder) < numbers:
        time.sleep(0.005)


def the_ledger(folder):
    (path,) = [path for path in folder.glob("reports/*/ledger.json") if not path.parent.is_symlink()]
    ledger = json.loads(path.read_text())
    jsonschema.validate(ledger, SCHEMA)
    return path, ledger


def end(folder, *arguments):
    assert start(folder, *arguments).wait() == pytest.ExitCode.TESTS_FAILED, (folder / "printed.txt").read_text()
    return the_ledger(folder)[1]


def found(ledger):
    """All that a run has found: times and what it took left out."""
    return {key: value for key, value in ledger.items() if key != "run"}


def kill(process):
    """Kill the process alone: workers notice by themselves."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def killed_and_whole(folder, generator, kills, *arguments):
    """The ledger of a run that was killed so many times, having looked at what each kill left."""
    for numbers in sorted(generator.integers(1, NUMBERS - 5, kills)):
        process = start(folder, *arguments)
        wait_for(process, folder, numbers)
        assert process.poll() is None, "ended before it could be killed"
        kill(process)
        path, ledger = the_ledger(folder)
        assert ledger["run"]["finished"] is None
        assert len(ledger["claims"]) + len(ledger["run"]["unfinished"]) == 3
        assert "has not finished" in make_report(path, folder / "report.html").read_text()
    ledger = end(folder, *arguments)
    assert "goes on with the unfinished run in" in (folder / "printed.txt").read_text()
    assert 0 < len(ledger["run"]["resumed"]) <= kills, "one that is killed at once may leave no time"
    assert ledger["run"]["finished"] is not None
    assert ledger["run"]["unfinished"] == []
    assert not list(folder.glob(f"reports/*/{UNFINISHED}"))
    return ledger


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_claims(folder)
    return found(end(folder))


def test_a_killed_run_goes_on_to_the_same_ledger(folder, uninterrupted):
    assert found(killed_and_whole(folder, np.random.default_rng(5), 4)) == uninterrupted


def test_so_does_one_with_workers(tmp_path):
    write_claims(tmp_path, TOLD)
    (tmp_path / "whole").mkdir()
    write_claims(tmp_path / "whole", TOLD)
    workers = "-n", "2"
    assert found(killed_and_whole(tmp_path, np.random.default_rng(6), 1, *workers)) == found(end(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_change_nothing(folder, uninterrupted, seed, arguments):
    kills = 3 if arguments else 2
    assert found(killed_and_whole(folder, np.random.default_rng(seed), kills, *arguments)) == uninterrupted


def test_a_stopped_run_leaves_a_page_that_marks_what_is_unfinished(folder, uninterrupted):
    process = start(folder)
    wait_for(process, folder, 60)
    process.send_signal(signal.SIGINT)
    assert process.wait() == pytest.ExitCode.INTERRUPTED, (folder / "printed.txt").read_text()
    path, ledger = the_ledger(folder)
    unfinished = {one["claim"]: one for one in ledger["run"]["unfinished"]}
    assert unfinished.keys() == {"mine/holds"} or unfinished.keys() == {"mine/fails"}
    (one,) = unfinished.values()
    assert 0 < one["measured"] < one["seeds"] == 25
    page = path.with_name("evidence.html").read_text()
    assert "unfinished" in page
    assert f"{one['measured']} of 25" in page
    assert "unfinished: the same command goes on" in (folder / "printed.txt").read_text()
    assert found(end(folder)) == uninterrupted


@pytest.mark.parametrize(("kibibytes", "lost"), [(3, ".jsonl"), (20, "ledger.json")])
def test_where_there_is_no_room_the_run_stops_and_goes_on_later(folder, uninterrupted, kibibytes, lost):
    assert start(folder, most=1024 * kibibytes).wait() == pytest.ExitCode.INTERRUPTED
    printed = (folder / "printed.txt").read_text()
    assert f"{lost} cannot be written (File too large): make room for it, and the same command" in printed
    assert "evidence.html cannot be written (File too large)" in printed
    assert "Traceback" not in printed
    assert not list(folder.glob("reports/*/evidence.html"))
    assert the_ledger(folder)[1]["run"]["finished"] is None
    assert found(end(folder)) == uninterrupted


# folders

PLAN = {"cases": [["mine/holds", "m", "published", [0, 1]]]}


@pytest.fixture
def opened(tmp_path):
    """Open folders of runs, and let go of all of them in the end."""
    folders = []

    def open_folder(named=None, plan=PLAN, arguments=("claims",)):
        folders.append(open_run_folder(tmp_path / "reports", named and str(tmp_path / named), plan, arguments))
        return folders[-1]

    yield open_folder
    for folder in folders:
        folder.leave()


def test_two_runs_of_one_second_have_two_folders(opened, tmp_path):
    one, two = opened(), opened()
    assert one.path != two.path
    assert (tmp_path / "reports/latest").resolve() == two.path


def test_a_run_whose_process_is_gone_is_gone_on_with_and_no_other(opened):
    gone = opened()
    gone.leave()
    assert not opened(arguments=["-x", "claims"]).resumed
    assert not opened(plan={"cases": []}).resumed
    again = opened()
    assert (again.path, again.resumed) == (gone.path, True)
    assert not opened().resumed, "it lives"


def test_a_named_folder_is_gone_on_with_whatever_the_arguments(opened):
    opened("mine").leave()
    assert opened("mine", arguments=["claims", "-v"]).resumed


def test_a_named_folder_is_refused_while_its_run_lives_or_where_it_is_of_other_claims(opened):
    run = opened("mine")
    with pytest.raises(UserError, match="is being written by a run that goes on"):
        opened("mine")
    run.leave()
    with pytest.raises(UserError, match=r"holds an unfinished run of other claims, options or code \(pytest claims\)"):
        opened("mine", plan={"cases": []})


def test_evidence_is_never_overwritten(opened):
    run = opened("mine")
    (run.path / "ledger.json").write_text('{"run": {"finished": "2026-01-01"}}')
    run.finish()
    with pytest.raises(UserError, match="holds the evidence of another run: name another folder"):
        opened("mine")


def test_a_place_that_cannot_be_written_is_refused(opened, tmp_path):
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(UserError, match=r"no evidence can be written to .*mine \(.+\): name another folder"):
        opened("mine")


def test_what_stands_in_the_place_of_the_link_stays(opened, tmp_path):
    (tmp_path / "reports/latest").mkdir(parents=True)
    with pytest.raises(UserError, match=r"latest cannot be linked to this run \(.+\): remove it, or name another"):
        opened()
    assert not list((tmp_path / "reports").glob(".latest*"))


def test_a_ledger_that_is_none_is_not_overwritten(opened, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/ledger.json").write_text("[]")
    with pytest.raises(UserError, match="holds the evidence of another run"):
        opened("mine")
