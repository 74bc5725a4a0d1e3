"""What is told of long claims while they are measured."""

import io

import pytest
from rich.console import Console

from optim_hunter.progress import SECONDS_BETWEEN_LINES, LiveLine, PlainLines


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def test_plain_lines_come_now_and_then_with_pace_and_time_left():
    clock, lines = Clock(), []
    shown = PlainLines(100, lines.append, clock)
    for seed in range(50):
        clock.seconds += 2
        shown.advance("mine/holds on m", tokens=1000 * (seed + 1))
    assert len(lines) == 100 // SECONDS_BETWEEN_LINES
    assert lines[0] == "mine/holds on m: 15 of 100 seeds, 500 tokens a second, about 2 min left"


def test_where_no_model_runs_no_pace_is_told():
    clock, lines = Clock(), []
    shown = PlainLines(3, lines.append, clock)
    clock.seconds = 40
    shown.advance("mine/holds on m", tokens=0)
    assert lines == ["mine/holds on m: 1 of 3 seeds, about 1 min left"]


def test_the_live_line_tells_claim_seeds_and_pace_and_is_erased():
    clock, screen = Clock(), io.StringIO()
    shown = LiveLine(40, Console(file=screen, force_terminal=True, width=120), clock)
    clock.seconds = 4
    shown.advance("mine/holds on m", tokens=2000)
    shown.show("mine/holds on m")
    assert "mine/holds on m" in screen.getvalue()
    assert "1/40" in screen.getvalue()
    assert "500 tokens a second" in screen.getvalue()
    shown.hide()
    assert screen.getvalue().rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize("seconds", [0, 29])
def test_a_short_run_tells_nothing(seconds):
    clock, lines = Clock(), []
    shown = PlainLines(2, lines.append, clock)
    clock.seconds = seconds
    shown.advance("mine/holds on m", tokens=10)
    assert lines == []
