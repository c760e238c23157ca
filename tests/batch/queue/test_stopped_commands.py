"""Commands that took too long and were stopped: what they had printed by then is no answer, in any language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.poller import FIRST
from b2luigi.batch.queue.presence import SECOND_LOOK
from b2luigi.batch.queue.search import SEARCHES
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Answer, JobInfo, JobSpec, Submitted
from tests.batch.fakes import Fake, Site
from tests.batch.systems.recorded import a_job


class Credulous(Fake):
    """A language that believes whatever is printed; what it was given to read is in `seen`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Answer] = []

    def _printed(self, answer: Answer) -> Answer:
        self.seen.append(answer)
        return replace(answer, rc=0, timed_out=None)

    def parse_submit(self, answer: Answer, jobs: Sequence[JobSpec]) -> Sequence[Submitted]:
        return super().parse_submit(self._printed(answer), jobs)

    def parse_query(self, answer: Answer) -> Mapping[str, JobInfo]:
        return super().parse_query(self._printed(answer))

    def parse_cancel(self, answer: Answer) -> str:
        return super().parse_cancel(self._printed(answer))


def stopped(stdout: str = "") -> Answer:
    """The answer of a command that was killed after a minute, and what it had printed by then."""
    return Answer(-9, stdout, "", timed_out=60.0)


@pytest.fixture
def site() -> Site:
    return Site(now=1000.0)


@pytest.fixture
def language() -> Credulous:
    return Credulous()


@pytest.fixture
def queue(site: Site, language: Credulous) -> JobQueue:
    return JobQueue(language, start=site.start, clock=site.clock, sleep=site.sleep)


@pytest.fixture(autouse=True)
def language_sees_whole_answers_only(language: Credulous) -> object:
    """Checked after each test."""
    yield
    assert language.seen
    assert all(answer.is_complete for answer in language.seen)


def submit(queue: JobQueue, site: Site) -> Ticket:
    ticket = queue.submit(a_job("a"))
    run(queue, site, 1)
    return ticket


def run(queue: JobQueue, site: Site, seconds: float) -> None:
    end = site.now + seconds
    while site.now < end:
        queue.step()
        site.now += 0.25


def test_a_submission_is_in_doubt(queue: JobQueue, site: Site) -> None:
    """The id it printed may be cut short; the job is searched for, found, and not submitted twice."""
    site.replies["submit"] = [stopped('[["accepted", "1"]]')]
    ticket = submit(queue, site)
    assert (ticket.job_id, ticket.reason) == (None, "no answer within 60 s")
    site.jobs = {"12": ("running", "a")}
    run(queue, site, 10)
    assert ticket.job_id == "12"
    assert len(site.commands("submit")) == 1


def test_a_query_proves_no_job_absent(queue: JobQueue, site: Site) -> None:
    """A list that ends too early lacks jobs that are there."""
    ticket = submit(queue, site)
    site.replies["query"] = [stopped("{}")] * 1000
    run(queue, site, 300)
    assert len(site.commands("query")) > 3
    assert ticket.absent == 0


def test_a_search_does_not_count(queue: JobQueue, site: Site) -> None:
    """Only searches that ran to their end can show that there is no such job."""
    site.replies["submit"] = [[("unsure", "connection reset")]]
    site.replies["find"] = [stopped("{}")] * (SEARCHES + 1)
    ticket = submit(queue, site)
    site.jobs = {"12": ("running", "a")}
    run(queue, site, 600)
    assert (ticket.job_id, ticket.reason) == ("12", "")


def test_the_history_says_nothing(queue: JobQueue, site: Site) -> None:
    """What it printed of a job may be half of it."""
    ticket = submit(queue, site)
    run(queue, site, FIRST)
    before = ticket.info
    site.jobs.clear()
    site.replies["history"] = [stopped('{"#a": ["aborted", "a"]}')]
    run(queue, site, 4 * SECOND_LOOK)
    assert len(site.commands("history")) == 1
    assert before is not None
    assert ticket.info == before


def test_a_cancellation_is_repeated(queue: JobQueue, site: Site) -> None:
    """It printed no complaint, which proves nothing."""
    ticket = submit(queue, site)
    site.replies["cancel"] = [stopped()]
    queue.cancel([ticket])
    run(queue, site, 2)
    assert not ticket.is_over
    run(queue, site, 10)
    assert site.commands("cancel") == [("#a",)] * 2
    assert ticket.is_over
