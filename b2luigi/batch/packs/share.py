"""Share: what a task brings along that may share its job with others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from b2luigi.core.job_script import JobScript


@dataclass(frozen=True)
class Share:
    """What a task brings along that may share its job with others. Those with equal keys may be in one pack."""

    key: Hashable
    most: int | None
    """Tasks in one job at most; None: as many as fit the time."""
    seconds: float
    """How much work a pack may hold whose size is chosen here."""
    at_once: int
    """How many tasks of the pack run at the same time."""
    family: str
    """The class of the task."""
    script: JobScript
    """The job script of a pack, but for its folder and its members."""
    member: Mapping[str, Any]
    """What the job script of the pack says of this task, as JSON."""
