"""The text of a job script, and the description of the task that a node reads from it."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT_VARIABLE, OUTCOME_VARIABLE = "B2LUIGI_JOB_SCRIPT", "B2LUIGI_OUTCOME"
"""Environment variables that the job script sets: its own path, which contains the description and shows `b2luigi`
that this is a node, and the path of the outcome."""
SIGNALS = "HUP INT TERM USR1 USR2 XCPU"
"""Signals with which batch systems ask a job to end."""
DESCRIPTION = "#b2luigi-task "
"""Prefix of the last line of a job script: the description of the task, as one line of JSON."""


@dataclass(frozen=True)
class JobScript:
    """The content of a job script. Paths are those of the node."""

    task_id: str
    command: Sequence[str]
    description: Mapping[str, Any] = field(default_factory=dict)
    shell: str = "bash"
    folder: str | None = None
    """Working directory; None: stay where the batch system starts the job."""
    home: str = "."
    """Folder for the outcome; a relative path is relative to `folder`."""
    inbox: str | None = None
    """Folder for the marker; None: `<token>.marker` in the folder of the outcome."""
    logs: str | None = None
    """Folder for stdout and stderr; None: the batch system writes them."""
    env_script: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    own_env: Mapping[str, str] = field(default_factory=dict)
    """Variables of b2luigi itself, set before the user's variables in `env`."""
    umask: int = 0o022


def read_description(script: Path) -> dict[str, Any]:
    """The description of the task in a job script. Raises ValueError if there is no valid one."""
    last = script.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n").rpartition("\n")[2]
    if not last.startswith(DESCRIPTION):
        raise ValueError(f"{script} is not a job script of b2luigi: its last line does not describe a task.")
    description = json.loads(last.removeprefix(DESCRIPTION))
    if not isinstance(description, dict):
        raise ValueError(f"{script}: the description of the task is not a JSON object.")
    return description


def render(script: JobScript) -> str:
    """The text of a job script. All values from settings are quoted, so the shell never interprets them as code."""
    return "\n".join([*_header(script), *_environment(script), *_command(script)]) + "\n"


def _header(script: JobScript) -> Iterator[str]:
    path = script.shell if script.shell.startswith("/") else f"/bin/{script.shell}"
    yield f"#!{path}"
    yield "# Job script of b2luigi. Without arguments, it runs its task in this shell."
    yield "b2luigi_token=${1-}"
    yield 'case "$0" in /*) b2luigi_script=$0 ;; *) b2luigi_script=$PWD/$0 ;; esac'
    yield "set --"
    yield f"umask {script.umask:04o}"
    yield f"b2luigi_home={_quote(script.home)}"
    yield f"b2luigi_inbox={_quote(script.inbox or '')}"
    yield "b2luigi_step='starting'"
    yield "b2luigi_running="
    yield from _exit_trap(script)


def _exit_trap(script: JobScript) -> Iterator[str]:
    """However the job script ends, it prints the reason and writes the marker."""
    marker = "$b2luigi_home/$b2luigi_token.marker" if script.inbox is None else "$b2luigi_inbox/$b2luigi_token"
    yield "b2luigi_end() {"
    yield "    b2luigi_status=$?"
    yield "    trap - EXIT"
    # A shell that is killed by a signal has the exit status of its previous command here, often 0.
    yield '    if [ -n "$b2luigi_running" ]; then'
    yield "        b2luigi_status=143"
    yield '        echo "b2luigi: a signal stopped the job script while the task was running" >&2'
    yield "    fi"
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
    yield 'if [ -n "$b2luigi_token" ] && [ ! -d "$b2luigi_home" ]; then mkdir -p -- "$b2luigi_home"; fi'
    yield from _skip_if_over()
    if script.logs is None:
        # An empty file counts as missing, but the batch system may insist on files to transfer back.
        yield 'if [ -n "$b2luigi_token" ]; then'
        yield '    : > "$b2luigi_home/$b2luigi_token.outcome"'
        yield '    : > "$b2luigi_home/$b2luigi_token.marker"'
        yield "fi"
    else:
        yield from _log_files(script.logs)
    if script.env_script:
        yield from _env_script(script)
    for name, value in {**script.own_env, **script.env}.items():
        yield f"export {name}={_quote(value)}"


def _skip_if_over() -> Iterator[str]:
    """An attempt that was judged or given up does nothing if the batch system starts it again.

    (Slurm restarts jobs that ended while its controller had lost its state.) A missing record means nothing: on a
    shared file system it may appear late.
    """
    yield 'if [ -n "$b2luigi_token" ]; then'
    yield '    [ ! -e "$b2luigi_home/$b2luigi_token.void" ] || b2luigi_over=1'
    # The shell reads the records itself: starting grep would cost more than the rest of the script.
    yield '    for b2luigi_record in "$b2luigi_home"/attempt-*.json; do'
    yield '        [ -f "$b2luigi_record" ] && [ -r "$b2luigi_record" ] || continue'
    yield "        b2luigi_mine= b2luigi_ended="
    yield '        while IFS= read -r b2luigi_line || [ -n "$b2luigi_line" ]; do'
    yield '            case "$b2luigi_line" in'
    yield """            ' "token": "'"$b2luigi_token"'"'*) b2luigi_mine=1 ;;"""
    yield """            ' "ended": '*|' "given_up": '*) b2luigi_ended=1 ;;"""
    yield "            esac"
    yield '        done < "$b2luigi_record"'
    yield '        [ -z "$b2luigi_mine" ] || [ -z "$b2luigi_ended" ] || b2luigi_over=1'
    yield "    done"
    yield '    if [ -n "${b2luigi_over-}" ]; then b2luigi_token= b2luigi_step=; exit 0; fi'
    yield "fi"


def _log_files(logs: str) -> Iterator[str]:
    yield 'if [ -n "$b2luigi_token" ]; then'
    yield "    " + _step(f"opening the log files in {logs}")
    yield f"    [ -d {_quote(logs)} ] || mkdir -p -- {_quote(logs)} || exit 1"
    folder = _quote(logs if logs.endswith("/") else logs + "/")
    yield f"    {{ : > {folder}stdout && : > {folder}stderr; }} || exit 1"
    yield f"    exec > {folder}stdout 2> {folder}stderr"
    yield "fi"


def _env_script(script: JobScript) -> Iterator[str]:
    path = script.env_script if "/" in script.env_script else f"./{script.env_script}"
    yield _step(f"running the env_script {script.env_script}")
    yield f"if [ ! -r {_quote(path)} ]; then"
    yield f'    echo "b2luigi: cannot read the env_script "{_quote(path)}" (searched from $PWD)" >&2'
    yield "    exit 1"
    yield "fi"
    if os.path.basename(script.shell) == "bash":
        yield "set -E"
        yield "trap 'echo \"b2luigi: status $? in line $LINENO of ${BASH_SOURCE[0]}\" >&2' ERR"
    # Without this, a shell killed by a signal may exit with any status, and a held or evicted job would seem failed.
    yield f"trap 'exit 143' {SIGNALS}"
    yield "set -e"
    yield f". {_quote(path)}"
    yield "set +eu"
    yield f"trap - {SIGNALS}"
    if os.path.basename(script.shell) == "bash":
        yield "trap - ERR"
        yield "set +E"
    yield "trap b2luigi_end EXIT"  # restore our trap, in case the env_script set its own
    yield 'cd -- "$b2luigi_folder" || exit 1'


def _command(script: JobScript) -> Iterator[str]:
    program = script.command[0]
    yield _step(f"looking for the program {program} (settings executable, executable_prefix, env_script)")
    yield f"{_is_executable(program)} || exit 127"
    yield f'export {SCRIPT_VARIABLE}="$b2luigi_script"'
    yield f'export {OUTCOME_VARIABLE}="${{b2luigi_token:+$b2luigi_home/$b2luigi_token.outcome}}"'
    yield "b2luigi_step="
    yield "b2luigi_running=1"
    yield " ".join(_quote(word) for word in script.command)
    yield "b2luigi_status=$?"
    yield "b2luigi_running="
    yield 'exit "$b2luigi_status"'
    yield DESCRIPTION + json.dumps(script.description)


def _is_executable(program: str) -> str:
    """Shell test whether a program is executable; for a path, `command -v` of dash only checks that it exists."""
    word = _quote(program)
    return f"{{ [ -f {word} ] && [ -x {word} ]; }}" if "/" in program else f"command -v -- {word} > /dev/null"


def _quote(text: str) -> str:
    return shlex.quote(text)


def _step(text: str) -> str:
    return f"b2luigi_step={_quote(text)}"


def _inside_quotes(text: str) -> str:
    """Makes text safe inside double quotes; a task id normally has only letters, digits and `_`."""
    return re.sub(r"[^\w.\-]", "?", text)
