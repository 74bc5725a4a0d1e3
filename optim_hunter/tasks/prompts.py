"""The regression prompt, from one definition: as text, and as places for numbers that are already tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from optim_hunter.tasks.regression import Episode
from optim_hunter.tasks.templates import PUBLISHED, Template, named_template

INSTRUCTION = PUBLISHED.instruction

Kind = Literal["feature", "output"]


class Slot(NamedTuple):
    """The place of a number: the text since the number before it, and which number it is (`feature` 0 for outputs)."""

    before: str
    kind: Kind
    example: int
    feature: int = 0


@dataclass(frozen=True)
class Value:
    """A number in the prompt: what it is, and its first and one-past-last character (in a padded prompt: token)."""

    kind: Kind
    example: int
    start: int
    end: int
    feature: int = 0


@dataclass(frozen=True)
class Prompt:
    """The text put to the model and its values; the test case counts as the last example."""

    text: str
    values: tuple[Value, ...]


def number_text(value: float) -> str:
    """A number as prompts write it: at most three decimals (the published protocol)."""
    return str(round(float(value), 3))


def slots(template: Template, examples: int, features: int, seed: int) -> Iterator[Slot]:
    """The numbers of a prompt in their order: instruction, five newlines, examples with a blank line between.

    The test case has features alone; what ends the prompt is `closing`. `seed` orders the features where the template
    shuffles them.
    """
    order = np.random.default_rng(seed).permutation(features).tolist() if template.shuffled else range(features)
    before = template.instruction + "\n" * 5
    for example in range(examples + 1):
        for feature in order:
            yield Slot(f"{before}{template.feature} {feature}: ", "feature", example, feature)
            before = "\n"
        if example < examples:
            yield Slot(closing(template), "output", example)
            before = "\n\n"


def closing(template: Template) -> str:
    """What stands before an output, and ends the prompt; the space is kept."""
    return f"\n{template.output}: "


def number_at(episode: Episode, slot: Slot) -> float:
    """The number that belongs into a slot."""
    if slot.kind == "output":
        return float(episode.outputs[slot.example])
    test = slot.example == len(episode.outputs)
    row = episode.test_features if test else episode.features[slot.example]
    return float(row[slot.feature])


def regression_prompt(episode: Episode, template: str = "published") -> Prompt:
    """The prompt of an episode as text, in the words of a template.

    Raises:
        UserError: no such template.
    """
    worded, text, values = named_template(template), "", []
    examples, features = episode.features.shape
    for slot in slots(worded, examples, features, episode.seed):
        text += slot.before
        number = number_text(number_at(episode, slot))
        values.append(Value(slot.kind, slot.example, len(text), len(text) + len(number), slot.feature))
        text += number
    return Prompt(text + closing(worded), tuple(values))


def tokens_of(value: Value, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Positions of the tokens that overlap a value's characters, given each token's (start, end)."""
    return [position for position, (start, end) in enumerate(offsets) if start < value.end and end > value.start]
