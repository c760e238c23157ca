"""Which batch systems there are, and which one this machine submits to."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from b2luigi.batch import systems
from b2luigi.batch.systems.base import BatchSystem

PBS = """
from b2luigi.batch.systems.lsf import LSF


class PBS(LSF):
    name = "pbs"
    probe = "qsub"
"""


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of somebody else, installed for a while, with a language named "pbs"."""
    (tmp_path / "others_pbs.py").write_text(PBS)
    info = tmp_path / "others_pbs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others-pbs\nVersion: 1.0\n")
    points = f"[{systems.GROUP}]\npbs = others_pbs:PBS\nlsf = others_pbs:PBS\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


def on_path(*programs: str) -> Callable[[str], str | None]:
    return lambda name: f"/bin/{name}" if name in programs else None


@pytest.mark.parametrize("name", systems.names())
def test_a_name_loads_its_language(name: str) -> None:
    """The setting `batch_system` and the language call the system alike."""
    system = systems.load(name)
    assert isinstance(system, BatchSystem)
    assert system.name == name


def test_ours_are_there_without_installation() -> None:
    """LSF and HTCondor are known to a checkout, LSF first."""
    assert systems.names()[:2] == ["lsf", "htcondor"]


@pytest.mark.usefixtures("pbs")
def test_others_come_by_entry_point() -> None:
    """A language of somebody else is found by its entry point, after ours, and cannot replace ours."""
    assert systems.names() == ["lsf", "htcondor", "slurm", "pbs"]
    assert systems.load("pbs").name == "pbs"
    assert systems.load("lsf").name == "lsf"


def test_an_unknown_name_lists_the_known() -> None:
    """A misspelt batch system is refused with the setting's name and all there are."""
    with pytest.raises(ValueError, match=r"batch_system is 'htcondr'.*auto, lsf, htcondor.*local, custom"):
        systems.load("htcondr")


@pytest.mark.parametrize(
    ("programs", "found"),
    [
        ((), None),
        (("bsub",), "lsf"),
        (("condor_submit",), "htcondor"),
        (("condor_submit", "bsub"), "lsf"),
        (("qsub",), None),
    ],
)
def test_detection_by_program(programs: tuple[str, ...], found: str | None) -> None:
    """The first system whose program is there is the one of this machine."""
    assert systems.detect(on_path(*programs)) == found


@pytest.mark.usefixtures("pbs")
def test_all_that_are_installed() -> None:
    """In the order in which they are looked for: ours, then those of others."""
    languages = systems.installed(on_path("qsub", "sbatch", "bsub"))
    assert [language.name for language in languages] == ["lsf", "slurm", "pbs"]


@pytest.mark.usefixtures("pbs")
@pytest.mark.parametrize(("programs", "found"), [(("qsub",), "pbs"), (("qsub", "condor_submit"), "htcondor")])
def test_detection_of_others(programs: tuple[str, ...], found: str) -> None:
    """A language of somebody else is detected like ours, after ours."""
    assert systems.detect(on_path(*programs)) == found
