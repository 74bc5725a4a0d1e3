"""Activation patching between a prompt and the same with another last example, at the token that predicts the pair.

Both share their tokens up to that example, which are not run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.ablation import Paused, Site, Variant, block_runs
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture, Reading
from optim_hunter.observe.interventions import values_of
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.logits import direct_contributions
from optim_hunter.observe.observation import Part, Patching, late_width
from optim_hunter.observe.posed import PosedPrompt, common_prefix
from optim_hunter.observe.streams import Stream


def patch(engine: Engine, stream: Stream, sites: Sequence[Site], changed: Sequence[PosedPrompt]) -> Iterator[Part]:
    """What runs of blocks carry of the change; nothing where a prompt has no pair.

    Args:
        engine: runs the model.
        stream: has run all prompts, a row each.
        sites: where each prompt is touched.
        changed: the same prompts with another last example.
    """
    sets = block_runs(engine.parts)
    other_stream, other_sites = _run_changed(engine, stream, sites, changed)
    plain, other = Paused.at(engine, stream, sites), Paused.at(engine, other_stream, other_sites)
    noised, errors = plain.drops(sets, _values(engine.parts, other.clean, sites), 1)
    denoised, other_errors = other.drops(sets, _values(engine.parts, plain.clean, sites), 1)
    differences, others = (one.differences(one.clean)[:, 0].tolist() for one in (plain, other))
    worst = torch.maximum(errors, other_errors)
    for row, site in enumerate(sites):
        if site.pair is None:
            yield Part(None, {})
            continue
        direct = _direct(engine.parts, plain.clean, row, site.pair) - _direct(engine.parts, other.clean, row, site.pair)
        noising, denoising = (effect.view(2, -1).cpu().numpy() for effect in (noised[row, 0], -denoised[row, 0]))
        width = late_width(len(engine.parts.layers))
        runs = direct.unfold(1, width, 1).sum(-1).cpu().numpy()
        checks = {"token run again": max(plain.again(row), other.again(row)), "residual stream": float(worst[row])}
        yield Part(Patching(differences[row], others[row], noising, denoising, runs, width), checks)


def _run_changed(
    engine: Engine, stream: Stream, sites: Sequence[Site], changed: Sequence[PosedPrompt]
) -> tuple[Stream, list[Site]]:
    """The changed prompts with the same tokens of the answer, from where they leave the others."""
    shared = [common_prefix([site.posed.ids, other.ids]) for site, other in zip(sites, changed, strict=True)]
    rows = stream.rewound([site.rewind + len(site.tokens) - 1 - same for site, same in zip(sites, shared, strict=True)])
    branched, labels = rows.branch(1), [other.label for other in changed]
    segments = [[*other.ids[same:], *site.answer] for site, other, same in zip(sites, changed, shared, strict=True)]
    seen = engine.read(branched, segments, Capture(), labels)
    each = zip(sites, changed, seen.logits, strict=True)
    return branched, [replace(site, posed=other, rewind=1, logits=logits) for site, other, logits in each]


def _values(parts: DecoderParts, given: Reading, sites: Sequence[Site]) -> list[list[Variant]]:
    return [[partial(values_of, parts, given, row)] if site.pair is not None else [] for row, site in enumerate(sites)]


def _direct(parts: DecoderParts, seen: Reading, row: int, pair: tuple[int, int]) -> Float[Tensor, "kind layer"]:
    """What attention and MLP of each layer add to the logit difference directly."""
    contributions, _ = direct_contributions(seen.writes[row, -1], seen.residual[row, -1], parts, list(pair))
    return (contributions[1:, 1] - contributions[1:, 0]).view(-1, 2).T
