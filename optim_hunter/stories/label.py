"""The command `label` at work: what it opens, asks and scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import open_store
from optim_hunter.stories.examples import Examples, draw_examples
from optim_hunter.stories.label_screen import ask, typed_keys
from optim_hunter.stories.labelling import AnswerFile
from optim_hunter.stories.language_views import open_beside
from optim_hunter.stories.parts import require_parts
from optim_hunter.stories.score_tables import score_text
from optim_hunter.stories.scoring import Answers, language_answers, linear_answers, person_answers
from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.word_groups import word_group

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel

MOST_WORDS = 9
"""Keys from 1 to 9."""


@dataclass(frozen=True)
class Session:
    """What is asked, and who is asked beside people; `group` is the name of the words."""

    group: str
    chooser: LinearChooser
    examples: Examples
    models: tuple[LanguageModel, ...]


def open_session(group: str, corpus: str | None, seed: int, models: Sequence[str], store: str | None) -> Session:
    """Draw the examples and look at all that will be needed for the score, before any question is asked.

    Raises:
        UserError: a group, corpus, seed, model or store that cannot be used.
    """
    words = word_group(group)
    if len(words.words) > MOST_WORDS:
        raise UserError(f"--group {group}: {len(words.words)} words, but there are keys for {MOST_WORDS}; give fewer")
    task = ChoiceTask(group=words.words, views=("prior", "linear"))
    chooser = LinearChooser(read_corpus(corpus), task, open_store(store))
    require_parts(chooser)
    examples = draw_examples(chooser, seed)
    return Session(words.name, chooser, examples, tuple(open_beside(name, chooser) for name in dict.fromkeys(models)))


def ask_person(session: Session, path: Path, who: str | None) -> bool:
    """Ask what the file has no answer to yet, and say whether all is answered; a complete file is not asked again.

    Raises:
        UserError: the file is of other examples or of another person, or cannot be read or written.
        KeyboardInterrupt: with a message that says where the answers are.
    """
    file = AnswerFile(path)
    labelling = file.read(session.examples.identity, who)
    if labelling.complete:
        return True
    file.save(labelling)  # finds out at once whether it can be written
    try:
        with typed_keys(sys.stdin) as keys:
            return ask(labelling, session.examples.texts, keys, file.save, Console(stderr=True)).complete
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {path} keeps what was answered: the same command goes on") from None


def answers_of_files(session: Session, paths: Sequence[Path]) -> list[Answers]:
    """The answers of people, as files keep them.

    Raises:
        UserError: a file that is not there, is given twice, cannot be read, is of other examples or not complete.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError("--score: a file is given twice; give each once")
    return [_answers(session, path) for path in paths]


def _answers(session: Session, path: Path) -> Answers:
    if not path.exists():
        raise UserError(f"{path} is not there: give a file that optim-hunter label has written")
    labelling = AnswerFile(path).read(session.examples.identity, None)
    if not labelling.complete:
        raise UserError(
            f"{path} has {len(labelling.answers)} of {labelling.asked} answers, and is scored when it has all: go on "
            f"with --out {path}"
        )
    return person_answers(labelling, labelling.who or path.stem)


def score(session: Session, people: Sequence[Answers]) -> str:
    """Ask the models for the same examples, and put all of it into tables.

    Raises:
        UserError: a fit or a language model that cannot be used.
    """
    console = Console(stderr=True)
    try:
        with console.status(f"linear models of {session.chooser.corpus.name}, fitted where they are not kept yet"):
            others = linear_answers(session.chooser, session.examples)
        for model in session.models:
            with console.status(f"{model.name} on the same examples"):
                others += language_answers(model, session.examples)
    except InvalidInstrument as error:
        raise UserError(f"no score: {error}") from None
    return score_text(session.examples, people, others)
