"""A task as a job in a queue: from its claim to the verdict, with a queue that a test moves by hand."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import luigi
import pytest
from luigi.event import Event

import b2luigi
from b2luigi.batch.attempts.outcome import Marker, Outcome
from b2luigi.batch.processes.job import ANSWERS
from b2luigi.batch.systems.model import Cause, JobInfo, JobStatus
from b2luigi.core.deadline import Deadline
from b2luigi.core.version import VERSION
from b2luigi.monitor.journal.writer import NoJournal
from tests.batch.processes.hands import Hiccups, Job, Work, accept, let_go, lose, refuse


def test_the_claim_is_on_disk_before_the_job_is_handed_in(job: Job) -> None:
    """Token, task and batch system are recorded at once, the job id as soon as it is known."""
    job.process.run()
    assert job.record["task_id"] == job.process.task.task_id
    assert (job.record["token"], job.record["batch_system"]) == (job.queue.tickets[0].spec.token, "hand")
    assert "job_id" not in job.record
    accept(job.queue.tickets[0], "7")
    job.process.look()
    assert job.record["job_id"] == "7"
    assert job.process.is_alive()
    assert job.queue.tickets[0].spec.options == {"queue": "s"}


def test_nothing_is_handed_in_that_could_not_be_claimed(job: Job, tmp_path: Path) -> None:
    """No record, no job: the task fails with the reason."""
    (tmp_path / "task_file_dir").write_text("a file, no folder")
    job.process.run()
    assert (job.status, job.queue.tickets) == ("FAILED", [])
    assert "no job was submitted" in job.process.story
    assert "task_file_dir" in job.process.story


def test_a_job_the_system_could_not_carry_is_not_handed_in(job: Job, tmp_path: Path) -> None:
    """The failure quotes the queue, and no attempt was claimed."""
    job.queue.problem = "the folder name is too beautiful"
    job.process.run()
    assert (job.status, job.queue.tickets) == ("FAILED", [])
    assert "too beautiful" in job.process.story
    assert list((tmp_path / "task_file_dir").rglob("attempt-*.json")) == []


def test_a_grace_that_is_no_time_is_refused_before_anything_is_submitted(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the setting."""
    monkeypatch.setattr(job.task, "result_grace", -1, raising=False)
    job.process.run()
    assert (job.status, job.queue.tickets) == ("FAILED", [])
    assert "result_grace must be a number of seconds" in job.process.story


class Unwilling(NoJournal):
    """A journal in which nothing can be noted."""

    def open(self, inbox: str) -> None:
        raise RuntimeError("can't start new thread")

    def add(self, kind: str, **facts: object) -> None:
        raise TypeError("no such facts")


def test_a_journal_that_fails_touches_no_job(job: Job) -> None:
    """Its job is followed from the submission to the end, and counts as done."""
    job.shared.journal = Unwilling()
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.running, "RUN")
    job.process.look()
    assert job.process.is_alive()
    ticket.spec.outcome.write_text(Outcome("DONE", task_id=job.task.task_id).to_json())
    job.process.look(Marker(0, True))
    assert (job.status, job.record["end"], job.queue.cancelled) == ("DONE", "DONE", [])


def test_an_outcome_is_delivered_whatever_else_is_reported(job: Job) -> None:
    """Even when the batch system calls the job removed: its node reported DONE."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE", "fine").to_json())
    ticket.info = JobInfo(JobStatus.aborted, "removed", cause=Cause.cancelled)
    job.process.look(Marker(0, True))
    assert job.results == [(job.process.task.task_id, "DONE", "fine", [], [])]
    assert (job.record["end"], job.record["outcome"]["status"]) == ("DONE", "DONE")
    assert not ticket.spec.outcome.exists()
    assert job.queue.released == [ticket]


def test_the_result_is_reported_once(job: Job) -> None:
    """However often somebody looks."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    for _ in range(3):
        job.process.look(Marker(0, True))
    job.process.terminate()
    assert job.status == "DONE"
    assert job.queue.cancelled == []


@pytest.mark.parametrize(
    ("version", "words"),
    [("9.1", "ran on node n1 with b2luigi 9.1;"), ("", "ran on node n1 with an older version of b2luigi, or")],
)
def test_a_node_with_another_version(job: Job, caplog: pytest.LogCaptureFixture, version: str, words: str) -> None:
    """Its outcome counts; a warning names both versions and the settings that decide what a job runs, once."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE", node="n1", version=version).to_json())
    job.process.look(Marker(0, True))
    assert job.status == "DONE"
    job.process.shared.mention_version(Outcome("DONE", node="n2", version=version), "hand job 8")
    (text,) = (text for text in caplog.messages if "version" in text or VERSION in text)
    assert words in text
    assert f"this script runs with {VERSION}. Check what jobs run (settings executable, env_script, env)." in text


def test_a_node_that_leaves_no_outcome(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """b2luigi 1.x runs the task and leaves only its exit code: good enough, if the outputs are there, and reported."""
    job.start()
    job.output.touch()
    job.process.look(Marker(0, False))
    assert job.status == "DONE"
    assert "left no outcome: it ran with an older version of b2luigi, or without it" in caplog.text


def test_a_task_that_fails_with_an_older_version(job: Job) -> None:
    """The traceback in its log shows what ran it, and the story says so."""
    ticket = job.start()
    ticket.spec.log_folder.mkdir(parents=True, exist_ok=True)
    frame = 'File "/venv/lib/python3.11/site-packages/b2luigi/cli/runner.py", line 405, in run_as_batch_worker'
    (ticket.spec.log_folder / "stderr").write_text(f"Traceback (most recent call last):\n  {frame}\nKeyError: 'a'\n")
    job.output.unlink(missing_ok=True)
    job.process.look(Marker(1, False))
    job.now += 100
    job.process.look(Marker(1, False))
    assert job.status == "FAILED"
    assert ": it ran with b2luigi 1.x" in job.process.story
    assert "install this version of b2luigi where jobs find it" in " ".join(job.process.story.split())


def test_a_promised_outcome_is_waited_for(job: Job) -> None:
    """The marker came first: on a shared file system the outcome may be seconds late."""
    ticket = job.start()
    job.process.look(Marker(0, True))
    assert (job.status, job.process.needs_looks) == (None, True)
    job.now += 59
    job.process.look(Marker(0, True))
    assert job.status is None
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert job.status == "DONE"


def test_a_job_shot_by_a_signal_is_asked_about_in_a_hurry_but_not_for_ever(job: Job) -> None:
    """It may have been held or evicted, and run again: after a few answers that say it lives, it lives."""
    ticket = job.start()
    for _ in range(ANSWERS):
        job.process.look(Marker(143, False))
        ticket.info = JobInfo(JobStatus.idle, "held by a person", held=True)
        ticket.answers += 1
    assert (job.status, job.queue.hurried) == (None, ANSWERS)
    job.process.look(Marker(143, False))
    assert (job.queue.hurried, job.process.needs_looks) == (ANSWERS, False)
    job.now += 3600
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert job.status == "DONE"


def test_the_second_end_of_a_job_has_a_grace_of_its_own(job: Job) -> None:
    """An evicted job that ended well an hour later: its outcome may be late, too."""
    job.start()
    job.output.unlink()
    job.process.look(Marker(143, False))
    job.now += 3600
    job.process.look(Marker(0, True))
    assert job.status is None
    job.now += 61
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"


def test_an_outcome_without_a_marker_is_believed_after_a_while(job: Job) -> None:
    """The inbox may be full, the batch system may say "unknown" for hours: the node has reported."""
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.running, "UNKWN")
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look()
    assert (job.status, job.process.needs_looks) == (None, True)
    job.now += 61
    job.process.look()
    assert job.status == "DONE"


def test_a_file_system_that_hiccups_does_not_fail_a_task_that_is_done(job: Job, tmp_path: Path) -> None:
    """The question is asked again; only an error that stays is one."""
    job = Job(tmp_path, Hiccups())
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    job.process.look(Marker(0, True))
    assert (job.status, job.process.needs_looks) == (None, True)
    job.process.look(Marker(0, True))
    assert job.status == "DONE"


def test_a_job_that_ended_is_not_timed_out(job: Job) -> None:
    """Nor is one that waits again after it was evicted."""
    job.process.worker_timeout = 1
    ticket = job.start()
    running, idle = JobInfo(JobStatus.running, "running"), JobInfo(JobStatus.idle, "idle")
    seen = []
    for info, marker in ((running, None), (idle, None), (running, None), (running, Marker(0, True))):
        ticket.info = info
        job.process.look(marker)
        seen.append(job.process.timeout_time is not None)
    assert seen == [True, False, True, False]


def test_a_held_job_is_logged_once(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """The user learns that the job waits for a person, and why."""
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.idle, "held (code 1): lunch", held=True)
    with caplog.at_level(logging.WARNING):
        job.process.look()
        job.process.look()
    assert [record.getMessage() for record in caplog.records] == [
        "hand job 7 of Work(n=1) waits for you: held (code 1): lunch"
    ]


def test_a_requeue_is_reported_once(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """A lost node, a preemption: the batch system runs the job again by itself, maybe several times."""
    ticket = job.start()
    running, idle = JobInfo(JobStatus.running, "RUNNING"), JobInfo(JobStatus.idle, "PENDING: BeginTime")
    with caplog.at_level(logging.WARNING):
        for info in (idle, running, idle, idle, running, idle):
            ticket.info = info
            job.process.look()
    assert caplog.messages == ["hand job 7 of Work(n=1) was requeued by the batch system: PENDING: BeginTime"]


def test_a_notice_is_reported_once(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """What a person should know of a job that goes on by itself."""
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.idle, "held", notice="held; its policy may release it")
    with caplog.at_level(logging.WARNING):
        job.process.look()
        job.process.look()
    assert caplog.messages == ["hand job 7 of Work(n=1) held; its policy may release it"]


def test_a_dead_job_that_lingers_is_taken_out_of_the_queue(job: Job) -> None:
    """HTCondor keeps held jobs for ever."""
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.aborted, "held (code 34): memory", cause=Cause.memory, lingers=True)
    job.process.look()
    assert job.status == "FAILED"
    assert job.queue.cancelled == [ticket]
    assert "held (code 34): memory" in job.process.story


@pytest.mark.parametrize(
    ("status", "marker", "info", "cancelled"),
    [
        ("DONE", Marker(0, True), None, False),
        ("PENDING", Marker(0, True), None, False),
        ("DONE", Marker(139, True), None, True),
        ("FAILED", Marker(1, True), None, True),
        ("FAILED", Marker(1, True), JobInfo(JobStatus.running, "run"), True),
        ("FAILED", Marker(1, True), JobInfo(JobStatus.aborted, "exit 1", 1), False),
        ("DONE", None, JobInfo(JobStatus.successful, "done", 0), False),
    ],
    ids=str,
)
def test_a_job_that_was_judged_cannot_run_again(
    job: Job, status: str, marker: Marker | None, info: JobInfo | None, cancelled: bool
) -> None:
    """HTCondor's max_retries and on_exit_hold, LSF's requeue exit values: nobody else runs a failed task again."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome(status).to_json())
    ticket.info = info
    job.process.look(marker)
    assert job.status == status
    assert job.queue.cancelled == [ticket] * cancelled


def test_a_job_that_only_seems_gone_is_taken_out_of_the_queue(job: Job) -> None:
    """A batch system that forgot a job for a while must not run it later."""
    ticket = job.start()
    lose(ticket)
    job.process.look()
    assert job.results == []
    job.now += 61
    job.process.look()
    assert (job.status, job.queue.cancelled) == ("FAILED", [ticket])


def test_the_outcome_of_another_task_is_not_taken_for_ones_own(job: Job) -> None:
    """Two tasks with one folder overwrite each other's job scripts: that is reported, and nothing counts as done."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("DONE", task_id="Other_1").to_json())
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"
    assert "its job ran another task, Other_1" in job.process.story
    assert "get_task_file_dir" in job.process.story


def test_a_done_whose_outputs_are_nowhere_is_a_failure(job: Job) -> None:
    """They may be late; when they do not come, the failure names their paths."""
    ticket = job.start()
    job.output.unlink()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    job.process.look(Marker(0, True))
    assert (job.status, job.process.needs_looks) == (None, True)
    job.now += 61
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"
    assert str(job.output) in job.process.story


def test_the_traceback_is_printed_whatever_on_failure_returns(job: Job) -> None:
    """An own on_failure that only sends a mail returns None."""
    ticket = job.start()
    text = "Traceback (most recent call last):\n  ...\nRuntimeError: the real reason\n"
    ticket.spec.outcome.write_text(Outcome("FAILED", None, traceback=text).to_json())
    job.process.look(Marker(1, True))
    assert job.status == "FAILED"
    assert "Task Work failed: RuntimeError: the real reason" in job.process.story


def test_time_in_the_queue_is_no_time_of_the_task(tmp_path: Path, job: Job) -> None:
    """worker_timeout counts from the moment in which the job is known to run."""
    job.process.worker_timeout = 100
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.idle, "waiting")
    job.process.look()
    assert job.process.timeout_time is None
    ticket.info = JobInfo(JobStatus.running, "running")
    job.process.look()
    assert job.process.timeout_time is not None
    assert float(job.process.timeout_time) == pytest.approx(time.time() + 100, abs=10)
    job.process.timeout_time = Deadline(-1)
    job.process.terminate()
    assert "it ran for longer than its worker_timeout of 100 s" in job.process.story


def test_requirements_that_stay_hidden_from_the_nodes_do_not_cost_jobs_for_ever(job: Job, tmp_path: Path) -> None:
    """A few jobs in a row that yield the very same are enough to know."""
    outcome = Outcome("PENDING", new_requirements=(("tests.batch.processes.hands", "Work", {"n": "5"}),)).to_json()
    seen = []
    for _ in range(6):
        again = Job(tmp_path)
        again.process.shared = job.process.shared
        again.start().spec.outcome.write_text(outcome)
        again.process.look(Marker(0, True))
        seen.append(again.status)
    assert seen == ["PENDING"] * 5 + ["FAILED"]
    assert "does the node see them?" in again.process.story


def test_handlers_of_a_died_process_hear_of_a_died_job(job: Job) -> None:
    """luigi's Event.PROCESS_FAILURE, as for a child process that was killed."""
    heard = []

    @Work.event_handler(Event.PROCESS_FAILURE)
    def hear(task: luigi.Task, message: str) -> None:
        heard.append((task, message))

    b2luigi.set_setting("job_retries", 0)
    ticket = job.start()
    ticket.info = JobInfo(JobStatus.aborted, "node gone", cause=Cause.infrastructure)
    job.process.look()
    Work.remove_event_handler(Event.PROCESS_FAILURE, hear)
    assert heard == [(job.process.task, job.process.story)]


def test_requirements_that_cannot_be_loaded_fail_their_task_and_nothing_else(job: Job) -> None:
    """luigi would raise out of the whole run."""
    ticket = job.start()
    outcome = Outcome("PENDING", new_requirements=(("no.such.module", "Thing", {}),))
    ticket.spec.outcome.write_text(outcome.to_json())
    job.process.look(Marker(0, True))
    assert job.status == "FAILED"
    assert "run() yielded tasks that cannot be created here" in job.process.story
    assert "no.such.module.Thing" in job.process.story


def test_requirements_found_while_running_reach_luigi(job: Job) -> None:
    """Module, family and parameters, as luigi wants them."""
    ticket = job.start()
    new = ("tests.batch.processes.hands", "Work", {"n": "5"})
    ticket.spec.outcome.write_text(Outcome("PENDING", new_requirements=(new,)).to_json())
    job.process.look(Marker(0, True))
    assert job.results[0][1:] == ("PENDING", "", [], [new])


def test_a_record_that_cannot_be_written_any_more_fails_no_job(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is a reason for a warning, not for throwing away a running job."""
    job.process.run()
    folder = job.queue.tickets[0].spec.folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    accept(job.queue.tickets[0], "7")
    with caplog.at_level(logging.WARNING):
        job.process.look()
    assert job.process.is_alive()
    assert "cannot be written" in caplog.text
    os.unlink(folder)


def test_the_failure_of_a_refused_job_quotes_the_batch_system(job: Job) -> None:
    """There is no job to cancel then."""
    ticket = job.start(job_id=None)
    refuse(ticket, "nosuch: No such queue. Job not submitted.")
    job.process.look()
    assert job.status == "FAILED"
    assert "failed: hand did not accept the job: nosuch: No such queue. Job not submitted.\n" in job.process.story
    assert ticket.reason in job.process.story
    job.process.terminate()
    assert job.queue.cancelled == []


def test_a_stopped_job_is_cancelled_once(job: Job) -> None:
    """luigi's worker_timeout, or the end of the run."""
    ticket = job.start()
    job.process.terminate()
    job.process.terminate()
    assert job.queue.cancelled == [ticket]
    assert (job.status, job.record["given_up"]) == (None, "stopped")
    assert not job.process.is_alive()


def test_a_record_is_closed_when_the_batch_system_has_let_the_job_go(job: Job) -> None:
    """Not before: a run that is killed in between would leave a job that nobody knows, and submit the task again."""
    ticket = job.start()
    job.process.terminate()
    assert "ended" not in job.record
    job.output.write_text("half, at the last moment")
    let_go(ticket)
    assert (job.record["end"], "ended" in job.record) == ("stopped", True)
    assert not job.output.exists()


def test_a_job_that_is_known_to_be_gone_is_closed_at_once(job: Job) -> None:
    """At the end of a run the queue has cancelled all jobs before luigi stops their processes."""
    ticket = job.start()
    let_go(ticket)
    job.process.terminate()
    assert (job.record["end"], "ended" in job.record) == ("stopped", True)


def test_the_work_of_a_job_that_was_done_at_the_last_moment_is_kept(job: Job) -> None:
    """Its outcome came before the batch system could stop it."""
    ticket = job.start()
    job.process.terminate()
    job.output.write_text("whole")
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    let_go(ticket)
    assert job.output.read_text() == "whole"


def test_a_second_attempt_leaves_one_record(job: Job, tmp_path: Path) -> None:
    """Records of attempts that ended do not pile up."""
    ticket = job.start()
    ticket.spec.outcome.write_text(Outcome("FAILED", "once").to_json())
    job.process.look(Marker(1, True))
    again = Job(tmp_path)
    ticket = again.start()
    ticket.spec.outcome.write_text(Outcome("DONE").to_json())
    again.process.look(Marker(0, True))
    assert [path.name for path in ticket.spec.folder.glob("attempt-*")] == ["attempt-2.json"]
