"""What is told at the end of a run about the jobs that it leaves behind, or does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from b2luigi.batch.processes.cluster import ClusterProcess
from b2luigi.batch.queue.local import LocalQueue
from b2luigi.batch.queue.ticket import Ticket, TicketState, never
from b2luigi.batch.workers.jobs import Jobs
from tests.batch.processes.hands import HandQueue, a_process
from tests.batch.systems.recorded import a_job


def a_job_of(ticket: Ticket | None) -> ClusterProcess:
    """A task whose job is as the ticket says; None: it was postponed."""
    return a_process(HandQueue(), ticket)


def a_ticket(token: str, state: TicketState) -> Ticket:
    return Ticket(a_job(token), state=state)


def there() -> ClusterProcess:
    return a_job_of(a_ticket("ab", TicketState.queued))


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ([], []),
        ([there()], ["Cancelling 1 job; please wait (Ctrl-C again: do not wait).", "Cancelled 1 job."]),
        (
            [there(), a_job_of(a_ticket("cd", TicketState.sent)), a_job_of(a_ticket("ef", TicketState.unsure))],
            ["Cancelling 3 jobs; please wait (Ctrl-C again: do not wait).", "Cancelled 3 jobs."],
        ),
        (
            [there(), a_job_of(Ticket(a_job("cd"))), a_job_of(None)],
            ["Cancelling 1 job; please wait (Ctrl-C again: do not wait).", "Cancelled 1 job."],
        ),
        ([a_job_of(Ticket(a_job("cd")))], []),
    ],
    ids=["none", "one", "some of doubt", "some not sent", "none sent"],
)
def test_the_number_of_cancelled_jobs_is_true(
    jobs: list[ClusterProcess], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that never left this process need no cancelling, and are not told as cancelled."""
    assert Jobs().cancel(jobs, never) == []
    assert caplog.messages == told


def test_jobs_of_another_run_are_not_told_as_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """They go on: it is that run which looks after them."""
    queue = HandQueue()
    watched = a_process(queue, a_ticket("cd", TicketState.queued), watched=True)
    Jobs().cancel([there(), watched], never)
    assert caplog.messages[-1] == "Cancelled 1 job."
    assert [ticket.spec.token for ticket in queue.detached] == ["cd"]


def test_jobs_that_wait_for_a_slot_are_not_told_as_cancelled(
    script_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On this machine most of a large run has not begun when Ctrl-C comes."""
    jobs = Jobs()
    queue = jobs.queues["local"] = LocalQueue(folder=script_folder, slots=1)
    tickets = [queue.submit(a_job(token)) for token in ("ab", "cd")]
    jobs.cancel([a_job_of(ticket) for ticket in tickets], never)
    assert caplog.messages == []
