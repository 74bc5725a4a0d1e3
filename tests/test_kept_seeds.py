"""What a one-layer model showed is kept: the same again, without asking it."""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from optim_hunter.claim import NoValue
from optim_hunter.models.one_layer import OneLayerModel
from optim_hunter.observe import one_layer
from optim_hunter.observe.kept_seeds import network_key
from optim_hunter.observe.store import open_store
from optim_hunter.subjects.one_layer import planted_network
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.held_out import ChoiceTask, ReplacedTokenTask
from optim_hunter.tasks.network import AblatedPartTask, RuleTask

NAME, SEEDS = "planted:network-heeds-comma", range(3)
TASKS = {
    "choices": ChoiceTask(views=("prior", "one-layer"), stories_per_seed=2),
    "ablated": AblatedPartTask(views=(), stories_per_seed=2, draws=2),
    "replaced": ReplacedTokenTask(views=(), stories_per_seed=2),
    "rule": RuleTask(views=(), stories_per_seed=2, rule="planted"),
}
ASKED = "optim_hunter.observe.one_layer.log_probabilities", "optim_hunter.observe.one_layer.logits_after"


def seen(task, folder):
    """What is shown of each seed, and what of it came from the store."""
    subject = open_subject(NAME, Options(), {}, open_store(str(folder)))
    subject.precheck(task, SEEDS)
    shown = [subject.observe(task, seed, 0) for seed in SEEDS]
    return shown, subject.describe(task)["work"]["from_store"]


def require_equal(one, other):
    """The same to the last bit, in the same types and the same order."""
    assert type(one) is type(other)
    if isinstance(one, Mapping):
        assert list(one) == list(other)
        for key in one:
            require_equal(one[key], other[key])
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


@pytest.mark.parametrize("name", TASKS)
def test_a_seed_is_asked_once(name, tmp_path, monkeypatch):
    first, _ = seen(TASKS[name], tmp_path)
    for asked in ASKED:
        monkeypatch.setattr(asked, lambda *_: pytest.fail("the network was asked again"))
    again, taken = seen(TASKS[name], tmp_path)
    assert taken >= len(SEEDS)
    for one, other in zip(first, again, strict=True):
        for field in fields(one):
            require_equal(getattr(one, field.name), getattr(other, field.name))


def test_why_a_seed_has_no_value_is_kept(tmp_path, monkeypatch):
    task = ReplacedTokenTask(views=(), stories_per_seed=1, token=" zob")
    reasons = []
    for _ in range(2):
        with pytest.raises(NoValue) as reason:
            seen(task, tmp_path)
        reasons.append(str(reason.value))
        monkeypatch.setattr(one_layer.WindowReplacer, "observe", lambda *_: pytest.fail("asked again"))
    assert reasons == ["no word of the group after ' zob' in the stories of this seed"] * 2


def with_heads(model, heads):
    """The same weights, read by so many heads."""
    other = OneLayerModel(replace(model.shape, heads=heads), model.tokenizer, torch.Generator().manual_seed(0))
    other.load_state_dict(model.state_dict())
    return other


def test_whatever_changes_what_is_shown_changes_the_key():
    task = TASKS["choices"]
    corpus, model = planted_network(NAME, task.group)
    other = OneLayerModel(model.shape, model.tokenizer, torch.Generator().manual_seed(0))
    keys = [
        network_key(model, corpus, task, ""),
        network_key(other, corpus, task, ""),
        network_key(with_heads(model, 2), corpus, task, ""),
        network_key(model, replace(corpus, sha256="other"), task, ""),
        network_key(model, corpus, replace(task, stories_per_seed=3), ""),
        network_key(model, corpus, TASKS["ablated"], ""),
        network_key(model, corpus, task, "a book"),
    ]
    assert len({str(key) for key in keys}) == len(keys)
    assert network_key(model, corpus, task, "") == keys[0]
