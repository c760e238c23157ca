"""The node of a pack: a process for each task, which real processes show; only what the tasks do is made up."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from b2luigi.batch.attempts.ledger import Ledger
from b2luigi.batch.attempts.liveness import stat_of
from b2luigi.batch.attempts.outcome import DONE, FAILED, INTERRUPTED, Outcome
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.node import children
from b2luigi.batch.node import pack as pack_module
from b2luigi.batch.node.children import Forked, Randomness, Tree
from b2luigi.batch.node.given_job import GivenJob
from b2luigi.batch.node.pack import Member, run_pack
from b2luigi.core.files import write_atomically
from b2luigi.core.job_script import CUT_SHORT, PACK, UNRECORDED
from tests.present import present
from tests.waiting import PATIENCE, until

SCRIPT = "executable_wrapper.sh"
Do = Callable[[Path], object]
"""What a task does; gets the file for its outcome."""


def done(outcome: Path, status: str = DONE) -> int:
    """Ends well, and says so."""
    write_atomically(outcome, Outcome(status).to_json(), 0o600)
    return 0 if status == DONE else 1


def fail(outcome: Path) -> int:
    """Raises an exception."""
    return done(outcome, FAILED)


def leave(outcome: Path) -> None:
    """A library ends the program in the middle of the task."""
    os._exit(0)


def crash(outcome: Path) -> None:
    """A library breaks down."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def terminate(outcome: Path) -> None:
    """Somebody stops the task, and not its job."""
    os.kill(os.getpid(), signal.SIGTERM)


def sleep(outcome: Path) -> None:
    """Is at work until it is stopped."""
    outcome.with_suffix(".pid").write_text(f"{os.getpid()}\n")
    time.sleep(PATIENCE)


class Node:
    """A pack, whose tasks are called a, b, c, and so on: tokens with sixteen such letters."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inbox = folder, folder / "inbox"
        self.script = folder / "packs" / "p" / SCRIPT
        for path in (self.inbox, self.script.parent):
            path.mkdir(parents=True)
        self.works: dict[str, Do] = {}

    def home(self, name: str) -> Path:
        """The folder of a task."""
        return self.folder / name

    def outcome(self, name: str) -> Path:
        """The file for the outcome of a task."""
        return self.home(name) / f"{16 * name}.outcome"

    def void(self, name: str) -> Path:
        """Says that nobody wants a task."""
        return self.home(name) / f"{16 * name}.void"

    def start(self, *works: Do, **facts: Any) -> ForkProcess:
        """Starts the job of a pack whose tasks do this."""
        self.works = dict(zip("abcdefgh", works, strict=False))
        for name in self.works:
            self.home(name).mkdir(exist_ok=True)
        process = multiprocessing.get_context("fork").Process(target=self._run, kwargs=facts)
        process.start()
        return process

    def run(self, *works: Do, **facts: Any) -> int | None:
        """The same; returns the exit code of the job, once it has ended."""
        process = self.start(*works, **facts)
        process.join(PATIENCE)
        return process.exitcode

    def _run(self, mode: str = "fork", at_once: int = 1, limit: float | None = None, grace: float = 0.0) -> None:
        description = {
            "task_id": PACK,
            "inbox": str(self.inbox),
            "mode": mode,
            "at_once": at_once,
            "limit": limit,
            "worker": {"result_grace": grace},
            "members": [self._member(name) for name in self.works],
        }
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115, in place of pytest's
        sys.stdout.write("the script, which has not flushed this")
        logging.getLogger("luigi-interface.b2luigi").addHandler(logging.FileHandler(self.folder / "log"))
        sys.exit(run_pack(GivenJob.described(description), self.script, self._work))

    def _member(self, name: str) -> dict[str, Any]:
        home = str(self.home(name))
        return {"token": 16 * name, "home": home, "logs": f"{home}/logs", "description": {"task_id": name}}

    def _work(self, job: GivenJob, outcome: Path) -> int:
        code = self.works[job.task_id](outcome)
        return code if isinstance(code, int) else 0

    @property
    def begun(self) -> set[str]:
        """The tasks that have begun."""
        return {token[0] for token in Ledger(self.script.parent).begun()}

    @property
    def markers(self) -> dict[str, str]:
        """What was left in the inbox, by task."""
        return {path.name[0]: path.read_text().strip() for path in self.inbox.iterdir()}

    def log(self, name: str, stream: str = "stderr") -> str:
        """What a task has printed."""
        return (self.home(name) / "logs" / stream).read_text()

    def pid(self, name: str) -> int:
        """The process of a task that sleeps, once it does."""
        path = self.outcome(name).with_suffix(".pid")
        until(lambda: path.exists() and path.read_text().endswith("\n"), f"{name} sleeps")
        return int(path.read_text())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A pack that has not begun."""
    return Node(tmp_path)


# -- how tasks end


@pytest.mark.parametrize(
    ("work", "marker"),
    [
        (done, "0 outcome alone"),
        (fail, "1 outcome alone"),
        (lambda outcome: 0, f"{CUT_SHORT} none alone"),
        (leave, f"{CUT_SHORT} none alone"),
        (lambda outcome: os._exit(3), "3 none alone"),
        (lambda outcome: 1 / 0, "1 none alone"),
        (crash, "139 none alone"),
        (terminate, "143 none alone"),
        (lambda outcome: os.kill(os.getpid(), signal.SIGKILL), "137 none alone"),
    ],
)
def test_however_a_task_ends_it_hurts_itself_only(node: Node, work: Do, marker: str) -> None:
    """Its marker says how; the others have markers of their own, and the job ends well."""
    assert node.run(done, work, done) == 0
    assert node.markers == {"a": "0 outcome alone", "b": marker, "c": "0 outcome alone"}
    assert node.begun == {"a", "b", "c"}


def test_a_task_that_was_cut_short_says_so_in_its_own_log(node: Node) -> None:
    """There people look first."""
    node.run(leave, crash)
    assert "exit code 0 in the middle of the task" in node.log("a")
    assert "the task had begun" in node.log("b")


def test_each_task_prints_into_its_own_log(node: Node) -> None:
    """Also what its programs print; what the script has printed before it is in none of them."""

    def talk(outcome: Path) -> int:
        print(f"I am {outcome.parent.name}")
        subprocess.run(["sh", "-c", "echo a program >&2"], check=True)
        return done(outcome)

    node.run(talk, talk)
    assert [node.log(name, "stdout") for name in "ab"] == ["I am a\n", "I am b\n"]
    assert [node.log(name) for name in "ab"] == ["a program\n"] * 2


def test_a_marker_that_cannot_be_written_ends_nothing_else(node: Node) -> None:
    """The submit host learns from the end of the job, and from outcomes."""
    node.inbox.rmdir()
    assert node.run(done, done) == 0
    assert [node.outcome(name).exists() for name in "ab"] == [True, True]


# -- which tasks begin


def test_a_pack_hands_back_what_it_has_not_begun_in_time(node: Node) -> None:
    """But for the first one: with none begun, the job would have been in vain, and so would be the next."""
    assert node.run(done, done, done, limit=0.0) == 0
    assert (node.begun, set(node.markers)) == ({"a"}, {"a"})


def test_a_job_that_runs_again_redoes_only_what_was_not_done(node: Node) -> None:
    """Requeued: what has an outcome, was judged, given up or cancelled does not run again; what a signal ended does."""
    for name in "abcde":
        node.home(name).mkdir()
    done(node.outcome("a"))
    done(node.outcome("b"), INTERRUPTED)
    Record.claim(node.home("c"), {}, after=0, token=16 * "c").note(given_up="given up")
    Record.claim(node.home("d"), {}, after=0, token=16 * "d").close("DONE", None)
    node.void("e").touch()
    assert node.run(*6 * [done]) == 0
    assert node.begun == set(node.markers) == {"b", "f"}


def test_a_task_that_is_cancelled_while_it_begins_does_not_run(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels it writes its void and then reads the ledger: one of the two has to see the other."""
    begin = Ledger.begin

    def slow(ledger: Ledger, token: str) -> None:
        node.void(token[0]).touch()
        begin(ledger, token)

    monkeypatch.setattr(Ledger, "begin", slow)
    assert node.run(done) == 0
    assert (node.begun, node.markers) == ({"a"}, {"a": "143 none alone"})
    assert not node.outcome("a").exists()


def test_as_many_tasks_as_were_asked_for_run_at_once(node: Node) -> None:
    """Two of three: each waits for the other one; the third begins when there is room."""

    def meet(outcome: Path) -> int:
        outcome.with_suffix(".here").touch()
        until(lambda: len(list(node.folder.glob("*/*.here"))) >= 2, "there are two")
        (outcome.parent / "seen").write_text(str(len(list(node.folder.glob("*/*.here")))))
        return done(outcome)

    assert node.run(meet, meet, done, at_once=2) == 0
    assert node.begun == {"a", "b", "c"}


def test_one_after_the_other_is_one_after_the_other(node: Node) -> None:
    """A job that asked for one core has one task at work."""
    moments: list[float] = []

    def span(outcome: Path) -> int:
        start = time.monotonic()
        time.sleep(0.05)
        (node.folder / f"{outcome.parent.name}.span").write_text(f"{start} {time.monotonic()}")
        return 0

    node.run(span, span, span)
    for path in sorted(node.folder.glob("*.span")):
        moments += map(float, path.read_text().split())
    assert moments == sorted(moments)
    assert len(moments) == 6


# -- a node on which nothing can begin


def test_without_a_ledger_nothing_begins(node: Node) -> None:
    """A disk that is full: nobody would know what has begun. The exit code says that it is the node's fault."""
    (node.script.parent / "begun").mkdir()
    assert node.run(done, done) == UNRECORDED
    assert (node.markers, node.outcome("a").exists()) == ({}, False)


def test_what_cannot_begin_any_more_is_handed_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks that have begun end well, and the rest goes into another job."""
    begin = Ledger.begin

    def full(ledger: Ledger, token: str) -> None:
        if token[0] == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        begin(ledger, token)

    monkeypatch.setattr(Ledger, "begin", full)
    assert node.run(done, done, done) == 0
    assert (node.begun, node.markers) == ({"a"}, {"a": "0 outcome alone"})


def test_a_node_without_room_for_processes_fails_one_task_and_hands_back_the_others(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one has begun by the ledger; its exit code says that it is the node's fault, and so it is tried again."""

    def full(*arguments: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(pack_module, "Forked", full)
    assert node.run(done, done, done) == 0
    assert (node.begun, node.markers) == ({"a"}, {"a": f"{UNRECORDED} none alone"})


def test_a_task_whose_logs_cannot_be_opened_hurts_itself_only(node: Node) -> None:
    """A file where its folder should be, say."""
    node.home("a").mkdir()
    (node.home("a") / "logs").touch()
    assert node.run(done, done) == 0
    assert node.markers == {"a": "1 none alone", "b": "0 outcome alone"}


# -- tasks that nobody wants any more


def test_a_task_that_nobody_wants_any_more_is_stopped(node: Node) -> None:
    """Within seconds; the one beside it works on, and so do those after it."""
    job = node.start(sleep, sleep, done, at_once=2)
    first, second = node.pid("a"), node.pid("b")
    start = time.monotonic()
    node.void("a").touch()
    until(lambda: node.markers.get("a") == "143 none alone", "the task is stopped")
    assert time.monotonic() - start < 60  # 2 s, but for a busy machine
    assert stat_of(first) is None
    assert stat_of(second) is not None
    node.void("b").touch()
    job.join(PATIENCE)
    assert (job.exitcode, node.markers["c"]) == (0, "0 outcome alone")


def test_what_a_task_has_started_is_stopped_with_it(node: Node) -> None:
    """Also what does not hear SIGTERM, when its patience is over."""

    def start_deaf(outcome: Path) -> None:
        command = f"trap '' TERM; echo $$ > {outcome.with_suffix('.tmp')}; mv {outcome.with_suffix('.tmp')} "
        subprocess.run(
            ["sh", "-c", f"{command} {outcome.with_suffix('.pid')}; while :; do sleep 0.1; done"], check=False
        )

    job = node.start(start_deaf)
    deaf = node.pid("a")
    node.void("a").touch()
    job.join(PATIENCE)
    assert job.exitcode == 0
    until(lambda: stat_of(deaf) is None, "the program is killed", every=0.05)


def test_what_a_task_has_started_may_tidy_up(node: Node) -> None:
    """It has the same seconds for that as the task, which may be gone before it."""

    def start_tidy(outcome: Path) -> None:
        note = f"echo $$ > {outcome}.tmp; mv {outcome}.tmp {outcome.with_suffix('.pid')}"
        tidy = f"trap 'sleep 0.3; touch {outcome.with_suffix('.tidy')}; exit' TERM"
        subprocess.run(["sh", "-c", f"{tidy}; {note}; while :; do sleep 0.1; done"], check=False)

    job = node.start(start_tidy)
    node.pid("a")
    node.void("a").touch()
    job.join(PATIENCE)
    assert job.exitcode == 0
    assert node.outcome("a").with_suffix(".tidy").exists()


def test_a_disk_that_hiccups_stops_no_task(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a task is wanted cannot be seen for now: it works on, and so does the pack."""

    def stale(path: Path, **_: Any) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    def rest(outcome: Path) -> int:
        time.sleep(0.3)
        return done(outcome)

    monkeypatch.setattr(Path, "exists", stale)
    monkeypatch.setattr(pack_module, "GLANCE", 0.0)
    assert node.run(rest, done) == 0
    assert set(node.markers.values()) == {"0 outcome alone"}


# -- signals


def test_a_signal_for_the_job_goes_on_to_its_tasks(node: Node) -> None:
    """No other one begins, and the batch system is asked why; the job ends as if the signal had ended it."""
    job = node.start(sleep, sleep, done, at_once=2)
    pids = [node.pid("a"), node.pid("b")]
    os.kill(job.pid or 0, signal.SIGTERM)
    job.join(PATIENCE)
    assert job.exitcode == -signal.SIGTERM
    assert node.markers == {"a": "143 none", "b": "143 none"}
    assert [stat_of(pid) for pid in pids] == [None, None]


def test_a_task_may_end_well_when_its_job_is_stopped(node: Node) -> None:
    """Batch systems send a signal some time before they kill, and the script may have asked for it."""

    def write_down(outcome: Path) -> int:
        signal.signal(signal.SIGTERM, lambda *_: None)
        outcome.with_suffix(".pid").write_text(f"{os.getpid()}\n")
        signal.pause()
        return done(outcome)

    job = node.start(write_down, done)
    node.pid("a")
    os.kill(job.pid or 0, signal.SIGTERM)
    job.join(PATIENCE)
    assert (job.exitcode, node.markers) == (-signal.SIGTERM, {"a": "0 outcome"})


def test_a_signal_that_comes_to_a_task_first_is_one_for_the_job(node: Node) -> None:
    """Batch systems signal all processes of a job, one after the other: the task has not ended alone."""

    def first(outcome: Path) -> None:
        subprocess.Popen(["sh", "-c", f"sleep 0.1; kill -TERM {os.getppid()}"])
        os.kill(os.getpid(), signal.SIGTERM)

    job = node.start(first, done)
    job.join(PATIENCE)
    assert (job.exitcode, node.markers) == (-signal.SIGTERM, {"a": "143 none"})


def test_a_signal_that_comes_while_a_task_is_being_started_reaches_it(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else it would work on while the job is being stopped."""
    forked = Forked

    def interrupted(*arguments: Any) -> Any:
        child = forked(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return child

    monkeypatch.setattr(pack_module, "Forked", interrupted)
    job = node.start(sleep, done)
    job.join(PATIENCE)
    assert (job.exitcode, node.markers) == (-signal.SIGTERM, {"a": "143 none"})


def test_an_old_kernel_shows_the_end_of_a_task_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RHEL 8 has no pidfd_open(2)."""

    def missing(pid: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    job = GivenJob.described({"task_id": "a"})
    child = Forked(job, tmp_path / "a.outcome", tmp_path, lambda job, outcome: 3, lambda: None)
    assert wait([present(child.sentinel)], PATIENCE)
    until(lambda: child.exit_code() == 3, "it has ended")


def test_a_pack_whose_job_script_was_killed_begins_nothing(node: Node) -> None:
    """HTCondor removes and evicts a job process by process: the script, the task, and then the pack."""
    script = multiprocessing.get_context("fork").Process(target=lambda: node.start(sleep, done).join())
    script.start()
    task = node.pid("a")
    pack = present(stat_of(task)).parent
    os.kill(script.pid or 0, signal.SIGKILL)
    os.kill(task, signal.SIGKILL)
    until(lambda: stat_of(pack) is None, "the pack has ended")
    assert (node.begun, node.markers) == ({"a"}, {"a": "137 none"})


def test_a_signal_that_comes_to_a_task_before_it_is_ready_ends_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is a mere copy of the pack, it would take the signal for one of the pack, and go on."""
    monkeypatch.setattr(children, "_end_with_parent", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert node.run(done) == 0
    assert node.markers == {"a": "143 none alone"}


def test_tasks_end_with_a_pack_that_was_killed(node: Node) -> None:
    """Nobody would report their ends, and a second job would do their work beside them."""
    job = node.start(sleep, sleep, at_once=2)
    pids = [node.pid("a"), node.pid("b")]
    os.kill(job.pid or 0, signal.SIGKILL)
    until(lambda: not any(map(stat_of, pids)), "the tasks have ended")
    assert node.markers == {}


# -- random numbers


def drawn(node: Node, *draws: Callable[[], object]) -> list[list[str]]:
    """What three tasks of a pack draw, one list for each source."""

    def write(outcome: Path) -> int:
        (node.folder / f"{outcome.parent.name}.drawn").write_text("\n".join(str(draw()) for draw in draws))
        return done(outcome)

    assert node.run(write, write, write) == 0
    lines = [path.read_text().splitlines() for path in sorted(node.folder.glob("*.drawn"))]
    return [list(column) for column in zip(*lines, strict=True)]


def test_tasks_draw_different_random_numbers(node: Node) -> None:
    """Copies of one process have the same state: identical toys, silently."""
    random.seed(1)
    (numbers,) = drawn(node, random.random)
    assert len(set(numbers)) == 3


def test_tasks_draw_different_numbers_with_numpy(node: Node) -> None:
    """With its functions, and with generators that the script has made; one with a seed keeps it."""
    numpy = pytest.importorskip("numpy")
    numpy.random.seed(1)
    generator, state = numpy.random.default_rng(), numpy.random.RandomState()
    chosen, chosen_state = numpy.random.default_rng(42), numpy.random.RandomState(42)
    *free, kept, kept_state = drawn(
        node, numpy.random.random, generator.random, state.random_sample, chosen.random, chosen_state.random_sample
    )
    assert [len(set(numbers)) for numbers in free] == [3, 3, 3]
    assert [len(set(numbers)) for numbers in (kept, kept_state)] == [1, 1]


def test_a_numpy_that_cannot_be_seeded_is_reported_and_ends_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody's own, say."""

    def seed() -> None:
        raise TypeError("no such thing")

    monkeypatch.setitem(sys.modules, "numpy.random", SimpleNamespace(seed=seed))
    Randomness().draw_anew()
    assert "could not seed numpy" in caplog.text


# -- one program for each task


def a_script(node: Node, name: str, body: str) -> None:
    """The job script of a task, which gets its token and what tells it that it is in a pack."""
    node.home(name).mkdir(exist_ok=True)
    path = node.home(name) / SCRIPT
    path.write_text(f"#!/bin/sh\nhome={node.home(name)}\n{body}\n")
    path.chmod(0o700)


def test_with_a_process_for_each_task_its_own_script_runs(node: Node) -> None:
    """Reported like a copy."""
    a_script(node, "a", f"[ \"$2\" = --member ] && echo '{Outcome(DONE).to_json()}' > $home/$1.outcome")
    a_script(node, "b", "exit 3")
    a_script(node, "c", "kill -SEGV $$")
    node.home("d").mkdir()
    assert node.run(done, done, done, done, mode="process") == 0
    assert node.markers == {"a": "0 outcome alone", "b": "3 none alone", "c": "139 none alone", "d": "1 none alone"}


def test_the_script_of_a_task_ends_with_a_pack_that_was_killed(node: Node) -> None:
    """It learns which process that is, so that its program can end with it, too."""
    a_script(node, "a", "echo $B2LUIGI_PACK > $home/pack; echo $$ > $home/$1.tmp; mv $home/$1.tmp $home/$1.pid\nread x")
    fifo = "exec < $home/fifo"
    os.mkfifo(node.home("a") / "fifo")
    path = node.home("a") / SCRIPT
    path.write_text(path.read_text().replace("read x", f"{fifo}\nread x"))
    job = node.start(sleep, mode="process")
    pid = node.pid("a")
    assert (node.home("a") / "pack").read_text() == f"{job.pid}\n"
    os.kill(job.pid or 0, signal.SIGKILL)
    until(lambda: stat_of(pid) is None, "the script has ended")


def test_a_program_whose_pack_has_ended_ends(tmp_path: Path) -> None:
    """Its shell was killed before the program came to ask."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    code = (
        "import sys; from b2luigi.batch.node.children import end_with_pack; end_with_pack(sys.argv[1]); print('works')"
    )
    for pack, output in (("", "works\n"), (str(os.getpid()), "works\n"), (str(ended.pid), "")):
        found = subprocess.run([sys.executable, "-c", code, pack], capture_output=True, text=True, check=False)
        assert found.stdout == output


# -- trees of processes


def test_a_tree_has_what_a_process_has_started(tmp_path: Path) -> None:
    """And nothing else; a number that somebody else has by now is left alone."""
    top = subprocess.Popen(["sh", "-c", "sleep 100 & wait"])
    until(lambda: len(Tree.below(top.pid).members) == 2, "both run")
    tree = Tree.below(top.pid)
    stranger = Tree(frozenset({(os.getpid(), 1)}))
    stranger.signal(signal.SIGKILL)
    assert not stranger.lives
    tree.signal(signal.SIGKILL)
    top.wait()
    until(lambda: not tree.lives, "both have ended")


def test_what_a_member_was_told_is_what_its_own_job_script_would_say() -> None:
    """Its description is in that of the pack."""
    member = Member("t", Path("/f"), Path("/l"), {"task_id": "Work_1", "worker": {"result_grace": 7}})
    assert (member.job.task_id, member.job.grace, member.stderr) == ("Work_1", 7.0, Path("/l/stderr"))
