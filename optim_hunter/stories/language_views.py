"""What a language model says of the held-out windows of a fit, story by story, kept as it goes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import UserError
from optim_hunter.models.registry import ENTRIES, Entry, canonical, check_name, kind, open_language_model
from optim_hunter.observe.store import Store

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.observe.choices import LinearChooser
    from optim_hunter.observe.engine import Engine
    from optim_hunter.observe.kept_words import KeptWords
    from optim_hunter.tasks.stories import Windows

STORIES_AT_ONCE = 32
"""After as many what was said is kept, so that a stopped run loses little."""


def language_model_name(name: str) -> str:
    """The registry's name of a language model that reads text, looked up without torch.

    Raises:
        UserError: there is none of this name.
    """
    try:
        check_name(name)
    except UserError as error:
        raise UserError(f"--model: {error.fault}: {_names_near(name)}" if error.remedy else str(error)) from None
    if kind(name) != "language":
        raise UserError(f"--model {name} is no language model: {_names_near(name)}, or leave --model out")
    return canonical(name)


def _names_near(name: str) -> str:
    known = [name for name, entry in ENTRIES.items() if entry.kind == "language" and _reads_text(entry)]
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    return f"{guess}name one of {', '.join(known)}, owner/name@REVISION or a folder"


def _reads_text(entry: Entry) -> bool:
    return not entry.planted and entry.own_task is None


@contextmanager
def own_remedy() -> Iterator[None]:
    """In place of options that only runs of claims have, name those of a command.

    Raises:
        UserError: as it was raised within, with another remedy.
    """
    try:
        yield
    except UserError as error:
        if not error.remedy:
            raise
        raise UserError(f"{error.fault}: name another with --model, or leave --model out") from None


def open_beside(name: str, linear: LinearChooser) -> LanguageModel:
    """A language model for the windows of a corpus; its weights stay closed.

    Raises:
        UserError: no such language model, one that wrote the corpus, or a word that is no single token of it.
    """
    from optim_hunter.observe.next_words import word_tokens

    with own_remedy():
        model = open_language_model(language_model_name(name))
    written_by = linear.corpus.written_by
    if written_by is not None and written_by == model.provenance.sha256:
        raise UserError(f"{name} wrote this corpus ({linear.corpus.name}): give another with --corpus")
    word_tokens(model, linear.task.group)
    return model


def held_out_views(
    model: LanguageModel, linear: LinearChooser, store: Store | None, advance: Callable[[int], None]
) -> dict[str, Float[np.ndarray, "window class"]]:
    """Log-probabilities (nats) of the words in every view of a language model, in the order of the held-out windows.

    Args:
        advance: is told of windows that are done.

    Raises:
        UserError: the weights cannot be opened, or memory does not suffice.
        InvalidInstrument: the pass does not compute what the model's own code does.
    """
    from optim_hunter.observe.choices_language import LANGUAGE_VIEWS
    from optim_hunter.observe.engine import Engine
    from optim_hunter.observe.kept_words import KeptWords

    with own_remedy():
        engine, kept = Engine(model), KeptWords(store, model)
        held_out = linear.windows.of_stories(linear.split.held_out)
        said: dict[str, list[Float[np.ndarray, "window class"]]] = {view: [] for view in LANGUAGE_VIEWS}
        stories = np.unique(held_out.story)
        for some in np.array_split(stories, -(-len(stories) // STORIES_AT_ONCE)):
            windows = held_out.of_stories(some)
            for view, found in said.items():
                found.append(said_of(engine, kept, linear, windows, view))
                advance(len(windows.labels))
        engine.close()
    return {view: np.concatenate(found) for view, found in said.items()}


def said_of(
    engine: Engine, kept: KeptWords, linear: LinearChooser, windows: Windows, view: str
) -> Float[np.ndarray, "window class"]:
    """What the model says of some windows, asked only if it is not kept."""
    from optim_hunter.observe.choices_language import texts_before

    return kept.say(engine, texts_before(windows, linear.corpus, view), linear.task.group).log_probabilities
