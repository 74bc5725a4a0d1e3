"""The regression prompt as text, with the place of every value in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optim_hunter.tasks.regression import Episode

INSTRUCTION = "Estimate the value of Output from the features. Answer with one number and nothing else."


@dataclass(frozen=True)
class Value:
    """A number in the prompt: what it is, and its first and one-past-last character."""

    kind: Literal["feature", "output"]
    example: int
    start: int
    end: int


@dataclass(frozen=True)
class Prompt:
    """The text put to the model and its values; the test case counts as the last example."""

    text: str
    values: tuple[Value, ...]


def number_text(value: float) -> str:
    """A number as prompts write it: at most three decimals (the published protocol)."""
    return str(round(float(value), 3))


def regression_prompt(episode: Episode) -> Prompt:
    """Instruction, five newlines, the examples with a blank line between, then the test case up to `Output: `."""
    text, values = INSTRUCTION + "\n" * 5, []
    rows = [*zip(episode.features, episode.outputs, strict=True), (episode.test_features, None)]
    for example, (features, output) in enumerate(rows):
        fields = [(f"Feature {index}: ", value, "feature") for index, value in enumerate(features)]
        if output is not None:
            fields.append(("Output: ", output, "output"))
        for label, value, kind in fields:
            start = len(text) + len(label)
            text += label + number_text(value)
            values.append(Value(kind, example, start, len(text)))  # type: ignore[arg-type]
            text += "\n"
        text += "\n" if output is not None else "Output: "
    return Prompt(text, tuple(values))


def tokens_of(value: Value, offsets: list[tuple[int, int]]) -> list[int]:
    """Positions of the tokens that overlap a value's characters, given each token's (start, end)."""
    return [position for position, (start, end) in enumerate(offsets) if start < value.end and end > value.start]
