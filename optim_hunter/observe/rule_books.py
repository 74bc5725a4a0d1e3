"""What a rule book says of held-out stories of another corpus, and what the same rules say when fitted to it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from optim_hunter.models.rule_fit import Fired, FittedShifts, fit_chosen
from optim_hunter.observe.choices import ChoiceObservation, LinearChooser, with_views
from optim_hunter.tasks.rules import RuleBook, fires, log_probabilities_of, rule_book_log_probabilities

if TYPE_CHECKING:
    from optim_hunter.tasks.stories import Windows


class RuleBookChooser:
    """A rule book asked about the windows of a task's seeds.

    Args:
        linear: cuts the windows, with the tokenizer of the rule book.
        book: of the task's group.
    """

    def __init__(self, linear: LinearChooser, book: RuleBook) -> None:
        self.linear, self.book = linear, book

    @cached_property
    def refitted(self) -> FittedShifts:
        """The shifts that do best on the stories for choosing when they are fitted to those for fitting.

        Raises:
            UserError: a word of the group never comes in these.
            InvalidInstrument: a fit misses its gap.
        """
        return fit_chosen(self._fired("fitting"), self._fired("choosing"), len(self.book.group))

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of a seed, and what the task's views say of them.

        Raises:
            UserError, InvalidInstrument: as `refitted`.
        """
        assert seed is not None
        seen = self.linear.observe(seed)
        windows = self.linear.windows.of_stories(self.linear.split.part(self.linear.task, seed)).tokens
        fitted = self.refitted
        refitted = log_probabilities_of(fires(self.book, windows), fitted.shifts, fitted.offsets)
        said = {"rules": rule_book_log_probabilities(self.book, windows), "refitted": refitted}
        return with_views(seen, said, {"duality gap": fitted.gap})

    def _fired(self, part: str) -> Fired:
        windows: Windows = self.linear.windows.of_stories(getattr(self.linear.split, part))
        return Fired(fires(self.book, windows.tokens), windows.labels)
