"""Options of a batch system by another spelling: what they mean counts, not how they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters.htcondor.cluster import HTCondorPool
from tests.sites.conftest import condor_node
from tests.sites.staging import LoginNode, end_soon, ran, write

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize(
    "option",
    [
        '"arra": "0-3"',
        '"ARRAY": "0-3"',
        '"wra": "touch intruder"',
        '"--wrap": "touch intruder"',
        '"help": True',
        '"version": True',
        '"usage": True',
        '"test-onl": True',
        '"test_only": True',
        '"par": True',
    ],
)
def test_an_option_of_sbatch_that_would_break_the_submission_is_refused_by_name(
    slurm: LoginNode, tmp_path: Path, option: str
) -> None:
    """Prefixes, case, underscores: refused before anything is submitted, and the message names the key."""
    project = slurm.project(tmp_path / "project")
    write(project, jobs=1, settings=f"slurm_settings = {{{option}}}", work="pass")
    ended = end_soon(project.start())
    key = option.partition(":")[0].strip('"')
    assert ended.rc == 1
    assert key in ended.text
    assert "slurm_settings" in ended.text
    assert ran(project) == []
    assert slurm.shims.calls("sbatch") == []
    assert not (project.folder / "intruder").exists()


@pytest.mark.parametrize("option", ['"comm": "x"', '"job-na": "x"'])
def test_an_option_of_sbatch_that_hides_our_label_changes_nothing(
    slurm: LoginNode, tmp_path: Path, option: str
) -> None:
    """Either refused by name, or taken without harm."""
    project = slurm.project(tmp_path / "project")
    write(project, jobs=2, settings=f"slurm_settings = {{{option}}}", work="time.sleep(1)")
    ended = end_soon(project.start())
    key = option.partition(":")[0].strip('"')
    assert "* 2 ran successfully:" in ended.text or (ended.rc == 1 and key in ended.text), ended.text
    assert ran(project) in ([], ["0", "1"])


@pytest.mark.parametrize(
    "option",
    [
        '"+Cmd": "\\"/bin/true\\""',
        '"MY.Cmd": "\\"/bin/true\\""',
        '"my.cmd": "\\"/bin/true\\""',
        '"+Args": "\\"x\\""',
        '"noop_job": "true"',
        '"Executable": "/bin/true"',
        '"ARGUMENTS": "x"',
    ],
)
def test_a_line_of_a_submit_description_that_would_replace_the_job_is_refused_by_name(
    condor_hosts: tuple[HTCondorPool, HTCondorPool], tmp_path: Path, option: str
) -> None:
    """`+Cmd`, `MY.Cmd`, `noop_job`: the job would do something else; the message names the key."""
    with condor_node(tmp_path / "bin", condor_hosts[0]) as node:
        project = node.project(tmp_path / "project")
        write(project, jobs=1, settings=f"htcondor_settings = {{{option}}}", work="pass")
        ended = end_soon(project.start())
        key = option.partition(":")[0].strip('"')
        assert ended.rc == 1
        assert key in ended.text
        assert "htcondor_settings" in ended.text
        assert node.shims.calls("condor_submit") == []
        assert ran(project) == []
