"""The job script of a task: an executable file that sets up its environment and runs this one task."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import luigi

from b2luigi.core import imported
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.command_words import words_of
from b2luigi.core.description import describe
from b2luigi.core.files import in_folder, write_atomically
from b2luigi.core.flags import script_arguments
from b2luigi.core.job_script import JobScript, render
from b2luigi.core.moved import moved
from b2luigi.core.paths import get_log_file_dir, get_task_file_dir
from b2luigi.core.process_call import running_call
from b2luigi.core.script import base_folder, get_filename
from b2luigi.core.settings import get_setting, settings_files, settings_for_nodes
from b2luigi.core.settings_file import current_folder

SCRIPT_NAME = "executable_wrapper.sh"


def create_executable_wrapper(
    task: luigi.Task,
    *,
    inbox: str | os.PathLike[str] | None = None,
    carried: bool = False,
    worker: Mapping[str, Any] | None = None,
) -> str:
    """Writes the job script of a task and returns its absolute path.

    Without arguments, the script runs the task and does not redirect its output. With a token as argument, it
    redirects its output to the log folder of the task, and writes the outcome to `<token>.outcome` in its own folder
    and the exit code to `<token>` in `inbox`.

    `carried`: the batch system transfers all files to a scratch folder on the node and back.
    `worker`: values of luigi's section [worker] for the node.
    Raises ValueError, naming the setting, for an invalid value; OSError if the file cannot be written.
    """
    script = job_script_of(task, inbox=inbox, carried=carried, worker=worker)
    return str(write_job_script(Path(get_task_file_dir(task)), script))


def job_script_of(
    task: luigi.Task,
    *,
    inbox: str | os.PathLike[str] | None = None,
    carried: bool = False,
    worker: Mapping[str, Any] | None = None,
) -> JobScript:
    """The content of the job script of a task; see `create_executable_wrapper`. Writes nothing.

    Raises ValueError, naming the setting, for an invalid value.
    """
    for_node = {"call": running_call().number, **(worker or {})}
    grace = float(for_node.get("result_grace", 0.0))
    return _collect(task, inbox, carried, {**_description(task), "worker": for_node}, grace)


def write_job_script(folder: Path, script: JobScript) -> Path:
    """Writes a job script into the folder of its task, and returns its path. Reads no setting; raises OSError."""
    path = folder / SCRIPT_NAME
    # Readable only by its owner: it contains values of settings and parameters.
    in_folder(folder, lambda: write_atomically(path, render(script), 0o700))
    return path


def inputs_of(task: luigi.Task) -> tuple[Path, ...]:
    """Files of the submit host that the job script needs, for batch systems that transfer them to the node.

    Raises ValueError, naming the file, if one does not exist.
    """
    nearest = settings_files()[:1]
    env_script = get_setting("env_script", task=task)
    code = imported.files_of(task) if imported.is_imported() else [get_filename()]
    paths = [*map(Path, code), *map(Path, nearest), *([_on_submit_host(env_script)] if env_script else [])]
    for path in paths:
        if not path.exists():
            raise ValueError(f"env_script: the file {str(path)!r}, to be transferred to the node, does not exist.")
    return tuple(dict.fromkeys(paths))


def create_cmd_from_task(task: luigi.Task) -> list[str]:
    """The command that runs this one task: prefix, executable, script, `--batch-runner --task-id ID`, arguments.

    The script's own arguments come before ours, so that it finds them where it expects them. A script started as a
    module of a package, `python -m package.script`, is started in the same way on the node. Without a script, the node
    imports the module of the task.
    Raises ValueError, with the list to write, if an entry of a setting is several words.
    """
    return [
        *words_of("executable_prefix", task),
        *(words_of("executable", task) or [sys.executable]),
        *(_script(task) if get_setting("add_filename_to_cmd", task=task) else []),
        *_arguments(["--batch-runner", "--task-id", task.task_id, *words_of("task_cmd_additional_args", task)]),
    ]


def check_job_script(task: luigi.Task, carried: bool = False) -> None:
    """Raises BadInputError, naming the setting, if no job script can be written for a task.

    `carried`: see `create_executable_wrapper`.
    """
    if imported.is_imported():
        imported.check_importable(task)
    _shell(task)
    _env(task)
    create_cmd_from_task(task)
    if get_setting("apptainer_image", task=task):
        _collect(task, None, carried, {})


def _collect(
    task: luigi.Task,
    inbox: str | os.PathLike[str] | None,
    carried: bool,
    description: Mapping[str, Any],
    grace: float = 0.0,
) -> JobScript:
    working_dir = _text("working_dir", task)
    env_script = _text("env_script", task)
    script = JobScript(
        task_id=task.task_id,
        command=create_cmd_from_task(task),
        description=description,
        shell=_shell(task),
        folder=None if working_dir == "." else working_dir or base_folder(),
        home="." if carried else _on_node(get_task_file_dir(task), task, "task_file_dir"),
        inbox=None if carried or inbox is None else _on_node(os.fspath(inbox), task, "task_file_dir", of_run=True),
        logs=None if carried else _on_node(get_log_file_dir(task), task, "log_dir"),
        env_script=os.path.basename(env_script) if carried else env_script,
        env=_env(task),
        own_env=_own_env(),
        umask=_umask(),
        grace=grace,
    )
    return _in_container(script, task, carried) if get_setting("apptainer_image", task=task) else script


def _in_container(script: JobScript, task: luigi.Task, carried: bool) -> JobScript:
    from b2luigi.core.container_settings import container_of  # few tasks need it

    return replace(script, container=container_of(task, script, carried, _code_elsewhere(task)))


def _code_elsewhere(task: luigi.Task) -> list[str]:
    """Folders with code that the job needs besides its own folder."""
    if imported.is_imported():
        return [path for path in imported.folders() if path != base_folder()]
    module = _module(task)
    code = _above(module) if module else os.path.dirname(get_filename())
    # Not in the folder of the job, for example, if the script is an installed program.
    is_elsewhere = module or (code != base_folder() and not get_setting("working_dir", task=task))
    return [code] if is_elsewhere else []


def _description(task: luigi.Task) -> dict[str, Any]:
    """What the node needs to make the task; without a script, the settings that a script would set there, too."""
    if not imported.is_imported():
        return describe(task)
    imported.check_importable(task)
    return {**describe(task), "settings": settings_for_nodes()}


def _script(task: luigi.Task) -> list[str]:
    if imported.is_imported():
        return imported.entry(task)
    module = _module(task)
    if module:
        return ["-c", _as_module(module)]
    return [os.path.basename(get_filename()) if get_setting("working_dir", task=task) else get_filename()]


def _module(task: luigi.Task) -> str:
    """The name by which the node starts the script, as in `python -m name`; empty if it starts a file."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    # A script that is transferred to the node comes without its package.
    if spec is None or spec.origin != get_filename():
        return ""
    if not spec.parent and os.path.dirname(get_filename()) == base_folder():  # started as a file, it is the same
        return ""
    return str(spec.name) if get_setting("working_dir", task=task) != "." else ""


def _as_module(name: str) -> str:
    """`python -m name`, from any folder: the folder of the package replaces the current one in `sys.path`."""
    run = f"runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"
    return f"import runpy, sys; sys.path[0] = {_above(name)!r}; {run}"


def _above(name: str) -> str:
    """The folder that contains the package of the script."""
    return str(Path(get_filename()).parents[name.count(".")])


def _arguments(ours: list[str]) -> list[str]:
    own = [] if imported.is_imported() else script_arguments(sys.argv[1:])
    return [*ours, *own] if "--" in own else [*own, *ours]


def _on_submit_host(path: str) -> Path:
    return Path(os.path.join(base_folder(), path))


def _on_node(path: str, task: luigi.Task, setting: str, of_run: bool = False) -> str:
    """With `working_dir`, a folder that was set relative to the script is relative to `working_dir`."""
    below = base_folder() + os.sep
    given = get_setting(setting, task=None if of_run else task)
    moved = get_setting("working_dir", task=task) and not os.path.isabs(given)
    return path.removeprefix(below) if moved else path


def _text(key: str, task: luigi.Task) -> str:
    return str(os.fspath(get_setting(key, task=task) or ""))


def _shell(task: luigi.Task) -> str:
    shell = str(get_setting("shell", task=task))
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", shell):
        raise BadInputError(f"shell must be the name of a shell in /bin or a path, not {shell!r}.")
    return shell


def _env(task: luigi.Task) -> dict[str, str]:
    env = get_setting("env", task=task) or {}
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise BadInputError(f"env: {name!r} is not a valid name of an environment variable.")
        if value is None:
            raise BadInputError(f"env[{name!r}] is None; set it to a string, or remove it.")
        if "\0" in str(value):
            raise BadInputError(f"env[{name!r}] contains a null byte, which an environment variable cannot contain.")
    return {str(name): str(value) for name, value in env.items()}


def _own_env() -> dict[str, str]:
    """Variables with luigi's configuration and the settings files of the submit host, for a job in any folder."""
    config = os.environ.get("LUIGI_CONFIG_PATH") or _config_in(current_folder())
    files = os.pathsep.join(map(str, settings_files()))
    found = {"LUIGI_CONFIG_PATH": os.path.abspath(config) if config else "", "B2LUIGI_SETTINGS_FILES": files}
    return {name: value for name, value in found.items() if value}


@functools.cache
def _config_in(folder: str) -> str:
    """The file that luigi has read in this folder when it was imported."""
    path = os.path.join(folder, "luigi.cfg")
    return path if os.path.exists(path) else ""


@functools.cache
def _umask() -> int:
    """That of the script. Asked once: for a moment it changes for all threads, and some of them may make files."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


__getattr__ = moved(__name__)
