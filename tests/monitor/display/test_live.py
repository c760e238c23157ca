"""The live screen: when it draws, and what it expects."""

from __future__ import annotations

from b2luigi.monitor.display.live import INTERVAL, LiveScreen
from b2luigi.monitor.display.region import Region
from b2luigi.monitor.display.short_messages import News
from tests.monitor.display.screens import Terminal
from tests.monitor.display.test_block import totals


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_screen(terminal: Terminal) -> tuple[LiveScreen, Clock]:
    clock = Clock()
    region = Region(terminal.stream, in_foreground=lambda descriptor: True)
    return LiveScreen(region, News(), colours=True, clock=clock), clock


def test_it_draws_once_a_second(terminal: Terminal) -> None:
    """The first time at once."""
    screen, clock = a_screen(terminal)
    assert screen.is_due
    screen.show(totals(Work={"PENDING": 3}))
    assert not screen.is_due
    clock.now += INTERVAL
    assert screen.is_due


def test_it_expects_an_end(terminal: Terminal) -> None:
    """From how many tasks ended lately: 90 in a minute, 810 to go."""
    screen, clock = a_screen(terminal)
    screen.show(totals(Work={"PENDING": 900}))
    assert "left" not in terminal.lines[-1]
    clock.now += 60
    screen.show(totals(Work={"PENDING": 810, "DONE": 80, "FAILED": 10}))
    assert terminal.lines[-1].endswith("1 min · 1.5 tasks/s · about 9 min left")


def test_the_block_goes_away(terminal: Terminal) -> None:
    """It leaves no debris for the last words of the run."""
    screen, _ = a_screen(terminal)
    terminal.print("output\n")
    screen.show_scheduling(totals(Work={"PENDING": 3}))
    assert terminal.lines[-1] == "Checking the tasks: 3 so far, 0 of them done"
    screen.close()
    assert [line for line in terminal.lines if line] == ["output"]
