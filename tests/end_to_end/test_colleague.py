"""A project that a group shares (umask 002, setgid folders), and a colleague who runs the same script there."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.project import Ended, Project, Started, end_of
from tests.end_to_end.test_restart import is_whole, let_go, parts, ran
from tests.waiting import until

KIM, LEE, GROUP = 12001, 12002, 12000
LOCAL = "b2luigi.set_setting('batch_system', 'local')"

BECOME = """
import os, sys
uid, group, umask, *words = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.umask(int(umask))
os.setuid(int(uid))
os.execv(words[0], words)
"""
ENV = {**os.environ, "HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of other users")


@functools.cache
def interpreter() -> str:
    """A Python that others may run, too, with what b2luigi needs; empty if there is none."""
    for program in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            words = [program, "-c", "import b2luigi"]
            done = subprocess.run(words, user=LEE, group=GROUP, extra_groups=[], env=ENV, check=False, cwd="/")
            if done.returncode == 0:
                return program
    return ""


class Shared(Project):
    """Scripts in it are started by one of two users."""

    def __init__(self, folder: Path, umask: int = 0o002) -> None:
        super().__init__(folder, ENV)
        self.umask = umask

    def start_as(self, uid: int) -> Started:
        """Starts the script as a user of the group."""
        words = (BECOME, str(uid), str(GROUP), str(self.umask), interpreter(), str(self.folder / "analysis.py"))
        return self.start_python("-c", *words)

    def run_as(self, uid: int) -> Ended:
        """Runs the script to its end."""
        return end_of(self.start_as(uid))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others can get to, unlike those of pytest."""
    if not interpreter():
        pytest.skip("other users cannot run this Python")
    folder = Path(tempfile.mkdtemp(prefix="b2luigi-shared-"))
    try:
        folder.chmod(0o755)
        project = folder / "project"
        project.mkdir()
        os.chown(project, KIM, GROUP)
        project.chmod(0o2775)
        yield project
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def shared(folder: Path) -> Shared:
    """Everything in it belongs to the group."""
    return Shared(folder)


def test_a_colleague_waits_for_the_results_of_a_living_run(shared: Shared) -> None:
    """Who runs it, where and since when; nothing is submitted, and both see everything done."""
    shared.write(parts(3, before=LOCAL))
    first = shared.start_as(KIM)
    until(lambda: len(ran(shared)) == 3, "jobs run")
    second = let_go(shared, shared.start_as(LEE), "Another run is working")
    assert end_of(first).rc == 0
    assert "progress looks :)" in second.text, second.text
    assert f"process {first.pid} of user {KIM} on " in second.text, second.text
    assert ", alive, since " in second.text
    assert "Permission denied" not in second.text
    assert ran(shared) == ["0", "1", "2"]
    assert is_whole(shared, 3)


def test_a_colleague_continues_what_a_run_that_ended_has_left(shared: Shared) -> None:
    """What is done stays done, and what failed is submitted by the colleague."""
    shared.write(parts(2, work="self.n == 1 and os.getuid() == 12001 and 1 / 0", before=LOCAL))
    assert "ZeroDivisionError" in shared.run_as(KIM).text
    second = shared.run_as(LEE)
    assert "progress looks :)" in second.text, second.text
    assert ran(shared) == ["0", "1", "1"]
    assert is_whole(shared, 2)


def test_a_colleague_takes_over_what_is_not_at_work_when_a_run_was_killed(shared: Shared) -> None:
    """Its jobs are waited for, and their results count; tasks that it had not started are submitted."""
    shared.write(parts(5, before=LOCAL))
    first = shared.start_as(KIM)
    until(lambda: len(ran(shared)) == 3, "jobs run")
    first.send_signal(signal.SIGKILL)
    end_of(first)
    second = let_go(shared, shared.start_as(LEE), "Another run is working")
    assert "progress looks :)" in second.text, second.text
    assert ran(shared) == ["0", "1", "2", "3", "4"]
    assert is_whole(shared, 5)


def test_where_the_group_may_not_read_the_run_is_named_and_nothing_submitted(folder: Path) -> None:
    """Of a user with another umask, say: who it is, where, since when, and what to do."""
    shared = Shared(folder, umask=0o022)
    shared.write(parts(1, before=LOCAL))
    first = shared.start_as(KIM)
    until(lambda: len(ran(shared)) == 1, "the job runs")
    second = let_go(shared, shared.start_as(LEE), "has a job for the same outputs")
    assert end_of(first).rc == 0
    assert f"user {KIM} has a job for the same outputs, since " in second.text, second.text
    assert f"process {first.pid} of user {KIM} on " in second.text
    assert ran(shared) == ["0"]
    assert is_whole(shared, 1)


def test_results_of_a_colleague_are_complete_where_only_they_can_read_their_records(folder: Path) -> None:
    """Their run is over: there is nothing to wait for, and nothing to submit."""
    shared = Shared(folder, umask=0o022)
    shared.write(parts(1, work="pass", before=LOCAL))
    assert shared.run_as(KIM).rc == 0
    second = shared.run_as(LEE)
    assert "progress looks :)" in second.text, second.text
    assert ran(shared) == ["0"]


def test_a_folder_of_a_colleague_is_named(folder: Path) -> None:
    """Where nothing can be written, whose folder it is, and what to do."""
    shared = Shared(folder, umask=0o022)
    shared.write(parts(1, work="pass", before=LOCAL))
    assert shared.run_as(KIM).rc == 0
    for name in ("n=0/part.txt", "whole.txt"):
        (folder / name).unlink()
    second = shared.run_as(LEE)
    assert f"belongs to user {KIM}" in second.text, second.text
    assert "writable for the group" in second.text
