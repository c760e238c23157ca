"""JobQueue as a whole: the order of its steps, its end, broken languages, and jobs of an earlier run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.poller import FIRST
from b2luigi.batch.queue.search import SEARCHES
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import Answer, JobStatus
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import DOWN, a_queue, run, submit, submitted, unsure, warnings
from tests.batch.systems.recorded import a_job
from tests.present import present


def test_the_loop_never_waits(site: Site) -> None:
    """A step returns while all its commands hang, and time does not pass in it."""
    site.hang = {"submit", "query", "cancel", "find", "history"}
    queue = a_queue(site)
    submit(queue, "a")
    assert run(queue, site, 0) == []
    assert site.now == 1000.0


def test_a_new_attempt_waits_until_the_old_one_is_cancelled(queue: JobQueue, site: Site) -> None:
    """Two jobs of one task must not run at once, however slow the batch system cancels; other jobs do not wait."""
    (old,) = submitted(queue, "old")
    site.hang = {"cancel"}
    queue.cancel([old])
    new = queue.submit(replace(a_job("new"), script=old.spec.script))
    other = queue.submit(replace(a_job("other"), script=Path("/another/script.sh")))
    run(queue, site, 20)
    assert (new.job_id, other.job_id) == (None, "#other")
    site.hang = set()
    site.answer(next(call for call in site.calls if call.argv[0] == "cancel"))
    run(queue, site, 2)
    assert new.job_id == "#new"


# -- the end


def test_close_cancels_all(queue: JobQueue, site: Site) -> None:
    """At the end all jobs are cancelled, and none is left."""
    submitted(queue, "a", "b")
    assert queue.close(60) == []
    assert site.jobs == {}
    assert site.now < 1001


def test_close_sends_nothing_new(queue: JobQueue, site: Site) -> None:
    """Jobs that were not sent yet are forgotten."""
    submit(queue, "a")
    assert queue.close(60) == []
    assert site.calls == []


def test_close_waits_for_submissions(site: Site) -> None:
    """A submission under way is waited for, so that its jobs can be cancelled."""
    queue = a_queue(site)
    site.hang = {"submit"}
    submit(queue, "a")
    queue.step()
    site.events.append((site.now + 5, lambda: site.answer(site.calls[0])))
    assert queue.close(60) == []
    assert site.commands("cancel") == [("#a",)]


def test_close_does_not_wait_for_ever(queue: JobQueue, site: Site) -> None:
    """When patience ends, jobs whose submission or cancellation did not answer are returned."""
    (known,) = submitted(queue, "a")
    site.hang = {"submit", "cancel"}
    (hanging,) = submit(queue, "b")
    queue.step()
    assert set(queue.close(30)) == {known, hanging}
    assert site.now == pytest.approx(1030, abs=1)


def test_close_returns_jobs_whose_cancellation_was_refused(queue: JobQueue, site: Site) -> None:
    """Jobs that the batch system does not cancel are returned as soon as that is certain."""
    tickets = submitted(queue, "a")
    site.replies["cancel"] = [Answer(1, "", "no")] * 100
    assert queue.close(60) == tickets
    assert site.now < 1060


def test_close_survives_a_short_outage(queue: JobQueue, site: Site) -> None:
    """A daemon that is back within seconds gets the cancellation."""
    submitted(queue, "a")
    site.replies["cancel"] = [DOWN]
    assert queue.close(60) == []
    assert site.jobs == {}


def test_close_looks_for_jobs_in_doubt(queue: JobQueue, site: Site) -> None:
    """A job that may have been taken is looked for and cancelled."""
    unsure(queue, site, "a")
    site.jobs = {"7": ("running", "a")}
    assert queue.close(60) == []
    assert site.commands("cancel") == [("7",)]


def test_close_returns_what_it_cannot_find(queue: JobQueue, site: Site) -> None:
    """A job in doubt is returned when the batch system does not answer; patience is not wasted on it."""
    tickets = unsure(queue, site, "a")
    site.replies["find"] = [DOWN] * 100
    assert queue.close(60) == tickets
    assert site.now < 1010


def test_close_with_a_query_that_hangs(queue: JobQueue, site: Site) -> None:
    """A query that hangs does not keep jobs in doubt from being found."""
    submitted(queue, "b")
    site.hang = {"query"}
    run(queue, site, FIRST + 1)
    unsure(queue, site, "a")
    site.jobs["7"] = ("running", "a")
    assert queue.close(60) == []
    assert site.jobs == {}


def test_close_drops_postponed_jobs(queue: JobQueue, site: Site) -> None:
    """A submission whose answer is "later" at the end is not repeated."""
    site.hang = {"submit"}
    submit(queue, "a")
    queue.step()
    site.answer(site.calls[0], [("later", "full")])
    assert queue.close(60) == []
    assert len(site.commands("submit")) == 1


def test_nothing_to_close(queue: JobQueue, site: Site) -> None:
    """Without jobs the end takes no time and no command."""
    assert queue.close(60) == []
    assert (site.calls, site.now) == ([], 1000.0)


def test_a_cancelled_job_that_is_never_found_is_returned_at_the_end(queue: JobQueue, site: Site) -> None:
    """It may be in the batch system: somebody has to look."""
    site.replies["submit"] = [[("unsure", "lost reply")]]
    (ticket,) = submit(queue, "a")
    run(queue, site, 1)
    queue.cancel([ticket])
    queue.release(ticket)
    assert queue.close(60) == [ticket]


def test_the_end_of_a_run_waits_for_no_company(queue: JobQueue, site: Site) -> None:
    """What is left to be cancelled goes out at once."""
    (ticket,) = submitted(queue, "a")
    queue.release(ticket)
    queue.cancel([ticket], soon=False)
    begin = site.now
    assert queue.close(60) == []
    assert site.commands("cancel") == [("#a",)]
    assert site.now - begin < 1


def test_the_user_may_be_in_a_hurry(queue: JobQueue, site: Site) -> None:
    """A second Ctrl-C: what is not known to be gone is returned."""
    tickets = submitted(queue, "a")
    site.hang.add("cancel")
    assert queue.close(60, lambda: site.now > 1003) == tickets
    assert site.now < 1010


def test_what_waits_is_not_submitted_after_leaving(queue: JobQueue, site: Site) -> None:
    """Neither jobs that were handed in, nor the rest of a group that was refused as a whole."""
    site.replies["submit"] = [[("refused", "no")] * 4]
    submit(queue, *"abcd")
    queue.step()
    site.hang = {"submit"}
    queue.step()
    submit(queue, "e", site="another")
    queue.leave(1)
    site.answer(site.calls[-1])
    run(queue, site, 10)
    assert site.commands("submit") == [tuple("abcd"), ("a", "b")]


def test_leaving_waits_for_submissions_under_way(queue: JobQueue, site: Site) -> None:
    """Their ids are to be noted; what was not sent yet is not sent."""
    site.hang.add("submit")
    (first,) = submit(queue, "a")
    queue.step()
    (second,) = submit(queue, "b")
    site.events.append((site.now + 1, lambda: site.answer(site.calls[0])))
    queue.leave(10)
    assert (first.job_id, second.job_id, second.state) == ("#a", None, TicketState.waiting)
    assert site.commands("cancel") == []


# -- languages of somebody else


@pytest.mark.parametrize(
    "broken", ["submit", "parse_submit", "query", "parse_query", "cancel", "parse_cancel", "find", "history"]
)
def test_a_broken_language_breaks_nothing(site: Site, broken: str) -> None:
    """No method that raises gets out of the queue, at no time."""
    queue = a_queue(site, Fake(broken=[broken]))
    site.replies["submit"] = [[("unsure", "connection reset")]]
    tickets = submit(queue, "a")
    run(queue, site, 2)
    tickets += submit(queue, "b", "c")
    run(queue, site, FIRST + 5)
    site.jobs.clear()
    run(queue, site, 200)
    queue.cancel(tickets[:2])
    run(queue, site, 60)
    assert isinstance(queue.close(60), list)


@pytest.mark.parametrize("broken", ["submit", "parse_submit", "cancel", "parse_cancel", "find"])
def test_the_error_of_a_language_is_reported(site: Site, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a language raised is reported, in the log or as the reason of the refusal."""
    queue = a_queue(site, Fake(broken=[broken]))
    if broken == "find":
        site.replies["submit"] = [[("unsure", "connection reset")]]
    (ticket,) = submit(queue, "a")
    run(queue, site, 30)
    queue.cancel([ticket])
    run(queue, site, 300)
    assert f"{broken} is broken" in "\n".join([*warnings(caplog), ticket.reason])


def test_a_job_that_cannot_be_searched_for(site: Site) -> None:
    """A search that the language cannot even make ends: otherwise its run would never end."""
    queue = a_queue(site, Fake(broken=["find"]))
    (ticket,) = unsure(queue, site, "a")
    run(queue, site, 600, every=1)
    assert "find is broken" in ticket.reason


@pytest.mark.parametrize("known", [None, 7, {"#a": None}, {7: "x"}, ["#a"]])
def test_an_answer_of_another_kind_is_none(site: Site, known: Any) -> None:
    """What is no mapping of ids to states does not make a job absent."""

    class Odd(Fake):
        def parse_query(self, answer: Answer) -> Any:
            return known

    queue = a_queue(site, Odd())
    (ticket,) = submitted(queue, "a")
    run(queue, site, 300, every=1)
    assert (ticket.absent, ticket.info) == (0, None)


def test_a_program_that_cannot_be_started(site: Site) -> None:
    """A command that nobody can start (a NUL in a word) fails its own jobs."""

    def start(command: Any) -> Any:
        if "bad" in command.argv:
            raise ValueError("embedded null byte")
        return site.start(command)

    queue = JobQueue(Fake(bulk=1), start=start, clock=site.clock, sleep=site.sleep)
    bad, good = submit(queue, "bad", "good")
    run(queue, site, 1)
    assert "embedded null byte" in bad.reason
    assert good.job_id == "#good"


# -- jobs of an earlier run


def test_a_job_whose_id_was_noted_is_asked_about_soon(queue: JobQueue, site: Site) -> None:
    """It may have ended long ago."""
    site.jobs = {"7": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    run(queue, site, 3)
    assert (ticket.job_id, present(ticket.info).status) == ("7", JobStatus.running)
    assert site.commands("submit") == []


def test_a_job_whose_id_was_not_noted_is_looked_for_by_its_mark(queue: JobQueue, site: Site) -> None:
    """In an array that is another word than its token."""
    site.jobs = {"7_3": ("running", "first_3"), "8": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"mark": "first_3"})
    run(queue, site, 20)
    assert (ticket.job_id, present(ticket.info).status) == ("7_3", JobStatus.running)
    assert site.commands("submit") == []


def test_a_job_that_is_nowhere_is_refused_in_the_end(queue: JobQueue, site: Site) -> None:
    """It was not submitted when its run was killed."""
    ticket = queue.attach(a_job("a"), {})
    run(queue, site, 60)
    assert ticket.state is TicketState.not_found
    assert len(site.commands("find")) == SEARCHES


def test_how_to_find_a_job_is_on_disk_before_it_is_sent(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that cannot be written keeps the job from being sent, until it can; the disk is blamed for that."""
    full, seen = True, []

    def note(ticket: Ticket) -> None:
        seen.append(len(site.commands("submit")))
        if full:
            raise OSError("No space left on device")

    (ticket,) = submit(queue, "a")
    ticket.before_sending = note
    queue.step()
    queue.step()
    assert (seen, site.commands("submit"), ticket.state) == ([0], [], TicketState.waiting)
    full = False
    run(queue, site, 10)
    assert (seen, site.commands("submit"), ticket.state) == ([0, 0], [("a",)], TicketState.queued)
    first, last = warnings(caplog)
    assert "Cannot write the records of fake jobs" in first
    assert "No space left on device" in first
    assert "Records of fake jobs can be written again after" in last


def test_jobs_of_another_run_are_not_cancelled(queue: JobQueue, site: Site) -> None:
    """A job that is left to another run is no job of this one, even at its end."""
    site.jobs = {"7": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    queue.detach(ticket)
    run(queue, site, 5)
    assert queue.close(10) == []
    assert site.commands("cancel") == []


def test_a_new_attempt_waits_for_the_search_for_the_one_before(queue: JobQueue, site: Site) -> None:
    """A run was killed while it submitted the job: it may be there, and write the same outputs."""
    former = queue.attach(a_job("a"), {})
    heard: list[str] = []
    queue.cancel_then(former, lambda: heard.append("over"))
    queue.release(former)
    queue.submit(replace(a_job("b"), script=former.spec.script))
    run(queue, site, 4)
    assert (site.commands("submit"), heard) == ([], [])
    run(queue, site, 60)
    assert (site.commands("submit"), heard) == ([("b",)], ["over"])


@pytest.mark.parametrize("job_id", ["-u root", "--user=root", "7 8", "", "a;b", "7\n8", None, ["7"]])
def test_an_id_that_is_none_is_not_believed(queue: JobQueue, site: Site, job_id: object) -> None:
    """It would become a word of a command that cancels jobs."""
    ticket = queue.attach(a_job("a"), {"job_id": job_id})
    queue.cancel([ticket])
    run(queue, site, 40)
    assert site.commands("cancel") == []
