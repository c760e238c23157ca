"""How jobs end that do not end as they should: each end is staged for real, in every batch system."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import System
from tests.end_to_end.project import Project

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


SHELL_OF_A_SHOT_JOB = """#!/bin/sh
# Shell of a job script; the first time that it runs one, the job is sent a signal in one of its first steps.
script=$1; shift
if mkdir "$script.shot" 2> /dev/null; then
    sed 's/^cd -- /kill -USR2 $$; &/' "$script" > "$script.edited"
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
