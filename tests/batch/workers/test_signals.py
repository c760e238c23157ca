"""Ctrl-C at the moments in which a job begins: why the worker defers signals then."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.systems.model import Answer, Command, JobSpec, Submitted
from b2luigi.batch.workers.worker import SendJobWorker, SendJobWorkerSchedulerFactory
from tests.batch.fakes import Call, Fake, Site


class Interrupted(b2luigi.Task):
    batch_system = "fake"

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("out.txt")

    def run(self) -> None:
        """Never called."""


class Struck(Fake):
    """A language in the middle of whose work a signal comes."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self._moment = moment

    def strike(self, moment: str) -> None:
        if moment == self._moment:
            self._moment = ""
            os.kill(os.getpid(), signal.SIGINT)

    def check(self, job: JobSpec) -> None:
        self.strike("claimed")

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        self.strike("answered")
        return super().parse_submit(answer, jobs)


def interrupted(moment: str) -> Site:
    """Runs the task; Ctrl-C comes at this moment. Returns the cluster as it is left."""
    site, system = Site(), Struck(moment)

    def start(command: Command) -> Call:
        call = site.start(command)
        system.strike("submitted")
        return call

    worker = SendJobWorkerSchedulerFactory().create_worker(
        SendJobWorkerSchedulerFactory().create_local_scheduler(), worker_processes=1
    )
    worker._jobs.queues["fake"] = JobQueue(system, start=start)
    with pytest.raises(KeyboardInterrupt):
        _run(worker)
    return site


def _run(worker: SendJobWorker) -> None:
    with worker:
        worker.add(Interrupted())
        worker.run()


def record() -> dict[str, Any]:
    (path,) = Path().rglob("attempt-*.json")
    return dict(json.loads(path.read_text()))


@pytest.fixture(autouse=True)
def _signals_are_heard() -> Iterator[None]:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("moment", ["submitted", "answered"])
def test_a_job_that_is_left_running_has_its_id_on_disk(moment: str, script_folder: Path) -> None:
    """Right after its submission, or before its answer is read: the next run attaches to it by its id."""
    b2luigi.set_setting("leave_jobs_on_exit", True)
    site = interrupted(moment)
    (job_id,) = site.jobs
    assert record()["job_id"] == job_id
    assert "ended" not in record()


@pytest.mark.parametrize("moment", ["submitted", "answered"])
def test_a_job_that_is_just_being_submitted_is_cancelled(moment: str, script_folder: Path) -> None:
    """The end of the run knows of it."""
    site = interrupted(moment)
    assert len(site.commands("submit")) == 1
    assert site.jobs == {}
    assert "ended" in record()


def test_a_claim_that_never_became_a_job_is_closed(script_folder: Path) -> None:
    """Or else the next run would have to look for that job first."""
    site = interrupted("claimed")
    assert site.commands("submit") == []
    assert "ended" in record()
