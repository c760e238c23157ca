"""The same where the batch system makes no difference: runs that do not answer, that ended, that go on alone."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.project import Project, end_of
from tests.end_to_end.test_control import MAKE, command, let_go, of, ran, started, states
from tests.waiting import until


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", {})
    made.write(MAKE.replace("class Merge", 'b2luigi.set_setting("batch_system", "local")\n\n    class Merge'))
    return made


def test_a_run_that_does_not_answer(project: Project) -> None:
    """After some seconds the request is withdrawn, and nothing has changed."""
    run = started(project)
    run.send_signal(signal.SIGSTOP)
    try:
        said = command(project, "cancel", "--all", *of(project))
    finally:
        run.send_signal(signal.SIGCONT)
    assert said.rc == 1
    assert "did not answer" in said.text, said.text
    let_go(project, 0, 1, 2)
    assert end_of(run).rc == 0
    assert project.inboxes() == []


def test_what_cannot_be_cancelled_or_tried_again(project: Project) -> None:
    """A sentence for each, and 1: a task that is done, one that nobody knows, a run that is over."""
    run = started(project)
    let_go(project, 0)
    until(lambda: states(project)["0"] == "done", "one is done")
    done = command(project, "cancel", "Make(n=0)", *of(project))
    assert (done.rc, "it is done" in done.text) == (1, True), done.text
    unknown = command(project, "cancel", "Mak", *of(project))
    assert (unknown.rc, "The nearest: Make" in unknown.text) == (1, True), unknown.text
    running = command(project, "retry", "Make(n=1)", *of(project))
    assert (running.rc, "has not failed" in running.text) == (1, True), running.text
    assert command(project, "cancel", *of(project)).rc == 1
    let_go(project, 1, 2)
    end_of(run)
    over = command(project, "cancel", "Make(n=1)", *of(project))
    assert (over.rc, "it is done" in over.text) == (1, True), over.text


def test_a_run_whose_jobs_another_one_has(project: Project) -> None:
    """They are cancelled by the run that follows them: the command names it."""
    first = project.start("--batch")
    until(lambda: len(ran(project)) == 3, "all jobs run")
    first.send_signal(signal.SIGKILL)
    end_of(first)
    time.sleep(1.1)  # folders of runs are named by the second
    second = project.start("--batch")
    second.until_printed("of an earlier run")
    until(lambda: len(list((project.folder / "task_files" / "runs").glob("*/journal.jsonl"))) == 2, "there are two")
    runs = sorted(path.name for path in (project.folder / "task_files" / "runs").iterdir())
    until(lambda: states(project).get("1") in ("queued", "running"), "its journal has the job")
    refused = command(project, "cancel", "Make(n=1)", "--run", runs[0], *of(project))
    assert (refused.rc, f"--run {runs[1]}" in refused.text) == (1, True), refused.text
    assert command(project, "cancel", "Make(n=1)", *of(project)).rc == 0
    let_go(project, 0, 1, 2)
    end_of(second)
    assert states(project) == {"0": "done", "1": "cancelled", "2": "done", "Merge": "waiting"}


def test_a_run_without_a_terminal(project: Project) -> None:
    """It goes on when the command has ended, and can be attached to; Ctrl-C there leaves it alone."""
    script = str(project.folder / "analysis.py")
    begun = command(project, "run", script, "--detach")
    assert begun.rc == 0, begun.text
    found = re.search(r"Process (\d+) on \S+; output: (.+)", begun.text)
    assert found is not None, begun.text
    assert os.path.isfile(found[2])
    assert re.search(r"^log: .*/run\.log$", begun.text, re.MULTILINE), begun.text
    until(lambda: len(ran(project)) == 3, "all jobs run")
    attached = project.start_python("-m", "b2luigi", "attach", "--in", script)
    attached.until_printed("0 of 4 tasks done")
    attached.send_signal(signal.SIGINT)
    assert "The run continues." in end_of(attached).text
    os.kill(int(found[1]), 0)
    again = project.start_python("-m", "b2luigi", "attach", "--in", script)
    again.until_printed("0 of 4 tasks done")
    let_go(project, 0, 1, 2)
    ended = end_of(again)
    assert (ended.rc, "4 of 4 tasks done" in ended.text) == (0, True), ended.text


def test_a_run_that_cannot_begin(project: Project) -> None:
    """Its last words, and its exit code."""
    (project.folder / "analysis.py").write_text("import sys\nsys.exit('no detector today')\n")
    said = command(project, "run", str(project.folder / "analysis.py"), "--detach")
    assert said.rc == 1
    assert "no detector today" in said.text
    assert command(project, "run", "nowhere.py").rc == 1


def test_the_exit_code_of_a_run(project: Project) -> None:
    """Not 0 if a task fails, unlike that of the script alone; a code of the user's own wins."""
    project.touch("bad")
    let_go(project, 0, 1, 2)
    script = str(project.folder / "analysis.py")
    assert project.run("--batch").rc == 0
    assert command(project, "run", script).rc == 1
    assert command(project, "run", script, "--", "--failure-exit-code", "7").rc == 7
    (project.folder / "settings.json").write_text('{"failure_exit_code": 3}')
    assert command(project, "run", script).rc == 3


def test_a_wrapper_task_is_not_done_while_jobs_of_a_killed_run_write(project: Project) -> None:
    """It is complete once what it requires is: outputs that are half written do not count, as for any other task."""
    path = project.folder / "analysis.py"
    path.write_text(path.read_text().replace("b2luigi.process(Merge())", "b2luigi.process(All(), batch=True)"))
    text = (
        "    class All(b2luigi.WrapperTask):\n    def requires(self):\n        return [Make(n=n) for n in range(3)]\n\n"
    )
    path.write_text(path.read_text().replace("if __name__", f"{text.strip()}\n\nif __name__", 1))
    first = project.start()
    until(lambda: len(ran(project)) == 3, "all jobs run")
    first.send_signal(signal.SIGKILL)
    end_of(first)
    second = project.start()
    second.until_printed("of an earlier run")
    let_go(project, 0, 1, 2)
    assert end_of(second).rc == 0
    assert {path.read_text() for path in project.folder.rglob("out.txt")} == {"half of the whole"}
    assert ran(project) == ["0", "1", "2"]
