"""What is known of a run, its tasks and their jobs: plain data.

Moments are seconds since the epoch, durations seconds, sizes bytes; None is "not known".
"""

from __future__ import annotations

import enum
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from b2luigi.core.project_words import is_project, typed

FORMAT = 1
"""Of the journal, and of what `status --json` prints."""


class State(str, enum.Enum):
    """Where a task is on its way."""

    waiting = "waiting"
    """For its requirements, or for its turn."""
    submitting = "submitting"
    queued = "queued"
    held = "held"
    """In the queue, until a person does something."""
    running = "running"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"
    """By you, by another person, or by the site."""

    def __str__(self) -> str:
        return self.value


IN_FLIGHT = frozenset({State.submitting, State.queued, State.held, State.running})
"""The states of a task that has a job."""


@dataclass(frozen=True)
class Usage:
    """What a job used."""

    started: float | None = None
    """When the task began on its node, and when it ended, by the clock of the node."""
    ended: float | None = None
    wall: float | None = None
    """Seconds from begin to end, measured on the node."""
    cpu: float | None = None
    """Seconds of CPU of the task and its child processes."""
    memory: int | None = None
    """The most memory it had at once."""
    memory_from: str = ""
    """Who says so: "cgroup" (all of the job), "largest process" (so it may have been more), or "batch system"."""


@dataclass(frozen=True)
class Attempt:
    """One job of a task."""

    number: int
    token: str
    """Names the attempt in the names of its files and of its job."""
    batch_system: str
    job_id: str | None = None
    server: str = ""
    """The batch server that has it, where there are several."""
    node: str | None = None
    submitted: float | None = None
    started: float | None = None
    """When it began to run, and when it ended, by the clock of the submit host as far as can be known."""
    ended: float | None = None
    end: str = ""
    """How it ended: "done", "failed", "pending" (the task requires more), "memory", "time", "left", ...: the page on
    the journal lists them. Empty while it has not."""
    cause: str = ""
    """Why, in the words of the batch system or of the exception."""
    reason: str = ""
    """The same in one sentence."""
    exit_code: int | None = None
    usage: Usage = Usage()
    memory_requested: int | None = None
    time_requested: float | None = None
    held: str = ""
    """Why it is held, if it is."""
    notice: str = ""
    """What the batch system has to say of it: why it does not start, for example."""
    log_dir: str = ""
    resumed: bool = False
    """An earlier run submitted it."""
    clock_offset: float = 0.0
    """Seconds by which the clock of the node is ahead of that of the submit host, where that shows."""


@dataclass(frozen=True)
class Task:
    """One task of a run."""

    task_id: str
    class_name: str
    module: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()
    """What it requires, by task id."""
    external: bool = False
    """Nobody can run it: its outputs are there, or they are not."""
    outputs: Sequence[str] = ()
    """The paths of its outputs, if it is external and they were missing."""
    state: State = State.waiting
    attempts: tuple[Attempt, ...] = ()
    log_dir: str = ""
    reason: str = ""
    """Why it failed, is held, or waits; empty if there is nothing to say."""
    done_before: bool = False
    """It was complete before the run began."""

    @property
    def last(self) -> Attempt | None:
        """Its last job in this run; None if it had none."""
        return self.attempts[-1] if self.attempts else None

    @property
    def batch_system(self) -> str:
        """Where its last job is, or was."""
        return self.last.batch_system if self.last else ""

    @property
    def job_id(self) -> str | None:
        """Of its last job."""
        return self.last.job_id if self.last else None

    @property
    def node(self) -> str | None:
        """Where its last job runs, or ran."""
        return self.last.node if self.last else None

    @property
    def submitted(self) -> float | None:
        """When its last job was."""
        return self.last.submitted if self.last else None

    @property
    def started(self) -> float | None:
        """When its last job began to run."""
        return self.last.started if self.last else None

    @property
    def ended(self) -> float | None:
        """When its last job ended."""
        return self.last.ended if self.last else None

    @property
    def memory(self) -> int | None:
        """Peak of its last job, in bytes."""
        return self.last.usage.memory if self.last else None

    @property
    def memory_requested(self) -> int | None:
        """For its last job, in bytes."""
        return self.last.memory_requested if self.last else None

    @property
    def cpu(self) -> float | None:
        """Seconds of CPU of its last job."""
        return self.last.usage.cpu if self.last else None

    @property
    def wall(self) -> float | None:
        """Seconds for which its last job ran."""
        last = self.last
        if last is None or last.usage.wall is not None or last.started is None or last.ended is None:
            return last.usage.wall if last else None
        return last.ended - last.started

    @property
    def name(self) -> str:
        """Class and parameters, as in `Class(n=3, mode=fast)`."""
        values = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.class_name}({values})"

    def row(self) -> dict[str, Any]:
        """The columns of `b2luigi status --json`, for tables."""
        return {
            "task_id": self.task_id,
            "class": self.class_name,
            "parameters": dict(self.parameters),
            "state": self.state.value,
            "batch_system": self.batch_system,
            "job_id": self.job_id,
            "attempt": self.last.number if self.last else None,
            "attempts": len(self.attempts),
            "node": self.node,
            "submitted": self.submitted,
            "started": self.started,
            "ended": self.ended,
            "memory": self.memory,
            "memory_requested": self.memory_requested,
            "cpu": self.cpu,
            "log_dir": self.log_dir,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Outage:
    """Something that many tasks waited for at once."""

    what: str
    """A sentence that was not true meanwhile: "Jobs can be submitted"."""
    reason: str
    began: float
    ended: float | None = None
    """None: it goes on."""


@dataclass(frozen=True)
class Run:
    """One run of a script that submitted or resumed jobs."""

    id: str
    folder: Path
    """Holds the journal and the log."""
    script: str = ""
    arguments: Sequence[str] = ()
    cwd: str = ""
    """The folder in which it was started."""
    user: str = ""
    host: str = ""
    pid: int | None = None
    started: float = 0.0
    finished: float | None = None
    """None: it runs, or was killed."""
    elapsed: float | None = None
    """Seconds from begin to end, or to the last that is known of it."""
    result: str = ""
    """How it ended: "done", "failed", "interrupted", ..."""
    is_alive: bool = False
    log: str = ""
    """All that luigi and b2luigi logged."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of b2luigi, luigi and python."""
    settings: Sequence[tuple[str, str, str]] = ()
    """Those that were not at their default: name, value as JSON, and where it came from."""
    class_settings: Mapping[str, Sequence[tuple[str, str, str]]] = field(default_factory=dict)
    """The same of settings that a task class has itself, by its name."""
    inbox: str = ""
    """Name of its inbox, beside the folder `runs`."""
    process: Mapping[str, Any] = field(default_factory=dict)
    """Identifies its process for good."""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    """By task id, in the order in which the run met them."""
    outages: Sequence[Outage] = ()
    problems: Sequence[str] = ()
    """What could not be read of its journal, in sentences."""

    @property
    def task_file_dir(self) -> Path:
        """The folder that holds `runs`."""
        return self.folder.parent.parent

    @property
    def is_of_project(self) -> bool:
        """`b2luigi run TASK` has started it, and no script."""
        return is_project(self.script, self.arguments)

    @property
    def command(self) -> list[str]:
        """The words that a person types for such a run."""
        if not self.is_of_project:
            return ["python", os.path.basename(self.script), *self.arguments]
        return typed(self.arguments)

    def counts(self) -> Counter[State]:
        """How many tasks are in which state."""
        return Counter(task.state for task in self.tasks.values())

    def by_class(self) -> dict[str, Counter[State]]:
        """The same for each task class."""
        found: dict[str, Counter[State]] = defaultdict(Counter)
        for task in self.tasks.values():
            found[task.class_name][task.state] += 1
        return dict(found)

    def row(self) -> dict[str, Any]:
        """What `b2luigi status --json` says of the run itself."""
        names = ("id", "script", "user", "host", "pid", "started", "finished", "elapsed", "result", "is_alive", "log")
        facts = {name: getattr(self, name) for name in names}
        counts = {state.value: number for state, number in self.counts().items()}
        arguments, problems = list(self.arguments), list(self.problems)
        return {
            **facts,
            "arguments": arguments,
            "folder": str(self.folder),
            "versions": dict(self.versions),
            "counts": counts,
            "problems": problems,
        }
