"""Folders of runs that older versions left when they were killed, as `record.py` kept them, and how they live again."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.end_to_end.project import Project

FOLDER = Path(__file__).with_name("recorded")
SCRIPT = FOLDER / "analysis.py"
COMMITS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
OWNER, SCRIPT_NAME, REPORT = "run.json", "executable_wrapper.sh", "batch.log"
"""Names of files that all versions so far share."""


@dataclass(frozen=True)
class Submission:
    """What bsub was given."""

    argv: Sequence[str]
    stdin: str


@dataclass(frozen=True)
class Recording:
    """The files of one project; words like `@PROJECT@` stand for what differs from machine to machine."""

    files: Mapping[str, str]
    submissions: Sequence[Submission] = field(default_factory=list)

    @classmethod
    def read(cls, commit: str, name: str) -> Recording:
        """The recording of one case."""
        found = json.loads((FOLDER / commit / f"{name}.json").read_text())
        files = {path: "\n".join(lines) for path, lines in found["files"].items()}
        return cls(files, [Submission(one["argv"], "\n".join(one["stdin"])) for one in found["submissions"]])

    def write(self, path: Path) -> None:
        """Keeps it: texts as lists of lines, so that people can read them."""
        kept = {
            "files": {name: text.split("\n") for name, text in sorted(self.files.items())},
            "submissions": [{"argv": list(one.argv), "stdin": one.stdin.split("\n")} for one in self.submissions],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, indent=1) + "\n")

    def records(self) -> dict[str, dict[str, Any]]:
        """The records of attempts, by path."""
        return {
            path: json.loads(text)
            for path, text in self.files.items()
            if re.fullmatch(r"attempt-\d+\.json", path.rpartition("/")[2])
        }

    def before(self, *facts: str) -> Recording:
        """The same folder before these facts were noted in its records."""
        earlier = {
            path: json.dumps({key: value for key, value in record.items() if key not in facts}, indent=1) + "\n"
            for path, record in self.records().items()
        }
        return Recording({**self.files, **earlier}, self.submissions)

    def only_records(self) -> Recording:
        """Its records alone: what may be written again while jobs run, which have all other files open."""
        return Recording({path: self.files[path] for path in self.records()}, self.submissions)

    def lay_out(self, project: Project, owner: Mapping[str, Any], pids: Mapping[str, int] | None = None) -> None:
        """Makes it the folder of a project. `owner`: process of its run; `pids`: of local jobs, by token."""
        shutil.copy(SCRIPT, project.folder)
        for name, text in self.files.items():
            path = project.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(owner) if path.name == OWNER else filled(text, project, pids or {}))
            path.chmod(0o700 if path.suffix == ".sh" else 0o600)

    def submit_again(self, project: Project) -> None:
        """Gives LSF the jobs that the recorded run has given it."""
        for one in self.submissions:
            subprocess.run(
                ["bsub", *one.argv],
                input=filled(one.stdin, project, {}),
                text=True,
                cwd=project.folder,
                env=project.env,
                check=True,
                capture_output=True,
            )

    def start_again(self, project: Project) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
        """Starts the local jobs that ran, as the recorded run has started them; tokens and processes."""
        for path, record in self.records().items():
            folder = (project.folder / path).parent
            if "job_id" in record:
                with open(folder / REPORT, "wb") as report:
                    process = subprocess.Popen(
                        [folder / SCRIPT_NAME, record["token"]],
                        cwd=project.folder,
                        stdin=subprocess.DEVNULL,
                        stdout=report,
                        stderr=report,
                        start_new_session=True,
                    )
                yield record["token"], process


def filled(text: str, project: Project, pids: Mapping[str, int]) -> str:
    """The text as it would be on this machine, in the folder of a project."""
    text = text.replace("@PROJECT@", str(project.folder)).replace("@PYTHON@", sys.executable)
    text = text.replace("@HOST@", platform.node())
    return re.sub(r"@PID (\w+)@", lambda found: str(pids.get(found[1]) or an_ended_process()), text)


def emptied(text: str, folder: Path, checkout: Path) -> str:
    """The opposite of `filled`: what differs from machine to machine becomes a word."""
    places = {folder: "@PROJECT@", checkout / ".venv" / "bin" / "python": "@PYTHON@", checkout: "@CHECKOUT@"}
    for place, word in places.items():
        text = text.replace(str(place), word)
    host = re.escape(json.dumps(platform.node()))
    text = re.sub(rf'("(?:submit_host|host|node)": ){host}', r'\1"@HOST@"', text)
    pid = r'("token": "(\w+)".*"batch_system": "local".*"job_id": )"\d+"'
    return re.sub(pid, r'\1"@PID \2@"', text, flags=re.DOTALL)


def an_ended_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def a_dead_run() -> dict[str, Any]:
    """The owner of an inbox: a process of this machine that has ended."""
    return {"host": platform.node(), "boot": _boot(), "pid": an_ended_process(), "start": 1}


def a_run_before_the_last_boot() -> dict[str, Any]:
    """The owner of an inbox: a process from before this machine was started; its number is somebody else's now."""
    return {**a_living_run(os.getpid()), "boot": "00000000-0000-0000-0000-000000000000"}


def a_living_run(pid: int) -> dict[str, Any]:
    """The owner of an inbox: a process of this machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return {"host": platform.node(), "boot": _boot(), "pid": pid, "start": int(fields[19])}


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


Owner = Callable[[], dict[str, Any]]
