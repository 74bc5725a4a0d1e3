"""What is asked of a one-layer model beyond its choices in held-out stories: to do without a part, and what it uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optim_hunter.tasks.held_out import ChoiceTask

TRAIN_ONE = "train one on this corpus (optim-hunter train) and name it with --claims-model one-layer:FOLDER"
"""What to do where a one-layer model is of another corpus."""


@dataclass(frozen=True)
class AblatedPartTask(ChoiceTask):
    """The same choices with what `part` writes replaced, and with random parts as large replaced, `draws` of them."""

    part: Literal["attention", "mlp"] = "mlp"
    draws: int = 4


@dataclass(frozen=True)
class RuleTask(ChoiceTask):
    """The windows in which a rule of the group's book fires, as they are and with what meets its condition replaced.

    In each window all tokens that meet the condition are replaced by each of the `replacements` tokens that are as
    frequent as them, or nearly, and meet it not; of two that a rule conjoins each by itself and both.
    """

    rule: str = ""
    replacements: int = 3
