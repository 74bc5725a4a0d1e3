"""`optim-hunter train`: from a corpus to a folder with a trained one-layer model."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from tokenizers import Tokenizer

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import OneLayerModel, OneLayerShape, folder_contents, read_record
from optim_hunter.models.one_layer_training import Recipe, Training, losses
from optim_hunter.observe.store import write_whole
from optim_hunter.stories.fit_progress import FitProgress
from optim_hunter.stories.held_out_scores import mean_by_story
from optim_hunter.stories.parts import PARTS
from optim_hunter.stories.unfinished_training import OTHER, Question, clear, go_on, is_finished, keep
from optim_hunter.stories.writable import require_writable, writing
from optim_hunter.tasks.corpus import SEPARATOR, Corpus, read_corpus
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.next_tokens import NextTokens, next_tokens
from optim_hunter.tasks.stories import train_tokenizer

VOCABULARY, CONTEXT = 1024, 16
PACKAGES = ("torch", "tokenizers", "numpy")
KEPT_EVERY = 15.0
"""Seconds between two files of an unfinished training: so much is lost at most."""

LINES = 20
HEADING = "    step      loss   seconds      left"


@dataclass
class _Clock:
    """Seconds of a training, those before an interruption among them."""

    before: float
    started: float

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.started


@dataclass(frozen=True)
class _Asked:
    """What a training is made of."""

    corpus: Corpus
    out: Path
    question: Question
    told: FitProgress


def make_training(
    out: Path, corpus: str | None, seed: int, epochs: float, without: str | None, group_weight: float
) -> str:
    """Train a model, write it to `out` and return the summary to be printed; progress goes to stderr.

    Raises:
        UserError: a corpus, number or folder that cannot be used.
        KeyboardInterrupt: with what to say; what was kept goes on.
    """
    recipe = _recipe(seed, epochs, group_weight)
    text = read_corpus(corpus)
    question = Question(text.sha256, () if without is None else (without,), recipe)
    with writing(out, OTHER):
        finished = is_finished(out, question)
    if finished:
        return f"{out} holds this training already; nothing was done\n{_summary(out, read_record(out))}"
    require_writable(out, out, OTHER)
    with FitProgress(Console(stderr=True)) as told:
        try:
            return _train(_Asked(text, out, question, told))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped at {told.step}: the same command goes on from what is kept") from None


def _recipe(seed: int, epochs: float, group_weight: float) -> Recipe:
    if seed < 0:
        raise UserError(f"--seed {seed}: give 0 or more")
    if not 0 < epochs < np.inf:
        raise UserError(f"--epochs {epochs:g}: give a number above 0")
    if not 0 <= group_weight < np.inf:
        raise UserError(f"--group-weight {group_weight:g}: give 0 or more")
    return Recipe(seed, epochs, group_weight=group_weight)


def _train(asked: _Asked) -> str:
    asked.told.begin("tokenizer and examples")
    tokenizer = train_tokenizer(asked.corpus, VOCABULARY)
    parts = _examples(asked.corpus, tokenizer)
    shape = OneLayerShape(tokenizer.get_vocab_size(), CONTEXT, **dict.fromkeys(asked.question.without, False))
    model = OneLayerModel(shape, tokenizer, torch.Generator().manual_seed(asked.question.recipe.seed))
    training = Training(model, parts["fitting"], asked.question.recipe)
    clock = _Clock(go_on(asked.out, training), time.perf_counter())
    _advance(training, asked, clock)
    training.end()
    record = _record(asked, training, parts, clock)
    with writing(asked.out, OTHER):
        for name, content in folder_contents(model, record).items():
            write_whole(asked.out / name, content)
        clear(asked.out)
    return _summary(asked.out, record)


def _examples(corpus: Corpus, tokenizer: Tokenizer) -> dict[str, NextTokens]:
    """Every token with a window before it, by the part that its story is in.

    Raises:
        UserError: fewer than two stories in a part, or none of them longer than a window.
    """
    split = split_stories(corpus.stories)
    found = {name: getattr(split, name) for name in PARTS}
    for name, stories in found.items():
        if len(stories) < 2:
            raise UserError(
                f"corpus {corpus.name}: of its {len(corpus.stories)} stories {len(stories)} are "
                f"{'held out' if name == 'held_out' else f'for {name}'}, and 2 are needed; give a corpus of more "
                f"stories ({SEPARATOR} between them)"
            )
    return {name: next_tokens(tokenizer, corpus, stories, CONTEXT) for name, stories in found.items()}


def _advance(training: Training, asked: _Asked, clock: _Clock) -> None:
    """All steps that are left, with a line for each twentieth, and a file every few seconds."""
    told, total = asked.told, training.steps
    told.say(HEADING)
    told.begin(f"step {training.step:,} of {total:,}", total)
    told.advance(training.step)
    kept, recent = time.perf_counter(), list[float]()
    while training.step < total:
        recent.append(training.advance())
        told.advance(1, step=f"step {training.step:,} of {total:,}, loss {recent[-1]:.3f}")
        if training.step % max(1, total // LINES) == 0:
            told.say(_line(training, np.mean(recent).item(), clock.seconds))
            recent.clear()
        if time.perf_counter() - kept > KEPT_EVERY or training.step == total:
            with writing(asked.out, OTHER):
                keep(asked.out, asked.question, training, clock.seconds)
            kept = time.perf_counter()


def _line(training: Training, loss: float, seconds: float) -> str:
    """A line under `HEADING`: mean loss of the batches since the last one, nats a token."""
    left = seconds / training.step * (training.steps - training.step)
    return f"{training.step:8,} {loss:9.4f} {seconds:9,.0f} {left:9,.0f}"


def _record(asked: _Asked, training: Training, parts: Mapping[str, NextTokens], clock: _Clock) -> dict[str, Any]:
    """What is to be known of a training. The losses are those of the weights as they are written."""
    model, seconds = training.model, clock.seconds
    asked.told.begin("losses on the stories for choosing and those held out")
    return {
        "what": "one-layer model of the next token (docs/one-layer.md)",
        "corpus": asked.corpus.described,
        "question": asked.question.as_json,
        "parts": {name: {"stories": len(part.lengths), "tokens": len(part.places)} for name, part in parts.items()},
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "steps": training.steps,
        "losses": {name: _loss(model, parts[name]) for name in ("choosing", "held_out")},
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    }


def _loss(model: OneLayerModel, part: NextTokens) -> dict[str, float]:
    """Nats a token, with a 90 % interval by story."""
    return {name: round(value, 4) for name, value in asdict(mean_by_story(losses(model, part), part.story)).items()}


def _summary(out: Path, record: Mapping[str, Any]) -> str:
    held_out, parts = record["losses"]["held_out"], record["parts"]
    return (
        f"{record['parameters']:,} parameters, {record['steps']:,} steps on {parts['fitting']['tokens']:,} tokens of "
        f"{parts['fitting']['stories']:,} stories, {record['seconds']:,.0f} s\n"
        f"held out: {held_out['mean']:.4f} nats a token ({held_out['low']:.4f} to {held_out['high']:.4f}; "
        f"{parts['held_out']['stories']:,} stories)\n{out}"
    )
