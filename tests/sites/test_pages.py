"""The settings on the pages of the batch systems: the real programs take them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from b2luigi.batch.systems.htcondor import HTCondor
from b2luigi.batch.systems.slurm import Slurm
from b2luigi.core.known_settings import KNOWN
from tests.batch.systems.recorded import a_job
from tests.clusters.htcondor.cluster import HTCondorPool
from tests.clusters.slurm.cluster import SlurmCluster, install_slurm
from tests.snippets import ROOT, of_page

pytestmark = pytest.mark.matrix

LONG = "PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP"
OPTIONS_OF_PLUGINS = "container-image"


def files_of(page: str) -> list[dict[str, object]]:
    """Each settings.json on a page, with the default of all other settings."""
    found = [snippet for snippet in of_page(ROOT / "docs" / "batch-systems" / page) if snippet.language == "json"]
    defaults = {name: setting.default for name, setting in KNOWN.items()}
    return [{**defaults, **json.loads(snippet.text)} for snippet in found]


def test_condor_submit_takes_the_settings(condor_hosts: tuple[HTCondorPool, HTCondorPool], tmp_path: Path) -> None:
    """It knows each line, and makes a job of it."""
    (tmp_path / "executable_wrapper.sh").write_text("#!/bin/sh\n")
    (tmp_path / "executable_wrapper.sh").chmod(0o755)
    for settings in files_of("htcondor.md"):
        command = HTCondor().submit([a_job("a0", HTCondor().options(settings.__getitem__), folder=str(tmp_path))])
        done = condor_hosts[0].run("condor_submit", "-dry-run", tmp_path / "ads", "-", input=command.stdin)
        assert (done.returncode, done.stderr) == (0, "")
        ad = (tmp_path / "ads").read_text()
        lines = " ".join(HTCondor().options(settings.__getitem__)["lines"])
        assert ("RequestMemory=4096" in ad) is ("request_memory = 4 GB" in lines)
        assert ("MaxRuntime=7200" in ad) is ("+MaxRuntime" in lines)


def test_sbatch_takes_the_settings(tmp_path: Path) -> None:
    """Each option; those of plug-ins aside, which this cluster does not have."""
    install_slurm()
    with SlurmCluster(tmp_path / "slurm", more=LONG) as cluster:
        for settings in files_of("slurm.md"):
            argv = Slurm(environment={}).options(settings.__getitem__)["argv"]
            if OPTIONS_OF_PLUGINS not in " ".join(argv):
                done = cluster.run("sbatch", "--test-only", *argv, input="#!/bin/sh\nhostname\n")
                assert done.returncode == 0, done.stderr
