"""Rules as tables and lines for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from optim_hunter.claim import Verdict
from optim_hunter.stories.rule_gains import Judged
from optim_hunter.stories.rule_use import SMALLEST_SHARE
from optim_hunter.tasks.rule_sentences import place_text
from optim_hunter.tasks.rules import Condition, Rule, RuleBook, Suggestion, conditions_met, fires
from optim_hunter.tasks.stories import Windows

WIDTH = 150
MILLI = 1000
"""Gains are shown in thousandths of a nat a window."""


def listing(book: RuleBook, gains: Sequence[Judged], windows: Windows) -> str:
    """A table of all rules, the largest gain first."""
    table = Table(Column("rule", overflow="fold"), "fires in", "gain (mnat)", "90 % interval", "sentence")
    shares = _fired_shares(book, windows)
    for place in _by_gain(gains):
        rule, gain = book.rules[place], gains[place]
        cells = rule.name, f"{shares[place]:.2%}", f"{MILLI * gain.effect:.2f}", _interval(gain, MILLI), rule.sentence
        table.add_row(*map(Text, cells))
    return f"{printed(table)}\n{len(book.rules)} rules; gain: what the loss on held-out stories rises by without it"


def evaluation(book: RuleBook, gains: Sequence[Judged], shares: Sequence[Judged], windows: Windows) -> str:
    """A table of both verdicts, and the rules on which they part."""
    corpus, network = (
        ("gain (mnat)", "90 % interval", "in the corpus"),
        ("its share", "90 % interval", "in the network"),
    )
    table = Table(Column("rule", overflow="fold"), "fires in", *corpus, *network)
    fired = _fired_shares(book, windows)
    for place in _by_gain(gains):
        gain, share = gains[place], shares[place]
        cells = (
            book.rules[place].name, f"{fired[place]:.2%}", f"{MILLI * gain.effect:.2f}", _interval(gain, MILLI),
            gain.verdict.value, f"{share.effect:.2f}", _interval(share, 1), share.verdict.value,
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    return "\n".join([printed(table), *_counts(gains, shares), _findings(book, gains, shares)])


def _counts(gains: Sequence[Judged], shares: Sequence[Judged]) -> list[str]:
    """How many rules have which verdicts."""
    return [
        f"{what}: " + ", ".join(f"{sum(one.verdict is verdict for one in judged)} {verdict.value}" for verdict in SHOWN)
        for what, judged in (("in the corpus", gains), ("in the network", shares))
    ]


SHOWN = (Verdict.SUPPORTED, Verdict.REFUTED, Verdict.INCONCLUSIVE)


def _findings(book: RuleBook, gains: Sequence[Judged], shares: Sequence[Judged]) -> str:
    parted = [
        rule.name
        for rule, gain, share in zip(book.rules, gains, shares, strict=True)
        if gain.verdict is Verdict.SUPPORTED and share.verdict is Verdict.REFUTED
    ]
    less = f"the network moves by less than {SMALLEST_SHARE:g} of what they say"
    if not parted:
        return f"no rule that the corpus supports is ignored by the network ({less})"
    return f"supported by the corpus and ignored by the network ({less}): {', '.join(parted)}"


def rule_text(rule: Rule, gain: Judged, book: RuleBook, windows: Windows) -> str:
    """All of one rule."""
    fired = conditions_met([rule.condition], book.place, windows.tokens).sum() / len(windows.labels)
    lines = [rule.sentence, "", "where", *_condition_lines(rule.condition)]
    lines += ["shifts (nats)", *(f"  {word!r} {shift:+.3f}" for word, shift in rule.shifts.items())]
    lines += [
        f"fires in {fired:.2%} of the held-out windows",
        f"gains {MILLI * gain.effect:.3f} mnat a held-out window ({_interval(gain, MILLI)}), {gain.verdict.value}",
        "examples",
        *(f"  …{example!r}" for example in rule.examples),
    ]
    return "\n".join(lines)


def _condition_lines(condition: Condition) -> list[str]:
    """Every token of it, which a sentence may leave out."""
    parts = [(", ".join(map(repr, atom.tokens)), atom) for atom in condition.atoms]
    told = [f"{'one of ' if len(atom.tokens) > 1 else ''}{tokens}, {place_text(atom)}" for tokens, atom in parts]
    return [f"  {'together with ' if number else ''}{text}" for number, text in enumerate(told)]


def suggestions(found: Sequence[Suggestion], proposed: int, path: Path, dropped: int) -> str:
    """A table of what is suggested; `dropped` earlier suggestions that nobody had decided on gave place to these."""
    table = Table(Column("rule", overflow="fold"), "gain (mnat)", "p (Holm)", "sentence")
    for one in found:
        cells = one.rule.name, f"{MILLI * one.gain:.2f}", f"{one.p:.2g}", one.rule.sentence
        table.add_row(*map(Text, cells))
    note = (
        f"{proposed} were proposed by the stories for fitting; the stories for choosing gave these gains, and p is "
        f"adjusted over all {proposed} of this round. Next: optim-hunter rules accept {path} NAME, or refuse"
    )
    told = f"{printed(table)}\n{note}" if found else f"nothing is suggested: of {proposed} proposed none gains"
    return f"{told}\nearlier suggestions dropped, neither accepted nor refused: {dropped}" if dropped else told


def _by_gain(gains: Sequence[Judged]) -> list[int]:
    return sorted(range(len(gains)), key=lambda place: -gains[place].effect)


def _fired_shares(book: RuleBook, windows: Windows) -> np.ndarray[Any, Any]:
    return np.asarray(fires(book, windows.tokens).sum(0)).ravel() / len(windows.labels)


def _interval(judged: Judged, scale: float) -> str:
    return f"{scale * judged.low:.2f} to {scale * judged.high:.2f}"


def printed(shown: RenderableType) -> str:
    """As text, without colours."""
    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().rstrip()
