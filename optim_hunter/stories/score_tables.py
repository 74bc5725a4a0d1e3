"""Scores of people and models as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from optim_hunter.evidence.text import probability, visible
from optim_hunter.stats.proportions import exact_interval
from optim_hunter.stories.examples import Examples, words_shown
from optim_hunter.stories.scoring import ALPHA, Answers, compare, least_lead
from optim_hunter.tasks.people import Person, published_people
from optim_hunter.tasks.stories import CONJUNCTIONS

RIGHT, WRONG = "green", "bold red"
MARK = "✗"
"""Beside a wrong answer, for those who see no colours."""


def score_text(examples: Examples, people: Sequence[Answers], others: Sequence[Answers]) -> str:
    """What came, what each person said, how many each had right, and whom they agree with; as wide as the terminal."""
    console = Console()
    tables = examples_table(examples, people), scores_table(examples, [*people, *others])
    with console.capture() as captured:
        console.print(Group(*tables, *comparisons(examples, people, others)))
    return captured.get().rstrip()


def examples_table(examples: Examples, people: Sequence[Answers]) -> Table:
    """Each example with the word that came and what people said."""
    words = words_shown(examples.group)
    table = Table("", "before the word", "came", *(escape(visible(person.who)) for person in people))
    for row, (text, label) in enumerate(zip(examples.texts, examples.windows.labels.tolist(), strict=True)):
        said = [_said(words[person.choices[row]], words[label]) for person in people]
        table.add_row(str(row + 1), Text(text), words[label], *said)
    return table


def _said(word: str, came: str) -> Text:
    return Text(word, RIGHT) if word == came else Text(f"{word} {MARK}", WRONG)


def _name(who: str) -> Text:
    """As it was given, with nothing in it read as markup."""
    return Text(visible(who))


def scores_table(examples: Examples, answered: Sequence[Answers]) -> Table:
    """Right answers with their share and its exact interval; below, where the group is theirs, what was published."""
    columns = [Column(name, justify="right", no_wrap=True) for name in ("right", "share", "exact 95 % interval")]
    table = Table("who", *columns)
    labels = examples.windows.labels
    for one in answered:
        table.add_row(*_score(one.who, one.correct(labels), len(labels)))
    if examples.group == CONJUNCTIONS:
        table.add_section()
        for person in published_people():
            table.add_row(*_published(person))
    return table


def _published(person: Person) -> list[Text | str]:
    return _score(f"{person.who}, as published, on other examples", person.correct, person.n)


def _score(who: str, correct: int, n: int) -> list[Text | str]:
    low, high = exact_interval(correct, n)
    return [_name(who), f"{correct}/{n}", f"{correct / n:.0%}", f"{low:.1%} to {high:.1%}"]


def comparisons(examples: Examples, people: Sequence[Answers], others: Sequence[Answers]) -> list[Table | Text]:
    """Each person beside each other one on the same examples, and what so many examples can decide."""
    names = [Column(name, overflow="fold") for name in ("first", "second")]
    counted = [Column(name, justify="right") for name in ("alike", "only 1st right", "only 2nd right", "p")]
    table = Table(*names, *counted)
    compared = compare(people, others, examples.windows.labels)
    for pair in compared:
        counts = (str(count) for count in (pair.alike, pair.only_first, pair.only_second))
        table.add_row(_name(pair.first), _name(pair.second), *counts, probability(pair.p))
    note = (
        f"p: McNemar's exact test, adjusted by Holm for {len(compared)} comparison{'s' * (len(compared) > 1)}. "
        f"{_leads(len(compared))} A large p does not say that they are alike."
    )
    return [table, Text(note, "dim")]


def _leads(comparisons: int) -> str:
    """How far apart two must be for a small p."""
    alone = f"Two that are fewer than {least_lead(1)} right answers apart never reach {ALPHA} before the adjustment"
    if comparisons == 1:
        return f"{alone}."
    return f"{alone}; with {comparisons} comparisons the clearest reaches it from {least_lead(comparisons)} on."
