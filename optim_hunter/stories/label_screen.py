"""Examples one after the other in a terminal, answered with one key each."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from optim_hunter.evidence.text import visible
from optim_hunter.stories.examples import words_shown
from optim_hunter.stories.labelling import Labelling

UNDO, STOP, FINISH = "u", "q", "\n"
END_OF_INPUT = "\x04"
"""What Ctrl-D sends where keys are read one by one."""

GAP = "____"
ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?")
"""What arrow and function keys send; some have digits in them, which are no answers."""

AT_ONCE = 1024
"""Bytes read of what was typed."""


def ask(
    labelling: Labelling,
    texts: Sequence[str],
    keys: Iterator[str],
    save: Callable[[Labelling], None],
    console: Console,
) -> Labelling:
    """Show the first example without an answer, take a key, and so on; each change is saved before the next is shown.

    Returns what was answered when the keys ended, or at the key that stops or finishes.
    """
    show(console, labelling, texts)
    for key in map(str.lower, keys):
        if key == STOP or (key == FINISH and labelling.complete):
            break
        changed = after_key(labelling, key)
        if changed != labelling:
            save(changed)
        note = "" if changed != labelling or key == FINISH else f"{visible(key)} does nothing here"
        labelling = changed
        show(console, labelling, texts, note)
    return labelling


def after_key(labelling: Labelling, key: str) -> Labelling:
    """The labelling after a key other than those that end it; a key that means nothing leaves it as it is."""
    if key == UNDO:
        return labelling.undone()
    word = dict(zip(answer_keys(labelling), labelling.identity["group"], strict=True)).get(key)
    return labelling if word is None else labelling.answered(word)


def answer_keys(labelling: Labelling) -> list[str]:
    """The key of each word of the group."""
    return [str(number) for number in range(1, len(labelling.identity["group"]) + 1)]


def show(console: Console, labelling: Labelling, texts: Sequence[str], note: str = "") -> None:
    """The next example with the words and their keys; what can be done; a note on the last key."""
    console.clear()
    if labelling.complete:
        console.print(Text(f"All {labelling.asked} are answered.", "bold"))
        console.print(Text("Enter: the score   u: undo the last answer", "dim"))
    else:
        console.print(Text(f"{len(labelling.answers) + 1} of {labelling.asked}: which word comes next?", "bold"))
        console.print(Padding(Text(f"{texts[len(labelling.answers)]} {GAP}"), (1, 2)))
        words = zip(answer_keys(labelling), words_shown(labelling.identity["group"]), strict=True)
        console.print(Text("   ".join(f"{key} {word}" for key, word in words)))
        console.print(Text("u: undo   q: stop, what is answered is kept", "dim"))
    if note:
        console.print(Text(note, "yellow"))


@contextmanager
def typed_keys(stream: TextIO) -> Iterator[Iterator[str]]:
    """Keys as they are pressed, without Enter, where the stream is a terminal; else the lines of the stream."""
    if not stream.isatty():
        yield (line.strip() or FINISH for line in stream)
        return
    with key_by_key(stream.fileno()):
        yield pressed(stream.fileno())


@contextmanager
def key_by_key(terminal: int) -> Iterator[None]:
    """A terminal that hands over each key and does not show it; as before afterwards, also when asked to end.

    Raises:
        KeyboardInterrupt: the process was asked to end, or the terminal was closed.
    """
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    handlers = {
        signal.SIGTERM: _interrupt,
        signal.SIGHUP: _interrupt,
        signal.SIGCONT: lambda *_: tty.setcbreak(terminal),  # the shell may have changed it while we were stopped
    }
    earlier = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        with suppress(termios.error):  # a terminal that is gone
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        for number, handler in earlier.items():
            signal.signal(number, handler)


def pressed(terminal: int) -> Iterator[str]:
    """The keys pressed at a terminal that hands over each, until Ctrl-D or its end."""
    while typed := _read(terminal):
        for key in ESCAPE_SEQUENCE.sub("", typed.decode(errors="replace")).replace("\r", "\n"):
            if key == END_OF_INPUT:
                return
            yield key


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, AT_ONCE)
    except OSError:  # the other side of the terminal is gone
        return b""


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
