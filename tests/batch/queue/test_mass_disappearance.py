"""A JobQueue does not believe at once that all of its jobs are gone."""

from __future__ import annotations

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.mass_disappearance import DOUBT
from b2luigi.batch.queue.poller import FIRST
from b2luigi.batch.queue.presence import SECOND_LOOK
from tests.batch.fakes import Site
from tests.batch.queue.helpers import POLL, run, seen, warnings


@pytest.mark.parametrize("tokens", ["ab", "abc"])
def test_all_jobs_gone_at_once_is_not_believed_for_a_while(
    tokens: str, queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A daemon under load, or just restarted, that says "no jobs" while they live: nothing is judged; logged once."""
    tickets = seen(queue, site, *tokens)
    kept, asked = dict(site.jobs), len(site.commands("query"))
    site.jobs.clear()
    run(queue, site, DOUBT - POLL, every=1)
    assert [ticket.is_gone for ticket in tickets] == [False] * len(tokens)
    assert len(site.commands("query")) - asked < DOUBT / POLL * 2
    site.jobs.update(kept)
    run(queue, site, POLL + 1)
    assert [ticket.absent for ticket in tickets] == [0] * len(tokens)
    first, last = warnings(caplog)
    assert f"fake suddenly lists none of {len(tokens)} jobs" in first
    assert "fake lists jobs again after" in last


def test_one_job_gone_is_believed(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The only job of a run leaves with every run."""
    (ticket,) = seen(queue, site, "a")
    site.jobs.clear()
    run(queue, site, POLL)
    assert ticket.is_gone
    assert warnings(caplog) == []


def test_all_jobs_gone_at_once_is_believed_in_the_end(queue: JobQueue, site: Site) -> None:
    """Somebody may have cancelled them all while they waited, without a trace."""
    tickets = seen(queue, site, *"ab")
    site.jobs.clear()
    news = run(queue, site, DOUBT + 2 * POLL + SECOND_LOOK, every=1)
    assert [ticket.is_gone for ticket in tickets] == [True] * 2
    assert set(news) == set(tickets)


def test_jobs_gone_one_after_the_other_are_believed(queue: JobQueue, site: Site) -> None:
    """The last of them is no other case than the first."""
    first, second = seen(queue, site, *"ab")
    site.jobs.pop("#a")
    run(queue, site, 2 * POLL)
    assert (first.is_gone, second.is_gone) == (True, False)
    site.jobs.clear()
    run(queue, site, 2 * POLL)
    assert second.is_gone


def test_others_that_are_shown_prove_that_jobs_are_gone(queue: JobQueue, site: Site) -> None:
    """The batch system knows a job that came later, so its answers are whole."""
    tickets = seen(queue, site, *"ab")
    site.jobs.clear()
    run(queue, site, POLL)
    seen(queue, site, "c")
    run(queue, site, 2 * POLL)
    assert [ticket.is_gone for ticket in tickets] == [True] * 2


def test_killed_jobs_that_left_markers_are_believed_to_be_gone(queue: JobQueue, site: Site) -> None:
    """Their scripts left a marker: all of them cancelled by hand, say."""
    tickets = seen(queue, site, *"ab")
    site.jobs.clear()
    for ticket in tickets:
        queue.hurry(ticket)
    run(queue, site, FIRST + SECOND_LOOK)
    assert [ticket.is_gone for ticket in tickets] == [True] * 2
