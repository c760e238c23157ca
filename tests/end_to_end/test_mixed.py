"""One graph, four batch systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool
from tests.clusters.slurm.cluster import SlurmCluster
from tests.end_to_end.conftest import htcondor, local, lsf, slurm
from tests.end_to_end.project import Project

pytestmark = pytest.mark.cluster


def test_tasks_of_one_graph_run_on_four_batch_systems(
    tmp_path: Path, htcondor_pool: HTCondorPool, slurm_cluster: SlurmCluster
) -> None:
    """Each task where its attribute says, each waiting for tasks on the others; one failure touches its own only."""
    with (
        local(tmp_path / "a") as first,
        lsf(tmp_path / "b") as second,
        htcondor(tmp_path / "c", htcondor_pool) as third,
        slurm(tmp_path / "d", slurm_cluster) as fourth,
    ):
        systems = [first, second, third, fourth]
        env = {name: value for system in systems for name, value in system.env.items()}
        env["PATH"] = os.pathsep.join(system.env["PATH"] for system in systems[1:])
        project = Project(tmp_path / "project", env)
        project.write(
            """
            NAMES = ["local", "lsf", "htcondor", "slurm"]

            class Step(b2luigi.Task):
                n = b2luigi.IntParameter()

                @property
                def batch_system(self):
                    return NAMES[self.n % 4]

                def requires(self):
                    return [Step(n=self.n - 4 + i) for i in range(4)] if self.n >= 4 else []

                def output(self):
                    yield self.add_to_output("step.txt")

                def run(self):
                    if self.n == 13:
                        raise ValueError("thirteen is unlucky")
                    with open(self.get_output_file_name("step.txt"), "w") as f:
                        f.write(str(len(list(self.get_all_input_file_names()))))

            if __name__ == "__main__":
                b2luigi.process([Step(n=n) for n in range(14)], batch=True)
            """
        )
        ended = project.run()
        assert "* 13 ran successfully:" in ended.text, ended.text
        (story,) = ended.stories.values()
        assert "Task Step failed: ValueError: thirteen is unlucky" in story
        used = {record["batch_system"] for record in project.records()}
        assert used == {system.name for system in systems}
        assert [system.live_jobs() for system in systems] == [[], [], [], []]
