"""The table of all settings of b2luigi: name, kind of value, default, description, unit and former names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from b2luigi.core.setting_kinds import (
    COUNT,
    ENTRIES,
    EXIT_CODE,
    MAKER,
    MAYBE_COUNT,
    MAYBE_PATH,
    NAME,
    OPTIONS,
    PACK_MODE,
    PATH,
    PATHS,
    POSITIVE,
    QUEUE,
    SECONDS,
    SLOTS,
    SWITCH,
    TASKS,
    TEXT,
    WORDS,
    Kind,
)


class UnknownSettingWarning(UserWarning):
    """A setting has a name that is probably misspelled, or no longer has any effect."""


@dataclass(frozen=True)
class Setting:
    """A setting that users set as a task attribute, with `set_setting` or in settings.json.

    `default` applies if it is not set (None: determined where it is used, as the description explains),
    `unit` is the unit of a number ("s" for seconds), `old_names` are still read, with a warning. `merged`: the
    dictionaries of all places are merged, entry by entry. `entry_of`: what makes two keys of them the same entry.
    """

    name: str
    kind: Kind
    default: Any
    description: str
    unit: str = ""
    old_names: tuple[str, ...] = ()
    merged: bool = False
    entry_of: Callable[[str], str] = str


def _htcondor_entry(key: str) -> str:
    """HTCondor reads keys without regard to case, and `+Name` as `MY.Name`."""
    folded = str(key).strip().lower()
    return f"my.{folded[1:]}" if folded.startswith("+") else folded


_ROWS = (
    Setting(
        "result_dir",
        PATH,
        ".",
        "Folder below which outputs are written, relative to the folder of the script.",
        old_names=("result_path",),
    ),
    Setting(
        "log_dir",
        PATH,
        "logs",
        "Folder below which stdout and stderr of each task are written, relative to the folder of the script.",
        old_names=("log_folder",),
    ),
    Setting(
        "task_file_dir",
        PATH,
        "task_files",
        "Folder below which the job script and records of each task are kept, relative to the folder of the script.",
    ),
    Setting(
        "keep_runs",
        COUNT,
        20,
        "How many finished runs keep their journal and log, in the folder runs of task_file_dir; older ones are "
        "removed, except while jobs of theirs may live.",
    ),
    Setting(
        "batch_system",
        TEXT,
        "auto",
        'Batch system that runs the jobs: "lsf", "htcondor", "slurm", "local" (or "test"), "custom" '
        '(see process_class), or "auto" for the first one that answers on this machine.',
    ),
    Setting(
        "use_parameter_name_in_output",
        SWITCH,
        True,
        "Whether folders of outputs and logs are named <parameter>=<value>; false omits the name.",
    ),
    Setting("parameter_separator", TEXT, "=", "Separator between parameter name and value in folder names."),
    Setting(
        "default_task_target_class",
        MAKER,
        None,
        "Target class that add_to_output uses if none is given; None means b2luigi.LocalTarget.",
    ),
    Setting("target_class_kwargs", ENTRIES, {}, "Keyword arguments for every target that add_to_output creates."),
    Setting(
        "allow_shared_outputs",
        SWITCH,
        False,
        "Whether a task may write a file that another task writes, too; if not, nothing is started.",
    ),
    Setting("env_script", MAYBE_PATH, "", "Shell script that the job sources before anything else."),
    Setting("env", ENTRIES, {}, "Environment variables that the job sets after env_script, name to value."),
    Setting(
        "working_dir",
        MAYBE_PATH,
        "",
        "Folder on the node that contains the script and in which the job runs; empty for the folder of the script.",
    ),
    Setting(
        "executable",
        WORDS,
        None,
        "Command that runs the script on the node; None means the current Python interpreter.",
    ),
    Setting(
        "executable_prefix",
        WORDS,
        [],
        "Words in front of the executable, for example the command of a container or a profiler.",
        old_names=("cmd_prefix",),
    ),
    Setting(
        "add_filename_to_cmd", SWITCH, True, "Whether the script's path follows the executable in the job's command."
    ),
    Setting("task_cmd_additional_args", WORDS, [], "Further arguments at the end of the job's command."),
    Setting(
        "apptainer_image",
        MAYBE_PATH,
        "",
        "Container in which the job runs, of Apptainer or Singularity: a file, a folder, or an address such as "
        "docker://python:3; empty for none.",
    ),
    Setting(
        "apptainer_cmd",
        MAYBE_PATH,
        "",
        "Program that runs the container; empty for apptainer, or else singularity, whichever the node has.",
    ),
    Setting(
        "apptainer_mounts",
        PATHS,
        [],
        "Absolute paths that the container shows, or `source:destination[:options]` as for the option --bind.",
    ),
    Setting(
        "apptainer_mount_defaults",
        SWITCH,
        True,
        "Whether the container also shows the folders that every job needs, such as those of script, results and logs.",
    ),
    Setting(
        "apptainer_additional_params",
        OPTIONS,
        "",
        "Further options of `apptainer exec`, such as --nv.",
    ),
    Setting(
        "executable_is_entrypoint",
        SWITCH,
        False,
        "Accepted, without effect on jobs of a script: in b2luigi 1.3.0, it says that the executable of "
        "`b2luigi run` is the program b2luigi itself.",
    ),
    Setting(
        "batch_runner_cli",
        TEXT,
        "b2luigi",
        "Accepted, without effect on jobs of a script: in b2luigi 1.3.0, the command with which jobs of `b2luigi run` "
        "start the program b2luigi.",
    ),
    Setting("shell", TEXT, "bash", "Shell that runs the job script."),
    Setting("job_name", NAME, "", "Name of the jobs in the batch system; empty for a name derived from the task."),
    Setting("queue", QUEUE, "s", "LSF queue; null for the default queue of the cluster."),
    Setting("job_slots", SLOTS, None, "LSF job slots per job; None for the default of the cluster."),
    Setting("lsf_settings", ENTRIES, {}, "Further options of bsub, name to value.", merged=True),
    Setting(
        "htcondor_settings",
        ENTRIES,
        {},
        "Further lines of the HTCondor submit description, name to value.",
        old_names=("htcondor_setting",),
        merged=True,
        entry_of=_htcondor_entry,
    ),
    Setting(
        "slurm_settings", ENTRIES, {}, "Further options of sbatch by their long names, name to value.", merged=True
    ),
    Setting(
        "transfer_files",
        PATHS,
        [],
        'Absolute paths of files and folders that HTCondor copies to the node; needs working_dir ".".',
    ),
    Setting(
        "process_class",
        MAKER,
        None,
        'Subclass of BatchProcess that runs tasks whose batch_system is "custom".',
    ),
    Setting(
        "workers",
        MAYBE_COUNT,
        None,
        "Maximum number of tasks that run at once, with batch of jobs in flight, unless `process` is called with "
        "workers; None means 1, or what luigi's section [core] says, and with batch 1000.",
    ),
    Setting(
        "local_slots",
        MAYBE_COUNT,
        None,
        "Maximum number of tasks that run on this machine at once; None means the number of available processors, "
        "within a job those of the job.",
    ),
    Setting(
        "tasks_per_job",
        TASKS,
        1,
        'How many tasks may share a job, for short tasks: a number, or "auto", which chooses by the tasks that are '
        "ready, the slots, and how long tasks of the class take; each task keeps its own log, result and retries.",
    ),
    Setting(
        "tasks_per_job_seconds",
        SECONDS,
        300,
        'With tasks_per_job "auto": how much work one job may hold; it hands back what it has not begun by then.',
        unit="s",
    ),
    Setting(
        "tasks_at_once",
        POSITIVE,
        1,
        "How many tasks of a shared job run at the same time; ask the batch system for as many cores.",
    ),
    Setting(
        "pack_mode",
        PACK_MODE,
        "fork",
        'How tasks that share a job run: "fork" starts the script once, and copies the process for each task; '
        '"process" starts it anew for each, for scripts that cannot be copied (threads, GPUs, open connections).',
    ),
    Setting("command_timeout", SECONDS, 60, "Maximum duration of a command of the batch system.", unit="s"),
    Setting("poll_interval", SECONDS, 60, "Maximum time between two queries of the batch system.", unit="s"),
    Setting(
        "result_grace",
        SECONDS,
        60,
        "How long after the end of its job a result may still be delayed by a shared file system, and how long a task "
        "waits for a disk that is full or read-only.",
        unit="s",
    ),
    Setting(
        "scratch_dir",
        MAYBE_PATH,
        None,
        "Folder for copies of inputs with on_temporary_files; None means the system's folder for temporary files.",
    ),
    Setting(
        "n_download_threads",
        MAYBE_COUNT,
        2,
        "Maximum number of inputs that on_temporary_files copies at once; None copies them one by one.",
    ),
    Setting(
        "job_retries",
        COUNT,
        2,
        "How often, in one run, a job that was lost through no fault of its task is resubmitted.",
    ),
    Setting(
        "failure_brake",
        COUNT,
        20,
        "How many first jobs of a task class may all fail for the same reason before submission stops; 0: no limit.",
    ),
    Setting(
        "leave_jobs_on_exit",
        SWITCH,
        False,
        "Whether Ctrl-C and SIGTERM leave the jobs in the batch system, so that the next run can resume them.",
    ),
    Setting(
        "failure_exit_code",
        EXIT_CODE,
        0,
        "Exit code of the script if a task failed or was not run; a code of luigi's section [retcode] wins.",
    ),
)

KNOWN: Mapping[str, Setting] = MappingProxyType({row.name: row for row in _ROWS})
"""All settings by name, in the order of the documentation."""

DROPPED_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "batch_status_cache_ttl": "set poll_interval to choose how often the batch system is queried",
    }
)
"""Settings of b2luigi 1.x that have no effect any more, and what to do instead."""

_BY_ANY_NAME = {name: row for row in _ROWS for name in (row.name, *row.old_names)}


def find_setting(name: str) -> Setting | None:
    """The setting with this current or former name; None for a setting of the user's own."""
    return _BY_ANY_NAME.get(name)


def value_problem(name: str, value: Any) -> str:
    """What is wrong with the value of a setting; empty if it is valid, or the setting is the user's own."""
    row = _BY_ANY_NAME.get(name)
    return "" if row is None or row.kind.fits(value) else f"{name} must be {row.kind.words}, not {value!r}"


def name_problem(name: str) -> str:
    """Why the name of a setting is probably a mistake; empty for one of ours or of the user's own."""
    return next(iter(name_problems([name])), "")


def name_problems(names: Iterable[str]) -> dict[str, list[str]]:
    """Maps what is probably wrong with names of settings to these names. All settings of the grid are one problem."""
    found: dict[str, list[str]] = {}
    of_grid = []
    for name in names:
        if name.startswith(GRID):
            of_grid.append(name)
        elif what := _doubt(name):
            found[what] = [name]
    return {**found, **({_of_grid(of_grid): of_grid} if of_grid else {})}


GRID = "gbasf2_"
"""Prefix of the settings for the Belle II grid, of which a script may have twenty."""


def _of_grid(names: list[str]) -> str:
    if len(names) == 1:
        what = f"the setting {names[0]} of b2luigi 1.x has no effect here"
    else:
        what = f"the {len(names)} settings {GRID}... of b2luigi 1.x have no effect here"
    return f"{what}: the Belle II grid is not supported."


def _doubt(name: str) -> str:
    if name in _BY_ANY_NAME:
        return ""
    if name in DROPPED_SETTINGS:
        return f"the setting {name} of b2luigi 1.x has no effect here: {DROPPED_SETTINGS[name]}."
    similar = closest_setting(name)
    return (
        f"there is no setting {name}; did you mean {similar}? "
        "If it is a setting of your own, choose a less similar name." * bool(similar)
    )


def closest_setting(name: str, others: Iterable[str] = ()) -> str:
    """The setting, ours or one of the `others`, that a name probably misspells; empty if there is none."""
    candidates = [
        one
        for one in (*_BY_ANY_NAME, *others)
        if one[:1] == name[:1] and abs(len(one) - len(name)) <= _LENGTH_DIFFERENCE and _share_letters(one, name)
    ]
    if not candidates:
        return ""
    import difflib  # no class without a mistake needs it

    return next(iter(difflib.get_close_matches(name, candidates, n=1, cutoff=_SIMILARITY)), "")


def _share_letters(one: str, other: str) -> bool:
    """Whether two names may be similar enough, whatever the order of their letters."""
    return 2 * (Counter(one) & Counter(other)).total() >= _SIMILARITY * (len(one) + len(other))


_LENGTH_DIFFERENCE = 2
_SIMILARITY = 0.85
