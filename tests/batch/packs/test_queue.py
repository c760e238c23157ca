"""Tasks that share jobs: how packs are formed, followed and left; over a queue that a test moves by hand."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.tokens import is_of_pack
from b2luigi.batch.packs import description
from b2luigi.batch.packs import queue as queue_module
from b2luigi.batch.packs.lanes import GATHER, HOLD, PATIENT, QUIET
from b2luigi.batch.packs.pack import SETTLED
from b2luigi.batch.packs.under_way import ENDING, READING
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from tests.batch.packs.lane import ENDED, IDLE, RUNNING, Site, described, members_of, tokens
from tests.batch.processes.hands import doubt, let_go, lose, refuse, search_in_vain
from tests.present import present
from tests.waiting import until

KILLED = JobInfo(JobStatus.aborted, "OUT_OF_MEMORY", 137, Cause.memory)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A queue without jobs."""
    return Site(tmp_path)


# -- jobs of earlier runs, and of others


def test_a_job_of_which_this_run_wanted_some_tasks_only_outlives_the_run(site: Site) -> None:
    """The rest of its tasks are for a later run: to cancel the job would waste what they have done so far."""
    token, (first, *_) = site.a_pack_of_an_earlier_run(3)
    ticket = site.attach(first, token)
    (job,) = (pack.ticket for pack in site.queue._under_way.packs.values())
    site.report(job, RUNNING)
    site.judge(ticket)
    assert site.queue.close(60.0) == []
    assert site.hand.detached == [job]
    assert site.hand.cancelled == []


def test_whether_others_want_a_job_is_found_in_one_look_at_its_job_script(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack of a thousand tasks has a megabyte of them, and the loop must not wait."""
    reads: list[Path] = []
    members_in = description.members_in

    def counted(folder: Path, *default: Any) -> Any:
        reads.append(folder)
        return members_in(folder, *default)

    monkeypatch.setattr(queue_module, "members_in", counted)
    token, specs = site.a_pack_of_an_earlier_run(20)
    tickets = [site.attach(spec, token) for spec in specs[:10]]
    for spec in specs:
        site.close_record(spec)
    site.queue.cancel(tickets)
    site.judge(*tickets)
    for _ in range(5):
        site.wait(ENDING)
    assert len(reads) == 1


def test_who_looks_whether_others_want_a_job_does_so_once_a_second(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be thousands of tasks, on a slow disk."""
    looks: list[Path] = []
    all_in = Record.all_in

    def counted(folder: Path) -> Any:
        looks.append(folder)
        return all_in(folder)

    monkeypatch.setattr(Record, "all_in", counted)
    token, specs = site.a_pack_of_an_earlier_run(3)
    ticket = site.attach(specs[0], token)
    site.begin(site.hand_of(token), ticket)
    site.queue.cancel([ticket])
    for _ in range(10):
        site.wait(0.01)
    assert len(looks) <= 2


def test_a_task_whose_folder_is_away_for_a_moment_may_be_wanted(site: Site) -> None:
    """Without its records nobody knows."""
    token, (first, second) = site.a_pack_of_an_earlier_run(2)
    site.close_record(second)
    os.rename(second.folder, site.base / "away")
    ticket = site.attach(first, token)
    site.queue.cancel([ticket])
    site.wait(0.1)
    assert site.hand.cancelled == []
    os.rename(site.base / "away", second.folder)
    site.wait(1.1)
    assert tokens(site.hand.cancelled) == [token]


@pytest.mark.parametrize(
    "text", ["", "{", '{"token": "0123456789abcdef"}'], ids=["empty", "cut short", "another format"]
)
def test_a_task_whose_record_was_torn_may_be_wanted(site: Site, text: str) -> None:
    """A power cut; a later run restores it, and follows the job."""
    token, (first, second) = site.a_pack_of_an_earlier_run(2)
    (second.folder / "attempt-1.json").write_text(text)
    ticket = site.attach(first, token)
    site.queue.cancel([ticket])
    site.wait(0.1)
    assert site.hand.cancelled == []


@pytest.mark.parametrize(
    ("moves", "state"),
    [
        ([TicketState.placing, TicketState.out_of_reach], TicketState.out_of_reach),
        ([TicketState.placing, TicketState.unsure], TicketState.unsure),
        ([TicketState.placing, TicketState.queued, TicketState.gone], TicketState.gone),
        ([TicketState.unsure, TicketState.not_found], TicketState.not_found),
        ([TicketState.placing, TicketState.queued, TicketState.ended], TicketState.ended),
        ([TicketState.sent, TicketState.refused], TicketState.refused),
    ],
    ids=lambda value: value.name if isinstance(value, TicketState) else "",
)
def test_a_task_that_comes_late_sees_its_job_where_it_is(
    site: Site, moves: list[TicketState], state: TicketState
) -> None:
    """Or else its record would be closed as that of a job that was never submitted, and a second one would come."""
    token, (first, second) = site.a_pack_of_an_earlier_run(2)
    site.hand.attach = lambda spec, facts: Ticket(spec)  # type: ignore[method-assign]
    site.attach(first, token)
    (job,) = (pack.ticket for pack in site.queue._under_way.packs.values())
    for move in moves:
        job.move(move, "why")
    late = site.attach(second, token)
    assert (late.state, late.reason) == (state, "why")


def test_a_job_that_nobody_waited_for_and_one_leaves_again_is_forgotten(site: Site) -> None:
    """A task came back to it while it was about to be closed, and left it to another run."""
    site.pack(2)
    token, (first, second) = site.a_pack_of_an_earlier_run(2)
    site.judge(site.attach(first, token))
    site.queue.detach(site.attach(second, token))
    site.wait(1.0)
    assert len(site.hand.detached) == 1


def test_a_task_hears_how_often_the_batch_system_has_said_that_its_job_lives(site: Site) -> None:
    """A signal ended it, and yet its job is in a few answers, all of them alike: it was requeued."""
    job, (first, *_) = site.pack(2)
    site.report(job, RUNNING)
    job.end_reported = True
    for _ in range(3):
        job.answers += 1
        site.wait(1.0)
    assert first.answers == job.answers


# -- how packs are formed


def test_as_many_tasks_share_a_job_as_the_setting_says(site: Site) -> None:
    """A full pack goes out at once, also while more tasks are being prepared; what is left waits for more."""
    members = site.submit(7, most=3)
    site.queue.step(more_to_come=True)
    assert [members_of(job) for job in site.hand.tickets] == [tokens(members[:3]), tokens(members[3:6])]
    assert members[6].pack is None


def test_a_task_alone_has_a_job_of_its_own(site: Site) -> None:
    """Whoever sets nothing has what was there before: its ticket, token and script go through as they are."""
    spec = site.spec()
    ticket = site.queue.submit(spec)
    assert site.hand.tickets == [ticket]
    assert ticket.pack is None


def test_tasks_that_bring_different_keys_do_not_share(site: Site) -> None:
    """Their job scripts differ in more than the task."""
    first, second = site.submit(1, most=2, key="a"), site.submit(1, most=2, key="b")
    site.wait(PATIENT)
    assert [members_of(job) for job in site.hand.tickets] == [tokens(first), tokens(second)]


@pytest.mark.parametrize(
    ("more_to_come", "seconds", "is_sent"),
    [(True, GATHER - 0.1, False), (True, GATHER, True), (False, 0.0, True)],
)
def test_a_pack_that_is_not_full_waits_for_what_is_being_prepared(
    site: Site, more_to_come: bool, seconds: float, is_sent: bool
) -> None:
    """Some seconds, and not at all if nothing more comes and nothing else is at work."""
    site.submit(2, most=3)
    site.now += seconds
    site.queue.step(more_to_come)
    assert bool(site.hand.tickets) is is_sent


def test_while_other_jobs_are_under_way_a_pack_waits_a_moment_for_tasks_that_become_ready(site: Site) -> None:
    """As long as they trickle in, and not for ever."""
    site.pack(1)
    (task,) = site.submit(1, most=1000)
    site.wait(QUIET / 2)
    assert task.pack is None
    for _ in range(100):
        if task.pack is not None:
            break
        site.submit(1, most=1000)
        site.wait(QUIET / 2)
    assert 1000.0 + PATIENT <= site.now <= 1000.0 + PATIENT + 2 * QUIET


def test_a_pack_goes_out_when_no_more_tasks_become_ready(site: Site) -> None:
    """A moment after the last one."""
    site.pack(1)
    (task,) = site.submit(1, most=1000)
    site.wait(QUIET - 0.01)
    assert task.pack is None
    site.wait(0.02)
    assert task.pack is not None


def test_the_job_of_a_pack_is_found_by_a_token_that_names_no_task(site: Site) -> None:
    """Its tasks are in its job script, with all that a node has to know; so are their tokens."""
    job, members = site.pack(2)
    assert is_of_pack(job.spec.token)
    assert job.spec.folder == site.base / "packs" / job.spec.token
    assert members_of(job) == tokens(members)
    assert [member.spec.report for member in members] == [job.spec.report] * 2
    assert job.spec.is_pack


def test_a_job_waits_for_strays_of_all_its_tasks_and_of_their_inputs(site: Site) -> None:
    """Jobs without a record, which are known by how their tokens begin."""
    specs = [replace(site.spec(), kin_of_inputs=partial(list, [f"input{n}"])) for n in range(2)]
    for spec in specs:
        site.queue.submit(spec, None, site.share(spec, 2))
    site.queue.step()
    (job,) = site.hand.tickets
    assert list(job.spec.kin_of_inputs()) == [specs[0].token[:9], "input0", specs[1].token[:9], "input1"]


def test_the_records_of_all_tasks_say_which_job_has_them_before_it_is_sent(site: Site) -> None:
    """A run that is killed right then must find the job, whichever of its tasks it looks at first."""
    job, members = site.pack(3)
    assert site.notes == members
    assert {member.spec.pack for member in members} == {job.spec.folder}
    assert {member.label for member in members} == {job.label}


def test_what_the_records_say_is_how_the_job_is_called_when_it_is_sent(site: Site) -> None:
    """Its batch server is known by then, and its place in an array of jobs."""
    said: list[tuple[str, str]] = []
    for spec in (site.spec(), site.spec()):
        site.queue.submit(spec, lambda ticket: said.append((ticket.label, ticket.server)), site.share(spec, 2))
    site.queue.step()
    (job,) = site.hand.tickets
    job.label, job.server = f"{job.spec.token}[3]", "here"
    present(job.before_sending)(job)
    assert said == [(job.label, "here")] * 2


def test_the_number_of_the_job_is_that_of_all_its_tasks(site: Site) -> None:
    """People ask the batch system for it."""
    job, members = site.pack(3, job_id="4711")
    assert [(one.job_id, one.state, one.is_own) for one in members] == [("4711", TicketState.queued, job.is_own)] * 3


def test_a_task_whose_former_job_is_on_its_way_out_waits_and_keeps_nobody_waiting(site: Site) -> None:
    """Two jobs must not be at work on one task."""
    held, free = site.submit(2, most=2)
    site.hand.leaving = {held.spec.script}
    site.wait(PATIENT)
    assert [members_of(job) for job in site.hand.tickets] == [tokens([free])]
    site.hand.leaving = set()
    site.wait(HOLD)
    assert [members_of(job) for job in site.hand.tickets] == [tokens([free]), tokens([held])]


def test_a_task_that_was_cancelled_while_it_waited_is_in_no_job(site: Site) -> None:
    """Nor is one that was judged, or left to another run."""
    tasks = site.submit(5, most=5)
    over: list[str] = []
    site.queue.cancel([tasks[0]])
    site.queue.cancel_then(tasks[1], lambda: over.append("now"))
    site.queue.release(tasks[2])
    site.queue.detach(tasks[3])
    site.wait(GATHER)
    assert over == ["now"]
    assert [members_of(job) for job in site.hand.tickets] == [tokens(tasks[4:])]


def test_a_full_disk_keeps_packs_waiting_and_loses_no_task(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and tried again some seconds later."""
    tries: list[float] = []

    def full(*arguments: Any) -> Path:
        tries.append(site.now)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(queue_module, "write_job_script", full)
        tasks = site.submit(3)
        for _ in range(10):
            site.wait(1.0)
    assert site.hand.tickets == []
    assert 1 < len(tries) < 4
    assert caplog.text.count("No job can be written now") == 1
    site.wait(60.0)
    assert [members_of(job) for job in site.hand.tickets] == [tokens(tasks)]


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), TypeError("not JSON")])
def test_a_job_script_that_can_never_be_written_fails_its_tasks_and_no_others(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """They would wait for ever, or end the whole run."""

    def never(*arguments: Any) -> Path:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(queue_module, "write_job_script", never)
        tasks = site.submit(3)
        assert site.queue.step() == tasks
    assert {(task.state, str(error) in task.reason) for task in tasks} == {(TicketState.refused, True)}
    assert site.pack(2)[0].job_id == "7"


def test_what_packs_of_long_ago_have_printed_is_removed(site: Site) -> None:
    """Also those of runs that were killed, if nobody may wait for their tasks any more."""
    old, new = (site.base / "packs" / name for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "stderr").touch()
    wanted, (task, _) = site.a_pack_of_an_earlier_run(2)
    unwanted, tasks = site.a_pack_of_an_earlier_run(2)
    for one in (*tasks, task):
        site.close_record(one)
    unsaid, _ = site.a_pack_of_an_earlier_run(1)
    (site.base / "packs" / unsaid / "executable_wrapper.sh").write_text("")
    for name in ("old", wanted, unwanted, unsaid):
        os.utime(site.base / "packs" / name, (0, 0))
    job, _ = site.pack(1)
    assert {path.name for path in (site.base / "packs").iterdir()} == {"new", wanted, unsaid, job.spec.token}


# -- how many: "auto"


def test_a_thousand_short_tasks_go_into_as_many_jobs_as_there_are_slots(site: Site) -> None:
    """All of one size, so that they end together; nobody knows yet how long they take."""
    site.hand.slots = 16
    site.submit(1000, most=None)
    forms(site)
    sizes = [len(members_of(job)) for job in site.hand.tickets]
    assert len(sizes) == 16
    assert max(sizes) - min(sizes) <= 13
    assert min(sizes) > 1


def test_a_pack_of_unknown_tasks_hands_back_what_it_has_not_begun_soon(site: Site) -> None:
    """A guess must not keep a thousand hours of work in one job; a number that the user chose is no guess."""
    site.submit(20, most=None, seconds=300.0)
    site.submit(3, most=3)
    forms(site)
    limits = {len(members_of(job)): described(job)["limit"] for job in site.hand.tickets}
    assert limits[3] is None
    assert all(0 < limit <= 30.0 for size, limit in limits.items() if size != 3)


def test_once_durations_are_known_a_pack_holds_as_much_work_as_the_setting_allows(site: Site) -> None:
    """Tasks of 10 s, at most 300 s in one job."""
    site.queue.learn("Work", 10.0)
    site.hand.slots = 1
    site.submit(100, most=None, seconds=300.0)
    forms(site)
    assert max(len(members_of(job)) for job in site.hand.tickets) <= 30
    assert {described(job)["limit"] for job in site.hand.tickets} == {300.0}


def forms(site: Site) -> None:
    """Waits until all tasks are in jobs: the durations of earlier runs are read on a thread."""
    until(lambda: site.wait(PATIENT) or site.queue._lanes.is_empty, "all tasks are in jobs")


# -- how packs are followed


def test_a_task_runs_once_its_job_has_begun_with_it(site: Site) -> None:
    """The others of a running job wait for their turn; their time limit has not begun."""
    job, (first, second) = site.pack(2)
    site.report(job, IDLE)
    site.begin(job, first)
    site.report(job, RUNNING)
    site.wait(READING)
    assert [status(one) for one in (first, second)] == [JobStatus.running, JobStatus.idle]
    site.begin(job, second)
    assert site.wait(2 * READING) == [second]
    assert status(second) is JobStatus.running


def test_an_end_of_the_job_is_news_for_all_its_tasks_that_are_still_open(site: Site) -> None:
    """By its marker or by the batch system; tasks that were judged do not hear of it."""
    job, (first, *others) = site.pack(3)
    site.judge(first)
    assert site.end(job) == others
    assert [one.pack.marker.exit_code for one in others if one.pack is not None and one.pack.marker is not None] == [
        0,
        0,
    ]
    assert site.report(job, ENDED) == others
    assert site.hear() == []


def test_a_job_that_a_signal_ended_is_asked_for_soon(site: Site) -> None:
    """The batch system knows why, and whether it will run again."""
    job, _ = site.pack(2)
    site.end(job, "143 none\n")
    assert site.hand.hurried == 1


def test_a_job_that_lives_on_after_a_signal_has_not_ended(site: Site) -> None:
    """Requeued, its next end leaves another marker."""
    job, (first, second) = site.pack(2)
    site.end(first, "143 none\n")
    site.end(job, "143 none\n")
    site.queue.calm(first)
    pack = site.queue._under_way.packs[job.spec.token]
    assert (pack.marker, pack.is_over, pack.ended) == (None, False, set())
    assert not site.inbox.has(job.spec.token)
    assert site.end(job) == [first, second]


def test_a_job_that_is_gone_and_there_again_is_so_for_its_tasks(site: Site) -> None:
    """A listing was not complete."""
    job, members = site.pack(2)
    lose(job)
    assert site.hear_of(job) == members
    assert all(one.is_gone for one in members)
    job.move(TicketState.queued)
    site.hear_of(job)
    assert {one.state for one in members} == {TicketState.queued}


@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (lambda job: refuse(job, "no such queue"), TicketState.refused),
        (lambda job: doubt(job, "timeout"), TicketState.unsure),
        (lambda job: search_in_vain(job, "not found"), TicketState.not_found),
    ],
)
def test_what_becomes_of_the_submission_all_tasks_hear(
    site: Site, happens: Callable[[Ticket], None], state: TicketState
) -> None:
    """With the words of the batch system."""
    members = site.submit(3)
    site.queue.step()
    (job,) = site.hand.tickets
    happens(job)
    site.hear_of(job)
    assert {(one.state, one.reason) for one in members} == {(state, job.reason)}


@pytest.mark.parametrize("cause", [Cause.memory, Cause.time])
def test_a_class_whose_job_died_of_memory_or_time_shares_jobs_with_half_as_many(site: Site, cause: Cause) -> None:
    """Then with a quarter, and at last each alone."""
    sizes = []
    for number in (8, 8, 8, 8, 8):
        before = len(site.hand.tickets)
        members = site.submit(number, most=8)
        site.wait(GATHER)
        job = site.hand.tickets[before]
        sizes.append(len(members_of(job)))
        for other in site.hand.tickets[before:]:
            site.send(other)
        site.report(job, replace(KILLED, cause=cause))
        site.judge(*members)
    assert sizes == [8, 4, 2, 1, 1]


def test_a_job_that_died_of_something_else_says_nothing_about_its_size(site: Site) -> None:
    """A node that was lost, say."""
    job, members = site.pack(4)
    site.report(job, replace(KILLED, cause=Cause.infrastructure))
    site.judge(*members)
    assert len(members_of(site.pack(4)[0])) == 4


# -- tasks leave


def test_a_task_that_nobody_wants_does_not_begin_and_its_job_works_on(site: Site) -> None:
    """Its void says so to the node; if it has not begun some seconds later, it will not."""
    job, (first, second) = site.pack(2)
    site.report(job, RUNNING)
    site.begin(job, second)
    over: list[float] = []
    site.queue.cancel_then(first, lambda: over.append(site.now))
    site.queue.release(first)
    start = site.now
    site.queue.step()
    assert (first.spec.folder / f"{first.spec.token}.void").exists()
    site.wait(SETTLED - 0.1)
    assert (over, first.spec.script in site.queue.leaving, first.spec.script in site.hand.held) == ([], True, True)
    site.wait(0.2)
    assert over == [pytest.approx(start + SETTLED + 0.1)]
    assert site.queue.leaving == set()
    assert site.hand.cancelled == []
    assert status(second) is JobStatus.running


def test_a_slow_disk_does_not_keep_the_loop_from_its_other_work(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred tasks that nobody wants any more, each of which costs a fifth of a second."""
    touch = Path.touch

    def slow(path: Path, *arguments: Any, **named: Any) -> None:
        site.now += 0.2
        touch(path, *arguments, **named)

    job, members = site.pack(101)
    site.report(job, RUNNING)
    site.begin(job, members[-1])
    monkeypatch.setattr(Path, "touch", slow)
    site.queue.cancel(members[:100])
    longest = 0.0
    for _ in range(200):
        before = site.now
        site.queue.step()
        longest, site.now = max(longest, site.now - before), site.now + 0.1
    assert longest < 1.0
    assert all((one.spec.folder / f"{one.spec.token}.void").exists() for one in members[:100])


def test_a_task_that_is_at_work_is_over_when_it_has_left_its_marker(site: Site) -> None:
    """Until then no other job may begin with it."""
    job, (first, second) = site.pack(2)
    site.report(job, RUNNING)
    site.begin(job, first)
    over: list[float] = []
    site.queue.cancel_then(first, lambda: over.append(site.now))
    site.wait(0.1)
    site.wait(10 * SETTLED)
    assert over == []
    site.end(first, "143 none alone\n")
    site.wait(0.1)
    assert over == [site.now]
    assert second.spec.token in site.queue._under_way.of_member


def test_a_task_that_has_ended_is_over_as_soon_as_nobody_wants_it(site: Site) -> None:
    """There is nothing to wait for, and nothing to tell its node."""
    job, (first, _) = site.pack(2)
    site.report(job, RUNNING)
    site.end(first, "1 none alone\n")
    over: list[str] = []
    site.queue.cancel_then(first, lambda: over.append("now"))
    assert over == ["now"]
    assert not list(first.spec.folder.glob("*.void"))


def test_a_task_whose_ledger_cannot_be_read_may_be_at_work(site: Site) -> None:
    """A slow or broken disk calls nobody dead."""
    job, (first, _) = site.pack(2)
    site.report(job, RUNNING)
    (job.spec.folder / "begun").mkdir()
    over: list[float] = []
    site.queue.cancel_then(first, lambda: over.append(site.now))
    site.wait(0.1)
    site.wait(10 * SETTLED)
    assert over == []


def test_a_job_none_of_whose_tasks_anybody_wants_is_cancelled(site: Site) -> None:
    """With the last of them, and its tasks are over when the batch system has let it go."""
    job, (first, second) = site.pack(2)
    site.report(job, RUNNING)
    site.begin(job, first, second)
    over: list[str] = []
    site.queue.cancel_then(first, lambda: over.append("first"))
    site.wait(0.1)
    assert site.hand.cancelled == []
    site.queue.cancel_then(second, lambda: over.append("second"))
    site.wait(0.1)
    assert (site.hand.cancelled, over) == ([job], [])
    let_go(job)
    site.wait(0.1)
    assert sorted(over) == ["first", "second"]
    assert site.queue.leaving == set()


def test_a_task_that_is_done_does_not_keep_its_job_from_being_cancelled(site: Site) -> None:
    """Nobody waits for it any more."""
    job, (first, second) = site.pack(2)
    site.end(first, "0 outcome alone\n")
    site.judge(first)
    site.queue.cancel([second])
    site.wait(0.1)
    assert site.hand.cancelled == [job]


def test_a_job_that_was_cancelled_before_it_was_sent_keeps_no_task_waiting(site: Site) -> None:
    """There is no such job, and never will be."""
    members = site.submit(2, most=2)
    site.queue.step()
    site.queue.cancel(members)
    site.wait(0.1)
    site.wait(SETTLED)
    assert site.queue.leaving == set()


def test_a_job_of_another_run_is_cancelled_only_when_no_run_wants_any_of_it(site: Site) -> None:
    """Its other tasks are for whoever comes for them."""
    token, (first, second) = site.a_pack_of_an_earlier_run(2)
    job_id_of = site.attach(first, token)
    site.queue.cancel([job_id_of])
    site.wait(0.1)
    assert site.hand.cancelled == []
    site.close_record(second)
    site.wait(1.1)
    assert tokens(site.hand.cancelled) == [token]


def test_a_job_that_does_not_say_what_is_in_it_is_never_cancelled(site: Site) -> None:
    """Its job script was removed: nobody knows who waits for it."""
    token, (first, _) = site.a_pack_of_an_earlier_run(2)
    (site.base / "packs" / token / "executable_wrapper.sh").unlink()
    ticket = site.attach(first, token)
    site.queue.cancel([ticket])
    site.wait(0.1)
    site.wait(SETTLED)
    site.wait(ENDING)
    assert site.hand.cancelled == []
    assert len(site.hand.detached) == 1


def test_a_job_is_attached_to_once_for_all_its_tasks(site: Site) -> None:
    """The batch system has one job."""
    token, specs = site.a_pack_of_an_earlier_run(3)
    tickets = [site.attach(spec, token) for spec in specs]
    assert len(site.hand.attached) == 1
    assert {(one.job_id, one.label) for one in tickets} == {("7", site.hand_of(token).label)}
    assert {one.pack for one in tickets} == {site.queue._under_way.packs[token]}
    assert {one.spec.pack for one in tickets} == {site.hand_of(token).spec.folder}


def test_the_record_of_a_job_of_one_task_leads_to_that_job(site: Site) -> None:
    """Also that of an earlier version, which knows no packs."""
    spec = site.spec()
    site.queue.attach(spec, {"job_id": "12", "mark": spec.token})
    assert site.hand.attached == [{"job_id": "12", "mark": spec.token}]
    assert site.queue._under_way.packs == {}


# -- the end of a pack


def test_nothing_stays_of_a_pack_that_ended_well(site: Site) -> None:
    """Its folder, its marker, and the job itself, which nobody asks for any more."""
    job, members = site.pack(2)
    for member in members:
        site.end(member, "0 outcome alone\n")
    site.judge(*members)
    site.end(job)
    site.wait(0.1)
    assert site.hand.released == [job]
    assert not (site.base / "packs").exists()
    assert not site.inbox.has(job.spec.token)
    assert site.hand.cancelled == []


def test_what_a_pack_has_printed_that_failed_stays_for_a_while(site: Site) -> None:
    """A person may have to read it; its job script, which nothing may start any more, goes."""
    job, members = site.pack(2)
    (job.spec.folder / "stderr").write_text("ImportError")
    site.end(job, "1 none\n")
    site.judge(*members)
    site.wait(0.1)
    assert [path.name for path in job.spec.folder.iterdir()] == ["stderr"]


def test_a_job_that_does_not_end_after_its_last_task_is_cancelled(site: Site) -> None:
    """It has nothing to do any more, and holds a slot."""
    job, members = site.pack(2)
    site.report(job, RUNNING)
    for member in members:
        site.end(member, "0 outcome alone\n")
    site.judge(*members)
    site.wait(0.1)
    site.wait(ENDING - 0.2)
    assert site.hand.cancelled == []
    (job.spec.folder / "stdout").write_text("words of a script\n")
    site.wait(0.2)
    assert site.hand.cancelled == [job]
    assert not job.spec.folder.exists()  # nothing has gone wrong


def test_the_marker_of_a_job_that_was_cancelled_at_its_end_is_removed(site: Site) -> None:
    """Or else the inbox would stay; one that another run may wait for stays."""
    job, members = site.pack(2)
    site.judge(*members)
    token, (first, _) = site.a_pack_of_an_earlier_run(2)
    site.judge(site.attach(first, token))
    site.wait(0.1)
    site.wait(ENDING)
    for name in (job.spec.token, token):
        (site.inbox.folder / name).write_text("143 none\n")
    site.hear()
    assert site.inbox.tokens() == [token]


def test_at_the_end_of_a_run_the_last_jobs_may_end_by_themselves(site: Site) -> None:
    """They do so a moment after their last tasks; to cancel them would only leave traces."""
    job, members = site.pack(2)
    site.report(job, RUNNING)
    for member in members:
        site.end(member, "0 outcome alone\n")
    site.judge(*members)
    site.events.append((site.now + 0.5, lambda: (site.inbox.folder / job.spec.token).write_text("0 none\n")))
    assert site.queue.close(60.0) == []
    assert site.hand.cancelled == []
    assert not (site.base / "packs").exists()


def test_a_job_that_is_stopped_at_the_end_of_a_run_leaves_no_marker(site: Site) -> None:
    """Its job script writes one on its way out."""
    job, members = site.pack(2)
    site.judge(*members)
    job.when_over = (site.inbox.folder / job.spec.token).touch
    assert site.queue.close(60.0) == []
    assert (site.hand.cancelled, site.inbox.tokens()) == ([job], [])


def test_at_ctrl_c_whole_jobs_are_cancelled_and_nothing_is_left(site: Site) -> None:
    """Those that wait for others were never sent; all tasks are over then."""
    jobs = [site.pack(2, job_id=str(number)) for number in (7, 8)]
    site.submit(1, most=5)
    assert site.queue.close(60.0) == []
    assert site.hand.cancelled == [job for job, _ in jobs]
    assert all(member.is_over for _, members in jobs for member in members)
    site.wait(GATHER)
    assert len(site.hand.tickets) == 2


def test_at_ctrl_c_a_job_of_an_earlier_run_stays_for_its_other_tasks(site: Site) -> None:
    """Those of this run are stopped one by one."""
    token, (first, _) = site.a_pack_of_an_earlier_run(2)
    ticket = site.attach(first, token)
    site.report(site.hand_of(token), RUNNING)
    job = site.hand_of(token)
    assert site.queue.close(60.0) == []
    assert ticket.is_over
    assert (first.folder / f"{first.token}.void").exists()
    assert (site.hand.cancelled, site.hand.detached) == ([], [job])


def test_a_task_that_does_not_stop_at_ctrl_c_is_reported(site: Site) -> None:
    """It is left, and its record stays open."""
    token, (first, _) = site.a_pack_of_an_earlier_run(2)
    ticket = site.attach(first, token)
    job = site.hand_of(token)
    site.begin(job, ticket)
    site.report(job, RUNNING)
    start = site.now
    assert site.queue.close(30.0) == [ticket]
    assert site.now >= start + 30.0
    assert (site.hand.cancelled, site.hand.detached) == ([], [job])
    assert not ticket.is_over


def test_a_run_that_leaves_its_jobs_knows_which_of_them_are_there(site: Site) -> None:
    """A submission that was under way counts; tasks in no job yet do not."""
    members = site.submit(2, most=2)
    waiting = site.submit(1, most=5)
    site.queue.step(more_to_come=True)
    (job,) = site.hand.tickets
    job.move(TicketState.sent)
    site.queue.leave(60.0)
    assert [one.may_be_there for one in (*members, *waiting)] == [True, True, False]


def status(ticket: Ticket) -> JobStatus:
    """What a task hears of its job."""
    return present(ticket.info).status
