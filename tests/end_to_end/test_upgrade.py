"""A version of b2luigi takes the place of another one in the middle: folders as older runs left them (`record.py`).

The jobs of these runs are brought back, by their own job scripts; the interpreter that these name is today's.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from b2luigi.batch.attempts.record import Record
from tests.end_to_end import recordings
from tests.end_to_end.project import Ended, Project, end_of
from tests.end_to_end.record import FIRST_JOB
from tests.end_to_end.recordings import Owner, Recording
from tests.standins.lsf import FakeLSF
from tests.waiting import until

pytestmark = pytest.mark.parametrize("commit", recordings.COMMITS)

WHOLE = "|".join(["half of the whole"] * 3)
OWNERS = [
    pytest.param(recordings.a_dead_run, id="killed"),
    pytest.param(recordings.a_run_before_the_last_boot, id="rebooted"),
]


@pytest.fixture
def lsf(tmp_path: Path) -> Iterator[FakeLSF]:
    """A cluster that gives its first job the id that it had at the recording."""
    with FakeLSF(tmp_path / "lsf", slots=8, first_jobid=FIRST_JOB, job_terminate_interval_s=0.3) as cluster:
        yield cluster


@pytest.fixture
def project(lsf: FakeLSF, tmp_path: Path) -> Project:
    """The folder of a recorded run on a machine that submits to LSF."""
    return Project(tmp_path / "project", lsf.env)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Project]:
    """The folder of a recorded run that used this machine alone."""
    project = Project(tmp_path / "project", {})
    yield project
    finish(project)


@pytest.fixture
def children() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Local jobs by token; they are ended after the test."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    yield started
    for process in started.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def stand_in() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the test, and stands for a run of the old code."""
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def ran(project: Project) -> list[str]:
    """The parts that have begun to work, sorted."""
    path = project.folder / "ran.log"
    return sorted(path.read_text().split()) if path.exists() else []


def finish(project: Project) -> None:
    """Lets the jobs end."""
    (project.folder / "finish").touch()


def assert_nothing_is_left(project: Project, lsf: FakeLSF | None = None) -> None:
    """The result is right, every attempt is closed, and no inbox and no job is left."""
    assert project.read("whole.txt") == WHOLE
    assert [record for record in project.records() if "ended" not in record] == []
    assert project.inboxes() == []
    if lsf is not None:
        assert lsf.live_jobs() == []


def asked_for_jobs(lsf: FakeLSF) -> bool:
    """Whether LSF has answered a question about jobs; the recorded run has asked none."""
    return any(call["rc"] is not None for call in lsf.calls("bjobs"))


def resumed(project: Project, has_taken_over: Callable[[], object] = lambda: True) -> Ended:
    """Runs the script with today's code, to its end; the jobs may end when it has taken them over."""
    process = project.start()
    until(has_taken_over, "today's code has taken over")
    finish(project)
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    return ended


@pytest.mark.parametrize("owner", OWNERS)
def test_jobs_that_run_are_resumed(project: Project, lsf: FakeLSF, commit: str, owner: Owner) -> None:
    """Today's code attaches to the running jobs of a run that was killed under the old code, and doubles none."""
    recording = Recording.read(commit, "lsf-running")
    recording.lay_out(project, owner())
    recording.submit_again(project)
    until(lambda: ran(project) == ["0", "1", "2"], "jobs run")
    resumed(project, lambda: asked_for_jobs(lsf))
    assert ran(project) == ["0", "1", "2"]
    assert len(lsf.calls("bsub")) == 2  # one of them by the recorded run
    assert_nothing_is_left(project, lsf)


def test_jobs_that_wait_in_the_queue_are_resumed(project: Project, lsf: FakeLSF, commit: str) -> None:
    """Jobs that the old code queued run after today's code has taken over, and each runs once."""
    recording = Recording.read(commit, "lsf-queued")
    recording.lay_out(project, recordings.a_dead_run())
    lsf.set("slots", 0)
    recording.submit_again(project)
    finish(project)
    process = project.start()
    until(lambda: asked_for_jobs(lsf), "today's code has taken over")
    lsf.set("slots", 8)
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2"]
    assert len(lsf.calls("bsub")) == 2
    assert_nothing_is_left(project, lsf)


def test_jobs_without_an_id_are_found(project: Project, lsf: FakeLSF, commit: str) -> None:
    """LSF took the jobs and the old run never learned their ids: they are found by the mark in the old record."""
    recording = Recording.read(commit, "lsf-without-id")
    assert not any("job_id" in record for record in recording.records().values())
    recording.lay_out(project, recordings.a_dead_run())
    recording.submit_again(project)
    until(lambda: ran(project) == ["0", "1", "2"], "jobs run")
    resumed(project, lambda: all("job_id" in record for record in project.records()))
    assert ran(project) == ["0", "1", "2"]
    assert len(lsf.calls("bsub")) == 2
    assert_nothing_is_left(project, lsf)


def test_jobs_that_never_reached_lsf_are_submitted(project: Project, lsf: FakeLSF, commit: str) -> None:
    """The old run was killed with its attempts claimed and nothing submitted: today's code submits each once."""
    Recording.read(commit, "lsf-unsent").lay_out(project, recordings.a_dead_run())
    resumed(project)
    assert ran(project) == ["0", "1", "2"]
    assert len(lsf.calls("bsub")) <= 3
    assert_nothing_is_left(project, lsf)


def test_a_job_that_was_given_up_is_cancelled_first(project: Project, lsf: FakeLSF, commit: str) -> None:
    """The old run gave up the job of part 0 and LSF never heard of it: it is killed, and its task begins anew."""
    recording = Recording.read(commit, "lsf-given-up")
    recording.before("given_up", "by").lay_out(project, recordings.a_dead_run())
    recording.submit_again(project)
    until(lambda: ran(project) == ["0", "1", "2"], "jobs run")
    recording.only_records().lay_out(project, recordings.a_dead_run())
    ended = resumed_once_killed(project, lsf, given_up(recording))
    assert ran(project) == ["0", "0", "1", "2"], ended.text
    assert_nothing_is_left(project, lsf)


def test_a_run_that_was_killed_while_it_gave_a_job_up(project: Project, lsf: FakeLSF, commit: str) -> None:
    """The `.void` is there, and the record does not mention it yet: that job is killed, too."""
    recording = Recording.read(commit, "lsf-given-up")
    ((token, job_id),) = given_up(recording).items()
    recording.before("given_up", "by").lay_out(project, recordings.a_dead_run())
    recording.submit_again(project)
    until(lambda: ran(project) == ["0", "1", "2"], "jobs run")
    (path,) = [path for path, record in recording.records().items() if record["token"] == token]
    (project.folder / path).with_name(f"{token}.void").touch()
    ended = resumed_once_killed(project, lsf, {token: job_id})
    assert ran(project) == ["0", "0", "1", "2"], ended.text
    assert_nothing_is_left(project, lsf)


def given_up(recording: Recording) -> dict[str, str]:
    """Token and id of the jobs that were given up."""
    return {one["token"]: one["job_id"] for one in recording.records().values() if "given_up" in one}


def resumed_once_killed(project: Project, lsf: FakeLSF, jobs: Mapping[str, str]) -> Ended:
    """Runs the script; the jobs may end once LSF has killed those that were given up."""
    process = project.start()
    until(lambda: not set(jobs.values()) & set(lsf.live_jobs()), "LSF has killed the job")
    finish(project)
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    return ended


def test_jobs_that_ended_unseen_are_judged(project: Project, lsf: FakeLSF, commit: str) -> None:
    """Old markers in the old inbox, old outcomes: what is done is not done again, and what failed is submitted anew."""
    lsf.set("first_jobid", FIRST_JOB + 100)  # LSF has forgotten the jobs
    Recording.read(commit, "lsf-ended").lay_out(project, recordings.a_dead_run())
    ended = resumed(project)
    assert "ZeroDivisionError: one divided by nothing" in ended.text
    assert ran(project) == ["1"]
    assert len(lsf.calls("bsub")) == 2
    assert_nothing_is_left(project, lsf)


def test_the_second_attempt_is_resumed(project: Project, lsf: FakeLSF, commit: str) -> None:
    """Beside a closed record and its `.void`: LSF starts the first attempt's job once more, and it does nothing."""
    recording = Recording.read(commit, "lsf-retried")
    recording.lay_out(project, recordings.a_dead_run())
    recording.submit_again(project)
    until(lambda: ran(project) == ["0", "1", "2"] and len(lsf.live_jobs()) == 3, "the job of the first attempt is over")
    resumed(project, lambda: asked_for_jobs(lsf))
    assert ran(project) == ["0", "1", "2"]
    assert len(lsf.calls("bsub")) == 3
    assert_nothing_is_left(project, lsf)


def test_an_old_run_that_lives_is_left_its_jobs(
    project: Project, lsf: FakeLSF, stand_in: subprocess.Popen[bytes], commit: str
) -> None:
    """Beside a living run of the old code today's submits nothing; it takes the results from the old records.

    When the old run is killed, today's judges the job that nobody has judged yet.
    """
    before, after = (Recording.read(commit, f"lsf-watched-{moment}") for moment in ("before", "after"))
    old_run = recordings.a_living_run(stand_in.pid)
    before.lay_out(project, old_run)
    before.submit_again(project)
    until(lambda: ran(project) == ["0", "1", "2"], "jobs run")
    process = project.start()
    until(lambda: asked_for_jobs(lsf), "today's run watches the jobs")
    finish(project)
    until(lambda: not lsf.live_jobs(), "the jobs have ended")
    assert process.poll() is None
    after.lay_out(project, old_run)
    _submit_the_last(after, project)
    until(lambda: len(lsf.jobs()) == 4 and not lsf.live_jobs(), "the last job of the old run has ended")
    stand_in.kill()
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(project) == ["0", "1", "2"]
    assert len(lsf.calls("bsub")) == 2  # both by the old run


def _submit_the_last(after: Recording, project: Project) -> None:
    """What the old run has submitted since."""
    Recording(after.files, after.submissions[-1:]).submit_again(project)


def test_jobs_of_this_machine_are_resumed(
    here: Project, children: dict[str, subprocess.Popen[bytes]], commit: str
) -> None:
    """Two local jobs of the old run work on and are adopted; the one that waited for a slot starts, once."""
    recording = Recording.read(commit, "local-running")
    bring_back(recording, here, children)
    resumed(here, lambda: len(here.inboxes()) == 2)  # one of its own: it has claimed the part that waited
    assert ran(here) == ["0", "1", "2"]
    assert_nothing_is_left(here)


def test_a_job_of_this_machine_that_was_given_up_is_stopped_first(
    here: Project, children: dict[str, subprocess.Popen[bytes]], commit: str
) -> None:
    """It ignores requests to stop: it is killed, and only then its task begins anew."""
    recording = Recording.read(commit, "local-given-up")
    (here.folder / "stubborn").touch()
    bring_back(recording.before("given_up", "by"), here, children)
    (here.folder / "stubborn").unlink()
    note_pids(recording, here, children)
    (token,) = (one["token"] for one in recording.records().values() if "given_up" in one)
    process = here.start()
    until(lambda: children[token].poll() is not None, "the job is stopped")
    until(lambda: Counter(ran(here))["0"] == 2, "its task begins anew")
    finish(here)
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert ran(here) == ["0", "0", "1", "2"]
    assert_nothing_is_left(here)


def test_jobs_of_this_machine_that_ended_unseen_are_judged(here: Project, commit: str) -> None:
    """What is done is not done again, what failed and what never started is started."""
    Recording.read(commit, "local-ended").lay_out(here, recordings.a_dead_run())
    ended = resumed(here)
    assert "ZeroDivisionError: one divided by nothing" in ended.text
    assert ran(here) == ["1", "2"]
    assert_nothing_is_left(here)


def bring_back(recording: Recording, project: Project, children: dict[str, subprocess.Popen[bytes]]) -> None:
    """Lays the folder out with the local jobs at work again."""
    recording.lay_out(project, recordings.a_dead_run())
    children.update(recording.start_again(project))
    until(lambda: len(ran(project)) == len(children), "jobs run")
    note_pids(recording, project, children)


def note_pids(recording: Recording, project: Project, children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Writes the records again, with the process ids of the jobs."""
    pids = {token: child.pid for token, child in children.items()}
    recording.only_records().lay_out(project, recordings.a_dead_run(), pids)


# -- job scripts that the old code has queued


CLOSINGS = {
    "ended": lambda attempt: attempt.note(ended=1795628607.6, end="cancelled", outcome=None),
    "given up": lambda attempt: attempt.note(given_up="stopped", by="/an/inbox"),
    "void": lambda attempt: attempt.void(),
}
"""All the ways in which today's code lets a job script know that its attempt is over."""


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("closing", CLOSINGS)
def test_a_job_script_of_the_old_code_sees_that_it_is_over(
    here: Project, commit: str, closing: str, shell: str
) -> None:
    """It was queued by the old code, today's code closed its attempt, then it starts: it does nothing at all."""
    recording = Recording.read(commit, "lsf-queued")
    recording.lay_out(here, recordings.a_dead_run())
    folder = _folder_of_part_0(here)
    _, attempt = Record.last(folder)
    assert attempt is not None
    CLOSINGS[closing](attempt)
    before = _files(here)
    assert start_by_hand(here, folder, attempt.token, shell) == 0
    assert ran(here) == []
    assert _files(here) == before  # no outcome, no logs, no marker in the inbox


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_job_script_of_the_old_code_works_while_its_attempt_is_open(here: Project, commit: str, shell: str) -> None:
    """Whatever else today's code has noted in the record, the old job does its work."""
    Recording.read(commit, "lsf-queued").lay_out(here, recordings.a_dead_run())
    folder = _folder_of_part_0(here)
    _, attempt = Record.last(folder)
    assert attempt is not None
    attempt.note(job_id="101[1]", submitted=1795628607.6, mark="0123456789abcdef[1]")
    finish(here)
    assert start_by_hand(here, folder, attempt.token, shell) == 0
    assert ran(here) == ["0"]
    assert (here.folder / "n=0" / "part.txt").read_text() == "half of the whole"
    (inbox,) = here.inboxes()
    assert (inbox / attempt.token).read_text() == "0 outcome\n"


def test_an_old_job_that_comes_after_a_fresh_run_does_nothing(project: Project, lsf: FakeLSF, commit: str) -> None:
    """--fresh of today's code: the queued jobs are cancelled, and those that LSF starts all the same do no work."""
    recording = Recording.read(commit, "lsf-queued")
    recording.lay_out(project, recordings.a_dead_run())
    folder = _folder_of_part_0(project)
    old_script, (_, old) = folder / "old.sh", Record.last(folder)
    assert old is not None
    (folder / "executable_wrapper.sh").rename(old_script)
    lsf.set("slots", 0)
    recording.submit_again(project)
    finish(project)
    process = project.start("--fresh")
    until(lambda: not lsf.live_jobs() or len(lsf.calls("bsub")) > 1, "the old jobs are cancelled")
    lsf.set("slots", 8)
    ended = end_of(process)
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert start_by_hand(project, folder, old.token, "sh", old_script.name) == 0
    assert ran(project) == ["0", "1", "2"]
    assert_nothing_is_left(project, lsf)


def _folder_of_part_0(project: Project) -> Path:
    return project.folder / "task_files" / "n=0" / "Part"


def start_by_hand(project: Project, folder: Path, token: str, shell: str, script: str = recordings.SCRIPT_NAME) -> int:
    """Starts a job script as a batch system does; its exit code."""
    words = [shell, str(folder / script), token]
    return subprocess.run(words, cwd=project.folder, env=project.env, stdin=subprocess.DEVNULL).returncode


def _files(project: Project) -> dict[str, bytes]:
    found = (path for path in project.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in found}
