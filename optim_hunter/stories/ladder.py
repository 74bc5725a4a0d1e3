"""`optim-hunter ladder`: from a corpus to what each piece of machinery is worth on its held-out stories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.text import Text

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models.linear_tokens import fit_tokens_linear
from optim_hunter.models.one_layer import OneLayerModel, load_one_layer, log_probabilities
from optim_hunter.observe.choices import LINEAR_VIEWS, LinearChooser
from optim_hunter.observe.store import Store, open_store
from optim_hunter.stories.demo import open_choosers
from optim_hunter.stories.fit_progress import FitProgress
from optim_hunter.stories.ladder_folder import QUESTION, LadderQuestion, Rungs, require_folder, write_files
from optim_hunter.stories.ladder_rungs import (
    ALL,
    LINEAR,
    LINEAR_OF_GROUP,
    NGRAMS,
    VARIANTS,
    Losses,
    Question,
    Say,
    losses_among,
    losses_of,
    ngrams,
    question_of_all,
    question_of_group,
    uniform,
    windows_of_group,
)
from optim_hunter.stories.ladder_table import about, comma_separated, ladder_page, loss_rows, markdown, worth_rows
from optim_hunter.stories.language_views import STORIES_AT_ONCE, language_model_name, open_beside, own_remedy, said_of
from optim_hunter.stories.train import make_training
from optim_hunter.tasks.corpus import Corpus, read_corpus
from optim_hunter.tasks.next_tokens import NextTokens, next_tokens
from optim_hunter.tasks.word_groups import WORD_GROUPS, WordGroup, word_group

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.tasks.stories import Windows

KEPT = "rungs that were made are kept, and the same command goes on from there"


@dataclass(frozen=True)
class Asked:
    """The arguments of the command."""

    out: Path
    corpus: str | None
    groups: tuple[str, ...]
    models: tuple[str, ...]
    windows: int
    positions: int
    store: str | None


def make_ladder(asked: Asked) -> str:
    """Make the rungs that are lacking, write the tables and return them; progress goes to stderr.

    Raises:
        UserError: a corpus, model, number, store or folder that cannot be used.
        KeyboardInterrupt: with what to say; the rungs so far are kept.
    """
    for option in ("windows", "positions"):
        if getattr(asked, option) < 1:
            raise UserError(f"--{option} {getattr(asked, option)}: give 1 or more")
    models = tuple(map(language_model_name, asked.models))
    groups = [word_group(name) for name in dict.fromkeys(asked.groups or WORD_GROUPS)]
    corpus = read_corpus(asked.corpus)
    names = tuple(group.name for group in groups)
    question = LadderQuestion(corpus.sha256, names, asked.windows, asked.positions)
    require_folder(asked.out, question)
    console = Console(stderr=True)
    with FitProgress(console) as told:
        told.begin("tokenizer and windows")
        material = Material(asked, groups, corpus, open_store(asked.store), told)
        beside = [material.open(name) for name in models]
    write_files(asked.out, {QUESTION: question.as_json})
    rungs = Rungs(asked.out, question)
    with climbing(material, rungs, console) as climb:
        counted, read = climb.counted_and_linear(), climb.language_models(beside)
    trained = {name: _one_layer(asked, corpus, without, console) for name, without in VARIANTS.items()}
    with climbing(material, rungs, console) as climb:
        networks = climb.networks(trained)
    return _write(asked.out, material, counted | networks | read)


def _one_layer(asked: Asked, corpus: Corpus, without: str | None, console: Console) -> OneLayerModel:
    """The packaged model where it is this one, else one trained as it was into the folder, telling its own progress."""
    packaged = load_one_layer()
    if without is None and packaged.record.get("corpus", {}).get("sha256") == corpus.sha256:
        return packaged
    folder = asked.out / ("one-layer" if without is None else f"one-layer-without-{without}")
    console.print(Text(f"training {folder}, unless it is there"), soft_wrap=True)
    recipe = packaged.record["question"]["recipe"]
    make_training(folder, asked.corpus, recipe["seed"], recipe["epochs"], without, recipe["group_weight"])
    return load_one_layer(folder)


class Material:
    """Windows and stories of a corpus that all rungs share.

    Raises:
        UserError: a corpus without enough windows of any group.
    """

    def __init__(
        self, asked: Asked, groups: Sequence[WordGroup], corpus: Corpus, store: Store | None, told: FitProgress
    ) -> None:
        self.asked, self.corpus, self.store = asked, corpus, store
        opened, wrong = open_choosers(groups, corpus, store)
        for group, error in wrong.items():
            told.say(f"{group.name} is left out: {error}")
        if not opened:
            raise UserError(str(next(iter(wrong.values()))))
        self.groups: dict[WordGroup, LinearChooser] = opened
        self.first = next(iter(opened.values()))
        self.tokenizer = self.first.tokenizer

    @cached_property
    def fitting(self) -> NextTokens:
        """What is trained on."""
        return self._part("fitting")

    @cached_property
    def windows(self) -> dict[str, Windows]:
        """Held-out windows by group."""
        return {group.name: windows_of_group(linear, self.asked.windows) for group, linear in self.groups.items()}

    @cached_property
    def questions(self) -> list[Question]:
        """All tokens, then the words of each group."""
        of_groups = [question_of_group(one.name, self.windows[one.name], one.words) for one in self.groups]
        return [question_of_all(self._part("held_out"), self.asked.positions), *of_groups]

    def open(self, name: str) -> LanguageModel:
        """A language model for the windows of all groups.

        Raises:
            UserError: as `open_beside`.
        """
        models = [open_beside(name, linear) for linear in self.groups.values()]
        return models[0]

    def _part(self, name: str) -> NextTokens:
        return next_tokens(self.tokenizer, self.corpus, getattr(self.first.split, name), self.first.task.context)


@contextmanager
def climbing(material: Material, rungs: Rungs, console: Console) -> Iterator[Climb]:
    """Rungs are made within, with their progress on a console.

    Raises:
        UserError: a fit or a pass cannot be believed.
        KeyboardInterrupt: with what to say.
    """
    with FitProgress(console) as told:
        try:
            yield Climb(material, rungs, told)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped at {told.step}: {KEPT}") from None
        except InvalidInstrument as error:
            raise UserError(str(error)) from None


class Climb:
    """Makes the rungs one after the other; what is kept is not made again."""

    def __init__(self, material: Material, rungs: Rungs, told: FitProgress) -> None:
        self.material, self.rungs, self.told = material, rungs, told

    def counted_and_linear(self) -> dict[str, dict[str, Losses]]:
        """Losses by rung and question of all that looks at tokens one by one, or at a few of them together."""
        vocabulary = self.material.tokenizer.get_vocab_size()
        made = {"uniform": self._of_all("uniform", lambda: uniform(vocabulary))}
        for name, order in NGRAMS.items():
            made[name] = self._of_all(name, partial(ngrams, self.material.fitting, self.material.tokenizer, order))
        made[LINEAR] = self._of_all(LINEAR, self._linear)
        made[LINEAR_OF_GROUP] = self._kept(LINEAR_OF_GROUP, "", self._linear_of_groups)
        return made

    def networks(self, trained: Mapping[str, OneLayerModel]) -> dict[str, dict[str, Losses]]:
        """The same of one-layer models."""

        def said_by(model: OneLayerModel) -> Say:
            return partial(log_probabilities, model)

        return {
            name: self._of_all(name, partial(said_by, model), str(model.record["files"]))
            for name, model in trained.items()
        }

    def language_models(self, models: Sequence[LanguageModel]) -> dict[str, dict[str, Losses]]:
        """The same of language models, which answer for the words of groups alone."""
        return {
            model.name: self._kept(model.name, model.fingerprint, partial(self._language, model)) for model in models
        }

    def _of_all(self, rung: str, make: Callable[[], Say], made_of: str = "") -> dict[str, Losses]:
        """The losses of a model of all tokens, on every question."""

        def losses() -> dict[str, Losses]:
            say = make()
            return {question.name: losses_of(say, question) for question in self.material.questions}

        return self._kept(rung, made_of, losses)

    def _kept(self, rung: str, made_of: str, make: Callable[[], dict[str, Losses]]) -> dict[str, Losses]:
        losses = self.rungs.get(rung, made_of)
        if losses is None:
            self.told.begin(rung)
            losses = make()
            self.rungs.put(rung, made_of, losses)
            for problem in self.rungs.store.problems:
                self.told.say(problem)
        means = ", ".join(f"{name} {losses[name].mean():.3f}" for name in (ALL, "conjunctions") if name in losses)
        self.told.say(f"{rung}: {means}")
        return losses

    def _linear(self) -> Say:
        done = 0

        def advance(step: int, steps: int) -> None:
            nonlocal done
            if done == 0:
                self.told.begin(LINEAR, steps)
            self.told.advance(step - done)
            done = step

        model = fit_tokens_linear(self.material.fitting, self.material.tokenizer.get_vocab_size(), 0, advance)
        return model.log_probabilities

    def _linear_of_groups(self) -> dict[str, Losses]:
        """The L1 model of each group."""
        self.told.begin(LINEAR_OF_GROUP, len(self.material.groups))
        found = {}
        for question, (group, linear) in zip(self.material.questions[1:], self.material.groups.items(), strict=True):
            said = LINEAR_VIEWS["linear"](linear.path, self.material.windows[group.name])
            found[group.name] = losses_among(said, question)
            self.told.advance(1)
        return found

    def _language(self, model: LanguageModel) -> dict[str, Losses]:
        """The losses of a language model on the words of the groups."""
        from optim_hunter.observe.engine import Engine
        from optim_hunter.observe.kept_words import KeptWords

        self.told.begin(model.name, sum(len(windows.labels) for windows in self.material.windows.values()))
        engine, kept, found = Engine(model), KeptWords(self.material.store, model), {}
        with own_remedy():
            for question, (group, linear) in zip(
                self.material.questions[1:], self.material.groups.items(), strict=True
            ):
                said = []
                for windows in _parts(self.material.windows[group.name]):
                    said.append(said_of(engine, kept, linear, windows, "window"))
                    self.told.advance(len(windows.labels), step=f"{model.name}, {group.name}")
                found[group.name] = losses_among(np.concatenate(said), question)
            engine.close()
        return found


def _parts(windows: Windows) -> Iterator[Windows]:
    """Some stories at a time, in the order of the windows."""
    stories = np.unique(windows.story)
    for some in np.array_split(stories, -(-len(stories) // STORIES_AT_ONCE)):
        yield windows.of_stories(some)


def _write(out: Path, material: Material, found: Mapping[str, Mapping[str, Losses]]) -> str:
    losses, worth = loss_rows(found, material.questions), worth_rows(found, material.questions)
    tables = f"{markdown(losses, 'rung')}\n\n{markdown(worth, 'what it is worth')}"
    contents = {
        "ladder.md": f"{about(material.corpus.name, losses)}\n{tables}\n",
        "ladder.csv": comma_separated(losses, worth),
        "ladder.html": ladder_page(material.corpus.name, losses),
    }
    write_files(out, contents)
    return f"{tables}\n{out / 'ladder.html'}"
