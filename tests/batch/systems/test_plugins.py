"""Batch systems of other packages: one that cannot be loaded is disabled, and matters to nobody who does not use it."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from b2luigi.batch import systems
from b2luigi.batch.processes import BatchProcess
from b2luigi.batch.systems import plugins
from b2luigi.batch.systems.lsf import LSF

Install = Callable[..., str]

HOOKS = """
from b2luigi.batch.processes import BatchProcess

class Plugin(BatchProcess):
    def start_job(self): ...
    def get_job_status(self): ...
"""
LANGUAGE = """
from b2luigi.batch.systems.lsf import LSF

class Plugin(LSF):
    name = "another name"
    probe = "theirs"
"""
BROKEN = {
    "import": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax": ("class Plugin(:", "SyntaxError: invalid syntax"),
    "exit": ("import sys\nsys.exit('no cluster here')", "SystemExit: no cluster here"),
    "error": ("1 / 0", "ZeroDivisionError: division by zero"),
    "nothing": ("", "has no attribute 'Plugin'"),
    "instance": (LANGUAGE + "Plugin = Plugin()", "it is not a class, but "),
    "another class": ("class Plugin: ...", "it is a subclass of neither BatchSystem nor BatchProcess"),
    "abstract": ("from b2luigi.batch.system import BatchSystem as Plugin", "it does not define cancel, find"),
    "hooks missing": ("from b2luigi.batch.processes import BatchProcess as Plugin", "get_job_status, start_job"),
    "constructor": (LANGUAGE + "    def __init__(self):\n        raise OSError('no licence')", "OSError: no licence"),
    "probe": (LANGUAGE + "    probe = None", "its probe is not the name of a program, but None"),
    "no name": (
        "from b2luigi.batch.systems.base import BatchSystem\nclass Plugin(BatchSystem): ...",
        "does not define",
    ),
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with this code, and an entry point with this name; returns the name of its module."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(code: str, name: str, line: str = "") -> str:
        module = f"theirs_{abs(hash((tmp_path, code, name, line)))}"
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{systems.GROUP}]\n{line or f'{name} = {module}:Plugin'}\n")
        importlib.invalidate_caches()
        return module

    return install


def none(program: str) -> None:
    """A machine without any of the programs."""


def everything(program: str) -> str:
    """A machine with all of the programs."""
    return program


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", BROKEN)
def test_one_that_cannot_be_loaded_is_disabled(kind: str, install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """One warning names it, its package and the reason; whoever names it gets the reason as an error."""
    code, reason = BROKEN[kind]
    module = install(code, "broken")
    for _ in "again":
        assert [system.name for system in systems.installed(everything)] == ["lsf", "htcondor", "slurm"]
    (text,) = warnings_of(caplog)
    assert text.startswith(f"The batch system 'broken' of the package {module} ({module}:Plugin) cannot be used: ")
    assert reason in text
    assert text.endswith("It is disabled.")
    with pytest.raises(ValueError, match="'broken' of the package"):
        systems.load("broken")


def test_it_is_not_loaded_before_it_is_needed(install: Install) -> None:
    """Importing it may take long: where one of ours is there, or another one is named, nobody waits for it."""
    module = install("raise RuntimeError", "slow")
    next(systems.installed(everything))
    systems.load("slurm")
    assert systems.process_of("local") is None
    assert "slow" in systems.names()
    with pytest.raises(ValueError, match=r"which is none of: .*slow"):
        systems.load("other")
    assert module not in sys.modules
    assert list(systems.installed(none)) == []


def test_a_failed_import_is_not_repeated(install: Install, tmp_path: Path) -> None:
    """It may have taken a minute."""
    folder = tmp_path / "made at import"
    install(f"import os\nos.mkdir({str(folder)!r})\nraise ImportError('after a minute')", "late")
    list(systems.installed(none))
    with pytest.raises(ValueError, match="after a minute"):  # and not that there is such a folder
        systems.load("late")
    assert folder.exists()


@pytest.mark.parametrize("name", ["slurm", "local", "auto", "custom"])
def test_names_of_ours_are_taken(name: str, install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """A package cannot take the place of ours, and is not loaded."""
    module = install("raise RuntimeError", name)
    assert systems.names() == ["lsf", "htcondor", "slurm"]
    assert list(systems.installed(none)) == []
    (text,) = warnings_of(caplog)
    assert f"The batch system {name!r} of the package {module}" in text
    assert "b2luigi itself has a batch system of this name" in text


def test_two_of_one_name(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """The warning names both packages; which one counts does not depend on the order of installation."""
    modules = sorted([install(LANGUAGE, "twin"), install(LANGUAGE + "\n", "twin")])
    assert type(systems.load("twin")).__mro__[1].__module__ == modules[0]
    assert systems.names().count("twin") == 1
    (text,) = warnings_of(caplog)
    assert text.index(modules[1]) < text.index("is disabled") < text.index(modules[0])


def test_broken_metadata_of_one_package(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """Python reads the entry points of all packages at once, and fails for all of them."""
    install(LANGUAGE, "whole")
    broken = install("", "", line="no entry point")
    assert "whole" in systems.names()
    (text,) = warnings_of(caplog)
    assert broken in text
    assert "cannot be read" in text


def test_the_name_is_that_of_the_entry_point(install: Install) -> None:
    """Records name the batch system: a later run has to find it by that name, whatever its class is called."""
    install(LANGUAGE, "theirs")
    system = systems.load("theirs")
    assert isinstance(system, LSF)
    assert system.name == "theirs"
    assert [one.name for one in systems.installed(lambda name: name if name == "theirs" else None)] == ["theirs"]


def test_hooks(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """A subclass of BatchProcess has no language: it is used where it is named, and "auto" does not choose it."""
    install(HOOKS, "hooks")
    found = systems.process_of("hooks")
    assert found is not None
    assert issubclass(found, BatchProcess)
    assert list(systems.installed(none)) == []
    assert warnings_of(caplog) == []
    with pytest.raises(ValueError, match="is a subclass of BatchProcess, and has no language"):
        systems.load("hooks")
    assert systems.process_of("slurm") is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("slrum", " Did you mean 'slurm'?"),
        ("HTCondor", " Did you mean 'htcondor'?"),
        ("condor", " Did you mean 'htcondor'?"),
        ("gbasf2", " The Belle II grid is not supported."),
        ("pbs", ""),
    ],
)
def test_an_unknown_name_has_a_hint(name: str, hint: str) -> None:
    """The nearest name, or what became of it."""
    with pytest.raises(ValueError, match="which is none of: ") as caught:
        systems.load(name)
    assert str(caught.value).endswith(f"local, custom.{hint}")


def test_the_metadata_of_packages_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each task asks for its batch system, and reading takes milliseconds; a new place to look in is looked at."""
    asked: list[str] = []

    def none(group: str) -> tuple[()]:
        asked.append(group)
        return ()

    monkeypatch.setattr(plugins, "entry_points", none)
    monkeypatch.syspath_prepend(tmp_path / "one")
    for _ in range(100):
        systems.names()
    assert asked == [systems.GROUP]
    monkeypatch.syspath_prepend(tmp_path / "two")
    systems.names()
    assert len(asked) == 2
