"""What `optim-hunter fit` tells while it works: a bar where there is a terminal, a line for each strength anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from optim_hunter.evidence.text import visible

if TYPE_CHECKING:
    from optim_hunter.models.linear_path import PathPoint

HEADING = "       l1   fitting  choosing   weights      gap  seconds"


class FitProgress:
    """One bar for the step that runs; `step` says in words which that is."""

    def __init__(self, console: Console) -> None:
        self.step = "the start"
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("left"),
            TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> FitProgress:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def begin(self, step: str, total: float | None = None) -> None:
        """Another step, of `total` parts if that is known."""
        self.step = step
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(escape(visible(step)), total=total)

    def advance(self, parts: float, step: str | None = None) -> None:
        """Parts of the step are done; `step` names what comes now."""
        self.step = step or self.step
        for task in self._bar.task_ids:
            self._bar.update(task, advance=parts, description=escape(visible(self.step)))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(visible(line)), soft_wrap=True)


def point_line(point: PathPoint, kept: bool) -> str:
    """A fit of the path under `HEADING`: losses in nats, weights other than zero, relative duality gap."""
    numbers = f"{point.l1:9.2e} {point.fitting_loss:9.4f} {point.choosing_loss:9.4f} {point.nonzero:9,}"
    return f"{numbers} {point.gap:8.1e} {point.seconds:8.2f}{'  as kept' if kept else ''}"
