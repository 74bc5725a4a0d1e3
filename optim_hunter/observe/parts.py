"""From what a batch saw of a prompt to what each need shows of it, need by need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from optim_hunter.claim import NoValue
from optim_hunter.observe.ablation import ABLATIONS, OtherSeeds, Site
from optim_hunter.observe.attribution import attention_mass, attribute
from optim_hunter.observe.candidates import candidate_logits, predictor_tokens
from optim_hunter.observe.decoding import Decoding
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.induction import induction_mass, label_tokens
from optim_hunter.observe.instruments import TokenReading
from optim_hunter.observe.neurons import mean_activations
from optim_hunter.observe.observation import ACTIVATION_LAYERS, Answer, Part
from optim_hunter.observe.posed import PosedPrompt
from optim_hunter.tasks.answers import first_line
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import RegressionTask

Pair = tuple[int, int]
"""Token of the mean baseline's answer and of the model's own, where they first differ."""


class Reference(NamedTuple):
    """Where a need finds seed 0's tokens: the need whose part of seed 0 holds them, and what they are of its shown."""

    need: str
    tokens: Callable[[Any], Any]


REFERENCES: Mapping[str, Reference] = {
    "attribution": Reference("answer", lambda answer: answer.pair),
    **dict.fromkeys((*ABLATIONS, "patching"), Reference("answer", lambda answer: answer.pair)),
    "candidates": Reference("candidates", lambda shown: shown and shown.predictor_tokens),
}
"""The needs that compare tokens, which may be seed 0's for every seed."""


def takes_seed_0s(task: RegressionTask, seed: int, query: int, need: str) -> bool:
    """Whether a need compares tokens that another part, of seed 0, holds."""
    if task.pair == "own" or need not in REFERENCES:
        return False
    return (seed, query) != (0, 0) or REFERENCES[need].need != need


@dataclass(frozen=True)
class Sources:
    """What parts are made of beside the pass.

    Attributes:
        reference: task, need → the tokens of seed 0 that it compares (None: there are none).
        predictions: task, seed, query → what regressors predict, by name.
        others: task → what components give in the prompts of other seeds.
        changed: task, seed, query → the prompt with another last example.
    """

    reference: Callable[[RegressionTask, str], Any]
    predictions: Callable[[RegressionTask, int, int], Mapping[str, float]]
    others: Callable[[RegressionTask], OtherSeeds]
    changed: Callable[[RegressionTask, int, int], PosedPrompt]


@dataclass(frozen=True)
class PromptReading:
    """What a batch saw of one prompt.

    Attributes:
        token: what was seen at its last token.
        rows: attention rows of its label tokens, then of its last token; None unless asked for.
        rows_error: see `Reading`.
        sums: of the neurons' activations, over the groups of its tokens; None unless asked for.
        decoding: the greedy answer; None unless asked for.
    """

    engine: Engine
    sources: Sources
    posed: PosedPrompt
    token: TokenReading
    rows: Float[Tensor, "layer head position key"] | None
    rows_error: float | None
    sums: Float[Tensor, "layer group neuron"] | None
    decoding: Decoding | None


def _answer(reading: PromptReading, _: RegressionTask) -> Part:
    assert reading.decoding is not None
    text = reading.engine.model.decode(reading.decoding.answer)
    parted = _parted(reading)
    return Part(Answer(text, reading.decoding.ended, parted[1] if parted else None), {})


def _parted(reading: PromptReading) -> tuple[TokenReading, Pair] | None:
    """Where an answer leaves the baseline's; None where it is the same number."""
    assert reading.decoding is not None
    answer = first_line(reading.engine.model.decode(reading.decoding.answer))
    same = answer == number_text(float(reading.posed.episode.outputs.mean()))
    return None if same else reading.decoding.parted


def _compared(reading: PromptReading, task: RegressionTask, need: str) -> tuple[TokenReading, Pair] | None:
    """The pair of tokens that a need compares, and what was seen at the token that predicts it."""
    if task.pair == "own":
        return _parted(reading)
    pair = reading.sources.reference(task, need)
    return (reading.token, pair) if pair is not None else None


def site_of(reading: PromptReading, task: RegressionTask, need: str) -> Site:
    """Where a prompt is touched for a need that compares a pair."""
    seen, pair = _compared(reading, task, need) or (reading.token, None)
    decoded = reading.decoding.answer if reading.decoding is not None else []
    step = reading.decoding.parted_after if reading.decoding is not None and seen is not reading.token else 0
    run = max(0, len(decoded) - 1)  # the last token of an answer is not run
    return Site(reading.posed, tuple(decoded[:step]), run - step + 1, pair, seen.logits)


def _attribution(reading: PromptReading, task: RegressionTask) -> Part:
    parted = _compared(reading, task, "attribution")
    if parted is None:
        return Part(None, {})
    seen, pair = parted
    words = reading.engine.model.decode([pair[0]]), reading.engine.model.decode([pair[1]])
    return Part(*attribute(seen, reading.engine.parts, pair, words, reading.posed.written_tokens))


def _attention(reading: PromptReading, _: RegressionTask) -> Part:
    assert reading.rows is not None
    rows, posed = reading.rows[:, :, -1], reading.posed
    positions = {
        "outputs": posed.positions_of("output"),
        "features": posed.positions_of("feature"),
        "query_features": posed.query_positions,
    }
    return Part(attention_mass(rows, positions), _row_checks(reading))


def _candidates(reading: PromptReading, task: RegressionTask) -> Part:
    model, posed = reading.engine.model, reading.posed
    seed, query = posed.episode.seed, posed.query
    if takes_seed_0s(task, seed, query, "candidates"):
        compared = reading.sources.reference(task, "candidates")
    else:
        try:
            compared = predictor_tokens(model, posed, reading.token, reading.sources.predictions(task, seed, query))
        except NoValue:
            compared = None
    if compared is None:
        return Part(None, {})
    return candidate_logits(model, reading.engine.parts, posed, reading.token, compared)


def _induction(reading: PromptReading, _: RegressionTask) -> Part:
    assert reading.rows is not None
    labels = label_tokens(reading.posed)
    shown = induction_mass(reading.rows[:, :, : len(labels)], labels) if labels else None
    return Part(shown, _row_checks(reading))


def _activations(reading: PromptReading, _: RegressionTask) -> Part:
    assert reading.sums is not None
    first, _modules = reading.engine.parts.neurons(ACTIVATION_LAYERS)
    return Part(mean_activations(reading.posed, reading.sums, first), {})


def _row_checks(reading: PromptReading) -> dict[str, float]:
    """Over all rows that were read, the label tokens' too."""
    assert reading.rows is not None
    assert reading.rows_error is not None
    return {"attention rows": reading.rows_error, "row sums": float((reading.rows.sum(-1) - 1).abs().max())}


PARTS: Mapping[str, Callable[[PromptReading, RegressionTask], Part]] = {
    "answer": _answer,
    "attribution": _attribution,
    "attention": _attention,
    "candidates": _candidates,
    "induction": _induction,
    "activations": _activations,
}
"""Need → what shows it, in the order in which they are shown: an answer may hold the pair of the attribution."""
