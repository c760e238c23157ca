"""How jobs end that do not end as they should: each end is staged for real, in every batch system."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import System, on_one_cluster
from tests.end_to_end.project import Project, Started, end_of
from tests.waiting import until

system = on_one_cluster


ENDS = """
    import ctypes, signal

    class Ends(b2luigi.Task):
        how = b2luigi.Parameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            with open(f"ran-{{self.how}}", "a") as f:
                f.write("x")
            with open(self.get_output_file_name("out.txt"), "w") as f:
                f.write("half of it")
            {how}

    if __name__ == "__main__":
        b2luigi.process([Ends(how=how) for how in {hows}], batch=True)
"""
EARLY = """{"_exit": os._exit, "exit": ctypes.CDLL(None).exit}.get(self.how, lambda code: None)(0)"""


def _left(project: Project, pattern: str) -> list[str]:
    return [str(path.relative_to(project.folder)) for path in project.folder.rglob(pattern)]


def test_an_exit_in_the_middle_of_run_is_not_success(system: System, project: Project) -> None:
    """A library that calls exit(0) leaves a half-written output: the task failed, and the output does not count."""
    project.write(ENDS.format(how=EARLY, hows=["_exit", "exit", "well"]))
    ended = project.run()
    words = "Task Ends failed: the program ended with exit code 0 in the middle of the task"
    assert [f"{words}\n    how = {how}\n" in ended.text for how in ("_exit", "exit")] == [True, True], ended.text
    assert sorted(_left(project, "out.txt")) == ["how=well/out.txt"]
    assert sorted(_left(project, "out.txt.failed-1")) == ["how=_exit/out.txt.failed-1", "how=exit/out.txt.failed-1"]
    assert [_left(project, pattern) for pattern in ("*.begun", "*.outcome")] == [[], []]


def test_a_keyboard_interrupt_of_the_task_itself_is_a_failure(system: System, project: Project) -> None:
    """No signal came: nobody stopped the job, and it is not run again."""
    project.write(ENDS.format(how='raise KeyboardInterrupt("of my own")', hows=["interrupt"]))
    ended = project.run()
    assert "Task Ends failed: KeyboardInterrupt: of my own" in ended.text, ended.text
    assert project.read("ran-interrupt") == "x"


SHELL_OF_A_SHOT_JOB = """#!/bin/sh
# Shell of a job script; the first time that it runs one, the job is sent a signal in one of its first steps.
script=$1; shift
if mkdir "$script.shot" 2> /dev/null; then
    sed 's/^b2luigi_folder=/kill -USR2 $$; &/' "$script" > "$script.edited"
    exec {shell} "$script.edited" "$@"
fi
exec {shell} "$script" "$@"
"""


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_job_that_a_signal_ends_before_its_task_began_runs_again(
    system: System, project: Project, shell: str
) -> None:
    """Preempted or evicted while its script changed to its folder: that is no failure of its own."""
    path = project.folder / "shell"
    path.write_text(SHELL_OF_A_SHOT_JOB.format(shell=shell))
    path.chmod(0o755)
    project.write(ENDS.format(how=f"pass\n        shell = {str(path)!r}", hows=["well"]))
    ended = project.run()
    assert "progress looks :)" in ended.text, ended.text
    assert "was killed by signal 12 (exit code 140) and left no outcome. Retrying (1 of " in ended.text
    assert project.read("ran-well") == "x"


FILLS = """
    class Fills(b2luigi.Task):
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            open(self.get_output_file_name("out.txt"), "w").close()
            with open("ran", "a") as f:
                f.write("x")
            try:
                with open(f"small/filler-{{self.n}}", "wb", buffering=0) as f:
                    while f.write(b"x" * 4096):
                        pass
            except OSError:
                open(f"full-{{self.n}}", "w").close()

    if __name__ == "__main__":
        b2luigi.set_setting("task_file_dir", "small/task_files")
        b2luigi.set_setting("log_dir", "{logs}")
        b2luigi.set_setting("result_grace", {grace})
        b2luigi.process([Fills(n=n) for n in range(2)], batch=True)
"""
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@contextlib.contextmanager
def _small_disk(folder: Path, size: str = "400k") -> Iterator[Path]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _make_room(disk: Path) -> None:
    for filler in disk.glob("filler-*"):
        filler.unlink()


@ROOT
@pytest.mark.parametrize("logs", ["logs", "small/logs"])
def test_a_disk_that_is_full_for_a_while_throws_no_finished_work_away(
    system: System, project: Project, logs: str
) -> None:
    """The disk of the task files is full when the jobs end; ten seconds later there is room again."""
    project.write(FILLS.format(logs=logs, grace=40))
    with _small_disk(project.folder / "small") as disk:
        process = project.start()
        until(lambda: len(_left(project, "full-?")) == 2, "both tasks have done their work")
        time.sleep(10)  # longer than all that is not meant to wait for room
        _make_room(disk)
        ended = end_of(process)
    assert "progress looks :)" in ended.text, ended.text
    assert project.read("ran") == "xx"


@ROOT
def test_a_disk_that_stays_full_throws_no_finished_work_away(system: System, project: Project) -> None:
    """No outcome and no marker can be written in time: the exit code of the job says that its work is done."""
    project.write(FILLS.format(logs="small/logs", grace=4))
    with _small_disk(project.folder / "small"):
        ended = project.run()
    assert "progress looks :)" in ended.text, ended.text
    assert project.read("ran") == "xx"


WRITES = """
    class Writes(b2luigi.Task):
        result_dir = "small/results"
        def output(self):
            yield self.add_to_output("out.txt")
        @b2luigi.on_temporary_files
        def run(self):
            with open("ran", "a") as f:
                f.write("x")
            with open(self.get_output_file_name("out.txt"), "w") as f:
                f.write("all of it")
            {end}

    if __name__ == "__main__":
        b2luigi.set_setting("result_grace", {grace})
        b2luigi.process(Writes(), batch={batch})
"""
AND_WAITS = """open("worked", "w").close(); wait_for("go-on")"""


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def _assert_that_no_work_is_lost(project: Project, batch: bool) -> None:
    project.write(WRITES.format(end="", grace=4, batch=batch))
    with _small_disk(project.folder / "small") as disk:
        _remount(disk, "ro")
        ended = project.run()
    assert f"Read-only file system: '{disk}/results'" in ended.text, ended.text
    assert "run() was not started" in ended.text
    assert not (project.folder / "ran").exists()


def _assert_that_work_survives(project: Project, when: str, batch: bool) -> None:
    project.write(WRITES.format(end=AND_WAITS if when == "after" else "", grace=40, batch=batch))
    with _small_disk(project.folder / "small") as disk:
        if when == "before":
            _remount(disk, "ro")
        process = project.start()
        if when == "after":
            until((project.folder / "worked").exists, "the work is done")
            _remount(disk, "ro")
            project.touch("go-on")
        until(lambda: "retrying for 40 s" in _printed(project, process), "it waits for the disk")
        _remount(disk, "rw")
        ended = end_of(process)
        assert "progress looks :)" in ended.text, ended.text
        assert [path.read_text() for path in disk.rglob("out.txt")] == ["all of it"]
    assert project.read("ran") == "x"


@ROOT
def test_an_output_folder_that_cannot_be_made_ends_a_job_before_its_work(system: System, project: Project) -> None:
    """The disk is read-only and stays so: nothing is computed that could not be kept."""
    _assert_that_no_work_is_lost(project, batch=True)


@ROOT
def test_an_output_folder_that_cannot_be_made_ends_a_task_before_its_work(tmp_path: Path) -> None:
    """The same without jobs."""
    _assert_that_no_work_is_lost(Project(tmp_path / "project", {}), batch=False)


@ROOT
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_disk_that_is_read_only_for_a_while_costs_no_work_of_a_job(
    system: System, project: Project, when: str
) -> None:
    """Before the work its folder is waited for, after the work the last rename."""
    _assert_that_work_survives(project, when, batch=True)


@ROOT
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_disk_that_is_read_only_for_a_while_costs_no_work(tmp_path: Path, when: str) -> None:
    """The same without jobs."""
    _assert_that_work_survives(Project(tmp_path / "project", {}), when, batch=False)


def _printed(project: Project, process: Started) -> str:
    logs = [path.read_text() for path in project.folder.glob("logs/**/std*")]
    return "".join([*logs, process.printed])


LINGERS = """
    import atexit, threading

    class Lingers(b2luigi.Task):
        how = b2luigi.Parameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            open(self.get_output_file_name("out.txt"), "w").close()
            with open(f"pid-{self.how}", "w") as f:
                f.write(str(os.getpid()))
            if self.how == "thread":
                threading.Thread(target=time.sleep, args=(1000,)).start()
            if self.how == "atexit":
                atexit.register(time.sleep, 1000)

    if __name__ == "__main__":
        b2luigi.set_setting("local_slots", 1)
        b2luigi.process([Lingers(how=how) for how in ("thread", "atexit", "not")], batch=True)
"""


def _is_alive(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_program_that_does_not_end_after_its_work_is_stopped(system: System, project: Project) -> None:
    """A thread or an exit handler keeps Python from ending: after result_grace the outcome counts, and the job goes."""
    project.write(LINGERS)
    ended = project.run()
    assert "progress looks :)" in ended.text, ended.text
    pids = [project.read(f"pid-{how}") for how in ("thread", "atexit")]
    until(lambda: not any(map(_is_alive, pids)), "the programs have been stopped")
    until(lambda: not system.live_jobs(), "no job is left")
