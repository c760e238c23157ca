"""What the journal learns of processes of the user's own classes, and of luigi's beside the script."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import luigi

from b2luigi.batch.processes.base import BatchProcess
from b2luigi.batch.systems.model import JobStatus
from b2luigi.batch.workers.other_jobs import EVERY, OtherJobs
from b2luigi.monitor.journal.writer import NoJournal


class Events(NoJournal):
    """Keeps what happens."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.facts: list[dict[str, Any]] = []
        self.is_open = False

    def open(self, inbox: str) -> None:
        self.is_open = True

    def add(self, kind: str, **facts: Any) -> None:
        self.kinds.append(kind)
        self.facts.append(facts)


class Own(BatchProcess):
    """A batch system of the user's own."""

    def start_job(self) -> None:
        pass

    def get_job_status(self) -> JobStatus:
        return JobStatus.running


class Nothing(luigi.Task):
    """A task."""


def own() -> Own:
    """Its process."""
    return Own(Nothing(), None, SimpleNamespace(put=lambda result: None), 0)


def test_follows_a_process_from_begin_to_end() -> None:
    """Its end has the first line of its story as the reason."""
    events, process, now = Events(), own(), [10.0]
    jobs = OtherJobs(events, lambda: now[0])
    jobs.begin(process)
    jobs.look()
    process.last_seen = JobStatus.running
    now[0] += EVERY
    jobs.look()
    process.story = "Task Nothing failed: no luck\nmore"
    jobs.end(process, "FAILED")
    assert events.is_open
    assert events.kinds == ["submitting", "running", "ended"]
    assert events.facts[0]["batch_system"] == "Own"
    assert {facts["token"] for facts in events.facts} == {events.facts[0]["token"]}
    assert (events.facts[-1]["end"], events.facts[-1]["reason"]) == ("failed", "Task Nothing failed: no luck")


def test_a_process_that_ended_is_not_looked_at_any_more() -> None:
    """Nor does a second end of the same task say anything."""
    events, process, now = Events(), own(), [10.0]
    jobs = OtherJobs(events, lambda: now[0])
    jobs.begin(process)
    jobs.end(process, "DONE")
    process.last_seen = JobStatus.running
    jobs.look()
    jobs.end(process, "DONE")
    assert events.kinds == ["submitting", "ended"]
    assert events.facts[-1]["reason"] == ""


def test_a_process_of_luigi_runs_as_soon_as_it_was_started() -> None:
    """It is no job: the run keeps no folder for it."""
    events = Events()
    OtherJobs(events).begin(SimpleNamespace(task=Nothing(), use_multiprocessing=True))
    OtherJobs(events).begin(SimpleNamespace(task=Nothing(), use_multiprocessing=False))
    assert (events.kinds, events.is_open) == (["status"], False)
    assert events.facts == [{"id": Nothing().task_id, "status": "running"}]
