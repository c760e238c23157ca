"""An address of b2luigi 1.x: temporary files of a task, in other ways than by the decorator `on_temporary_files`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any

from b2luigi.core.task import Task
from b2luigi.core.temporary import on_temporary_files, temporary_files

__all__ = ["EnsuredTemporaryScratchDirectory", "TemporaryFileContextManager", "on_temporary_files"]


class TemporaryFileContextManager(contextlib.ExitStack):
    """While entered, the methods of a task return paths of temporary files, as with `on_temporary_files`."""

    def __init__(self, task: Task, inputs: bool = True, outputs: bool = True) -> None:
        super().__init__()
        self._files = temporary_files(task, inputs, outputs)

    def __enter__(self) -> TemporaryFileContextManager:
        self.enter_context(self._files)
        return self


class EnsuredTemporaryScratchDirectory(tempfile.TemporaryDirectory[str]):
    """A temporary folder below `dir`, which is created if need be. The other arguments are those of `tempfile`."""

    def __init__(self, dir: str | os.PathLike[str] | None = None, **options: Any) -> None:
        if dir is not None:
            os.makedirs(dir, exist_ok=True)
        super().__init__(dir=dir, **options)
