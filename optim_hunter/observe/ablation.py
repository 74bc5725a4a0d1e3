"""Blocks and heads ablated at the token that predicts the pair: all prompts of a batch side by side, one token a set.

The tokens before, and the layers before the first one touched, are not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture, Reading
from optim_hunter.observe.interventions import (
    Component,
    Intervention,
    Values,
    edited,
    kept_inputs,
    resumed,
    values_of,
    zeros,
)
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.observation import REPLACEMENTS, BlockAblation, HeadAblation, Part, late_width
from optim_hunter.observe.posed import PosedPrompt, answer_tokens
from optim_hunter.observe.streams import Stream

OTHER_SEEDS = tuple(range(10_000, 10_012))
"""Seeds whose values stand in the place of a seed's own: behind all that claims register."""
ROWS_AT_ONCE = 512
"""Rows of one token each."""

Components = tuple[Component, ...]


def block_runs(parts: DecoderParts) -> list[Components]:
    """Each run of consecutive attention blocks, then of MLPs, as many as count as late."""
    layers, width = len(parts.layers), late_width(len(parts.layers))
    return [
        tuple(Component(kind, layer) for layer in range(first, first + width))
        for kind in ("attention", "mlp")
        for first in range(layers - width + 1)
    ]


def each_head(parts: DecoderParts) -> list[Components]:
    """Each head on its own, layer by layer."""
    return [(Component("head", layer, head),) for layer in range(len(parts.layers)) for head in range(parts.heads)]


@dataclass(frozen=True)
class Ablated:
    """What a need ablates: the sets of components, how many other seeds they are resampled from, and what shows it.

    `shape` is that of a replacement's drops as `shown` holds them.
    """

    sets: Callable[[DecoderParts], list[Components]]
    draws: int
    shape: Callable[[DecoderParts], tuple[int, int]]
    shown: Callable[[DecoderParts, float, Float[np.ndarray, "replacement first second"]], BlockAblation | HeadAblation]


ABLATIONS: Mapping[str, Ablated] = {
    "block_ablation": Ablated(
        block_runs,
        draws=4,
        shape=lambda _: (2, -1),
        shown=lambda parts, difference, drops: BlockAblation(difference, drops, late_width(len(parts.layers))),
    ),
    "head_ablation": Ablated(
        each_head,
        draws=1,
        shape=lambda parts: (-1, parts.heads),
        shown=lambda _, difference, drops: HeadAblation(difference, drops),
    ),
}
"""Need → what it ablates. Heads are many: with one draw a seed they cost as little as they can."""


@dataclass(frozen=True)
class Site:
    """Where a prompt is touched (an intervention site): at the token that predicts a pair.

    Attributes:
        posed: the prompt.
        answer: the tokens of the answer up to it; none: it is the prompt's last token.
        rewind: how many tokens have been run from there on, this one included.
        pair: the baseline's token and the model's own; None where there is none.
        logits: what was seen there.
    """

    posed: PosedPrompt
    answer: tuple[int, ...]
    rewind: int
    pair: tuple[int, int] | None
    logits: Float[Tensor, "vocabulary"]

    @property
    def tokens(self) -> list[int]:
        """All tokens up to the predicting one, which is the last."""
        return [*self.posed.ids, *self.answer]


class OtherSeeds:
    """What components give where the mean baseline's answer is predicted, in the prompts of other seeds.

    A model's answer is the baseline's up to where they part, so that the same step of another seed's baseline answer
    stands for it.
    """

    def __init__(self, engine: Engine, prompts: Sequence[PosedPrompt]) -> None:
        self._readings = {posed.episode.seed: _along_the_answer(engine, posed) for posed in prompts}

    def at(self, step: int, besides: int) -> Reading | None:
        """A row for each seed but `besides` whose answer has this step; None where there is no such seed."""
        known = [seen for seed, seen in self._readings.items() if seed != besides and step < seen.writes.shape[1]]
        return _rows(known, step) if known else None


def _rows(readings: Sequence[Reading], place: int) -> Reading:
    """A row for each of these readings of one prompt: what was seen at one of its positions."""
    one = slice(place, place + 1)
    heads = [seen.heads_input[:, one] for seen in readings if seen.heads_input is not None]
    return Reading(
        logits=torch.cat([seen.logits for seen in readings]),
        writes=torch.cat([seen.writes[:, one] for seen in readings]),
        residual=torch.cat([seen.residual[:, one] for seen in readings]),
        heads_input=torch.cat(heads),
    )


def _along_the_answer(engine: Engine, posed: PosedPrompt) -> Reading:
    """The tokens that predict the baseline's answer and the line end that closes it."""
    answer = answer_tokens(engine.model, posed, float(posed.episode.outputs.mean()))
    capture = Capture(heads=True, positions=[list(range(-len(answer), 0))])
    return engine.read(engine.start(1), [[*posed.ids, *answer[:-1]]], capture, [posed.label])


def ablate(engine: Engine, stream: Stream, sites: Sequence[Site], others: OtherSeeds, need: str) -> Iterator[Part]:
    """What the ablations of a need take from each prompt's logit difference; nothing where it has no pair.

    Args:
        engine: runs the model.
        stream: has run all prompts, a row each.
        sites: where each prompt is touched.
        others: what stands in the place of a prompt's own values.
        need: of `ABLATIONS`.
    """
    asked = ABLATIONS[need]
    sets = asked.sets(engine.parts)
    variants = [_variants(engine.parts, site, others, asked.draws) for site in sites]
    paused = Paused.at(engine, stream, sites)
    drops, errors = paused.drops(sets, variants, len(REPLACEMENTS) - 1 + asked.draws)
    differences = paused.differences(paused.clean)[:, 0]
    for row, site in enumerate(sites):
        if site.pair is None or not variants[row]:
            yield Part(None, {})
            continue
        resampled = drops[row, len(REPLACEMENTS) - 1 :].mean(0, keepdim=True)
        shown = torch.cat([drops[row, : len(REPLACEMENTS) - 1], resampled])
        shaped = shown.view(len(REPLACEMENTS), *asked.shape(engine.parts)).cpu().numpy()
        checks = {"token run again": paused.again(row), "residual stream": float(errors[row])}
        yield Part(asked.shown(engine.parts, float(differences[row]), shaped), checks)


def _mean(readings: Reading) -> Reading:
    """The mean over the rows."""
    assert readings.heads_input is not None
    writes, heads = readings.writes.mean(0, keepdim=True), readings.heads_input.mean(0, keepdim=True)
    return replace(readings, writes=writes, heads_input=heads)


Variant = Callable[[Components], Values]
"""Components → what is put in the place of what they give."""


def _variants(parts: DecoderParts, site: Site, others: OtherSeeds, draws: int) -> list[Variant]:
    """Zeros, the mean over other seeds, then each of some other seeds drawn; none where these are too few."""
    seed = site.posed.episode.seed
    known = others.at(len(site.answer), besides=seed)
    if site.pair is None or known is None or len(known.writes) < max(2, draws):
        return []
    drawn = np.random.default_rng([seed, site.posed.query, draws]).choice(len(known.writes), draws, replace=False)
    mean = _mean(known)
    return [zeros, partial(values_of, parts, mean, 0), *(partial(values_of, parts, known, int(row)) for row in drawn)]


@dataclass(frozen=True)
class Paused:
    """Prompts run up to their predicting tokens, and how these were read as they are.

    Attributes:
        engine: runs the model.
        stem: the prompts, a row each, before these tokens.
        sites: the tokens.
        clean: the reading of these.
        inputs: of each layer at these.
    """

    engine: Engine
    stem: Stream
    sites: Sequence[Site]
    clean: Reading
    inputs: Sequence[Float[Tensor, "prompt 1 d_model"]]

    @classmethod
    def at(cls, engine: Engine, stream: Stream, sites: Sequence[Site]) -> Paused:
        """Run the tokens once more as they are."""
        stem = stream.rewound([site.rewind for site in sites])
        tokens, labels = [site.tokens[-1:] for site in sites], [site.posed.label for site in sites]
        with kept_inputs(engine.parts.layers) as inputs:
            clean = engine.read(stem.branch(1, keep=False), tokens, Capture(), labels)
        return cls(engine, stem, sites, clean, inputs)

    def again(self, row: int) -> float:
        """How far the logits of a prompt are from those that were seen before, relative to their norm."""
        before = self.sites[row].logits
        return float((self.clean.logits[row] - before).norm() / before.norm())

    def differences(self, seen: Reading) -> Float[Tensor, "prompt case"]:
        """Logit differences of the pairs, of as many rows a prompt as there are; no other logits are computed."""
        norm, unembed = self.engine.parts.norm, self.engine.parts.unembed
        pairs = torch.tensor([site.pair or (0, 0) for site in self.sites], device=seen.residual.device)
        final = norm(seen.residual[:, 0].to(unembed.weight.dtype)).float()
        logits = torch.einsum(
            "pcd,pkd->pck", final.view(len(self.sites), -1, final.shape[1]), unembed.weight[pairs].float()
        )
        if unembed.bias is not None:
            logits = logits + unembed.bias[pairs].float()[:, None]
        return logits[..., 1] - logits[..., 0]

    def drops(
        self, sets: Sequence[Components], variants: Sequence[Sequence[Variant]], many: int
    ) -> tuple[Float[Tensor, "prompt variant set"], Float[Tensor, "prompt"]]:
        """What each of `many` variants of each set takes from the differences, and the worst error of their sums.

        Sets that begin at the same layer run side by side, from this layer on.
        """
        device, prompts = self.clean.logits.device, len(self.sites)
        dropped, errors = torch.zeros(prompts, many, len(sets), device=device), torch.zeros(prompts, device=device)
        clean, at_once = self.differences(self.clean), max(1, ROWS_AT_ONCE // prompts)
        cases = sorted(product(range(many), range(len(sets))), key=lambda case: sets[case[1]][0].layer)
        for layer, alike in groupby(cases, key=lambda case: sets[case[1]][0].layer):
            of_layer = list(alike)
            for start in range(0, len(of_layer), at_once):
                some = of_layer[start : start + at_once]
                put = [[known[variant](sets[one]) if known else {} for variant, one in some] for known in variants]
                seen, error = self._read(layer, put)
                places = torch.tensor(some, device=device).T
                dropped[:, places[0], places[1]] = clean - self.differences(seen)
                errors = torch.maximum(errors, error)
        return dropped, errors

    def _read(self, layer: int, put: Sequence[Sequence[Values]]) -> tuple[Reading, Float[Tensor, "prompt"]]:
        """The tokens with these values put in, the same number of rows for each prompt, from a layer on."""
        each, parts = len(put[0]), self.engine.parts
        tokens = [site.tokens[-1:] for site in self.sites for _ in range(each)]
        labels = [site.posed.label for site in self.sites for _ in range(each)]
        edits = [(Intervention(values), [0]) for known in put for values in known]
        with resumed(parts, layer, self.inputs[layer]), edited(parts, edits):
            rows = self.stem.branch(each, keep=False)
            seen = self.engine.read(rows, tokens, Capture(first_layer=layer, logits=False), labels)
        begun = self.inputs[layer][:, 0].float().repeat_interleave(each, 0)
        final = seen.residual[:, 0]
        errors = (begun + seen.writes[:, 0, 1:].sum(1) - final).norm(dim=1) / final.norm(dim=1)
        return seen, errors.view(-1, each).amax(1)
