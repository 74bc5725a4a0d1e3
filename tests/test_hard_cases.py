"""Mistakes in one claim, and numbers that are hard, must neither change nor stop what is said of others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_ledger import sample_ledger
from test_plugin import CLAIM, NOISE, claims, entries, ledger_of, run  # noqa: F401 - a fixture among them
from test_stats import a_claim

import fixtures.imported  # noqa: F401
from optim_hunter import planned
from optim_hunter.claim import Condition, UserError
from optim_hunter.evidence.comparison import compare
from optim_hunter.observe.observation import AttentionMass, Part
from optim_hunter.registration import Registrations
from optim_hunter.stats.conditions import mean_test
from optim_hunter.stats.decision import SeedNumber, examine, mean_of_queries
from optim_hunter.tasks.regression import episode

pytest_plugins = ["pytester"]
SOMETIMES = "return 3.0 if observation.episode.seed > 8 else float('nan')"


# families


def test_an_invalid_relative_counts_as_one_that_was_not_tested(pytester, claims):  # noqa: F811
    """Were it tested, it would be the first that Holm adjusts, and the other's p would stay as it is."""
    claims(weak="return 1.01 + 0.02 * (observation.episode.seed % 3 - 1)", lossy=SOMETIMES)
    run(pytester)
    found = entries(pytester)
    assert found["lossy"]["verdict"] == "invalid"
    assert found["lossy"]["p"] < 1e-6
    assert found["weak"]["p_adjusted"] == pytest.approx(min(1.0, 2 * found["weak"]["p"]))
    assert found["lossy"]["q"] is None
    assert found["weak"]["q"] == pytest.approx(found["weak"]["p"])


def test_so_does_a_relative_whose_control_failed(pytester):
    controls = 'seeds="0-29", control_seeds="0-23", controls={{"synthetic:two-error-groups": Verdict.REFUTED}}'
    synthetic = CLAIM.replace('"recorded:llama-3.1-8b"', '"synthetic:profiles-alike"')
    pytester.makepyfile(
        test_uncontrolled=synthetic.replace('seeds="0-29"', controls).format(name="uncontrolled", body="return 9"),
        test_weak=synthetic.format(name="weak", body="return 1.01 + 0.02 * (observation.episode.seed % 3 - 1)"),
    )
    run(pytester, "-k", "not two-error")
    found = {entry["claim"]: entry for entry in ledger_of(pytester)["claims"] if not entry["control"]}
    assert found["mine/uncontrolled"]["verdict"] == "invalid"
    assert found["mine/weak"]["p_adjusted"] == pytest.approx(min(1.0, 2 * found["mine/weak"]["p"]))


def test_a_renamed_family_is_no_smaller_than_the_one_that_was_registered(tmp_path):
    locked = {f"a/{name}": {"family": "first"} for name in ("one", "two", "three")}
    registrations = Registrations(tmp_path, locked, {})
    moved = a_claim(id="a/one", family="second")
    assert registrations.family_sizes([moved]) == {"first": 3, "second": 3}
    assert registrations.family_sizes([a_claim(id="a/one", family="first")]) == {"first": 3}
    assert registrations.family_sizes([a_claim(id="a/new", family="first")]) == {"first": 4}


# resamples


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_scoring_missing_resamples_as_lost_never_makes_a_bootstrap_claim_easier(seed, missing):
    generator = np.random.default_rng(seed)
    claim = a_claim(bootstrap=True, conditions=(Condition("a", "", "", 0.0),))
    values = generator.normal(0.3, 0.3, 100 - missing)
    numbers = [SeedNumber(number, {"a": value}) for number, value in enumerate(values)]
    lost = [SeedNumber(200 + number, None, "none", 1.0) for number in range(missing)]
    tested = examine(claim, [*numbers, *lost], {"a": float(generator.normal(0.2, 0.2))}, None)
    assert tested.losses.p >= tested.combined.p - 1e-12


# numbers


@pytest.mark.parametrize("size", [1e110, 1e150, 1e300, 1e-110, 1e-170, 1e-300])
def test_numbers_of_any_size_are_tested_as_their_shares_are(size):
    values = np.random.default_rng(0).normal(1.0, 1.0, 30)
    usual, large = mean_test(values, 0.5, 0.05), mean_test(size * values, 0.5 * size, 0.05)
    assert large.p == pytest.approx(usual.p)
    assert np.array(large.interval) / size == pytest.approx(np.array(usual.interval))


def test_tiny_numbers_are_far_from_a_smallest_effect():
    result = mean_test(np.random.default_rng(0).normal(1e-120, 1e-120, 30), 0.1, 0.05)
    assert (result.p, result.p_refuted) == (pytest.approx(1.0), pytest.approx(0.0))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return [2.0] * (1 + observation.episode.seed % 2)", "has the shape (1,) in one seed and (2,) in another"),
        ("return [[2.0, 3.0]]", "has the shape (1, 2) in each seed: return one number, or one row of them"),
        ("return [[2.0], [3.0, 4.0]]", "its test must return a number for each of gain"),
        ("return 'many'", "its test must return a number for each of gain"),
        ("import torch; return torch.ones(1, requires_grad=True)", "its test must return a number for each of gain"),
        ("return []", "its test must return a number for each of gain"),
        ("return {1: 2.0, 'gain': 3.0}", "its test must return a number for each of gain"),
    ],
)
def test_what_is_no_number_is_told_and_harms_no_relative(pytester, claims, body, told):  # noqa: F811
    claims(wrong=body, right=f"return 2 + {NOISE}")
    result = run(pytester)
    result.stdout.fnmatch_lines([f"*mine/wrong: *{told.replace('[', '[[]')}*"])
    assert {name: entry["verdict"] for name, entry in entries(pytester).items()} == {
        "wrong": "invalid", "right": "supported",
    }  # fmt: skip


def test_several_numbers_are_for_claims_that_do_with_them():
    numbers = [SeedNumber(seed, {"a": np.full(3, 0.5), "b": 0.5}) for seed in range(30)]
    with pytest.raises(UserError, match="the test of a claim about resamples must return one number"):
        examine(a_claim(bootstrap=True), numbers, {"a": 0.5, "b": 0.5}, None)
    with pytest.raises(UserError, match="a has more numbers in one query of seed 4 than in another"):
        mean_of_queries(4, [{"a": np.ones(2)}, {"a": np.ones(3)}], [])


# items


def test_a_claim_takes_no_parameters(pytester, claims):  # noqa: F811
    claims(holds=f"return 2 + {NOISE}")
    source = (pytester.path / "test_holds.py").read_text().replace("(observation)", "(observation, rival)")
    mark = '@pytest.mark.parametrize("rival", ["average", "last"])\n@claim(Claim('
    (pytester.path / "test_holds.py").write_text(source.replace("@claim(Claim(", mark))
    said = run(pytester)
    said = said.stdout.str() + said.stderr.str()
    assert "mine/holds is asked twice for the same seed" in said
    assert "a claim takes no parameters, and stands in one file" in said


def test_a_copied_claim_with_another_body_is_refused(pytester, claims):  # noqa: F811
    claims(holds="return 2")
    pytester.makepyfile(test_copy=CLAIM.format(name="holds", body="return 3"))
    result = run(pytester)
    assert "two claims have the id 'mine/holds'" in result.stdout.str() + result.stderr.str()


def test_controls_whose_items_were_left_out_have_the_other_fixtures_too(pytester):
    controls = 'seeds="0-29", control_seeds="0-23", controls={{"synthetic:two-error-groups": Verdict.SUPPORTED}}'
    text = CLAIM.replace('"recorded:llama-3.1-8b"', '"synthetic:profiles-alike"').replace('seeds="0-29"', controls)
    text = text.format(name="holds", body=f"return 2 + {NOISE} + zero").replace("(observation)", "(observation, zero)")
    pytester.makepyfile(test_holds=text + "\n@pytest.fixture\ndef zero():\n    return 0.0\n")
    run(pytester, "-k", "alike and verdict").assert_outcomes(passed=1, deselected=30 + 25)


# what is shared


def test_what_claims_are_shown_of_a_prompt_cannot_be_changed():
    shown = AttentionMass(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), 5, 4, 2)
    with pytest.raises(ValueError, match="read-only"):
        Part(shown, {}).shown.outputs[0] = 0
    assert Part(None, {}).shown is None
    with pytest.raises(ValueError, match="read-only"):
        episode("friedman_2", 0).permuted().outputs[0] = 0


def test_a_folder_behind_a_prefix_is_part_of_the_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "weights").write_text("one")
    for name in (f"one-layer:{tmp_path / 'trained'}", str(tmp_path / "trained"), "~/trained"):
        assert [entry[0] for entry in planned._stamp_of_model(name)] == ["weights"], name
    assert planned._stamp_of_model("smollm2-135m") == []


def test_what_python_compiles_of_the_package_is_no_part_of_its_hash(tmp_path):
    for name in ("code.py", "data/stories.txt", "data/__pycache__/code.pyc", "__pycache__/code.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert [file.name for file in planned.package_files(tmp_path)] == ["code.py", "stories.txt"]
    assert len(planned.package_hash()) == 16


def test_a_tensor_is_a_number(pytester, claims):  # noqa: F811
    claims(holds="import torch; return torch.tensor(2.0 + observation.episode.seed % 7)")
    run(pytester)
    assert entries(pytester)["holds"]["verdict"] == "supported"


def test_a_verdict_that_became_invalid_for_want_of_a_corpus_has_changed():
    before, after = sample_ledger(), sample_ledger()
    entry = next(one for one in after["claims"] if one["corpus"])
    entry.update(corpus=None, verdict="invalid")
    found = compare(before, after)
    assert found.verdicts_changed == 1
    assert all(pair.before is not None and pair.after is not None for pair in found.pairs)
