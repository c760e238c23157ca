"""Paths of the outputs, logs and job files of a task."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import luigi
from luigi.task import flatten

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.files import make_folder
from b2luigi.core.read_once import remembered
from b2luigi.core.script import base_folder, get_filename
from b2luigi.core.settings import get_setting
from b2luigi.core.target import LONGEST_NAME, LocalTarget
from b2luigi.core.warn import warn

__all__ = [
    "create_folders_of",
    "create_output_dirs",
    "create_output_file_name",
    "get_filename",
    "get_filled_params",
    "get_log_file_dir",
    "get_serialized_parameters",
    "get_task_file_dir",
    "is_subdir",
    "map_folder",
]
# PATH_MAX of Linux is 4096 bytes, including the terminating NUL.
_LONGEST_PATH = 4095
_LONGEST_OWN_NAME = 64
"""Room for the names of logs, records and outcomes in their folders, including prefixes and suffixes."""


def map_folder(input_folder: str | os.PathLike[str]) -> str:
    """The folder as an absolute path; a relative one is relative to the `base_folder`.

    Raises ValueError for anything but a path.
    """
    if not isinstance(input_folder, (str, os.PathLike)):
        raise BadInputError(f"{input_folder!r} is not a folder: result_dir, log_dir and task_file_dir must be paths.")
    folder = os.fspath(input_folder)
    return folder if os.path.isabs(folder) else _below(base_folder(), folder)


@lru_cache(maxsize=256)
def _below(base: str, folder: str) -> str:
    return str(Path(base) / folder)


def get_serialized_parameters(task: luigi.Task, need_hidden: bool = False) -> dict[str, str]:
    """Maps the parameters of a task, in the order of their definition, to the strings used in folder names.

    Contains significant parameters only, and hidden ones only with `need_hidden`.
    """
    return OrderedDict(_serialized(task, need_hidden))


def _serialized(task: luigi.Task, need_hidden: bool) -> list[tuple[str, str]]:
    return [
        (name, _serialize(parameter, getattr(task, name)))
        for name, parameter in task.get_params()
        if _is_shown(parameter, need_hidden)
    ]


def create_output_file_name(
    task: luigi.Task,
    base_filename: str,
    result_dir: str | os.PathLike[str] | None = None,
    need_hidden: bool = False,
    *,
    result_path: str | os.PathLike[str] | None = None,
) -> str:
    """The path `<result_dir>/<parameter>=<value>/.../<base_filename>` of a file of the task.

    `result_dir`: relative to the `base_folder`; defaults to the setting of that name. Its former name,
    `result_path`, still works, with a DeprecationWarning.
    Raises ValueError if a parameter value is not a valid folder name, or a name or the path is too long.
    """
    if result_path is not None:
        result_dir = _deprecated_result_path(result_path, result_dir)
    result_dir = get_setting("result_dir", task=task) if result_dir is None else result_dir
    path = os.path.join(_joined([map_folder(result_dir), *_folders(task, need_hidden)]), base_filename)
    _check_length(task, path, need_hidden)
    return path


def _joined(folders: list[str]) -> str:
    """Like os.path.join, which takes longer to find out what is true of nearly all tasks: each folder has a name."""
    return "/".join(folders) if all(folders) and folders[0][-1] != "/" else os.path.join(*folders)


def is_subdir(path: str | os.PathLike[str], parent_dir: str | os.PathLike[str]) -> bool:
    """Whether a path is the folder `parent_dir` or lies inside it, at any depth. Follows symbolic links."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(parent_dir))


def get_filled_params(task: luigi.Task) -> dict[str, Any]:
    """All parameters of a task with their values, in the order of their definition."""
    return {name: getattr(task, name) for name, _ in task.get_params()}


def get_log_file_dir(task: luigi.Task) -> str:
    """The folder for stdout and stderr of the task: `<log_dir>/<parameters>/<Family>/`.

    A method `get_log_file_dir` of the task overrides this; its result is also relative to the script.
    """

    def folder() -> str:
        return _overridden_folder(task, "get_log_file_dir") or _family_folder(task, "log_dir", need_hidden=False)

    return remembered(task, "get_log_file_dir", folder)


def get_task_file_dir(task: luigi.Task) -> str:
    """The folder for the job script of the task: `<task_file_dir>/<parameters, including hidden ones>/<Family>/`.

    A method `get_task_file_dir` of the task overrides this; its result is also relative to the script.
    """

    def folder() -> str:
        return _overridden_folder(task, "get_task_file_dir") or _family_folder(task, "task_file_dir", need_hidden=True)

    return remembered(task, "get_task_file_dir", folder)


def create_output_dirs(task: luigi.Task) -> None:
    """Create the folders of the task's outputs. Raises OSError if one cannot be created."""
    create_folders_of(flatten(task.output()))


def create_folders_of(targets: Iterable[Any]) -> None:
    """Create the folders of targets. Raises OSError if one cannot be created, also of luigi's own LocalTarget."""
    for target in targets:
        if hasattr(target, "makedirs"):
            target.makedirs()
        if isinstance(target, luigi.LocalTarget) and type(target).makedirs is not LocalTarget.makedirs:
            make_folder(os.path.dirname(os.path.normpath(target.path)) or ".")


def _deprecated_result_path(
    result_path: str | os.PathLike[str], result_dir: str | os.PathLike[str] | None
) -> str | os.PathLike[str]:
    if result_dir is not None:
        raise TypeError("create_output_file_name: pass only result_dir; result_path is its former name.")
    text = "The argument result_path of create_output_file_name is now called result_dir; please use the new name."
    warn(DeprecationWarning(text), stacklevel=3)
    return result_path


def _is_shown(parameter: Any, need_hidden: bool) -> bool:
    return bool(parameter.significant and (need_hidden or not getattr(parameter, "hidden", False)))


def _serialize(parameter: Any, value: Any) -> str:
    text = getattr(parameter, "serialize_hashed", parameter.serialize)(value)
    if text is None:
        raise ValueError(f"The hash_function of a parameter returned None for {value!r}: is a `return` missing?")
    return str(text)


def folder_names(task: luigi.Task, values: Mapping[str, str]) -> list[str]:
    """The names of the folders of a task whose parameters are serialized to these values."""
    separator = get_setting("parameter_separator", task=task)
    with_name = get_setting("use_parameter_name_in_output", task=task)
    return [f"{name}{separator}{value}" if with_name else value for name, value in values.items()]


def _folders(task: luigi.Task, need_hidden: bool) -> Iterator[str]:
    values = dict(_serialized(task, need_hidden))
    for folder, (name, value) in zip(folder_names(task, values), values.items(), strict=True):
        if "/" in value or value in (".", "..") or "\0" in value:
            _refuse(task, name, f"has the value {value!r}, which is not a valid folder name")
        if _is_longer(folder, LONGEST_NAME):
            _refuse(task, name, f"leads to a folder name of {_size(folder)} bytes; the limit is {LONGEST_NAME}")
        yield folder


def _check_length(task: luigi.Task, path: str, need_hidden: bool, setting: str = "result_dir") -> None:
    name = path.rpartition("/")[-1]
    if _is_longer(name, LONGEST_NAME):
        raise BadInputError(f"{task.get_task_family()}: the file name {name!r} is longer than {LONGEST_NAME} bytes.")
    if _is_longer(path, _LONGEST_PATH):
        values = get_serialized_parameters(task, need_hidden)
        longest = max(values, key=lambda key: _size(values[key]), default="")
        remedy = f", or define the parameter {longest!r} with hashed=True" if longest else ""
        raise BadInputError(
            f"{task.get_task_family()}: a path of {_size(path)} bytes exceeds the limit of {_LONGEST_PATH}. "
            f"Shorten {setting}{remedy}: {path[:200]}...",
            kind=("long path", type(task), longest),
        )


def _refuse(task: luigi.Task, name: str, problem: str) -> NoReturn:
    if hasattr(dict(task.get_params())[name], "serialize_hashed"):
        remedy = "Its hash_function (or serialize_hashed) has to return another text."
    else:
        remedy = "Define it with hashed=True to use a hash of the value in the path."
    raise BadInputError(
        f"{task.get_task_family()}: the parameter {name!r} {problem}. {remedy}",
        kind=(type(task), name, problem.partition(" ")[0]),  # a value that cannot be a name, or one that is too long
    )


def _is_longer(text: str, limit: int) -> bool:
    """Whether a text has more bytes than that; a character has at most four."""
    return 4 * len(text) > limit and _size(text) > limit


def _size(text: str) -> int:
    return len(os.fsencode(text))


def _overridden_folder(task: luigi.Task, method: str) -> str:
    override = getattr(task, method, None)
    return map_folder(override()) if override is not None else ""


def _family_folder(task: luigi.Task, setting: str, need_hidden: bool) -> str:
    base = get_setting(setting, task=task)
    folder = create_output_file_name(task, task.get_task_family(), base, need_hidden)
    _check_length(task, f"{folder}/{'x' * _LONGEST_OWN_NAME}", need_hidden, setting)
    return f"{folder}/"
