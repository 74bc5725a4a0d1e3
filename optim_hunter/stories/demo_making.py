"""From a corpus to the written page, with what happens told on stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.evidence.text import visible
from optim_hunter.models.linear_path import STRENGTHS, PathPoint
from optim_hunter.models.one_layer import load_one_layer
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.store import Store, open_store, write_whole
from optim_hunter.stories.demo import ShownGroup, open_choosers, show_group
from optim_hunter.stories.demo_page import MARK, demo_html
from optim_hunter.stories.demo_rules import open_books, page_rules
from optim_hunter.stories.rule_material import require_tokenizer_of
from optim_hunter.stories.written import require_page, unwritable
from optim_hunter.tasks.corpus import Corpus, read_corpus
from optim_hunter.tasks.rules import RuleBook
from optim_hunter.tasks.word_groups import WORD_GROUPS, WordGroup, word_group

OTHER = "name another with -o"


def make_demo(
    written: Sequence[str],
    source: str | None,
    out: Path,
    store_choice: str | None,
    rule_books: Sequence[Path] = (),
    model_folder: Path | None = None,
) -> Path:
    """Fit the groups, write their page and return where it lies.

    Args:
        written: groups as `word_group` reads them; none for all that have a name and that the corpus has words of.
        source: of the corpus, as `read_corpus` takes it.
        out: the page.
        store_choice: as `open_store` takes it.
        rule_books: files, each about a group of the page.
        model_folder: of the one-layer model beside them, as `load_one_layer` takes it.

    Raises:
        UserError: an unknown group; a rule book or a model that is unfit for the page; a named group, or all, without
            enough windows or with a fit that misses its gap; a page that cannot be written, or would be written over
            something else.
        KeyboardInterrupt: with what to say.
    """
    groups = [word_group(name) for name in written or WORD_GROUPS]
    if twice := [name for name, times in Counter(group.name for group in groups).items() if times > 1]:
        raise UserError(f"--group: {twice[0]} is there twice; name each group once")
    require_page(out, MARK, OTHER)
    store, corpus, console = open_store(store_choice), read_corpus(source), Console(stderr=True)
    choosers, wrong = open_choosers(groups, corpus, store)
    _leave_out(wrong, bool(written) or not choosers, console)
    books = _open_books(choosers, rule_books, console)
    model = load_one_layer(model_folder)
    if model_folder is not None:
        require_tokenizer_of(model, next(iter(choosers.values())).tokenizer, model_folder)
    shown = _show_all(choosers, store, bool(written), console)
    if not shown:
        raise UserError(f"{corpus.name}: no group is left to be shown; give another corpus with --corpus")
    page = demo_html(shown, corpus, shown[0].examples.tokenizer, rules=page_rules(shown, books, model))
    _write(out, page)
    _tell_end(console, corpus, shown, page, store)
    return out


def _write(out: Path, page: str) -> None:
    try:
        write_whole(out, page.encode())
    except OSError as error:
        raise unwritable(out, error, OTHER) from None


def _leave_out(wrong: Mapping[WordGroup, Exception], needed: bool, console: Console) -> None:
    """A line for each group that cannot be shown.

    Raises:
        UserError: the groups are needed, since they were named or there is no other.
    """
    for group, error in wrong.items():
        if needed:
            raise UserError(f"{group.name}: {error}; else leave it out of --group")
        console.print(Text(visible(f"left out {group.name}: {error}")), soft_wrap=True)


def _open_books(
    choosers: Mapping[WordGroup, LinearChooser], given: Sequence[Path], console: Console
) -> dict[WordGroup, RuleBook]:
    """Rule books of the groups, and a line for each packaged one that is for another tokenizer."""
    books, wrong = open_books(list(choosers), next(iter(choosers.values())).tokenizer, given)
    for group, error in wrong.items():
        console.print(Text(visible(f"no rule book of {group.name}: {error}")), soft_wrap=True)
    return books


def _show_all(
    choosers: dict[WordGroup, LinearChooser], store: Store | None, named: bool, console: Console
) -> list[ShownGroup]:
    """Every group's model, but for those whose fit misses its gap; a bar of the strengths on a terminal."""
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
                console.print(_line(shown[-1], number, len(choosers)), highlight=False, soft_wrap=True)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped at {group.name}: {_left(store)}") from None
            except InvalidInstrument as error:
                _leave_out({group: error}, named, console)
            bar.remove_task(task)
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
