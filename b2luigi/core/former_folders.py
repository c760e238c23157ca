"""Folders as development versions of b2luigi 2.0 named them, before a hash function alone named them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import luigi

from b2luigi.core.paths import folder_names, get_serialized_parameters, get_task_file_dir

ListFolder = Callable[[str], Iterable[str]]


class FormerFolders:
    """Looks for what is left in folders of former names. Each folder is listed once, since a disk may be slow."""

    def __init__(self, listed: ListFolder = os.listdir) -> None:
        self._list = listed
        self._names: dict[str, frozenset[str]] = {}
        self._has_former: dict[type, bool] = {}
        """Whether tasks of a class may have had other folders."""

    def of_results(self, task: luigi.Task, targets: Iterable[Any]) -> tuple[str, str] | None:
        """The former path of an output that is there, and its path now; None if there is no such output."""
        if not self._may_differ(task):
            return None
        paths = [path for target in targets if isinstance(path := getattr(target, "path", None), str)]
        return next((pair for pair in _pairs(task, paths, need_hidden=False) if self._is_there(pair[0])), None)

    def problem_of_results(self, task: luigi.Task, targets: Iterable[Any]) -> str:
        """What the user should know of such an output; empty if there is none."""
        found = self.of_results(task, targets)
        return "" if found is None else _problem(task, *found)

    def of_job(self, task: luigi.Task) -> str:
        """The folder in which a job of a former version would have its files; empty if that is where it is now."""
        if not self._may_differ(task):
            return ""
        return next((former for former, _ in _pairs(task, [get_task_file_dir(task)], need_hidden=True)), "")

    def _may_differ(self, task: luigi.Task) -> bool:
        found = self._has_former.get(type(task))
        if found is None:
            found = any(_has_former_name(parameter) for _, parameter in task.get_params())
            self._has_former[type(task)] = found
        return found

    def _is_there(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self._listed(folder)

    def _listed(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            self._names[folder] = frozenset(self._read(folder))
        return self._names[folder]

    def _read(self, folder: str) -> Iterable[str]:
        parent = os.path.dirname(folder)
        if parent != folder and not self._is_there(folder):
            return ()
        try:
            return self._list(folder)
        except OSError:
            return ()


def _problem(task: luigi.Task, former: str, path: str) -> str:
    return (
        f"A result of {task} is in a folder that a development version of b2luigi named: {former} is now expected as "
        f"{path}. Rename the folder to find its results, or remove it to compute them again; 'Moving from b2luigi 1.x' "
        "in the documentation has a command that renames all of them."
    )


def _has_former_name(parameter: Any) -> bool:
    if not getattr(parameter, "hashed", False):
        return hasattr(type(parameter), "serialize_hashed")
    return getattr(parameter, "hash_function", None) is not None


def _former_value(parameter: Any, value: Any) -> str:
    hashed = getattr(parameter, "hashed", False)
    return f"hashed_{parameter.hash_function(value)}" if hashed else str(parameter.serialize(value))


def _pairs(task: luigi.Task, paths: Iterable[str], need_hidden: bool) -> Iterator[tuple[str, str]]:
    """The paths that had other names, each with the former one first."""
    values = get_serialized_parameters(task, need_hidden)
    changed = {
        name: _former_value(parameter, getattr(task, name))
        for name, parameter in task.get_params()
        if name in values and _has_former_name(parameter)
    }
    now, former = (os.path.join("/", *folder_names(task, one), "") for one in (values, {**values, **changed}))
    if now != former:
        yield from ((path.replace(now, former, 1), path) for path in paths if now in path)
