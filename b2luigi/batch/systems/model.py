"""The words of the batch part, as frozen data: what is submitted, what was answered, what is known of a job."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class JobStatus(enum.Enum):
    """What a job is doing; the answer of `BatchProcess.get_job_status`."""

    idle = "idle"
    """Waiting in the queue of the batch system (held and suspended jobs, too)."""
    running = "running"
    """Running, or in a state we have no word for: an unknown word never fails a job."""
    successful = "successful"
    """Ended, and ended well."""
    aborted = "aborted"
    """Ended in any other way: exit code, signal, cancelled, lost."""

    @property
    def is_final(self) -> bool:
        """True once the job cannot change any more."""
        return self in (JobStatus.successful, JobStatus.aborted)


class Cause(enum.Enum):
    """Why a job ended without doing its work; the value is the wording of messages."""

    cancelled = "cancelled by a person or a site"
    vanished = "cancelled or lost"
    infrastructure = "lost by the batch system or its node"
    memory = "memory limit"
    time = "time limit"
    refused = "could not be started by the batch system"
    ended = "ended without an outcome"


@dataclass(frozen=True)
class JobSpec:
    """What to submit for one attempt of one task. All paths are absolute paths of the submit host."""

    token: str
    """Names this attempt for good: `[0-9a-f]+`, the only argument of the job script."""
    name: str
    """How the job is called in the batch system (not unique)."""
    script: Path
    folder: Path
    """Task file folder: holds the script, the record and the outcome."""
    log_folder: Path
    inbox: Path
    """Folder in which the job script leaves `<token>` with its exit code when it ends."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `BatchSystem.options` made of the settings of the task."""
    inputs: tuple[Path, ...] = ()
    """Files the job script needs where no folder is shared: the user's script, env_script, settings files."""

    @property
    def report(self) -> Path:
        """File for output of the batch system itself (LSF's report, errors before the logs are open)."""
        return self.folder / "batch.log"

    @property
    def outcome(self) -> Path:
        """File in which the node leaves the outcome of this attempt."""
        return self.folder / f"{self.token}.outcome"

    @property
    def begun(self) -> Path:
        """File that exists while the node is at work on the task."""
        return self.folder / f"{self.token}.begun"


@dataclass(frozen=True)
class JobInfo:
    """What a batch system knows of one job."""

    status: JobStatus
    native: str
    """The batch system's own words for the state, for messages."""
    exit_code: int | None = None
    """0..255; 128 + n for signal n; None when the batch system does not know."""
    cause: Cause | None = None
    token: str | None = None
    """The token of its attempt, or what `BatchSystem.labels` made of it; None where the answer does not contain it."""
    node: str | None = None
    held: bool = False
    """Waits until a person resumes it."""
    lingers: bool = False
    """Final, but it stays in the queue until it is cancelled (HTCondor: held)."""


@dataclass(frozen=True)
class Command:
    """One program call: a list of words, never a line for a shell."""

    argv: tuple[str, ...]
    stdin: str = ""
    env: Mapping[str, str | None] = field(default_factory=dict)
    """Variables to add to the environment; None removes one."""


@dataclass(frozen=True)
class Answer:
    """How a program ended and what it printed. Batch systems use all three for their answers."""

    rc: int
    """Exit code; negative: ended by this signal; 127: the program is not there."""
    stdout: str
    stderr: str
    timed_out: float | None = None
    """Seconds after which the program was stopped, if it was."""
    started: bool = True
    """False: this machine could not start the program, for a reason that may pass (memory, processes, disk)."""

    @property
    def is_complete(self) -> bool:
        """The program ran to its end. Only then its output can be taken at its word."""
        return self.started and self.timed_out is None

    @property
    def words(self) -> str:
        """What it printed, as one text for a message."""
        if self.timed_out is not None:
            return f"no answer within {self.timed_out:g} s"
        printed = "\n".join(part.strip() for part in (self.stderr, self.stdout) if part.strip())
        return printed or f"exit code {self.rc}, no output"


@dataclass(frozen=True)
class Accepted:
    """The batch system accepted the job, and this is its id."""

    job_id: str


@dataclass(frozen=True)
class Refused:
    """The batch system does not accept the job, and never will. The text is its own."""

    text: str


@dataclass(frozen=True)
class TryLater:
    """Not submitted, but the same command may work in a while.

    `tries`: how often it is tried in all, where the text leaves open whether it ever will; None: until it works.
    """

    text: str
    tries: int | None = None


@dataclass(frozen=True)
class TooMany:
    """None of the jobs was submitted, because there were too many for one submission: fewer may go at once."""

    text: str


@dataclass(frozen=True)
class Unsure:
    """The batch system may or may not have accepted the job: search for it by name before doing anything else."""

    text: str


Submitted = Accepted | Refused | TryLater | TooMany | Unsure


class AnswerError(Exception):
    """An answer that says nothing about the jobs: the program failed, or its output cannot be read."""
