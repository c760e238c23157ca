"""Ctrl-C at each stage of a script, from the call of `process` on: exit code 130, one sentence, no traceback.

The script stops at one moment and leaves a file that says so. Then it gets real signals, and so does all that it has
forked, as from a terminal.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import textwrap
import time
from pathlib import Path

import pytest

from tests.end_to_end.project import Ended, Project, Started, end_of
from tests.standins.slow_disk import slow_disk
from tests.waiting import until

RESUME = "Interrupted. Run the script again to resume; complete tasks are not repeated."
STOPPED = "Interrupted."
SCRIPT = """
    import contextlib, importlib.abc

    def stop(moment):
        if moment in os.environ["STOP_AT"].split(";"):
            open(f"at {moment}", "w").close()
            wait_for("go")

    class StopAtImport(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            stop(f"import {name}")

    class Work(b2luigi.Task):
        n = b2luigi.IntParameter()

        def complete(self):
            stop("complete")
            return super().complete()

        def output(self):
            yield self.add_to_output("out.txt")

        def dry_run(self):
            stop("dry_run")

        def remove_output(self):
            stop("remove_output")

        def run(self):
            try:
                stop("run")
            finally:
                stop("cleanup")
            stop("second run") if self.n else None
            open(self.get_output_file_name("out.txt"), "w").close()

    def tasks():
        stop("tasks")
        for n in range(2):
            yield Work(n=n)

    if __name__ == "__main__":
        if not any("--batch-runner" in word for word in sys.argv):
            os.setpgrp()
            sys.meta_path.insert(0, StopAtImport())
        stop("")
        process = b2luigi.process
        open("called", "w").close()
        process(tasks(), **eval(os.environ["ARGUMENTS"]))
"""
RUNS = {
    "{}": ("import b2luigi.cli.summary", "tasks", "complete", "run"),
    "{'workers': 2}": ("complete", "run"),
    "{'test': True}": ("complete", "run"),
    "{'batch': True}": (
        *("import b2luigi.batch.workers", "import b2luigi.batch.workers.worker", "import b2luigi.cli.summary"),
        *("tasks", "complete", "run", "second run"),
    ),
}
LISTINGS = {
    "{'show_output': True}": ("import b2luigi.cli.modes",),
    "{'dry_run': True}": ("import b2luigi.cli.modes", "complete", "dry_run"),
    "{'remove': ['Work'], 'auto_confirm': True}": ("import b2luigi.cli.removal", "remove_output"),
}
MOMENTS = [
    pytest.param(arguments, moment, sentence, id=f"{arguments} {moment}")
    for modes, sentence in ((RUNS, RESUME), (LISTINGS, STOPPED))
    for arguments, moments in modes.items()
    for moment in moments
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", {})
    project.write(SCRIPT)
    return project


def start(project: Project, arguments: str, *moments: str) -> Started:
    """Starts the script, which will stop at these moments."""
    project.env.update(ARGUMENTS=arguments, STOP_AT=";".join(moments))
    return project.start()


def until_at(project: Project, process: Started, moment: str) -> None:
    """Waits until the script, or something it has started, is at this moment."""
    there = project.folder / f"at {moment}"
    until(lambda: there.exists() or process.poll() is not None, f"the script is at {moment!r}")
    assert there.exists(), process.printed


def assert_ended_well(ended: Ended, sentence: str) -> None:
    # Python gives its handlers back right before it ends: a shell calls that death by another Ctrl-C 130, too.
    assert ended.rc in (130, -signal.SIGINT), ended.text
    assert ended.text.count("Interrupted") == 1, ended.text
    assert ended.text.splitlines().count(sentence) == 1, ended.text
    for words in ("Traceback", "Exception ignored", "KeyboardInterrupt", "Process "):
        assert words not in ended.text, ended.text


@pytest.mark.parametrize(("arguments", "moment", "sentence"), MOMENTS)
def test_ctrl_c_at_each_moment(project: Project, arguments: str, moment: str, sentence: str) -> None:
    """While b2luigi imports its own modules, while tasks are scheduled and run, and while outputs are listed."""
    process = start(project, arguments, moment)
    until_at(project, process, moment)
    os.killpg(process.pid, signal.SIGINT)
    if moment.startswith("import"):  # a module is imported to its end
        project.touch("go")
    assert_ended_well(end_of(process), sentence)


@pytest.mark.parametrize("arguments", ["{}", "{'batch': True}"])
def test_a_second_ctrl_c_does_not_wait_for_an_import(project: Project, arguments: str) -> None:
    """A file system that hangs does not keep the user."""
    moment = "import b2luigi.batch.workers" if "batch" in arguments else "import b2luigi.cli.summary"
    process = start(project, arguments, moment)
    until_at(project, process, moment)
    interrupt_until_it_ends(process)
    assert_ended_well(end_of(process), RESUME)


def test_a_second_ctrl_c_does_not_wait_for_a_task(project: Project) -> None:
    """A `finally` of a task that hangs does not keep the user, either."""
    process = start(project, "{}", "run", "cleanup")
    until_at(project, process, "run")
    os.killpg(process.pid, signal.SIGINT)
    until_at(project, process, "cleanup")
    os.killpg(process.pid, signal.SIGINT)
    assert_ended_well(end_of(process), RESUME)


def test_ctrl_c_while_tasks_are_scheduled_in_parallel(project: Project) -> None:
    """luigi waits for its pool of processes, of which the first Ctrl-C ended some; another one ends that wait."""
    process = start(project, "{'workers': 2, 'parallel_scheduling': True}", "complete")
    until_at(project, process, "complete")
    interrupt_until_it_ends(process, every=0.5)
    assert_ended_well(end_of(process), RESUME)


def test_a_second_ctrl_c_does_not_wait_for_jobs(project: Project) -> None:
    """Jobs that do not end at once are named, and the sentence is the last that the user reads."""
    (project.folder / "analysis.py").write_text(
        SETTLED.format(script=(project.folder / "analysis.py").read_text().replace('stop("run")', "settle()", 1))
    )
    process = start(project, "{'batch': True}", "settled")
    until_at(project, process, "settled")
    os.killpg(process.pid, signal.SIGINT)
    process.until_printed("Cancelling")
    os.killpg(process.pid, signal.SIGINT)
    ended = end_of(process)
    assert_ended_well(ended, RESUME)
    assert ended.text.splitlines()[-1] == RESUME
    assert "Could not confirm that this job was cancelled" in ended.text
    project.touch("go")
    pids = [int(path.name.removeprefix("pid-")) for path in project.folder.glob("pid-*")]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the jobs have ended")


SETTLED = """
def settle():
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(f"pid-{{os.getpid()}}", "w").close()
    stop("settled")

{script}
"""


@pytest.mark.parametrize("arguments", ["{}", "{'workers': 2}", "{'batch': True}"])
def test_ctrl_c_again_and_again_from_any_moment_on(project: Project, arguments: str) -> None:
    """A user who does not let go of the keys."""
    process = start(project, arguments, "run")
    until(lambda: (project.folder / "called").exists(), "process is called")
    time.sleep(random.uniform(0, 1))
    interrupt_until_it_ends(process)
    assert_ended_well(end_of(process), RESUME)


def interrupt_until_it_ends(process: Started, every: float = 0.01) -> None:
    """Ctrl-C, as often as it takes; seconds between two of them."""
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(every)


ON_A_SLOW_DISK = """
    class Work(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            wait_for("go")

    if __name__ == "__main__":
        b2luigi.process([Work(n=n) for n in range(100)], batch=True, workers=100)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_while_the_files_of_jobs_are_written_on_a_slow_disk(tmp_path: Path) -> None:
    """Threads write the claims of many tasks at that moment: none stays open, and no job is left."""
    project = Project(tmp_path / "project", {"PATH": os.environ["PATH"]})
    project.write("b2luigi.set_setting('batch_system', 'local')\n" + textwrap.dedent(ON_A_SLOW_DISK))
    project.env.update(slow_disk(tmp_path, 30, below=project.folder))
    process = project.start()
    records = project.folder / "task_files"
    until(lambda: len(list(records.glob("n=*/*/attempt-1.json"))) > 10, "some are claimed")
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.rc == 130, ended.text
    assert len(project.records()) > 10
    assert all("ended" in record for record in project.records())
    assert project.inboxes() == []
