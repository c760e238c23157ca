"""The script itself runs inside a job: an allocation, JupyterHub, a workflow that starts another one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.clusters.slurm.cluster import SlurmCluster
from tests.end_to_end.project import Project
from tests.sites.staging import LoginNode, NotStagedError, staged

pytestmark = pytest.mark.matrix

SCRIPT = """
    import json, subprocess

    class Step(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            with open(f"environment-{self.n}.json", "w") as file:
                json.dump(dict(os.environ), file)
            done = subprocess.run(["srun", "-n", "1", "hostname"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.set_setting("slurm_settings", {"mem-per-cpu": "100"})
        b2luigi.process([Step(n=n) for n in range(2)], batch=True)
"""
CROWD = """
    class Step(b2luigi.Task):
        n = b2luigi.IntParameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            open(f"at-work-{self.n}", "w").close()
            time.sleep(0.5)
            with open("crowd.log", "a") as log:
                log.write(f"{sum(name.startswith('at-work') for name in os.listdir())}\\n")
            os.unlink(f"at-work-{self.n}")
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.set_setting("batch_system", "local")
        b2luigi.process([Step(n=n) for n in range(4)], batch=True)
"""


def run_inside(cluster: SlurmCluster, project: Project, *options: str) -> str:
    """Runs the script as a job with these options of sbatch; what it printed."""
    printed = project.folder / "printed"
    command = f"{sys.executable} analysis.py; echo the script has ended"
    words = ("sbatch", *options, "-o", printed, "--wrap", command)
    done = cluster.run(*words, cwd=str(project.folder))
    if done.returncode:
        raise NotStagedError(done.stderr)
    staged(lambda: printed.exists() and "the script has ended" in printed.read_text(), "the script has ended")
    return printed.read_text()


@pytest.mark.parametrize("memory", ["--mem=1000", "--mem-per-cpu=50"])
def test_what_describes_the_outer_job_does_not_reach_the_inner_ones(
    slurm: LoginNode, slurm_clusters: tuple[SlurmCluster, SlurmCluster], tmp_path: Path, memory: str
) -> None:
    """The script runs in a job with memory of its own, and tasks, which ask for other memory, start srun."""
    project = slurm.project(tmp_path / "project")
    project.write(SCRIPT)
    printed = run_inside(slurm_clusters[0], project, memory, "-n", "4", "-c", "2")
    assert "* 2 ran successfully:" in printed, printed
    for n in range(2):
        environment = json.loads(project.read(f"environment-{n}.json"))
        assert "SLURM_MEM_PER_NODE" not in environment
        assert environment["SLURM_MEM_PER_CPU"] == "100"
        assert environment.get("SLURM_NTASKS", "1") == "1"
        assert environment.get("SLURM_CPUS_PER_TASK", "1") == "1"


def test_local_jobs_in_an_allocation_use_no_more_than_it_has(
    slurm: LoginNode, slurm_clusters: tuple[SlurmCluster, SlurmCluster], tmp_path: Path
) -> None:
    """batch_system = "local" in a job of one processor, on a machine that has more: one task at a time."""
    project = slurm.project(tmp_path / "project")
    project.write(CROWD)
    printed = run_inside(slurm_clusters[0], project, "-n", "1", "-c", "1")
    assert "* 4 ran successfully:" in printed, printed
    assert project.read("crowd.log").split() == ["1"] * 4
