"""The plugin as its users meet it: items, outcomes, options, evidence."""

import json
import re
import shutil
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

import fixtures.imported  # noqa: F401

pytest_plugins = ["pytester"]
SCHEMA = json.loads((resources.files("optim_hunter.data") / "ledger.schema.json").read_text())

CLAIM = """
import pytest
from optim_hunter import Claim, Condition, NoValue, Protocol, Verdict, claim
from optim_hunter.tasks.regression import RegressionTask

@claim(Claim(
    id="mine/{name}", statement="It holds.", source="a test", family="mine",
    conditions=(Condition("gain", "a number", "units", 1.0),),
    protocols=(Protocol("published", RegressionTask(examples=50), models=("recorded:llama-3.1-8b",)),),
    seeds="0-29",
))
def test_{name}(observation):
    {body}
"""
NOISE = "(observation.episode.seed % 7) / 10"


@pytest.fixture
def claims(pytester):
    """Write claims whose measures have these bodies; their item ids end in the usual seeds and verdict."""

    def write(**bodies: str) -> None:
        for name, body in bodies.items():
            pytester.makepyfile(**{f"test_{name}": CLAIM.format(name=name, body=body)})

    return write


def run(pytester, *arguments):
    kept = () if any(argument.startswith("--claims-store") for argument in arguments) else ("--claims-store=none",)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *kept, *arguments)


def ledger_of(pytester, folder="reports/latest"):
    ledger = json.loads((pytester.path / folder / "ledger.json").read_text())
    jsonschema.validate(ledger, SCHEMA)
    return ledger


def entries(pytester):
    return {entry["claim"].removeprefix("mine/"): entry for entry in ledger_of(pytester)["claims"]}


def test_a_verdict_passes_fails_or_is_skipped(pytester, claims):
    claims(holds=f"return 2 + {NOISE}", fails=f"return {NOISE}", open=f"return 0.7 + {NOISE}")
    result = run(pytester)
    result.assert_outcomes(passed=3 * 30 + 1, failed=1, skipped=1)
    found = entries(pytester)
    assert {name: entry["verdict"] for name, entry in found.items()} == {
        "holds": "supported",
        "fails": "refuted",
        "open": "inconclusive",
    }
    assert found["holds"]["effect"] == pytest.approx(2.28, abs=0.05)
    assert found["holds"]["n"] == 30
    assert found["holds"]["family_size"] == 3
    assert found["holds"]["p_adjusted"] == pytest.approx(3 * found["holds"]["p"])
    assert found["holds"]["registration"] == "unregistered"
    assert found["open"]["seeds_to_settle"] > 30
    assert [row["seed"] for row in found["holds"]["numbers"]] == list(range(30))
    result.stdout.fnmatch_lines(["*✓ mine/holds on recorded:llama-3.1-8b*", "evidence: *", "*FAILED*fails*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_evidence_is_a_page_and_a_ledger_under_a_fresh_folder(pytester, claims):
    claims(holds=f"return 2 + {NOISE}")
    run(pytester, "--claims-seeds", "20")
    run(pytester, "--claims-seeds", "20")
    folders = [path for path in (pytester.path / "reports").iterdir() if not path.is_symlink()]
    assert len(folders) == 2
    latest = (pytester.path / "reports/latest").resolve()
    assert latest == max(folders, key=lambda path: (len(path.name), path.name))
    page = (latest / "evidence.html").read_text()
    assert "mine/holds" in page
    assert "default-src 'none'" in page
    assert ledger_of(pytester)["run"]["finished"] is not None


def test_the_verdict_asks_for_all_seeds_whatever_was_selected(pytester, claims):
    claims(holds=f"return 2 + {NOISE}")
    result = run(pytester, "-k", "verdict")
    result.assert_outcomes(passed=1, deselected=30)
    assert entries(pytester)["holds"]["n"] == 30


def test_fewer_than_twenty_numbers_are_inconclusive(pytester, claims):
    claims(holds=f"return 20 + {NOISE}")
    run(pytester, "--claims-seeds", "0-11").assert_outcomes(passed=12, skipped=1)
    assert "12 numbers are fewer than 20" in entries(pytester)["holds"]["sentence"]


def test_missing_seeds_are_skipped_and_too_many_make_the_claim_invalid(pytester, claims):
    lose = "if observation.episode.seed < {}: raise NoValue('lost')\n    return 2 + " + NOISE
    claims(few=lose.format(1), many=lose.format(4))
    result = run(pytester)
    result.assert_outcomes(passed=29 + 26 + 1, skipped=5, errors=1)
    found = entries(pytester)
    assert found["few"]["missing"] == [{"seed": seed, "reason": "lost"} for seed in range(1)]
    assert (found["few"]["verdict"], found["many"]["verdict"]) == ("supported", "invalid")
    result.stdout.fnmatch_lines(["*invalid: 4 of 30 seeds gave no number, more than 10 %; the first: lost*"])


def test_a_missing_seed_counts_as_a_loss_where_that_changes_the_verdict(pytester, claims):
    claims(close="if observation.episode.seed < 3: raise NoValue('lost')\n    return 0.8 + " + NOISE)
    run(pytester)
    entry = entries(pytester)["close"]
    assert entry["verdict"] == "inconclusive"
    assert "scoring the 3 missing seeds as losses changes the verdict" in entry["sentence"]


def test_a_number_that_is_not_finite_is_missing(pytester, claims):
    claims(nan="return float('nan') if observation.episode.seed == 3 else 2 + " + NOISE)
    run(pytester).assert_outcomes(passed=30, skipped=1)
    assert entries(pytester)["nan"]["missing"] == [{"seed": 3, "reason": "gain is not finite"}]


@pytest.mark.parametrize(
    ("body", "expected", "outcome"),
    [
        (f"return {NOISE}", "refuted", {"passed": 30, "xfailed": 1}),
        (f"return 2 + {NOISE}", "refuted", {"passed": 30, "failed": 1}),
        (f"return 0.7 + {NOISE}", "refuted", {"passed": 30, "failed": 1}),
        (f"return 2 + {NOISE}", "supported", {"passed": 31}),
        (f"return {NOISE}", "supported", {"passed": 30, "failed": 1}),
        (f"return 0.7 + {NOISE}", "inconclusive", {"passed": 30, "skipped": 1}),
        (f"return 2 + {NOISE}", "inconclusive", {"passed": 30, "failed": 1}),
        ("raise NoValue('lost')", "invalid", {"skipped": 30, "xfailed": 1}),
    ],
)
def test_what_is_expected_is_held_at_the_registered_seeds(pytester, claims, body, expected, outcome):
    claims(known=body)
    expect(pytester, expected, 'reason = "lost"' if expected == "invalid" else "")
    run(pytester).assert_outcomes(**outcome)
    assert entries(pytester)["known"]["expected"] == expected


@pytest.mark.parametrize(
    ("body", "seeds", "outcome"),
    [
        (f"return {NOISE}", "12", {"passed": 12, "skipped": 1}),
        (f"return 2 + {NOISE}", "25", {"passed": 25, "failed": 1}),
    ],
)
def test_with_fewer_seeds_inconclusive_is_allowed_and_a_reversal_is_not(pytester, claims, body, seeds, outcome):
    claims(known=body)
    expect(pytester, "refuted")
    run(pytester, "--claims-seeds", seeds).assert_outcomes(**outcome)


def expect(pytester, verdict, more=""):
    (pytester.path / "expected.toml").write_text(
        f'[[expected]]\nclaim = "mine/known"\nmodel = "recorded:llama-3.1-8b"\nprotocol = "published"\n'
        f'verdict = "{verdict}"\n{more}\n'
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--claims-seeds="], "*seeds '': write a count*"),
        (["--claims-seeds=-3"], "*seeds '-3': write a count*"),
        (["--claims-seeds=5,3"], "*seeds '5,3': they must ascend*"),
        (["--claims-model=smolm2"], "*smollm2-135m*"),
        (["--claims-model=./nowhere"], "*nowhere*"),
        (["--claims-model=synthetic:foo"], "*unknown model 'synthetic:foo'*"),
        (["--claims-model=synthetic:"], "*unknown model 'synthetic:'*"),
        (["--claims-model=linear"], "*ERROR: linear: no selected claim runs on it"),
        (["--claims-corpus=nowhere.txt"], "*corpus nowhere.txt: there is no such file; give*"),
    ],
)
def test_bad_options_end_in_one_line_before_anything_runs(pytester, claims, arguments, message):
    claims(holds="return 2")
    result = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert len([line for line in result.stderr.lines if line]) == 1
    assert not (pytester.path / "reports").exists()


def test_evidence_of_another_run_is_never_overwritten(pytester, claims):
    claims(holds=f"return 2 + {NOISE}")
    run(pytester, "--claims-out", "kept")
    before = (pytester.path / "kept/ledger.json").read_bytes()
    result = run(pytester, "--claims-out", "kept")
    assert "holds the evidence of another run: name another folder" in result.stderr.str() + result.stdout.str()
    assert (pytester.path / "kept/ledger.json").read_bytes() == before


def test_seeds_that_a_record_lacks_make_the_claim_invalid_at_once(pytester, claims):
    claims(holds="return 2")
    result = run(pytester, "--claims-seeds", "90-120")
    result.assert_outcomes(skipped=31, errors=1)
    result.stdout.fnmatch_lines(
        ["*recorded:llama-3.1-8b holds seeds 0-99 with 50 examples and one query: ask for those*"]
    )


def test_a_measure_that_forgets_a_condition_is_told_so_and_harms_no_other(pytester, claims):
    claims(wrong="return {'gian': 2.0}", right=f"return 2 + {NOISE}")
    result = run(pytester)
    result.stdout.fnmatch_lines(["*mine/wrong: its test must return a number for each of gain*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert {name: entry["verdict"] for name, entry in entries(pytester).items()} == {
        "wrong": "invalid",
        "right": "supported",
    }


def test_an_error_in_a_measure_shows_where_and_makes_its_claim_invalid(pytester, claims):
    claims(wrong="return 1 / 0")
    result = run(pytester, "--claims-seeds", "3")
    result.assert_outcomes(failed=3, errors=1)
    result.stdout.fnmatch_lines(["*return 1 / 0*", "*invalid: mine/wrong: its test raised ZeroDivisionError*"])


def test_what_a_record_does_not_show_is_refused_with_the_remedy(pytester, claims):
    claims(wrong="return observation.attention")
    result = run(pytester, "--claims-seeds", "2")
    result.stdout.fnmatch_lines(["*this observation shows no attention: add 'attention' to the claim's needs*"])


def test_a_need_that_does_not_exist_is_refused(pytester, claims):
    claims(wrong="return 2")
    source = (pytester.path / "test_wrong.py").read_text().replace('seeds="0-29"', 'seeds="0-29", needs={"atention"}')
    (pytester.path / "test_wrong.py").write_text(source)
    run(pytester).stdout.fnmatch_lines(
        ["*mine/wrong: no need 'atention': choose out of activations, answer, attention, attribution*"]
    )


def test_two_claims_with_one_id_are_refused(pytester, claims):
    claims(holds="return 2")
    text = CLAIM.format(name="holds", body="return 3").replace("It holds.", "Another.")
    pytester.makepyfile(test_other=text)
    result = run(pytester)
    assert "two claims have the id 'mine/holds'" in result.stdout.str() + result.stderr.str()


def test_ordinary_tests_leave_no_reports_and_count_as_cpu(pytester):
    pytester.makepyfile("def test_plain(): pass")
    run(pytester, "-m", "cpu").assert_outcomes(passed=1)
    assert not (pytester.path / "reports").exists()


def test_other_fixtures_may_be_asked_for(pytester, claims):
    claims(holds=f"return 2 + {NOISE} + zero")
    source = (pytester.path / "test_holds.py").read_text().replace("(observation)", "(observation, zero)")
    (pytester.path / "test_holds.py").write_text(source + "\n@pytest.fixture\ndef zero():\n    return 0.0\n")
    run(pytester, "-k", "verdict").assert_outcomes(passed=1, deselected=30)


def test_collecting_the_claims_of_this_repository_imports_no_torch(pytester, request):
    claims = Path(request.config.rootpath) / "claims"
    code = (
        "import sys, pytest\n"
        f"pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', {str(claims)!r}])\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'plotly', 'statsmodels'} & set(sys.modules)\n"
        "print('heavy', sorted(heavy))\n"
    )
    result = pytester.runpython_c(code)
    assert "heavy []" in result.stdout.str()
    assert "test_beats_average" in result.stdout.str()


def test_junit_carries_the_verdict(pytester, claims):
    claims(holds=f"return 2 + {NOISE}")
    run(pytester, "-k", "verdict", "--junitxml=junit.xml")
    properties = {
        one.get("name"): one.get("value")
        for one in ElementTree.parse(pytester.path / "junit.xml").getroot().iterfind(".//testcase/properties/property")
    }
    entry = entries(pytester)["holds"]
    assert properties["verdict"] == entry["verdict"] == "supported"
    assert properties["claim"] == "mine/holds"
    numbers = [float(properties[name]) for name in ("effect", "interval_low", "interval_high", "p_adjusted")]
    assert numbers == [entry["effect"], *entry["interval"], entry["p_adjusted"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[expected]\nclaim = "mine/known"\n', "needs claim, model, protocol and verdict"),
        ('[[expected]]\nclaim = "mine/known"\n', "needs claim, model, protocol and verdict"),
        (
            '[[expected]]\nclaim = "mine/unknown"\nmodel = "m"\nprotocol = "p"\nverdict = "refuted"\n',
            "no claim 'mine/unknown' with protocol 'p'",
        ),
    ],
)
def test_a_bad_expectation_is_refused_with_its_file(pytester, claims, text, message):
    claims(known="return 2")
    (pytester.path / "expected.toml").write_text(text)
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*expected.toml*{message}*"])


def test_what_is_said_of_named_heads_runs_on_no_other_model(pytester, request):
    claims = Path(request.config.rootpath) / "claims" / "regression"
    result = run(pytester, str(claims), "--collect-only", "-q", "--claims-model", "random:smollm2-135m")
    assert "test_head_attends_outputs[random:smollm2-135m-corrected-verdict]" in result.stdout.str()
    assert "test_head_l28h29_attends_outputs[random" not in result.stdout.str()


def test_a_hub_id_of_the_table_is_known_by_its_name(pytester, request):
    claims = Path(request.config.rootpath) / "claims" / "regression"
    name = "meta-llama/Llama-3.1-8B@d04e592bb4f6aa9cfee91e2e20afa771667e1d4b"
    result = run(pytester, str(claims), "--collect-only", "-q", "--claims-model", name)
    assert "test_head_l28h29_attends_outputs[llama-3.1-8b-corrected-100]" in result.stdout.str()


@pytest.fixture
def of_language_models(pytester):
    """The claim of the README, which has no controls, and one of base rates, which asks for more than answers."""

    def write(root: Path) -> None:
        readme = (root / "README.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        assert "controls=" not in code
        pytester.makepyfile(test_beats_last=code)
        shutil.copy(root / "claims/regression/test_base_rate.py", pytester.path / "test_rates.py")  # a name of its own

    return write


@pytest.mark.parametrize("arguments", [[], ["--collect-only"]], ids=["run", "collect"])
@pytest.mark.parametrize("model", ["recorded:llama-3.1-8b", "linear", "synthetic:extreme-output"])
def test_a_model_that_shows_nothing_a_claim_needs_ends_in_one_line(
    pytester, request, of_language_models, model, arguments
):
    of_language_models(Path(request.config.rootpath))
    for files in (["test_beats_last.py"], ["test_rates.py"], []):
        result = run(pytester, *files, f"--claims-model={model}", *arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert [line for line in result.stderr.lines if line] == [f"ERROR: {model}: no selected claim runs on it"]
    assert not (pytester.path / "reports").exists()


def test_models_that_some_claims_cannot_use_are_named_and_skipped_for_those(
    pytester, request, claims, of_language_models
):
    of_language_models(Path(request.config.rootpath))
    claims(holds=f"return 2 + {NOISE}")
    chosen = "--claims-model=recorded:llama-3.1-8b", "--claims-model=linear"
    result = run(pytester, "-rs", "test_beats_last.py", "test_holds.py", *chosen)
    result.assert_outcomes(passed=31, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "linear: no selected claim runs on it",
            "SKIPPED*no model of --claims-model can show what this claim needs (answer)",
        ]
    )
    result.stdout.no_fnmatch_line("recorded*no selected claim*")


def test_models_of_no_use_are_named_with_workers_as_well(pytester, request, claims, of_language_models):
    of_language_models(Path(request.config.rootpath))
    claims(holds=f"return 2 + {NOISE}")
    chosen = "--claims-model=recorded:llama-3.1-8b", "--claims-model=linear", "--claims-store=none"
    command = "-p", "no:cacheprovider", "-n", "2", *chosen
    both = pytester.runpytest_subprocess(*command, "test_beats_last.py", "test_holds.py")
    both.assert_outcomes(passed=31, skipped=1)
    both.stdout.fnmatch_lines(["linear: no selected claim runs on it"])
    pytester.runpytest_subprocess(*command, "test_beats_last.py").assert_outcomes(skipped=1)


def test_a_regressor_is_named_where_a_claim_needs_more_than_answers(pytester, request, of_language_models):
    of_language_models(Path(request.config.rootpath))
    result = run(pytester, "test_rates.py", "--claims-model=regressor:ridge", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: regressor:ridge: no selected claim runs on it"])
    result = run(pytester, "test_beats_last.py", "--claims-model=regressor:ridge", "--collect-only")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*no selected claim*")


def test_ordinary_tests_run_whatever_model_is_chosen(pytester):
    pytester.makepyfile("def test_plain(): pass")
    run(pytester, "--claims-model=linear").assert_outcomes(passed=1)
