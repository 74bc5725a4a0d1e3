"""How a regression prompt is worded: templates by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from optim_hunter.claim import UserError


@dataclass(frozen=True)
class Template:
    """Instruction, and the names of features (before their number) and of the output.

    `shuffled` puts the lines of the features into an order of the seed, the same in all examples; each keeps its name.
    All orders are equally likely, the usual one (of four features, every 24th seed) among them.
    """

    instruction: str
    feature: str = "Feature"
    output: str = "Output"
    shuffled: bool = False


PUBLISHED = Template("Estimate the value of Output from the features. Answer with one number and nothing else.")

TEMPLATES: Mapping[str, Template] = {
    "published": PUBLISHED,
    "paraphrase": Template(
        "Each block lists features and the Output that belongs to them. Complete the last block with a number only."
    ),
    "shuffled features": replace(PUBLISHED, shuffled=True),
    "other names": Template(
        "Estimate the value of Yield from the sensors. Answer with one number and nothing else.", "Sensor", "Yield"
    ),
    "compact": Template("", "x", "y"),
}
"""`published` has the layout and the names of the published prompt; its instruction says the same in our words.

`compact` has no instruction: it is what the trained toy reads, whose vocabulary has no other words.
"""


def named_template(name: str) -> Template:
    """The template of a name.

    Raises:
        UserError: no such name.
    """
    if name not in TEMPLATES:
        raise UserError(f"no template {name!r}: choose one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]
