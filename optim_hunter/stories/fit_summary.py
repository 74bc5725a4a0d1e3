"""What `summary.json` says of a fit, and the lines that are printed of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from optim_hunter.evidence.text import interval_text, number, stated
from optim_hunter.observe.choices import LINEAR_VIEWS, FittedPath
from optim_hunter.stories.held_out_scores import Mean, Scores, scores
from optim_hunter.stories.parts import PARTS
from optim_hunter.tasks.stories import Windows, tokenizer_sha256
from optim_hunter.tasks.word_groups import WordGroup

if TYPE_CHECKING:
    from optim_hunter.models.linear_path import PathPoint
    from optim_hunter.observe.choices import LinearChooser

PACKAGES = ("optim-hunter", "numpy", "scipy", "torch", "tokenizers")
SPLIT = "by the sha256 of each story's text: 80 % for fitting, 10 % for choosing l1, 10 % held out from both"


def summary_of(
    group: WordGroup,
    linear: LinearChooser,
    path: FittedPath,
    beside: Mapping[str, Any] | None,
    question: Mapping[str, Any],
) -> dict[str, Any]:
    """The summary as plain JSON data; losses in nats, `seconds` of all fits of the path together.

    Args:
        beside: of a language model on the same windows, as `language_summary` makes it.
        question: what tells this fit from another.
    """
    held_out = linear.windows.of_stories(linear.split.held_out)
    scored = {view: _flat(scores(LINEAR_VIEWS[view](path, held_out), held_out)) for view in ("linear", "prior")}
    return {
        "group": group.name,
        "classes": list(group.words),
        "windows": len(linear.windows.labels),
        **scored["linear"],
        **_fit(path),
        "intervals": "90 %, Student's t over stories",
        **_read(linear),
        "split": {"how": SPLIT, "stories": len(linear.corpus.stories), "parts": _parts(linear)},
        "commonest": {"word": group.words[int(path.prior.argmax())], **scored["prior"]},
        "path": [_point(point, held_out) for point in path.points],
        "language_model": beside,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        "question": dict(question),
    }


def language_summary(
    name: str, fingerprint: str, views: Mapping[str, Float[np.ndarray, "window class"]], windows: Windows
) -> dict[str, Any]:
    """The scores of a language model in each of its views."""
    by_view = {view: _flat(scores(said, windows)) for view, said in views.items()}
    return {"name": name, "fingerprint": fingerprint, "views": by_view}


def _fit(path: FittedPath) -> dict[str, Any]:
    """The chosen fit, and how long all of them took."""
    chosen = {name: getattr(path.chosen, name) for name in ("l1", "nonzero", "gap")}
    return {**chosen, "seconds": sum(point.seconds for point in path.points)}


def _read(linear: LinearChooser) -> dict[str, Any]:
    """What windows are cut from, and how."""
    return {
        "context": linear.task.context,
        "vocabulary": linear.tokenizer.get_vocab_size(),
        "corpus": {name: getattr(linear.corpus, name) for name in ("name", "sha256", "note")},
        "tokenizer_sha256": tokenizer_sha256(linear.tokenizer),
    }


def _flat(found: Scores) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, one in asdict(found).items():
        flat[f"held_out_{name}"] = one["mean"]
        flat[f"held_out_{name}_interval"] = [one["low"], one["high"]]
    return flat


def _parts(linear: LinearChooser) -> dict[str, Any]:
    """Stories and, word by word, windows of each part of the corpus."""
    parts = {}
    for name in PARTS:
        stories = getattr(linear.split, name)
        windows = linear.windows.of_stories(stories)
        counts = np.bincount(windows.labels, minlength=len(linear.task.group)).tolist()
        parts[name] = {
            "stories": len(stories),
            "stories_with_windows": len(np.unique(windows.story)),
            "windows": dict(zip(linear.task.group, counts, strict=True)),
        }
    return parts


def _point(point: PathPoint, held_out: Windows) -> dict[str, float]:
    from optim_hunter.models.linear_path import mean_loss

    return {
        "l1": point.l1,
        "fitting_loss": point.fitting_loss,
        "choosing_loss": point.choosing_loss,
        "held_out_loss": mean_loss(held_out, point.weights, point.offsets),
        "l1_term": float(point.l1 * np.abs(point.weights).sum()),
        "nonzero": point.nonzero,
        "gap": point.gap,
        "seconds": point.seconds,
    }


def score_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Who chose, the loss with its interval in nats, and how many of a hundred choices were right."""
    said: dict[str, Mapping[str, Any]] = {
        "linear model": summary,
        f"always “{summary['commonest']['word'].strip()}”, by the words' shares": summary["commonest"],
    }
    beside = summary["language_model"] or {"views": {}}
    said |= {f"{beside['name']}, shown the {view}": one for view, one in beside["views"].items()}
    return [
        (who, _interval(one, "held_out_nll"), _interval(one, "held_out_accuracy", 100)) for who, one in said.items()
    ]


def _interval(scored: Mapping[str, Any], name: str, unit: float = 1) -> str:
    mean = Mean(scored[name], *scored[f"{name}_interval"])
    return interval_text(unit * mean.mean, unit * mean.low, unit * mean.high)


def weights_text(summary: Mapping[str, Any]) -> str:
    """How many weights are other than zero, at which price, and how near the optimum."""
    every = summary["context"] * summary["vocabulary"] * len(summary["classes"])
    return (
        f"{summary['nonzero']:,} of {every:,} weights other than zero at l1 {stated(summary['l1'])}, "
        f"duality gap {number(summary['gap'])}"
    )


def counts_text(summary: Mapping[str, Any]) -> str:
    """Windows and stories, those held out among them."""
    parts, every = (
        summary["split"]["parts"],
        f"{summary['windows']:,} windows of {summary['split']['stories']:,} stories",
    )
    held_out = parts["held_out"]
    return f"{every}; held out: {sum(held_out['windows'].values()):,} windows of {held_out['stories']:,} stories"


def printed(summary: Mapping[str, Any], strongest: Sequence[str]) -> str:
    """The summary for a terminal; `strongest` are lines about weights."""
    rows = [f"  {who}: {nll} nats, {right} % right" for who, nll, right in score_rows(summary)]
    first = f"{summary['group']} in {summary['corpus']['name']}: {counts_text(summary)}"
    return "\n".join(
        [first, f"on the held-out windows ({summary['intervals']}):", *rows, weights_text(summary), *strongest]
    )
