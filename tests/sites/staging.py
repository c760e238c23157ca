"""What the tests of sites are staged with: login nodes, a script, and steps that must come about first."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.project import Ended, Project, Started
from tests.end_to_end.shims import Shims
from tests.waiting import until

ENOUGH = 10
"""After so many answers of a batch system a job that they lack has counted as gone for long."""
QUIET = 30.0
"""Seconds, ten poll intervals, after which a run that asks nothing is taken to wait on purpose."""
SOON = 60.0
"""Seconds within which a run ends that has nothing to wait for."""

WORK = """
    class Work(b2luigi.Task):
        n = b2luigi.IntParameter()
        {settings}

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            with open(os.path.join({folder!r}, "ran.log"), "a") as log:
                log.write(f"{{self.n}}\\n")
            {work}
            open(self.get_output_file_name("out.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Work(n=n) for n in range({jobs})], batch=True)
"""


class NotStagedError(Exception):
    """The set-up of a test did not come about; nothing is known of what it tests."""


@dataclass(frozen=True)
class LoginNode:
    """A machine from which a user submits jobs."""

    system: str
    env: Mapping[str, str]
    """What the user's shell has, beside that of the tests."""
    shims: Shims
    submits: str
    """The program that submits jobs."""
    queries: Sequence[str]
    """The programs that b2luigi asks."""
    live_jobs: Callable[[], list[str]]
    submit: Callable[[], str]
    """Submits a job that sleeps, and has nothing to do with b2luigi; its id."""
    cancel: Callable[[str], None]

    def project(self, folder: Path, **variables: str) -> Project:
        """A user's project on this machine; `variables`: what the shell has, too."""
        return Project(folder, {**self.env, **variables})

    @property
    def asked(self) -> int:
        """How often b2luigi has asked about jobs."""
        return sum(len(self.shims.calls(program)) for program in self.queries)

    def occupy(self, job_id: str) -> list[str]:
        """Submits jobs until the number of a job elsewhere is given to one of them; the ids of all."""
        wanted, taken = _number(job_id), [self.submit()]
        while _number(taken[-1]) < wanted:
            taken.append(self.submit())
        if _number(taken[-1]) > wanted:
            raise NotStagedError(f"the number {wanted} was given away already; the next is {taken[-1]}")
        return taken


def _number(job_id: str) -> int:
    return int(re.split(r"[^0-9]", job_id)[0])


def write(project: Project, jobs: int = 2, settings: str = "pass", work: str = 'wait_for("finish")') -> None:
    """Writes the script: so many tasks, each of which notes that it runs, and works until it is let go on."""
    project.write(WORK.format(folder=str(project.folder), jobs=jobs, settings=settings, work=work))


def ran(project: Project) -> list[str]:
    """The tasks that began to work, sorted; one that did so twice stands there twice."""
    path = project.folder / "ran.log"
    return sorted(path.read_text().split()) if path.exists() else []


def job_ids(project: Project) -> list[str]:
    """The ids of all jobs, as far as they were noted."""
    return [record["job_id"] for record in project.records() if "job_id" in record]


def staged(condition: Callable[[], object], what: str) -> None:
    """Waits until something is true without which there is nothing to test."""
    try:
        until(condition, what)
    except AssertionError as error:
        raise NotStagedError(str(error)) from None


def killed_while_running(project: Project, jobs: int = 2) -> list[str]:
    """Starts the script, and kills it when its jobs run; their ids."""
    process = project.start()
    staged(lambda: len(ran(project)) == len(job_ids(project)) == jobs, f"{jobs} jobs run")
    process.kill()
    process.wait()
    return job_ids(project)


def watched(process: Started, node: LoginNode, is_wrong: Callable[[], object] = lambda: False) -> None:
    """Waits until the batch system was asked often enough, the run waits or has ended, or something went wrong."""
    asked, since = node.asked, time.monotonic()
    enough = asked + ENOUGH
    while node.asked < enough and process.poll() is None and not is_wrong() and time.monotonic() < since + QUIET:
        if node.asked != asked:
            asked, since = node.asked, time.monotonic()
        time.sleep(0.1)


def end_soon(process: Started) -> Ended:
    """How a run ended that has nothing to wait for; one that waits all the same is killed."""
    begin = time.monotonic()
    try:
        process.wait(SOON)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the script still waits after {SOON:.0f} s:\n{process.printed}") from None
    return Ended(process.returncode, process.printed, time.monotonic() - begin)
