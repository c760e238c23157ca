"""The text of a job script, and the description of the task that a node reads from it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from b2luigi.core.container import Container  # nodes read job scripts, and need not import it

SCRIPT_VARIABLE, OUTCOME_VARIABLE = "B2LUIGI_JOB_SCRIPT", "B2LUIGI_OUTCOME"
"""Environment variables that the job script sets: its own path, which contains the description and shows `b2luigi`
that this is a node, and the path of the outcome."""
BEGUN_VARIABLE = "B2LUIGI_BEGUN"
"""Names a file that exists while the node is at work on the task. Programs that know nothing of it do no harm."""
PACK_VARIABLE = "B2LUIGI_PACK"
"""Names the process of the pack that has started this job script, and with which it ends."""
CUT_SHORT, UNRECORDED, DONE_UNRECORDED = 117, 118, 119
"""Exit codes of job scripts: the program ended with 0 while the node was at work on the task; the node could not write
the outcome, which is not that the task is done; the task is done, and the node could not write that.

In no list of common exit codes; below 126, which shells need for themselves.
"""
MEMORY_LINE = "memory of the job in bytes: peak"
"""Starts the line with which the job script of a task that was killed says how much memory its cgroup had."""
BEGUN_LINE = "the task had begun; its largest process in bytes:"
"""Starts the line with which it says that a program ended in the middle of the task, not before it."""
SIGNALS = ("HUP", "INT", "TERM", "USR1", "USR2", "XCPU")
"""Signals with which batch systems ask a job to end."""
INSIDE = "--inside"
"""First argument of a job script that is started again, in its container."""
SHELLS_OF_POSIX = ("sh", "bash", "dash")
"""Shells in which `command exec` opens files like `exec`, and does not end the shell if it cannot."""
PACK = "b2luigi-pack"
"""In place of a task id: the job script runs several tasks."""
MEMBER = "--member"
"""Second argument of a job script that a pack has started: the pack reports how its task has ended."""
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
    grace: float = 0.0
    """Seconds for which the marker is tried to be written."""
    container: Container | None = None
    """Where the environment is set up and the command runs; None: on the node itself."""
    record: str = ""
    """Name of the record of the attempt for which it was written; jobs of other attempts may run it, too."""


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
    yield f"#!{_path_of_shell(script)}"
    yield "# Job script of b2luigi. Without arguments, it runs its task in this shell."
    if script.container is not None:
        yield from _inside(script)
    yield "b2luigi_token=${1-} b2luigi_member=${2-}"
    yield 'case "$0" in /*) b2luigi_script=$0 ;; *) b2luigi_script=$PWD/$0 ;; esac'
    yield "set --"
    yield f"umask {script.umask:04o}"
    yield f"b2luigi_home={_quote(script.home)}"
    yield f"b2luigi_inbox={_quote(script.inbox or '')}"
    yield "b2luigi_step='starting' b2luigi_seen=none b2luigi_over="
    yield from _memory()
    yield from _exit_trap(script)
    yield "b2luigi_untrapped=1"
    yield "trap b2luigi_end EXIT"  # first: with these two the other way round, bash forgets it when a signal comes
    yield from _traps()
    yield "b2luigi_untrapped="


def _path_of_shell(script: JobScript) -> str:
    return script.shell if script.shell.startswith("/") else f"/bin/{script.shell}"


def _inside(script: JobScript) -> Iterator[str]:
    """What the job script does when it is started again, in its container, which may have cleared the environment.

    It gets folders as arguments, but no values: other users of the node see the arguments of its processes.
    """
    yield f'if [ "${{1-}}" = {INSIDE} ]; then'
    yield f"b2luigi_folder=$2 b2luigi_inside=$5 {SCRIPT_VARIABLE}=$0 {OUTCOME_VARIABLE}=$3 {BEGUN_VARIABLE}=$4"
    yield f"export {SCRIPT_VARIABLE} {OUTCOME_VARIABLE} {BEGUN_VARIABLE}"
    yield '[ -z "$6" ] || export TMPDIR="$6"'
    yield "set --"
    yield f"umask {script.umask:04o}"
    yield "b2luigi_end() {"
    yield "    b2luigi_status=$?"
    yield f"    trap - EXIT; trap '' {' '.join(SIGNALS)}"
    yield '    [ "$b2luigi_status" -ne 0 ] || b2luigi_status=1'
    job = f"the job of task {_inside_quotes(script.task_id)}"
    yield '    b2luigi_where="in the container on node $(uname -n) (exit status $b2luigi_status)"'
    yield f'    [ "$b2luigi_status" -gt 128 ] || echo "b2luigi: {job} ended while $b2luigi_step, $b2luigi_where" >&2'
    yield '    exit "$b2luigi_status"'
    yield "}"
    yield "trap b2luigi_end EXIT"
    yield from _traps()
    yield _step("writing to the folder for task files (settings task_file_dir, apptainer_mounts)")
    yield '{ true > "$b2luigi_inside"; } 2> /dev/null || [ -w "${b2luigi_inside%/*}" ] || exit 1'
    yield _step("changing to the folder of the script (settings working_dir, apptainer_mounts)")
    yield 'cd -- "$b2luigi_folder" || exit 1'
    yield from _variables(script)
    yield from _search_for(script.command[0], "executable, executable_prefix, env_script, apptainer_mounts")
    yield _step("starting the program")
    yield "exec " + " ".join(_quote(word) for word in script.command)
    yield "fi"


_FOR_INSIDE = (
    *(INSIDE, '"$b2luigi_folder"', f'"${OUTCOME_VARIABLE}"', '"$b2luigi_begun"'),
    *('"$b2luigi_inside"', '"$b2luigi_tmp"'),
)
"""The arguments of the job script that is started again."""


def _traps() -> Iterator[str]:
    """Without them bash reports the status of any earlier line when a signal ends it, and dash reports nothing."""
    for name in SIGNALS:
        yield f"trap 'exit {128 + signal.Signals[f'SIG{name}']}' {name}"


def _exit_trap(script: JobScript) -> Iterator[str]:
    """However the job script ends, it prints the reason and writes the marker."""
    marker = "$b2luigi_home/$b2luigi_token.marker" if script.inbox is None else "$b2luigi_inbox/$b2luigi_token"
    yield "b2luigi_look() {"
    yield '    [ "$b2luigi_seen" = none ] || return 0'
    yield '    [ ! -s "$b2luigi_home/$b2luigi_token.outcome" ] || b2luigi_seen=outcome'
    yield "}"
    yield "b2luigi_end() {"
    yield "    b2luigi_status=$?"
    yield f"    trap - EXIT; trap '' {' '.join(SIGNALS)}"
    if script.container is not None:
        yield from script.container.end()
    yield '    [ -z "$b2luigi_untrapped" ] || b2luigi_status=143'
    yield '    if [ -n "$b2luigi_step" ]; then'
    yield '        [ "$b2luigi_status" -ne 0 ] || b2luigi_status=1'
    job = f"the job of task {_inside_quotes(script.task_id)}"
    yield f'        b2luigi_what="{job} ended"'
    yield f'        [ "$b2luigi_status" -le 128 ] || b2luigi_what="a signal stopped {job}"'
    yield '        b2luigi_where="on node $(uname -n) (exit status $b2luigi_status)"'
    yield '        echo "b2luigi: $b2luigi_what while $b2luigi_step, $b2luigi_where" >&2'
    yield "    fi"
    yield '    [ "$b2luigi_status" -ne 137 ] || b2luigi_memory'
    yield '    if [ -n "$b2luigi_token" ] && [ -z "$b2luigi_member" ]; then'
    yield "        b2luigi_look"
    yield f'        b2luigi_marker="{marker}"'
    yield f"        b2luigi_tries={int(script.grace)}"
    yield '        until { echo "$b2luigi_status $b2luigi_seen" > "$b2luigi_marker.part" &&'
    yield '            mv "$b2luigi_marker.part" "$b2luigi_marker"; } 2> /dev/null'
    yield "        do"  # a full disk; without the folder there is nobody who would read the marker
    yield '            [ -d "${b2luigi_marker%/*}" ] && [ "$b2luigi_tries" -gt 0 ] || break'
    yield "            b2luigi_tries=$((b2luigi_tries - 1)); sleep 1"
    yield "        done"
    yield "    fi"
    yield '    exit "$b2luigi_status"'
    yield "}"


def _memory() -> Iterator[str]:
    """Prints, for a job that was killed, the memory of its cgroup, as long as there is one: nobody else may say it.

    Only that of the job counts, which has a name like job_12, job.12.1 or condor_..._slot1_1@...: others may share any
    other one. (Files: cgroups(7) and the kernel's documentation, version 2 and 1.)
    """
    yield "b2luigi_memory() {"
    yield "    while IFS=: read -r b2luigi_id b2luigi_control b2luigi_group; do"
    yield '        case ",$b2luigi_control," in'
    yield "            ,,) b2luigi_base=/sys/fs/cgroup b2luigi_max=max b2luigi_events=events b2luigi_peak=peak ;;"
    yield "            *,memory,*) b2luigi_base=/sys/fs/cgroup/memory b2luigi_max=limit_in_bytes"
    yield "                b2luigi_events=oom_control b2luigi_peak=max_usage_in_bytes ;;"
    yield "            *) continue ;;"
    yield "        esac"
    yield "        while :; do"
    yield '            case "$b2luigi_group" in */job[_.-][0-9]*|*/job[0-9]*|*/condor_*slot*) ;; *) break ;; esac'
    yield '            b2luigi_files="$b2luigi_base$b2luigi_group/memory"'
    yield '            if read -r b2luigi_limit < "$b2luigi_files.$b2luigi_max" && [ "$b2luigi_limit" != max ] &&'
    yield '                read -r b2luigi_most < "$b2luigi_files.$b2luigi_peak"; then'
    yield "                b2luigi_kills=0"
    yield "                while read -r b2luigi_name b2luigi_number; do"
    yield '                    [ "$b2luigi_name" != oom_kill ] || b2luigi_kills=$b2luigi_number'
    yield '                done < "$b2luigi_files.$b2luigi_events"'
    yield f'                b2luigi_said="{MEMORY_LINE} $b2luigi_most, limit $b2luigi_limit"'
    yield '                echo "b2luigi: $b2luigi_said, killed $b2luigi_kills" >&3'
    yield "                return"
    yield "            fi"
    yield "            b2luigi_group=${b2luigi_group%/*}"
    yield "        done"
    yield "    done < /proc/self/cgroup"
    yield "} 3>&2 2> /dev/null"


def _environment(script: JobScript) -> Iterator[str]:
    if script.folder is not None:
        yield _step(f"changing to the folder {script.folder} (setting working_dir)")
        # Where the job starts there already: `cd` looks at each folder of the path.
        yield f'[ "$PWD" = {_quote(script.folder)} ] || cd -- {_quote(script.folder)} || exit 1'
    yield "b2luigi_folder=$PWD"
    for name in ("b2luigi_home", "b2luigi_inbox"):
        yield f'case "${name}" in /*) ;; *) {name}=$PWD/${name} ;; esac'
    yield from _skip_if_over(script.record)
    if script.logs is None:
        # An empty file counts as missing, but the batch system may insist on files to transfer back.
        yield 'if [ -n "$b2luigi_token" ]; then'
        yield '    : > "$b2luigi_home/$b2luigi_token.outcome"'
        yield '    : > "$b2luigi_home/$b2luigi_token.marker"'
        yield "fi"
    else:
        yield from _log_files(script)
    if script.container is None:
        yield from _variables(script)


def _variables(script: JobScript) -> Iterator[str]:
    if script.env_script:
        yield from _env_script(script)
    for name, value in {**script.own_env, **script.env}.items():
        yield f"export {name}={_quote(value)}"


def _skip_if_over(record: str) -> Iterator[str]:
    """An attempt that was judged or given up does nothing if the batch system starts it again.

    (Slurm restarts jobs that ended while its controller had lost its state.) A missing record means nothing: on a
    shared file system it may appear late.
    """
    # The shell reads the records itself: starting grep would cost more than the rest of the script.
    yield "b2luigi_read() {"
    yield '    [ -f "$1" ] || return 0'
    yield "    b2luigi_mine= b2luigi_ended="
    yield '    while IFS= read -r b2luigi_line || [ -n "$b2luigi_line" ]; do'
    yield '        case "$b2luigi_line" in'
    yield """        ' "token": "'"$b2luigi_token"'"'*) b2luigi_mine=1 ;;"""
    yield """        ' "ended": '*|' "given_up": '*) b2luigi_ended=1 ;;"""
    yield "        esac"
    yield '    done 2> /dev/null < "$1"'  # it may be another user's
    yield '    [ -z "$b2luigi_mine" ] || [ -z "$b2luigi_ended" ] || b2luigi_over=1'
    yield "}"
    yield 'if [ -n "$b2luigi_token" ]; then'
    yield "    " + _step("reading the records of its attempts")
    yield '    [ ! -e "$b2luigi_home/$b2luigi_token.void" ] || b2luigi_over=1'
    yield "    b2luigi_mine="
    if record:
        yield f'    b2luigi_read "$b2luigi_home"/{_quote(record)}'
    # A job of another attempt, or a record that appears late.
    yield '    if [ -z "$b2luigi_mine" ]; then'
    yield '        for b2luigi_record in "$b2luigi_home"/attempt-*.json; do'
    yield '            b2luigi_read "$b2luigi_record"'
    yield '            [ -z "$b2luigi_mine" ] || break'
    yield "        done"
    yield "    fi"
    yield '    if [ -n "$b2luigi_over" ]; then b2luigi_token= b2luigi_step=; exit 0; fi'
    yield '    [ -n "$b2luigi_mine" ] || [ -d "$b2luigi_home" ] || mkdir -p -- "$b2luigi_home"'
    yield "fi"


def _log_files(script: JobScript) -> Iterator[str]:
    logs = script.logs or ""
    yield 'if [ -n "$b2luigi_token" ]; then'
    yield "    " + _step(f"opening the log files in {logs}")
    yield f"    [ -d {_quote(logs)} ] || mkdir -p -- {_quote(logs)} || exit"
    folder = _quote(logs if logs.endswith("/") else logs + "/")
    # Not `exec` alone, with which dash ends on the spot, trap or no trap, if a signal comes while it opens a file.
    if os.path.basename(script.shell) in SHELLS_OF_POSIX:
        yield f"    command exec > {folder}stdout 2> {folder}stderr || exit 1"
    else:
        yield f"    {{ true > {folder}stdout && true > {folder}stderr; }} || exit 1"
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
    yield "set -e"
    yield f". {_quote(path)}"
    yield "set +eu"
    if os.path.basename(script.shell) == "bash":
        yield "trap - ERR"
        yield "set +E"
    yield "trap b2luigi_end EXIT"  # an env_script with traps of its own would take our marker away
    yield from _traps()
    yield 'cd -- "$b2luigi_folder" || exit 1'


def _command(script: JobScript) -> Iterator[str]:
    if script.container is None:
        yield from _search_for(script.command[0], "executable, executable_prefix, env_script")
    else:
        yield from script.container.preparation()
    yield f'export {SCRIPT_VARIABLE}="$b2luigi_script"'
    yield f'export {OUTCOME_VARIABLE}="${{b2luigi_token:+$b2luigi_home/$b2luigi_token.outcome}}"'
    yield 'b2luigi_begun="$b2luigi_home/${b2luigi_token:-by-hand-$$}.begun"'
    yield f'export {BEGUN_VARIABLE}="$b2luigi_begun"'
    yield _step("running the task" if script.container is None else script.container.step)
    yield "b2luigi_untrapped=1"
    yield f"trap - {' '.join(SIGNALS)}"  # with a trap the shell would wait for the end of the program
    if script.container is None:
        yield " ".join(_quote(word) for word in script.command)
        yield "b2luigi_status=$?"
    else:
        yield script.container.entry(_quote(_path_of_shell(script)), '"$b2luigi_script"', *_FOR_INSIDE)
        yield "b2luigi_status=$?"
        yield from script.container.exit_unless_entered()
    yield "b2luigi_step= b2luigi_untrapped="
    yield from _traps()
    yield from _cut_short()
    yield 'exit "$b2luigi_status"'
    yield DESCRIPTION + json.dumps(script.description)


def _cut_short() -> Iterator[str]:
    """An exit code of 0 says nothing if the node noted that it began, and left no outcome: `exit(0)` in a library."""
    yield '[ -z "$b2luigi_token" ] || b2luigi_look'
    yield 'if [ "$b2luigi_seen" = none ] && [ -e "$b2luigi_begun" ]; then'
    yield '    if [ "$b2luigi_status" -eq 0 ]; then'
    yield f"        b2luigi_status={CUT_SHORT}"
    yield '        echo "b2luigi: the program ended with exit code 0 in the middle of the task" >&2'
    yield '    elif [ "$b2luigi_status" -ne 0 ]; then'
    yield '        read -r b2luigi_most < "$b2luigi_begun" || b2luigi_most=unknown'
    yield f'        echo "b2luigi: {BEGUN_LINE} $b2luigi_most" >&2'
    yield "    fi"
    yield '    rm -f -- "$b2luigi_begun"'
    yield "fi"


def _search_for(program: str, settings: str) -> Iterator[str]:
    yield _step(f"looking for the program {program} (settings {settings})")
    yield f"{_is_executable(program)} || exit 127"


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
