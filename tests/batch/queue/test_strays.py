"""Jobs of this project that no record mentions: found in one listing, and waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.strays import AGAIN, TRIES
from b2luigi.batch.systems.model import Answer
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import DOWN, run, warnings
from tests.batch.systems.recorded import a_job

MINE, STRAY = "aaaa111110000001", "aaaa111110000002"
"""Two attempts of one task."""
OTHER_TASK = "aaaa222220000000"
"""An attempt of another task of the same project."""


def counted_queue(site: Site, system: Fake | None = None, known: Callable[[], set[str]] = set) -> JobQueue:
    return JobQueue(system or Fake(), start=site.start, clock=site.clock, sleep=site.sleep, known=known)


def test_jobs_are_listed_once_before_the_first_submission(site: Site) -> None:
    """One command more in a run, however many jobs it submits; jobs of other projects are nobody's business."""
    site.jobs = {"7": ("running", "bbbb111110000000"), "8": ("running", "not one of ours"), "9": ("running", None)}
    queue = counted_queue(site)
    queue.submit(a_job(MINE))
    run(queue, site, 1)
    queue.submit(a_job(OTHER_TASK))
    run(queue, site, 3)
    assert [call.argv[0] for call in site.calls] == ["find", "submit", "submit"]


@pytest.mark.parametrize("label", [STRAY, f"{OTHER_TASK}[3]"], ids=["its own job", "an element of an array"])
def test_a_task_waits_for_a_job_without_a_record(site: Site, label: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is reported once, by its id; the task is submitted when that job has ended."""
    site.jobs = {"7": ("running", label)}
    queue = counted_queue(site)
    queue.submit(a_job(MINE))
    with caplog.at_level(logging.WARNING):
        run(queue, site, 100)
    assert site.commands("submit") == []
    (line,) = warnings(caplog)
    assert line.startswith("fake job 7 belongs to this project, and its record is gone")
    site.jobs = {"7": ("successful", label)}
    run(queue, site, 100)
    assert site.commands("submit") == [(MINE,)]


def test_a_task_waits_for_the_job_that_makes_its_input(site: Site) -> None:
    """Its output is there, and half-written."""
    site.jobs = {"7": ("running", OTHER_TASK)}
    queue = counted_queue(site)
    queue.submit(replace(a_job(MINE), kin_of_inputs=lambda: [OTHER_TASK[:9]]))
    run(queue, site, 30)
    assert site.commands("submit") == []


def test_jobs_of_other_tasks_keep_nobody_waiting(site: Site) -> None:
    """Nor do those that another run knows, or that this one follows."""
    site.jobs = {"7": ("running", OTHER_TASK), "8": ("running", STRAY), "9": ("running", f"{STRAY}[2]")}
    queue = counted_queue(site, known=lambda: {f"{STRAY}[2]"})
    queue.attach(a_job(STRAY), {"job_id": "8"})
    queue.submit(a_job(MINE))
    run(queue, site, 1)
    assert site.commands("submit") == [(MINE,)]


def test_a_job_of_this_run_is_no_stray(site: Site) -> None:
    """It is in the next listing, which another job without a record makes necessary."""
    site.jobs = {"7": ("running", STRAY)}
    queue = counted_queue(site)
    queue.submit(replace(a_job(OTHER_TASK), script=Path("/other")))
    queue.submit(a_job(MINE))
    run(queue, site, 30)
    assert site.commands("submit") == [(OTHER_TASK,)]
    del site.jobs["7"]
    run(queue, site, 70)
    assert site.commands("submit") == [(OTHER_TASK,), (MINE,)]


def test_a_system_that_lists_nothing_is_submitted_to_all_the_same(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After a few tries, and that is logged; a listing that takes too long is not asked for again."""
    site.replies["find"] = [DOWN] * TRIES
    queue = counted_queue(site)
    queue.submit(a_job(MINE))
    with caplog.at_level(logging.WARNING):
        run(queue, site, 4 * AGAIN)
    assert site.commands("submit") == [(MINE,)]
    assert any("does not list its jobs" in text for text in warnings(caplog))


def test_a_listing_that_takes_too_long_is_not_repeated(site: Site) -> None:
    """It was stopped after the setting command_timeout."""
    site.replies["find"] = [Answer(-9, "", "", timed_out=60.0)]
    queue = counted_queue(site)
    queue.submit(a_job(MINE))
    run(queue, site, 1)
    assert (site.commands("submit"), len(site.commands("find"))) == ([(MINE,)], 1)


def test_a_language_that_cannot_search_does_not_keep_jobs_waiting(site: Site) -> None:
    """One of somebody else's, with an error in it."""
    queue = counted_queue(site, Fake(broken=["find"]))
    queue.submit(a_job(MINE))
    run(queue, site, 4 * AGAIN)
    assert site.commands("submit") == [(MINE,)]


PACK = "aaaa000000000007"
"""A job of the same project that runs several tasks."""


def test_all_tasks_of_a_project_wait_for_a_job_of_several_tasks_without_a_record(site: Site) -> None:
    """Nobody knows on which it works; those of other projects do not care."""
    site.jobs = {"7": ("running", PACK)}
    queue = counted_queue(site)
    for token in (MINE, OTHER_TASK, "bbbb111110000001"):
        queue.submit(a_job(token, folder=f"/t/{token}"))
    run(queue, site, 10)
    assert site.commands("submit") == [("bbbb111110000001",)]
    site.jobs = {"7": ("successful", PACK)}
    run(queue, site, 100)
    assert sorted(token for call in site.commands("submit") for token in call) == [
        MINE,
        OTHER_TASK,
        "bbbb111110000001",
    ]


def test_a_job_of_several_tasks_waits_for_a_stray_of_any_of_them(site: Site) -> None:
    """And for one that makes an input of any of them."""
    site.jobs = {"7": ("running", STRAY)}
    queue = counted_queue(site)
    queue.submit(replace(a_job(PACK), kin_of_inputs=lambda: [OTHER_TASK[:9], MINE[:9]]))
    run(queue, site, 10)
    assert site.commands("submit") == []
