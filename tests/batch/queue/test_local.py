"""Real processes: the job scripts here are small shell scripts."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from b2luigi.batch.queue.local import REPORT_EVERY, LocalQueue
from b2luigi.batch.queue.process_groups import last_argument
from b2luigi.batch.queue.ticket import Ticket, TicketState
from b2luigi.batch.systems.model import Cause, JobSpec, JobStatus
from tests.present import present
from tests.waiting import PATIENCE, until

A_TOKEN = secrets.token_hex(8)
"""Nobody else's, as tokens are."""
STUBBORN = "trap '' TERM; touch ready; while :; do sleep 0.05; done"


class Clock:
    """A time of its own, which passes only when the test wants it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        time.sleep(0.001)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(script_folder: Path, clock: Clock) -> Iterator[LocalQueue]:
    queue = LocalQueue(folder=script_folder, slots=2, clock=clock, sleep=clock.sleep)
    yield queue
    assert queue.close(60) == []


def spec(token: str, text: str, shebang: str = "#!/bin/sh") -> JobSpec:
    """A job whose script is this text; its own folder is the current one."""
    here = Path.cwd()
    script = here / f"{token}.sh"
    script.write_text(f"{shebang}\n{text}\n")
    script.chmod(0o700)
    return JobSpec(token, token, script, here / token if token == "homeless" else here, here, here)


def submit(queue: LocalQueue, *texts: str) -> list[Ticket]:
    return [queue.submit(spec(f"{number:02x}", text)) for number, text in enumerate(texts)]


def step_until(queue: LocalQueue, condition: Callable[[], object]) -> list[Ticket]:
    """Steps until the condition holds; all the news on the way."""
    news: list[Ticket] = []

    def is_reached() -> bool:
        if condition():
            return True
        news.extend(queue.step())
        return False

    until(is_reached, "the queue is where it should be", every=0.005)
    return news


def is_final(ticket: Ticket) -> bool:
    return ticket.info is not None and ticket.info.status.is_final


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def number_in(path: str) -> int:
    until(lambda: Path(path).exists() and Path(path).read_text().endswith("\n"), f"{path} holds a number", every=0.005)
    return int(Path(path).read_text())


def test_jobs_that_were_handed_in_are_logged_once(queue: LocalQueue, caplog: pytest.LogCaptureFixture) -> None:
    """How many, and how many of them run at once: who did not know of local_slots sees why the others wait."""
    caplog.set_level(logging.INFO)
    tickets = submit(queue, "true", "true", "true")
    step_until(queue, lambda: all(map(is_final, tickets)))
    assert caplog.messages == ["Submitted 3 jobs to this machine, at most 2 at a time"]


def test_slots_are_respected(queue: LocalQueue) -> None:
    """No more jobs run at once than there are slots; the others follow in their order."""
    tickets = submit(queue, *["sleep 0.1"] * 5)
    assert [ticket.job_id for ticket in tickets] == [None] * 5
    news = queue.step()
    assert news == tickets[:2]
    at_once = set()

    def all_ended() -> bool:
        at_once.add(sum(ticket.info is not None and not is_final(ticket) for ticket in tickets))
        return all(map(is_final, tickets))

    news += step_until(queue, all_ended)
    begun = list(dict.fromkeys(id(ticket) for ticket in news))
    assert max(at_once) == 2
    assert begun == [id(ticket) for ticket in tickets]
    assert [news.count(ticket) for ticket in tickets] == [2] * 5


def test_a_job_from_begin_to_end(queue: LocalQueue) -> None:
    """A job has an id, runs, and ends with its exit code; its script gets the token and an empty stdin."""
    (ticket,) = submit(queue, 'cat; echo "$# $1"; echo err >&2; pwd; exec sleep 0.1')
    queue.step()
    assert ticket.info is not None
    assert (ticket.info.status, ticket.info.token, ticket.info.node) == (JobStatus.running, "00", os.uname().nodename)
    assert os.getsid(int(ticket.job_id or 0)) == int(ticket.job_id or 0)
    assert step_until(queue, lambda: is_final(ticket)) == [ticket]
    assert (ticket.info.status, ticket.info.exit_code, ticket.info.cause) == (JobStatus.successful, 0, None)
    assert ticket.spec.report.read_text() == f"1 00\nerr\n{Path.cwd()}\n"
    assert queue.step() == []


@pytest.mark.parametrize(
    ("text", "code", "native", "cause"),
    [
        ("exit 3", 3, "exit code 3", None),
        ("sh -c 'kill -9 $$'", 137, "exit code 137", None),
        ("kill -9 $$", 137, "killed by signal 9", Cause.infrastructure),
        ("kill -11 $$", 139, "killed by signal 11", Cause.infrastructure),
    ],
)
def test_a_job_that_fails(queue: LocalQueue, text: str, code: int, native: str, cause: Cause | None) -> None:
    """A bad end is reported by its exit code, or its signal."""
    (ticket,) = submit(queue, text)
    step_until(queue, lambda: is_final(ticket))
    assert ticket.info is not None
    assert ticket.info.status is JobStatus.aborted
    assert (ticket.info.exit_code, ticket.info.native, ticket.info.cause) == (code, native, cause)


def test_running_jobs_are_news_from_time_to_time(queue: LocalQueue, clock: Clock) -> None:
    """As in the listings of a batch system: their outcomes may be there although their programs do not end."""
    ticket = submit(queue, "sleep 1000")[0]
    assert [queue.step(), queue.step()] == [[ticket], []]
    clock.now += REPORT_EVERY
    assert [queue.step(), queue.step()] == [[ticket], []]


def test_what_a_shot_job_started_dies_with_it(queue: LocalQueue) -> None:
    """A task never works on without its job script: it would write outputs of a task that counts as failed."""
    (ticket,) = submit(queue, "sleep 60 & echo $! > child; wait")
    queue.step()
    child = number_in("child")
    os.kill(int(ticket.job_id or 0), signal.SIGKILL)
    step_until(queue, lambda: is_final(ticket))
    step_until(queue, lambda: not lives(child))


def test_what_a_finished_job_leaves_is_left(queue: LocalQueue) -> None:
    """A job that ended by itself may have started a server on purpose."""
    (ticket,) = submit(queue, "sleep 60 > /dev/null 2>&1 & echo $! > child")
    step_until(queue, lambda: is_final(ticket))
    child = number_in("child")
    assert lives(child)
    os.kill(child, signal.SIGKILL)


# -- refusals


def test_a_script_that_is_not_there(queue: LocalQueue) -> None:
    """A job script that vanished is a refused job, with the reason."""
    job = spec("00", "true")
    job.script.unlink()
    ticket = queue.submit(job)
    assert queue.step() == [ticket]
    assert ticket.reason.startswith("the job script cannot be started: [Errno 2]")
    assert (ticket.job_id, ticket.info) == (None, None)


@pytest.mark.parametrize("shebang", ["#!/no/such/shell", "\x7fnonsense"])
def test_a_script_that_cannot_be_started(queue: LocalQueue, shebang: str) -> None:
    """A shell that is not there is a refused job."""
    ticket = queue.submit(spec("00", "true", shebang))
    queue.step()
    reason = "there is no /no/such/shell on this machine (setting shell)"
    assert ticket.reason == reason if "#!" in shebang else str(ticket.spec.script) in ticket.reason


def test_a_folder_that_vanished(queue: LocalQueue) -> None:
    """A folder in which nothing can be written is a refused job, too."""
    ticket = queue.submit(spec("homeless", "true"))
    queue.step()
    assert "batch.log" in ticket.reason


def test_a_refused_job_takes_no_slot(queue: LocalQueue) -> None:
    """Jobs that cannot be started do not hold up the others."""
    refused = [queue.submit(spec(f"{number:02x}", "", "#!/no/such/shell")) for number in range(3)]
    ticket = queue.submit(spec("ff", "true"))
    assert queue.step() == [*refused, ticket]
    assert ticket.job_id is not None


# -- cancelling


def test_a_job_is_asked_to_stop(queue: LocalQueue) -> None:
    """SIGTERM first: a job that listens ends by itself, and counts as cancelled, whatever its exit code."""
    (ticket,) = submit(queue, "trap 'exit 0' TERM; touch ready; while :; do sleep 0.01; done")
    step_until(queue, Path("ready").exists)
    queue.cancel([ticket])
    step_until(queue, lambda: is_final(ticket))
    assert ticket.info is not None
    assert (ticket.info.status, ticket.info.cause) == (JobStatus.aborted, Cause.cancelled)


def test_a_stubborn_job_is_killed(queue: LocalQueue, clock: Clock) -> None:
    """A job that ignores SIGTERM has five seconds, counted from the first request, and is killed with its children."""
    (ticket,) = submit(queue, f"{STUBBORN.replace('touch', 'sleep 60 & echo $! > child; touch')}")
    step_until(queue, Path("ready").exists)
    queue.cancel([ticket])
    clock.now = 4.9
    queue.cancel([ticket])
    assert queue.step() == []
    assert not is_final(ticket)
    clock.now = 5.0
    assert queue.step() == [ticket]
    assert ticket.info is not None
    assert (ticket.info.exit_code, ticket.info.cause) == (137, Cause.cancelled)
    step_until(queue, lambda: not lives(number_in("child")))


def test_a_stubborn_child_is_killed(queue: LocalQueue, clock: Clock) -> None:
    """A job script that ended leaves no task behind that does not want to stop."""
    (ticket,) = submit(queue, f"sh -c '{STUBBORN.replace(chr(39), chr(34))}' & echo $! > child; wait")
    step_until(queue, Path("ready").exists)
    queue.cancel([ticket])
    until(lambda: not lives(int(present(ticket.job_id))), "the job script has ended")
    assert queue.step() == []
    assert lives(number_in("child"))
    clock.now = 5.0
    assert queue.step() == [ticket]
    step_until(queue, lambda: not lives(number_in("child")))


def test_a_new_attempt_waits_until_the_old_one_has_ended(queue: LocalQueue, clock: Clock) -> None:
    """Asked to stop, it may work on for some seconds, on the same outputs."""
    (old,) = submit(queue, STUBBORN)
    step_until(queue, Path("ready").exists)
    heard: list[float] = []
    queue.cancel_then(old, lambda: heard.append(clock.now))
    new, other = queue.submit(replace(old.spec, token="01")), queue.submit(spec("02", "true"))
    clock.now = 4.9
    step_until(queue, lambda: is_final(other))
    assert (new.job_id, heard) == (None, [])
    clock.now = 5.0
    step_until(queue, lambda: is_final(old))
    assert heard == [5.0]
    step_until(queue, lambda: new.job_id is not None)


def test_a_job_that_waits_never_starts(queue: LocalQueue) -> None:
    """Cancelling a job that has no slot yet takes it out of the queue."""
    tickets = submit(queue, "sleep 0.05", "sleep 0.05", "touch started")
    queue.step()
    queue.cancel([tickets[2]])
    step_until(queue, lambda: all(map(is_final, tickets[:2])))
    queue.step()
    assert tickets[2].job_id is None
    assert not Path("started").exists()


def test_cancelling_what_ended_is_no_error(queue: LocalQueue) -> None:
    """Cancelling is harmless, however often and late."""
    (ticket,) = submit(queue, "exit 0")
    step_until(queue, lambda: is_final(ticket))
    info = ticket.info
    queue.cancel([ticket, ticket])
    queue.release(ticket)
    queue.hurry(ticket)
    assert (queue.step(), ticket.info) == ([], info)


# -- the end


def test_close_stops_everything(queue: LocalQueue, clock: Clock) -> None:
    """At the end jobs that run are stopped, the stubborn ones killed, and those that wait never start."""
    tickets = submit(queue, STUBBORN, "sleep 60", "touch started")
    step_until(queue, Path("ready").exists)
    assert queue.close(60) == []
    assert [ticket.info.cause for ticket in tickets if ticket.info is not None] == [Cause.cancelled] * 2
    assert clock.now < 10
    assert not Path("started").exists()


def test_close_returns_what_is_left(queue: LocalQueue, clock: Clock) -> None:
    """Jobs that outlast the patience of the caller are returned."""
    tickets = submit(queue, STUBBORN)
    step_until(queue, Path("ready").exists)
    assert queue.close(1) == tickets
    assert 1 <= clock.now < 5


def test_closing_an_idle_queue_takes_no_time(queue: LocalQueue, clock: Clock) -> None:
    """A run without local jobs does not wait for any."""
    assert (queue.close(60), clock.now) == ([], 0.0)


def test_a_shell_that_ignores_its_children(script_folder: Path) -> None:
    """A process started with SIGCHLD ignored (by a daemon, say) still notices the end of its jobs."""
    (script_folder / "job.sh").write_text("#!/bin/sh\nexit 0\n")
    (script_folder / "job.sh").chmod(0o700)
    (script_folder / "run.py").write_text(IGNORES_CHILDREN)
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "run.py"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (answer.stdout, answer.stderr) == ("True\n", "")


IGNORES_CHILDREN = """
import signal, time
from pathlib import Path
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from b2luigi.batch.queue.local import LocalQueue
from b2luigi.batch.systems.model import JobSpec
here = Path.cwd()
queue = LocalQueue(folder=here)
ticket = queue.submit(JobSpec("00", "n", here / "job.sh", here, here, here))
while not (ticket.info and ticket.info.status.is_final):
    queue.step()
    time.sleep(0.01)
print(ticket.info.status.is_final)
"""


def test_files_are_made_with_the_umask_of_the_user(queue: LocalQueue) -> None:
    """What the job script says before its logs are open is as private as the user's files."""
    former = os.umask(0o077)
    try:
        (ticket,) = submit(queue, "true")
        queue.step()
    finally:
        os.umask(former)
    assert stat.S_IMODE(ticket.spec.report.stat().st_mode) == 0o600


def test_nothing_to_choose(queue: LocalQueue) -> None:
    """This machine has no options and refuses no job beforehand."""
    assert queue.options(lambda key: "anything") == {}
    assert queue.check(spec("00", "true")) is None  # type: ignore[func-returns-value]
    assert (queue.name, queue.carries_files) == ("local", False)


# -- jobs of an earlier run


def left_behind(token: str, text: str) -> subprocess.Popen[bytes]:
    """A job that a run has started which is no more."""
    job = spec(token, text)
    process = subprocess.Popen([job.script, token], start_new_session=True)
    until(
        lambda: last_argument(process.pid) == token or process.poll() is not None, "it has its arguments", every=0.001
    )
    return process


def attached(queue: LocalQueue, token: str, **facts: object) -> Ticket:
    here = Path.cwd()
    job = JobSpec(token, token, here / f"{token}.sh", here, here, here)
    return queue.attach(job, {"submit_host": platform.node(), **facts})


def test_a_job_of_an_earlier_run_is_watched_and_takes_a_slot(queue: LocalQueue) -> None:
    """Its end is seen; how it ended only its marker knows."""
    process = left_behind(A_TOKEN, "while [ ! -e go ]; do sleep 0.02; done")
    ticket = attached(queue, A_TOKEN, job_id=str(process.pid))
    assert (ticket.job_id, present(ticket.info).status) == (str(process.pid), JobStatus.running)
    others = submit(queue, "true", "true")
    queue.step()
    assert [other.job_id is not None for other in others] == [True, False]
    Path("go").touch()
    process.wait()
    step_until(queue, lambda: all(map(is_final, [ticket, *others])))
    info = present(ticket.info)
    assert (info.status, info.exit_code, info.cause) == (JobStatus.aborted, None, None)


def test_a_job_whose_process_id_was_never_noted_is_found_by_its_token(queue: LocalQueue) -> None:
    """The run was killed right after it had started the job."""
    process = left_behind(A_TOKEN, "sleep 100")
    ticket = attached(queue, A_TOKEN)
    assert ticket.job_id == str(process.pid)
    queue.cancel([ticket])
    assert process.wait(PATIENCE) == -signal.SIGTERM
    step_until(queue, lambda: is_final(ticket))
    assert present(ticket.info).cause is Cause.cancelled


def test_a_job_that_was_never_started_is_refused(queue: LocalQueue) -> None:
    """It waited for a slot when its run was killed."""
    assert attached(queue, "ac").state is TicketState.not_found


def test_a_stranger_with_the_process_id_of_a_job_is_never_signalled(queue: LocalQueue) -> None:
    """The job has ended, and its id was given away: it counts as ended, and nobody else is touched."""
    stranger = subprocess.Popen(["sleep", "100"], start_new_session=True)
    ticket = attached(queue, "ad", job_id=str(stranger.pid))
    queue.cancel([ticket])
    step_until(queue, lambda: is_final(ticket))
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("job_id", ["seven", "-1", "0", 1.5, "\u0661"])
def test_a_process_id_that_is_none_is_not_believed(queue: LocalQueue, job_id: object) -> None:
    """It would be signalled."""
    assert attached(queue, "af", job_id=job_id).state is TicketState.not_found
    queue.step()


WORKING = "B2LUIGI_OUTCOME=/x/{}.outcome bash -c 'echo $$ > child; sleep 100; true'; true"
"""What a job script does, as far as others see it: it starts its task, and waits for it."""


@pytest.mark.parametrize("noted", [True, False], ids=["id noted", "id not noted"])
def test_what_a_shot_job_of_an_earlier_run_had_started_does_not_work_on(queue: LocalQueue, noted: bool) -> None:
    """Its script was shot, the task itself was not: it would still write while the next attempt does."""
    process = left_behind(A_TOKEN, WORKING.format(A_TOKEN))
    child = number_in("child")
    process.kill()
    process.wait()
    ticket = attached(queue, A_TOKEN, **({"job_id": str(process.pid)} if noted else {}))
    assert (ticket.job_id, ticket.state) == (str(process.pid), TicketState.queued)
    step_until(queue, lambda: is_final(ticket))
    step_until(queue, lambda: not lives(child))


@pytest.mark.parametrize("noted", [True, False], ids=["id noted", "id not noted"])
def test_what_a_finished_job_of_an_earlier_run_left_is_left(queue: LocalQueue, noted: bool) -> None:
    """Its script ended by itself, and left a marker: what still runs was started on purpose."""
    process = left_behind(A_TOKEN, f"( {WORKING.format(A_TOKEN)} ) & while [ ! -s child ]; do sleep 0.01; done")
    process.wait()
    child = number_in("child")
    Path(A_TOKEN).write_text("0 outcome")  # its inbox is the current folder
    ticket = attached(queue, A_TOKEN, **({"job_id": str(process.pid)} if noted else {}))
    step_until(queue, lambda: ticket.is_over)
    assert lives(child)
    os.killpg(process.pid, signal.SIGKILL)


def test_a_job_that_began_after_another_was_looked_for_is_found(script_folder: Path) -> None:
    """Its run was shot a moment later: what was seen of this machine before says nothing about it."""
    now = [100.0]
    queue = LocalQueue(folder=script_folder, clock=lambda: now[0])
    assert attached(queue, "ag").state is TicketState.not_found
    process = left_behind(A_TOKEN, "sleep 100")
    now[0] += 0.2
    assert attached(queue, A_TOKEN).job_id == str(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_jobs_of_another_machine_are_not_guessed_about(queue: LocalQueue) -> None:
    """Whether they live cannot be seen from here; the message says where, and what can be done."""
    with pytest.raises(ValueError, match=r"was started on elsewhere by another run.*--fresh"):
        attached(queue, "ae", submit_host="elsewhere", job_id="12")


def test_jobs_that_are_left_keep_running(queue: LocalQueue) -> None:
    """Those that wait for a slot are not started."""
    tickets = submit(queue, "sleep 100", "sleep 100", "touch never")
    queue.step()
    queue.leave(1.0)
    queue.step()
    assert [lives(int(present(ticket.job_id))) for ticket in tickets[:2]] == [True, True]
    assert tickets[2].job_id is None
