"""What the tests of a JobQueue do with one: hand jobs in, turn the clock, read the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.poller import FIRST
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Answer
from tests.batch.fakes import Fake, Site
from tests.batch.systems.recorded import a_job

DOWN = Answer(1, "", "the daemon is down")
POLL = 60.0


def a_queue(site: Site, system: Fake | None = None, poll_interval: float = POLL) -> JobQueue:
    return JobQueue(system or Fake(), start=site.start, clock=site.clock, sleep=site.sleep, poll_interval=poll_interval)


def submit(queue: JobQueue, *tokens: str, **options: Any) -> list[Ticket]:
    return [queue.submit(a_job(token, options)) for token in tokens]


def submitted(queue: JobQueue, *tokens: str) -> list[Ticket]:
    """Jobs whose ids are known."""
    tickets = submit(queue, *tokens)
    queue.step()
    queue.step()
    assert all(ticket.job_id for ticket in tickets)
    return tickets


def run(queue: JobQueue, site: Site, seconds: float, every: float = 0.25) -> list[Ticket]:
    """Turns the clock, looking often; returns all news."""
    news = queue.step()
    end = site.now + seconds
    while site.now < end:
        site.now += every
        news += queue.step()
    return news


def unsure(queue: JobQueue, site: Site, *tokens: str) -> list[Ticket]:
    site.replies["submit"] = [[("unsure", "connection reset")] * len(tokens)]
    tickets = submit(queue, *tokens)
    queue.step()
    queue.step()
    return tickets


def seen(queue: JobQueue, site: Site, *tokens: str) -> list[Ticket]:
    """Jobs that the batch system has shown."""
    tickets = submitted(queue, *tokens)
    run(queue, site, FIRST + 1)
    assert all(ticket.answers for ticket in tickets)
    return tickets


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
