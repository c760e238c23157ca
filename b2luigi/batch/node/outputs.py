"""Outputs as a node sees them: whether a task that has run is done, and what is missing of what it requires."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Sequence
from dataclasses import replace

import luigi

from b2luigi.batch.attempts.outcome import DONE, FAILED, Outcome
from b2luigi.core.completeness import can_be_checked, has_own_complete, missing_outputs, name_of

logger = logging.getLogger("luigi-interface.b2luigi")


def checked(task: luigi.Task, outcome: Outcome) -> Outcome:
    """A task whose run() succeeded without creating all outputs has failed, unless its own complete() accepts that."""
    if outcome.status != DONE:
        return outcome
    try:
        missing = missing_outputs(task)
        if not missing or (has_own_complete(task) and task.complete()):
            return replace(outcome, absent=tuple(missing))
    except Exception:
        text = f"run() succeeded, but the outputs could not be checked:\n{traceback.format_exc()}"
        return failed(text)
    paths = [name_of(target) for target in missing.values() if can_be_checked(target)]
    text = _of_missing(task, paths)
    logger.error(text)
    others = f" and {len(paths) - 1} others" if len(paths) > 1 else ""
    return failed(text, f"wrote no output {_short(paths[0])}{others}" if paths else "")


def failed(text: str, headline: str = "") -> Outcome:
    """An outcome: `text` is all that is known, `headline` the same in one line."""
    return Outcome(FAILED, text, headline=headline)


def headline_of_missing(task: luigi.Task, missing: Sequence[str]) -> str:
    """Names what is not there of the first requirement that is not complete; empty if that cannot be known.

    `missing`: luigi's words, which begin with the task id.
    """
    ids = {text.partition(" ")[0] for text in missing}
    try:
        required = next(one for one in task.deps() if one.task_id in ids)
        paths = [name_of(target) for target in missing_outputs(required).values() if can_be_checked(target)]
    except Exception:  # methods of the user's own; they are reported elsewhere
        return ""
    others = f" and {len(missing) - 1} others are not complete" if len(missing) > 1 else " is not complete"
    there = f", {_short(paths[0])} is not there" if paths else ""
    return f"requirement {required}{others}{there}"


def _short(path: str) -> str:
    """A path as the user would type it: relative to the folder in which the task runs, if it is below that."""
    below = os.path.relpath(path) if os.path.isabs(path) else path
    return path if below.startswith(os.pardir) else below


def _of_missing(task: luigi.Task, paths: Sequence[str]) -> str:
    reasons = ["its complete() returns False"] if has_own_complete(task) else []
    if paths:
        others = {1: "", 2: ", nor is 1 other output:"}.get(len(paths), f", nor are {len(paths) - 1} other outputs:")
        reasons.append(f"{paths[0]} is not there{others}")
    return "\n".join([f"run() ended without an error, but {' and '.join(reasons)}", *paths[1:]])
