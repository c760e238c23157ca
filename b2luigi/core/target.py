"""Targets: what a task writes."""

from __future__ import annotations

import os
from typing import Any

import luigi
import luigi.target

from b2luigi.core.structures import flatten_to_dict_of_lists


class FileSystemTarget(luigi.target.FileSystemTarget):
    """Base of targets with a path; to implement: `fs` and `open`, as in luigi."""


class LocalTarget(FileSystemTarget, luigi.LocalTarget):
    """A file, or folder, in a file system that this machine sees; its path is an attribute, `path`."""

    def makedirs(self) -> None:
        """Make the folder the file will lie in, with those above it.

        Raises OSError if that is not possible (luigi's own target keeps silent until the file is opened).
        """
        folder = os.path.dirname(os.path.normpath(self.path))
        if folder:
            os.makedirs(folder, exist_ok=True)


def file_targets_by_name(structure: Any) -> dict[str, list[Any]]:
    """The targets with a path in `structure`, any nesting, by the name under which they were put there.

    The name is the key of the innermost dict around a target (as `add_to_output` makes it) or else, for
    targets of plain luigi tasks, the name of the file.
    """
    named: dict[str, list[Any]] = {}
    for key, targets in flatten_to_dict_of_lists(structure).items():
        with_path = [target for target in targets if hasattr(target, "path")]
        if with_path:
            name = os.path.basename(os.path.normpath(key.path)) if key is targets[0] else key
            named.setdefault(name, []).extend(with_path)
    return named
