"""The trained toy: its tokens, its weights, and the task that it brings to claims."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_claim_files import MEASURES

from optim_hunter.cases import OWN_TASK, Case, cases_of, protocols_on
from optim_hunter.claim import UserError, Verdict
from optim_hunter.models import cache, registry, sources
from optim_hunter.models.registry import open_language_model, own_task
from optim_hunter.observe.posed import answer_tokens, pose
from optim_hunter.registration import read_registrations
from optim_hunter.run import Run
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.datasets import dataset
from optim_hunter.tasks.prompts import regression_prompt
from optim_hunter.tasks.regression import RegressionTask, draw
from scripts import train_toy

TASK = own_task("trained-toy")
ROOT = Path(__file__).parents[1]
TOY = ROOT / "optim_hunter/data/toy"
RECORD = json.loads((TOY / "training.json").read_text(encoding="utf-8"))
EXAMPLES = train_toy.Recipe(**RECORD["recipe"]).examples
SHORT = train_toy.Recipe(steps=200, batch=2, examples=3, short_examples=2, layers=1, width=8, heads=2, mlp=8)
BEATS_AVERAGE = MEASURES["regression/beats-average"]

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def toy():
    return open_language_model("trained-toy")


@pytest.fixture(scope="module")
def sequences(toy):
    return train_toy.Sequences(toy.tokenizer)


# tokens


def test_the_shipped_tokenizer_is_the_scripts(toy):
    assert toy.tokenizer.backend_tokenizer.to_str() == train_toy.build_tokenizer().backend_tokenizer.to_str()


@settings(max_examples=50, deadline=None)
@given(seed=seeds, examples=st.integers(1, 20))
def test_prompts_survive_the_tokenizer_and_numbers_have_tokens_of_their_own(toy, seed, examples):
    prompt = regression_prompt(draw(RegressionTask("noisy-line", examples, template="compact"), seed), "compact")
    encoded = toy.encode(prompt.text)
    assert toy.decode(encoded.ids) == prompt.text
    pieces = {encoded.offsets[place] for place in range(len(encoded.ids))}
    for value in prompt.values:
        whole = value.end if value.kind == "feature" else value.end - len(".0")
        assert (value.start, whole) in pieces


@settings(max_examples=50, deadline=None)
@given(value=st.floats(-5000, 5000))
def test_any_number_survives_the_tokenizer(toy, value):
    text = f"{round(value, 3)}"
    assert toy.decode(toy.encode(text).ids) == text


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_training_shows_the_tokens_of_the_prompt(toy, sequences, seed):
    tokens, outputs = sequences.draw(seed, 1, TASK.examples)
    posed = pose(toy, TASK, seed)
    assert tokens[0].tolist() == posed.ids[: tokens.shape[1]]
    assert outputs[0].tolist() == posed.episode.outputs.tolist()
    assert posed.ids[-2:] == sequences.name.tolist()
    assert len(posed.ids) == sequences.places(TASK.examples + 1)[-1] + 1


def test_an_answer_begins_with_the_number_that_training_asks_for(toy, sequences):
    tokens = answer_tokens(toy, pose(toy, TASK, 0), 487.0)
    assert tokens[0] == sequences.first_output + 487 - train_toy.SMALLEST_OUTPUT
    assert tokens[0] in toy.end_tokens


# weights


def test_the_weights_are_those_of_the_record_and_small():
    weights = TOY / "model.safetensors"
    assert cache.sha256([weights]) == RECORD["weights_sha256"]
    assert weights.stat().st_size < 5_000_000
    assert RECORD["parameters"] < 2_000_000


def test_weights_that_are_not_those_of_the_record_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources.Packaged, "folder", tmp_path)
    for path in TOY.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    packaged = registry.TOY
    assert packaged.fetch().provenance.sha256 == RECORD["weights_sha256"]
    for content in ("{", json.dumps(RECORD | {"weights_sha256": "0" * 64})):
        (tmp_path / "training.json").write_text(content)
        with pytest.raises(UserError, match=r"weights .* are not those of its training\.json: install the package"):
            packaged.fetch()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no \*.safetensors weights.*: install the package again"):
        packaged.fetch()


def test_it_regresses_on_lines_that_it_has_not_seen(toy, sequences):
    shown = train_toy.held_out(toy.module, sequences, EXAMPLES, seeds=200)
    recorded = RECORD["held_out"]
    mean, least, _ = shown["gain_over"]["mean"]
    assert least > 0
    assert mean == pytest.approx(recorded["gain_over"]["mean"][0], abs=30)
    assert shown["error"] == pytest.approx(recorded["error"], abs=10)


def test_a_stopped_training_goes_on_where_it_was(tmp_path):
    whole = train_toy.Training(SHORT)
    whole.run(tmp_path)
    again = train_toy.Training(SHORT)
    for _ in range(100):
        again.train_step()
    again.note(SHORT.examples_at(99))
    again.save(tmp_path)
    resumed = train_toy.Training(SHORT)
    resumed.resume(tmp_path)
    assert resumed.step == 100
    resumed.run(tmp_path)
    assert [one["loss"] for one in resumed.curve] == [one["loss"] for one in whole.curve]
    for first, second in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(first, second)
    with pytest.raises(SystemExit, match="holds a run of another recipe"):
        train_toy.Training(train_toy.Recipe()).resume(tmp_path)


@pytest.mark.parametrize("option", ["--work", "--out"])
def test_a_folder_that_cannot_be_made_ends_the_training_before_it_begins(tmp_path, monkeypatch, option):
    folders = {"--work": tmp_path / "work", "--out": tmp_path / "out"} | {option: Path("/dev/null/x")}
    monkeypatch.setattr(sys, "argv", ["train_toy.py", *(str(one) for pair in folders.items() for one in pair)])
    monkeypatch.setattr(train_toy, "Training", lambda _: pytest.fail("the training began"))
    with pytest.raises(SystemExit, match=f"^{option} /dev/null/x cannot be written .*: name another folder$"):
        train_toy.main()


def test_seeds_of_claims_training_and_trials_are_apart():
    recipe = train_toy.Recipe(**RECORD["recipe"])
    claims = max(max(case.seeds) for measure in MEASURES.values() for case in toy_cases(measure))
    assert claims < train_toy.VALIDATION_SEEDS < train_toy.HELD_OUT_SEEDS < train_toy.TRAINING_SEEDS
    assert train_toy.TRAINING_SEEDS + recipe.steps * recipe.batch < 2**32


# its data


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_lines_lie_where_their_tokens_do(seed):
    x, y = dataset("noisy-line").rounded(96, seed)
    assert np.array_equal(x, x.round())
    assert np.array_equal(y, y.round())
    assert 0 <= x.min() <= x.max() <= train_toy.LARGEST_X
    assert train_toy.SMALLEST_OUTPUT <= y.min() <= y.max() <= train_toy.LARGEST_OUTPUT
    slope, _ = np.polyfit(x[:, 0], y, 1)
    assert abs(slope) * train_toy.LARGEST_X > 390 - 40


def test_noise_has_the_deviation_that_is_said():
    residuals = []
    for seed in range(100):
        x, y = dataset("noisy-line").rounded(96, seed)
        residuals.append(np.square(y - np.polyval(np.polyfit(x[:, 0], y, 1), x[:, 0])).sum() / 94)
    assert np.sqrt(np.mean(residuals)) == pytest.approx(15, rel=0.05)


# claims on it


def toy_cases(measure, model: str = "trained-toy") -> list[Case]:
    return [case for case in cases_of(measure.__claim__, measure, (model,), None) if case.model == model]


@pytest.mark.parametrize("model", ["trained-toy", "random:trained-toy"])
def test_the_protocol_says_that_the_task_is_the_models_own(model):
    (case,) = toy_cases(BEATS_AVERAGE, model)
    assert case.protocol.name == OWN_TASK
    assert case.protocol.task == TASK
    assert "noisy-line, 10 examples" in case.protocol.note
    assert "in place of friedman_2, 25 examples" in case.protocol.note
    (registered, *_) = case.claim.protocols
    assert case.protocol.note.endswith(f"Of the registered protocol {registered.name}: “{registered.note}”")
    assert protocols_on(case.claim, "smollm2-135m") == {one.name: one for one in case.claim.protocols}


def test_what_is_registered_of_a_claim_is_the_same_on_its_own_task():
    (case,) = toy_cases(BEATS_AVERAGE)
    assert read_registrations(ROOT).standing(case).label == "registered"


def test_all_claims_about_regression_run_on_it_but_those_about_named_heads_or_their_own_data():
    missing = {
        name
        for name, measure in MEASURES.items()
        if name.startswith("regression/") and not toy_cases(measure) and not measure.__claim__.named
    }
    assert missing == {name for name in MEASURES if name.startswith("regression/understands-")}


def test_no_claim_about_stories_runs_on_it():
    assert not [name for name, measure in MEASURES.items() if name.startswith("stories/") and toy_cases(measure)]


def test_expected_verdicts_of_an_own_task_are_known_by_that_name(tmp_path):
    entry = '[[expected]]\nclaim = "regression/beats-average"\nmodel = "trained-toy"\nprotocol = "{}"\n'
    entry += 'verdict = "supported"\n'
    collected = {"regression/beats-average": BEATS_AVERAGE.__claim__}
    for name in (OWN_TASK, "corrected"):
        (tmp_path / "expected.toml").write_text(entry.format(name), encoding="utf-8")
        stated = read_registrations(tmp_path)
        if name == "corrected":
            with pytest.raises(UserError, match="no claim 'regression/beats-average' with protocol 'corrected'"):
                stated.check_expected(collected)
        else:
            stated.check_expected(collected)


def test_it_beats_the_mean_and_its_random_twin_does_not():
    cases = {
        case.key: case
        for model in ("trained-toy", "random:trained-toy")
        for case in cases_of(BEATS_AVERAGE.__claim__, BEATS_AVERAGE, (model,), "0-23")
        if not case.is_control
    }
    run = Run(cases, Options(), family_sizes={"regression": 3})
    verdicts = {case.model: run.decide(case).verdict for case in cases.values()}
    assert verdicts == {"trained-toy": Verdict.SUPPORTED, "random:trained-toy": Verdict.REFUTED}


def test_its_greedy_answer_is_the_likeliest_number_of_the_models_own_code(toy):
    (case,) = toy_cases(BEATS_AVERAGE)
    run = Run({case.key: case}, Options())
    for seed in range(4):
        observed = run.observe(case, seed)
        with torch.inference_mode():
            logits = toy.module(torch.tensor([pose(toy, TASK, seed).ids])).logits[0, -1]
        assert observed.prediction == float(toy.tokenizer.decode(logits.argmax()))


def test_a_name_without_a_task_of_its_own():
    assert own_task("smollm2-135m") is None
    assert own_task("random:trained-toy") == TASK
    assert registry.marker("random:trained-toy") == "cpu"
