"""The job script of a task: an executable file that sets up its environment and runs this one task.

`render` is pure; `create_executable_wrapper` collects what it needs from the settings and writes the file.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import luigi

from b2luigi.core.files import write_aside
from b2luigi.core.flags import others
from b2luigi.core.paths import get_filename, get_log_file_dir, get_task_file_dir
from b2luigi.core.settings import get_setting, settings_files

SCRIPT_NAME = "executable_wrapper.sh"
SCRIPT_VARIABLE, OUTCOME_VARIABLE = "B2LUIGI_JOB_SCRIPT", "B2LUIGI_OUTCOME"
"""How the job script tells the node where its description is, and where the outcome goes."""
DESCRIPTION = "#b2luigi-task "
"""Starts the last line of a job script: what the node needs to know of the task, as one line of JSON."""


@dataclass(frozen=True)
class JobScript:
    """Everything that goes into a job script. Paths are those of the node."""

    task_id: str
    command: Sequence[str]
    description: Mapping[str, Any] = field(default_factory=dict)
    shell: str = "bash"
    folder: str | None = None
    """Where to change to; None: stay where the batch system starts the job."""
    home: str = "."
    """Folder for the outcome. Relative paths: from `folder`."""
    inbox: str | None = None
    """Folder for the marker; None: beside the outcome, as `<token>.marker`."""
    logs: str | None = None
    """Folder for stdout and stderr; None: the batch system writes them."""
    env_script: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    own_env: Mapping[str, str] = field(default_factory=dict)
    """Variables of b2luigi itself; `env` is the user's and comes after."""
    umask: int = 0o022


def create_executable_wrapper(
    task: luigi.Task,
    *,
    inbox: str | os.PathLike[str] | None = None,
    carried: bool = False,
    description: Mapping[str, Any] | None = None,
) -> str:
    """Writes the job script of a task and returns its absolute path.

    Started without arguments, the script runs the task and leaves its output where it is. Started with a token
    as argument it sends its output to the log folder of the task, leaves the outcome as `<token>.outcome` beside
    itself, and its exit code as `<token>` in `inbox`.

    `carried`: the batch system carries all files to a scratch folder on the node and back.
    `description`: what the node needs to know of the task beyond its id.
    Raises ValueError, naming the setting, for a value that can not work; OSError if the file can not be written.
    """
    script = _collect(task, inbox, carried, description or {"task_id": task.task_id})
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
    """The words that run this one task: prefix, executable, script, `--batch-runner --task-id ID`, arguments."""
    folder = get_setting("working_dir", task=task)
    script = os.path.basename(get_filename()) if folder else get_filename()
    return [
        *_words("executable_prefix", task),
        *(_words("executable", task) or [sys.executable]),
        *([script] if get_setting("add_filename_to_cmd", task=task) else []),
        *("--batch-runner", "--task-id", task.task_id),
        *_words("task_cmd_additional_args", task),
        *others(sys.argv[1:]),
    ]


def read_description(script: Path) -> dict[str, Any]:
    """What a job script says of its task. Raises ValueError if it says nothing readable."""
    last = script.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2]
    if not last.startswith(DESCRIPTION):
        raise ValueError(f"{script} is not a job script of b2luigi: its last line does not describe a task.")
    found = json.loads(last.removeprefix(DESCRIPTION))
    if not isinstance(found, dict):
        raise ValueError(f"{script}: the description of the task is not a JSON object.")
    return found


def _collect(
    task: luigi.Task, inbox: str | os.PathLike[str] | None, carried: bool, description: Mapping[str, Any]
) -> JobScript:
    working_dir = _text("working_dir", task)
    env_script = _text("env_script", task)
    return JobScript(
        task_id=task.task_id,
        command=create_cmd_from_task(task),
        description=description,
        shell=_shell(task),
        folder=None if working_dir == "." else working_dir or os.path.dirname(get_filename()),
        home="." if carried else _on_node(get_task_file_dir(task), task),
        inbox=None if carried or inbox is None else _on_node(os.fspath(inbox), task),
        logs=None if carried else _on_node(get_log_file_dir(task), task),
        env_script=os.path.basename(env_script) if carried else env_script,
        env=_env(task),
        own_env=_own_env(),
        umask=_umask(),
    )


def _on_submit_host(path: str) -> Path:
    return Path(os.path.join(os.path.dirname(get_filename()), path))


def _on_node(path: str, task: luigi.Task) -> str:
    """A path below the script's folder is, with `working_dir`, to be found from there."""
    below = os.path.dirname(get_filename()) + os.sep
    return path.removeprefix(below) if get_setting("working_dir", task=task) else path


def _words(key: str, task: luigi.Task) -> list[str]:
    value = get_setting(key, task=task) or []
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError(f'{key} has to be a list of words, as in ["python3"], but it is {value!r}.')
    return [str(word) for word in value]


def _text(key: str, task: luigi.Task) -> str:
    value = get_setting(key, task=task) or ""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{key} has to be a path, but it is {value!r}.")
    return str(os.fspath(value))


def _shell(task: luigi.Task) -> str:
    shell = str(get_setting("shell", task=task))
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", shell):
        raise ValueError(f"shell has to be the name of a shell in /bin or a path, but it is {shell!r}.")
    return shell


def _env(task: luigi.Task) -> dict[str, str]:
    env = get_setting("env", task=task) or {}
    if not isinstance(env, Mapping):
        raise ValueError(f"env has to be a dictionary of variables, but it is {env!r}.")
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise ValueError(f"env has the name {name!r}, which no environment variable can have.")
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


# -- the text of a job script


def render(script: JobScript) -> str:
    """The text of a job script; nothing in it that comes from a setting is ever read by the shell as code."""
    return "\n".join([*_beginning(script), *_environment(script), *_running(script)]) + "\n"


def _beginning(script: JobScript) -> Iterator[str]:
    path = script.shell if script.shell.startswith("/") else f"/bin/{script.shell}"
    marker = "$b2luigi_home/$b2luigi_token.marker" if script.inbox is None else "$b2luigi_inbox/$b2luigi_token"
    yield f"#!{path}"
    yield "# Job script of b2luigi. Called without arguments it runs its task, here and now."
    yield "b2luigi_token=${1-}"
    yield 'case "$0" in /*) b2luigi_script=$0 ;; *) b2luigi_script=$PWD/$0 ;; esac'
    yield "set --"
    yield f"umask {script.umask:04o}"
    yield f"b2luigi_home={_quote(script.home)}"
    yield f"b2luigi_inbox={_quote(script.inbox or '')}"
    yield "b2luigi_step='starting'"
    yield "b2luigi_end() {"
    yield "    b2luigi_status=$?"
    yield "    trap - EXIT"
    yield '    if [ -n "$b2luigi_step" ]; then'
    yield '        [ "$b2luigi_status" -ne 0 ] || b2luigi_status=1'
    yield (
        '        echo "b2luigi: the job of task '
        + _inside_quotes(script.task_id)
        + ' ended while $b2luigi_step, on node $(uname -n) (exit status $b2luigi_status)" >&2'
    )
    yield "    fi"
    yield '    if [ -n "$b2luigi_token" ]; then'
    yield "        b2luigi_seen=none"
    yield '        [ ! -s "$b2luigi_home/$b2luigi_token.outcome" ] || b2luigi_seen=outcome'
    yield f'        b2luigi_marker="{marker}"'
    yield '        echo "$b2luigi_status $b2luigi_seen" > "$b2luigi_marker.part" &&'
    yield '            mv "$b2luigi_marker.part" "$b2luigi_marker"'
    yield "    fi"
    yield '    exit "$b2luigi_status"'
    yield "}"
    yield "trap b2luigi_end EXIT"


def _environment(script: JobScript) -> Iterator[str]:
    if script.folder is not None:
        yield _step(f"changing to the folder {script.folder} (setting working_dir)")
        yield f"cd -- {_quote(script.folder)} || exit 1"
    yield "b2luigi_folder=$PWD"
    for name in ("b2luigi_home", "b2luigi_inbox"):
        yield f'case "${name}" in /*) ;; *) {name}=$PWD/${name} ;; esac'
    if script.logs is None:
        # An empty outcome counts as none; but the batch system may insist on a file to carry home.
        yield 'if [ -n "$b2luigi_token" ]; then : > "$b2luigi_home/$b2luigi_token.outcome"; fi'
    else:
        yield from _log_files(script.logs)
    if script.env_script:
        yield from _env_script(script)
    for name, value in {**script.own_env, **script.env}.items():
        yield f"export {name}={_quote(value)}"


def _log_files(logs: str) -> Iterator[str]:
    yield 'if [ -n "$b2luigi_token" ]; then'
    yield "    " + _step(f"opening the log files in {logs}")
    yield f"    mkdir -p -- {_quote(logs)} || exit 1"
    folder = _quote(logs if logs.endswith("/") else logs + "/")
    yield f"    {{ : > {folder}stdout && : > {folder}stderr; }} || exit 1"
    yield f"    exec > {folder}stdout 2> {folder}stderr"
    yield "fi"


def _env_script(script: JobScript) -> Iterator[str]:
    path = script.env_script if "/" in script.env_script else f"./{script.env_script}"
    yield _step(f"running the env_script {script.env_script}")
    yield f"if [ ! -r {_quote(path)} ]; then"
    yield f'    echo "b2luigi: there is no readable env_script "{_quote(path)}" (looked for it from $PWD)" >&2'
    yield "    exit 1"
    yield "fi"
    if os.path.basename(script.shell) == "bash":
        yield "set -E"
        yield "trap 'echo \"b2luigi: line $LINENO of the env_script, or of a file it reads, failed\" >&2' ERR"
    yield "set -e"
    yield f". {_quote(path)}"
    yield "set +eu"
    if os.path.basename(script.shell) == "bash":
        yield "trap - ERR"
        yield "set +E"
    yield 'cd -- "$b2luigi_folder" || exit 1'


def _running(script: JobScript) -> Iterator[str]:
    program = script.command[0]
    yield _step(f"looking for the program {program} (settings executable, executable_prefix, env_script)")
    yield f"command -v -- {_quote(program)} > /dev/null || exit 127"
    yield f'export {SCRIPT_VARIABLE}="$b2luigi_script"'
    yield f'export {OUTCOME_VARIABLE}="${{b2luigi_token:+$b2luigi_home/$b2luigi_token.outcome}}"'
    yield "b2luigi_step="
    yield " ".join(_quote(word) for word in script.command)
    yield "exit $?"
    yield DESCRIPTION + json.dumps(script.description)


def _quote(text: str) -> str:
    return shlex.quote(text)


def _step(text: str) -> str:
    return f"b2luigi_step={_quote(text)}"


def _inside_quotes(text: str) -> str:
    """Text that may stand within double quotes: a task id has only letters, digits and `_`, or else loses the rest."""
    return re.sub(r"[^\w.\-]", "?", text)
