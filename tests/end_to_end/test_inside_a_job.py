"""Runs that are started within a job: in JupyterHub, in an interactive allocation, in a job that runs for days."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.clusters.slurm.cluster import SlurmCluster
from tests.end_to_end.conftest import System, slurm
from tests.end_to_end.project import Project
from tests.waiting import until

OUTER = "of the outer job"
DESCRIBE_A_JOB = (
    *("SLURM_JOB_ID", "SLURM_MEM_PER_NODE", "SLURM_CPU_BIND", "SLURM_CPU_BIND_TYPE", "SLURM_STEP_RESV_PORTS"),
    *("SLURM_PROCID", "SLURM_EXPORT_ENV", "SLURMD_NODENAME", "SRUN_DEBUG", "SRUN_CPUS_PER_TASK", "SBATCH_MEM_BIND"),
    *("PMI_RANK", "PMI2_FD", "PMIX_RANK", "PMIX_SERVER_URI41", "OMPI_COMM_WORLD_RANK"),
    *("LSB_JOBID", "LSB_JOBINDEX", "LSB_DJOB_NUMPROC", "LSB_MCPU_HOSTS", "LSB_SUB_HOST", "LS_JOBPID"),
    *("_CONDOR_SCRATCH_DIR", "_CONDOR_SLOT", "_CONDOR_JOB_AD", "_CONDOR_ANCESTOR_123", "CUDA_VISIBLE_DEVICES"),
)
CHOICES = ("SBATCH_COMMENT_OF_MINE", "OMP_NUM_THREADS", "OMPI_MCA_btl", "MY_SLURM_MEM", "LSB_SUB_ADDITIONAL")
REPORTS = """
    import json

    class Reports(b2luigi.Task):
        htcondor_settings = {"getenv": "true"}
        def output(self):
            yield self.add_to_output("environment.json")
        def run(self):
            with open(self.get_output_file_name("environment.json"), "w") as f:
                json.dump(dict(os.environ), f)

    if __name__ == "__main__":
        b2luigi.process(Reports(), batch=True)
"""


def test_a_job_inherits_nothing_that_describes_the_job_around_the_run(
    cluster: System, cluster_project: Project
) -> None:
    """All batch systems copy the environment of the run, or do so on request; what the user chose arrives."""
    cluster_project.env.update(dict.fromkeys(DESCRIBE_A_JOB, OUTER))
    cluster_project.env.update(dict.fromkeys(CHOICES, "mine"))
    cluster_project.write(REPORTS)
    ended = cluster_project.run()
    assert "progress looks :)" in ended.text, ended.text
    found = json.loads(cluster_project.read("environment.json"))
    assert [name for name, value in found.items() if value == OUTER] == []
    assert {name: found.get(name) for name in CHOICES} == dict.fromkeys(CHOICES, "mine")


STARTS_STEPS = """
    import subprocess

    class Steps(b2luigi.Task):
        slurm_settings = {"mem-per-cpu": "50"}
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            subprocess.run(["srun", "-n", "1", "true"], check=True)
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process(Steps(), batch=True)
"""


@pytest.mark.cluster
def test_jobs_that_start_steps_from_a_run_in_a_slurm_job(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    """The outer job asks for memory by node, the inner one by processor: srun would refuse both together."""
    with slurm(tmp_path, slurm_cluster) as system:
        project = Project(tmp_path / "project", system.env)
        script = project.write(STARTS_STEPS)
        words = shlex.join([sys.executable, str(script)])
        slurm_cluster.run(
            "sbatch", "--mem=100", f"--chdir={project.folder}", f"--output={project.folder}/outer.txt", "--wrap", words
        )
        until((project.folder / "outer.txt").exists, "the outer job runs")
        until(lambda: "Luigi Execution Summary =====\n\n" in project.read("outer.txt"), "the run has ended")
        assert "progress looks :)" in project.read("outer.txt"), project.read("outer.txt")


LOCAL = """
    class Local(b2luigi.Task):
        batch_system = "local"
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            assert "SLURM_JOB_ID" in os.environ
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Local(n=n) for n in range(3)], batch=True)
"""


@pytest.mark.cluster
def test_local_tasks_use_the_processors_of_the_slurm_job_around_the_run(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    """One task at a time in a job with one processor, whatever the machine has; the tasks are part of that job."""
    with slurm(tmp_path, slurm_cluster) as system:
        project = Project(tmp_path / "project", system.env)
        words = shlex.join([sys.executable, str(project.write(LOCAL))])
        output = f"--output={project.folder}/outer.txt"
        slurm_cluster.run("sbatch", "-n1", "-c1", f"--chdir={project.folder}", output, "--wrap", words)
        until((project.folder / "outer.txt").exists, "the outer job runs")
        until(lambda: "Luigi Execution Summary =====\n\n" in project.read("outer.txt"), "the run has ended")
        assert "Submitted 3 jobs to this machine, at most 1 at a time" in project.read("outer.txt")
        assert "progress looks :)" in project.read("outer.txt")
