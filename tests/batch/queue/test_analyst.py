"""Jobs that cannot start: named once for each kind, rarely, in the words of the batch system."""

from __future__ import annotations

import pytest

from b2luigi.batch.queue.analyst import PAUSE, PENDING
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.systems.model import Answer, Command
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import a_queue, run, submit, warnings


class Analysing(Fake):
    """A system that can say why a job does not start."""

    def analyse(self, job_id: str) -> Command | None:
        return Command(("analyse", job_id))

    def parse_analysis(self, answer: Answer) -> str:
        return "No machine has so much memory."


@pytest.fixture
def queue(site: Site) -> JobQueue:
    return a_queue(site, Analysing())


def test_a_job_that_cannot_start_is_named_within_two_minutes(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """With its id and the reason, once."""
    submit(queue, "a")
    run(queue, site, 119, every=1)
    named = [text for text in warnings(caplog) if "has not started" in text]
    assert len(named) == 1
    assert "job #a" in named[0]
    assert "No machine has so much memory." in named[0]
    run(queue, site, 10 * PAUSE, every=10)
    assert site.commands("analyse") == [("#a",)]


def test_each_kind_of_job_is_analysed_but_not_at_once(queue: JobQueue, site: Site) -> None:
    """An analysis costs the batch system a lot: one in ten minutes."""
    for memory in (1, 2):
        submit(queue, f"{memory}a", f"{memory}b", memory=memory)
    run(queue, site, PENDING + 20 * PAUSE, every=5)
    moments = site.times("analyse")
    assert [words[0][:2] for words in site.commands("analyse")] == ["#1", "#2"]
    assert moments[1] - moments[0] >= PAUSE


@pytest.mark.parametrize("state", ["running", "successful"])
def test_jobs_that_do_not_wait_are_not_analysed(queue: JobQueue, site: Site, state: str) -> None:
    """They have started."""
    submit(queue, "a")
    run(queue, site, 1)
    site.jobs["#a"] = (state, "a")
    run(queue, site, 300, every=1)
    assert site.commands("analyse") == []


def test_an_analysis_that_fails_harms_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """It is only advice."""

    class Broken(Analysing):
        def parse_analysis(self, answer: Answer) -> str:
            raise KeyError("broken")

    queue = a_queue(site, Broken())
    (ticket,) = submit(queue, "a")
    run(queue, site, 300, every=1)
    assert ticket.job_id == "#a"
    assert warnings(caplog) == []


def test_a_system_without_an_analysis_is_not_asked(site: Site) -> None:
    """A language of somebody else's need not know any."""
    queue = a_queue(site)
    submit(queue, "a")
    run(queue, site, 300, every=1)
    assert site.commands("analyse") == []
