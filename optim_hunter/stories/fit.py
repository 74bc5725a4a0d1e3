"""`optim-hunter fit`: from a corpus and a group of words to a folder with the fitted linear model and its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models.linear_path import STRENGTHS, chosen
from optim_hunter.models.registry import canonical, check_name, kind
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.choices_language import LANGUAGE_VIEWS
from optim_hunter.observe.store import Store, open_store, write_whole
from optim_hunter.observe.versions import path_engine
from optim_hunter.stories.fit_page import page_html
from optim_hunter.stories.fit_progress import HEADING, FitProgress, point_line
from optim_hunter.stories.fit_summary import PARTS, language_summary, printed, summary_of
from optim_hunter.stories.fitted_folder import FittedFolder, read_fitted_folder, write_fitted_folder
from optim_hunter.stories.language_views import held_out_views, open_beside
from optim_hunter.stories.strongest import occurrences, strongest_lines
from optim_hunter.stories.unfinished_fit import (
    PAGE,
    UNFINISHED,
    Question,
    clear,
    is_finished,
    mark,
    require_writable,
    unwritable,
)
from optim_hunter.tasks.corpus import SEPARATOR, read_corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.word_groups import WordGroup, word_group

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.models.linear_path import PathPoint

KEPT = "what was fitted is kept, and the same command goes on from there"
COST_EXPONENT = 0.75
"""A fit takes about as long as l1 to the minus this, on the corpora that were looked at: only for the time left."""


@dataclass(frozen=True)
class _Asked:
    """What a fit is made of; `beside` names a language model."""

    words: WordGroup
    out: Path
    linear: LinearChooser
    store: Store
    beside: str | None
    question: Question
    told: FitProgress


def make_fit(group: str, out: Path, corpus: str | None, model: str | None, store: str | None) -> str:
    """Fit a group's path, write it to `out` and return the summary to be printed; progress goes to stderr.

    Raises:
        UserError: a group, corpus, model, store or folder that cannot be used, or a fit that misses its gap.
        KeyboardInterrupt: with what to say; the fits so far are kept.
    """
    words, beside, text = word_group(group), _language_model(model), read_corpus(corpus)
    question = Question(text.sha256, words.words, path_engine())
    if is_finished(out, question, beside):
        clear(out)
        return f"{out} holds this fit already; nothing was done\n{printed(read_fitted_folder(out).summary, ())}"
    require_writable(out)
    kept = open_store(store) or Store(out / UNFINISHED)
    linear = LinearChooser(text, ChoiceTask(group=words.words), kept)
    with FitProgress(Console(stderr=True)) as told:
        return _told(_Asked(words, out, linear, kept, beside, question, told))


def _language_model(name: str | None) -> str | None:
    """The registry's name of a language model; raises UserError for what is none, before torch is there to open it."""
    if name is None:
        return None
    check_name(name)
    if kind(name) != "language":
        raise UserError(f"--model {name} is no language model: name one, as smollm2-135m, or leave --model out")
    return canonical(name)


def _told(asked: _Asked) -> str:
    """The fit, and in a line each what went wrong without stopping it."""
    try:
        return _fit(asked)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped at {asked.told.step}: {KEPT}") from None
    except InvalidInstrument as error:
        raise UserError(f"{error}; {KEPT}") from None
    finally:
        for problem in asked.store.problems:
            asked.told.say(problem)
        for file in asked.store.damaged:
            asked.told.say(f"damaged, so that it was made again: {file}")


def _fit(asked: _Asked) -> str:
    linear, told = asked.linear, asked.told
    told.begin("tokenizer and windows")
    _require_parts(linear)
    model = None if asked.beside is None else open_beside(asked.beside, linear)
    _disk(asked.out, lambda: mark(asked.out, asked.question))
    points = _path(linear, told)
    beside = None if model is None else _ask(model, asked)
    best = chosen(points)
    summary = summary_of(asked.words, linear, points, beside, asdict(asked.question))
    weights = best.weights.reshape(linear.task.context, -1, len(linear.task.group))
    fitted = FittedFolder(weights, best.offsets, linear.tokenizer, summary)
    held = occurrences(linear.windows.of_stories(linear.split.fitting))
    _disk(asked.out, lambda: write_whole(asked.out / PAGE, page_html(fitted, held).encode()))
    _disk(asked.out, lambda: write_fitted_folder(asked.out, fitted))
    clear(asked.out)
    return f"{printed(summary, strongest_lines(fitted, held))}\n{asked.out / PAGE}"


def _disk(folder: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise unwritable(folder, error) from None


def _require_parts(linear: LinearChooser) -> None:
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
                f"{part.replace('_', ' ')}; give a corpus of more stories ({SEPARATOR} between them)"
            )


def _path(linear: LinearChooser, told: FitProgress) -> list[PathPoint]:
    """Fit the path, with a line for each strength."""
    told.say(HEADING)
    costs = [l1**-COST_EXPONENT for l1 in STRENGTHS]
    told.begin(_strength(0), sum(costs))
    points = []
    for number, point in enumerate(linear.fit()):
        points.append(point)
        told.advance(costs[number], step=_strength(number + 1))
        told.say(point_line(point, kept=number < linear.taken))
    return points


def _strength(number: int) -> str:
    return f"l1 {STRENGTHS[number]:.3g}, {number + 1} of {len(STRENGTHS)}" if number < len(STRENGTHS) else "the last l1"


def _ask(model: LanguageModel, asked: _Asked) -> dict[str, Any]:
    """The language model's scores on the held-out windows."""
    held_out = asked.linear.windows.of_stories(asked.linear.split.held_out)
    asked.told.begin(f"{model.name} on held-out windows", len(LANGUAGE_VIEWS) * len(held_out.labels))
    said = held_out_views(model, asked.linear, asked.store, asked.told.advance)
    return language_summary(model.name, model.fingerprint, said, held_out)
