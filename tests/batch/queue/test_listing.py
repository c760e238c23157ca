"""A listing that came before the first job: the answer that said that the batch system is there."""

from __future__ import annotations

import json

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.poller import FIRST, LISTING_AGE, FirstAnswer
from b2luigi.batch.systems.model import Answer, JobStatus
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import DOWN, POLL, run, warnings
from tests.batch.systems.recorded import a_job
from tests.present import present


def listing(site: Site, age: float = 0.0, **states: str) -> FirstAnswer:
    """What the batch system answered to the question whether it is there; jobs and their tokens by name."""
    jobs = {f"{token}.0": [state, token] for token, state in states.items()}
    return FirstAnswer(Answer(0, json.dumps(jobs), ""), site.now - age)


def with_listing(site: Site, known: FirstAnswer) -> JobQueue:
    site.jobs = {"a.0": ("running", "a"), "b.0": ("running", "b")}
    return JobQueue(
        Fake(), start=site.start, clock=site.clock, sleep=site.sleep, poll_interval=POLL, first_answer=known
    )


@pytest.mark.parametrize("facts", [{"job_id": "a.0"}, {}], ids=["known", "looked for"])
def test_a_job_of_an_earlier_run_is_found_in_the_first_listing(facts: dict[str, str], site: Site) -> None:
    """The answer that said that the batch system is there says where the job is, too: no other command asks."""
    queue = with_listing(site, listing(site, a="running"))
    ticket = queue.attach(a_job("a"), facts)
    news = run(queue, site, 3)
    assert (ticket.job_id, ticket.is_gone) == ("a.0", False)
    assert ticket in news
    assert site.calls == []


def test_the_state_in_the_first_listing_counts(site: Site) -> None:
    """A job that ended between two runs need not be asked for."""
    queue = with_listing(site, listing(site, a="aborted"))
    ticket = queue.attach(a_job("a"), {"job_id": "a.0"})
    assert ticket in run(queue, site, 3)
    assert present(ticket.info).status is JobStatus.aborted
    assert site.calls == []


@pytest.mark.parametrize("facts", [{"job_id": "b.0"}, {}], ids=["known", "looked for"])
def test_a_job_that_the_first_listing_lacks_is_asked_for(facts: dict[str, str], site: Site) -> None:
    """It may have been submitted since: absence from that listing proves nothing, and counts for nothing."""
    queue = with_listing(site, listing(site, a="running"))
    ticket = queue.attach(a_job("b"), facts)
    queue.attach(a_job("a"), {"job_id": "a.0"})
    run(queue, site, 3)
    assert (ticket.job_id, ticket.absent) == ("b.0", 0)
    assert [call.argv[0] for call in site.calls] == (["query"] if facts else ["find", "query"])


def test_an_old_listing_is_not_believed(site: Site) -> None:
    """Jobs change: one that is older than a few seconds stands for no answer."""
    queue = with_listing(site, listing(site, age=LISTING_AGE, a="running"))
    ticket = queue.attach(a_job("a"), {"job_id": "a.0"})
    run(queue, site, 3)
    assert ticket.answers == 1
    assert len(site.commands("query")) == 1


def test_the_first_listing_answers_one_question(site: Site) -> None:
    """What is asked after it is asked of the batch system."""
    queue = with_listing(site, listing(site, a="running"))
    queue.attach(a_job("a"), {"job_id": "a.0"})
    run(queue, site, 1.5)
    assert site.calls == []
    run(queue, site, FIRST * 2)
    assert len(site.commands("query")) == 1


def test_a_silence_that_was_reported_is_not_reported_again(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The search for the batch system has reported it; the user reads when it is over, and how long it was."""
    queue = with_listing(site, FirstAnswer(None, site.now))
    site.replies["query"] = [DOWN]
    queue.attach(a_job("a"), {"job_id": "a.0"})
    run(queue, site, 3 * FIRST + 1)
    assert warnings(caplog) == ["The status query of fake works again after 24 s."]


def test_a_job_that_looks_as_if_it_had_ended_is_asked_for(site: Site) -> None:
    """A listing from before its end would only say that it runs."""
    queue = with_listing(site, listing(site, a="running"))
    queue.hurry(queue.attach(a_job("a"), {"job_id": "a.0"}))
    run(queue, site, 3)
    assert len(site.commands("query")) >= 1
