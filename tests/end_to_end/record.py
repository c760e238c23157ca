"""Record the folders of runs that were killed, for the tests of upgrades:

    git worktree add /tmp/old COMMIT && python -m venv /tmp/old/.venv && /tmp/old/.venv/bin/pip install -e /tmp/old
    python -m tests.end_to_end.record /tmp/old tests/end_to_end/recorded/COMMIT

Each `<batch system>-<case>.json` is the project folder of a user as a run of that commit left it when it was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from b2luigi.batch import systems
from tests.end_to_end.project import Project, end_of
from tests.end_to_end.recordings import SCRIPT, Recording, Submission, emptied
from tests.end_to_end.shims import Shims
from tests.machine import path_without
from tests.standins.lsf import FakeLSF
from tests.waiting import until

FIRST_JOB = 101
"""Job ids that no other number in the files is likely to be."""
SWITCHES = ("analysis.py", "ran.log", "__pycache__", "impatient", "stubborn", "finish", "fail")
"""Files that belong to the recording, not to the run."""


class Recorder:
    """Runs the script with the code of `checkout`, and keeps what is left below `target`."""

    def __init__(self, checkout: Path, target: Path, work: Path) -> None:
        self.checkout, self.target, self.work = checkout, target, work
        probes = [systems.load(name).probe for name in systems.OURS]
        os.environ["PATH"] = path_without(probes, work / "machine")

    def project(self, name: str, env: dict[str, str]) -> Project:
        """A new folder with the script."""
        project = Project(self.work / name, env, str(self.checkout / ".venv" / "bin" / "python"))
        shutil.copy(SCRIPT, project.folder)
        return project

    def keep(self, project: Project, name: str, submissions: list[Submission]) -> None:
        """Keeps the folder as it is now."""
        files = {str(path.relative_to(project.folder)): path for path in project.folder.rglob("*") if path.is_file()}
        texts = {name: path.read_text() for name, path in files.items() if name.partition("/")[0] not in SWITCHES}
        plain = {name: emptied(text, project.folder, self.checkout) for name, text in texts.items()}
        scripts = [Submission(one.argv, emptied(one.stdin, project.folder, self.checkout)) for one in submissions]
        Recording(plain, scripts).write(self.target / f"{name}.json")


@contextlib.contextmanager
def killed_after(project: Project) -> Iterator[int]:
    """A run of the script that is killed in the end; its process id."""
    process = project.start()
    try:
        yield process.pid
    finally:
        process.kill()
        end_of(process)


def submissions_to(lsf: FakeLSF) -> list[Submission]:
    """What LSF accepted."""
    calls = [call["argv"] for call in lsf.calls("bsub")]
    scripts = {job["jobid"]: job["command"] for job in lsf.jobs()}
    return [Submission(argv, text) for argv, text in zip(calls, scripts.values(), strict=True)]


def ran(project: Project) -> list[str]:
    """The parts that have begun to work, sorted."""
    path = project.folder / "ran.log"
    return sorted(path.read_text().split()) if path.exists() else []


def having(project: Project, fact: str) -> int:
    """How many records have a fact."""
    return sum(fact in record for record in project.records())


def running(project: Project, jobs: int) -> bool:
    """Whether so many jobs run, and all their ids are noted."""
    return len(ran(project)) == having(project, "job_id") == jobs


def on_lsf(recorder: Recorder, case: str, story: Callable[[Project, FakeLSF, Shims], None], slots: int) -> None:
    """Records one case with the stand-in of LSF."""
    folder = recorder.work / f"lsf-{case}-cluster"
    with FakeLSF(folder / "lsf", slots=slots, first_jobid=FIRST_JOB, job_terminate_interval_s=0.3) as lsf:
        shims = Shims(folder / "bin", ("bsub", "bjobs", "bkill"), lsf.env["PATH"])
        project = recorder.project(f"lsf-{case}", {**lsf.env, **shims.env})
        story(project, lsf, shims)
        recorder.keep(project, f"lsf-{case}", submissions_to(lsf))


def lsf_running(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """All jobs run, and their ids are noted."""
    with killed_after(project):
        until(lambda: running(project, 3), "jobs run")


def lsf_queued(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """All jobs wait in the queue of LSF."""
    with killed_after(project):
        until(lambda: having(project, "job_id") == 3, "jobs have ids")


def lsf_without_id(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """LSF has taken the jobs, and its answer did not arrive."""
    shims.lose_reply("bsub")
    with killed_after(project):
        until(lambda: len(ran(project)) == 3, "jobs run")
    assert having(project, "job_id") == 0


def lsf_unsent(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """Attempts are claimed, and no job has reached LSF."""
    shims.hang("bsub")
    with killed_after(project):
        until(lambda: shims.calls("bsub") and having(project, "mark") == 3, "bsub is called")
    assert lsf.jobs() == []


def lsf_given_up(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """The job of part 0 took too long, and LSF does not take the request to kill it; the others run."""
    (project.folder / "impatient").touch()
    shims.fail("bkill", "Cannot connect to LSF. Please wait ...")
    with killed_after(project):
        until(lambda: having(project, "given_up"), "a job is given up")
    assert (having(project, "given_up"), having(project, "ended"), len(ran(project))) == (1, 0, 3)


def lsf_ended(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """Two jobs are done, and one failed, while the run was stopped: their markers lie in the inbox."""
    _end_unseen(project, 3)


def lsf_retried(project: Project, lsf: FakeLSF, shims: Shims) -> None:
    """The job of part 0 was killed, and its second attempt runs."""
    with killed_after(project):
        until(lambda: running(project, 3), "jobs run")
        (first,) = [record["job_id"] for record in project.records() if record["task_id"].startswith("Part_0_")]
        lsf.fault("kill_job", ids=first, reason="external")
        until(lambda: running(project, 4), "the second attempt runs")
    assert having(project, "ended") == 1


def watched(recorder: Recorder) -> None:
    """One run at two moments: its jobs run; it has closed the records of those, and is not over yet."""
    with FakeLSF(recorder.work / "lsf-watched-cluster", slots=3, first_jobid=FIRST_JOB) as lsf:
        project = recorder.project("lsf-watched", lsf.env)
        with killed_after(project):
            until(lambda: running(project, 3), "jobs run")
            recorder.keep(project, "lsf-watched-before", submissions_to(lsf))
            lsf.set("slots", 0)
            (project.folder / "finish").touch()
            until(lambda: having(project, "ended") == 3 and having(project, "job_id") == 4, "the last job is queued")
            recorder.keep(project, "lsf-watched-after", submissions_to(lsf))


def locally(recorder: Recorder, case: str, story: Callable[[Project], None]) -> None:
    """Records one case on this machine, and waits for the jobs that it left."""
    project = recorder.project(f"local-{case}", {"PATH": os.environ["PATH"]})
    try:
        story(project)
        recorder.keep(project, f"local-{case}", [])
    finally:
        (project.folder / "finish").touch()
        until(lambda: not _processes_of(project), "no process is left")


def local_running(project: Project) -> None:
    """Two jobs run, and one waits for a slot."""
    with killed_after(project):
        until(lambda: running(project, 2) and len(project.records()) == 3, "jobs run")


def local_given_up(project: Project) -> None:
    """The job of part 0 took too long, and does not stop when it is asked to."""
    for name in ("impatient", "stubborn"):
        (project.folder / name).touch()
    with killed_after(project):
        until(lambda: having(project, "given_up"), "a job is given up")
    assert (having(project, "given_up"), having(project, "ended"), len(ran(project))) == (1, 0, 2)


def local_ended(project: Project) -> None:
    """One job is done, and one failed, while the run was stopped; one waits for a slot."""
    _end_unseen(project, 2)


def _end_unseen(project: Project, jobs: int) -> None:
    (project.folder / "fail").touch()
    with killed_after(project) as pid:
        until(lambda: running(project, jobs), "jobs run")
        os.kill(pid, signal.SIGSTOP)
        (project.folder / "finish").touch()
        until(lambda: len(_markers(project)) == jobs, "all jobs have left their markers")


def _markers(project: Project) -> list[Path]:
    return [path for path in project.folder.rglob("inbox-*/*") if re.fullmatch("[0-9a-f]{16}", path.name)]


def _processes_of(project: Project) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if os.fsencode(project.folder) in path.read_bytes() else []
    return found


ON_LSF: dict[str, tuple[Callable[[Project, FakeLSF, Shims], None], int]] = {
    "running": (lsf_running, 8),
    "queued": (lsf_queued, 0),
    "without-id": (lsf_without_id, 8),
    "unsent": (lsf_unsent, 8),
    "given-up": (lsf_given_up, 8),
    "ended": (lsf_ended, 8),
    "retried": (lsf_retried, 8),
}
LOCALLY: dict[str, Callable[[Project], None]] = {
    "running": local_running,
    "given-up": local_given_up,
    "ended": local_ended,
}


def main() -> None:
    """Records everything."""
    checkout, target = (Path(word).resolve() for word in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="recording-") as work:
        recorder = Recorder(checkout, target, Path(work))
        for case, (story, slots) in ON_LSF.items():
            on_lsf(recorder, case, story, slots)
        watched(recorder)
        for name, tale in LOCALLY.items():
            locally(recorder, name, tale)


if __name__ == "__main__":
    main()
