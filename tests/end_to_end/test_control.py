"""Runs that are told what to do from another terminal: `b2luigi run`, `attach`, `cancel`, `retry`."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from tests.end_to_end.conftest import SYSTEMS, System
from tests.end_to_end.project import Ended, Project, Started, end_of
from tests.waiting import until

ON_ALL = [*SYSTEMS[:2], *(pytest.param(name, marks=pytest.mark.matrix) for name in ("htcondor", "slurm"))]
pytestmark = pytest.mark.parametrize("system", ON_ALL, indirect=True)

MAKE = """
    class Make(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            with open(self.get_output_file_name("out.txt"), "w") as f:
                f.write("half of ")
                f.flush()
                with open("ran.log", "a") as log:
                    log.write(f"{self.n}\\n")
                wait_for(f"go-{self.n}")
                if os.path.exists("bad"):
                    raise ValueError("bad weather")
                f.write("the whole")

    class Merge(b2luigi.Task):
        def requires(self):
            return [Make(n=n) for n in range(3)]

        def output(self):
            yield self.add_to_output("merged.txt")

        def run(self):
            open(self.get_output_file_name("merged.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.set_setting("local_slots", 3)
        b2luigi.process(Merge())
"""


def command(project: Project, *words: str) -> Ended:
    """The command b2luigi, in a second process and from another folder."""
    elsewhere = project.folder.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    return end_of(project.start_python("-m", "b2luigi", *words, cwd=elsewhere))


def of(project: Project) -> Sequence[str]:
    return ("--in", str(project.folder / "analysis.py"))


def ran(project: Project) -> list[str]:
    """The tasks that have begun, by their own words."""
    try:
        return sorted((project.folder / "ran.log").read_text().split())
    except OSError:
        return []


def states(project: Project) -> dict[str, str]:
    found = json.loads(command(project, "status", "--json", str(project.folder / "analysis.py")).text)
    return {task["parameters"].get("n", "Merge"): task["state"] for task in found["tasks"]}


def aside(project: Project) -> list[str]:
    return sorted(str(path.relative_to(project.folder)) for path in project.folder.rglob("out.txt.failed-*"))


def started(project: Project) -> Started:
    """A run all jobs of which are at work; on LSF and Slurm they are elements of an array."""
    run = project.start_python("-m", "b2luigi", "run", str(project.folder / "analysis.py"))
    until(lambda: len(ran(project)) == 3 or run.poll() is not None, "all jobs run")
    assert run.poll() is None, run.printed
    return run


def let_go(project: Project, *numbers: int) -> None:
    for number in numbers:
        project.touch(f"go-{number}")


def test_a_task_is_cancelled_in_a_run_that_is_alive(system: System, project: Project) -> None:
    """Its job is gone, what it wrote is set aside, the other elements of its array go on; then it is tried again."""
    project.write(MAKE)
    run = started(project)
    text = command(project, "cancel", "Make(n=1)", *of(project))
    assert (text.rc, "Cancelled 1 task." in text.text) == (0, True), text.text
    until(lambda: aside(project) == ["n=1/out.txt.failed-1"], "its output is set aside")
    until(lambda: system.name == "local" or len(system.live_jobs()) == 2, "its job is gone")
    wanted = {"0": "running", "1": "cancelled", "2": "running", "Merge": "waiting"}
    until(lambda: states(project) == wanted, "that is their state")
    again = command(project, "retry", "--failed", *of(project))
    assert (again.rc, "1 task" in again.text) == (0, True), again.text
    until(lambda: ran(project) == ["0", "1", "1", "2"], "it runs again")
    let_go(project, 0, 1, 2)
    ended = end_of(run)
    assert ended.rc == 0, ended.text
    assert states(project) == dict.fromkeys(("0", "1", "2", "Merge"), "done")
    assert project.inboxes() == []
    assert system.live_jobs() == []


def test_all_is_cancelled(system: System, project: Project) -> None:
    """The run ends by itself, as a failed one; the next one does everything."""
    project.write(MAKE)
    run = started(project)
    assert command(project, "cancel", "--all", *of(project)).rc == 0
    ended = end_of(run)
    assert ended.rc == 1, ended.text
    assert "cancelled by you" in ended.text
    assert set(states(project).values()) == {"cancelled"}
    assert system.live_jobs() == []
    assert len(aside(project)) == 3
    let_go(project, 0, 1, 2)
    assert project.run("--batch").rc == 0
    assert ran(project) == ["0", "0", "1", "1", "2", "2"]
    assert project.inboxes() == []


def test_jobs_of_a_killed_run_are_cancelled_without_it(system: System, project: Project) -> None:
    """One, then all others; the next run does them anew, and what they had written is set aside."""
    project.write(MAKE)
    run = project.start("--batch")
    until(lambda: len(ran(project)) == 3 and _all_noted(project), "all jobs run")
    run.send_signal(signal.SIGKILL)
    end_of(run)
    one = command(project, "cancel", "Make(n=1)", *of(project))
    assert (one.rc, "Cancelled 1 task." in one.text) == (0, True), one.text
    until(lambda: system.name == "local" or len(system.live_jobs()) == 2, "its job is gone")
    rest = command(project, "cancel", "--class", "Make", *of(project))
    assert (rest.rc, "Cancelled 2 tasks." in rest.text) == (0, True), rest.text
    until(lambda: system.live_jobs() == [], "all jobs are gone")
    assert [state for n, state in states(project).items() if n != "Merge"] == ["cancelled"] * 3
    assert len(aside(project)) == 3
    let_go(project, 0, 1, 2)
    again = command(project, "retry", "--failed", "--yes", *of(project))
    assert again.rc == 0, again.text
    assert ran(project) == ["0", "0", "1", "1", "2", "2"]
    assert {path.read_text() for path in project.folder.rglob("out.txt")} == {"half of the whole"}
    assert project.inboxes() == []


def _all_noted(project: Project) -> bool:
    found: list[dict[str, Any]] = project.records()
    return all("job_id" in record for record in found)


NEVER = {
    "lsf": "job_slots = 99",
    "htcondor": 'htcondor_settings = {"requirements": "False"}',
    "slurm": 'slurm_settings = {"begin": "now+1hour"}',
}
"""Attributes of a task whose job stays in the queue. On this machine, that is for want of a free place."""


def test_jobs_that_wait_in_the_queue_are_cancelled(system: System, project: Project) -> None:
    """Those of a run that is alive, and then, as it was killed, those that it has left: none of them ever runs."""
    never = NEVER.get(system.name, "")
    project.write(MAKE.replace("n = b2luigi.IntParameter()", f"n = b2luigi.IntParameter()\n        {never}"))
    if system.name == "local":
        project.write(MAKE.replace('"local_slots", 3', '"local_slots", 1'))
    run = project.start("--batch")
    until(lambda: _queued(project, system), "they are in the queue")
    waits = next(n for n in ("2", "1") if n not in ran(project))  # on this machine, one of them is at work
    one = command(project, "cancel", f"Make(n={waits})", *of(project))
    assert (one.rc, "Cancelled 1 task." in one.text) == (0, True), one.text
    until(lambda: system.name == "local" or len(system.live_jobs()) == 2, "its job is gone")
    run.send_signal(signal.SIGKILL)
    end_of(run)
    rest = command(project, "cancel", "--all", *of(project))
    assert (rest.rc, "Cancelled 2 tasks." in rest.text) == (0, True), rest.text
    until(lambda: system.live_jobs() == [], "all jobs are gone")
    assert waits not in ran(project)


def _queued(project: Project, system: System) -> bool:
    if system.name == "local":
        return len(ran(project)) == 1
    return len(system.live_jobs()) == 3 and _all_noted(project) and len(project.records()) == 3
