"""What `optim-hunter notes` does: a document in, its page out, with what happens told on stderr."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from optim_hunter.claim import UserError
from optim_hunter.evidence.text import duration, visible
from optim_hunter.llama_model import DEFAULT, VARIABLE
from optim_hunter.models.registry import ENTRIES, check_name
from optim_hunter.notes.document import Block, Document, read
from optim_hunter.notes.page import About, page_html
from optim_hunter.notes.results import Kept, Result, Setting
from optim_hunter.notes.run import Run, run_blocks

OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")
"""What a bar of progress wrote and then wrote over."""


@dataclass(frozen=True)
class Made:
    """A page, and the names of the blocks that failed."""

    page: Path
    failed: Sequence[str]


def make_notes(source: Path, out: Path | None, everything: bool, cap: int | None, console: Console) -> Made:
    """Run a document's blocks and write its page.

    Args:
        out: the page; by default beside the document.
        everything: run the plain Python blocks too.
        cap: of every count of batches, seeds or samples that a block passes to a published function.
        console: is told what runs and what went wrong.

    Raises:
        UserError: the document is not of the form, the page cannot be written, or the cap is no count.
        KeyboardInterrupt: with what to say; the results so far are kept.
    """
    if cap is not None and cap < 1:
        raise UserError(f"--seeds {cap} is no number of seeds: give 1 or more")
    document = read(source)
    page = out or source.with_suffix(".html")
    _require_writable(page, source)
    indices = [index for index, block in enumerate(document.blocks) if everything or not block.plain]
    model = _chosen_model()
    run = _run(document, indices, Setting(model, cap, source.parent.resolve()), console)
    results = {index: run.results[place] for place, index in enumerate(indices)}
    content = page_html(document, results, source.parent, source.stem, About(model, cap))
    _write_whole(page, content)
    return Made(page, [document.blocks[indices[place]].name for place in run.failed])


def _chosen_model() -> str:
    """The registry's name of the model, or the absolute path of a folder, since blocks run in the document's folder.

    Raises:
        UserError: no such model.
    """
    name = os.environ.get(VARIABLE) or DEFAULT
    check_name(name)
    folder = Path(name).expanduser()
    return str(folder.resolve()) if name not in ENTRIES and folder.is_dir() else name


def _require_writable(page: Path, source: Path) -> None:
    """Before hours of work, not after them."""
    if page.resolve() == source.resolve():
        raise UserError(f"{page} is the document itself: name another page with -o")
    if page.is_dir():
        raise UserError(f"{page} cannot be written (it is a folder): name another with -o")
    try:
        _unfinished(page).touch()
        _unfinished(page).unlink()
    except OSError as error:
        raise _unwritable(page, error) from None


def _write_whole(page: Path, content: str) -> None:
    try:
        _unfinished(page).write_text(content, encoding="utf-8")
        _unfinished(page).replace(page)
    except OSError as error:
        _unfinished(page).unlink(missing_ok=True)
        raise _unwritable(page, error) from None


def _unfinished(page: Path) -> Path:
    return page.with_name(f".{page.name}.unfinished")


def _unwritable(page: Path, error: OSError) -> UserError:
    return UserError(f"{page} cannot be written ({error.strerror}): name another with -o")


def _run(document: Document, indices: Sequence[int], setting: Setting, console: Console) -> Run:
    blocks = [document.blocks[index] for index in indices]
    kept = Kept()
    with Told(console) as told:
        try:
            run = run_blocks(blocks, setting, kept, told)
        except KeyboardInterrupt:
            kept_too = "what had finished is kept, and the same command goes on from there"
            raise KeyboardInterrupt(f"stopped at {told.current}: {kept_too}") from None
    for problem in kept.problems:
        console.print(Text(visible(problem)), soft_wrap=True)
    if blocks:
        console.print(f"blocks: {len(run.ran)} ran, {len(run.recalled)} as kept", highlight=False)
    return run


class Told:
    """A live line for the block that runs, where there is a terminal; a line for each that has ended."""

    def __init__(self, console: Console) -> None:
        self.current = "the start"
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._console = console
        self._place = ""

    def __enter__(self) -> Told:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def starts(self, block: Block, number: int, total: int) -> None:
        """Show the block that begins."""
        self.current = _named(block)
        self._place = f"{number} of {total}"
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(escape(visible(f"{self.current}, {self._place}")), total=None)

    def ends(self, block: Block, result: Result, messages: str) -> None:
        """Print what the block wrote to stderr, and a line: which block, how long, whether it failed."""
        if messages.strip():
            self._say(Text.from_ansi(OVERWRITTEN.sub("", messages)).plain.rstrip())
        state = f", failed: {result.error.splitlines()[-1]}" if result.error else ""
        self._say(f"{_named(block)}, {self._place}, {duration(result.seconds)}{state}")

    def _say(self, text: str) -> None:
        self._console.print(Text(visible(text)), soft_wrap=True)


def _named(block: Block) -> str:
    return block.name if block.plain else f"block {block.name}"
