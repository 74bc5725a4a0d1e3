"""How much of what a network knows a rule book knows, against the number of its rules, beside the L1 path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.evidence.figures import BLUE, GREY, RED, Figure, figure_of
from optim_hunter.evidence.fragment import Html, Section, Table, Titled, shown
from optim_hunter.models.linear_path import STRENGTHS, PathPoint, chosen, fit_path, log_probabilities, worsens
from optim_hunter.models.linear_problem import Offsets, Problem, Weights
from optim_hunter.models.support_fit import refitted
from optim_hunter.stats.intervals import LEVEL
from optim_hunter.stories.rule_gains import book_losses
from optim_hunter.stories.rule_growth import fit
from optim_hunter.stories.rule_material import Material, Network
from optim_hunter.tasks.rules import RuleBook
from optim_hunter.tasks.stories import Windows

SIZES = (1, 3, 10, 30, 100, 300, 1000)
TITLE = "Rule books: how much of the one-layer model they know"

RESAMPLES, SEED = 2000, 0


@dataclass(frozen=True)
class Share:
    """The share of the gap between prior and network that something closes, with the ends of its 90 % interval by
    story; `weights` other than zero, in so many `rules` (0 for a linear model)."""

    rules: int
    weights: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """Of one group: losses on held-out stories (nats), and the shares of rule books and of linear models.

    `refitted` are the first models of `path`, each with weights in the same places and less of a price on them.
    """

    group: str
    prior: float
    network: float
    books: tuple[Share, ...]
    path: tuple[Share, ...]
    refitted: tuple[Share, ...]
    linear: Share


class Gap:
    """The gap on the held-out stories, and shares of it.

    The stories are drawn anew for the intervals, prior and network with them; all that is fitted is fixed.
    """

    def __init__(self, windows: Windows, prior: Float[np.ndarray, "class"], network: Network) -> None:
        self.windows = windows
        _, self.place = np.unique(windows.story, return_inverse=True)
        self.of_prior = -np.log(prior)[windows.labels]
        self.of_network = -network(windows.tokens)[np.arange(len(windows.labels)), windows.labels]
        stories = int(self.place.max()) + 1
        generator = np.random.default_rng(SEED)
        self.counts = generator.multinomial(stories, np.full(stories, 1 / stories), size=RESAMPLES)

    def share(self, losses: Float[np.ndarray, "window"], rules: int, weights: int) -> Share:
        """Of the gap, that which these losses on the held-out windows close."""
        closed = np.bincount(self.place, self.of_prior - losses)
        gap = np.bincount(self.place, self.of_prior - self.of_network)
        tail = (1 - LEVEL) / 2
        low, high = np.quantile((self.counts @ closed) / (self.counts @ gap), [tail, 1 - tail])
        return Share(rules, weights, float(closed.sum() / gap.sum()), float(low), float(high))


def score(group: str, book: RuleBook, material: Material, network: Network, sizes: Iterable[int] = SIZES) -> Score:
    """The first rules of a book, as many as each size says and all shifts fitted to these alone, and the L1 path of the
    linear model, each fitted to the same stories; the price of a shift is chosen on the stories for choosing.

    Raises:
        InvalidInstrument: a fit that misses its gap.
    """
    gap = Gap(material.held_out, material.prior, network)
    held = sorted({min(size, len(book.rules)) for size in sizes})
    books = [_of_book(fit(replace(book, rules=book.rules[:size]), material)[0], gap) for size in held]
    path, again, linear = _of_path(material, gap, max(book.weights for book in books))
    return Score(group, float(gap.of_prior.mean()), float(gap.of_network.mean()), tuple(books), path, again, linear)


def _of_book(book: RuleBook, gap: Gap) -> Share:
    weights = int(np.count_nonzero(book.shifts))
    return gap.share(book_losses(book, gap.windows), len(book.rules), weights)


def _of_path(material: Material, gap: Gap, weights: int) -> tuple[tuple[Share, ...], tuple[Share, ...], Share]:
    """Linear models with ever more weights, at least as many as asked for; these refitted; and the one that does best.

    Those with more weights than were asked for are not refitted.
    """
    points: list[PathPoint] = []
    shares: list[Share] = []
    again: list[Share] = []
    fitting, classes = material.fitting, len(material.prior)
    ones, vocabulary = np.ones(len(fitting.labels)), material.tokenizer.get_vocab_size()
    problem = Problem.of(fitting.tokens, fitting.labels, ones, classes, vocabulary, max(STRENGTHS))
    for point in fit_path(fitting, material.choosing, classes, STRENGTHS):
        points.append(point)
        shares.append(gap.share(_losses(gap.windows, point.weights, point.offsets), 0, point.nonzero))
        if point.nonzero and (not again or again[-1].weights < weights):
            model = refitted(problem, material.choosing, point.weights)
            again.append(gap.share(_losses(gap.windows, *model), 0, point.nonzero))
        if worsens(points) and point.nonzero >= weights:
            break
    return tuple(shares), tuple(again), shares[points.index(chosen(points))]


def _losses(windows: Windows, weights: Weights, offsets: Offsets) -> Float[np.ndarray, "window"]:
    said = log_probabilities(windows, weights, offsets)
    return np.asarray(-said[np.arange(len(said)), windows.labels])


def beside(path: Sequence[Share], weights: int) -> Share | None:
    """The linear model of a path with the fewest weights that has at least so many: no interpolation, in its favour.

    None where the path ends before.
    """
    return next((point for point in path if point.weights >= weights), None)


def score_page(scores: Sequence[Score]) -> Html:
    """A page with a curve and a table for each group."""
    sections = [
        Section(
            score.group,
            f"On held-out stories the words' shares alone lose {score.prior:.3f} nats a window, the one-layer model "
            f"{score.network:.3f}; the best linear model, of {score.linear.weights:,} weights, closes "
            f"{score.linear.share:.1%} of this gap. L1 shrinks the weights that it leaves: “refitted” are models with "
            f"weights in the same places, at a light price on them. Intervals of {LEVEL:.0%} are by story.",
            [Titled(f"Share of the gap that is closed: {score.group}", score_figure(score))],
            [score_table(score)],
        )
        for score in scores
    ]
    return shown(TITLE, sections)


def score_table(score: Score) -> Table:
    """The share at each size, beside the linear model with as many weights as rules, and as many as shifts."""
    columns = (
        "rules", "closed", "shifts other than 0", "L1, as many weights as rules", "refitted", "L1, as many as shifts",
        "refitted",
    )  # fmt: skip
    rows = [
        (
            f"{book.rules:,}",
            _share(book),
            f"{book.weights:,}",
            *_beside(score, book.rules),
            *_beside(score, book.weights),
        )
        for book in score.books
    ]
    return Table("Share of the gap closed on held-out stories", columns, rows)


def _share(share: Share) -> str:
    return f"{share.share:.1%} ({share.low:.1%} to {share.high:.1%})"


def _beside(score: Score, weights: int) -> tuple[str, str]:
    """The linear model with so many weights, as it is and refitted."""
    one, again = beside(score.path, weights), beside(score.refitted, weights)
    if one is None or again is None:
        return "none", "none"
    return f"{one.share:.1%} at {one.weights:,}", f"{again.share:.1%}"


def score_figure(score: Score) -> Figure:
    """Shares against numbers, both of rules and of shifts."""
    traces = [
        *_line("rule book, by rules", BLUE, "solid", [(book.rules, book) for book in score.books]),
        *_line("rule book, by shifts other than 0", BLUE, "dot", [(book.weights, book) for book in score.books]),
        *_line("linear model on the L1 path, by weights", RED, "solid", [(p.weights, p) for p in score.path]),
        *_line("the same weights refitted", RED, "dot", [(p.weights, p) for p in score.refitted]),
    ]
    layout = {
        "height": 420,
        "xaxis": {"type": "log", "title": {"text": "rules, shifts or weights"}, "dtick": 1},
        "yaxis": {"title": {"text": "share of the gap closed"}, "tickformat": ".0%", "range": [0, 1.05]},
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0.9, "y1": 0.9,
                    "line": {"color": GREY, "dash": "dash", "width": 1}}],
        "legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 64, "r": 16, "t": 60, "b": 56},
    }  # fmt: skip
    return figure_of(traces, layout)


def _line(name: str, colour: str, dash: str, points: Sequence[tuple[int, Share]]) -> list[dict[str, Any]]:
    """A line with its intervals as bars."""
    return [{
        "type": "scatter", "mode": "lines+markers", "name": name, "marker": {"size": 5},
        "x": [number for number, _ in points], "y": [share.share for _, share in points],
        "error_y": {"type": "data", "symmetric": False, "thickness": 1, "width": 2,
                    "array": [share.high - share.share for _, share in points],
                    "arrayminus": [share.share - share.low for _, share in points]},
        "line": {"color": colour, "dash": dash}, "hovertemplate": "%{x:,}: %{y:.1%}",
    }]  # fmt: skip


def score_text(scores: Sequence[Score]) -> str:
    """The tables of the page, for the terminal."""
    return "\n\n".join(map(_text, scores))


def _text(score: Score) -> str:
    table = score_table(score)
    head = f"{score.group}: prior {score.prior:.4f}, one-layer {score.network:.4f}, linear {_share(score.linear)}"
    return "\n".join([head, *(" | ".join(row) for row in (table.columns, *table.rows))])
