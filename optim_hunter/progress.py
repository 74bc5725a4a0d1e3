"""One live line for the seeds of long claims, where there is a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class SeedProgress:
    """A bar over all seeds of the run with the time left; erased whenever something else is printed."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.done = 0
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("seeds, left"),
            TimeRemainingColumn(), console=console or Console(stderr=True), transient=True, auto_refresh=False,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total)

    def show(self, description: str) -> None:
        """Say what is being measured now."""
        self._bar.update(self._task, description=description)
        self._bar.start()
        self._bar.refresh()

    def advance(self) -> None:
        """One more seed is done."""
        self.done += 1
        self._bar.update(self._task, advance=1)

    def hide(self) -> None:
        """Erase the line before others print."""
        self._bar.stop()
