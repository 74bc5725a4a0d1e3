"""A sentence of the user's: which rules fire, and what rule book, linear model and one-layer model expect next."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from rich.table import Table
from rich.text import Text
from tokenizers import Tokenizer

from optim_hunter.claim import UserError
from optim_hunter.models.linear_path import log_probabilities
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import Store
from optim_hunter.stories.rule_tables import printed
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.rules import CONTEXT, RuleBook, fires
from optim_hunter.tasks.stories import Windows


def window_of(sentence: str, tokenizer: Tokenizer) -> Int[np.ndarray, "1 16"]:
    """The last 16 tokens of a sentence; spaces at its end do not count, since each word brings its own.

    Raises:
        UserError: it has fewer.
    """
    tokens = tokenizer.encode(sentence.rstrip(" "), add_special_tokens=False).ids
    if len(tokens) < CONTEXT:
        raise UserError(
            f"the sentence has {len(tokens)} tokens, and rules look at the last {CONTEXT}: write more of it"
        )
    return np.array([tokens[-CONTEXT:]])


def said_by_linear_model(
    window: Int[np.ndarray, "1 16"], corpus: Corpus, book: RuleBook, tokenizer: Tokenizer, store: Store | None
) -> Float[np.ndarray, "class"]:
    """What the linear model of the corpus says (log-probabilities, nats); it is fitted where the store has it not.

    Raises:
        UserError: the corpus has too few windows.
        InvalidInstrument: a fit that misses its gap.
    """
    chosen = LinearChooser(corpus, ChoiceTask(book.group), store).path.chosen
    nothing = np.zeros(1, dtype=np.int64)
    return log_probabilities(Windows(window, nothing, nothing, nothing, tokenizer), chosen.weights, chosen.offsets)[0]


def prediction(
    window: Int[np.ndarray, "1 16"],
    book: RuleBook,
    tokenizer: Tokenizer,
    said: Mapping[str, Float[np.ndarray, "class"]],
) -> str:
    """The rules that fire with what they add, their sum, and what each model expects of the words.

    Args:
        said: log-probabilities (nats) by who said them.
    """
    table = Table("rule", *book.group, "sentence")
    table.add_row("without any rule", *(f"{book.intercepts[word]:+.2f}" for word in book.group), "")
    fired = [book.rules[place] for place in fires(book, window).indices.tolist()]
    for rule in fired:
        shifts = [f"{rule.shifts[word]:+.2f}" if word in rule.shifts else "" for word in book.group]
        table.add_row(*map(Text, (rule.name, *shifts, rule.sentence)))
    expected = Table("expects", *book.group)
    for name, row in said.items():
        expected.add_row(name, *(f"{chance:.1%}" for chance in np.exp(row)))
    shown = tokenizer.decode(window[0].tolist())
    return f"…{shown!r}\n{printed(table)}\n{len(fired)} of {len(book.rules)} rules fire (nats)\n{printed(expected)}"
