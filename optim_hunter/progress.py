"""How far long claims are: one live line on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from optim_hunter.evidence.text import visible

SECONDS_BETWEEN_LINES = 30


class Shown(Protocol):
    """What tells of progress; some does in place of the dots of passed seeds."""

    replaces_dots: bool

    def advance(self, what: str, tokens: int) -> None:
        """One more seed is done, of the claim and model that `what` names; `tokens` were run since the start."""

    def show(self, what: str) -> None:
        """Say what is being measured now."""

    def hide(self) -> None:
        """Make room before others print."""


class LiveLine:
    """A bar over all seeds of the run with tokens a second and the time left; erased whenever others print."""

    replaces_dots = True

    def __init__(self, total: int, console: Console | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._pace = Pace(now)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("seeds{task.fields[pace]}, left"), TimeRemainingColumn(),
            console=console or Console(stderr=True), transient=True, auto_refresh=False,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, pace="")

    def show(self, what: str) -> None:
        """Say what is being measured now."""
        self._bar.update(self._task, description=visible(what))
        self._bar.start()
        self._bar.refresh()

    def advance(self, what: str, tokens: int) -> None:
        """One more seed is done."""
        self._bar.update(self._task, advance=1, description=visible(what), pace=self._pace.text(tokens))

    def hide(self) -> None:
        """Erase the line."""
        self._bar.stop()


class PlainLines:
    """A line every half minute at most, for logs and for workers side by side."""

    replaces_dots = False

    def __init__(self, total: int, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self.done, self._total, self._write, self._now = 0, total, write, now
        self._pace, self._started = Pace(now), now()
        self._last = self._started

    def show(self, what: str) -> None:
        """Nothing: what is done is told, not what begins."""

    def advance(self, what: str, tokens: int) -> None:
        """One more seed is done; told if the last line is long enough ago."""
        self.done += 1
        if self._now() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = self._now()
            left = (self._now() - self._started) / self.done * (self._total - self.done)
            pace = self._pace.text(tokens)
            self._write(f"{what}: {self.done:,} of {self._total:,} seeds{pace}, about {_duration(left)} left")

    def hide(self) -> None:
        """Nothing: lines stay."""


class Pace:
    """Tokens a second since the start, in words; nothing where no model runs."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._started = now, now()

    def text(self, tokens: int) -> str:
        """For `tokens` run since the start."""
        elapsed = self._now() - self._started
        return f", {tokens / elapsed:,.0f} tokens a second" if tokens and elapsed else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"
