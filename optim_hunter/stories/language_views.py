"""What a language model says of the held-out windows of a fit, story by story, kept as it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import UserError
from optim_hunter.observe.store import Store

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.observe.choices import LinearChooser

STORIES_AT_ONCE = 32
"""After as many what was said is kept, so that a stopped run loses little."""


def open_beside(name: str, linear: LinearChooser) -> LanguageModel:
    """A language model for the windows of a corpus; its weights stay closed.

    Raises:
        UserError: no such language model, one that wrote the corpus, or a word that is no single token of it.
    """
    from optim_hunter.models.registry import open_language_model
    from optim_hunter.observe.next_words import word_tokens

    model = open_language_model(name)
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
    from optim_hunter.observe.choices_language import LANGUAGE_VIEWS, KeptChoices, prompts_before
    from optim_hunter.observe.engine import Engine
    from optim_hunter.observe.next_words import next_words

    group, engine, kept = linear.task.group, Engine(model), KeptChoices(store, model)
    held_out = linear.windows.of_stories(linear.split.held_out)
    said: dict[str, list[Float[np.ndarray, "window class"]]] = {view: [] for view in LANGUAGE_VIEWS}
    stories = np.unique(held_out.story)
    for some in np.array_split(stories, -(-len(stories) // STORIES_AT_ONCE)):
        windows = held_out.of_stories(some)
        for view, found in said.items():
            prompts = prompts_before(model, windows, linear.corpus, view)
            words = kept.get(prompts, group)
            if words is None:
                words = next_words(engine, prompts, group)
                kept.put(prompts, group, words)
            found.append(words.log_probabilities)
            advance(len(prompts))
    engine.close()
    return {view: np.concatenate(found) for view, found in said.items()}
