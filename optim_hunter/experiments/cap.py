"""The cap on seeds that `optim-hunter notes --seeds N` sets for every published function."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from optim_hunter.claim import UserError

CAP = "OPTIM_HUNTER_SEEDS_CAP"


def capped(count: int) -> int:
    """The number of seeds, batches or samples to run: what was asked, or the cap where that is lower.

    Raises:
        UserError: the cap is no whole number above 0, or `count` is none.
    """
    if count < 1:
        raise UserError(f"{count} seeds: at least one is needed")
    cap = os.environ.get(CAP, "").strip()
    if not cap:
        return count
    if not cap.isdecimal() or int(cap) < 1:
        raise UserError(f"{CAP}={cap!r}: write a whole number of seeds above 0, or unset it")
    return min(count, int(cap))


def capped_seeds(seeds: Sequence[int]) -> list[int]:
    """The first of these seeds, as many as the cap allows.

    Raises:
        UserError: as `capped`.
    """
    return list(seeds[: capped(len(seeds))])


def chosen_seeds(batches: int, random_seeds: Sequence[int] | None) -> tuple[list[int], list[str]]:
    """The seeds of an experiment, the first `batches` of those given or of 0, 1, 2 …, and what its page says of them.

    Raises:
        UserError: a seed is named twice (it would count as two replicates), or as `capped`.
    """
    capped(batches)
    given = range(batches) if random_seeds is None else random_seeds
    if repeated := [seed for seed, count in Counter(given).items() if count > 1]:
        raise UserError(f"random_seeds names {repeated[0]} twice: each seed is one replicate, so name it once")
    asked = list(given)[:batches]
    seeds = capped_seeds(asked)
    fewer = f"{batches} batches were asked for, but random_seeds holds {len(asked)} seeds."
    return seeds, [fewer] * (len(asked) < batches) + cap_warnings(len(asked), len(seeds))


def cap_warnings(asked: int, used: int) -> list[str]:
    """What a page says above figures that were made from fewer seeds than asked for."""
    return [f"Capped: {used} of the {asked} seeds that were asked for were run ({CAP})."] if used < asked else []
