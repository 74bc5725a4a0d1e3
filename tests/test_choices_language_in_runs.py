"""Choices of language models as a run of claims sees them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from small_tokenizers import (
    CORPUS,
    MODELS,
    TASK,
    TOKENIZERS,
)

import fixtures.imported  # noqa: F401
from optim_hunter.claim import UserError
from optim_hunter.models import loading
from optim_hunter.models.sources import Folder
from optim_hunter.observe import checks
from optim_hunter.observe.plan import unite
from optim_hunter.observe.store import Store
from optim_hunter.subjects.language import LanguageSubject
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks import corpus as corpora
from optim_hunter.tasks.corpus import SEPARATOR, corpus_of
from optim_hunter.tasks.held_out import ReplacedTokenTask, ResampledChoiceTask
from optim_hunter.tasks.regression import RegressionTask

pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model and a corpus as files."""
    folder = tmp_path_factory.mktemp("language")
    MODELS["bytes, BOS"].module.save_pretrained(folder / "model")
    TOKENIZERS["bytes, BOS"].save_pretrained(folder / "model")
    (folder / "stories.txt").write_text(SEPARATOR.join(CORPUS.stories))
    return folder


CLAIM = """
from optim_hunter import Claim, Condition, Protocol, claim
from optim_hunter.measures.choices import losses
from optim_hunter.tasks.held_out import ChoiceTask

TASK = ChoiceTask((" and", " but"), ("linear", "window", "story"), stories_per_seed=1, minimum_windows=10)

@claim(Claim(
    id="mine/known", statement="The rule is better.", source="a test", family="mine",
    conditions=(Condition("lead", "loss of the random model minus that of the linear one", "nats", 0.01),),
    protocols=(Protocol("corrected", TASK, models=("smollm2-135m",)),), seeds="0-19",
))
def test_known(observation):
    return float((losses(observation, "story") - losses(observation, "linear")).mean())
"""


@pytest.fixture
def run(pytester, folder):
    """Run the claim on the model of the folder and on its corpus; what it said, and the ledger."""
    shutil.copytree(folder, pytester.path, dirs_exist_ok=True)
    pytester.makepyfile(test_known=CLAIM)

    def run_claim(*arguments):
        options = "-p", "no:cacheprovider", "--claims-model=./model", "--claims-corpus=stories.txt"
        result = pytester.runpytest_inprocess(*options, "--claims-store=store", *arguments)
        return result, json.loads((pytester.path / "reports" / "latest" / "ledger.json").read_text())

    return run_claim


def test_a_claim_shows_model_corpus_and_checks_and_runs_no_pass_again(run):
    result, ledger = run()
    result.assert_outcomes(passed=21)
    entry = ledger["claims"][0]
    assert entry["model"] == "./model"
    assert entry["source_of_model"]["source"] == "folder model"
    assert entry["corpus"]["name"] == "stories.txt"
    assert entry["corpus"]["sha256"] == corpus_of("stories", SEPARATOR.join(CORPUS.stories), "").sha256
    assert set(entry["corpus"]["windows"]) == {" and", " but"}
    tolerances = {check["name"]: check["tolerance"] for check in entry["checks"]}
    assert tolerances["duality gap"] == checks.TOLERANCES["float64"]["duality gap"]
    assert all(check["worst"] <= check["tolerance"] for check in entry["checks"])
    assert ledger["run"]["work"]["./model"]["forward_passes"] > 0
    _, again = run()
    assert again["claims"][0]["numbers"] == entry["numbers"]
    assert again["run"]["work"]["./model"]["forward_passes"] == 0
    assert again["run"]["work"]["./model"]["fits"] == 0


@pytest.mark.parametrize(
    "task",
    [
        TASK,
        ResampledChoiceTask(TASK.group, ("prior", "story"), stories_per_seed=2, minimum_windows=10, whole=3),
        ReplacedTokenTask(TASK.group, ("window",), stories_per_seed=2, minimum_windows=10, token=",", replacements=2),
    ],
    ids=lambda task: type(task).__name__,
)
def test_what_is_kept_is_shown_without_weights_and_tokenizer(folder, tmp_path, monkeypatch, task):
    store, options = Store(tmp_path), Options(corpus=str(folder / "stories.txt"))
    first = LanguageSubject(str(folder / "model"), options, {}, store)
    first.precheck(task, range(3))
    seen = [first.observe(task, seed, 0) for seed in range(3)]
    assert first.engine.forward_passes > 0
    for opening in ("load_model", "load_tokenizer", "load_configuration"):
        monkeypatch.setattr(loading, opening, pytest.fail)
    again = LanguageSubject(str(folder / "model"), options, {}, store)
    again.precheck(task, range(3))
    for seed, one in enumerate(seen):
        np.testing.assert_equal(vars(again.observe(task, seed, 0)), vars(one))
    assert again.engine.forward_passes == 0


def test_a_word_of_several_tokens_is_told_before_anything_is_replaced(folder, spelling_model, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda _: spelling_model.tokenizer)
    subject = LanguageSubject(str(folder / "model"), Options(corpus=str(folder / "stories.txt")), {}, None)
    task = ReplacedTokenTask(TASK.group, ("window",), stories_per_seed=2, minimum_windows=10)
    with pytest.raises(UserError, match="no single token for"):
        subject.precheck(task, range(3))


def wrote_it(monkeypatch, folder):
    """A record that says that the folder's weights wrote its stories."""
    text = corpus_of("stories", (folder / "stories.txt").read_text(), "").sha256
    weights = Folder(folder / "model").fetch().provenance.sha256
    record = {**corpora.packaged_record(), "text_sha256": text, "weights_sha256": weights}
    monkeypatch.setattr(corpora, "packaged_record", lambda: record)


def test_a_model_is_never_asked_about_stories_that_it_wrote(run, folder, monkeypatch):
    wrote_it(monkeypatch, folder)
    result, ledger = run()
    entry = ledger["claims"][0]
    assert entry["verdict"] == "invalid"
    assert "./model wrote this corpus (stories.txt)" in entry["sentence"]
    assert "give another with --claims-corpus" in entry["sentence"]
    assert result.ret != 0
    assert ledger["run"]["work"].get("./model", {}).get("forward_passes", 0) == 0


def test_others_may_be_asked_about_them(folder, monkeypatch):
    wrote_it(monkeypatch, folder)
    options = Options(corpus=str(folder / "stories.txt"))
    writer = LanguageSubject(str(folder / "model"), options, {}, None)
    with pytest.raises(UserError, match="wrote this corpus"):
        writer.precheck(TASK, range(2))
    random = LanguageSubject(f"random:{folder / 'model'}", options, {}, None)
    random.precheck(TASK, range(2))
    assert random.describe(TASK)["corpus"]["held_out_stories"] > 0
    with pytest.raises(UserError, match="ask for seeds below"):
        random.precheck(TASK, range(10_000))


def test_resamples_ask_a_model_once_whatever_their_number(folder):
    subject = LanguageSubject(str(folder / "model"), Options(corpus=str(folder / "stories.txt")), {}, None)
    task = ResampledChoiceTask(TASK.group, ("prior", "window"), stories_per_seed=2, minimum_windows=10, whole=4)
    subject.precheck(task, range(10_000))
    every = subject.observe(task, None, 0)
    passes = subject.engine.forward_passes
    drawn = [subject.observe(task, seed, 0) for seed in range(20)]
    assert subject.engine.forward_passes == passes
    plain = replace(TASK, views=("window",))
    subject.precheck(plain, range(4))
    parts = [subject.observe(plain, part, 0) for part in range(4)]
    said = np.concatenate([part.log_probabilities["window"] for part in parts])
    np.testing.assert_allclose(every.log_probabilities["window"], said, atol=1e-5)
    assert len({tuple(one.story.tolist()) for one in drawn}) == 20


@pytest.mark.parametrize("need", ["regressors", "permuted"])
def test_stories_are_asked_of_a_model_whose_other_claims_need_more_of_their_prompts(folder, need):
    """One subject shows both; what it shows beside a prompt is no matter of stories."""
    prompts = RegressionTask(examples=2)
    plans = unite([(prompts, frozenset({need}), range(2))])
    options = Options("cpu", None, str(folder / "stories.txt"))
    subject = open_subject(str(folder / "model"), options, plans, None)
    subject.precheck(TASK, [0])
    found = subject.observe(TASK, 0, 0)
    assert len(found.labels)
    assert subject.describe(TASK)["corpus"]["stories"] == len(CORPUS.stories)
