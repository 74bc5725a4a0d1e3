"""A model's answer, read strictly as a number."""

from __future__ import annotations

import re

from optim_hunter.claim import NoValue

NUMBER = re.compile(r"[+\-−]?([0-9]{1,3}(,[0-9]{3})+|[0-9]+)(\.[0-9]+)?|[+\-−]?\.[0-9]+")


def first_line(answer: str) -> str:
    """What stands before the first newline, stripped: what follows is the model's own next example."""
    return answer.split("\n", 1)[0].strip()


def parse_number(answer: str) -> float:
    """The first line of an answer as a number: sign, decimals and thousands separators, nothing else.

    Raises:
        NoValue: the line is no number; its text is in the reason.
    """
    line = first_line(answer)
    if NUMBER.fullmatch(line) is None:
        raise NoValue(f"the answer is no number: {answer[:80]!r}")
    return float(line.replace(",", "").replace("−", "-"))
