"""Hostile names in the live line of a terminal: neither its control sequences nor the markup of rich."""

import io

from hostile import HOSTILE
from rich.console import Console

from optim_hunter.evidence.text import visible
from optim_hunter.progress import LiveLine


def test_the_live_line_shows_every_name_as_it_is():
    for text in HOSTILE.values():
        written = io.StringIO()
        line = LiveLine(3, console=Console(file=written, force_terminal=True, color_system=None, width=30_000))
        line.show(text)
        line.hide()
        shown = written.getvalue()
        begins = "".join(visible(text).split())[:20]  # tabs are spaces there, and longer ones are cut
        assert begins in "".join(shown.split()), text
        assert not any(control in shown for control in ("\x1b[2J", "\x1b]", "\x9b", "\x07", "\x08", "\u202e"))
