"""Somebody sets the clock of the submit host while jobs run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import System, local, on_one_cluster
from tests.end_to_end.project import Ended, Project, end_of
from tests.waiting import until

system = on_one_cluster


SCRIPT = """
if "--batch-runner" not in sys.argv:
    set_clock = time.time
    time.time = lambda: set_clock() + (JUMP if os.path.exists("jumped") else 0)
class Work(b2luigi.Task):
    n = b2luigi.IntParameter()
    worker_timeout = 120
    def output(self):
        yield self.add_to_output("out.txt")
    def run(self):
        open(f"started-{self.n}", "w").close()
        wait_for("go")
        with open(self.get_output_file_name("out.txt"), "w") as f:
            f.write("x")
class After(Work):
    def requires(self):
        return [Work(n=n) for n in (1, 2)]
    def output(self):
        yield self.add_to_output("after.txt")
    def run(self):
        with open(self.get_output_file_name("after.txt"), "w") as f:
            f.write("x")
b2luigi.process(After(n=3), batch=BATCH, workers=4)
"""
LOOKS = """
import luigi.worker
purge = luigi.worker.Worker._purge_children
def looking(worker):
    if os.path.exists("jumped"):
        open("looked", "a").write("x")
    return purge(worker)
luigi.worker.Worker._purge_children = looking
"""


def run_with_a_jump(project: Project, jump: int, batch: bool = True) -> Ended:
    """Two jobs run while the clock is set, and end after luigi has looked for jobs that are late."""
    project.write(LOOKS + SCRIPT.replace("JUMP", str(jump)).replace("BATCH", str(batch)))
    script = project.start()
    started = [project.folder / f"started-{n}" for n in (1, 2)]
    until(lambda: all(path.exists() for path in started) or script.poll() is not None, "both jobs run")
    project.touch("jumped")
    looked = project.folder / "looked"
    until(lambda: (looked.exists() and looked.stat().st_size >= 4) or script.poll() is not None, "luigi looks at them")
    project.touch("go")
    return end_of(script)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_jobs_go_on_when_the_clock_is_set(system: System, project: Project, jump: int) -> None:
    """An hour more is not an hour of work: no job is stopped, no task is lost, and the run comes to its end."""
    ended = run_with_a_jump(project, jump)
    assert ended.rc == 0, ended.text
    assert "3 ran successfully" in ended.text, ended.text


def test_tasks_without_jobs_go_on_when_the_clock_is_set(tmp_path: Path) -> None:
    """The processes of luigi's own worker are not stopped either."""
    with local(tmp_path) as here:
        project = Project(tmp_path / "project", here.env)
        ended = run_with_a_jump(project, 3600, batch=False)
    assert "timed out" not in ended.text
    assert (project.folder / "n=1/out.txt").exists(), ended.text
