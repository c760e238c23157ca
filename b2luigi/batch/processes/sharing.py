"""Whether a task shares its job with others, by its settings, and what it brings along then."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import luigi

from b2luigi.batch.packs.share import Share
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.job_script import PACK, JobScript
from b2luigi.core.settings import get_seconds, get_setting

NOT_WITH = ("transfer_files", "apptainer_image")
"""Settings for jobs of which a pack could make nothing."""


def most_tasks_per_job(task: luigi.Task) -> int | None:
    """The setting `tasks_per_job`; None for "auto". Raises BadInputError for a value of another kind.

    Without it, b2luigi 1.3.0's names for the same hold, where nothing else in the settings speaks against it.
    """
    most = get_setting("tasks_per_job", default=_size_of_group(task), task=task)
    return None if most == "auto" else int(most)


def _size_of_group(task: luigi.Task) -> int:
    """`max_grouping_size` of a task with `grouping`."""
    has_group = getattr(task, "has_grouped_params", None)
    size = getattr(task, "max_grouping_size", 1)
    if has_group is None or not isinstance(size, int) or size < 2 or not has_group():
        return 1
    return 1 if any(get_setting(name, task=task) for name in NOT_WITH) else size


def check_sharing(task: luigi.Task) -> None:
    """Raises BadInputError, naming the settings, if a task is to share its job and cannot."""
    if most_tasks_per_job(task) == 1:
        return
    for name in ("tasks_at_once", "pack_mode"):
        get_setting(name, task=task)
    if get_seconds("tasks_per_job_seconds", task=task) <= 0:
        raise BadInputError("tasks_per_job_seconds must be more than 0.")
    for name in NOT_WITH:
        if get_setting(name, task=task):
            raise BadInputError(
                f"tasks_per_job and {name} do not go together: a job with {name} runs one task. Set tasks_per_job to 1 "
                f"for {task.get_task_family()}, or remove {name}."
            )


def share_of(task: luigi.Task, spec: JobSpec, script: JobScript) -> Share | None:
    """What a task brings along that shares its job with others; None if it has one of its own."""
    most = most_tasks_per_job(task)
    if most == 1:
        return None
    check_sharing(task)
    seconds, mode = get_seconds("tasks_per_job_seconds", task=task), get_setting("pack_mode", task=task)
    at_once, family = int(get_setting("tasks_at_once", task=task)), task.get_task_family()
    common = _common(script, task.task_id, at_once, mode)
    facts = (most, seconds, spec.options, str(spec.inbox), vars(common), family if most is None else "")
    key = json.dumps(facts, sort_keys=True, default=repr)
    return Share(key, most, seconds, at_once, family, common, _member(spec, script))


def _common(script: JobScript, task_id: str, at_once: int, mode: str) -> JobScript:
    """What job scripts of different tasks have in common."""
    words = list(script.command)
    place = words.index("--task-id") + 1
    command = [*words[:place], PACK, *words[place + 1 :]]
    description = {
        "task_id": PACK,
        "at_once": at_once,
        "mode": mode,
        "worker": {name: script.description["worker"].get(name) for name in ("call", "result_grace")},
    }
    if "settings" in script.description:
        description["settings"] = script.description["settings"]
    return replace(script, task_id=PACK, command=command, description=description, home="", logs="", record="")


def _member(spec: JobSpec, script: JobScript) -> Mapping[str, Any]:
    return {
        "token": spec.token,
        "below": os.path.relpath(spec.folder, spec.inbox.parent),
        "home": script.home,
        "logs": script.logs,
        "description": script.description,
    }
