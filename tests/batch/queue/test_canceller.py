"""How a JobQueue cancels its jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from b2luigi.batch.queue.canceller import TRIES
from b2luigi.batch.queue.command import fits
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.ticket import TicketState
from b2luigi.batch.systems.model import Answer, Command
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import a_queue, run, submit, submitted, unsure, warnings
from tests.batch.systems.recorded import a_job


def test_one_command_for_many(queue: JobQueue, site: Site) -> None:
    """All jobs are cancelled in one command."""
    queue.cancel(submitted(queue, *"abc"))
    queue.step()
    assert site.commands("cancel") == [("#a", "#b", "#c")]


def test_whoever_waits_for_the_end_of_a_job_hears_that_the_cancellation_was_taken(queue: JobQueue, site: Site) -> None:
    """Not while it is under way, and not if it was turned down."""
    site.replies["cancel"] = [Answer(1, "", "the daemon is down")]
    (ticket,) = submitted(queue, "a")
    heard: list[float] = []
    queue.cancel_then(ticket, lambda: heard.append(site.now))
    run(queue, site, 3)
    assert (heard, ticket.is_over) == ([], False)
    run(queue, site, 30)
    assert (len(heard), ticket.is_over) == (1, True)


def test_cancelled_twice_is_cancelled_once(queue: JobQueue, site: Site) -> None:
    """A second wish changes nothing."""
    tickets = submitted(queue, "a")
    queue.cancel(tickets)
    queue.cancel(tickets)
    run(queue, site, 5)
    queue.cancel(tickets)
    run(queue, site, 5)
    assert site.commands("cancel") == [("#a",)]


def test_cancelled_before_it_was_sent(queue: JobQueue, site: Site) -> None:
    """A job that waits in our own queue never goes out."""
    first, _ = submit(queue, "a", "b")
    queue.cancel([first])
    run(queue, site, 5)
    assert site.commands("submit") == [("b",)]
    assert site.commands("cancel") == []


def test_all_cancelled_before_they_were_sent(queue: JobQueue, site: Site) -> None:
    """No command is made for no jobs."""
    queue.cancel(submit(queue, "a", "b"))
    run(queue, site, 5)
    assert site.calls == []


def test_cancelled_while_its_submission_is_postponed(queue: JobQueue, site: Site) -> None:
    """A job that got "later" for an answer and is not wanted any more is not sent again."""
    site.replies["submit"] = [[("later", "full")]]
    tickets = submit(queue, "a")
    run(queue, site, 1)
    queue.cancel(tickets)
    run(queue, site, 60)
    assert len(site.commands("submit")) == 1


@pytest.mark.parametrize("released", [False, True])
def test_cancelled_before_its_id_is_known(queue: JobQueue, site: Site, released: bool) -> None:
    """A job is cancelled as soon as its id is read, also if nobody waits for it any more."""
    site.hang = {"submit"}
    (ticket,) = submit(queue, "a")
    queue.step()
    queue.cancel([ticket])
    if released:
        queue.release(ticket)
    run(queue, site, 1)
    assert site.commands("cancel") == []
    site.answer(site.calls[0])
    run(queue, site, 1)
    assert site.commands("cancel") == [("#a",)]


def test_cancelled_before_its_submission_is_in_doubt(queue: JobQueue, site: Site) -> None:
    """A job that was cancelled and judged while its submit command hung is searched for and cancelled all the same."""
    site.hang = {"submit"}
    (ticket,) = submit(queue, "a")
    queue.step()
    queue.cancel([ticket])
    queue.release(ticket)
    site.jobs = {"7": ("running", "a")}
    site.answer(site.calls[0], [("unsure", "connection reset")])
    run(queue, site, 5)
    assert site.commands("cancel") == [("7",)]


def test_one_command_at_a_time(queue: JobQueue, site: Site) -> None:
    """While a cancellation hangs, those that follow are collected for the next command."""
    tickets = submitted(queue, *"abc")
    site.hang = {"cancel"}
    for ticket in tickets:
        queue.cancel([ticket])
        run(queue, site, 5)
    assert site.commands("cancel") == [("#a",)]
    site.answer(next(call for call in site.calls if call.argv[0] == "cancel"))
    run(queue, site, 1)
    assert site.commands("cancel") == [("#a",), ("#b", "#c")]


@pytest.mark.parametrize("released", [False, True])
def test_cancelled_while_in_doubt(queue: JobQueue, site: Site, released: bool) -> None:
    """A job in doubt that was cancelled is looked for and then cancelled, also if nobody waits for it."""
    (ticket,) = unsure(queue, site, "a")
    site.jobs = {"7": ("running", "a")}
    queue.cancel([ticket])
    if released:
        queue.release(ticket)
    run(queue, site, 5)
    assert site.commands("cancel") == [("7",)]


def test_a_released_job_is_not_asked_for(queue: JobQueue, site: Site) -> None:
    """A job cancelled and judged before its id was read does not keep the queue asking."""
    site.hang = {"submit"}
    (ticket,) = submit(queue, "a")
    queue.step()
    queue.cancel([ticket])
    queue.release(ticket)
    site.answer(site.calls[0])
    run(queue, site, 300, every=1)
    assert site.commands("query") == []


def test_a_refused_cancellation_is_repeated(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation that fails for a while is sent again, after a pause, and nothing is logged."""
    site.replies["cancel"] = [Answer(1, "", "the daemon is down")]
    queue.cancel(submitted(queue, "a", "b"))
    run(queue, site, 60)
    assert site.commands("cancel") == [("#a", "#b")] * 2
    first, second = site.times("cancel")
    assert second - first >= 5
    assert warnings(caplog) == []


def test_a_cancellation_given_up_is_logged(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After a few tries the log says which jobs are left, and why, and they are returned."""
    site.replies["cancel"] = [Answer(1, "", "permission denied")] * 100
    tickets = submitted(queue, "a", "b")
    queue.cancel(tickets)
    run(queue, site, 600, every=1)
    assert len(site.commands("cancel")) == TRIES
    (line,) = warnings(caplog)
    assert "#a #b" in line
    assert "permission denied" in line
    assert queue.close(60) == tickets


def test_jobs_that_only_must_not_run_again_are_cancelled_together(queue: JobQueue, site: Site) -> None:
    """Failures come one by one, and cost no command each; the end of the run does not wait for more of them."""
    tickets = submitted(queue, *"abcdef")
    for ticket in tickets[:4]:
        queue.release(ticket)
        queue.cancel([ticket], soon=False)
        run(queue, site, 1)
    run(queue, site, 10)
    assert site.commands("cancel") == [("#a", "#b", "#c", "#d")]
    queue.cancel([tickets[4]], soon=False)
    run(queue, site, 1)
    assert len(site.commands("cancel")) == 1
    queue.cancel([tickets[5]])
    run(queue, site, 1)
    assert site.commands("cancel")[1:] == [("#e", "#f")]


def test_more_jobs_than_one_command_can_name_are_cancelled_in_portions(site: Site) -> None:
    """Linux starts no command of any length (E2BIG)."""
    queue = a_queue(site, Fake(bulk=1000))
    tokens = [f"{n:016x}" + "f" * 4000 for n in range(500)]
    tickets = submit(queue, *tokens)
    run(queue, site, 5)
    queue.cancel(tickets)
    run(queue, site, 20)
    assert all(ticket.state is TicketState.ended for ticket in tickets)
    assert all(fits(Command(("cancel", *words))) for words in site.commands("cancel"))
    assert sorted(word for words in site.commands("cancel") for word in words) == [f"#{token}" for token in tokens]


def test_a_new_attempt_waits_however_often_a_cancellation_fails(queue: JobQueue, site: Site) -> None:
    """Two jobs of one task must not run at once: the cancellation is reported, and tried until it works."""
    (old,) = submitted(queue, "a")
    site.replies["cancel"] = [Answer(1, "", "the daemon restarts")] * 6
    queue.cancel_then(old, lambda: None)
    queue.release(old)
    (new,) = [queue.submit(replace(a_job("b"), script=old.spec.script))]
    run(queue, site, 60)
    assert (old.is_over, new.job_id) == (False, None)
    run(queue, site, 400)
    assert (old.is_over, new.job_id) == (True, "#b")
