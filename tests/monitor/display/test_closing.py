"""The last words of a run."""

from __future__ import annotations

from pathlib import Path

from b2luigi.monitor.display.closing import End, closing
from tests.monitor.display.test_block import totals


def story(number: int, what: str) -> str:
    words = "\n".join(f"    | line {line}" for line in range(8))
    return f"Task Work failed: {what}\n    n = {number}\n  task id: W_{number}\n  job:     slurm job {number}\n{words}"


def test_all_is_done() -> None:
    """One line, and where the log is."""
    end = End(totals(Work={"DONE": 400}), 72.4, {}, Path("/p/run.log"))
    assert closing(end).splitlines() == ["All 400 tasks done in 1 min 12 s.", "Log: /p/run.log"]


def test_failures_by_cause() -> None:
    """Each cause with its count, what to do, the log, the exit code and how to change it."""
    failures = {f"W_{n}": story(n, f"RuntimeError: run {n} not found") for n in range(40)}
    failures |= {f"W_{n}": story(n, "KeyError: 'pt'") for n in range(40, 47)}
    work = {"DONE": 353, "FAILED": 47, "PENDING": 1}
    text = closing(End(totals(Work=work), 72.4, failures, Path("/p/run.log"), exit_code=3))
    assert text.splitlines()[-6:] == [
        "353 of 401 tasks done, 47 failed, 1 not run; 1 min 12 s.",
        "  40 x RuntimeError: run 0 not found",
        "   7 x KeyError: 'pt'",
        "Correct the cause and run the script again; complete tasks are not repeated.",
        "Log: /p/run.log",
        "The script ends with exit code 3 (setting failure_exit_code).",
    ]
    assert len(text.splitlines()) < 50


def test_a_run_that_was_interrupted() -> None:
    """Its exit code is not that of its tasks, and nobody has to correct anything."""
    failures = {"W_1": story(1, "KeyError: 'pt'")}
    text = closing(End(totals(Work={"DONE": 1, "FAILED": 1, "PENDING": 1}), 5, failures, is_complete=False))
    assert text.splitlines()[-1] == "1 of 3 tasks done, 1 failed, 1 not run; 5.0 s."
