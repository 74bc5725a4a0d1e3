"""The parts of a corpus that a fit needs: stories to fit to, stories to choose by, stories held out from both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optim_hunter.claim import UserError
from optim_hunter.tasks.corpus import SEPARATOR

if TYPE_CHECKING:
    from optim_hunter.observe.choices import LinearChooser

PARTS = ("fitting", "choosing", "held_out")


def require_parts(linear: LinearChooser) -> None:
    """Stories few and long may leave a part of the corpus without windows, or a word without any to be fitted to.

    Held-out windows must be of two stories or more, or they have no interval.

    Raises:
        UserError: so it is.
    """
    for part in PARTS:
        windows = linear.windows.of_stories(getattr(linear.split, part))
        lacking = set(range(len(linear.task.group))) - set(windows.labels.tolist())
        stories = len(np.unique(windows.story))
        if stories < (2 if part == "held_out" else 1) or (part == "fitting" and lacking):
            raise UserError(
                f"corpus {linear.corpus.name}: its {len(linear.corpus.stories)} stories leave too few windows "
                f"{'held out' if part == 'held_out' else f'for {part}'}; give a corpus of more stories "
                f"({SEPARATOR} between them)"
            )
