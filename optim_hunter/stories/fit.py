"""`optim-hunter fit`: from a corpus and a group of words to a folder with the fitted linear model and its page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models.linear_path import STRENGTHS
from optim_hunter.observe.choices import FittedPath, LinearChooser
from optim_hunter.observe.choices_language import LANGUAGE_VIEWS
from optim_hunter.observe.store import Store, open_store, write_whole
from optim_hunter.observe.versions import path_engine
from optim_hunter.stories.fit_page import fit_html, occurrences
from optim_hunter.stories.fit_progress import HEADING, FitProgress, point_line
from optim_hunter.stories.fit_summary import language_summary, printed, summary_of
from optim_hunter.stories.fitted_folder import FittedFolder, read_fitted_folder, write_fitted_folder
from optim_hunter.stories.language_views import held_out_views, language_model_name, open_beside
from optim_hunter.stories.parts import require_parts
from optim_hunter.stories.strongest import strongest_lines
from optim_hunter.stories.unfinished_fit import OTHER, PAGE, UNFINISHED, Question, clear, is_finished, mark
from optim_hunter.stories.writable import require_writable, writing
from optim_hunter.tasks.corpus import read_corpus
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
    words, beside = word_group(group), None if model is None else language_model_name(model)
    text = read_corpus(corpus)
    question = Question(text.sha256, words.words, path_engine())
    with writing(out, OTHER):
        finished = is_finished(out, question, beside)
    if finished:
        return f"{out} holds this fit already; nothing was done\n{_again(out)}"
    require_writable(out, out, OTHER)
    kept = open_store(store)
    linear = LinearChooser(text, ChoiceTask(group=words.words), kept)
    with FitProgress(Console(stderr=True)) as told:
        return _told(_Asked(words, out, linear, kept or Store(out / UNFINISHED), beside, question, told))


def _again(out: Path) -> str:
    """What was printed when the fit was finished."""
    try:
        fitted = read_fitted_folder(out)
        if not (out / PAGE).is_file():
            raise UserError(f"{out / PAGE} is not there")
    except UserError as error:
        raise UserError(f"{out} holds this fit, but not whole ({error.fault}): {OTHER}, or remove it") from None
    clear(out)
    return _printed(out, fitted)


def _printed(out: Path, fitted: FittedFolder) -> str:
    return f"{printed(fitted.summary, strongest_lines(fitted))}\n{out / PAGE}"


def _told(asked: _Asked) -> str:
    """The fit, and in a line each what went wrong without stopping it."""
    try:
        return _fit(asked)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped at {asked.told.step}: {KEPT}") from None
    except InvalidInstrument as error:
        raise UserError(str(error)) from None
    finally:
        for problem in asked.store.problems:
            asked.told.say(problem)
        for file in asked.store.damaged:
            asked.told.say(f"damaged, so that it was made again: {file}")


def _fit(asked: _Asked) -> str:
    told = asked.told
    told.begin("tokenizer and windows")
    require_parts(asked.linear)
    model = None if asked.beside is None else open_beside(asked.beside, asked.linear)
    with writing(asked.out, OTHER):
        mark(asked.out, asked.question)
    linear = _keeping(asked.linear, asked.store)
    path = FittedPath(tuple(_path(linear, told)), linear.prior)
    beside = None if model is None else _ask(model, asked)
    summary = summary_of(asked.words, linear, path, beside, asdict(asked.question))
    weights = path.chosen.weights.reshape(linear.task.context, -1, len(linear.task.group))
    fitted = FittedFolder(weights, path.chosen.offsets, linear.tokenizer, summary)
    held = occurrences(linear.windows.of_stories(linear.split.fitting))
    with writing(asked.out, OTHER):
        write_whole(asked.out / PAGE, fit_html(fitted, held).encode())
        write_fitted_folder(asked.out, fitted)
    clear(asked.out)
    return _printed(asked.out, fitted)


def _keeping(linear: LinearChooser, store: Store) -> LinearChooser:
    """The same windows, with fits that are kept: nothing is, before it is clear that there will be any."""
    kept = LinearChooser(linear.corpus, linear.task, store)
    kept.split, kept.tokenizer, kept.windows = linear.split, linear.tokenizer, linear.windows
    return kept


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
