"""What a one-layer model says of held-out windows: as it is, without a part, and with a token replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from optim_hunter.claim import NoValue, UserError
from optim_hunter.models.one_layer import OneLayerModel, log_probabilities
from optim_hunter.models.one_layer_parts import (
    REPLACEMENTS,
    logits_after,
    replaced,
    stream_and_write,
    without_random_part,
)
from optim_hunter.observe.choices import ChoiceObservation, LinearChooser, with_views
from optim_hunter.observe.replaced import ReplacedTokenObservation, tokens_of_like_frequency
from optim_hunter.observe.rule_replacements import RuleReplacer, direction_of
from optim_hunter.tasks.held_out import ReplacedTokenTask
from optim_hunter.tasks.network import TRAIN_ONE, AblatedPartTask, RuleTask
from optim_hunter.tasks.rules import Rule, RuleBook, conditions_met, rule_book_log_probabilities
from optim_hunter.tasks.stories import Windows, token_texts, tokenizer_sha256, word_tokens

REFERENCE = 4096
"""As many windows for fitting, the first, tell what a part writes elsewhere."""

Tokens = Int[np.ndarray, "window position"]
Said = Float[np.ndarray, "window class"]


@dataclass(frozen=True)
class AblatedPartObservation:
    """What was said of a seed's windows (log-probabilities in nats, normalised over the group).

    `intact` by the model as it is, `ablated` with each replacement (`REPLACEMENTS`) of what a part writes, `random`
    with the mean in the place of random parts of the residual stream behind it that are as large.
    """

    seed: int
    group: tuple[str, ...]
    labels: Int[np.ndarray, "window"]
    intact: Said
    ablated: Mapping[str, Said]
    random: Float[np.ndarray, "draw window class"]


@dataclass(frozen=True)
class RuleObservation:
    """The windows of a seed in which a rule fires, out of `windows` ones.

    `direction` are the rule's shifts (nats) about their mean. Log-probabilities (nats, normalised over the group) of
    the rule book as it is (`book`) and without the rule (`without`); and what is lost of them with the rule's condition
    (`rule_replacements.RuleReplacer`): by the network (`lost`), and by all other rules of the book (`lost_by_others`).
    """

    seed: int
    group: tuple[str, ...]
    windows: int
    labels: Int[np.ndarray, "fired"]
    direction: Float[np.ndarray, "class"]
    book: Float[np.ndarray, "fired class"]
    without: Float[np.ndarray, "fired class"]
    lost: Float[np.ndarray, "fired class"]
    lost_by_others: Float[np.ndarray, "fired class"]


class OneLayerChooser:
    """A one-layer model, or its rule book, asked about the windows of a task's seeds beside linear models.

    Args:
        linear: of the corpus that the model was trained on.
        model: the network.
        book: makes the rule book of the group, where the task asks for one.

    Raises:
        UserError: the model was trained with another tokenizer than the corpus has.
    """

    def __init__(self, linear: LinearChooser, model: OneLayerModel, book: Callable[[], RuleBook]) -> None:
        self.linear, self.model, self._book = linear, model, book
        if model.tokenizer_sha256 != tokenizer_sha256(linear.tokenizer):
            raise UserError(
                f"the one-layer model was trained on another corpus than {linear.corpus.name}, with another tokenizer",
                TRAIN_ONE,
            )

    @cached_property
    def words(self) -> Int[np.ndarray, "class"]:
        """Tokens of the group's words."""
        return word_tokens(self.model.tokenizer, self.linear.task.group)

    @cached_property
    def book(self) -> RuleBook:
        """The rule book of the group."""
        return self._book()

    def windows(self, seed: int) -> Windows:
        """The held-out windows of a seed."""
        return self.linear.windows.of_stories(self.linear.split.part(self.linear.task, seed))

    def said(self, tokens: Tokens) -> Said:
        """Log-probabilities (nats) of the group's words after windows, normalised over the group."""
        if not len(tokens):
            return np.zeros((0, len(self.words)))
        return among(log_probabilities(self.model, tokens), self.words)

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of a seed, and what the task's views say of them."""
        assert seed is not None
        seen, tokens = self.linear.observe(seed), self.windows(seed).tokens
        asked: dict[str, Callable[[Tokens], Said]] = {
            "one-layer": self.said,
            "rules": lambda windows: rule_book_log_probabilities(self.book, windows),
        }
        own = [view for view in asked if view in self.linear.task.views]
        return with_views(seen, {view: asked[view](tokens) for view in own}, {})


class PartAblater:
    """Replaces what a part of the network writes in the windows of a seed, and random parts as large."""

    def __init__(self, chooser: OneLayerChooser, task: AblatedPartTask) -> None:
        self.chooser, self.task = chooser, task

    @cached_property
    def _reference(self) -> tuple[Float[Tensor, "window width"], Float[Tensor, "window width"]]:
        """Stream and write in windows for fitting."""
        fitting = self.chooser.linear.windows.of_stories(self.chooser.linear.split.fitting)
        return stream_and_write(self.chooser.model, self.task.part, fitting.tokens[:REFERENCE])

    def observe(self, seed: int | None) -> AblatedPartObservation:
        """The windows of a seed.

        Raises:
            NoValue: there is none.
        """
        assert seed is not None
        windows = self.chooser.windows(seed)
        if not len(windows.labels):
            raise NoValue("no word of the group in the stories of this seed")
        generator = np.random.default_rng(seed)
        stream, write = stream_and_write(self.chooser.model, self.task.part, windows.tokens)
        elsewhere, reference = self._reference
        ablated = {
            name: self._said(stream - write + replaced(write, reference, name, generator)) for name in REPLACEMENTS
        }
        size = float((reference - reference.mean(0)).square().sum(1).mean())
        random = [self._said(without_random_part(stream, elsewhere, size, generator)) for _ in range(self.task.draws)]
        return AblatedPartObservation(
            seed, self.task.group, windows.labels, self._said(stream), ablated, np.array(random)
        )

    def _said(self, stream: Float[Tensor, "window width"]) -> Said:
        return among(logits_after(self.chooser.model, self.task.part, stream).numpy(), self.chooser.words)


class WindowReplacer:
    """Replaces the last token of the windows that end in a task's token, in the model's own tokens."""

    def __init__(self, chooser: OneLayerChooser, task: ReplacedTokenTask) -> None:
        self.chooser, self.task = chooser, task

    @cached_property
    def replacements(self) -> tuple[str, ...]:
        """The tokens of like frequency, the nearest first."""
        return tokens_of_like_frequency(self.chooser.linear, (self.task.token,), self.task.replacements)

    def observe(self, seed: int | None) -> ReplacedTokenObservation:
        """The windows of a seed.

        Raises:
            NoValue: none of them ends in the token.
        """
        assert seed is not None
        texts = token_texts(self.chooser.model.tokenizer)
        tokens = self.chooser.windows(seed).tokens
        tokens = tokens[tokens[:, -1] == texts.index(self.task.token)]
        if not len(tokens):
            raise NoValue(f"no word of the group after {self.task.token!r} in the stories of this seed")
        last = np.zeros(tokens.shape, dtype=bool)
        last[:, -1] = True
        found = [self.chooser.said(with_token(tokens, last, texts.index(other))) for other in self.replacements]
        kept = self.chooser.said(tokens)
        return ReplacedTokenObservation(seed, self.task.group, kept, np.array(found), self.replacements, {})


class RuleWatcher:
    """Looks at the windows of a seed in which a rule fires."""

    def __init__(self, chooser: OneLayerChooser, task: RuleTask) -> None:
        self.chooser, self.task = chooser, task

    @cached_property
    def rule(self) -> Rule:
        """The rule that the task names."""
        return self.chooser.book.rule(self.task.rule)

    @cached_property
    def replacer(self) -> RuleReplacer:
        """Of the book's rules, by the tokens of the windows for fitting."""
        linear, book = self.chooser.linear, self.chooser.book
        fitting = linear.windows.of_stories(linear.split.fitting).tokens
        return RuleReplacer(book, np.bincount(fitting.ravel(), minlength=len(book.vocabulary)), self.task.replacements)

    def observe(self, seed: int | None) -> RuleObservation:
        """The windows of a seed; none where the rule fires in none."""
        assert seed is not None
        windows, book, rule = self.chooser.windows(seed), self.chooser.book, self.rule
        fired = conditions_met([rule.condition], book.place, windows.tokens).toarray()[:, 0]
        tokens = windows.tokens[fired]
        said, without = (
            partial(rule_book_log_probabilities, one)
            for one in (book, replace(book, rules=tuple(one for one in book.rules if one != rule)))
        )
        return RuleObservation(
            seed=seed,
            group=book.group,
            windows=len(windows.labels),
            labels=windows.labels[fired],
            direction=direction_of(rule, book.group),
            book=said(tokens),
            without=without(tokens),
            lost=self.replacer.lost(rule, tokens, self.chooser.said),
            lost_by_others=self.replacer.lost(rule, tokens, without),
        )


def among(scores: Float[np.ndarray, "window token"], words: Int[np.ndarray, "class"]) -> Said:
    """Logits or log-probabilities of all tokens → log-probabilities of these alone, normalised among them."""
    own = scores[:, words].astype(np.float64)
    return np.asarray(own - np.logaddexp.reduce(own, axis=1, keepdims=True))


def with_token(tokens: Tokens, where: Bool[np.ndarray, "window position"], token: int) -> Tokens:
    """Windows with a token in these places."""
    return np.where(where, token, tokens)
