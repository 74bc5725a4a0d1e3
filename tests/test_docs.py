"""The code in docs/ runs as it stands."""

import re
from pathlib import Path

import pytest
import torch

from optim_hunter.datasets import get_dataset_friedman_2
from optim_hunter.tasks.datasets import known_names
from optim_hunter.tasks.regression import draw
from optim_hunter.tasks.templates import TEMPLATES

DOCS = Path(__file__).parent.parent / "docs"


def run(page):
    """What the names of a page's Python blocks stand for, after all were run in one interpreter."""
    shown: dict = {}
    for code in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
        exec(code, shown)
    return shown


def test_the_interventions_of_the_engines_page_run(monkeypatch, tiny_model):
    """On a tiny model in place of the page's, against hooks that take the MLPs' writes at the last token away."""

    def without_last(_module, _inputs, write):
        return torch.cat([write[:, :-1], torch.zeros_like(write[:, -1:])], dim=1)

    asked = []
    monkeypatch.setattr("optim_hunter.open_language_model", lambda name: asked.append(name) or tiny_model)
    shown = run("engine.md")
    assert asked == ["smollm2-135m"]
    prompt = torch.tensor([shown["prompt"]])
    with torch.inference_mode():
        logits = tiny_model.module(prompt).logits[0, -1]
        torch.testing.assert_close(shown["clean"].logits, logits, atol=1e-3, rtol=0)
        drops = []
        for layer in tiny_model.module.model.layers:
            hook = layer.mlp.register_forward_hook(without_last)
            drops.append(float(logits.max() - tiny_model.module(prompt).logits[0, -1, logits.argmax()]))
            hook.remove()
    assert shown["drop"] == pytest.approx(drops, abs=1e-3)
    assert max(map(abs, drops)) > 0.1


def test_the_prompts_of_the_regression_page_run(monkeypatch):
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "planted:late-mlp")
    shown = run("regression.md")
    episode = draw(shown["task"], seed=7)
    assert shown["prompt"].text.count("Sensor 1: ") == 4
    assert [float(text) for text in shown["outputs"]] == episode.outputs.tolist()
    golds = [str(value) for value in get_dataset_friedman_2(666)[1][:5]]
    assert re.fullmatch("".join(f"{re.escape(gold)}0*" for gold in golds), shown["shown"])
    assert len(shown["feature_pos"]) == len(shown["output_pos"]) // 5 * 4 * 6


def test_the_regression_page_lists_what_there_is():
    page = (DOCS / "regression.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert [name for name in listed if not name.startswith("optim_hunter.")] == [*known_names(), *TEMPLATES]
