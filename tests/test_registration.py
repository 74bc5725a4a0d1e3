"""The lock: what is registered, what changed since, and that nothing of it is lost."""

import json
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fixtures.imported  # noqa: F401
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.amendments import Amendment, amendments
from optim_hunter.cases import Case
from optim_hunter.claim import UserError, definition_hash, helper_code, measure_code
from optim_hunter.lock import LOCK, UNCOMMITTED, commit_of, read_lock, register
from optim_hunter.registration import read_registrations
from optim_hunter.tasks.regression import RegressionTask

pytest_plugins = ["pytester"]
REPOSITORY = Path(__file__).parents[1]
LEDGER = json.loads((REPOSITORY / "optim_hunter/data/ledger.schema.json").read_text())
GAIN, LEAD = Condition("gain", "a number", "units", 0.0), Condition("lead", "another", "units", 1.0)
CORRECTED = Protocol("corrected", RegressionTask(examples=25), ("recorded:llama-3.1-8b",))
CLAIM = Claim(
    id="mine/claim", statement="It holds.", source="a test", family="mine", conditions=(GAIN, LEAD),
    protocols=(CORRECTED,), controls={"planted:late-mlp": Verdict.SUPPORTED},
)  # fmt: skip


def measure(observation):
    return observation.prediction


def another(observation):
    return -observation.prediction


FACTOR = 2


def doubled(value):
    """Twice a number."""
    return FACTOR * value


def helped(observation):
    return doubled(observation.prediction)


def case_of(definition, measured=measure):
    return Case(definition, claim(definition)(measured), definition.protocols[0], "recorded:llama-3.1-8b", (0,), True)


def changed(now, was=CLAIM, measured=measure):
    registered = {"definition": json.loads(json.dumps(was.definition())), "measure": measure_code(measure)}
    return amendments(registered, now.definition(), measure_code(measured), {})


# What changed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"statement": "It does not."}, ['statement: "It holds." → "It does not."']),
        ({"conditions": (replace(GAIN, smallest_effect=1.0), LEAD)}, ["smallest_effect of 'gain': 0.0 → 1.0"]),
        ({"conditions": (replace(GAIN, smallest_effect=0), LEAD)}, ["smallest_effect of 'gain': 0.0 → 0"]),
        ({"conditions": (LEAD, GAIN)}, ['order of conditions: ["gain", "lead"] → ["lead", "gain"]']),
        ({"conditions": (LEAD, replace(GAIN, name="more"), GAIN)},
         ['order of conditions: ["gain", "lead"] → ["lead", "more", "gain"]',
          "'more': not stated → " + json.dumps({"name": "more", "quantity": "a number", "smallest_effect": 0.0,
                                               "unit": "units"})]),
        ({"conditions": (GAIN, replace(LEAD, statistic="median"))}, ["statistic of 'lead': not stated → \"median\""]),
        ({"found_by": "gain"}, ['found_by: not stated → "gain"']),
        ({"controls": {"planted:late-mlp": Verdict.REFUTED}},
         ['planted:late-mlp of controls: "supported" → "refuted"']),
        ({"protocols": (replace(CORRECTED, task=RegressionTask(examples=50)),)},
         ["examples of task of 'corrected': 25 → 50"]),
        ({"protocols": (replace(CORRECTED, models=("smollm2-135m",)),)}, []),
        ({"alpha": 0.01, "seeds": "0-9"}, ["alpha: 0.05 → 0.01", 'seeds: "0-99" → "0-9"']),
        ({}, []),
    ],
)  # fmt: skip
def test_each_changed_part_is_told_with_what_it_was(change, told):
    assert sorted(map(str, changed(replace(CLAIM, **change)))) == sorted(told)


def test_a_condition_that_decides_no_more_is_told():
    (gone, come) = changed(replace(CLAIM, conditions=(GAIN,), shown=(LEAD,)))
    assert (gone.part, gone.now, come.part, come.was) == ("'lead'", None, "'lead'", None)


def test_changed_code_is_named_in_a_line_and_kept_whole():
    (amendment,) = changed(CLAIM, measured=another)
    assert str(amendment) == "the measure's code changed"
    assert (amendment.was, amendment.now) == (measure_code(measure), measure_code(another))


def test_helpers_are_what_a_measure_uses_of_its_own_file():
    assert helper_code(helped) == {"FACTOR": "FACTOR = 2", "doubled": "def doubled(value):\n    return FACTOR * value"}
    assert helper_code(measure) == {}


def test_a_plain_value_from_around_a_measure_is_a_helper():
    def around(factor):
        return lambda_of(factor)

    def lambda_of(factor):
        def measured(observation):
            return factor * observation.prediction

        return measured

    assert helper_code(around(3)) == {"factor": "3"}


def test_a_changed_helper_is_told_and_does_not_touch_the_hash(tmp_path):
    case = case_of(CLAIM, helped)
    register(tmp_path / LOCK, [case])
    helped.__helper_code__ = {"FACTOR": "FACTOR = 3", "halved": "def halved(value): ..."}
    standing = read_registrations(tmp_path).standing(case)
    assert standing.label == "amended"
    assert list(map(str, standing.amendments)) == [
        "helper FACTOR changed", "helper doubled removed", "helper halved added",
    ]  # fmt: skip
    assert "  helper FACTOR changed" in register(tmp_path / LOCK, [case]).lines()
    again = read_registrations(tmp_path).standing(case)
    assert (again.label, again.earlier[0].changes) == ("registered", standing.amendments)
    (entry,) = read_lock(tmp_path / LOCK).values()
    assert entry["earlier"][0]["definition_hash"] == entry["definition_hash"]


def test_an_entry_without_helpers_is_completed_and_keeps_its_date(tmp_path):
    case = case_of(CLAIM, helped)
    register(tmp_path / LOCK, [case])
    content = json.loads((tmp_path / LOCK).read_text())
    entry = content["claims"]["mine/claim"]
    known = {key: entry.pop(key) for key in ("helpers", "helpers_hash")}
    entry["date"] = "2025-03-01"
    (tmp_path / LOCK).write_text(json.dumps(content))
    assert read_registrations(tmp_path).standing(case).label == "registered"
    assert list(register(tmp_path / LOCK, [case]).lines()) == [f"unchanged: 1 claims in {tmp_path / LOCK}"]
    assert read_lock(tmp_path / LOCK) == {"mine/claim": entry | known}


@pytest.mark.parametrize("part", ["conditions", "shown", "protocols"])
def test_two_things_of_one_name_are_refused(part):
    with pytest.raises(UserError, match=r"mine/claim: two have the name '(gain|corrected)': name each"):
        replace(CLAIM, **{part: (CORRECTED, CORRECTED) if part == "protocols" else (GAIN, GAIN)})


conditions = st.lists(
    st.builds(Condition, st.sampled_from("abc"), st.just("q"), st.just("u"), st.sampled_from([1, 1.0, 2.0]),
              statistic=st.sampled_from(["", "median"])),
    min_size=1, max_size=3, unique_by=lambda one: one.name,
).map(tuple)  # fmt: skip
claims = st.builds(
    replace, st.just(CLAIM), conditions=conditions, seeds=st.sampled_from(["0-9", "0-10"]),
    named=st.dictionaries(st.sampled_from("xy"), st.just((1, 2))), needs=st.sets(st.sampled_from(["answer"])),
)  # fmt: skip


@given(claims, claims, st.sampled_from([measure, another]))
def test_what_changes_the_hash_is_told_and_nothing_else(was, now, measured):
    before = definition_hash(was.definition(), measure_code(measure))
    after = definition_hash(now.definition(), measure_code(measured))
    assert bool(changed(now, was, measured)) == (before != after)


# The lock


def test_what_is_replaced_stays_whole_under_earlier(tmp_path):
    lock = tmp_path / LOCK
    other = replace(CLAIM, id="mine/other")
    assert register(lock, [case_of(CLAIM), case_of(other)]).new == ("mine/claim", "mine/other")
    first = read_lock(lock)
    louder = replace(CLAIM, conditions=(replace(GAIN, smallest_effect=1.0), LEAD))
    done = register(lock, [case_of(louder), case_of(other)])
    assert list(done.lines()) == [
        f"registered 2 claims in {lock}",
        "amended: mine/claim; what was registered before stays under `earlier`",
        "  smallest_effect of 'gain': 0.0 → 1.0",
    ]
    third = replace(louder, alpha=0.01)
    register(lock, [case_of(third)])
    now = read_lock(lock)
    assert now["mine/other"] == first["mine/other"]
    assert now["mine/claim"]["definition"] == json.loads(json.dumps(third.definition()))
    was = {key: value for key, value in first["mine/claim"].items() if key != "earlier"}
    assert now["mine/claim"]["earlier"][0] == was
    assert [one["definition"]["alpha"] for one in now["mine/claim"]["earlier"]] == [0.05, 0.05]


def test_a_lock_of_schema_1_is_completed_and_keeps_its_dates(tmp_path):
    lock, case = tmp_path / LOCK, case_of(CLAIM)
    gone = {"definition_hash": "ab" * 32, "date": "2025-03-01"}
    entry = {"definition_hash": case.definition_hash, "date": "2025-03-02", "family": "mine", "earlier": [gone]}
    deleted = {"definition_hash": "cd" * 32, "date": "2025-03-01", "family": "mine"}
    lock.write_text(json.dumps({"schema": 1, "claims": {"mine/claim": entry, "mine/deleted": deleted}}))
    (unknown,) = read_registrations(tmp_path).standing(case_of(replace(CLAIM, alpha=0.01))).amendments
    assert str(unknown) == "definition: not kept when it was registered → as the claim states it"
    assert list(register(lock, [case]).lines()) == [f"unchanged: 1 claims in {lock}"]
    now = read_lock(lock)
    assert entry.items() <= (now["mine/claim"] | {"earlier": [gone]}).items()
    assert now["mine/claim"]["earlier"] == [gone | {"commit": UNCOMMITTED}]
    assert deleted.items() <= now["mine/deleted"].items()
    assert read_registrations(tmp_path).standing(case).label == "registered"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lock: lock.update(schema=3), "schema 3 is not known"),
        (lambda lock: lock.pop("claims"), "'claims'"),
        (lambda lock: lock["claims"]["mine/claim"].pop("date"), "mine/claim has no date"),
        (lambda lock: lock["claims"]["mine/claim"].pop("family"), "mine/claim has no family"),
        (lambda lock: lock["claims"]["mine/claim"]["definition"].update(alpha=0.1), "is not the one of its hash"),
        (lambda lock: lock["claims"]["mine/claim"].update(measure="return 1"), "is not the one of its hash"),
        (lambda lock: lock["claims"]["mine/claim"]["helpers"].update(a="1"), "helpers .* not those of their hash"),
        (lambda lock: lock["claims"]["mine/claim"].pop("helpers_hash"), "'helpers_hash'"),
        (lambda lock: lock["claims"]["mine/claim"]["earlier"].append({}), "mine/claim has no date"),
        (lambda lock: lock["claims"].update({"mine/claim": []}), "cannot be read"),
    ],
)
def test_a_damaged_lock_is_refused_and_left_alone(tmp_path, change, reason):
    lock = tmp_path / LOCK
    register(lock, [case_of(CLAIM)])
    content = json.loads(lock.read_text())
    change(content)
    lock.write_text(json.dumps(content))
    before = lock.read_bytes()
    with pytest.raises(UserError, match=reason) as caught:
        register(lock, [case_of(CLAIM)])
    assert "\n" not in str(caught.value)
    assert lock.read_bytes() == before


def test_the_lock_of_this_repository_says_what_was_claimed_when_and_where():
    for entry in read_lock(REPOSITORY / "claims" / LOCK).values():
        for one in (entry, *entry["earlier"]):
            assert one["definition"]["family"] == one["family"]
            assert date.fromisoformat(one["date"])
            assert one["commit"] == UNCOMMITTED or len(bytes.fromhex(one["commit"])) == 20
        assert all("earlier" not in one for one in entry["earlier"])


# Commits


@pytest.fixture
def repository(tmp_path):
    """A function that runs git in a new repository with one commit of a claim in claims/; gives its output."""

    def git(*arguments):
        names = "-c", "user.name=a", "-c", "user.email=a@b.c"
        return subprocess.run(
            ["git", "-C", tmp_path, *names, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()  # fmt: skip

    git("init", "--quiet")
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "test_mine.py").write_text("a claim")
    git("add", ".")
    git("commit", "--quiet", "-m", "Claim")
    return git


def test_the_commit_is_known_where_no_code_differs_from_it(tmp_path, repository):
    folder = tmp_path / "claims"
    assert commit_of(folder) == repository("rev-parse", "HEAD")
    (folder / LOCK).write_text("{}")
    (tmp_path / "notes.md").write_text("no code")
    assert commit_of(folder) == repository("rev-parse", "HEAD")
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh" / "helper.py").write_text("code")
    assert commit_of(folder) == UNCOMMITTED


@pytest.mark.usefixtures("repository")
def test_without_a_commit_that_holds_the_claims_it_is_said(tmp_path):
    (tmp_path / ".gitignore").write_text("elsewhere\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test_mine.py").write_text("a claim")
    assert commit_of(tmp_path / "elsewhere") == UNCOMMITTED
    (tmp_path / "claims" / "test_mine.py").write_text("another")
    assert commit_of(tmp_path / "claims") == UNCOMMITTED


def test_there_may_be_no_git(tmp_path, monkeypatch):
    assert commit_of(tmp_path) == UNCOMMITTED
    monkeypatch.setenv("PATH", "")
    assert commit_of(tmp_path) == UNCOMMITTED


def test_a_commit_that_was_not_known_is_found_in_the_history_of_the_lock(tmp_path, repository):
    lock = tmp_path / "claims" / LOCK
    (tmp_path / "claims" / "test_more.py").write_text("not committed yet")
    register(lock, [case_of(CLAIM)])
    assert read_lock(lock)["mine/claim"]["commit"] == UNCOMMITTED
    repository("add", ".")
    repository("commit", "--quiet", "-m", "Register")
    first = repository("rev-parse", "HEAD")
    amended = case_of(replace(CLAIM, alpha=0.01))
    register(lock, [amended])
    assert read_lock(lock)["mine/claim"]["commit"] == first
    assert read_lock(lock)["mine/claim"]["earlier"][0]["commit"] == first
    repository("commit", "--quiet", "-am", "Register anew")
    register(lock, [amended])
    assert read_lock(lock)["mine/claim"]["commit"] == first
    (change,) = read_registrations(tmp_path).standing(case_of(CLAIM)).amendments
    assert change == Amendment("alpha", "0.01", "0.05")


# Told in a run


SOURCE = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.tasks.regression import RegressionTask

@claim(Claim(
    id="mine/holds", statement="It holds.", source="a test", family="mine", seeds="0-19",
    conditions=(Condition("gain", "a number", "units", {smallest}),),
    protocols=(Protocol("published", RegressionTask(examples=50), models=("recorded:llama-3.1-8b",)),),
))
def test_holds(observation):
    return {value} + observation.episode.seed % 7
"""


def run(pytester, *arguments):
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-store=none", *arguments)


def only_entry(folder):
    ledger = json.loads((folder / "ledger.json").read_text())
    jsonschema.validate(ledger, LEDGER)
    (entry,) = ledger["claims"]
    return entry


def test_an_amended_claim_tells_what_changed_in_terminal_ledger_and_page(pytester):
    pytester.makepyfile(test_holds=SOURCE.format(smallest=0.0, value=2))
    run(pytester, "--claims-register").stdout.fnmatch_lines(
        ["registered 1 claims in *register.lock", "new: mine/holds"]
    )
    assert not (pytester.path / "reports").exists()
    run(pytester, "--claims-out=before")
    entry = only_entry(pytester.path / "before")
    assert entry["registration"] == "registered"
    assert entry["registered"]["commit"] == UNCOMMITTED
    assert "amendments" not in entry
    pytester.makepyfile(test_holds=SOURCE.format(smallest=1.0, value="'<b>'.count('<') + 1"))
    told = run(pytester, "--claims-out=after").stdout
    told.fnmatch_lines(["*mine/holds*; amended since 20??-??-??", "    smallest_effect of 'gain': 0.0 → 1.0"])
    told.fnmatch_lines(["    the measure's code changed"])
    entry = only_entry(pytester.path / "after")
    assert entry["registration"] == "amended"
    assert entry["amendments"][0] == {"part": "smallest_effect of 'gain'", "was": "0.0", "now": "1.0"}
    page = (pytester.path / "after/evidence.html").read_text()
    assert "Amended since it was registered on" in page
    assert page.count(">amended</span>") == 2
    assert "return &#39;&lt;b&gt;&#39;.count" in page
    run(pytester, "--claims-register")
    run(pytester, "--claims-register").stdout.fnmatch_lines(["unchanged: 1 claims in *register.lock"])
    told = run(pytester, "--claims-out=again").stdout
    told.fnmatch_lines(["*mine/holds*; registered again, 1 earlier"])
    (earlier,) = only_entry(pytester.path / "again")["registered"]["earlier"]
    assert earlier["changes"] == entry["amendments"]
    page = (pytester.path / "again/evidence.html").read_text()
    assert "Registered again: what was registered on" in page
    assert page.count(">registered again</span>") == 2
    assert "return &#39;&lt;b&gt;&#39;.count" in page


def test_a_damaged_lock_ends_a_run_in_one_line(pytester):
    pytester.makepyfile(test_holds=SOURCE.format(smallest=0.0, value=2))
    (pytester.path / LOCK).write_text("<<<<<<< merged")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.stderr.lines if line]
    assert "register.lock cannot be read" in line
