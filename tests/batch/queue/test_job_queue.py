"""JobQueue, with a batch system that the test plays and a clock that it turns."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.queue.canceller import TRIES
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.mass_disappearance import DOUBT
from b2luigi.batch.queue.poller import FIRST, SEARCHES, SECOND_LOOK
from b2luigi.batch.queue.submitter import AT_ONCE
from b2luigi.batch.queue.ticket import Ticket
from b2luigi.batch.systems.model import Answer, JobStatus
from tests.batch.fakes import Fake, Site
from tests.batch.systems.recorded import a_job

DOWN = Answer(1, "", "the daemon is down")
POLL = 60.0


@pytest.fixture
def site() -> Site:
    return Site(now=1000.0)


@pytest.fixture
def queue(site: Site) -> JobQueue:
    return a_queue(site)


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


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- submissions


def test_nothing_is_sent_before_the_step(queue: JobQueue, site: Site) -> None:
    """A job handed in waits for those that come in the same pass."""
    submit(queue, "a", "b")
    assert site.calls == []
    queue.step()
    assert site.said("submit") == [("a", "b")]


@pytest.mark.parametrize(("jobs", "told"), [(1, "1 job to fake: #0"), (1200, "1,200 jobs to fake: #0 to #1199")])
def test_a_submission_is_told_once(jobs: int, told: str, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """How many jobs, where, and how they are called there: a line for each pass, however many jobs go out in it."""
    caplog.set_level(logging.INFO)
    queue = a_queue(site, Fake(bulk=500))
    submit(queue, *map(str, range(jobs)))
    run(queue, site, 5)
    assert caplog.messages == [f"Submitted {told}"]


def test_jobs_that_were_not_taken_are_not_told_as_submitted(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Only those that have an id count."""
    caplog.set_level(logging.INFO)
    site.replies["submit"] = [[("accepted", "1"), ("refused", "no"), ("accepted", "3")]]
    submit(queue, "a", "b", "c")
    run(queue, site, 1)
    assert caplog.messages == ["Submitted 2 jobs to fake: 1 to 3"]


def test_ids_come_with_the_news(queue: JobQueue) -> None:
    """A step returns the jobs whose ids were read, each with its own."""
    tickets = submit(queue, "a", "b")
    assert queue.step() == []
    assert queue.step() == tickets
    assert [ticket.job_id for ticket in tickets] == ["#a", "#b"]
    assert queue.step() == []


def test_bulk_is_not_exceeded(site: Site) -> None:
    """One submission holds as many jobs as the system takes, in the order in which they came."""
    queue = a_queue(site, Fake(bulk=2))
    submit(queue, *"abcde")
    queue.step()
    assert site.said("submit") == [("a", "b"), ("c", "d"), ("e",)]


def test_unequal_options_go_apart(queue: JobQueue, site: Site) -> None:
    """Jobs with equal options go together, even if others were handed in between."""
    submit(queue, "a", memory=1)
    submit(queue, "b", memory=2)
    submit(queue, "c", memory=1)
    queue.step()
    assert site.said("submit") == [("a", "c"), ("b",)]


def test_a_few_commands_at_once(site: Site) -> None:
    """Only a few submissions are under way; each that answers makes room for the next."""
    site.hang = {"submit"}
    queue = a_queue(site, Fake(bulk=1))
    submit(queue, *"abcdefgh")
    queue.step()
    assert len(site.calls) == AT_ONCE
    site.answer(site.calls[1])
    queue.step()
    assert site.said("submit")[AT_ONCE:] == [("e",)]


def test_the_loop_never_waits(site: Site) -> None:
    """A step returns while all its commands hang, and time does not pass in it."""
    site.hang = {"submit", "query", "cancel", "find", "history"}
    queue = a_queue(site)
    submit(queue, "a")
    assert run(queue, site, 0) == []
    assert site.now == 1000.0


def test_refused_jobs_fail_alone(queue: JobQueue, site: Site) -> None:
    """A refusal concerns exactly its jobs, and is told in the words of the system."""
    site.replies["submit"] = [[("accepted", "1"), ("refused", "no such queue"), ("accepted", "3")]]
    first, second, third = submit(queue, *"abc")
    queue.step()
    assert queue.step() == [first, second, third]
    assert (first.job_id, second.job_id, third.job_id) == ("1", None, "3")
    assert (first.refused, second.refused, third.refused) == ("", "no such queue", "")


def test_a_refused_job_is_not_sent_again(queue: JobQueue, site: Site) -> None:
    """A refusal is for good."""
    site.replies["submit"] = [[("refused", "no")]]
    submit(queue, "a")
    run(queue, site, 300, every=5)
    assert len(site.calls) == 1


def test_try_later_backs_off(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A job not taken now is sent again, each time later, and gets its id when the system takes it."""
    site.replies["submit"] = [[("later", "full")]] * 6
    (ticket,) = submit(queue, "a")
    run(queue, site, 400)
    waits = [after - before for before, after in pairwise(site.times("submit"))]
    assert waits == pytest.approx([5, 10, 20, 40, 60, 60], abs=1)
    assert (ticket.job_id, ticket.refused) == ("#a", "")
    assert "full" in warnings(caplog)[0]


def test_ten_minutes_without_submissions_are_told_once(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The job waits, however long it takes; one line at the beginning, one when it is over, and it goes once."""
    site.replies["submit"] = [[("later", "too many jobs")]] * 1000
    tickets = submit(queue, "a")
    run(queue, site, 600, every=1)
    assert not any(ticket.job_id or ticket.refused or ticket.doubt for ticket in tickets)
    site.replies["submit"] = []
    run(queue, site, 100, every=1)
    assert all(ticket.job_id for ticket in tickets)
    assert sorted(site.jobs) == ["#a"]
    first, last = warnings(caplog)
    assert "takes no jobs now" in first
    assert "too many jobs" in first
    assert "takes jobs again after" in last


def test_a_submit_command_that_this_machine_could_not_start_is_sent_again(queue: JobQueue, site: Site) -> None:
    """No memory, no process, no file left: that is no word of the batch system."""
    site.replies["submit"] = [Answer(126, "", "bsub: Too many open files", started=False)]
    (ticket,) = submit(queue, "a")
    run(queue, site, 20)
    assert (ticket.job_id, ticket.refused, ticket.doubt) == ("#a", "", "")
    assert len(site.said("submit")) == 2


def test_a_query_that_this_machine_could_not_start_changes_nothing(queue: JobQueue, site: Site) -> None:
    """It is asked again."""
    (ticket,) = submit(queue, "a")
    run(queue, site, 5)
    site.replies["query"] = [Answer(126, "", "bjobs: Too many open files", started=False)] * 2
    run(queue, site, 300)
    assert (ticket.absent, ticket.info is not None) == (0, True)


def test_success_ends_the_back_off(queue: JobQueue, site: Site) -> None:
    """After a success the next wait is short again."""
    site.replies["submit"] = [[("later", "full")]] * 4
    submit(queue, "a")
    run(queue, site, 100)
    site.replies["submit"] = [[("later", "full")]]
    (late,) = submit(queue, "b")
    run(queue, site, 6)
    assert late.job_id == "#b"


def test_only_those_that_were_not_taken_are_sent_again(queue: JobQueue, site: Site) -> None:
    """Of a submission that was taken in part the rest is repeated."""
    site.replies["submit"] = [[("accepted", "1"), ("later", "full")]]
    submit(queue, "a", "b")
    run(queue, site, 10)
    assert site.said("submit") == [("a", "b"), ("b",)]


def test_a_limit_of_the_site_is_found(site: Site) -> None:
    """A submission larger than the site allows gets smaller until it fits, so that no job waits for ever."""
    queue, allowed = a_queue(site, Fake(bulk=100)), 30
    site.hang = {"submit"}
    tickets = submit(queue, *(f"t{n}" for n in range(100)))
    for _ in range(400):
        for call in site.calls:
            if call.argv[0] == "submit" and call.answer is None:
                words = call.argv[1:]
                site.answer(call, [("later", "MAX_JOBS")] * len(words) if len(words) > allowed else None)
        run(queue, site, 1, every=1)
    assert all(ticket.job_id for ticket in tickets)


def test_one_limit_does_not_make_all_later_submissions_small(site: Site) -> None:
    """After it was told "later" once, a run finds its way back to submissions of many jobs."""
    queue = a_queue(site, Fake(bulk=100))
    site.replies["submit"] = [[("later", "the daemon starts")]]
    submit(queue, "first")
    run(queue, site, 20)
    tickets = submit(queue, *(f"j{n}" for n in range(200)))
    run(queue, site, 30)
    assert all(ticket.job_id for ticket in tickets)
    assert len(site.said("submit")) <= 12


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


@pytest.mark.parametrize("bulk", [1, 2])
def test_a_full_queue_does_not_stop_the_others(site: Site, bulk: int) -> None:
    """Jobs that are told "later" again and again let those of other options pass."""
    queue = a_queue(site, Fake(bulk=bulk))
    site.hang = {"submit"}
    full = submit(queue, *(f"f{n}" for n in range(4 * AT_ONCE)), site="full")
    (other,) = submit(queue, "other", site="free")
    for _ in range(160):
        run(queue, site, 1, every=1)
        for call in site.calls:
            if call.argv[0] == "submit" and call.answer is None:
                site.answer(call, [("later", "full")] * (len(call.argv) - 1) if call.argv[1] != "other" else None)
    assert other.job_id == "#other"
    assert not any(ticket.job_id for ticket in full)


@pytest.mark.parametrize(
    "stdout", ["[]", '[["accepted", "1"], ["accepted", "2"]]', '[["odd", "1"]]', "null", "7", "garbage"]
)
def test_results_that_do_not_fit_are_unsure(queue: JobQueue, site: Site, stdout: str) -> None:
    """A language that returns too few results, too many or none leaves its jobs in doubt, not in ruins."""
    site.replies["submit"] = [Answer(0, stdout, "")]
    (ticket,) = submit(queue, "a")
    queue.step()
    assert queue.step() == []
    assert (ticket.job_id, ticket.refused) == (None, "")


# -- doubt


def unsure(queue: JobQueue, site: Site, *tokens: str) -> list[Ticket]:
    site.replies["submit"] = [[("unsure", "connection reset")] * len(tokens)]
    tickets = submit(queue, *tokens)
    queue.step()
    queue.step()
    return tickets


def test_a_job_in_doubt_is_looked_for(queue: JobQueue, site: Site) -> None:
    """A job that may have been taken is found by its token, and is never sent twice."""
    tickets = unsure(queue, site, "a", "b")
    site.jobs = {"7": ("running", "a"), "8": ("running", "b"), "9": ("running", "stranger")}
    news = run(queue, site, 5)
    assert site.said("find") == [("a", "b")]
    assert set(news) >= set(tickets)
    assert [ticket.job_id for ticket in tickets] == ["7", "8"]
    assert len(site.said("submit")) == 1


def test_a_job_in_doubt_is_not_refused(queue: JobQueue, site: Site) -> None:
    """As long as it is looked for, and when it was found, nothing says that the job was refused."""
    (ticket,) = unsure(queue, site, "a")
    assert (ticket.refused, ticket.doubt) == ("", "connection reset")
    site.jobs = {"7": ("running", "a")}
    run(queue, site, 20)
    assert (ticket.job_id, ticket.refused) == ("7", "")
    assert ticket.info is not None


def test_a_job_that_is_not_found_is_given_up(queue: JobQueue, site: Site) -> None:
    """After a few searches without a trace the job counts as not taken, in the words of the system."""
    (ticket,) = unsure(queue, site, "a")
    news = run(queue, site, 60)
    assert len(site.said("find")) == SEARCHES
    assert news == [ticket]
    assert ticket.refused.startswith("connection reset")
    assert len(site.said("submit")) == 1


def test_each_job_is_looked_for_as_often(queue: JobQueue, site: Site) -> None:
    """A job whose doubt comes up during a search is not given up by that search."""
    unsure(queue, site, "a")
    run(queue, site, 7)
    (late,) = unsure(queue, site, "b")
    run(queue, site, 60)
    assert sum("b" in words for words in site.said("find")) == SEARCHES
    assert late.refused


def test_a_search_without_an_answer_does_not_count(queue: JobQueue, site: Site) -> None:
    """While the batch system does not answer nobody can say that the job is not there."""
    (ticket,) = unsure(queue, site, "a")
    site.replies["find"] = [DOWN] * 5
    run(queue, site, 100)
    assert ticket.refused == ""
    site.jobs = {"7": ("running", "a")}
    run(queue, site, 200)
    assert ticket.job_id == "7"


def test_searches_leave_room_for_queries(queue: JobQueue, site: Site) -> None:
    """Searches that fail for ever do not keep the queue from asking for its other jobs."""
    (known,) = submitted(queue, "a")
    unsure(queue, site, "b")
    site.replies["find"] = [DOWN] * 1000
    site.jobs["#a"] = ("running", "a")
    run(queue, site, 120)
    assert known.info is not None
    assert known.info.status is JobStatus.running


def test_a_doubt_that_is_settled_otherwise(queue: JobQueue, site: Site) -> None:
    """A job judged by its outcome is not looked for any more."""
    (ticket,) = unsure(queue, site, "a")
    queue.release(ticket)
    run(queue, site, 60)
    assert site.said("find") == []


# -- queries


def test_one_query_for_all(queue: JobQueue, site: Site) -> None:
    """All jobs are asked for in one command."""
    submitted(queue, *"abc")
    run(queue, site, FIRST + 1)
    assert site.said("query") == [("#a", "#b", "#c")]


def test_queries_grow_rare(queue: JobQueue, site: Site) -> None:
    """The first query comes soon after the submission, each next one later, the poll interval at most."""
    submitted(queue, "a")
    run(queue, site, 600)
    times = site.times("query")
    waits = [after - before for before, after in pairwise(times)]
    assert times[0] == pytest.approx(1000 + FIRST, abs=1)
    assert waits[:4] == pytest.approx([15, 22.5, 33.75, 50.6], abs=1)
    assert waits[4:] == pytest.approx([POLL] * len(waits[4:]), abs=1)


def test_the_poll_interval_is_the_longest_wait(site: Site) -> None:
    """A short poll interval holds from the first query on."""
    queue = a_queue(site, poll_interval=2.0)
    submitted(queue, "a")
    run(queue, site, 60)
    times = site.times("query")
    waits = [after - before for before, after in pairwise([1000.0, *times])]
    assert waits == pytest.approx([2.0] * len(waits), abs=0.6)


def test_one_question_at_a_time(queue: JobQueue, site: Site) -> None:
    """While a query hangs no other is started, however long it takes."""
    submitted(queue, "a")
    site.hang = {"query"}
    run(queue, site, 300, every=1)
    assert len(site.said("query")) == 1


def test_a_due_query_stays_due(queue: JobQueue, site: Site) -> None:
    """Jobs that trickle in do not put off the query for those that are there."""
    for n in range(60):
        submit(queue, f"t{n}")
        run(queue, site, 1)
    assert len(site.said("query")) >= 4


def test_no_jobs_no_query(queue: JobQueue, site: Site) -> None:
    """Without jobs nobody is asked."""
    (ticket,) = submitted(queue, "a")
    queue.release(ticket)
    run(queue, site, 300, every=1)
    assert site.said("query") == []


def test_news_are_changes(queue: JobQueue, site: Site) -> None:
    """A step returns a job when its state changed, and not when it is as before."""
    (ticket,) = submitted(queue, "a")
    assert run(queue, site, 100) == [ticket]
    site.jobs["#a"] = ("running", "a")
    assert run(queue, site, 100) == [ticket]
    assert ticket.info is not None
    assert ticket.info.status is JobStatus.running


def test_hurry(queue: JobQueue, site: Site) -> None:
    """A job that looks as if it had ended is asked for within about a second."""
    (ticket,) = submitted(queue, "a")
    run(queue, site, 300)
    site.calls.clear()
    queue.hurry(ticket)
    run(queue, site, 1.5)
    assert len(site.said("query")) == 1


def test_no_hurry_during_an_outage(queue: JobQueue, site: Site) -> None:
    """A batch system that does not answer is not asked more often because jobs end."""
    (ticket,) = submitted(queue, "a")
    site.replies["query"] = [DOWN] * 1000
    run(queue, site, 100)
    site.calls.clear()
    for _ in range(60):
        queue.hurry(ticket)
        run(queue, site, 1)
    assert len(site.said("query")) <= 2


# -- jobs that leave


def test_absent_once_is_not_gone(queue: JobQueue, site: Site) -> None:
    """One answer that lacks a job says nothing, and the next that has it forgets that."""
    (ticket,) = submitted(queue, "a")
    kept = dict(site.jobs)
    site.jobs.clear()
    run(queue, site, FIRST + 1)
    assert (ticket.absent, ticket.gone) == (1, False)
    site.jobs.update(kept)
    run(queue, site, SECOND_LOOK + 1)
    assert (ticket.absent, ticket.gone) == (0, False)


def test_absent_twice_is_gone(queue: JobQueue, site: Site) -> None:
    """Two answers in a row that lack a job make it gone, which is news."""
    (ticket,) = submitted(queue, "a")
    site.jobs.clear()
    news = run(queue, site, FIRST + SECOND_LOOK + 1)
    assert ticket.gone
    assert news == [ticket]


def seen(queue: JobQueue, site: Site, *tokens: str) -> list[Ticket]:
    """Jobs that the batch system has shown."""
    tickets = submitted(queue, *tokens)
    run(queue, site, FIRST + 1)
    assert all(ticket.answers for ticket in tickets)
    return tickets


def test_all_jobs_gone_at_once_is_not_believed_for_a_while(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """A daemon under load, or just restarted, that says "no jobs" while they live: nothing is judged; told once."""
    tickets = seen(queue, site, *"abc")
    kept, asked = dict(site.jobs), len(site.said("query"))
    site.jobs.clear()
    run(queue, site, DOUBT - POLL, every=1)
    assert [ticket.gone for ticket in tickets] == [False] * 3
    assert len(site.said("query")) - asked < DOUBT / POLL * 2
    site.jobs.update(kept)
    run(queue, site, POLL + 1)
    assert [ticket.absent for ticket in tickets] == [0] * 3
    first, last = warnings(caplog)
    assert "fake knows none of 3 jobs any more" in first
    assert "fake knows jobs again" in last


def test_all_jobs_gone_at_once_is_believed_in_the_end(queue: JobQueue, site: Site) -> None:
    """Somebody may have cancelled them all while they waited, without a trace."""
    tickets = seen(queue, site, *"ab")
    site.jobs.clear()
    news = run(queue, site, DOUBT + 2 * POLL + SECOND_LOOK, every=1)
    assert [ticket.gone for ticket in tickets] == [True] * 2
    assert set(news) == set(tickets)


def test_jobs_gone_one_after_the_other_are_believed(queue: JobQueue, site: Site) -> None:
    """The last of them is no other case than the first."""
    first, second = seen(queue, site, *"ab")
    site.jobs.pop(first.job_id)
    run(queue, site, 2 * POLL)
    assert (first.gone, second.gone) == (True, False)
    site.jobs.clear()
    run(queue, site, 2 * POLL)
    assert second.gone


def test_others_that_are_shown_prove_that_jobs_are_gone(queue: JobQueue, site: Site) -> None:
    """The batch system knows a job that came later, so its answers are whole."""
    tickets = seen(queue, site, *"ab")
    site.jobs.clear()
    run(queue, site, POLL)
    seen(queue, site, "c")
    run(queue, site, 2 * POLL)
    assert [ticket.gone for ticket in tickets] == [True] * 2


def test_jobs_that_said_that_they_were_shot_are_believed_to_be_gone(queue: JobQueue, site: Site) -> None:
    """Their scripts left a marker: all of them cancelled by hand, say."""
    tickets = seen(queue, site, *"ab")
    site.jobs.clear()
    for ticket in tickets:
        queue.hurry(ticket)
    run(queue, site, FIRST + SECOND_LOOK)
    assert [ticket.gone for ticket in tickets] == [True] * 2


def test_two_answers_from_one_snapshot_are_one(queue: JobQueue, site: Site) -> None:
    """Batch systems answer from snapshots (LSF: 5 s old), so the second look comes later than that."""
    submitted(queue, "a")
    site.jobs.clear()
    run(queue, site, 60)
    first, second = site.times("query")[:2]
    assert second - first > 5


def test_haste_makes_no_two_answers_of_one_snapshot(queue: JobQueue, site: Site) -> None:
    """Another job looks as if it had ended, and is asked for at once: what is absent twice within seconds lives."""
    first, other = submitted(queue, "a", "b")
    site.jobs.pop(first.job_id)
    run(queue, site, FIRST + 1)
    assert first.absent == 1
    queue.hurry(other)
    run(queue, site, 2)
    assert len(site.times("query")) == 2
    assert not first.gone
    run(queue, site, SECOND_LOOK + 5)
    assert first.gone


def test_a_job_may_come_back(queue: JobQueue, site: Site) -> None:
    """A job that was gone and is shown again lives."""
    (ticket,) = submitted(queue, "a")
    kept = dict(site.jobs)
    site.jobs.clear()
    run(queue, site, 60)
    assert ticket.gone
    site.jobs.update(kept)
    run(queue, site, 120)
    assert not ticket.gone


def test_history_is_asked_once_for_all(queue: JobQueue, site: Site) -> None:
    """The past of all jobs that left is asked for in one command, once."""
    first, second, _ = submitted(queue, *"abc")
    for job_id in ("#a", "#b"):
        del site.jobs[job_id]
        site.past[job_id] = ("aborted", job_id[1:])
    news = run(queue, site, 300)
    assert site.said("history") == [("#a", "#b")]
    assert [ticket.info.status for ticket in (first, second) if ticket.info] == [JobStatus.aborted] * 2
    assert {first, second} <= set(news)


def test_no_history(site: Site) -> None:
    """A system that knows no past is not asked for it, and its jobs are gone all the same."""
    queue = a_queue(site, Fake(past=False))
    (ticket,) = submitted(queue, "a")
    site.jobs.clear()
    run(queue, site, 60)
    assert ticket.gone
    assert site.said("history") == []


def test_the_past_of_a_judged_job_is_not_asked(queue: JobQueue, site: Site) -> None:
    """Nobody asks why a job left whose outcome was delivered."""
    (ticket, _) = submitted(queue, "a", "b")
    del site.jobs["#a"]
    site.hang = {"query"}
    run(queue, site, FIRST + 1)
    site.answer(site.calls[-1])
    queue.release(ticket)
    run(queue, site, 60)
    assert site.said("history") == []


def test_a_query_knows_nothing_of_later_jobs(queue: JobQueue, site: Site) -> None:
    """An answer to a query that was sent before a submission does not make that job absent."""
    submitted(queue, "a")
    site.hang = {"query"}
    run(queue, site, FIRST + 1)
    site.answer(site.calls[-1])
    (late,) = submitted(queue, "b")
    assert late.absent == 0


@pytest.mark.parametrize("token", ["other", ""])
def test_an_id_of_somebody_else(queue: JobQueue, site: Site, token: str) -> None:
    """A job with our id and another token is not ours: it says nothing of our job, which is gone."""
    (ticket,) = submitted(queue, "a")
    site.jobs = {"#a": ("running", token)}
    site.past = {"#a": ("successful", token)}
    run(queue, site, 60)
    assert ticket.gone
    assert ticket.info is None


def test_a_job_without_a_token_is_ours(queue: JobQueue, site: Site) -> None:
    """A system that does not show the token is believed."""
    (ticket,) = submitted(queue, "a")
    site.jobs = {"#a": ("running", None)}
    run(queue, site, 60)
    assert not ticket.gone
    assert ticket.info is not None


# -- silence


@pytest.mark.parametrize("reply", [DOWN, Answer(-9, "", "", timed_out=60.0), Answer(0, "garbage", "")])
def test_silence_changes_nothing(queue: JobQueue, site: Site, reply: Answer) -> None:
    """Queries that fail leave all jobs as they were, for as long as it takes."""
    (ticket,) = submitted(queue, "a")
    run(queue, site, FIRST + 1)
    before = ticket.info
    site.replies["query"] = [reply] * 1000
    assert run(queue, site, 3600, every=5) == []
    assert (ticket.info, ticket.absent) == (before, 0)


def test_silence_is_told_once(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line with the system's words, and one when it is over."""
    submitted(queue, "a")
    site.replies["query"] = [DOWN] * 5
    run(queue, site, 1000, every=1)
    first, last = warnings(caplog)
    assert "the daemon is down" in first
    assert "answers" in last
    assert len(site.said("query")) > 6


def test_silence_is_asked_more_rarely(queue: JobQueue, site: Site) -> None:
    """A batch system in trouble is not asked at short intervals."""
    submitted(queue, "a")
    site.replies["query"] = [DOWN] * 1000
    run(queue, site, 600, every=1)
    times = site.times("query")
    waits = [after - before for before, after in pairwise(times)]
    assert waits[0] == pytest.approx(20, abs=2)
    assert waits[2:] == pytest.approx([POLL] * len(waits[2:]), abs=2)


def test_a_silent_search_is_told_once(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Searches that fail while queries do not are one line, too."""
    submitted(queue, "a")
    unsure(queue, site, "b")
    site.replies["find"] = [DOWN] * 1000
    run(queue, site, 600, every=1)
    assert sum("the daemon is down" in line for line in warnings(caplog)) == 1
    assert not any("again" in line for line in warnings(caplog))


# -- cancellations


def test_one_command_for_many(queue: JobQueue, site: Site) -> None:
    """All jobs are cancelled in one command."""
    queue.cancel(submitted(queue, *"abc"))
    queue.step()
    assert site.said("cancel") == [("#a", "#b", "#c")]


def test_whoever_waits_for_the_end_of_a_job_hears_that_the_cancellation_was_taken(queue: JobQueue, site: Site) -> None:
    """Not while it is under way, and not if it was turned down."""
    site.replies["cancel"] = [Answer(1, "", "the daemon is down")]
    (ticket,) = submitted(queue, "a")
    heard: list[float] = []
    ticket.when_left = lambda: heard.append(site.now)
    queue.cancel([ticket])
    run(queue, site, 3)
    assert (heard, ticket.left) == ([], False)
    run(queue, site, 30)
    assert (len(heard), ticket.left) == (1, True)


def test_cancelled_twice_is_cancelled_once(queue: JobQueue, site: Site) -> None:
    """A second wish changes nothing."""
    tickets = submitted(queue, "a")
    queue.cancel(tickets)
    queue.cancel(tickets)
    run(queue, site, 5)
    queue.cancel(tickets)
    run(queue, site, 5)
    assert site.said("cancel") == [("#a",)]


def test_cancelled_before_it_was_sent(queue: JobQueue, site: Site) -> None:
    """A job that waits in our own queue never goes out."""
    first, _ = submit(queue, "a", "b")
    queue.cancel([first])
    run(queue, site, 5)
    assert site.said("submit") == [("b",)]
    assert site.said("cancel") == []


def test_all_cancelled_before_they_were_sent(queue: JobQueue, site: Site) -> None:
    """No command is made for no jobs."""
    queue.cancel(submit(queue, "a", "b"))
    run(queue, site, 5)
    assert site.calls == []


def test_cancelled_while_it_is_told_to_wait(queue: JobQueue, site: Site) -> None:
    """A job that was told "later" and is not wanted any more is not sent again."""
    site.replies["submit"] = [[("later", "full")]]
    tickets = submit(queue, "a")
    run(queue, site, 1)
    queue.cancel(tickets)
    run(queue, site, 60)
    assert len(site.said("submit")) == 1


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
    assert site.said("cancel") == []
    site.answer(site.calls[0])
    run(queue, site, 1)
    assert site.said("cancel") == [("#a",)]


@pytest.mark.parametrize("released", [False, True])
def test_cancelled_while_in_doubt(queue: JobQueue, site: Site, released: bool) -> None:
    """A job in doubt that was cancelled is looked for and then cancelled, also if nobody waits for it."""
    (ticket,) = unsure(queue, site, "a")
    site.jobs = {"7": ("running", "a")}
    queue.cancel([ticket])
    if released:
        queue.release(ticket)
    run(queue, site, 5)
    assert site.said("cancel") == [("7",)]


def test_a_released_job_is_not_asked_for(queue: JobQueue, site: Site) -> None:
    """A job cancelled and judged before its id was read does not keep the queue asking."""
    site.hang = {"submit"}
    (ticket,) = submit(queue, "a")
    queue.step()
    queue.cancel([ticket])
    queue.release(ticket)
    site.answer(site.calls[0])
    run(queue, site, 300, every=1)
    assert site.said("query") == []


def test_a_refused_cancellation_is_repeated(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation that fails for a while is sent again, after a pause, and nothing is said of it."""
    site.replies["cancel"] = [Answer(1, "", "the daemon is down")]
    queue.cancel(submitted(queue, "a", "b"))
    run(queue, site, 60)
    assert site.said("cancel") == [("#a", "#b")] * 2
    first, second = site.times("cancel")
    assert second - first >= 5
    assert warnings(caplog) == []


def test_a_cancellation_given_up_is_told(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After a few tries the user is told which jobs are left, and in which words, and they are returned."""
    site.replies["cancel"] = [Answer(1, "", "permission denied")] * 100
    tickets = submitted(queue, "a", "b")
    queue.cancel(tickets)
    run(queue, site, 600, every=1)
    assert len(site.said("cancel")) == TRIES
    (line,) = warnings(caplog)
    assert "#a #b" in line
    assert "permission denied" in line
    assert queue.close(60) == tickets


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
    assert site.said("cancel") == [("#a",)]


def test_close_does_not_wait_for_ever(queue: JobQueue, site: Site) -> None:
    """When patience ends, jobs whose submission or cancellation did not answer are returned."""
    (known,) = submitted(queue, "a")
    site.hang = {"submit", "cancel"}
    (hanging,) = submit(queue, "b")
    queue.step()
    assert set(queue.close(30)) == {known, hanging}
    assert site.now == pytest.approx(1030, abs=1)


def test_close_tells_a_refused_cancellation(queue: JobQueue, site: Site) -> None:
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
    assert site.said("cancel") == [("7",)]


def test_close_returns_what_it_can_not_find(queue: JobQueue, site: Site) -> None:
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


def test_close_drops_jobs_told_to_wait(queue: JobQueue, site: Site) -> None:
    """A submission that is told "later" at the end is not repeated."""
    site.hang = {"submit"}
    submit(queue, "a")
    queue.step()
    site.answer(site.calls[0], [("later", "full")])
    assert queue.close(60) == []
    assert len(site.said("submit")) == 1


def test_nothing_to_close(queue: JobQueue, site: Site) -> None:
    """Without jobs the end takes no time and no command."""
    assert queue.close(60) == []
    assert (site.calls, site.now) == ([], 1000.0)


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
def test_the_error_of_a_language_is_told(site: Site, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a language raised is told, in the log or as the reason of the refusal."""
    queue = a_queue(site, Fake(broken=[broken]))
    if broken == "find":
        site.replies["submit"] = [[("unsure", "connection reset")]]
    (ticket,) = submit(queue, "a")
    run(queue, site, 30)
    queue.cancel([ticket])
    run(queue, site, 300)
    assert f"{broken} is broken" in "\n".join([*warnings(caplog), ticket.refused])


def test_a_job_that_can_not_be_looked_for(site: Site) -> None:
    """A search that the language can not even make ends: its run would go on for ever."""
    queue = a_queue(site, Fake(broken=["find"]))
    (ticket,) = unsure(queue, site, "a")
    run(queue, site, 600, every=1)
    assert "find is broken" in ticket.refused


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


def test_a_program_that_can_not_be_started(site: Site) -> None:
    """A command that nobody can start (a NUL in a word) fails its own jobs."""

    def start(command: Any) -> Any:
        if "bad" in command.argv:
            raise ValueError("embedded null byte")
        return site.start(command)

    queue = JobQueue(Fake(bulk=1), start=start, clock=site.clock, sleep=site.sleep)
    bad, good = submit(queue, "bad", "good")
    run(queue, site, 1)
    assert "embedded null byte" in bad.refused
    assert good.job_id == "#good"


# -- many jobs


@pytest.mark.parametrize(
    ("bulk", "options"),
    [
        (1, lambda n: {}),
        (5000, lambda n: {}),
        (5000, lambda n: {"request_memory": n}),
        (5000, lambda n: {"request_memory": n % 7}),
    ],
    ids=["one by one", "all alike", "all different", "a few kinds"],
)
def test_ten_thousand_jobs(site: Site, bulk: int, options: Callable[[int], dict[str, Any]]) -> None:
    """Ten thousand waiting jobs cost time in proportion, whatever their options."""
    queue = a_queue(site, Fake(bulk=bulk))
    site.hang = {"submit"}
    for n in range(10_000):
        queue.submit(a_job(f"t{n}", options(n)))
    started = time.process_time()
    _drain(queue, site)
    assert time.process_time() - started < 3
    assert sum(map(len, site.said("submit"))) == 10_000


def test_ten_thousand_jobs_in_doubt(site: Site) -> None:
    """Ten thousand jobs in doubt are found in proportion, too."""
    queue = a_queue(site, Fake(bulk=10_000))
    site.replies["submit"] = [[("unsure", "reset")] * 10_000]
    tickets = submit(queue, *(f"t{n}" for n in range(10_000)))
    site.jobs = {str(n): ("running", f"t{n}") for n in range(10_000)}
    started = time.process_time()
    run(queue, site, 5)
    assert time.process_time() - started < 3
    assert all(ticket.job_id for ticket in tickets)


def _drain(queue: JobQueue, site: Site) -> None:
    answered: Sequence[int] = [0]
    while True:
        queue.step()
        fresh = [call for call in site.calls[answered[0] :] if call.argv[0] == "submit"]
        answered = [len(site.calls)]
        if not fresh:
            return
        for call in fresh:
            site.answer(call)


def test_a_cancelled_job_that_is_never_found_is_told_at_the_end(queue: JobQueue, site: Site) -> None:
    """It may be in the batch system: somebody has to look."""
    site.replies["submit"] = [[("unsure", "lost reply")]]
    (ticket,) = submit(queue, "a")
    run(queue, site, 1)
    queue.cancel([ticket])
    queue.release(ticket)
    assert queue.close(60) == [ticket]


def test_jobs_that_only_must_not_run_again_are_cancelled_together(queue: JobQueue, site: Site) -> None:
    """Failures come one by one, and cost no command each; the end of the run does not wait for more of them."""
    tickets = submitted(queue, *"abcdef")
    for ticket in tickets[:4]:
        queue.release(ticket)
        queue.cancel([ticket], soon=False)
        run(queue, site, 1)
    run(queue, site, 10)
    assert site.said("cancel") == [("#a", "#b", "#c", "#d")]
    queue.cancel([tickets[4]], soon=False)
    run(queue, site, 1)
    assert len(site.said("cancel")) == 1
    queue.cancel([tickets[5]])
    run(queue, site, 1)
    assert site.said("cancel")[1:] == [("#e", "#f")]


def test_the_end_of_a_run_waits_for_no_company(queue: JobQueue, site: Site) -> None:
    """What is left to be cancelled goes out at once."""
    (ticket,) = submitted(queue, "a")
    queue.release(ticket)
    queue.cancel([ticket], soon=False)
    begin = site.now
    assert queue.close(60) == []
    assert site.said("cancel") == [("#a",)]
    assert site.now - begin < 1


# -- jobs of an earlier run


def test_a_job_whose_id_was_noted_is_asked_about_soon(queue: JobQueue, site: Site) -> None:
    """It may have ended long ago."""
    site.jobs = {"7": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    run(queue, site, 3)
    assert (ticket.job_id, ticket.info.status) == ("7", JobStatus.running)
    assert site.said("submit") == []


def test_a_job_whose_id_was_not_noted_is_looked_for_by_its_mark(queue: JobQueue, site: Site) -> None:
    """In an array that is another word than its token."""
    site.jobs = {"7_3": ("running", "first_3"), "8": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"mark": "first_3"})
    run(queue, site, 20)
    assert (ticket.job_id, ticket.info.status) == ("7_3", JobStatus.running)
    assert site.said("submit") == []


def test_a_job_that_is_nowhere_is_refused_in_the_end(queue: JobQueue, site: Site) -> None:
    """It was not submitted when its run was killed."""
    ticket = queue.attach(a_job("a"), {})
    run(queue, site, 60)
    assert ticket.refused
    assert len(site.said("find")) == SEARCHES


def test_how_to_find_a_job_is_on_disk_before_it_is_sent(queue: JobQueue, site: Site) -> None:
    """A record that can not be written keeps the job from being sent, until it can."""
    full, seen = True, []

    def note() -> None:
        seen.append(len(site.said("submit")))
        if full:
            raise OSError("No space left on device")

    (ticket,) = submit(queue, "a")
    ticket.about_to_send = note
    queue.step()
    assert (seen, site.said("submit"), ticket.sent) == ([0], [], False)
    full = False
    run(queue, site, 10)
    assert (seen, site.said("submit"), ticket.sent) == ([0, 0], [("a",)], True)


def test_jobs_of_another_run_are_not_cancelled(queue: JobQueue, site: Site) -> None:
    """Neither by name nor at the end of this run."""
    site.jobs = {"7": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    ticket.others = True
    queue.cancel([ticket])
    run(queue, site, 5)
    assert queue.close(10) == []
    assert site.said("cancel") == []


def test_leaving_waits_for_submissions_under_way(queue: JobQueue, site: Site) -> None:
    """Their ids are to be noted; what was not sent yet is not sent."""
    site.hang.add("submit")
    (first,) = submit(queue, "a")
    queue.step()
    (second,) = submit(queue, "b")
    site.events.append((site.now + 1, lambda: site.answer(site.calls[0])))
    queue.leave(10)
    assert (first.job_id, second.job_id, second.sent) == ("#a", None, False)
    assert site.said("cancel") == []


def test_the_user_may_be_in_a_hurry(queue: JobQueue, site: Site) -> None:
    """A second Ctrl-C: what is not known to be gone is told."""
    tickets = submitted(queue, "a")
    site.hang.add("cancel")
    assert queue.close(60, lambda: site.now > 1003) == tickets
    assert site.now < 1010


@pytest.mark.parametrize("job_id", ["-u root", "--user=root", "7 8", "", "a;b", "7\n8", None, ["7"]])
def test_an_id_that_is_none_is_not_believed(queue: JobQueue, site: Site, job_id: object) -> None:
    """It would become a word of a command that cancels jobs."""
    ticket = queue.attach(a_job("a"), {"job_id": job_id})
    queue.cancel([ticket])
    run(queue, site, 40)
    assert site.said("cancel") == []
