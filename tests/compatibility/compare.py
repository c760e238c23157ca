"""Runs a script with the published package and with ours, each in a folder of its own, and compares what is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import CACHE, PEER, peer
from tests.standins.lsf import FakeLSF

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PUBLISHED = PEER.partition("==")[2]
"""The release that is compared with unless another one is asked for."""
RECORDED = HERE / "recorded.json"
SCRIPTS = {path.stem: path for path in sorted((HERE / "scripts").glob("*.py"))}
SYSTEMS = ("local", "lsf")
ONLY_ON: Mapping[str, tuple[str, ...]] = {
    "dispatched": ("local",),
    "every_parameter": ("local",),
    "grouped": ("lsf",),
    "grouped_names": (),
    "luigis_batches": ("local",),
    "surroundings": ("lsf",),
}
"""Scripts that the published package does not run on both, or that do not ask for jobs."""
SINCE = {
    "every_parameter": "1.2.9",
    "folder_settings": "1.2.0",
    "grouped": "1.2.9",
    "grouped_names": "1.2.9",
    "inheritance": "1.2.0",
    "luigis_batches": "1.2.9",
    "surroundings": "1.2.9",
    "targets": "1.2.9",
}
"""The first release that runs a script, of those that were tried: 0.10.2, 1.0.1, 1.1.2, 1.2.0, 1.2.9, 1.3.0."""
OLDEST = "0.10.2"
"""The first release that runs all others."""
OWN_TASK_FILE_DIR = "1.2.9"
"""The first release of these with job scripts in task_file_dir, and not beside the results."""
NOT_COMPARED = (
    "attempt-",
    "batch.log",
    "executable_wrapper.sh",
    "failed_jobs.log",
    "inbox",
    "settings.json",
    "stderr",
    "stdout",
)
"""How names begin that are a package's own affair: job scripts, records and what logs say."""
TIME = 300.0
"""Seconds that one run of a script may take; the published package asks LSF seldom."""


@dataclass(frozen=True)
class Side:
    """One of the two packages."""

    name: str
    python: str
    path: str = ""
    """What its interpreter finds first."""

    @property
    def env(self) -> dict[str, str]:
        """The environment of its scripts."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**kept, **({"PYTHONPATH": self.path} if self.path else {}), "PYTHONDONTWRITEBYTECODE": "1"}


def ours() -> Side:
    """This checkout."""
    return Side("ours", sys.executable, str(ROOT))


def published(release: str = PUBLISHED) -> Side:
    """A release from the package index, in a virtual environment that is made once. Raises CalledProcessError."""
    if release == PUBLISHED:
        return Side(release, peer())
    folder = CACHE / f"venv-{release}"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        python = folder / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"b2luigi=={release}"], check=True, timeout=600)
        (folder / "ready").touch()
    return Side(release, str(folder / "bin" / "python"))


def holds_for(script: str, release: str) -> bool:
    """Whether a release runs a script."""
    return number(release) >= number(SINCE.get(script, OLDEST))


def number(release: str) -> tuple[int, ...]:
    """A release as something to compare."""
    return tuple(map(int, release.split(".")))


def tasks(side: Side, scripts: Iterable[str], folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """By script and task id: the paths of the outputs, of the logs and of the job script. Raises RuntimeError."""
    copies = {script: _copied(script, folder / Path(script).stem, {"batch_system": "local"}) for script in scripts}
    ended = _python(side, [str(HERE / "tasks_of_script.py"), *map(str, copies.values())], folder, {})
    if ended.returncode:
        raise RuntimeError(f"{side.name}: {ended.stderr[-1000:]}")
    lines = (line for line in ended.stdout.splitlines() if line.startswith("{"))
    return {script: json.loads(line) for script, line in zip(copies, lines, strict=True)}


def files(side: Side, script: str, system: str, folder: Path) -> dict[str, str]:
    """What a script leaves in its folder on a batch system, by path: the text of each file."""
    asked_often = {} if side.name == "ours" else {"batch_status_cache_ttl": 1}
    path = _copied(script, folder, {"batch_system": system, **asked_often})
    if system == "local":
        _python(side, [path.name], folder, {})
    else:
        with FakeLSF(folder.with_name(f"{folder.name}.lsf"), slots=4) as cluster:
            _python(side, [path.name], folder, cluster.env)
    return {str(found.relative_to(folder)): _text(found) for found in _walk(folder) if found != path}


def differences(script: str, release: str, folder: Path) -> Iterator[str]:
    """One line for each task, path or file that differs, or for a run that failed."""
    sides = (published(release), ours())
    try:
        yield from _compared(script, *(_listed(side, script, release, folder / "tasks" / side.name) for side in sides))
        for system in ONLY_ON.get(script, SYSTEMS):
            where = folder / system
            found = [files(side, script, system, where / side.name) for side in sides]
            yield from _compared(f"{script} on {system}", *found)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        yield f"{script}: {error}"


def record(folder: Path) -> None:
    """Notes the tasks of all scripts as the published package lists them."""
    RECORDED.write_text(json.dumps(tasks(published(), SCRIPTS, folder), indent=1, sort_keys=True) + "\n")


def _listed(side: Side, script: str, release: str, folder: Path) -> dict[str, dict[str, Any]]:
    found = tasks(side, [script], folder)[script]
    for task in found.values() if number(release) < number(OWN_TASK_FILE_DIR) else ():
        task.pop("task_file_dir")
    return found


def _compared(what: str, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[str]:
    if not theirs:
        yield f"{what}: the published package has nothing to compare"
    for key in sorted(theirs.keys() | mine.keys()):
        if theirs.get(key) != mine.get(key):
            yield f"{what}: {key}: {theirs.get(key, 'not there')!r} there, {mine.get(key, 'not there')!r} here"


def _copied(script: str, folder: Path, settings: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    return Path(shutil.copy(SCRIPTS[script], folder))


def _python(side: Side, words: list[str], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [side.python, *words]
    return subprocess.run(command, cwd=folder, env={**side.env, **env}, capture_output=True, text=True, timeout=TIME)


def _walk(folder: Path) -> Iterator[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return (path for path in found if not path.name.startswith(NOT_COMPARED) and not path.name.endswith(".lock"))


def _text(path: Path) -> str:
    return path.read_text(errors="replace")
