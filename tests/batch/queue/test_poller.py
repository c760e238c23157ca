"""How a JobQueue asks for its jobs: searches, queries, histories, and a batch system that does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from itertools import pairwise

import pytest

from b2luigi.batch.queue import poller, presence
from b2luigi.batch.queue.command import fits
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.poller import EARLY, FIRST
from b2luigi.batch.queue.presence import SECOND_LOOK
from b2luigi.batch.queue.search import SEARCHES
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.listings import Listing
from b2luigi.batch.systems.model import Answer, Command, JobInfo, JobStatus
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import DOWN, POLL, a_queue, run, seen, submit, submitted, unsure, warnings
from tests.batch.systems.recorded import a_job
from tests.waiting import PATIENCE, until

# -- doubt


def test_a_job_in_doubt_is_looked_for(queue: JobQueue, site: Site) -> None:
    """A job that may have been taken is found by its token, and is never sent twice."""
    tickets = unsure(queue, site, "a", "b")
    site.jobs = {"7": ("running", "a"), "8": ("running", "b"), "9": ("running", "stranger")}
    news = run(queue, site, 5)
    assert site.commands("find") == [("a", "b")]
    assert set(news) >= set(tickets)
    assert [ticket.job_id for ticket in tickets] == ["7", "8"]
    assert len(site.commands("submit")) == 1


def test_a_job_in_doubt_is_not_refused(queue: JobQueue, site: Site) -> None:
    """As long as it is looked for, and when it was found, nothing says that the job was refused."""
    (ticket,) = unsure(queue, site, "a")
    assert (ticket.state, ticket.reason) == (TicketState.unsure, "connection reset")
    site.jobs = {"7": ("running", "a")}
    run(queue, site, 20)
    assert (ticket.job_id, ticket.state) == ("7", TicketState.queued)
    assert ticket.info is not None


def test_a_job_that_is_not_found_is_given_up(queue: JobQueue, site: Site) -> None:
    """After a few searches without a trace the job counts as not taken, in the words of the system."""
    (ticket,) = unsure(queue, site, "a")
    news = run(queue, site, 60)
    assert len(site.commands("find")) == SEARCHES
    assert news == [ticket]
    assert ticket.reason.startswith("connection reset")
    assert len(site.commands("submit")) == 1


def test_each_job_is_looked_for_as_often(queue: JobQueue, site: Site) -> None:
    """A job whose doubt comes up during a search is not given up by that search."""
    unsure(queue, site, "a")
    run(queue, site, 7)
    (late,) = unsure(queue, site, "b")
    run(queue, site, 60)
    assert sum("b" in words for words in site.commands("find")) == SEARCHES
    assert late.state is TicketState.not_found


def test_a_search_without_an_answer_does_not_count(queue: JobQueue, site: Site) -> None:
    """While the batch system does not answer nobody can say that the job is not there."""
    (ticket,) = unsure(queue, site, "a")
    site.replies["find"] = [DOWN] * 5
    run(queue, site, 100)
    assert ticket.state is not TicketState.not_found
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


def test_doubts_that_trickle_in_do_not_put_off_the_search(queue: JobQueue, site: Site) -> None:
    """The first job in doubt is searched for soon, however many follow."""
    for number in range(40):
        unsure(queue, site, f"t{number}")
        run(queue, site, 0.5)
    assert len(site.commands("find")) >= 3


def test_a_doubt_that_is_settled_otherwise(queue: JobQueue, site: Site) -> None:
    """A job judged by its outcome is not looked for any more."""
    (ticket,) = unsure(queue, site, "a")
    queue.release(ticket)
    run(queue, site, 60)
    assert site.commands("find") == []


def test_ten_thousand_jobs_in_doubt(site: Site) -> None:
    """Ten thousand jobs in doubt are found in proportion, too."""
    queue = a_queue(site, Fake(bulk=10_000))
    site.replies["submit"] = [[("unsure", "reset")] * 10_000]
    tickets = submit(queue, *(f"t{n}" for n in range(10_000)))
    site.jobs = {str(n): ("running", f"t{n}") for n in range(10_000)}
    started = time.process_time()
    run(queue, site, 5)
    until(lambda: queue.step() or all(ticket.job_id for ticket in tickets), "the answer is read")
    assert time.process_time() - started < 3
    assert all(ticket.job_id for ticket in tickets)


# -- queries


def test_one_query_for_all(queue: JobQueue, site: Site) -> None:
    """All jobs are asked for in one command."""
    submitted(queue, *"abc")
    run(queue, site, FIRST + 1)
    assert site.commands("query") == [("#a", "#b", "#c")]


def test_queries_grow_rare(queue: JobQueue, site: Site) -> None:
    """The first query comes soon after the submission, each next one later, the poll interval at most."""
    submitted(queue, "a")
    run(queue, site, 600)
    times = site.times("query")
    waits = [after - before for before, after in pairwise(times)]
    assert times[0] == pytest.approx(1000 + EARLY, abs=1)
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
    assert len(site.commands("query")) == 1


def test_a_due_query_stays_due(queue: JobQueue, site: Site) -> None:
    """Jobs that trickle in do not put off the query for those that are there."""
    for n in range(60):
        submit(queue, f"t{n}")
        run(queue, site, 1)
    assert len(site.commands("query")) >= 4


def test_no_jobs_no_query(queue: JobQueue, site: Site) -> None:
    """Without jobs nobody is asked."""
    (ticket,) = submitted(queue, "a")
    queue.release(ticket)
    run(queue, site, 300, every=1)
    assert site.commands("query") == []


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
    assert len(site.commands("query")) == 1


def test_no_hurry_during_an_outage(queue: JobQueue, site: Site) -> None:
    """A batch system that does not answer is not asked more often because jobs end."""
    (ticket,) = submitted(queue, "a")
    site.replies["query"] = [DOWN] * 1000
    run(queue, site, 100)
    site.calls.clear()
    for _ in range(60):
        queue.hurry(ticket)
        run(queue, site, 1)
    assert len(site.commands("query")) <= 2


def test_a_query_that_this_machine_could_not_start_changes_nothing(queue: JobQueue, site: Site) -> None:
    """It is asked again."""
    (ticket,) = submit(queue, "a")
    run(queue, site, 5)
    site.replies["query"] = [Answer(126, "", "bjobs: Too many open files", started=False)] * 2
    run(queue, site, 300)
    assert (ticket.absent, ticket.info is not None) == (0, True)


# -- jobs that leave


def test_absent_once_is_not_gone(queue: JobQueue, site: Site) -> None:
    """One answer that lacks a job says nothing, and the next that has it forgets that."""
    (ticket,) = seen(queue, site, "a")
    kept = dict(site.jobs)
    site.jobs.clear()
    run(queue, site, 1.5 * FIRST)
    assert (ticket.absent, ticket.is_gone) == (1, False)
    site.jobs.update(kept)
    run(queue, site, SECOND_LOOK + 1)
    assert (ticket.absent, ticket.is_gone) == (0, False)


def test_absent_twice_is_gone(queue: JobQueue, site: Site) -> None:
    """Two answers in a row that lack a job make it gone, which is news."""
    (ticket,) = seen(queue, site, "a")
    site.jobs.clear()
    news = run(queue, site, 1.5 * FIRST + SECOND_LOOK + 1)
    assert ticket.is_gone
    assert news == [ticket]


def test_two_answers_from_one_snapshot_are_one(queue: JobQueue, site: Site) -> None:
    """Batch systems answer from snapshots (LSF: 5 s old), so the second look comes later than that."""
    submitted(queue, "a")
    site.jobs.clear()
    run(queue, site, 60)
    first, second = site.times("query")[:2]
    assert second - first > 5


def test_the_second_look_is_not_later_than_the_poll_interval(site: Site) -> None:
    """Whoever asks every other second wants to know soon that a job is gone."""
    queue = a_queue(site, poll_interval=2.0)
    ticket, _ = submitted(queue, "a", "b")
    run(queue, site, 5)
    del site.jobs["#a"]
    run(queue, site, 7)
    assert ticket.is_gone


def test_haste_makes_no_two_answers_of_one_snapshot(queue: JobQueue, site: Site) -> None:
    """Another job looks as if it had ended, and is asked for at once: what is absent twice within seconds lives."""
    first, other = submitted(queue, "a", "b")
    site.jobs.pop("#a")
    run(queue, site, FIRST + 1)
    assert first.absent == 1
    queue.hurry(other)
    run(queue, site, 2)
    assert len(site.times("query")) == 2
    assert not first.is_gone
    run(queue, site, SECOND_LOOK + 5)
    assert first.is_gone


def test_a_job_may_come_back(queue: JobQueue, site: Site) -> None:
    """A job that was gone and is shown again lives."""
    (ticket,) = seen(queue, site, "a")
    kept = dict(site.jobs)
    site.jobs.clear()
    run(queue, site, 60)
    assert ticket.is_gone
    site.jobs.update(kept)
    run(queue, site, 120)
    assert not ticket.is_gone


def test_history_is_asked_once_for_all(queue: JobQueue, site: Site) -> None:
    """The past of all jobs that left is asked for in one command, once."""
    first, second, _ = submitted(queue, *"abc")
    for job_id in ("#a", "#b"):
        del site.jobs[job_id]
        site.past[job_id] = ("aborted", job_id[1:])
    news = run(queue, site, 300)
    assert site.commands("history") == [("#a", "#b")]
    assert [ticket.info.status for ticket in (first, second) if ticket.info] == [JobStatus.aborted] * 2
    assert {first, second} <= set(news)


def test_no_history(site: Site) -> None:
    """A system that knows no past is not asked for it, and its jobs are gone all the same."""
    queue = a_queue(site, Fake(past=False))
    (ticket,) = seen(queue, site, "a")
    site.jobs.clear()
    run(queue, site, 60)
    assert ticket.is_gone
    assert site.commands("history") == []


def test_the_past_of_a_judged_job_is_not_asked(queue: JobQueue, site: Site) -> None:
    """Nobody asks why a job left whose outcome was delivered."""
    (ticket, _) = submitted(queue, "a", "b")
    del site.jobs["#a"]
    site.hang = {"query"}
    run(queue, site, FIRST + 1)
    site.answer(site.calls[-1])
    queue.release(ticket)
    run(queue, site, 60)
    assert site.commands("history") == []


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
    """A job with the id of ours and another label is not ours: it says nothing of the job of an earlier run."""
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    site.jobs = {"7": ("running", token)}
    site.past = {"7": ("successful", token)}
    run(queue, site, 60)
    assert ticket.is_gone
    assert ticket.info is None


def test_a_job_without_a_token_is_ours(queue: JobQueue, site: Site) -> None:
    """A system that does not show the token is believed."""
    (ticket,) = submitted(queue, "a")
    site.jobs = {"#a": ("running", None)}
    run(queue, site, 60)
    assert not ticket.is_gone
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


def test_an_outage_is_logged_once(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line with the system's words, and one when it is over."""
    submitted(queue, "a")
    site.replies["query"] = [DOWN] * 5
    run(queue, site, 1000, every=1)
    first, last = warnings(caplog)
    assert first == "The status query of fake failed; its jobs keep running. Output: the daemon is down"
    assert "The status query of fake works again after" in last
    assert len(site.commands("query")) > 6


def test_silence_is_asked_more_rarely(queue: JobQueue, site: Site) -> None:
    """A batch system in trouble is not asked at short intervals."""
    submitted(queue, "a")
    site.replies["query"] = [DOWN] * 1000
    run(queue, site, 600, every=1)
    times = site.times("query")
    waits = [after - before for before, after in pairwise(times)]
    assert waits[0] == pytest.approx(20, abs=2)
    assert waits[2:] == pytest.approx([POLL] * len(waits[2:]), abs=2)


def test_an_outage_of_searches_is_logged_once(queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Searches that fail while queries do not are one line, too."""
    submitted(queue, "a")
    unsure(queue, site, "b")
    site.replies["find"] = [DOWN] * 1000
    run(queue, site, 600, every=1)
    assert sum("the daemon is down" in line for line in warnings(caplog)) == 1
    assert not any("again" in line for line in warnings(caplog))


def test_a_long_answer_is_read_beside_the_loop(queue: JobQueue, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in slices: a listing of ten thousand jobs keeps the loop from nothing else, and no other is asked for."""
    monkeypatch.setattr(poller, "LARGE", 0)
    monkeypatch.setattr(presence, "AT_ONCE", 1)
    monkeypatch.setattr(poller, "SLICE", -1.0)  # no time for a second one
    tickets = submitted(queue, *"abc")
    go_on, parse = threading.Event(), Fake.parse_query

    def slowly(system: Fake, answer: Answer) -> Mapping[str, JobInfo]:
        assert threading.current_thread() is not threading.main_thread()
        assert go_on.wait(PATIENCE)
        return parse(system, answer)

    monkeypatch.setattr(Fake, "parse_query", slowly)
    assert run(queue, site, 2 * FIRST) == []
    go_on.set()
    steps: list[list[Ticket]] = []

    def is_known() -> bool:
        steps.append(queue.step())
        return sum(map(len, steps)) == 3

    until(is_known, "the answer is read")
    assert [some for some in steps if some] == [[ticket] for ticket in tickets]
    assert len(site.commands("query")) == 1


def test_a_language_that_ends_its_thread_keeps_nothing_waiting(
    queue: JobQueue, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sys.exit` in code of somebody else's, where a thread reads the answer: the same question comes again."""
    monkeypatch.setattr(poller, "LARGE", 0)
    tickets = submitted(queue, *"abc")
    ends, parse = [SystemExit("cannot read this")], Fake.parse_query

    def read(system: Fake, answer: Answer) -> Mapping[str, JobInfo]:
        if ends:
            raise ends.pop()
        return parse(system, answer)

    monkeypatch.setattr(Fake, "parse_query", read)

    def is_known() -> bool:
        site.now += 1
        queue.step()
        return all(ticket.answers for ticket in tickets)

    until(is_known, "the second answer is read")


def test_more_jobs_than_one_command_can_name_are_asked_about_in_portions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query, a search and a history of more ids than Linux lets a command have; none of the jobs counts as absent."""
    monkeypatch.setattr(poller, "LARGE", float("inf"))  # or else threads read the answers, and take their time
    queue = a_queue(site, Fake(bulk=1000))
    tickets = submit(queue, *(f"{n:016x}" + "f" * 4000 for n in range(500)))
    run(queue, site, FIRST + 5)
    assert all(ticket.answers and not ticket.absent for ticket in tickets)
    assert len(site.commands("query")) > 1
    site.jobs.clear()
    run(queue, site, 60)
    assert len(site.commands("history")) > 1
    assert all(fits(Command(call.argv)) for call in site.calls)


class Blurred(Fake):
    """Its answers have parts that cannot be read."""

    def parse_query(self, answer: Answer) -> Listing:
        return Listing(super().parse_query(answer), ["7|RUNNI"])


def test_a_job_that_may_be_in_what_cannot_be_read_is_not_gone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Such an answer proves presence, never absence; a little of it is shown, once."""
    queue = a_queue(site, Blurred())
    (ticket,) = submit(queue, "a")
    run(queue, site, FIRST + 1)
    site.jobs.clear()
    run(queue, site, 600)
    assert (ticket.is_gone, ticket.absent) == (False, 0)
    shown = [text for text in warnings(caplog) if "7|RUNNI" in text]
    assert len(shown) == 1
    assert len(shown[0].splitlines()) <= 3


def test_what_begins_at_once_is_seen_early(queue: JobQueue, site: Site) -> None:
    """A run of a minute shows its jobs as running, and costs three queries in 38 seconds."""
    began = site.now
    submit(queue, "a")
    run(queue, site, 1)
    site.jobs["#a"] = ("running", "a")
    run(queue, site, 37)
    moments = [moment - began for moment in site.times("query")]
    assert moments[0] <= 5
    assert len(moments) <= 3
