"""Jobs in containers that clear the environment and hide all that is not bound, on each batch system."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import b2luigi
from tests.end_to_end.conftest import SYSTEMS, System, lsf
from tests.end_to_end.project import Project, end_of
from tests.standins.apptainer import put_apptainer, put_image, python_mounts, why_not_real
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(why_not_real()), reason=f"no real container: {why_not_real()}")
SITES = pytest.mark.parametrize(
    "system", [*SYSTEMS[:3], pytest.param("slurm", marks=pytest.mark.matrix)], indirect=True
)

WORK = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()
        job_retries = 1

        def output(self):
            yield self.add_to_output("part.txt")

        def run(self):
            print("part", self.n, "sees", sorted(os.listdir("/")))
            assert os.environ["SETUP"] == "of env.sh in " + os.getcwd(), os.environ
            assert "OF_SUBMIT_HOST" not in os.environ
            if self.n == 1:
                raise ValueError("one is unlucky")
            if self.n == 2:
                os._exit(0)
            if self.n == 3 and self.job_attempt == 1:
                os.kill(os.getpid(), 9)
            with open(self.get_output_file_name("part.txt"), "w") as f:
                f.write(os.environ["WORD"] + b2luigi.get_setting("my_setting"))

    class Whole(b2luigi.Task):
        def output(self):
            yield self.add_to_output("whole.txt")

        def run(self):
            yield [Part(n=0), Part(n=3)]
            with open(self.get_output_file_name("whole.txt"), "w") as f:
                f.write(open(Part(n=3).get_output_file_name("part.txt")).read())

    if __name__ == "__main__":
        b2luigi.process([Whole(), Part(n=1), Part(n=2)], batch=True)
"""

SLEEP = """
    class Sleeper(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            with open(f"pid-{self.n}", "w") as f:
                f.write(str(os.getpid()))
            os.rename(f"pid-{self.n}", f"running-{self.n}")
            time.sleep(1000)

    if __name__ == "__main__":
        b2luigi.process([Sleeper(n=n) for n in range(2)], batch=True)
"""


def settings(project: Project, folder: Path) -> None:
    """A site whose nodes have Apptainer, results elsewhere, and a setup script."""
    given = {
        "apptainer_image": str(put_image(folder / "image.sif")),
        "apptainer_cmd": str(put_apptainer(folder / "programs", "real")),
        "apptainer_mounts": python_mounts(),
        "apptainer_additional_params": "--cleanenv",
        "env_script": "env.sh",
        "env": {"WORD": "it's ", "PYTHONPATH": str(Path(b2luigi.__file__).parents[1])},
        "result_dir": str(folder / "results"),
        "my_setting": "mine",
    }
    (project.folder / "settings.json").write_text(json.dumps(given))
    (project.folder / "env.sh").write_text('export SETUP="of env.sh in $PWD"\n')
    project.env["OF_SUBMIT_HOST"] = "1"


@SITES
def test_the_life_of_jobs_in_containers(system: System, project: Project, tmp_path: Path) -> None:
    """Outcomes, failures, new requirements, exit codes and resubmissions are those of jobs without a container."""
    settings(project, tmp_path)
    project.write(WORK)
    ended = project.run()
    assert "* 3 ran successfully:" in ended.text, ended.text
    assert (tmp_path / "results" / "whole.txt").read_text() == "it's mine"
    assert sorted(task_id[:6] for task_id in ended.stories) == ["Part_1", "Part_2"]
    one, two = (next(story for task_id, story in ended.stories.items() if f"_{n}_" in task_id) for n in (1, 2))
    assert "Task Part failed: ValueError: one is unlucky" in one
    assert "in the middle of the task" in two
    assert "part 0 sees" in project.read("logs/n=0/Part/stdout")
    assert "'home'" not in project.read("logs/n=0/Part/stdout")
    assert [record["end"] for record in project.records() if record["task_id"].startswith("Part_3")][-1] == "DONE"
    left = [path.name for path in project.folder.rglob("*") if path.suffix in (".inside", ".begun", ".outcome")]
    assert (left, system.live_jobs()) == ([], [])


@pytest.mark.parametrize("system", [SYSTEMS[2]], indirect=True)
def test_an_image_that_is_transferred(project: Project, tmp_path: Path) -> None:
    """Script, setup and image are carried to the node, and the container shows the folder they are in."""
    settings(project, tmp_path)
    image = put_image(project.folder / "image.sif")
    given = json.loads(project.read("settings.json"))
    given |= {"apptainer_image": str(image), "transfer_files": [str(image)], "working_dir": "."}
    (project.folder / "settings.json").write_text(json.dumps(given))
    project.write(WORK.replace("[Whole(), Part(n=1), Part(n=2)]", "[Part(n=0), Part(n=1)]"))
    ended = project.run()
    assert (tmp_path / "results" / "n=0" / "part.txt").read_text() == "it's mine", ended.text
    (story,) = ended.stories.values()
    assert "Task Part failed: ValueError: one is unlucky" in story
    assert "part 0 sees" in project.read("logs/n=0/Part/stdout")


def test_a_container_that_is_not_there(tmp_path: Path) -> None:
    """Jobs of this machine are refused before the first, in one sentence; others say what their node lacks."""
    project = Project(tmp_path / "project", {})
    settings(project, tmp_path)
    (tmp_path / "image.sif").rename(tmp_path / "other.sif")
    project.write(WORK)
    ended = project.run()
    last = ended.text.splitlines()[-1]
    assert ended.rc == 1
    assert f"apptainer_image ({project.folder}/settings.json): there is no container image {tmp_path}/image.sif" in last
    assert not (project.folder / "task_files").exists()
    with lsf(tmp_path) as system:
        elsewhere = Project(project.folder, system.env)
        ended = elsewhere.run()
    assert "image.sif on this machine; jobs fail on each node where it is missing" in ended.text
    assert f"while looking for the container {tmp_path}/image.sif (setting apptainer_image), on node" in ended.text


@SITES
def test_jobs_in_containers_are_stopped(system: System, project: Project, tmp_path: Path) -> None:
    """One is cancelled by hand, the other by Ctrl-C; both are reported as such, and nothing works on."""
    settings(project, tmp_path)
    project.write(SLEEP)
    process = project.start()
    pids = [project.folder / f"running-{n}" for n in range(2)]
    until(lambda: all(path.exists() for path in pids), "both work", every=0.1)
    jobs = {record["task_id"]: record["job_id"] for record in project.records()}
    system.cancel_by_hand(next(job_id for task_id, job_id in jobs.items() if task_id.startswith("Sleeper_0")))
    until(lambda: is_gone(pids[0]), "the first has ended", every=0.1)
    process.until_printed("Sleeper(n=0")
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.rc == 130, ended.text
    until(lambda: is_gone(pids[1]), "the second has ended", every=0.1)
    assert system.live_jobs() == []


def is_gone(path: Path) -> bool:
    """Whether the process whose id is in a file has ended."""
    return not Path(f"/proc/{path.read_text()}").exists()
