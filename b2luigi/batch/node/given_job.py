"""GivenJob: what a job script says of the task that this node runs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from b2luigi.core.job_script import read_description


class GivenJob:
    """What a job script says of one task; it is read once. `script`: its path, empty if there is none."""

    def __init__(self, script: str, task_id: str) -> None:
        self._script, self.task_id = script, task_id

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> GivenJob:
        """A task that the job script of a pack describes."""
        job = cls("", str(description["task_id"]))
        vars(job)["description"] = description
        return job

    @functools.cached_property
    def description(self) -> Mapping[str, Any]:
        """Empty without a job script. Raises OSError and ValueError."""
        if not self._script:
            return {}
        description = read_description(Path(self._script))
        # Another id may have been requested by hand, for example through `task_cmd_additional_args`.
        return description if description["task_id"] == self.task_id else {}

    @property
    def call(self) -> int:
        """The number of the call of `process` that the task belongs to."""
        return int(self._for_node("call", 1))

    @property
    def grace(self) -> float:
        """Seconds for which the outcome is tried to be written, and that Python may take to end then."""
        return float(self._for_node("result_grace", 0.0))

    def _for_node(self, name: str, default: Any) -> Any:
        try:
            return self.description.get("worker", {}).get(name, default)
        except (OSError, ValueError):  # reported when the task is rebuilt
            return default
