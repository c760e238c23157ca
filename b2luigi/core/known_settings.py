"""Every setting of b2luigi, once: its name, default, unit, one sentence, and the names it had before."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType
from typing import Any


class UnknownSettingWarning(UserWarning):
    """A setting was given by a name that is probably a mistake, or has no effect any more."""


@dataclass(frozen=True)
class Kind:
    """What the values of a setting are: in words, as "has to be ..." goes on, and as types."""

    words: str
    types: tuple[type, ...]

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind; true and false are numbers to Python, but not to us."""
        return isinstance(value, self.types) and (bool in self.types or not isinstance(value, bool))


TEXT = Kind("a text", (str,))
PATH = Kind("a path", (str, os.PathLike))
MAYBE_PATH = Kind("a path", (str, os.PathLike, NoneType))
NAME = Kind("a text or a number", (str, int, float, NoneType))
SWITCH = Kind("true or false", (bool, int))
COUNT = Kind("a whole number", (int,))
MAYBE_COUNT = Kind("a whole number, or null (None in Python)", (int, NoneType))
SECONDS = Kind("a number of seconds", (int, float))
WORDS = Kind('a list of words, as in ["python3"]', (list, tuple, NoneType))
PATHS = Kind("a list of paths", (list, tuple, NoneType))
ENTRIES = Kind("a dictionary", (Mapping, NoneType))
QUEUE = Kind("the name of a queue, or null (None in Python)", (str, int, bool, NoneType))
SLOTS = Kind("a number of slots, or null (None in Python)", (int, str, NoneType))
MAKER = Kind("a class, so that only Python can give it", (Callable, NoneType))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Setting:
    """One setting a user can give as task attribute, with `set_setting` or in settings.json.

    `default` holds when it is given nowhere (None: worked out where it is used, as the description says),
    `unit` is that of a number ("s" for seconds), `old_names` are still read, with a warning.
    """

    name: str
    kind: Kind
    default: Any
    description: str
    unit: str = ""
    old_names: tuple[str, ...] = ()


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
        "Folder below which each task has its stdout and stderr, relative to the folder of the script.",
        old_names=("log_folder",),
    ),
    Setting(
        "task_file_dir",
        PATH,
        "task_files",
        "Folder below which each task has its job script and records, relative to the folder of the script.",
    ),
    Setting(
        "batch_system",
        TEXT,
        "auto",
        'Batch system that runs the jobs: "lsf", "htcondor", "slurm", "local", "custom" (see '
        'process_class), or "auto" for the one found on this machine.',
    ),
    Setting(
        "use_parameter_name_in_output",
        SWITCH,
        True,
        "Whether folders of outputs and logs are called <parameter>=<value>; false leaves only the value.",
    ),
    Setting("parameter_separator", TEXT, "=", "Text between a parameter's name and its value in folder names."),
    Setting(
        "default_task_target_class",
        MAKER,
        None,
        "Target class that add_to_output makes when none is given; None stands for b2luigi.LocalTarget.",
    ),
    Setting("target_class_kwargs", ENTRIES, {}, "Keyword arguments for every target that add_to_output makes."),
    Setting("env_script", MAYBE_PATH, "", "Bash script that the job sources before anything else."),
    Setting("env", ENTRIES, {}, "Environment variables that the job sets after env_script, name to value."),
    Setting(
        "working_dir",
        MAYBE_PATH,
        "",
        "Folder on the node where the script lies and the job runs; empty for the folder of the script.",
    ),
    Setting(
        "executable",
        WORDS,
        None,
        "Words of the command that runs the script on the node; None stands for the Python running now.",
    ),
    Setting(
        "executable_prefix",
        WORDS,
        [],
        "Words put before the executable, for example those of a container or a profiler.",
        old_names=("cmd_prefix",),
    ),
    Setting(
        "add_filename_to_cmd", SWITCH, True, "Whether the script's path follows the executable in the job's command."
    ),
    Setting("task_cmd_additional_args", WORDS, [], "Words added at the end of the job's command."),
    Setting("shell", TEXT, "bash", "Shell that runs the job script."),
    Setting("job_name", NAME, "", "Name that the jobs show in the batch system; empty for a name made from the task."),
    Setting("queue", QUEUE, "s", "LSF queue; null leaves the choice to the cluster."),
    Setting("job_slots", SLOTS, None, "LSF job slots of a job; None leaves them to the cluster."),
    Setting("lsf_settings", ENTRIES, {}, "Further options of bsub, name to value."),
    Setting(
        "htcondor_settings",
        ENTRIES,
        {},
        "Further lines of the HTCondor submit description, name to value.",
        old_names=("htcondor_setting",),
    ),
    Setting("slurm_settings", ENTRIES, {}, "Further options of sbatch by their long names, name to value."),
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
        'Class derived from BatchProcess that runs tasks whose batch_system is "custom".',
    ),
    Setting(
        "local_slots",
        MAYBE_COUNT,
        None,
        "Most tasks that run on this machine at once; None stands for the number of processors we may use.",
    ),
    Setting("command_timeout", SECONDS, 60, "Longest time one command of the batch system may take.", unit="s"),
    Setting("poll_interval", SECONDS, 60, "Longest wait between two queries of the batch system.", unit="s"),
    Setting(
        "result_grace",
        SECONDS,
        60,
        "How long after the end of its job a result may still be on its way through a shared file system.",
        unit="s",
    ),
    Setting(
        "scratch_dir",
        MAYBE_PATH,
        None,
        "Folder for copies of inputs with on_temporary_files; None stands for the folder for temporary files.",
    ),
    Setting(
        "n_download_threads",
        MAYBE_COUNT,
        2,
        "Most inputs that are copied at once with on_temporary_files; None copies them one by one.",
    ),
    Setting(
        "job_retries",
        COUNT,
        2,
        "How often a job that was lost by no fault of its task is submitted again, in one run.",
    ),
    Setting(
        "failure_brake",
        COUNT,
        20,
        "When so many first jobs of a task class have all failed for the same reason, no more are submitted; 0: never.",
    ),
    Setting(
        "leave_jobs_on_exit",
        SWITCH,
        False,
        "Whether Ctrl-C and SIGTERM leave the jobs in the batch system, for the next run to go on with.",
    ),
)

KNOWN: Mapping[str, Setting] = MappingProxyType({row.name: row for row in _ROWS})
"""All settings by name, in the order in which the documentation shows them."""

DROPPED: Mapping[str, str] = MappingProxyType(
    {
        "apptainer_image": "put the container into executable_prefix, as in "
        '["apptainer", "exec", "image.sif"], and its Python into executable',
        "apptainer_cmd": "the command stands in executable_prefix",
        "apptainer_mounts": 'mounts stand in executable_prefix, as in ["apptainer", "exec", "--bind", "/data", ...]',
        "apptainer_mount_defaults": "all mounts are those of executable_prefix",
        "apptainer_additional_params": "they stand in executable_prefix",
        "batch_status_cache_ttl": "how often the batch system is asked is poll_interval",
    }
)
"""Settings of b2luigi 1.x that have no effect, and what to do instead."""

_BY_ANY_NAME = {name: row for row in _ROWS for name in (row.name, *row.old_names)}


def known(name: str) -> Setting | None:
    """The setting of this name, also by a name it had before; None for a setting of the user's own."""
    return _BY_ANY_NAME.get(name)


def wrong(name: str, value: Any) -> str:
    """What is wrong with a value given for a setting; empty if nothing is, or it is a setting of the user's own."""
    row = _BY_ANY_NAME.get(name)
    return "" if row is None or row.kind.fits(value) else f"{name} has to be {row.kind.words}, but it is {value!r}"


def doubt(name: str) -> str:
    """Why a name that was given is probably a mistake; empty for a setting of ours or of the user's own."""
    if name in _BY_ANY_NAME:
        return ""
    instead = "the Belle II grid is not supported" if name.startswith("gbasf2_") else DROPPED.get(name)
    if instead is not None:
        return f"the setting {name} of b2luigi 1.x has no effect here: {instead}."
    near = nearest(name)
    return f"there is no setting {name}; did you mean {near}? Settings of your own are best named otherwise." * bool(
        near
    )


def nearest(name: str, others: Iterable[str] = ()) -> str:
    """The setting, ours or one of the `others`, that a name is probably a misspelling of; empty if there is none."""
    close = [
        one for one in (*_BY_ANY_NAME, *others) if one[:1] == name[:1] and abs(len(one) - len(name)) <= _LENGTHS_APART
    ]
    return next(iter(difflib.get_close_matches(name, close, n=1, cutoff=_CLOSE)), "")


_LENGTHS_APART = 2
_CLOSE = 0.85
