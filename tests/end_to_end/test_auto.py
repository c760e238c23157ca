"""`batch_system = "auto"` where the programs are installed: with a cluster, without one, with one that is down.

The programs answer what real ones answered (`tests/batch/systems`), or are real.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from b2luigi.batch.queue.detection import PATIENCE
from tests.batch.systems.recorded import recorded
from tests.clusters.htcondor.cluster import install_htcondor
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.shims import Shims
from tests.machine import PATH
from tests.standins.lsf import FakeLSF
from tests.waiting import until

NUMBERS = """
    b2luigi.set_setting("command_timeout", {patience})

    class Number(b2luigi.Task):
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("out.txt")
        def run(self):
            time.sleep({seconds})
            with open("ran.log", "a") as f:
                f.write(f"{{self.n}} ")
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Number(n=n) for n in range(3)], batch=True)
"""
PROGRAMS = {
    "lsf": ("bsub", "bjobs"),
    "htcondor": ("condor_submit", "condor_q"),
    "slurm": ("sbatch", "squeue"),
}
REASONS = {
    "lsf": "Failed in an LSF library call: Unable to open file lsf.conf",
    "htcondor": "Neither the environment variable CONDOR_CONFIG, /etc/condor/, /usr/local/etc/, nor ~condor/ contain a "
    "condor_config source.",
    "slurm": "Could not establish a configuration source",
}
WAITS = "Tasks run as jobs of: {}, which does not answer at the moment; they wait until it does."
DOWN = {"htcondor": "no-schedd", "slurm": "no-controller"}


def a_project(folder: Path, env: Mapping[str, str], seconds: float = 0, patience: float = 60) -> Project:
    project = Project(folder / "project", env)
    project.write(NUMBERS.format(seconds=seconds, patience=patience))
    return project


def programs(folder: Path, system: str, answer: str) -> dict[str, str]:
    """A machine on which the programs of a batch system say what was recorded of them."""
    folder.mkdir()
    for verb, name in zip(("submit", "query"), PROGRAMS[system], strict=True):
        said = recorded(system, f"{verb}-{answer}")
        lines = ["#!/bin/sh", f"echo {name} >> {shlex.quote(str(folder))}/calls.log"]
        lines += [f"printf %s {shlex.quote(said.stderr)} >&2", f"exit {said.rc}", ""]
        (folder / name).write_text("\n".join(lines))
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def assert_ran_here(project: Project, ended_text: str, reason: str) -> None:
    """All of it as jobs of this machine, and one line says why."""
    assert "* 3 ran successfully:" in ended_text, ended_text
    assert {record["batch_system"] for record in project.records()} == {"local"}
    (line,) = [line for line in ended_text.splitlines() if "Tasks run as jobs of" in line]
    assert line.startswith("WARNING: Tasks run as jobs of: this machine (")
    assert line.endswith(f"{reason})")


@pytest.mark.parametrize("system", PROGRAMS)
def test_programs_without_a_cluster(system: str, tmp_path: Path) -> None:
    """One query finds out, one line says why, and the run goes on here; nothing is submitted."""
    project = a_project(tmp_path, programs(tmp_path / "bin", system, "no-configuration"))
    ended = project.run()
    reason = f"{system} is installed, but no cluster is configured: {REASONS[system]}"
    assert_ran_here(project, ended.text, reason)
    assert (tmp_path / "bin" / "calls.log").read_text().split() == [PROGRAMS[system][1]]


@pytest.mark.parametrize("system", DOWN)
def test_a_cluster_that_does_not_answer_is_waited_for(system: str, tmp_path: Path) -> None:
    """An outage at the start of a run: nothing runs on this machine, and Ctrl-C ends the wait."""
    project = a_project(tmp_path, programs(tmp_path / "bin", system, DOWN[system]))
    process = project.start()
    calls = tmp_path / "bin" / "calls.log"
    until(lambda: calls.exists() and calls.read_text().split().count(PROGRAMS[system][0]) >= 2, "it was tried again")
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.rc == 130, ended.text
    assert WAITS.format(system) in ended.text
    assert not (project.folder / "ran.log").exists()


def test_a_cluster_that_comes_back(tmp_path: Path) -> None:
    """The jobs run there as soon as it answers again."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        lsf.fault("mbd_down")
        project = a_project(tmp_path, lsf.env)
        process = project.start()
        until(lambda: lsf.calls("bsub"), "a job was to be submitted")
        assert not (project.folder / "ran.log").exists()
        lsf.clear_faults()
        ended = end_of(process)
        assert "* 3 ran successfully:" in ended.text, ended.text
        assert {record["batch_system"] for record in project.records()} == {"lsf"}
        assert ended.text.count(WAITS.format("lsf")) == 1


def test_the_first_that_answers_is_used(tmp_path: Path) -> None:
    """Programs of LSF without a cluster in front of programs of HTCondor that is down, and of Slurm, which answers."""
    programs(tmp_path / "lsf", "lsf", "no-configuration")
    programs(tmp_path / "htcondor", "htcondor", "no-schedd")
    programs(tmp_path / "slurm", "slurm", "no-controller")
    (tmp_path / "slurm" / "squeue").write_text("#!/bin/sh\n")
    (tmp_path / "slurm" / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: not today' >&2; exit 1\n")
    folders = [str(tmp_path / name) for name in ("lsf", "htcondor", "slurm")]
    ended = a_project(tmp_path, {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}).run()
    assert "Tasks run as jobs of: slurm (lsf is installed, but no cluster is configured: " in ended.text
    assert "sbatch: error: not today" in ended.text
    assert "3 tasks failed" in ended.text
    assert "htcondor" not in ended.text


def test_ctrl_c_ends_the_search(tmp_path: Path) -> None:
    """A program that hangs keeps nobody: the run ends at once, and the program with it."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        shims = Shims(tmp_path / "bin", ("bsub", "bjobs"), lsf.env["PATH"])
        (tmp_path / "bin" / "bjobs").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 100\n")
        project = a_project(tmp_path, {**lsf.env, **shims.env})
        process = project.start()
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), "LSF is asked")
        process.send_signal(signal.SIGINT)
        ended = end_of(process)
        assert ended.rc == 130, ended.text
        assert ended.seconds < PATIENCE
        assert "Traceback" not in ended.text
        assert shims.calls("bsub") == []
        assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_program_that_hangs_is_an_outage(tmp_path: Path) -> None:
    """The question has a time limit, that of all commands at most; the jobs go where the program belongs to."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        shims = Shims(tmp_path / "bin", ("bsub", "bjobs"), lsf.env["PATH"])
        shims.hang("bjobs")
        project = a_project(tmp_path, {**lsf.env, **shims.env}, patience=1)
        ended = project.run()
        assert "* 3 ran successfully:" in ended.text, ended.text
        assert WAITS.format("lsf") in ended.text
        assert "Output: no answer within 1 s" in ended.text
        assert {record["batch_system"] for record in project.records()} == {"lsf"}


def test_a_run_that_is_resumed_asks_once_who_is_there_and_which_jobs_live(tmp_path: Path) -> None:
    """The answer that finds the batch system is its first listing: jobs of the last run are in it."""
    with FakeLSF(tmp_path / "lsf", slots=4) as lsf:
        project = a_project(tmp_path, lsf.env, seconds=300)
        first = project.start()
        until(lambda: sum("job_id" in record for record in project.records()) == 3, "the jobs have ids")
        first.kill()
        end_of(first)
        asked = len(lsf.calls("bjobs"))
        second = project.start()
        try:
            until(lambda: len(lsf.calls("bjobs")) > asked + 1, "LSF was asked for the second time")
            begins = [call["time"] for call in lsf.calls("bjobs")][asked:]
        finally:
            second.send_signal(signal.SIGINT)
            end_of(second)
        # Without the listing, jobs that were attached are asked for a second later; with it after the poll interval.
        assert begins[1] - begins[0] > 2.5
        assert len(lsf.jobs()) == 3


# -- the real programs


@pytest.mark.cluster
def test_the_real_slurm_without_a_cluster(tmp_path: Path) -> None:
    """Debian's packages, and no slurm.conf: the README's example runs."""
    install_slurm()
    if Path("/etc/slurm/slurm.conf").exists() or "SLURM_CONF" in os.environ:
        pytest.skip("this machine belongs to a cluster")
    shutil.copy(Path(__file__).parents[2] / "examples" / "quick_start.py", tmp_path)
    project = Project(
        tmp_path, {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{_with(('sbatch', 'squeue'), tmp_path)}"}
    )
    ended = project.run("--batch", name="quick_start.py")
    assert "* 11 ran successfully:" in ended.text, ended.text
    (line,) = [line for line in ended.text.splitlines() if "Tasks run as jobs of" in line]
    reason = "slurm is installed, but no cluster is configured: Could not establish a configuration source"
    assert line == f"WARNING: Tasks run as jobs of: this machine ({reason})"


@pytest.mark.cluster
def test_the_real_htcondor_without_a_cluster(tmp_path: Path) -> None:
    """The programs, and no configuration for them."""
    if Path("/etc/condor/condor_config").exists() or "CONDOR_CONFIG" in os.environ:
        pytest.skip("this machine belongs to a pool")
    path = f"{install_htcondor() / 'bin'}{os.pathsep}{os.environ['PATH']}"
    project = a_project(tmp_path, {"PATH": path})
    reason = f"htcondor is installed, but no cluster is configured: {REASONS['htcondor']}"
    assert_ran_here(project, project.run().text, reason)


@pytest.mark.cluster
def test_a_real_slurm_that_is_down_is_waited_for(tmp_path: Path) -> None:
    """Its controller is stopped when the run begins, and comes back."""
    install_slurm()
    with SlurmCluster(tmp_path / "slurm") as cluster:
        cluster.stop_controller()
        project = a_project(
            tmp_path, {**cluster.env, "PATH": _with(("sbatch", "squeue", "scancel", "sacct"), tmp_path)}
        )
        process = project.start()
        until(lambda: project.records(), "a job was to be submitted")
        assert not (project.folder / "ran.log").exists()
        cluster.start_controller()
        ended = end_of(process)
        assert "* 3 ran successfully:" in ended.text, ended.text
        assert WAITS.format("slurm") in ended.text
        assert {record["batch_system"] for record in project.records()} == {"slurm"}


def _with(names: tuple[str, ...], folder: Path) -> str:
    """A PATH on which these programs are the only ones of batch systems."""
    (folder / "bin").mkdir()
    for name in names:
        found = shutil.which(name, path=PATH)
        assert found
        (folder / "bin" / name).symlink_to(found)
    return f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
