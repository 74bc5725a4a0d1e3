"""From what a batch saw of a prompt to what each need shows of it, need by need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from optim_hunter.claim import NoValue
from optim_hunter.observe.ablation import ABLATIONS, Aim, OtherSeeds
from optim_hunter.observe.attribution import attention_mass, attribute
from optim_hunter.observe.candidates import candidate_logits, predictor_tokens
from optim_hunter.observe.decoding import Decoding
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.induction import induction_mass, label_tokens
from optim_hunter.observe.instruments import TokenReading
from optim_hunter.observe.neurons import mean_activations
from optim_hunter.observe.observation import ACTIVATION_LAYERS, Answer, Part
from optim_hunter.observe.posed import Posed
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
    changed: Callable[[RegressionTask, int, int], Posed]


@dataclass(frozen=True)
class Sight:
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
    posed: Posed
    token: TokenReading
    rows: Float[Tensor, "layer head position key"] | None
    rows_error: float | None
    sums: Float[Tensor, "layer group neuron"] | None
    decoding: Decoding | None


def _answer(sight: Sight, _: RegressionTask) -> Part:
    assert sight.decoding is not None
    text = sight.engine.model.decode(sight.decoding.answer)
    parted = _parted(sight)
    return Part(Answer(text, sight.decoding.ended, parted[1] if parted else None), {})


def _parted(sight: Sight) -> tuple[TokenReading, Pair] | None:
    """Where an answer leaves the baseline's; None where it is the same number."""
    assert sight.decoding is not None
    answer = first_line(sight.engine.model.decode(sight.decoding.answer))
    same = answer == number_text(float(sight.posed.episode.outputs.mean()))
    return None if same else sight.decoding.parted


def _compared(sight: Sight, task: RegressionTask, need: str) -> tuple[TokenReading, Pair] | None:
    """The pair of tokens that a need compares, and what was seen at the token that predicts it."""
    if task.pair == "own":
        return _parted(sight)
    pair = sight.sources.reference(task, need)
    return (sight.token, pair) if pair is not None else None


def aim(sight: Sight, task: RegressionTask, need: str) -> Aim:
    """Where a prompt is touched for a need that compares a pair."""
    seen, pair = _compared(sight, task, need) or (sight.token, None)
    decoded = sight.decoding.answer if sight.decoding is not None else []
    step = sight.decoding.parted_after if sight.decoding is not None and seen is not sight.token else 0
    run = max(0, len(decoded) - 1)  # the last token of an answer is not run
    return Aim(sight.posed, tuple(decoded[:step]), run - step + 1, pair, seen.logits)


def _attribution(sight: Sight, task: RegressionTask) -> Part:
    parted = _compared(sight, task, "attribution")
    if parted is None:
        return Part(None, {})
    seen, pair = parted
    words = sight.engine.model.decode([pair[0]]), sight.engine.model.decode([pair[1]])
    return Part(*attribute(seen, sight.engine.parts, pair, words, sight.posed.written_tokens))


def _attention(sight: Sight, _: RegressionTask) -> Part:
    assert sight.rows is not None
    rows, posed = sight.rows[:, :, -1], sight.posed
    positions = {
        "outputs": posed.positions_of("output"),
        "features": posed.positions_of("feature"),
        "query_features": posed.query_positions,
    }
    return Part(attention_mass(rows, positions), _row_checks(sight))


def _candidates(sight: Sight, task: RegressionTask) -> Part:
    model, posed = sight.engine.model, sight.posed
    seed, query = posed.episode.seed, posed.query
    if takes_seed_0s(task, seed, query, "candidates"):
        compared = sight.sources.reference(task, "candidates")
    else:
        try:
            compared = predictor_tokens(model, posed, sight.token, sight.sources.predictions(task, seed, query))
        except NoValue:
            compared = None
    if compared is None:
        return Part(None, {})
    return candidate_logits(model, sight.engine.parts, posed, sight.token, compared)


def _induction(sight: Sight, _: RegressionTask) -> Part:
    assert sight.rows is not None
    labels = label_tokens(sight.posed)
    shown = induction_mass(sight.rows[:, :, : len(labels)], labels) if labels else None
    return Part(shown, _row_checks(sight))


def _activations(sight: Sight, _: RegressionTask) -> Part:
    assert sight.sums is not None
    first, _modules = sight.engine.parts.neurons(ACTIVATION_LAYERS)
    return Part(mean_activations(sight.posed, sight.sums, first), {})


def _row_checks(sight: Sight) -> dict[str, float]:
    """Over all rows that were read, the label tokens' too."""
    assert sight.rows is not None
    assert sight.rows_error is not None
    return {"attention rows": sight.rows_error, "row sums": float((sight.rows.sum(-1) - 1).abs().max())}


PARTS: Mapping[str, Callable[[Sight, RegressionTask], Part]] = {
    "answer": _answer,
    "attribution": _attribution,
    "attention": _attention,
    "candidates": _candidates,
    "induction": _induction,
    "activations": _activations,
}
"""Need → what shows it, in the order in which they are shown: an answer may hold the pair of the attribution."""
