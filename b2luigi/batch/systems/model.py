"""Data classes of the batch systems: what to submit, commands and their answers, and what is known about jobs."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class JobStatus(enum.Enum):
    """The status of a job, as returned by `BatchProcess.get_job_status`."""

    idle = "idle"
    """Waiting in the queue of the batch system, or held or suspended."""
    running = "running"
    """Running, or in an unknown state: an unknown state never fails a job."""
    successful = "successful"
    """Ended successfully."""
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
    policy = "ended by a policy of the site or of its own settings"
    refused = "could not be started by the batch system"
    ended = "ended without an outcome"


REPORT = "batch.log"
"""Name of the file for output of the batch system itself."""


@dataclass(frozen=True)
class JobSpec:
    """What to submit for one attempt of one task. All paths are absolute paths of the submit host."""

    token: str
    """Unique identifier of this attempt: `[0-9a-f]+`, the only argument of the job script."""
    name: str
    """Name of the job in the batch system (not unique): class of its task, or setting `job_name`, and token."""
    script: Path
    folder: Path
    """Task file folder: contains the script, the record and the outcome."""
    log_folder: Path
    inbox: Path
    """Folder in which the job script, when it ends, creates the file `<token>` with its exit code."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The result of `BatchSystem.options` for the settings of the task."""
    inputs: tuple[Path, ...] = ()
    """Files the job script needs without shared folders: the user's script, env_script, settings files."""
    kin_of_inputs: Callable[[], Iterable[str]] = field(default=tuple, compare=False, repr=False)
    """How the tokens of the jobs begin that make its inputs; called rarely."""
    title: str = field(default="", compare=False)
    """Class and parameters of its task, for people: one word of letters, digits and `.:+@=;()_-`."""

    pack: Path | None = field(default=None, compare=False)
    """Folder of the job that its task shares with others, if it does."""
    is_pack: bool = field(default=False, compare=False)
    """It runs several tasks."""

    @property
    def report(self) -> Path:
        """File for output of the batch system itself (LSF's report, errors before the logs are open)."""
        return (self.pack or self.folder) / REPORT

    @property
    def outcome(self) -> Path:
        """File to which the node writes the outcome of this attempt."""
        return self.folder / f"{self.token}.outcome"

    @property
    def family(self) -> str:
        """The class of its task, or what the setting `job_name` has in its place."""
        return self.name.removesuffix(f"-{self.token}")

    @property
    def full_name(self) -> str:
        """Its name with the parameters of its task, as far as these are known and `job_name` has no other one."""
        if not self.title or self.options.get("job_name"):
            return self.name
        return f"{re.sub(r'[^-.:+@=0-9A-Za-z_]+', '_', self.title).strip('_')}-{self.token}"

    @property
    def begun(self) -> Path:
        """File that exists while the node is at work on the task."""
        return self.folder / f"{self.token}.begun"


@dataclass(frozen=True)
class JobInfo:
    """What a batch system knows about one job."""

    status: JobStatus
    native: str
    """The batch system's own words for the state, for messages."""
    exit_code: int | None = None
    """0..255; 128 + n for signal n; None if the batch system does not know."""
    cause: Cause | None = None
    token: str | None = None
    """The token of its attempt, or its label from `BatchSystem.labels`; None if the answer does not contain it."""
    node: str | None = None
    held: bool = False
    """Waits until a person resumes it."""
    notice: str = ""
    """What a person should know of it although it needs nothing from them; shown once."""
    lingers: bool = False
    """Final, but it stays in the queue until it is cancelled (HTCondor: held)."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """What the job used, if it has ended: `wall` and `cpu` in seconds, `memory` in bytes; what the batch system knows
    of these."""
    alias: str | None = None
    """The same, read from another of its labels (from its name, if `token` is from a comment): either one is proof."""

    def is_called(self, label: str) -> bool:
        """One of its labels proves that it is the job with this label."""
        return label in (self.token, self.alias)

    @property
    def labels(self) -> tuple[str, ...]:
        """All that the answer contains of whose job it is; empty if it contains nothing."""
        return tuple(label for label in (self.token, self.alias) if label is not None)


@dataclass(frozen=True)
class Requested:
    """What a job asks for, as far as that can be known."""

    memory: int | None = None
    """Bytes, on all processors together."""
    time: float | None = None
    """Seconds."""


@dataclass(frozen=True)
class Command:
    """One program call: a list of words, never a line for a shell."""

    argv: tuple[str, ...]
    stdin: str = ""
    env: Mapping[str, str | None] = field(default_factory=dict)
    """Variables to add to the environment; None removes one, or all that begin so if the name ends with `*`."""


@dataclass(frozen=True)
class Answer:
    """How a program ended and what it printed. Batch systems answer by exit code, stdout and stderr."""

    rc: int
    """Exit code; negative: ended by this signal; 127: the program was not found."""
    stdout: str
    stderr: str
    timed_out: float | None = None
    """Seconds after which the program was stopped, if it was."""
    started: bool = True
    """False: this machine could not start the program, for a possibly temporary reason (memory, processes, disk)."""

    @property
    def is_complete(self) -> bool:
        """Whether the program ran to its end. Otherwise its output cannot be trusted."""
        return self.started and self.timed_out is None

    @property
    def words(self) -> str:
        """The output as one text, for a message."""
        if self.timed_out is not None:
            return f"no answer within {self.timed_out:g} s"
        printed = "\n".join(part.strip() for part in (self.stderr, self.stdout) if part.strip())
        return printed or f"exit code {self.rc}, no output"


@dataclass(frozen=True)
class Accepted:
    """The batch system accepted the job, and this is its id."""

    job_id: str
    server: str = ""
    """The batch server that has it, if the answer names one (see `BatchSystem.aim`)."""


@dataclass(frozen=True)
class Refused:
    """The batch system rejected the job permanently. The text is its own."""

    text: str


@dataclass(frozen=True)
class TryLater:
    """Not submitted, but the same command may work later.

    `tries`: total number of attempts, if it is unclear whether the command will ever work; None: retry until it works.
    """

    text: str
    tries: int | None = None


@dataclass(frozen=True)
class TooMany:
    """None of the jobs was submitted, because one submission may not contain that many jobs."""

    text: str


@dataclass(frozen=True)
class Unsure:
    """The batch system may or may not have accepted the job: search for it by name before doing anything else."""

    text: str


Submitted = Accepted | Refused | TryLater | TooMany | Unsure


class AnswerError(Exception):
    """An answer without information about the jobs: the program failed, or its output cannot be parsed."""
