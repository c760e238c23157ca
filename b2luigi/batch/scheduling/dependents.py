"""Dependents: which tasks require a task, by task id."""

from __future__ import annotations

from collections.abc import Iterable


class Dependents:
    """Which tasks require a task. Nearly always it is one: that takes no set of its own."""

    def __init__(self) -> None:
        self._of: dict[str, str | set[str]] = {}

    def add(self, task_id: str, dependent: str) -> None:
        """`dependent` requires `task_id`."""
        known = self._of.setdefault(task_id, dependent)
        if isinstance(known, set):
            known.add(dependent)
        elif known != dependent:
            self._of[task_id] = {known, dependent}

    def remove(self, task_id: str, dependent: str) -> None:
        """`dependent` no longer requires `task_id`."""
        known = self._of.get(task_id)
        if isinstance(known, set):
            known.discard(dependent)
        elif known == dependent:
            del self._of[task_id]

    def of(self, task_id: str) -> Iterable[str]:
        """All that require this task."""
        known = self._of.get(task_id, ())
        return (known,) if isinstance(known, str) else known
