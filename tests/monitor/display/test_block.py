"""The live block: what it says, and that it fits."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from b2luigi.batch.workers.totals import Totals
from b2luigi.core.words import duration
from b2luigi.monitor.display.block import Story, block


def totals(**classes: dict[str, int]) -> Totals:
    """Statuses of luigi in capitals, states of jobs in small letters, by class."""
    split = {
        family: (
            Counter({name: count for name, count in counts.items() if name.isupper()}),
            Counter({name.replace("_", " "): count for name, count in counts.items() if name.islower()}),
        )
        for family, counts in classes.items()
    }
    return Totals({name: one for name, (one, _) in split.items()}, {name: two for name, (_, two) in split.items()})


A_RUN = totals(
    Simulate={"PENDING": 300, "DONE": 80, "FAILED": 20, "running": 50, "queued": 30, "held": 2},
    Merge={"PENDING": 4, "DONE": 1},
)


def drawn(columns: int = 90, room: int = 8, **facts: object) -> list[str]:
    return block(A_RUN, Story(**{"elapsed": 75.0, **facts}), columns, room, colours=False)  # type: ignore[arg-type]


def test_a_row_for_each_class() -> None:
    """Every task of a class is in exactly one column."""
    header, first, second, *_ = (line.split() for line in drawn())
    assert header == ["waiting", "queued", "running", "done", "failed"]
    assert first[:6] == ["Simulate", "218", "32", "50", "80", "20"]
    assert second[:6] == ["Merge", "4", "-", "-", "1", "-"]


def test_the_whole_run() -> None:
    """How far it is, what is held, how fast it is, and when it may end; on one line."""
    known = {"rate": 0.5, "left": 648.0}
    line = drawn(100, **known)[-1]  # type: ignore[arg-type]
    assert line == "81 of 405 tasks done, 20 failed, 2 held · 1 min 15 s · 30 tasks/min · about 10 min 48 s left"
    line = drawn(80, **known)[-1]  # type: ignore[arg-type]
    assert line == "81 of 405 tasks done, 20 failed, 2 held · 1 min 15 s · about 10 min 48 s left"
    assert drawn()[-1] == "81 of 405 tasks done, 20 failed, 2 held · 1 min 15 s"


def test_outages_and_the_last_failure() -> None:
    """What does not work now, and what failed last, stand below."""
    *_, outage, failure = drawn(outages=["slurm accepts jobs", "another"], last_failure="Merge(n=1) failed: KeyError")
    assert outage == "Not true for now: slurm accepts jobs (and 1 more)"
    assert failure == "Last failure: Merge(n=1) failed: KeyError"


def test_before_the_run() -> None:
    """While the graph is read, there is one line on it."""
    assert drawn(is_scheduling=True) == ["Checking the tasks: 405 so far, 81 of them done"]


@pytest.mark.parametrize("columns", [20, 40, 59, 60, 79, 80, 200])
@pytest.mark.parametrize("room", [1, 2, 3, 5, 8])
def test_it_fits(columns: int, room: int) -> None:
    """No line is longer than the terminal is wide, and there are not more lines than there is room for."""
    many = {f"AClassWithARatherLongName{number}": {"PENDING": 1000, "DONE": 10**6} for number in range(50)}
    story = Story(1e6, 0.001, 1e7, ["an outage " * 30], "x" * 500)
    lines = block(totals(**many), story, columns, room, colours=True)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert len(lines) <= room
    assert max(map(len, plain)) <= columns


def test_many_classes() -> None:
    """Those with jobs come first, and the others are summed up."""
    many = {f"Class{number:02}": {"PENDING": 1} for number in range(30)}
    lines = block(totals(**many, Busy={"PENDING": 1, "running": 1}), Story(1.0), 90, 6, colours=False)
    assert [line.split()[0] for line in lines[1:-1]] == ["Busy", "Class00", "Class01", "28"]
    assert lines[-2].split()[:5] == ["28", "other", "classes", "28", "-"]


def test_no_colours() -> None:
    """With NO_COLOR, no escape sequence is left."""
    assert not any("\x1b[3" in line for line in drawn())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (90061, "1 d 1 h"),
        (86400 * 3, "3 d"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    """The two largest units."""
    assert duration(seconds) == words
