"""Which tokens of the test case's labels stand alike in every example, and where heads look from them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.observation import InductionMass
from optim_hunter.observe.posed import PosedPrompt

Place = tuple[int, int, int, int]
"""Which value of its example a label stands before, its first and last character counted from there, and its token."""


@dataclass(frozen=True)
class LabelToken:
    """A token of the test case that is followed by another such, and its same place in each example."""

    position: int
    same_places: list[int]


def label_tokens(posed: PosedPrompt) -> list[LabelToken]:
    """The tokens that `InductionMass` reads, in ascending order.

    A place is counted in characters from the value that follows, since numbers differ in tokens, and the first example
    follows another text than the others.
    """
    *examples, test_case = _places(posed)
    matched = {
        position: [places[place] for places in examples]
        for place, position in test_case.items()
        if all(place in places for places in examples)
    }
    return [
        LabelToken(position, same)
        for position, same in sorted(matched.items())
        if matched.get(position + 1) == [place + 1 for place in same]
    ]


def _places(posed: PosedPrompt) -> list[dict[Place, int]]:
    """Of each example, the test case last: the place of each token that lies wholly between values → its position."""
    values = posed.prompt.values
    ends, starts = [0, *(value.end for value in values)], [*(value.start for value in values), len(posed.prompt.text)]
    in_example = len(posed.episode.test_features) + 1
    found: list[dict[Place, int]] = [{} for _ in range(len(posed.episode.outputs) + 1)]
    tokens = zip(posed.ids, posed.encoded.offsets, strict=True)
    for position, (token, (start, end)) in enumerate(tokens):
        gap = bisect_right(ends, start) - 1
        if start < end <= starts[gap]:
            example, slot = divmod(gap, in_example)
            found[example][slot, start - starts[gap], end - starts[gap], token] = position
    return found


def induction_mass(rows: Float[Tensor, "layer head token key"], tokens: list[LabelToken]) -> InductionMass:
    """Masses of the rows of label tokens, in the same order.

    The published stripe: as many keys back as there are examples, less one, since an induction head looks at the
    token after the repeated one.
    """
    same = torch.tensor([token.same_places for token in tokens], device=rows.device)
    visible = torch.tensor([token.position + 1 for token in tokens])
    examples = same.shape[1]
    back = (visible - examples).to(rows.device)[:, None]
    stripe, same_place, published = (_mean_mass(rows, keys) for keys in (same + 1, same, back))
    uniform = float((1 / visible).mean())
    return InductionMass(stripe, same_place, published, examples * uniform, uniform, len(tokens))


def _mean_mass(rows: Float[Tensor, "layer head token key"], keys: Tensor) -> Float[np.ndarray, "layer head"]:
    """Mass of each token's row on its own keys, mean over the tokens."""
    picked = rows.gather(-1, keys.expand(*rows.shape[:2], *keys.shape))
    mean: Float[np.ndarray, "layer head"] = picked.sum(-1).mean(-1).cpu().numpy()
    return mean
