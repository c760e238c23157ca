"""Tasks that may share a job gather while jobs like theirs wait for slots, and for what luigi will hand out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from b2luigi.batch.packs.lanes import GATHER, HOLD, PATIENT
from b2luigi.batch.packs.queue import PackingQueue
from b2luigi.batch.queue.ticket import Ticket
from tests.batch.packs.lane import IDLE, RUNNING, Site, members_of
from tests.waiting import until


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def busy(site: Site) -> tuple[Ticket, Ticket]:
    """Two jobs of 30 tasks of a second each: one that runs, and one that waits for a slot."""
    site.queue.learn("Work", 1.0)
    (running, _), (waiting, _) = site.pack(30, key="same"), site.pack(30, key="same")
    site.report(running, RUNNING)
    site.report(waiting, IDLE)
    return running, waiting


def formed(site: Site) -> list[int]:
    """The sizes of the jobs beside the two."""
    return [len(members_of(job)) for job in site.hand.tickets[2:]]


@pytest.mark.parametrize("more_to_come", [False, True])
def test_tasks_gather_while_jobs_like_theirs_wait_for_slots(
    site: Site, busy: tuple[Ticket, Ticket], more_to_come: bool
) -> None:
    """A job of their own would only wait as well."""
    for _ in range(5):
        site.submit(most=40, key="same")
        site.now += GATHER
        site.queue.step(more_to_come)
    assert formed(site) == []
    site.report(busy[1], RUNNING)
    site.wait(PATIENT)
    assert formed(site) == [5]


def test_a_job_whose_first_task_has_ended_waits_for_no_slot(site: Site, busy: tuple[Ticket, Ticket]) -> None:
    """The last answer of the batch system may be older."""
    site.end(next(iter(site.queue._under_way.packs[busy[1].spec.token].members.values())))
    site.submit(most=40, key="same")
    site.wait(PATIENT)
    assert formed(site) == [1]


def test_tasks_gather_no_longer_than_a_minute(site: Site, busy: tuple[Ticket, Ticket]) -> None:
    """Whatever the jobs wait for, it may be something else."""
    site.submit(most=40, key="same")
    site.wait(HOLD - 1)
    assert formed(site) == []
    site.wait(1)
    assert formed(site) == [1]


def test_a_job_that_is_full_waits_for_nothing(site: Site, busy: tuple[Ticket, Ticket]) -> None:
    """No other task could share it."""
    site.submit(40, most=40, key="same")
    site.queue.step()
    assert formed(site) == [40]


def test_jobs_of_another_kind_keep_no_task_waiting(site: Site, busy: tuple[Ticket, Ticket]) -> None:
    """They may wait for a GPU."""
    site.submit(most=40, key="other")
    site.wait(PATIENT)
    assert formed(site) == [1]


def test_a_job_that_is_held_keeps_no_task_waiting(site: Site, busy: tuple[Ticket, Ticket]) -> None:
    """It waits for a person."""
    site.report(busy[1], replace(IDLE, held=True))
    site.submit(most=40, key="same")
    site.wait(PATIENT)
    assert formed(site) == [1]


def test_tasks_go_out_before_the_slots_have_nothing_to_do(site: Site) -> None:
    """Some seconds before: the next jobs take a while to begin."""
    site.queue.learn("Work", 1.0)
    (running, members), (waiting, _) = site.pack(30, key="same"), site.pack(15, key="same")
    site.report(running, RUNNING)
    site.report(waiting, IDLE)
    site.submit(most=40, key="same")
    for begun, expected in ((members[:20], []), (members[20:26], [1])):
        site.begin(running, *begun)
        site.wait(PATIENT)  # learns of it
        site.wait(PATIENT)
        assert formed(site) == expected


def test_tasks_that_run_at_the_same_time_are_less_work_for_the_slots(site: Site) -> None:
    """Two jobs of 15 tasks, two at once, are done in 15 s."""
    site.queue.learn("Work", 1.0)
    for state in (RUNNING, IDLE):
        job, _ = site.pack(15, key="same", at_once=2)
        site.report(job, state)
    site.submit(most=40, key="same", at_once=2)
    site.wait(PATIENT)
    assert formed(site) == [1]


def test_a_job_goes_out_as_soon_as_it_is_full(site: Site, busy: tuple[Ticket, Ticket]) -> None:
    """Also one whose first tasks have gathered."""
    site.submit(most=40, key="same")
    site.wait(PATIENT)
    site.submit(39, most=40, key="same")
    site.queue.step()
    assert formed(site) == [40]


def test_what_does_not_fill_a_job_waits_for_the_tasks_that_come(tmp_path: Path) -> None:
    """luigi hands them out as soon as others are done."""
    site = Site(tmp_path)
    site.queue = PackingQueue(site.hand, clock=lambda: site.now, coming=lambda family: 100)
    site.queue.learn("Work", 1.0)
    site.submit(45, most=None)
    until(lambda: site.wait(PATIENT) or bool(site.hand.tickets), "a job is formed")
    assert [len(members_of(job)) for job in site.hand.tickets] == [20, 20]
