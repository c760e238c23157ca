"""The job script of a task: an executable file that sets up its environment and runs this one task."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import luigi

from b2luigi.core.description import describe
from b2luigi.core.files import write_aside
from b2luigi.core.flags import others
from b2luigi.core.job_script import JobScript, render
from b2luigi.core.known_settings import DROPPED
from b2luigi.core.paths import get_filename, get_log_file_dir, get_task_file_dir
from b2luigi.core.settings import get_setting, settings_files

SCRIPT_NAME = "executable_wrapper.sh"
CALL = "_call"
"""The setting, of b2luigi itself, that says which call of `process` in the script this is: nodes get to the same."""


def create_executable_wrapper(
    task: luigi.Task,
    *,
    inbox: str | os.PathLike[str] | None = None,
    carried: bool = False,
    worker: Mapping[str, Any] | None = None,
) -> str:
    """Writes the job script of a task and returns its absolute path.

    Started without arguments, the script runs the task and leaves its output where it is. Started with a token
    as argument it sends its output to the log folder of the task, leaves the outcome as `<token>.outcome` beside
    itself, and its exit code as `<token>` in `inbox`.

    `carried`: the batch system carries all files to a scratch folder on the node and back.
    `worker`: values of luigi's section [worker] for the node.
    Raises ValueError, naming the setting, for a value that can not work; OSError if the file can not be written.
    """
    told = {"call": get_setting(CALL, default=1), **(worker or {})}
    grace = float(told.get("result_grace", 0.0))
    script = replace(_collect(task, inbox, carried, {**describe(task), "worker": told}), grace=grace)
    folder = Path(get_task_file_dir(task))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SCRIPT_NAME
    # Readable by nobody else: it holds values of settings and parameters.
    write_aside(path, render(script), 0o700)
    return str(path)


def inputs_of(task: luigi.Task) -> tuple[Path, ...]:
    """Files of the submit host that the job script needs, for batch systems that carry them to the node.

    Raises ValueError, naming the file, if one is not there.
    """
    nearest = settings_files()[:1]
    env_script = get_setting("env_script", task=task)
    paths = [Path(get_filename()), *map(Path, nearest), *([_on_submit_host(env_script)] if env_script else [])]
    for path in paths:
        if not path.exists():
            raise ValueError(f"env_script: there is no file {str(path)!r} to be carried to the node.")
    return tuple(dict.fromkeys(paths))


def create_cmd_from_task(task: luigi.Task) -> list[str]:
    """The words that run this one task: prefix, executable, script, `--batch-runner --task-id ID`, arguments.

    Arguments of the script's own come before ours, so that it finds them where it looks for them. A script that was
    started as a module of a package, `python -m package.script`, is started as such there as well.
    """
    return [
        *_words("executable_prefix", task),
        *(_words("executable", task) or [sys.executable]),
        *(_script(task) if get_setting("add_filename_to_cmd", task=task) else []),
        *_arguments(["--batch-runner", "--task-id", task.task_id, *_words("task_cmd_additional_args", task)]),
    ]


def _refuse_container(task: luigi.Task) -> None:
    """A task that is to run in a container must not run without one."""
    if get_setting("apptainer_image", default="", task=task):
        raise ValueError(f"apptainer_image is not supported: {DROPPED['apptainer_image']}.")


def _collect(
    task: luigi.Task, inbox: str | os.PathLike[str] | None, carried: bool, description: Mapping[str, Any]
) -> JobScript:
    _refuse_container(task)
    working_dir = _text("working_dir", task)
    env_script = _text("env_script", task)
    return JobScript(
        task_id=task.task_id,
        command=create_cmd_from_task(task),
        description=description,
        shell=_shell(task),
        folder=None if working_dir == "." else working_dir or os.path.dirname(get_filename()),
        home="." if carried else _on_node(get_task_file_dir(task), task, "task_file_dir"),
        inbox=None if carried or inbox is None else _on_node(os.fspath(inbox), task, "task_file_dir", of_run=True),
        logs=None if carried else _on_node(get_log_file_dir(task), task, "log_dir"),
        env_script=os.path.basename(env_script) if carried else env_script,
        env=_env(task),
        own_env=_own_env(),
        umask=_umask(),
    )


def _script(task: luigi.Task) -> list[str]:
    folder = get_setting("working_dir", task=task)
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    # A script that is carried to the node comes without its package.
    if spec is not None and spec.parent and spec.origin == get_filename() and folder != ".":
        return ["-c", _as_module(spec.name)]
    return [os.path.basename(get_filename()) if folder else get_filename()]


def _as_module(name: str) -> str:
    """`python -m name`, wherever it is started: the folder of the package takes the place of the current one."""
    above = str(Path(get_filename()).parents[name.count(".")])
    run = f"runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"
    return f"import runpy, sys; sys.path[0] = {above!r}; {run}"


def _arguments(ours: list[str]) -> list[str]:
    own = others(sys.argv[1:])
    return [*ours, *own] if "--" in own else [*own, *ours]


def _on_submit_host(path: str) -> Path:
    return Path(os.path.join(os.path.dirname(get_filename()), path))


def _on_node(path: str, task: luigi.Task, setting: str, of_run: bool = False) -> str:
    """With `working_dir`, a folder that was given relative to the script is to be found from there."""
    below = os.path.dirname(get_filename()) + os.sep
    given = get_setting(setting, task=None if of_run else task)
    moved = get_setting("working_dir", task=task) and not os.path.isabs(given)
    return path.removeprefix(below) if moved else path


def _words(key: str, task: luigi.Task) -> list[str]:
    return [str(word) for word in get_setting(key, task=task) or []]


def _text(key: str, task: luigi.Task) -> str:
    return str(os.fspath(get_setting(key, task=task) or ""))


def _shell(task: luigi.Task) -> str:
    shell = str(get_setting("shell", task=task))
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", shell):
        raise ValueError(f"shell has to be the name of a shell in /bin or a path, but it is {shell!r}.")
    return shell


def _env(task: luigi.Task) -> dict[str, str]:
    env = get_setting("env", task=task) or {}
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise ValueError(f"env has the name {name!r}, which no environment variable can have.")
        if value is None:
            raise ValueError(f"env[{name!r}] is None; give it a text, or leave it out.")
        if "\0" in str(value):
            raise ValueError(f"env[{name!r}] holds a zero byte, which no environment variable can hold.")
    return {str(name): str(value) for name, value in env.items()}


def _own_env() -> dict[str, str]:
    """The configuration of luigi and the settings files of the submit host, wherever the job starts."""
    config = os.environ.get("LUIGI_CONFIG_PATH") or ("luigi.cfg" if os.path.exists("luigi.cfg") else "")
    files = os.pathsep.join(map(str, settings_files()))
    found = {"LUIGI_CONFIG_PATH": os.path.abspath(config) if config else "", "B2LUIGI_SETTINGS_FILES": files}
    return {name: value for name, value in found.items() if value}


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
