"""The last lines of a terminal are ours, and whoever writes to it needs to know nothing of that."""

from __future__ import annotations

import signal

import pytest

from b2luigi.monitor.display.region import LEAST_ROWS, Region
from tests.monitor.display.screens import Terminal


@pytest.fixture
def region(terminal: Terminal) -> Region:
    return Region(terminal.stream, in_foreground=lambda descriptor: True)


def test_lines_stand_at_the_bottom(terminal: Terminal, region: Region) -> None:
    """What was printed before stays where it is, and the cursor stays behind it."""
    terminal.print("$ python script.py\nready")
    region.draw(["one", "two"])
    assert terminal.lines == ["$ python script.py", "ready", *[""] * 20, "one", "two"]
    assert terminal.cursor == (5, 1)


def test_output_scrolls_above(terminal: Terminal, region: Region) -> None:
    """A hundred lines of others, and our lines are still the last ones; the next ones replace them."""
    region.draw(["one", "two"])
    terminal.print("".join(f"{number}\n" for number in range(100)))
    assert terminal.lines == [*(str(number) for number in range(79, 100)), "", "one", "two"]
    region.draw(["three", "four"])
    assert terminal.lines == [*(str(number) for number in range(79, 100)), "", "three", "four"]


def test_a_full_screen_moves_up(terminal: Terminal, region: Region) -> None:
    """Nothing that was printed is drawn over, and a line that somebody began is ended by them."""
    terminal.print("".join(f"{number}\n" for number in range(50)) + "answer? ")
    region.draw(["one", "two"])
    terminal.print("yes\n")
    assert terminal.lines == [*(str(number) for number in range(30, 50)), "answer? yes", "", "one", "two"]


def test_more_and_fewer_lines(terminal: Terminal, region: Region) -> None:
    """The region grows with what is drawn; fewer lines stand at its bottom."""
    terminal.print("".join(f"{number}\n" for number in range(50)))
    region.draw(["one"])
    region.draw(["one", "two", "three"])
    assert terminal.lines[-5:] == ["49", "", "one", "two", "three"]
    region.draw(["four"])
    assert terminal.lines[-5:] == ["49", "", "", "", "four"]


def test_at_most_a_third_of_the_terminal(terminal: Terminal, region: Region) -> None:
    """The rest is for messages."""
    region.draw([str(number) for number in range(30)])
    assert [line for line in terminal.lines if line] == [str(number) for number in range(8)]


def test_the_end_leaves_nothing(terminal: Terminal, region: Region) -> None:
    """All lines of the terminal scroll again, and the shell prints where the output ended."""
    terminal.print("output\n")
    region.draw(["one", "two"])
    region.close()
    assert terminal.lines == ["output", *[""] * 23]
    terminal.print("".join(f"{number}\n" for number in range(100)))
    assert terminal.lines == [*(str(number) for number in range(77, 100)), ""]


@pytest.mark.parametrize("size", [(120, 40), (40, 15), (80, 12)], ids=str)
def test_a_terminal_of_another_size(terminal: Terminal, region: Region, size: tuple[int, int]) -> None:
    """The lines move to the new bottom, and leave none behind."""
    terminal.print("output\n")
    region.draw(["one", "two"])
    terminal.resize(*size)
    region.draw(["one", "two"])
    assert [line for line in terminal.lines if line in ("one", "two")] == ["one", "two"]
    assert terminal.lines[-2:] == ["one", "two"]
    region.close()
    assert "one" not in terminal.lines


def test_a_small_terminal_has_no_room(terminal: Terminal, region: Region) -> None:
    """Nothing is drawn that would hide the output."""
    terminal.resize(80, LEAST_ROWS - 1)
    region.draw(["one"])
    assert not any(terminal.lines)


def test_in_the_background(terminal: Terminal) -> None:
    """The terminal belongs to another program then."""
    Region(terminal.stream, in_foreground=lambda descriptor: False).draw(["one"])
    assert not any(terminal.lines)


def test_no_terminal_any_more(terminal: Terminal, region: Region) -> None:
    """It was closed: there is nothing to draw, and nothing to complain about."""
    region.draw(["one"])
    terminal.stream.close()
    region.draw(["two"])
    region.close()


def test_ctrl_z_gives_the_terminal_back(terminal: Terminal, region: Region) -> None:
    """The handler is there while lines are drawn, and gone afterwards; a handler of the script stays."""
    former = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        region.draw(["one"])
        assert signal.getsignal(signal.SIGTSTP) != signal.SIG_DFL
        region.close()
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        region.draw(["one"])
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTSTP, former)
