"""A person cancels a task whose job is one of the user's own kind (`process_class`)."""

from __future__ import annotations

import logging
import queue
from typing import Any

import luigi
import pytest

from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.systems.model import JobStatus


class Own(BatchProcess):
    """Jobs that run until somebody kills them."""

    killed = 0

    def start_job(self) -> None:
        """Nothing to start."""

    def get_job_status(self) -> JobStatus:
        return JobStatus.running

    def kill_job(self) -> None:
        self.killed += 1


@pytest.mark.parametrize("is_started", [True, False])
def test_a_job_of_the_users_own_kind(is_started: bool, script_folder: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is killed, once, if it was started; the task fails, and the story says who wanted that."""
    results: queue.Queue[Any] = queue.Queue()
    process = Own(luigi.Task(), None, results, None)
    if is_started:
        process.run()
    with caplog.at_level(logging.ERROR):
        assert (process.cancel("alice (uid 7)"), process.cancel("you")) == ("", "")
    process.terminate()
    assert (results.get_nowait()[1], results.empty()) == ("FAILED", True)
    assert process.killed == int(is_started)
    assert "cancelled by alice (uid 7)" in process.story
