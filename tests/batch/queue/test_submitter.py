"""How a JobQueue submits its jobs: what goes together, what is refused, and when it tries again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from b2luigi.batch.queue.command import fits
from b2luigi.batch.queue.job_queue import JobQueue
from b2luigi.batch.queue.submitter import AT_ONCE, GATHER, MANY
from b2luigi.batch.queue.ticket import TicketState
from b2luigi.batch.systems.model import Answer, Command
from tests.batch.fakes import Fake, Site
from tests.batch.queue.helpers import a_queue, run, submit, warnings
from tests.batch.systems.recorded import a_job


def test_nothing_is_sent_before_the_step(queue: JobQueue, site: Site) -> None:
    """A job handed in waits for those that come in the same pass."""
    submit(queue, "a", "b")
    assert site.calls == []
    queue.step()
    assert site.commands("submit") == [("a", "b")]


@pytest.mark.parametrize(("jobs", "logged"), [(1, "1 job to fake: #0"), (1200, "1,200 jobs to fake: #0 to #1199")])
def test_a_submission_is_logged_once(jobs: int, logged: str, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """How many jobs, where, and how they are called there: a line for each pass, however many jobs go out in it."""
    caplog.set_level(logging.INFO)
    queue = a_queue(site, Fake(bulk=500))
    submit(queue, *map(str, range(jobs)))
    run(queue, site, 5)
    assert caplog.messages == [f"Submitted {logged}"]


def test_jobs_that_were_not_accepted_are_not_logged_as_submitted(
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
    assert site.commands("submit") == [("a", "b"), ("c", "d"), ("e",)]


def test_unequal_options_go_apart(queue: JobQueue, site: Site) -> None:
    """Jobs with equal options go together, even if others were handed in between."""
    submit(queue, "a", memory=1)
    submit(queue, "b", memory=2)
    submit(queue, "c", memory=1)
    queue.step()
    assert site.commands("submit") == [("a", "c"), ("b",)]


def test_a_few_commands_at_once(site: Site) -> None:
    """Only a few submissions are under way; each that answers makes room for the next."""
    site.hang = {"submit"}
    queue = a_queue(site, Fake(bulk=1))
    submit(queue, *"abcdefgh")
    queue.step()
    assert len(site.calls) == AT_ONCE
    site.answer(site.calls[1])
    queue.step()
    assert site.commands("submit")[AT_ONCE:] == [("e",)]


def test_refused_jobs_fail_alone(queue: JobQueue, site: Site) -> None:
    """A refusal concerns exactly its jobs, and keeps the words of the system."""
    site.replies["submit"] = [[("accepted", "1"), ("refused", "no such queue"), ("accepted", "3")]]
    first, second, third = submit(queue, *"abc")
    queue.step()
    assert queue.step() == [first, second, third]
    assert (first.job_id, second.job_id, third.job_id) == ("1", None, "3")
    assert (first.reason, second.reason, third.reason) == ("", "no such queue", "")
    assert second.state is TicketState.refused


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
    assert (ticket.job_id, ticket.state) == ("#a", TicketState.queued)
    assert "full" in warnings(caplog)[0]


def test_ten_minutes_without_submissions_are_logged_once(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The job waits, however long it takes; one line at the beginning, one when it is over, and it goes once."""
    site.replies["submit"] = [[("later", "too many jobs")]] * 1000
    tickets = submit(queue, "a")
    run(queue, site, 600, every=1)
    assert all(ticket.state is TicketState.waiting for ticket in tickets)
    site.replies["submit"] = []
    run(queue, site, 100, every=1)
    assert all(ticket.job_id for ticket in tickets)
    assert sorted(site.jobs) == ["#a"]
    first, last = warnings(caplog)
    assert "fake is not accepting jobs; retrying in 5 s." in first
    assert "too many jobs" in first
    assert "fake accepts jobs again after" in last


def test_a_submit_command_that_this_machine_could_not_start_is_sent_again(queue: JobQueue, site: Site) -> None:
    """No memory, no process, no file left: that is no word of the batch system."""
    site.replies["submit"] = [Answer(126, "", "bsub: Too many open files", started=False)]
    (ticket,) = submit(queue, "a")
    run(queue, site, 20)
    assert (ticket.job_id, ticket.state) == ("#a", TicketState.queued)
    assert len(site.commands("submit")) == 2


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
    assert site.commands("submit") == [("a", "b"), ("b",)]


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
    """After one "later" a run finds its way back to submissions of many jobs."""
    queue = a_queue(site, Fake(bulk=100))
    site.replies["submit"] = [[("later", "the daemon starts")]]
    submit(queue, "first")
    run(queue, site, 20)
    tickets = submit(queue, *(f"j{n}" for n in range(200)))
    run(queue, site, 30)
    assert all(ticket.job_id for ticket in tickets)
    assert len(site.commands("submit")) <= 12


@pytest.mark.parametrize("bulk", [1, 2])
def test_a_full_queue_does_not_stop_the_others(site: Site, bulk: int) -> None:
    """Jobs that get "later" again and again let those of other options pass."""
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
    assert (ticket.job_id, ticket.state) == (None, TicketState.unsure)


# -- limits, and jobs that are to blame


def test_a_limit_on_the_size_of_submissions_costs_no_time(site: Site) -> None:
    """Nothing waits: fewer jobs go at once, and the limit is remembered for the run."""
    site.submissions = lambda tokens: [("too many", "array too large")] * len(tokens) if len(tokens) > 10 else None
    queue = a_queue(site, Fake(bulk=100))
    tickets = submit(queue, *(f"j{n}" for n in range(100)))
    run(queue, site, 5)
    assert all(ticket.job_id for ticket in tickets)
    failed = [words for words in site.commands("submit") if len(words) > 10]
    assert len(failed) < 12
    run(queue, site, 600)
    submit(queue, *(f"k{n}" for n in range(50)))
    run(queue, site, 5)
    assert [words for words in site.commands("submit") if len(words) > 10] == failed


def test_a_submission_that_is_too_large_is_sent_in_parts_in_its_order(site: Site) -> None:
    """The first jobs handed in are the first to be submitted, split or not."""
    site.submissions = lambda tokens: [("too many", "array too large")] * len(tokens) if len(tokens) > 2 else None
    queue = a_queue(site, Fake(bulk=4))
    submit(queue, *"abcd")
    run(queue, site, 5)
    assert site.commands("submit") == [tuple("abcd"), ("a", "b"), ("c", "d")]


def test_submissions_grow_again_a_minute_after_the_last_limit(site: Site) -> None:
    """Until then they stay as small as the site wanted them."""
    queue = a_queue(site, Fake(bulk=8))
    site.replies["submit"] = [[("later", "full")] * 8]
    submit(queue, *"abcdefgh")
    run(queue, site, 30)
    submit(queue, *"ijklmnop")
    run(queue, site, 20)
    assert [len(words) for words in site.commands("submit")] == [8, 4, 4, 4, 4]
    run(queue, site, 20)
    for tokens in ("q", "rstuvwxy"):
        submit(queue, *tokens)
        run(queue, site, 5)
    assert len(site.commands("submit")[-1]) == 8


def test_a_single_job_that_is_too_many_is_refused(queue: JobQueue, site: Site) -> None:
    """It cannot be split."""
    site.replies["submit"] = [[("too many", "no arrays here")]]
    (ticket,) = submit(queue, "a")
    run(queue, site, 1)
    assert (ticket.state, ticket.reason) == (TicketState.refused, "no arrays here")


def test_a_command_that_this_machine_cannot_start_is_sent_in_parts(site: Site) -> None:
    """Longer than the system allows (E2BIG): the jobs are as many submissions as it takes."""
    queue = a_queue(site, Fake(bulk=1000))
    tickets = submit(queue, *(f"{n:016x}" + "f" * 4000 for n in range(500)))
    run(queue, site, 5)
    assert all(ticket.job_id for ticket in tickets)
    assert all(fits(Command(("submit", *words))) for words in site.commands("submit"))
    assert len(site.commands("submit")) > 1


def test_an_open_refusal_is_tried_a_few_times_and_then_counts(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Each try is logged with what it waits for; in the end the job is refused in the system's words."""
    site.replies["submit"] = [[("a few times", "over some limit")]] * 9
    (ticket,) = submit(queue, "a")
    run(queue, site, 600)
    assert (ticket.state, ticket.reason) == (TicketState.refused, "over some limit")
    assert len(site.commands("submit")) == 3
    tries = [text for text in warnings(caplog) if "(try" in text and "over some limit" in text]
    assert [text.partition("(")[2].partition(")")[0] for text in tries] == ["try 1 of 3", "try 2 of 3", "try 3 of 3"]


def test_one_job_that_is_refused_fails_no_other(site: Site) -> None:
    """A group that is refused is split until the job that is to blame is alone."""
    site.submissions = lambda tokens: [("refused", "bad job")] * len(tokens) if "j13" in tokens else None
    queue = a_queue(site, Fake(bulk=100))
    tickets = submit(queue, *(f"j{n}" for n in range(20)))
    run(queue, site, 5)
    assert [ticket.spec.token for ticket in tickets if ticket.state is TicketState.refused] == ["j13"]
    assert sum(ticket.job_id is not None for ticket in tickets) == 19


def test_jobs_that_are_all_refused_cost_few_commands(site: Site) -> None:
    """A queue that does not exist: a few refused one by one speak for all."""
    site.submissions = lambda tokens: [("refused", "no such queue")] * len(tokens)
    queue = a_queue(site, Fake(bulk=1000))
    tickets = submit(queue, *(f"j{n}" for n in range(1000)))
    run(queue, site, 10)
    assert {(ticket.state, ticket.reason) for ticket in tickets} == {(TicketState.refused, "no such queue")}
    assert len(site.commands("submit")) < 40


def test_neighbours_that_are_refused_do_not_speak_for_all(site: Site) -> None:
    """Three bad jobs side by side, of a thousand: the others are accepted."""
    bad = {"j0", "j1", "j2"}
    site.submissions = lambda tokens: [("refused", "bad path")] * len(tokens) if bad & set(tokens) else None
    queue = a_queue(site, Fake(bulk=1000))
    tickets = submit(queue, *(f"j{n}" for n in range(1000)))
    run(queue, site, 30)
    assert {ticket.spec.token for ticket in tickets if ticket.state is TicketState.refused} == bad
    assert sum(ticket.job_id is not None for ticket in tickets) == 997


def test_three_refused_one_by_one_speak_for_the_others(site: Site) -> None:
    """A group is halved until three jobs were refused alone; of each other part, one more job is tried."""
    site.submissions = lambda tokens: [("refused", "no such queue")] * len(tokens)
    queue = a_queue(site, Fake(bulk=8))
    tickets = submit(queue, *"abcdefgh")
    run(queue, site, 5)
    assert [len(words) for words in site.commands("submit")] == [8, 4, 2, 1, 1, 2, 1, 1, 1]
    assert {ticket.state for ticket in tickets} == {TicketState.refused}


def test_after_a_group_in_doubt_its_kind_goes_one_by_one(site: Site) -> None:
    """One of the jobs may be to blame for the strange answer; once others were accepted, groups grow again."""
    queue = a_queue(site, Fake(bulk=100))
    site.replies["submit"] = [[("unsure", "what?")] * 5]
    submit(queue, *"abcde")
    run(queue, site, 1)
    again = submit(queue, *"vwxyz")
    run(queue, site, 5)
    assert all(ticket.job_id for ticket in again)
    assert [len(words) for words in site.commands("submit")][:3] == [5, 1, 1]
    submit(queue, *(f"j{n}" for n in range(30)))
    run(queue, site, 5)
    assert max(map(len, site.commands("submit")[1:])) > 5


def test_notices_of_accepted_submissions_are_shown_once(
    queue: JobQueue, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """condor_submit's "is it a typo?", words of a site hook: once for each text."""
    site.replies["submit"] = [Answer(0, f'[["accepted", "{n}"]]', "WARNING: unused line\n") for n in range(3)]
    for token in "abc":
        submit(queue, token)
        run(queue, site, 2)
    assert [text for text in warnings(caplog) if "unused line" in text] == [
        "fake accepted jobs with this notice: WARNING: unused line"
    ]


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
    assert sum(map(len, site.commands("submit"))) == 10_000


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


def test_a_few_jobs_wait_for_others_that_are_being_prepared(site: Site) -> None:
    """The first ones go at once; then many together, or all there are after some seconds; and all if no more come."""
    queue = a_queue(site, Fake(bulk=1000))
    submit(queue, "first")
    queue.step(more_to_come=True)
    submit(queue, "a", "b")
    for _ in range(3):
        site.now += GATHER / 4
        queue.step(more_to_come=True)
    assert site.commands("submit") == [("first",)]
    site.now += GATHER / 4
    queue.step(more_to_come=True)
    assert site.commands("submit") == [("first",), ("a", "b")]
    submit(queue, *(f"t{n}" for n in range(MANY)))
    queue.step(more_to_come=True)
    assert len(site.commands("submit")[-1]) == MANY
    submit(queue, "last")
    queue.step(more_to_come=True)
    assert len(site.commands("submit")) == 3
    queue.step()
    assert site.commands("submit")[-1] == ("last",)
