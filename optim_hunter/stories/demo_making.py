"""From a corpus to the written page, with what happens told on stderr."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from optim_hunter.claim import UserError
from optim_hunter.evidence.text import visible
from optim_hunter.models.linear_path import STRENGTHS, PathPoint
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import Store, open_store, write_whole
from optim_hunter.stories.demo import ShownGroup, open_choosers, show_group
from optim_hunter.stories.demo_page import page_html
from optim_hunter.tasks.corpus import Corpus, read_corpus
from optim_hunter.tasks.word_groups import WORD_GROUPS, WordGroup, word_group


def make_demo(written: Sequence[str], source: str | None, out: Path, store_choice: str | None) -> Path:
    """Fit the groups, write their page and return where it lies.

    Args:
        written: groups as `word_group` reads them; none for all that have a name and that the corpus has words of.
        source: of the corpus, as `read_corpus` takes it.
        out: the page.
        store_choice: as `open_store` takes it.

    Raises:
        UserError: an unknown group, a corpus without enough windows, a page that cannot be written.
        KeyboardInterrupt: with what to say.
    """
    groups = [word_group(name) for name in written or WORD_GROUPS]
    if twice := [group.name for group in groups if groups.count(group) > 1]:
        raise UserError(f"--group: {twice[0]} is there twice; name each group once")
    _require_writable(out)
    store, corpus, console = open_store(store_choice), read_corpus(source), Console(stderr=True)
    choosers, wrong = open_choosers(groups, corpus, store)
    if wrong and (written or not choosers):
        raise next(iter(wrong.values()))
    for group, error in wrong.items():
        console.print(Text(visible(f"left out {group.name}: {error}")), soft_wrap=True)
    shown = _show_all(choosers, store, console)
    page = page_html(shown, corpus, next(iter(choosers.values())).tokenizer)
    _write(out, page)
    _tell_end(console, corpus, shown, page, store)
    return out


def _require_writable(out: Path) -> None:
    """Before minutes of work, not after them."""
    if out.is_dir():
        raise UserError(f"{out} cannot be written (it is a folder): name another with -o")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise _unwritable(out, error) from None


def _write(out: Path, page: str) -> None:
    try:
        write_whole(out, page.encode())
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(f"{out} cannot be written ({error.strerror}): name another with -o")


def _show_all(choosers: dict[WordGroup, LinearChooser], store: Store | None, console: Console) -> list[ShownGroup]:
    """Every group's model; a bar of its strengths on a terminal, and a line when it has ended."""
    shown: list[ShownGroup] = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("price {task.completed}"), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        for number, (group, chooser) in enumerate(choosers.items(), 1):
            task = bar.add_task(f"{group.name}, {number} of {len(choosers)}", total=len(STRENGTHS))
            try:
                shown.append(show_group(group, chooser, _advancing(bar, task)))
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped at {group.name}: {_left(store)}") from None
            bar.remove_task(task)
            console.print(_line(shown[-1], number, len(choosers)), highlight=False, soft_wrap=True)
    return shown


def _advancing(bar: Progress, task: TaskID) -> Callable[[PathPoint], None]:
    return lambda _point: bar.advance(task)


def _left(store: Store | None) -> str:
    if store is None:
        return "nothing is kept, as --store none asked"
    return "what had been fitted is kept, and the same command goes on from there"


def _line(shown: ShownGroup, number: int, total: int) -> str:
    loss, right = shown.figures["loss"], shown.figures["right"]
    return (
        f"{number} of {total} {shown.group.name}: held-out loss {loss['linear']:.3f} nats (prior {loss['prior']:.3f}), "
        f"{right['linear']:.1%} right, {shown.figures['nonzero']:,} weights"
    )


def _tell_end(console: Console, corpus: Corpus, shown: Sequence[ShownGroup], page: str, store: Store | None) -> None:
    for problem in store.problems if store is not None else ():
        console.print(Text(visible(problem)), soft_wrap=True)
    size = len(page.encode())
    about = f"{corpus.name}: {len(shown)} word group{'s' * (len(shown) > 1)}, a page of {size:,} bytes"
    console.print(Text(visible(about)), soft_wrap=True)
