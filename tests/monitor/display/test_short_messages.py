"""What is printed of all that is logged."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from b2luigi.monitor.display.short_messages import (
    FAILURES,
    LUIGIS_FORMAT,
    LUIGIS_NO_MORE,
    MESSAGES,
    NO_MORE,
    ShortMessages,
)

LUIGI, B2LUIGI = logging.getLogger("luigi-interface"), logging.getLogger("luigi-interface.b2luigi")
STORY = "Task Work failed: KeyError: {n}\n    n = {n}\n  task id: W_{n}\n  job:     slurm job {n}\n  Correct it."


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """What the handler prints that luigi installs."""
    stream, level = io.StringIO(), LUIGI.level
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(LUIGIS_FORMAT))
    LUIGI.addHandler(handler)
    LUIGI.setLevel(logging.INFO)
    yield stream
    LUIGI.removeHandler(handler)
    LUIGI.setLevel(level)


def fail(number: int) -> None:
    story = STORY.format(n=number)
    B2LUIGI.error("%s", story, extra={"failure": story})


def test_luigis_lines_on_each_task_are_not_printed(printed: io.StringIO) -> None:
    """Two or three lines for each of ten thousand tasks hide all others. Its warnings and its summary stay."""
    with ShortMessages() as messages:
        messages.shorten()
        LUIGI.info("Informed scheduler that task %s has status %s", "T", "PENDING")
        LUIGI.warning("Could not ping")
        LUIGI.info("\n===== Luigi Execution Summary =====\n")
        B2LUIGI.info("Submitted 3 jobs")
    assert printed.getvalue().splitlines() == [
        "WARNING: Could not ping",
        "INFO: ",
        "===== Luigi Execution Summary =====",
        "",
        "INFO: Submitted 3 jobs",
    ]


def test_how_tasks_end_that_luigi_runs_itself(printed: io.StringIO) -> None:
    """luigi reports that at level INFO, and nobody else does."""
    with ShortMessages(logging.WARNING) as messages:
        messages.shorten()
        LUIGI.info("Task T timed out after 2 seconds and was terminated.")
    assert printed.getvalue() == "INFO: Task T timed out after 2 seconds and was terminated.\n"


def test_luigis_warnings_on_each_task_are_printed_three_times(printed: io.StringIO) -> None:
    """400 missing input files, or a requires() that raises for 400 tasks: what was raised tells the kinds apart."""
    trace = "Traceback (most recent call last):\n  File 's.py'\n%s: no file %s\n"
    with ShortMessages() as messages:
        messages.shorten()
        for name in "abcdefg":
            LUIGI.warning("Data for %s does not exist (yet?).", f"Data(name={name})")
            LUIGI.warning("Will not run %s due to error in %s method:\n%s", name, "deps()", trace % ("KeyError", 1))
        LUIGI.warning("Will not run %s due to error in %s method:\n%s", "h", "deps()", trace % ("OSError", 1))
    lines = printed.getvalue().splitlines()
    assert sum("does not exist" in line for line in lines) == MESSAGES
    assert [line for line in lines if "no file" in line] == ["KeyError: no file 1"] * MESSAGES + ["OSError: no file 1"]
    assert lines.count(f"    {LUIGIS_NO_MORE}") == 2


def test_a_live_block_says_what_is_no_warning(printed: io.StringIO) -> None:
    """Beside it only warnings and failures are printed."""
    with ShortMessages(logging.WARNING) as messages:
        messages.shorten()
        LUIGI.info("\n===== Luigi Execution Summary =====\n")
        B2LUIGI.info("Submitted 3 jobs")
        B2LUIGI.warning("careful")
    assert printed.getvalue() == "WARNING: careful\n"


def test_equal_failures_are_printed_twice(printed: io.StringIO) -> None:
    """In two lines each, and then counted by others; another kind is printed again."""
    with ShortMessages() as messages:
        messages.shorten()
        for number in range(100):
            fail(number)
        story = STORY.format(n=1).replace("KeyError", "OSError")
        B2LUIGI.error("%s", story, extra={"failure": story})
    lines = printed.getvalue().splitlines()
    assert lines[:2] == ["ERROR: Work(n=0) failed: KeyError: 0", "    slurm job 0"]
    assert [line for line in lines if line.startswith("ERROR")] == [
        *(f"ERROR: Work(n={number}) failed: KeyError: {number}" for number in range(FAILURES)),
        "ERROR: Work(n=1) failed: OSError: 1",
    ]
    assert lines.count(f"    {NO_MORE}") == 1


def test_equal_warnings_are_printed_a_few_times(printed: io.StringIO) -> None:
    """Two hundred jobs that are held give no two hundred lines; outages and the progress are printed always."""
    with ShortMessages() as messages:
        messages.shorten()
        for number in range(200):
            B2LUIGI.warning("job %d is held", number)
            B2LUIGI.info("%d of 200 tasks done", number, extra={"progress": True})
        for _ in range(10):
            B2LUIGI.warning("away", extra={"outage": "it answers"})
    lines = printed.getvalue().splitlines()
    assert sum("is held" in line for line in lines) == MESSAGES
    assert sum("tasks done" in line for line in lines) == 200
    assert sum("away" in line for line in lines) == 10


def test_handlers_of_the_script_get_everything(printed: io.StringIO, caplog: pytest.LogCaptureFixture) -> None:
    """Only the handler that luigi installs by itself prints less, and only meanwhile."""
    own = io.StringIO()
    handler = logging.StreamHandler(own)
    handler.setFormatter(logging.Formatter("mine: %(message)s"))
    LUIGI.addHandler(handler)
    try:
        with ShortMessages() as messages:
            messages.shorten()
            messages.shorten()
            LUIGI.info("Informed")
            fail(7)
        LUIGI.info("after")
    finally:
        LUIGI.removeHandler(handler)
    assert own.getvalue() == f"mine: Informed\nmine: {STORY.format(n=7)}\nmine: after\n"
    assert printed.getvalue().splitlines()[-1] == "INFO: after"


def test_what_the_block_shows() -> None:
    """Outages as long as they last, and the last failure."""
    with ShortMessages() as messages:
        fail(1)
        fail(2)
        B2LUIGI.warning("away", extra={"outage": "it answers"})
        B2LUIGI.warning("full", extra={"outage": "disk"})
        B2LUIGI.warning("again", extra={"outage_over": "it answers"})
        assert list(messages.news.outages) == ["disk"]
        assert messages.news.last_failure == "Work(n=2) failed: KeyError: 2"
