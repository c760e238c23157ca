"""Jobs of earlier runs in other batch servers: who a number belongs to, who is asked, and what is left alone."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.queue.canceller import TIE_AGE
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.poller import FIRST
from b2luigi.batch.queue.presence import OLDEST
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import Answer, JobSpec, JobStatus
from tests.batch.fakes import Branched, Fake, Site
from tests.batch.queue.helpers import DOWN, POLL, a_queue, run, submitted, warnings
from tests.batch.systems.recorded import a_job

FACTS = {"job_id": "7", "server": "one", "submit_host": "login1"}


@pytest.fixture
def one() -> Site:
    """The cluster to which the earlier run submitted its job, number 7."""
    return Site(server="one", jobs={"7": ("running", "a")})


@pytest.fixture
def two(one: Site) -> Site:
    """The cluster that the commands reach today, in which number 7 is another job of the same user."""
    return Site(now=1000.0, server="two", jobs={"7": ("running", "unrelated")}, others={"one": one})


@pytest.fixture
def queue(two: Site) -> JobQueue:
    return a_queue(two, Branched())


def attach(queue: JobQueue, **facts: Any) -> Ticket:
    return queue.attach(a_job("a"), {**FACTS, **facts})


# -- numbers and labels


@pytest.mark.parametrize("language", [Fake(), Branched()], ids=["third party", "knows servers"])
def test_a_number_of_another_job_is_not_cancelled(language: Fake) -> None:
    """What an earlier run noted may by now, or in another cluster, be the number of somebody's unrelated job."""
    site = Site(now=1000.0, server="one", jobs={"7": ("running", "unrelated")})
    queue = a_queue(site, language)
    ticket = attach(queue)
    over: list[bool] = []
    queue.cancel_then(ticket, lambda: over.append(True))
    run(queue, site, 60)
    assert site.commands("cancel") == []
    assert site.commands("find")
    assert over == [True]


def test_a_job_of_an_earlier_run_is_found_before_it_is_cancelled() -> None:
    """Its label proves that the number is its own: then, and not before, it is cancelled."""
    site = Site(now=1000.0, jobs={"7": ("running", "a")})
    queue = a_queue(site)
    queue.cancel([queue.attach(a_job("a"), {"job_id": "7"})])
    run(queue, site, 3)
    assert [call.argv[0] for call in site.calls][:2] == ["find", "cancel"]
    assert site.commands("cancel") == [("7",)]


def test_a_listing_just_now_is_proof_enough() -> None:
    """A query that listed number and label seconds ago needs no search after it."""
    site = Site(now=1000.0, jobs={"7": ("running", "a")})
    queue = a_queue(site)
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    run(queue, site, 3)
    queue.cancel([ticket])
    run(queue, site, 1)
    assert (site.commands("find"), site.commands("cancel")) == ([], [("7",)])


def test_an_old_listing_is_no_proof() -> None:
    """After half a minute the number may be another job's: it is compared once more."""
    site = Site(now=1000.0, jobs={"7": ("running", "a")})
    queue = a_queue(site)
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    run(queue, site, 3)
    site.replies["query"] = [DOWN] * 100
    run(queue, site, TIE_AGE + 2)
    site.jobs = {"7": ("running", "unrelated")}
    queue.cancel([ticket])
    run(queue, site, 60)
    assert site.commands("find")
    assert site.commands("cancel") == []


def test_a_repeated_cancellation_is_proven_anew() -> None:
    """A command that failed is sent again only for numbers that still have their label."""
    site = Site(now=1000.0, jobs={"7": ("running", "a")})
    queue = a_queue(site)
    site.replies["cancel"] = [Answer(1, "", "the daemon is down")] * 3
    queue.cancel([queue.attach(a_job("a"), {"job_id": "7"})])
    run(queue, site, 2)
    site.jobs, site.hang = {"7": ("running", "unrelated")}, {"query"}
    site.now += TIE_AGE
    run(queue, site, 60)
    assert len(site.commands("cancel")) == 1


def test_what_this_run_submitted_is_cancelled_without_a_search() -> None:
    """Its numbers are from the answers to its own submissions."""
    site = Site(now=1000.0)
    queue = a_queue(site)
    queue.cancel(submitted(queue, "a"))
    run(queue, site, 2)
    assert (site.commands("find"), site.commands("cancel")) == ([], [("#a",)])


def test_strangers_do_not_keep_others_in_the_queue() -> None:
    """One number that cannot be proven does not delay the cancellation of those that can."""
    site = Site(now=1000.0, jobs={"7": ("running", "unrelated")})
    queue = a_queue(site)
    ours = submitted(queue, "b")
    queue.cancel([queue.attach(a_job("a"), {"job_id": "7"}), *ours])
    run(queue, site, 1)
    assert site.commands("cancel") == [("#b",)]


def test_the_end_of_a_run_leaves_strangers_alone() -> None:
    """Ctrl-C cancels the jobs that it attached to if their labels prove them, and nothing else."""
    site = Site(now=1000.0, jobs={"7": ("running", "a"), "8": ("running", "unrelated")})
    queue = a_queue(site)
    for token, job_id in {"a": "7", "b": "8"}.items():
        queue.attach(a_job(token), {"job_id": job_id})
    queue.close(60)
    assert site.commands("cancel") == [("7",)]


# -- which server


def test_a_job_is_submitted_once_its_server_is_known() -> None:
    """The record that is written before the submission says which server is going to have the job."""
    site = Site(now=1000.0, server="one")
    queue = a_queue(site, Branched())
    noted: list[str] = []
    queue.submit(a_job("a"), before_sending=lambda ticket: noted.append(ticket.server))
    run(queue, site, 1)
    assert [call.argv[0] for call in site.calls] == ["server", "submit"]
    assert noted == ["one"]


def test_the_server_is_asked_for_when_the_first_job_is_handed_in() -> None:
    """luigi hands out more tasks meanwhile: once they are ready to be sent, the answer is there."""
    site = Site(now=1000.0, server="one")
    queue = a_queue(site, Branched())
    queue.submit(a_job("a"))
    assert [call.argv[0] for call in site.calls] == ["server"]
    queue.step()
    assert [call.argv[0] for call in site.calls] == ["server", "submit"]


def test_the_server_is_asked_for_once() -> None:
    """One command in a run, however long it is."""
    site = Site(now=1000.0, server="one")
    queue = a_queue(site, Branched())
    submitted_later = [queue.submit(a_job(token)) for token in "abc"]
    run(queue, site, 600)
    assert len(site.commands("server")) == 1
    assert all(ticket.server == "one" for ticket in submitted_later)


def test_submissions_do_not_wait_for_a_server_that_says_nothing() -> None:
    """A question that is not answered holds them up for some seconds, and what is learned later is news."""
    site = Site(now=1000.0, server="one", hang={"server"})
    queue = a_queue(site, Branched())
    ticket = queue.submit(a_job("a"))
    run(queue, site, 7)
    assert ticket.state is TicketState.queued
    assert ticket.server == ""
    site.answer(next(call for call in site.calls if call.argv[0] == "server"))
    assert ticket in run(queue, site, 1)
    assert ticket.server == "one"


def test_a_program_that_is_not_there_holds_up_nothing() -> None:
    """Not all sites have all programs."""
    site = Site(now=1000.0, replies={"server": [Answer(127, "", "lsid: command not found")]})
    queue = a_queue(site, Branched())
    queue.submit(a_job("a"))
    run(queue, site, 1)
    assert len(site.commands("submit")) == 1


def test_a_server_that_never_says_its_name_is_no_proof(two: Site) -> None:
    """After a few tries its listings are read all the same: they can prove that a job is there, not that it is gone."""
    two.replies["server"] = [DOWN] * 1000
    two.jobs["8"] = ("running", "b")
    queue = a_queue(two, Branched())
    missing = attach(queue)
    there = queue.attach(a_job("b"), {**FACTS, "job_id": "8"})
    run(queue, two, 300)
    assert there.info is not None
    assert not missing.is_gone


def test_the_server_that_has_the_job_is_asked(queue: JobQueue, one: Site, two: Site) -> None:
    """Commands that name it follow the job, whatever the number means today."""
    ticket = attach(queue)
    run(queue, two, 60)
    assert ticket.info is not None
    assert (ticket.state, ticket.info.status) == (TicketState.queued, JobStatus.running)
    assert one.commands("query")
    assert not two.commands("query")


def test_the_server_that_has_the_job_cancels_it(queue: JobQueue, one: Site, two: Site) -> None:
    """And the number of the unrelated job here is left alone."""
    queue.cancel([attach(queue)])
    run(queue, two, 10)
    assert one.commands("cancel") == [("7",)]
    assert two.commands("cancel") == []


def test_a_job_that_left_the_other_server_is_gone(queue: JobQueue, one: Site, two: Site) -> None:
    """Its own server no longer lists it: that counts."""
    ticket = attach(queue)
    one.jobs.clear()
    run(queue, two, 60)
    assert ticket.is_gone


def test_a_job_in_doubt_is_searched_for_where_it_was_sent(queue: JobQueue, one: Site, two: Site) -> None:
    """The run ended during the submission: only that server can say whether it has the job."""
    ticket = attach(queue, job_id=None)
    run(queue, two, 10)
    assert (ticket.job_id, one.commands("find"), two.commands("find")) == ("7", [("a",)], [])


def test_a_job_that_was_never_sent_is_not_searched_for(queue: JobQueue, one: Site, two: Site) -> None:
    """Its record says so: no server has it."""
    ticket = attach(queue, job_id=None, server=None)
    assert ticket.state is TicketState.not_found
    run(queue, two, 10)
    assert one.commands("find") == two.commands("find") == []


@pytest.mark.parametrize("how", ["no commands", "no answer", "another one answers"])
def test_a_server_that_does_not_answer_is_waited_for(
    one: Site, two: Site, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its jobs count as alive, and the user reads once where they are, on which host, and what to do."""
    queue = a_queue(two, Branched(can_reach=how != "no commands"))
    if how == "no answer":
        two.others = {}
    one.server = "three" if how == "another one answers" else "one"
    ticket = attach(queue)
    run(queue, two, 3600, every=5)
    assert ticket.state is TicketState.out_of_reach
    assert not ticket.is_gone
    assert two.commands("cancel") == one.commands("cancel") == []
    (line,) = warnings(caplog)
    assert (
        "fake job 7 of an earlier run: submitted on login1 to one, but the commands of this machine reach two" in line
    )
    assert "log in to login1" in line
    assert "--fresh" in line


def test_a_server_that_answers_again_is_believed(queue: JobQueue, one: Site, two: Site) -> None:
    """An outage is no end."""
    two.others = {}
    ticket = attach(queue)
    run(queue, two, 100)
    assert ticket.info is None
    two.others = {"one": one}
    run(queue, two, 100)
    assert ticket.state is TicketState.queued
    assert ticket.info is not None


def test_a_job_out_of_reach_is_not_waited_for_when_it_is_unwanted(
    queue: JobQueue, two: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """--fresh: nothing can cancel it from here; the user reads where to do so, and the new attempt may begin."""
    two.others = {}
    ticket = attach(queue)
    run(queue, two, 10)
    over: list[bool] = []
    queue.cancel_then(ticket, lambda: over.append(True))
    assert over == [True]
    assert "fake job 7 is not cancelled; please cancel it on login1." in warnings(caplog)
    run(queue, two, 60)
    assert two.commands("cancel") == []


def test_a_job_out_of_reach_is_left_at_the_end(queue: JobQueue, two: Site) -> None:
    """Ctrl-C: it is returned as one that may be left, without a wait."""
    two.others = {}
    ticket = attach(queue)
    run(queue, two, 10)
    before = two.now
    assert queue.close(60) == [ticket]
    assert two.now - before < 2


def test_a_search_in_several_servers_finds_the_one_that_has_the_job(one: Site, two: Site) -> None:
    """The answer to the submission was lost; from then on that server alone is asked, and cancels it."""

    class Anywhere(Branched):
        def aim(self, job: JobSpec) -> str:
            return "one,two"

    both = Site(server="", jobs={"7;one": ("running", "a"), "7;two": ("running", "unrelated")})
    two.others["one,two"] = both
    two.replies["submit"] = [[("unsure", "connection reset")]]
    queue = a_queue(two, Anywhere())
    ticket = queue.submit(a_job("a"))
    run(queue, two, 10)
    assert (ticket.job_id, ticket.server) == ("7", "one")
    queue.cancel([ticket])
    run(queue, two, 10)
    assert (one.commands("cancel"), two.commands("cancel"), both.commands("cancel")) == ([("7",)], [], [])


# -- records that do not say which server


def test_a_record_of_a_former_version_is_proof_of_nothing(
    queue: JobQueue, two: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The job may be in another server: that this one does not list it means nothing, and is said once."""
    ticket = queue.attach(a_job("a"), {"job_id": "7", "submit_host": platform.node()})
    run(queue, two, 3600, every=5)
    assert not ticket.is_gone
    assert two.commands("cancel") == []
    (line,) = warnings(caplog)
    assert "does not list job 7 of an earlier run" in line
    assert "--fresh" in line


def test_a_record_of_a_former_version_whose_job_is_here(queue: JobQueue, two: Site) -> None:
    """Its label proves that it is in this server; from then on all is as ever."""
    two.jobs = {"7": ("running", "a")}
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    run(queue, two, 30)
    assert ticket.info is not None
    two.jobs.clear()
    run(queue, two, 120)
    assert ticket.is_gone


def test_the_history_proves_it_too(queue: JobQueue, two: Site) -> None:
    """A job that ended here under its label needs no more looking."""
    two.past = {"7": ("aborted", "a")}
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    run(queue, two, 60)
    assert ticket.info is not None
    assert ticket.info.status is JobStatus.aborted


def test_a_language_without_servers_is_judged_as_ever(two: Site) -> None:
    """A third party's system with one queue: a job that it no longer lists is gone."""
    queue = a_queue(two, Fake())
    ticket = queue.attach(a_job("a"), {"job_id": "8"})
    run(queue, two, 60)
    assert ticket.is_gone


def test_a_fresh_run_gets_its_way(queue: JobQueue, two: Site) -> None:
    """--fresh: what is not found here under its label is over, so that its task can be submitted anew."""
    ticket = queue.attach(a_job("a"), {"job_id": "7"})
    over: list[bool] = []
    queue.cancel_then(ticket, lambda: over.append(True))
    run(queue, two, 60)
    assert over == [True]
    assert two.commands("cancel") == []


# -- answers that hide jobs


def test_history_outweighs_a_listing_that_lacks_a_job(caplog: pytest.LogCaptureFixture) -> None:
    """SQUEUE_ACCOUNT hid living jobs: as long as the history says that they run, they do; said once."""
    site = Site(now=1000.0)
    queue = a_queue(site)
    (ticket,) = submitted(queue, "a")
    run(queue, site, FIRST + 1)
    site.jobs.clear()
    site.past = {"#a": ("running", "a")}
    run(queue, site, 3600, every=5)
    assert not ticket.is_gone
    assert ticket.info is not None
    assert ticket.info.status is JobStatus.running
    (line,) = warnings(caplog)
    assert "does not list job #a, but its history says running" in line


def test_history_may_change_its_mind() -> None:
    """The database is late: once it has the end of the job, that counts."""
    site = Site(now=1000.0)
    queue = a_queue(site)
    (ticket,) = submitted(queue, "a")
    run(queue, site, FIRST + 1)
    site.jobs.clear()
    site.past = {"#a": ("running", "a")}
    run(queue, site, 40)
    site.past = {"#a": ("aborted", "a")}
    run(queue, site, 120)
    assert ticket.info is not None
    assert ticket.info.status is JobStatus.aborted


@pytest.mark.parametrize("age", [120.0, 180.0])
def test_a_cache_in_front_of_the_query_kills_nothing(age: float) -> None:
    """A wrapper answers from a listing that is minutes old, and lacks what was submitted since."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    (ticket,) = submitted(queue, "a")
    jobs, site.jobs = site.jobs, {}
    run(queue, site, age)
    assert not ticket.is_gone
    site.jobs = jobs
    run(queue, site, POLL + 1)
    assert ticket.info is not None
    assert not ticket.missed


def test_a_listing_with_a_younger_job_is_not_that_old() -> None:
    """What was submitted before a job that is listed, and is missing, has left."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    (first,) = submitted(queue, "a")
    run(queue, site, 5)
    submitted(queue, "b")
    site.jobs.pop("#a")
    run(queue, site, 60)
    assert first.is_gone


def test_an_element_that_is_missing_beside_its_like_has_left() -> None:
    """Jobs of one submission are of one age: an element cancelled while it waits leaves no trace in Slurm."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    _, last = submitted(queue, "a", "b")
    site.jobs.pop("#b")
    run(queue, site, 60)
    assert last.is_gone


def test_a_judged_job_that_is_listed_shows_how_old_the_answer_is() -> None:
    """The others of its array are done already, and still listed."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    first, last = submitted(queue, "a", "b")
    queue.release(first)
    site.jobs.pop("#b")
    run(queue, site, 60)
    assert last.is_gone


def test_a_job_that_is_never_listed_is_gone_after_minutes() -> None:
    """No cache is that old."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    (ticket,) = submitted(queue, "a")
    site.jobs = {}
    run(queue, site, 300)
    assert ticket.is_gone


def test_a_young_job_of_an_earlier_run_may_be_missing_too() -> None:
    """Its record says when it was submitted."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    facts = {"job_id": "8", "submitted": time.time() - 20}
    young = queue.attach(a_job("a"), facts)
    run(queue, site, 150)
    assert not young.is_gone


def test_a_job_that_has_begun_is_searched_for_until_it_is_found(site: Site, tmp_path: Path) -> None:
    """Its submission was not answered, and the listings are old: its report proves that it is there."""
    queue = a_queue(site)
    site.replies["submit"] = [[("unsure", "connection reset")]]
    ticket = queue.submit(a_job("a", folder=str(tmp_path)))
    ticket.spec.report.touch()
    run(queue, site, 150)
    assert ticket.state is TicketState.unsure
    site.jobs = {"7": ("running", "a")}
    run(queue, site, 61)
    assert ticket.job_id == "7"


def test_a_job_that_has_begun_and_is_never_listed_is_given_up_once_no_answer_can_be_so_old(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was shot together with the command that submitted it: whoever waits for it knows why, and for how long."""
    queue = a_queue(site)
    site.replies["submit"] = [[("unsure", "connection reset")]]
    ticket = queue.submit(a_job("a", folder=str(tmp_path)))
    ticket.spec.report.touch()
    run(queue, site, OLDEST - 40)
    assert not ticket.is_over
    (warning,) = [record.message for record in caplog.records if "whose job script has begun" in record.message]
    assert "counts as ended" in warning
    run(queue, site, 40 + 61)
    assert ticket.state is TicketState.not_found


# -- labels


def test_the_number_of_our_own_submission_is_proof_while_it_is_listed() -> None:
    """A site's hook rewrote all labels: the job stays ours, whatever they say."""
    site = Site(now=1000.0)
    queue = a_queue(site)
    (ticket,) = submitted(queue, "a")
    site.jobs = {"#a": ("running", "billed to alpha")}
    run(queue, site, 300)
    assert ticket.info is not None
    assert not ticket.is_gone


def test_an_end_under_labels_that_were_never_seen_is_somebody_elses() -> None:
    """Ids wrap: between two queries our job died, and a stranger with its number is done."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    (ticket,) = submitted(queue, "a")
    run(queue, site, FIRST + 1)
    site.jobs = {"#a": ("successful", "stranger")}
    run(queue, site, 60)
    assert ticket.is_gone
    assert ticket.info is not None
    assert ticket.info.status is not JobStatus.successful


def test_a_number_that_is_somebody_elses_was_free() -> None:
    """Our job died before it was ever listed, and a stranger got its number: no cache is to blame."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    (ticket,) = submitted(queue, "a")
    site.jobs = {"#a": ("successful", "stranger")}
    run(queue, site, 60)
    assert ticket.is_gone


def test_after_a_gap_the_number_is_no_proof() -> None:
    """An answer lacked our job, and then another one has its number."""
    site = Site(now=1000.0)
    queue = a_queue(site, Fake(past=False))
    (ticket,) = submitted(queue, "a")
    run(queue, site, FIRST + 1)
    site.jobs = {}
    run(queue, site, 15)
    assert ticket.absent == 1
    site.jobs = {"#a": ("running", "somebody")}
    run(queue, site, 60)
    assert ticket.is_gone
