"""A task and its attempts: attached to, postponed, tried again, given up; with a queue that a test moves by hand."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.batch.attempts.artifacts import set_outputs_aside
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.liveness import this_process
from b2luigi.batch.attempts.outcome import Marker, Outcome
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.processes.cluster import DOUBTS, ClusterProcess
from b2luigi.batch.queue.ticket import TicketState
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from b2luigi.core.paths import get_task_file_dir
from tests.batch.processes.hands import Greedy, Job, Work, accept, let_go, lose, search_in_vain
from tests.present import present

RUNNING = JobInfo(JobStatus.running, "run")
LOST = JobInfo(JobStatus.aborted, "node lost", cause=Cause.infrastructure)


def a_former(job: Job, **facts: object) -> Record:
    """An attempt of an earlier run that was killed."""
    folder = Path(get_task_file_dir(job.process.task))
    known = {"inbox": str(folder.parent / "inbox-dead"), "batch_system": "hand", "outputs": []}
    return Record.claim(folder, {**known, **facts}, after=0)


def begun(job: Job) -> list[str]:
    """The tokens of the jobs that were handed in."""
    return [ticket.spec.token for ticket in job.queue.tickets]


def will_not_work(record: Path) -> bool:
    """Whether the job of an attempt that was given up ends at once, should it start after all."""
    facts = json.loads(record.read_text())
    return "ended" in facts and facts.get("void") is True


def another(job: Job, n: int) -> ClusterProcess:
    """A second task of the same run."""
    process = ClusterProcess(Work(n=n), None, job, 0)
    process.connect(job.queue, job.shared)
    process.run()
    return process


# -- jobs of earlier runs


def test_a_job_of_an_earlier_run_is_resumed(job: Job) -> None:
    """Nothing is submitted; its outcome is delivered, and its record closed."""
    former = a_former(job, job_id="17")
    job.process.run()
    assert (job.queue.tickets, job.queue.attached[0]["job_id"]) == ([], "17")
    assert job.process.token == former.token
    job.in_flight.ticket.info = RUNNING
    job.process.look()
    job.output.parent.mkdir(parents=True)
    job.output.touch()
    job.in_flight.ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert (job.status, job.record["end"]) == ("DONE", "DONE")


def test_a_job_that_was_about_to_be_submitted_and_is_nowhere_is_submitted(job: Job) -> None:
    """Its run was killed before the command; its token is void, in case it comes after all."""
    former = a_former(job)
    job.process.run()
    assert begun(job) == []
    search_in_vain(job.in_flight.ticket)
    job.process.look()
    job.process.look()
    assert len(begun(job)) == 1
    assert will_not_work(former.path)


@pytest.mark.parametrize("at_once", [True, False], ids=["not found at once", "looked for in vain"])
@pytest.mark.parametrize("marker", [Marker(0, True), None], ids=["marker", "outcome only"])
def test_a_job_that_came_and_went_before_its_id_was_noted_is_done(
    job: Job, at_once: bool, marker: Marker | None
) -> None:
    """Its run was killed after it had started the job; nobody finds the job, but its work is done: not again."""
    former = a_former(job)
    job.output.parent.mkdir(parents=True)
    job.output.write_text("whole")
    former.path.with_name(f"{former.token}.outcome").write_text(Outcome("DONE").to_json())
    if at_once:
        job.queue.nowhere = "no process of this machine has its token"
    job.process.run()
    search_in_vain(job.in_flight.ticket)
    assert job.process.needs_looks
    job.process.look(marker)
    assert (job.status, begun(job), job.output.read_text()) == ("DONE", [], "whole")
    assert job.record["end"] == "DONE"


def test_a_marker_whose_outcome_is_late_is_no_reason_to_begin_anew(job: Job) -> None:
    """The job is nowhere, but its marker mentions an outcome: on a shared file system that may be late."""
    former = a_former(job)
    inbox = Path(str(former.facts["inbox"]))
    inbox.mkdir(parents=True)
    (inbox / former.token).write_text("0 outcome")
    job.queue.nowhere = "not found"
    job.process.run()
    job.process.look(Marker(0, True))
    assert (job.status, begun(job)) == (None, [])
    job.output.parent.mkdir(parents=True)
    job.output.touch()
    former.path.with_name(f"{former.token}.outcome").write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert (job.status, begun(job)) == ("DONE", [])


def test_a_job_in_doubt_that_left_its_outcome_is_done(job: Job) -> None:
    """It was taken, and was over before it could be found; its script was shot before it could leave a marker."""
    ticket = job.start(None)
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    search_in_vain(ticket, "no answer within 60 s (not found)")
    job.process.look()
    assert (job.status, len(begun(job))) == ("DONE", 1)


def test_a_failure_that_nobody_watched_is_reported_and_the_task_runs_again(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """The user runs the script again to have the task done; half an output is set aside."""
    former = a_former(job, job_id="17")
    job.output.parent.mkdir(parents=True)
    job.output.write_text("half")
    former.path.with_name(f"{former.token}.outcome").write_text(Outcome("FAILED", headline="no luck").to_json())
    job.process.run()
    with caplog.at_level(logging.WARNING):
        job.process.look(Marker(1, True))
        job.process.look()
    assert "its job in an earlier run failed: no luck; resubmitting." in caplog.text
    assert len(begun(job)) == 1
    assert job.status is None
    assert job.output.with_name("out.txt.failed-1").read_text() == "half"


def test_a_long_name_is_set_aside_too(tmp_path: Path) -> None:
    """A mark that would make the name longer than 255 bytes takes the place of its end: nothing half is left."""

    class LongName(b2luigi.Task):
        result_dir = str(tmp_path)

        def output(self) -> Iterator[Any]:
            yield self.add_to_output("ä" * 127)

    path = Path(LongName().get_output_file_name("ä" * 127))
    path.write_text("half")
    attempt = Record(tmp_path / "attempt-1.json", {"outputs": [], "attempt": 1})
    (moved,) = set_outputs_aside(LongName(), attempt)
    assert not path.exists()
    assert Path(moved).read_text() == "half"
    assert moved.endswith("ä.failed-1")


@pytest.mark.parametrize("owner", [{"host": "elsewhere"}, this_process()], ids=["elsewhere", "here"])
def test_a_claim_of_a_run_that_lives_is_waited_for(job: Job, owner: dict[str, object]) -> None:
    """It is about to submit the job; as soon as it has, its job is ours, too, but for cancelling it."""
    inbox = Inbox.new(Path(get_task_file_dir(job.process.task)))
    inbox.open()
    former = a_former(job, inbox=str(inbox.folder))
    (inbox.folder / "run.json").write_text(json.dumps(owner))
    job.process.run()
    assert (begun(job), job.queue.attached, job.process.token) == ([], [], "")
    former.note(job_id="17")
    job.now += 6
    job.process.look()
    assert job.process.token == former.token
    assert job.in_flight.watched
    job.process.terminate()
    assert "ended" not in json.loads(former.path.read_text())


def test_the_verdict_of_another_run_is_reported_unchanged(job: Job) -> None:
    """The record of the attempt has the outcome."""
    inbox = Inbox.new(Path(get_task_file_dir(job.process.task)))
    inbox.open()
    former = a_former(job, inbox=str(inbox.folder), job_id="17")
    job.process.run()
    job.process.look()
    assert job.status is None
    former.note(ended=1.0, end="DONE", outcome=vars(Outcome("DONE", "by another")))
    job.now += 2
    job.process.look()
    assert job.results[0][1:3] == ("DONE", "by another")


def test_the_verdict_of_another_run_after_two_tries_is_reported_unchanged(job: Job) -> None:
    """The other run gave the attempt up, did the work in the next one, and removed the record of the first."""
    inbox = Inbox.new(Path(get_task_file_dir(job.process.task)))
    inbox.open()
    former = a_former(job, inbox=str(inbox.folder), job_id="17")
    job.process.run()
    job.process.look()
    job.output.parent.mkdir(parents=True)
    job.output.write_text("whole")
    second = Record.claim(former.path.parent, {"inbox": str(inbox.folder), "batch_system": "hand"}, after=1)
    former.path.unlink()
    second.note(ended=1.0, end="DONE", outcome=vars(Outcome("DONE", "by another")))
    job.now += 2
    job.process.look()
    assert (job.status, begun(job), job.output.read_text()) == ("DONE", [], "whole")


@pytest.mark.parametrize("refused", [True, False], ids=["looked for in vain", "lost"])
def test_two_runs_that_resume_one_job_judge_it_once(job: Job, refused: bool) -> None:
    """Both found the job of a dead run gone; the other one was faster, and its job writes the output just now."""
    former = a_former(job, **({} if refused else {"job_id": "17"}))
    job.process.run()
    other = Record(former.path, former.facts)
    other.note(ended=1.0, end="given up", outcome=None)
    second = Record.claim(former.path.parent, {**former.facts, "token": "f" * 16, "attempt": 2, "job_id": "18"}, 1)
    job.output.parent.mkdir(parents=True)
    job.output.write_text("half")
    if refused:
        search_in_vain(job.in_flight.ticket)
    else:
        job.in_flight.ticket.info = LOST
    job.process.look()
    job.now += 1
    job.process.look()
    assert (begun(job), job.process.token, job.output.read_text()) == ([], second.token, "half")


class SilentInbox(Inbox):
    """Of a run that was stopped for some minutes."""

    was_silent = True


def test_a_run_that_was_taken_for_dead_reports_what_became_of_its_job(job: Job) -> None:
    """A run on another host has judged it meanwhile, and has the task done once more: not a third time."""
    job.shared.runs.own = SilentInbox(job.runs.own.folder)
    ticket = job.start()
    Record(job.in_flight.record.path, job.in_flight.record.facts).note(ended=1.0, end="given up", outcome=None)
    second = Record.claim(ticket.spec.folder, {"inbox": "/elsewhere", "batch_system": "hand", "job_id": "8"}, after=1)
    job.output.write_text("half")
    ticket.info = LOST
    job.process.look()
    job.now += 1
    job.process.look()
    assert (len(begun(job)), job.process.token, job.output.read_text()) == (1, second.token, "half")


# -- jobs on their way out


def the_next_run(job: Job, folder: Path) -> Job:
    """A run that comes after that of a job, which was killed."""
    job.runs.own.leave()
    return Job(folder)


def test_a_job_that_was_stopped_by_a_run_that_was_killed_is_stopped(job: Job, tmp_path: Path) -> None:
    """The run had no time to cancel it; the task is submitted anew, behind that cancellation."""
    job.start()
    job.process.terminate()
    again = the_next_run(job, tmp_path)
    again.process.run()
    assert [ticket.job_id for ticket in again.queue.cancelled] == ["7"]
    assert (len(begun(again)), again.record["attempt"]) == (1, 2)
    former = json.loads(Path(again.in_flight.record.path).with_name("attempt-1.json").read_text())
    assert "ended" not in former
    let_go(again.queue.cancelled[0])
    former = json.loads(Path(again.in_flight.record.path).with_name("attempt-1.json").read_text())
    assert (former["end"], "ended" in former) == ("stopped", True)


def test_a_job_that_was_stopped_is_not_forgotten_behind_its_successor(job: Job, tmp_path: Path) -> None:
    """The run was killed when it had claimed the next attempt already, which waits for the end of this one."""
    job.start()
    job.process.terminate()
    second = another(job, 1)
    assert present(second.job).record.number == 2
    again = the_next_run(job, tmp_path)
    again.process.run()
    assert [ticket.job_id for ticket in again.queue.cancelled] == ["7"]
    assert (begun(again), again.process.token) == ([], second.token)


def test_a_job_that_a_living_run_is_stopping_is_waited_for(job: Job, tmp_path: Path) -> None:
    """That run sees to it; the task is submitted when the job is gone."""
    ticket = job.start()
    job.process.terminate()
    other = Job(tmp_path)
    other.process.run()
    assert (begun(other), other.queue.attached, other.queue.cancelled) == ([], [], [])
    let_go(ticket)
    other.now += 6
    other.process.look()
    assert len(begun(other)) == 1


def test_a_shared_job_that_another_run_is_stopping_is_waited_for(job: Job, tmp_path: Path) -> None:
    """Both resumed the job of a dead run; one gave it up, and was killed before it could cancel it."""
    former = a_former(job, job_id="17")
    job.process.run()
    other = Job(tmp_path)
    other.process.run()
    lose(other.in_flight.ticket)
    other.process.look()
    other.now += 61
    other.process.look()
    assert "given_up" in json.loads(former.path.read_text())
    for _ in range(3):
        job.now += 2
        job.process.look()
        assert (begun(job), job.queue.cancelled) == ([], [])
    other.runs.own.leave()
    for _ in range(3):
        job.now += 6
        job.process.look()
    assert [ticket.job_id for ticket in job.queue.cancelled] == ["17"]


def test_a_run_that_did_not_see_a_job_go_keeps_its_claims(job: Job) -> None:
    """Half an output is not to count as whole for the next run."""
    ticket = job.start()
    job.process.terminate()
    job.runs.close(left=False)
    assert [folder for _, folder in job.runs.own.folders()] == [ticket.spec.folder]
    let_go(ticket)
    job.runs.close(left=False)
    assert not job.runs.own.folder.exists()


def test_a_fresh_run_begins_when_it_is_written_that_the_old_job_is_to_go(job: Job) -> None:
    """Killed at any moment, the run leaves a record that makes the next one cancel the job, or the job as it was."""
    former = a_former(job, job_id="17")
    job.shared = replace(job.shared, fresh=True)
    job.process.connect(job.queue, job.shared)
    job.process.run()
    job.process.look()
    (ticket,) = job.queue.cancelled
    record = json.loads(former.path.read_text())
    assert (ticket.job_id, "given_up" in record, "ended" in record) == ("17", True, False)
    job.process.look()
    assert len(begun(job)) == 1
    let_go(ticket)
    assert "ended" in json.loads(former.path.read_text())


@pytest.mark.parametrize("found", [True, False])
def test_a_fresh_run_looks_for_a_job_before_it_takes_its_place(job: Job, found: bool) -> None:
    """It may run: only when it was found and cancelled, or is nowhere, the task is submitted."""
    a_former(job)
    job.shared = replace(job.shared, fresh=True)
    job.process.connect(job.queue, job.shared)
    job.process.run()
    for _ in range(3):
        job.process.look()
    assert (begun(job), job.queue.cancelled) == ([], [])
    if found:
        accept(job.in_flight.ticket, "17")
    else:
        search_in_vain(job.in_flight.ticket)
    job.process.look()
    job.process.look()
    assert (len(begun(job)), len(job.queue.cancelled)) == (1, int(found))


def test_work_that_was_finished_overnight_counts_with_fresh_too(job: Job) -> None:
    """Its outputs are whole: --fresh computes nothing again that is complete."""
    former = a_former(job, job_id="17")
    job.output.parent.mkdir(parents=True)
    job.output.write_text("whole")
    former.path.with_name(f"{former.token}.outcome").write_text(Outcome("DONE").to_json())
    job.process.connect(job.queue, replace(job.shared, fresh=True))
    job.process.run()
    job.process.look(Marker(0, True))
    assert (job.status, begun(job), job.output.read_text()) == ("DONE", [], "whole")


def test_a_job_that_is_void_is_not_resumed(job: Job, tmp_path: Path) -> None:
    """The run was killed right after it had written that; when the job starts it will do nothing."""
    former = a_former(job, job_id="17")
    former.void()
    job.process.run()
    assert ([ticket.job_id for ticket in job.queue.cancelled], len(begun(job))) == (["17"], 1)


def test_a_mark_for_a_job_of_another_machine_is_waited_for_too(job: Job) -> None:
    """There is no job that could give news of itself."""
    former = a_former(job, job_id="17")
    mark = former.path.with_name(f"{former.token}.void")
    mark.symlink_to(mark)
    job.queue.stranger = "it was started elsewhere"
    job.process.connect(job.queue, replace(job.shared, fresh=True))
    job.process.run()
    assert (job.status, begun(job), job.process.needs_looks) == (None, [], True)
    mark.unlink()
    job.now += 6
    job.process.look()
    job.process.look()
    assert len(begun(job)) == 1


@pytest.mark.parametrize("given_up", [True, False])
def test_a_job_of_another_machine_stops_no_fresh_run(job: Job, given_up: bool) -> None:
    """Nobody here can say what became of it: --fresh leaves it to itself; without it the task fails, and says so."""
    former = a_former(job, job_id="17", **({"given_up": "stopped", "by": "/nowhere"} if given_up else {}))
    job.queue.stranger = "it was started elsewhere; run the script there, or with --fresh"
    job.process.run()
    assert (job.status, begun(job)) == ("FAILED", [])
    again = ClusterProcess(job.process.task, None, job, 0)
    again.connect(job.queue, replace(job.shared, fresh=True))
    again.run()
    again.look()
    assert len(begun(job)) == 1
    assert "ended" in json.loads(former.path.read_text())


# -- trying again


def test_a_lost_job_is_tried_again_until_that_is_enough(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """job_retries: 2 by default."""
    job.process.run()
    for _ in range(3):
        job.in_flight.ticket.info = LOST
        job.process.look()
    assert len(begun(job)) == len(set(begun(job))) == 3
    assert job.status == "FAILED"
    assert "node lost" in job.process.story


@pytest.mark.parametrize(
    ("cause", "differs", "submitted"),
    [
        (Cause.memory, True, 2),
        (Cause.memory, False, 1),
        (Cause.time, True, 2),
        (Cause.time, False, 1),
        (Cause.cancelled, True, 1),
        (Cause.vanished, True, 1),
        (Cause.refused, True, 1),
        (Cause.ended, True, 1),
    ],
)
def test_what_is_worth_another_try(job: Job, tmp_path: Path, cause: Cause, differs: bool, submitted: int) -> None:
    """Too little memory or time: only if the next try asks for more; the decision of a person: never."""
    job = Job(tmp_path, Greedy()) if differs else job
    job.process.run()
    job.in_flight.ticket.info = JobInfo(JobStatus.aborted, "over", cause=cause)
    job.process.look()
    assert len(begun(job)) == submitted
    assert (job.status == "FAILED") is (submitted == 1)
    if submitted == 2:
        assert [ticket.spec.options["queue"] for ticket in job.queue.tickets] == ["queue-1", "queue-2"]


@pytest.mark.parametrize("task", [Greedy(n=1), Work(n=1)], ids=["asks for more", "asks for the same"])
def test_the_number_of_a_try_is_the_number_of_jobs_that_ran(job: Job, tmp_path: Path, task: Work) -> None:
    """Asking what the next try would ask for changes nothing: `self.job_attempt` counts jobs, not questions."""
    job = Job(tmp_path, task)
    job.process.run()
    job.in_flight.ticket.info = JobInfo(JobStatus.aborted, "over", cause=Cause.memory)
    job.process.look()
    assert task.job_attempt == len(begun(job)) == 1 + isinstance(task, Greedy)


def test_a_memory_error_is_one_of_memory(job: Job) -> None:
    """Reported as the exception it is, unless the next try asks for more."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("FAILED", headline="MemoryError", traceback="MemoryError").to_json())
    job.process.look(Marker(1, True))
    assert (job.status, len(begun(job))) == ("FAILED", 1)


def test_a_job_whose_submission_stays_in_doubt_is_submitted_again(job: Job) -> None:
    """It was looked for and not found; its token is void, so that it does nothing if it comes after all."""
    job.process.run()
    first = job.queue.tickets[0]
    search_in_vain(first, "no answer within 60 s (not found)")
    job.process.look()
    assert len(begun(job)) == 1
    job.now += 31
    job.process.look()
    assert len(begun(job)) == 2
    assert will_not_work(first.spec.folder / "attempt-1.json")


def test_a_submission_that_always_ends_in_doubt_fails_in_the_end(job: Job) -> None:
    """The words of the batch system are unknown, and it never has the job: nobody waits for that for ever."""
    job.process.run()
    for number in range(1, DOUBTS + 1):
        assert (len(begun(job)), job.status) == (number, None)
        search_in_vain(job.queue.tickets[-1], "strange words (not found)")
        job.process.look()
        job.now += 31
        job.process.look()
    assert (len(begun(job)), job.status) == (DOUBTS, "FAILED")
    assert "strange words" in job.process.story


# -- what has to wait


class FullInbox(Inbox):
    """On a disk that is full for a while."""

    full = True

    def open(self) -> Path:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))
        return super().open()


def test_a_full_disk_is_waited_for(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """No task fails of it; it is logged once, and when there is room again the job is submitted."""
    inbox = job.shared.runs.own = FullInbox(job.runs.own.folder, lambda: job.now)
    with caplog.at_level(logging.WARNING):
        job.process.run()
        for _ in range(5):
            job.now += 10
            job.process.look()
        assert (job.status, begun(job)) == (None, [])
        assert caplog.text.count("No space left on device") == 1
        inbox.full = False
        job.now += 10
        job.process.look()
    assert len(begun(job)) == 1
    assert "Jobs can be submitted again after 60 s." in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everything")
def test_an_expired_token_is_waited_for(job: Job) -> None:
    """Permission denied, where the run could write before."""
    job.runs.own.open()
    job.runs.own.folder.chmod(0o500)
    job.runs.own.folder.parent.chmod(0o500)
    job.process.run()
    assert (job.status, begun(job)) == (None, [])
    job.runs.own.folder.parent.chmod(0o700)
    job.runs.own.folder.chmod(0o700)
    job.now += 10
    job.process.look()
    assert len(begun(job)) == 1


def test_an_unreadable_folder_judges_nobody(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """The batch system says that the job is over; what its node left cannot be seen for now."""
    ticket = job.start()
    folder, aside = ticket.spec.folder, ticket.spec.folder.with_name("aside")
    folder.rename(aside)
    folder.write_text("not a folder for now")
    ticket.info = JobInfo(JobStatus.aborted, "exit 1", 1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            job.now += 100
            job.process.look()
    assert job.status is None
    assert caplog.text.count("its folder cannot be read for now") == 1
    folder.unlink()
    aside.rename(folder)
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look()
    assert job.status == "DONE"


def test_unreadable_folders_are_logged_once_and_once_when_that_is_over(
    job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system that is away is one outage, however many tasks wait for it."""
    processes = [another(job, n) for n in (1, 2, 3)]
    folders = [ticket.spec.folder for ticket in job.queue.tickets]
    for folder, ticket in zip(folders, job.queue.tickets, strict=True):
        folder.rename(folder.with_name(f"{folder.name}-aside"))
        folder.write_text("not a folder for now")
        ticket.info = JobInfo(JobStatus.aborted, "exit 1", 1)
    with caplog.at_level(logging.WARNING):
        for process in processes * 2:
            job.now += 50
            process.look()
        for folder, process in zip(folders, processes, strict=True):
            assert "again" not in caplog.text
            folder.unlink()
            folder.with_name(f"{folder.name}-aside").rename(folder)
            process.look()
    assert caplog.text.count("cannot be read for now") == 1
    assert caplog.text.count("Folders of hand jobs can be read again after 250 s.") == 1


def test_an_unreadable_inbox_is_no_reason_to_begin_again(job: Job) -> None:
    """The job of an earlier run is nowhere, but what it left cannot be seen for now."""
    former = a_former(job)
    inbox = Path(str(former.facts["inbox"]))
    job.process.run()
    search_in_vain(job.in_flight.ticket)
    inbox.write_text("not a folder for now")
    for _ in range(3):
        job.process.look()
    assert (job.status, begun(job)) == (None, [])
    inbox.unlink()
    inbox.mkdir()
    (inbox / former.token).write_text("0 outcome")
    for _ in range(3):
        job.process.look(Marker(0, True))
    assert (job.status, begun(job)) == (None, [])


def test_a_label_that_cannot_be_written_is_waited_for(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """Without it the old job could come after all, and run beside the new one."""
    job.process.run()
    first = job.queue.tickets[0]
    first.info = LOST
    mark = first.spec.folder / f"{first.spec.token}.void"
    mark.symlink_to(mark)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            job.now += 10
            job.process.look()
            assert (job.status, begun(job), job.process.needs_looks) == (None, [first.spec.token], True)
        assert caplog.text.count("cannot be given up for now") == 1
        mark.unlink()
        job.process.look()
    assert will_not_work(first.spec.folder / "attempt-1.json")
    assert len(begun(job)) == 2
    assert caplog.text.count("Retrying (1 of 2)") == 1
    assert "again after 20 s." in caplog.text


def test_an_end_that_cannot_be_noted_leaves_its_outcome(job: Job) -> None:
    """The disk was full at that moment: a later run finds the record open, and would do the work again."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    record = job.in_flight.record.path
    record.unlink()
    record.mkdir()  # nothing can be renamed to it
    (record / "in the way").touch()
    job.process.look(Marker(0, True))
    assert job.status == "DONE"
    assert ticket.spec.outcome.exists()


def test_the_brake_keeps_jobs_from_being_submitted(job: Job) -> None:
    """The task fails at once, and says why; nothing is claimed."""
    b2luigi.set_setting("failure_brake", 3)
    for _ in range(3):
        job.shared.breaker.failed("Work", "ImportError: no module named nothing")
    job.process.run()
    assert (job.status, begun(job)) == ("FAILED", [])
    assert "the first 3 jobs of Work all failed" in job.process.story
    assert "no module named nothing" in job.process.story


def test_inputs_that_only_the_node_misses_are_no_fault_of_the_task(job: Job) -> None:
    """All requirements are complete here: it is submitted again."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("FAILED", "missing", missing=("Input_1",)).to_json())
    job.process.look(Marker(1, True))
    assert (job.status, len(begun(job))) == (None, 2)


# -- which server has the job


def test_the_record_says_where_the_job_went_before_it_is_sent(job: Job) -> None:
    """Label and batch server are on disk first; until then the record says that nothing was submitted."""
    ticket = job.start(job_id=None)
    assert not job.record["server"]
    ticket.label, ticket.server = "first_3", "north"
    present(ticket.before_sending)(ticket)
    assert (job.record["mark"], job.record["server"]) == ("first_3", "north")


def test_a_server_that_is_known_later_is_noted(job: Job) -> None:
    """The answer to the submission names another cluster, or the question for it was slow."""
    ticket = job.start(job_id="7")
    ticket.server = "south"
    job.process.look()
    assert (job.record["job_id"], job.record["server"]) == ("7", "south")


@pytest.mark.parametrize("state", [TicketState.placing, TicketState.out_of_reach])
def test_a_job_in_another_server_is_waited_for(job: Job, state: TicketState) -> None:
    """Nothing is submitted for its task; what it leaves in the inbox is its verdict."""
    a_former(job, job_id="17", server="north")
    job.queue.places = state
    job.process.run()
    for _ in range(20):
        job.now += 600
        job.process.look()
    assert (job.status, job.queue.tickets, job.queue.cancelled) == (None, [], [])


def test_a_fresh_run_does_not_wait_for_a_job_out_of_reach(job: Job) -> None:
    """It takes its place as soon as it is known that it cannot be reached, and not before."""
    a_former(job, job_id="17", server="north")
    job.shared = replace(job.shared, fresh=True)
    job.process.connect(job.queue, job.shared)
    job.queue.places = TicketState.placing
    job.process.run()
    job.process.look()
    assert job.queue.tickets == []
    job.in_flight.ticket.move(TicketState.out_of_reach)
    job.process.look()
    job.process.look()
    assert len(job.queue.tickets) == 1


def test_a_job_that_was_sent_is_resumed_although_its_record_does_not_know(job: Job) -> None:
    """A power cut: the claims were synced before the submission, the record was not."""
    inbox = Inbox.new(Path(get_task_file_dir(job.process.task)).parent)
    inbox.open()
    former = a_former(job, inbox=str(inbox.folder), server=None)
    inbox.enter(former.path.parent, 1, former.token, batch_system="hand", server="cluster", mark=f"{former.token}[3]")
    inbox.leave()
    job.process.run()
    (facts,) = job.queue.attached
    assert (facts["server"], facts["mark"]) == ("cluster", f"{former.token}[3]")
    assert begun(job) == []
