"""Every setting of b2luigi, once: its name, default, unit, one sentence, and the names it had before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One setting a user can give as task attribute, with `set_setting` or in settings.json.

    `default` holds when it is given nowhere (None: worked out where it is used, as the description says),
    `unit` is that of a number ("s" for seconds), `old_names` are still read, with a warning.
    """

    name: str
    default: Any
    description: str
    unit: str = ""
    old_names: tuple[str, ...] = ()


_ROWS = (
    Setting(
        "result_dir",
        ".",
        "Folder below which outputs are written, relative to the folder of the script.",
        old_names=("result_path",),
    ),
    Setting(
        "log_dir",
        "logs",
        "Folder below which each task has its stdout and stderr, relative to the folder of the script.",
        old_names=("log_folder",),
    ),
    Setting(
        "task_file_dir",
        "task_files",
        "Folder below which each task has its job script and records, relative to the folder of the script.",
    ),
    Setting(
        "batch_system",
        "auto",
        'Batch system that runs the jobs: "lsf", "htcondor", "slurm", "local", "custom" (see '
        'process_class), or "auto" for the one found on this machine.',
    ),
    Setting(
        "use_parameter_name_in_output",
        True,
        "Whether folders of outputs and logs are called <parameter>=<value>; false leaves only the value.",
    ),
    Setting("parameter_separator", "=", "Text between a parameter's name and its value in folder names."),
    Setting(
        "default_task_target_class",
        None,
        "Target class that add_to_output makes when none is given; None stands for b2luigi.LocalTarget.",
    ),
    Setting("target_class_kwargs", {}, "Keyword arguments for every target that add_to_output makes."),
    Setting("env_script", "", "Bash script that the job sources before anything else."),
    Setting("env", {}, "Environment variables that the job sets after env_script, name to value."),
    Setting(
        "working_dir",
        "",
        "Folder on the node where the script lies and the job runs; empty for the folder of the script.",
    ),
    Setting(
        "executable",
        None,
        "Words of the command that runs the script on the node; None stands for the Python running now.",
    ),
    Setting(
        "executable_prefix",
        [],
        "Words put before the executable, for example those of a container or a profiler.",
        old_names=("cmd_prefix",),
    ),
    Setting("add_filename_to_cmd", True, "Whether the script's path follows the executable in the job's command."),
    Setting("task_cmd_additional_args", [], "Words added at the end of the job's command."),
    Setting("shell", "bash", "Shell that runs the job script."),
    Setting("job_name", "", "Name that the jobs show in the batch system; empty for a name made from the task."),
    Setting("queue", "s", "LSF queue; null leaves the choice to the cluster."),
    Setting("job_slots", None, "LSF job slots of a job; None leaves them to the cluster."),
    Setting("lsf_settings", {}, "Further options of bsub, name to value."),
    Setting(
        "htcondor_settings",
        {},
        "Further lines of the HTCondor submit description, name to value.",
        old_names=("htcondor_setting",),
    ),
    Setting("slurm_settings", {}, "Further options of sbatch by their long names, name to value."),
    Setting(
        "transfer_files",
        [],
        'Absolute paths of files and folders that HTCondor copies to the node; needs working_dir ".".',
    ),
    Setting(
        "process_class",
        None,
        'Class derived from BatchProcess that runs tasks whose batch_system is "custom".',
    ),
    Setting(
        "local_slots",
        None,
        "Most tasks that run on this machine at once; None stands for the number of processors we may use.",
    ),
    Setting("command_timeout", 60, "Longest time one command of the batch system may take.", unit="s"),
    Setting("poll_interval", 60, "Longest wait between two queries of the batch system.", unit="s"),
    Setting(
        "result_grace",
        60,
        "How long after the end of its job a result may still be on its way through a shared file system.",
        unit="s",
    ),
    Setting(
        "scratch_dir",
        None,
        "Folder for copies of inputs with on_temporary_files; None stands for the folder for temporary files.",
    ),
    Setting(
        "n_download_threads",
        2,
        "Most inputs that are copied at once with on_temporary_files; None copies them one by one.",
    ),
    Setting(
        "job_retries",
        2,
        "How often a job that was lost by no fault of its task is submitted again, in one run.",
    ),
    Setting(
        "failure_brake",
        20,
        "When so many first jobs of a task class have all failed for the same reason, no more are submitted; 0: never.",
    ),
    Setting(
        "leave_jobs_on_exit",
        False,
        "Whether Ctrl-C and SIGTERM leave the jobs in the batch system, for the next run to go on with.",
    ),
)

KNOWN: Mapping[str, Setting] = MappingProxyType({row.name: row for row in _ROWS})
"""All settings by name, in the order in which the documentation shows them."""
