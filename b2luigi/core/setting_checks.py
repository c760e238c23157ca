"""Files and programs that settings name: looked for on the submit host before the first job."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path

import luigi

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.command_words import check_words, words_of
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir, map_folder
from b2luigi.core.script import base_folder
from b2luigi.core.settings import get_merged_setting, get_setting, source_of

SETTINGS = frozenset(
    (
        *("batch_system", "env_script", "executable", "executable_prefix", "working_dir"),
        *("transfer_files", "htcondor_settings", "slurm_settings", "lsf_settings", "env", "shell"),
        *("task_cmd_additional_args", "job_name", "queue", "job_slots", "process_class"),
        *("apptainer_image", "apptainer_cmd", "apptainer_mounts"),
        *("tasks_per_job", "tasks_per_job_seconds", "tasks_at_once", "pack_mode"),
        "cmd_prefix",
    )
)
"""What the checks depend on. Where a class gives all of these as plain values, one of its tasks is enough."""
FOLDERS = ("result_dir", "log_dir", "task_file_dir")
IMAGES = (".sif", ".simg", ".sqsh", ".sqfs")
"""How files with the image of a container end."""
IMAGE_OPTIONS = {
    "htcondor_settings": ("container_image", "singularityimage", "docker_image"),
    "slurm_settings": ("container",),
}
"""Options of a batch system that name an image."""

Report = Callable[[str], object]


class SettingChecks:
    """Looks at the settings of the first task of each class, and of each task where they may differ.

    `is_carrier`: whether a task's batch system transfers files to the node. `is_here`: whether its jobs run on this
    machine. `error` and `warn` take a sentence; each is passed on only once. `check` raises BadInputError for settings
    of a task with which it can have no job.
    """

    def __init__(
        self,
        is_carrier: Callable[[luigi.Task], bool],
        is_here: Callable[[luigi.Task], bool],
        error: Report,
        warn: Report,
        check: Callable[[luigi.Task], object] = str,
    ) -> None:
        self._is_carrier, self._is_here = is_carrier, is_here
        self._error, self._warn, self._check = error, warn, check
        self._is_settled: dict[type, bool] = {}
        self._reported: set[Hashable] = set()
        self._folders: set[str] = set()

    def look(self, task: luigi.Task) -> None:
        """Looks at one task that will run as a job.

        What its own code raises says nothing yet: a property may depend on files that are still to be made.
        """
        settled = self._is_settled.get(type(task))
        varies = not settled or not SETTINGS.isdisjoint(vars(task))
        fits = settled is not None and not _may_not_fit_into_path(task)
        if settled is None:
            self._is_settled[type(task)] = not any(_varies(type(task), name) for name in SETTINGS)
        try:
            if not fits:
                get_log_file_dir(task), get_task_file_dir(task)
            if varies:
                self._look(task)
                self._check(task)
        except BadInputError as error:
            self._once(self._error, str(error), error.kind)
        except Exception:
            return

    def warn_once(self, text: str) -> None:
        """Passes a sentence on that is no error, if it was not yet."""
        self._once(self._warn, text, text)

    def _look(self, task: luigi.Task) -> None:
        for text in check_words(task):
            self._once(self._error, text, text)
        for key in FOLDERS:
            file = self._file_in_place_of(map_folder(get_setting(key, task=task)))
            if file:
                self._report(self._error, key, task, f"{file} is a file, and not a folder")
        files = get_setting("transfer_files", task=task) or []
        carried = bool(files) and self._is_carrier(task)
        for path in files if carried else ():
            if not os.path.exists(path):
                self._report(self._error, "transfer_files", task, f"{path} does not exist, and cannot be transferred")
        self._look_at_env_script(task, carried)
        if get_setting("apptainer_image", task=task):
            self._look_at_container(task)
            return  # its program is in the container
        for key, program in _missing_programs(task):
            self._report(self._warn, key, task, f"there is no program {program} on this machine")
        for key, image in _images(task):
            if not os.path.exists(image):
                self._report(self._warn, key, task, f"there is no container image {image} on this machine")

    def _look_at_container(self, task: luigi.Task) -> None:
        from b2luigi.core.container_settings import missing_here  # few tasks need it

        for key, what in missing_here(task):
            self._report(self._error if self._is_here(task) else self._warn, key, task, what)

    def _look_at_env_script(self, task: luigi.Task, carried: bool) -> None:
        env_script = _path_on_submit_host(task, "env_script")
        if not env_script or os.path.exists(env_script):
            return
        what = f"{env_script} does not exist"
        if carried:
            self._report(self._error, "env_script", task, f"{what}, and cannot be transferred")
        elif not (get_setting("apptainer_image", task=task) and os.path.isabs(get_setting("env_script", task=task))):
            self._report(self._warn, "env_script", task, f"{what} on this machine")

    def _file_in_place_of(self, folder: str) -> str:
        """What is where a folder, or one above it, should be; empty if nothing is in the way. Each is asked once."""
        if folder in self._folders:
            return ""
        self._folders.add(folder)
        there = next((path for path in (folder, *map(str, Path(folder).parents)) if os.path.exists(path)), folder)
        return there if os.path.isfile(there) else ""

    def _report(self, to: Report, key: str, task: luigi.Task, what: str) -> None:
        ending = "." if to == self._error else "; jobs fail on each node where it is missing."
        text = f"{key} ({source_of(key, task)}): {what}{ending}"
        self._once(to, text, text)

    def _once(self, to: Report, text: str, kind: Hashable) -> None:
        if kind not in self._reported:
            self._reported.add(kind)
            to(text)


def _may_not_fit_into_path(task: luigi.Task) -> bool:
    """Whether a value of a parameter is worth a closer look; for most tasks, this is decided in a microsecond."""
    values = task.param_kwargs.values()
    return any(type(value) is str and ("/" in value or value[:1] == "." or len(value) > 50) for value in values)


def _varies(cls: type, name: str) -> bool:
    """Whether the tasks of a class may have different values of a setting: it is a property or a parameter."""
    value = inspect.getattr_static(cls, name, None)
    return isinstance(value, luigi.Parameter) or hasattr(type(value), "__get__")


def _path_on_submit_host(task: luigi.Task, key: str) -> str:
    """The path that a setting means on the node, if the node sees the folders of this machine; empty if not set."""
    value = os.fspath(get_setting(key, task=task) or "")
    folder = os.fspath(get_setting("working_dir", task=task) or "")
    return os.path.join(base_folder(), "" if folder == "." else folder, value) if value else ""


def _missing_programs(task: luigi.Task) -> Iterator[tuple[str, str]]:
    """The first word of the command of a job, if this machine has no such program.

    What follows a prefix may be in a container, and a name without a folder may be found only after the env_script.
    """
    key = next((key for key in ("executable_prefix", "executable") if get_setting(key, task=task)), "")
    program = words_of(key, task)[0] if key else ""
    has_own_path = bool(get_setting("env_script", task=task)) or "PATH" in (get_setting("env", task=task) or {})
    if not program or (has_own_path and "/" not in program):
        return
    if "/" in program and not os.path.isabs(program):
        program = os.path.join(base_folder(), os.fspath(get_setting("working_dir", task=task) or ""), program)
    if shutil.which(program) is None:
        yield key, program


def _images(task: luigi.Task) -> Iterator[tuple[str, str]]:
    for key in ("executable_prefix", "executable"):
        words = words_of(key, task)
        for number, word in enumerate(words):
            is_last = key == "executable_prefix" and 0 < number == len(words) - 1
            if word.startswith("/") and (word.endswith(IMAGES) or is_last):
                yield key, word
    for key, options in IMAGE_OPTIONS.items():
        given = get_merged_setting(key, task=task) or {}
        for option, value in given.items() if isinstance(given, Mapping) else ():
            image = str(value).strip("\"'")
            if str(option).lower().lstrip("+").removeprefix("my.") in options and image.startswith("/"):
                yield key, image
