"""The inbox of a run: its markers, its owner, its claims; and the inboxes of other runs."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from b2luigi.batch.attempts.heartbeat import SILENCE, Heartbeat
from b2luigi.batch.attempts.inbox import OWNER, Claim, Inbox, inboxes_below
from b2luigi.batch.attempts.liveness import has_ended, stat_of, this_process
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.runs import Runs
from tests.machine import no_room
from tests.waiting import until

TOKEN = "0123456789abcdef"


class Clock:
    """Seconds, as a test wants them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def dead_owner() -> dict[str, object]:
    """A process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = {**this_process(), "pid": process.pid}
    process.wait()
    return owner


def inbox(base: Path, owner: dict[str, object] | None, *claims: Path, clock: Clock | None = None) -> Inbox:
    """The inbox of another run."""
    found = Inbox.new(base)
    found.open()
    for folder in claims:
        found.enter(folder)
        found.write_claims()
    if owner is None:
        (found.folder / OWNER).unlink()
    else:
        (found.folder / OWNER).write_text(json.dumps(owner))
    return Inbox(found.folder, clock or Clock())


def folders_of(found: Inbox) -> list[Path]:
    """The task file folders in which a run has claims."""
    return [folder for _, folder in found.folders()]


# -- owners


def test_this_process_lives() -> None:
    """As long as somebody asks."""
    assert has_ended(this_process()) is False


@pytest.mark.parametrize("changed", [{"pid": 2**22 - 1}, {"start": 1}, {"boot": "another"}, {"pid": None}])
def test_a_process_that_is_not_the_one_has_ended(changed: dict[str, object]) -> None:
    """Another start time: the process id was given to somebody else; another boot: nothing of it can live."""
    assert has_ended({**this_process(), **changed}) is True


def test_of_another_host_nothing_is_known() -> None:
    """Its processes cannot be seen from here."""
    assert has_ended({**this_process(), "host": "elsewhere"}) is None


def test_a_process_that_was_not_reaped_has_ended() -> None:
    """It has a process id until then, and nothing else."""
    process = subprocess.Popen(["sh", "-c", "exec sleep 60"], start_new_session=True)
    try:
        stat = stat_of(process.pid)
        assert stat is not None
        assert stat.group == process.pid
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert stat_of(process.pid) is None
    finally:
        process.kill()
        process.wait()


# -- inboxes


def test_a_run_is_abandoned_when_its_process_is_gone(tmp_path: Path) -> None:
    """Or when it has no owner at all; not while it lives."""
    assert inbox(tmp_path, dead_owner()).is_abandoned() is True
    assert inbox(tmp_path, None).is_abandoned() is True
    assert inbox(tmp_path, this_process()).is_abandoned() is False


def test_the_owner_of_a_run_is_looked_at_once_in_a_second(tmp_path: Path) -> None:
    """It is asked for each of its jobs, thousands of times, on a file system that may be slow."""
    clock = Clock()
    other = inbox(tmp_path, this_process(), clock=clock)
    assert other.is_abandoned() is False
    (other.folder / OWNER).write_text(json.dumps(dead_owner()))
    clock.now += 0.9
    assert other.is_abandoned() is False
    clock.now += 0.1
    assert other.is_abandoned() is True


def test_a_run_on_another_host_is_abandoned_after_a_silence(tmp_path: Path) -> None:
    """No clocks of two hosts are compared: what counts is whether its owner file is touched while we look."""
    clock = Clock()
    other = inbox(tmp_path, {**this_process(), "host": "elsewhere"}, clock=clock)
    assert other.is_abandoned() is None
    clock.now += SILENCE - 1
    assert other.is_abandoned() is None
    os.utime(other.folder / OWNER, (1, 1))
    clock.now += SILENCE - 1
    assert other.is_abandoned() is None
    clock.now += SILENCE
    assert other.is_abandoned() is True


def heartbeats(folder: Path) -> int:
    """How many of them beat in this process, for inboxes below a folder."""
    return sum(thread.name.startswith(f"b2luigi-heartbeat {folder}") for thread in threading.enumerate())


def until_touched(path: Path) -> None:
    """Waits until somebody touches a file."""
    os.utime(path, (1, 1))
    until(lambda: path.stat().st_mtime >= 2, "the owner file is touched", every=0.001)


def test_a_run_says_that_it_lives(tmp_path: Path) -> None:
    """By touching its owner file, now and then, whatever its loop does meanwhile; a run without jobs has none."""
    mine = Inbox(tmp_path / "inbox-1", beat=0.001)
    assert (mine.folder.exists(), heartbeats(tmp_path)) == (False, 0)
    mine.open()
    until_touched(mine.folder / OWNER)
    until_touched(mine.folder / OWNER)
    mine.close()
    until(lambda: not heartbeats(tmp_path), "nobody touches it any more", every=0.001)


def test_a_run_that_cannot_say_that_it_lives_has_no_jobs_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for a thread for now: others would take it for dead, and its jobs for theirs."""
    mine = Inbox(tmp_path / "inbox-1")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        for _ in range(2):
            with pytest.raises(BlockingIOError, match="can't start new thread"):
                mine.ready()
    assert (mine.ready(), heartbeats(tmp_path)) == (mine.folder, 1)
    mine.close()


def test_a_child_of_a_run_does_not_speak_for_it(tmp_path: Path) -> None:
    """luigi forks for tasks of its own; what such a child leaves running says nothing of the run."""
    mine = Inbox(tmp_path / "inbox-1", beat=0.001)
    mine.open()
    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(heartbeats(tmp_path)))
    assert heartbeats(tmp_path) == 1
    child.start()
    child.join()
    assert child.exitcode == 0
    mine.close()


def test_a_run_knows_that_it_was_silent(tmp_path: Path) -> None:
    """It was stopped for a while, or could not write: another host may have taken it for dead."""
    clock = Clock()
    heartbeat = Heartbeat(tmp_path / OWNER, clock=clock)
    assert not heartbeat.was_silent
    clock.now += SILENCE - 1
    (tmp_path / OWNER).touch()
    heartbeat.beat()
    clock.now += SILENCE - 1
    (tmp_path / OWNER).unlink()
    heartbeat.beat()
    assert not heartbeat.was_silent
    clock.now += 1
    assert heartbeat.was_silent
    (tmp_path / OWNER).touch()
    for _ in range(2):
        heartbeat.beat()
        assert heartbeat.was_silent


def test_an_inbox_is_never_seen_without_its_owner(tmp_path: Path) -> None:
    """Another run that looks at that moment would take it for an orphan, and remove it."""
    seen: list[list[str]] = []

    class Watched(Inbox):
        def _make(self, folder: Path) -> None:
            super()._make(folder)
            seen.append([path.name for path in inboxes_below(tmp_path)])

    mine = Watched(tmp_path / "inbox-1")
    mine.open()
    assert seen == [[]]
    assert [path.name for path in inboxes_below(tmp_path)] == ["inbox-1"]
    assert Inbox(mine.folder).is_abandoned() is False
    assert list(tmp_path.glob(".*")) == []
    mine.close()


def test_an_inbox_that_another_run_removed_is_made_again(tmp_path: Path) -> None:
    """It took this run for dead, since that was stopped for a while; jobs to come need an inbox all the same."""
    mine = Inbox(tmp_path / "inbox-1")
    mine.enter(tmp_path / "a")
    mine.write_claims()
    Inbox(mine.folder).discard()
    assert not mine.folder.exists()
    mine.enter(tmp_path / "b")
    mine.sync()
    assert Inbox(mine.folder).is_abandoned() is False
    assert folders_of(Inbox(mine.folder)) == [tmp_path / "b"]
    mine.close()


def test_an_inbox_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    """A full disk: the next time is as the first."""

    class Full(Inbox):
        full = True

        def _make(self, folder: Path) -> None:
            super()._make(folder)
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")

    mine = Full(tmp_path / "inbox-1")
    with pytest.raises(OSError, match="No space left"):
        mine.open()
    assert [*tmp_path.glob("inbox-*"), *tmp_path.glob(".*")] == []
    mine.full = False
    mine.open()
    assert (mine.folder / OWNER).exists()
    mine.close()


def test_claims_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Any name of a folder; new ones are seen; a line that was cut short is none."""
    names = [Path("/a b/c\nd"), Path("/ü"), tmp_path / os.fsdecode(b"\xff")]
    found = inbox(tmp_path, this_process(), *names)
    assert folders_of(found) == names
    with open(found.folder / "claims", "a") as file:
        file.write('"/e"\n"/cut sho')
    assert folders_of(found) == [*names, Path("/e")]


def test_claims_are_found_where_the_project_is_today(tmp_path: Path) -> None:
    """It was moved since they were written; those that a former version wrote, with all of the path, as well."""
    before, today = tmp_path / "before", tmp_path / "today"
    found = inbox(before, this_process(), before / "n=1" / "Part", tmp_path / "before-elsewhere" / "Own")
    with open(found.folder / "claims", "a") as file:
        file.write(f'"{before / "n=2" / "Part"}"\n')
    (before / "n=2" / "Part").mkdir(parents=True)
    before.rename(today)
    folders = folders_of(Inbox(today / found.name))
    assert folders[:2] == [today / "n=1" / "Part", tmp_path / "before-elsewhere" / "Own"]
    assert today / "n=2" / "Part" in folders


def test_an_inbox_goes_when_its_run_ends(tmp_path: Path) -> None:
    """Unless a job still has something to say; what is discarded goes all the same."""
    found = inbox(tmp_path, this_process(), Path("/a"))
    (found.folder / f"{TOKEN}.part").touch()
    found.close()
    assert not found.folder.exists()
    late = inbox(tmp_path, this_process(), Path("/a"))
    (late.folder / TOKEN).write_text("0 outcome\n")
    late.close()
    assert late.tokens() == [TOKEN]
    late.discard()
    assert not late.folder.exists()


# -- runs


def test_outputs_of_an_attempt_that_nobody_judged_do_not_count(tmp_path: Path) -> None:
    """The record beside the task decides: also where no inbox knows its run."""
    folder, runs = tmp_path / "task", Runs(tmp_path)
    assert runs.unfinished(folder) is None
    attempt = Record.claim(folder, {}, after=0)
    found = runs.unfinished(folder)
    assert found is not None
    assert found.token == attempt.token
    attempt.note(ended=1.0)
    assert runs.unfinished(folder) is None


def test_an_unreadable_record_keeps_the_inbox(tmp_path: Path) -> None:
    """A file system that is away, or a record of somebody else: it may be that of a job that lives."""
    found = inbox(tmp_path, dead_owner(), tmp_path / "task")
    (tmp_path / "task").write_text("not a folder for now")
    runs = Runs(tmp_path)
    runs.close(left=False)
    assert found.folder.exists()


@pytest.mark.parametrize("is_open", [True, False])
def test_an_inbox_of_a_moved_project_goes_by_what_the_records_say(tmp_path: Path, is_open: bool) -> None:
    """Its claims and its records have the path that the project had before."""
    before, today = tmp_path / "before", tmp_path / "today"
    found = inbox(before, dead_owner(), before / "task")
    attempt = Record.claim(before / "task", {"inbox": str(found.folder)}, after=0)
    if not is_open:
        attempt.note(ended=1.0)
    before.rename(today)
    Runs(today).close(left=False)
    assert (today / found.name).exists() is is_open


def test_an_inbox_is_known_by_its_name(tmp_path: Path) -> None:
    """Two ways lead to one task file folder: the run of a record is looked for there, and is not another one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    runs = Runs(tmp_path / "link")
    mine = Record.claim(tmp_path / "real" / "a", {"inbox": str(tmp_path / "real" / runs.own.name)}, after=0)
    assert runs.inbox_of(mine) is runs.own
    other = inbox(tmp_path / "real", this_process())
    theirs = Record.claim(tmp_path / "real" / "b", {"inbox": str(other.folder)}, after=0)
    assert runs.inbox_of(theirs).folder == tmp_path / "link" / other.name
    assert runs.inbox_of(theirs) is runs.others[other.name]


def test_inboxes_of_dead_runs_go_when_all_their_attempts_were_judged(tmp_path: Path) -> None:
    """One that lives is left alone, and so is one with a job that somebody may still resume."""
    open_claim, judged, living = (
        inbox(tmp_path, owner, tmp_path / name)
        for owner, name in ((dead_owner(), "open"), (dead_owner(), "judged"), (this_process(), "judged"))
    )
    for found, name in ((open_claim, "open"), (judged, "judged")):
        attempt = Record.claim(tmp_path / name, {"inbox": str(found.folder)}, after=0)
        if name == "judged":
            attempt.note(ended=1.0)
    runs = Runs(tmp_path)
    runs.own.open()
    runs.close(left=False)
    assert {path.name for path in tmp_path.glob("inbox-*")} == {open_claim.folder.name, living.folder.name}


def test_a_run_that_leaves_jobs_keeps_its_inbox(tmp_path: Path) -> None:
    """The next run finds their markers and its claims there."""
    runs = Runs(tmp_path)
    runs.own.enter(tmp_path / "task")
    runs.close(left=True)
    assert folders_of(runs.own) == [tmp_path / "task"]


def test_a_run_that_left_jobs_owns_them_no_more(tmp_path: Path) -> None:
    """Its process may live on (a notebook): the next run there is to resume them, and not to wait for it."""
    runs = Runs(tmp_path)
    runs.own.enter(tmp_path / "task")
    Record.claim(tmp_path / "task", {"inbox": str(runs.own.folder)}, after=0)
    runs.close(left=True)
    (left,) = Runs(tmp_path).others.values()
    assert left.is_abandoned() is True
    assert folders_of(left) == [tmp_path / "task"]


def test_markers_of_adopted_jobs_are_seen_too(tmp_path: Path) -> None:
    """Their inbox is that of the run that submitted them."""
    dead = inbox(tmp_path, dead_owner(), tmp_path / "task")
    attempt = Record.claim(tmp_path / "task", {"inbox": str(dead.folder)}, after=0)
    (dead.folder / attempt.token).write_text("0 outcome\n")
    runs = Runs(tmp_path)
    assert dict(runs.markers()) == {}
    adopted = runs.inbox_of(attempt)
    assert dict(runs.markers()) == {attempt.token: adopted}


def test_claims_are_written_at_once(tmp_path: Path) -> None:
    """What was entered, in one go: the last claim of each folder."""
    mine = Inbox(tmp_path / "inbox-1")
    mine.enter(tmp_path / "a", 1, TOKEN, server=None)
    mine.enter(tmp_path / "b", 1, TOKEN[::-1])
    mine.enter(tmp_path / "a", 1, TOKEN, server="cluster")
    assert Inbox(mine.folder).claims() == ()
    mine.sync()
    found = {claim.folder: claim.facts for claim in Inbox(mine.folder).claims()}
    assert found == {"a": {"server": "cluster"}, "b": {}}
    mine.close()


def test_claims_that_cannot_be_written_are_written_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: whoever is about to submit jobs hears of it, and a claim that came meanwhile counts."""
    mine = Inbox(tmp_path / "inbox-1")
    mine.open()
    mine.enter(tmp_path / "a", 1, TOKEN)
    mine.enter(tmp_path / "b", 1, TOKEN)
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            mine.sync()
    mine.enter(tmp_path / "a", 2, TOKEN)
    mine.sync()
    found = Inbox(mine.folder)
    assert (found.claim_of(tmp_path / "a"), found.claim_of(tmp_path / "b")) == (
        Claim("a", 2, TOKEN, {}),
        Claim("b", 1, TOKEN, {}),
    )
    mine.close()


def test_threads_enter_and_write_claims_at_the_same_time(tmp_path: Path) -> None:
    """None is lost, and none is cut by another one."""
    mine = Inbox(tmp_path / "inbox-1")

    def work(thread: int) -> None:
        for n in range(50):
            mine.enter(tmp_path / f"{thread}-{n}", 1, TOKEN)
            mine.sync() if n % 10 == thread else mine.write_claims()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mine.sync()
    assert len({claim.folder for claim in Inbox(mine.folder).claims()}) == 200
    mine.close()


def test_claims_reach_the_disk_when_jobs_are_left(tmp_path: Path) -> None:
    """Also those that were entered last."""
    mine = Inbox(tmp_path / "inbox-1")
    mine.enter(tmp_path / "a", 1, TOKEN)
    mine.leave()
    assert folders_of(Inbox(mine.folder)) == [tmp_path / "a"]
