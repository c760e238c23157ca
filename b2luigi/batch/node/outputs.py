"""The outputs of a task that has run, as its node sees them: whether it is done."""

from __future__ import annotations

import logging
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
        return Outcome(FAILED, text)
    text = _of_missing(task, [name_of(target) for target in missing.values() if can_be_checked(target)])
    logger.error(text)
    return Outcome(FAILED, text)


def _of_missing(task: luigi.Task, paths: Sequence[str]) -> str:
    reasons = ["its complete() returns False"] if has_own_complete(task) else []
    if paths:
        others = {1: "", 2: ", nor is 1 other output:"}.get(len(paths), f", nor are {len(paths) - 1} other outputs:")
        reasons.append(f"{paths[0]} is not there{others}")
    return "\n".join([f"run() ended without an error, but {' and '.join(reasons)}", *paths[1:]])
