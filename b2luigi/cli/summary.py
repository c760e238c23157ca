"""luigi's summary of a run, made to work for graphs of any depth, and its exit codes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import luigi.execution_summary
from luigi.retcodes import retcode

from b2luigi.core.process_call import running_call
from b2luigi.core.settings import get_setting

CODES = (
    ("missing_data", "still_pending_ext"),
    ("task_failed", "failed"),
    ("already_running", "run_by_other_worker"),
    ("scheduling_error", "scheduling_error"),
    ("not_run", "not_run"),
)
"""Names in luigi's section [retcode], and the part of its summary that must not be empty. (luigi's documentation.)"""
SUCCESSES = (luigi.LuigiStatusCode.SUCCESS, luigi.LuigiStatusCode.SUCCESS_WITH_RETRY)
"""Results of a run that has done all it was asked for."""
UPSTREAM = (
    ("upstream_failure", ("ever_failed", "upstream_failure")),
    ("upstream_missing_dependency", ("still_pending_ext", "upstream_missing_dependency")),
    ("upstream_run_by_other_worker", ("run_by_other_worker", "upstream_run_by_other_worker")),
    ("upstream_scheduling_error", ("scheduling_error",)),
)
"""Reasons why a task is still pending, and the kinds of requirement that cause them."""


def exit_code(result: Any) -> int:
    """The exit code for the result of a run: that of luigi's section [retcode], or else that of `failure_exit_code`.

    If that is 0, too, the flag --failure-exit-code counts.
    """
    code = _retcode(result.worker)
    if code or result.status in SUCCESSES:
        return code
    return int(get_setting("failure_exit_code")) or running_call().failure_exit_code


def _retcode(worker: Any) -> int:
    """What luigi's section [retcode] sets for the results of a worker; 0 if it sets none."""
    codes = retcode()
    wanted = {name: getattr(codes, name) for name, _ in CODES}
    if not any(wanted.values()) or not worker._add_task_history:
        return 0
    found = luigi.execution_summary._summary_dict(worker)
    code = max(wanted[name] if found[kind] else 0 for name, kind in CODES)
    root = luigi.execution_summary._root_task(worker)
    if not code and root not in found["completed"] and root not in found["already_done"]:
        return int(wanted["not_run"])
    return int(code)


@contextlib.contextmanager
def without_recursion() -> Iterator[None]:
    """Replaces luigi's recursive search for the reasons of pending tasks.

    It fails with a RecursionError in graphs with a thousand levels, after all the work is done. (luigi 3.8.1)
    """
    module: Any = luigi.execution_summary
    former = module._depth_first_search, module._get_str
    module._depth_first_search, module._get_str = explain_pending, functools.partial(_get_str, module._get_str)
    try:
        yield
    finally:
        module._depth_first_search, module._get_str = former


def _get_str(luigis: Callable[[Any, bool], str], tasks: Mapping[str, Any], is_indented: bool) -> str:
    """luigi's lines on tasks by family; shorter lines if it fails on an unhashable value (a dict in a Parameter)."""
    try:
        return luigis(tasks, is_indented)
    except TypeError:
        indent = "    " * (2 if is_indented else 1)
        return "\n".join(f"{indent}- {len(tasks[family])} {family}(...)" for family in sorted(tasks))


def explain_pending(kinds: Mapping[str, set[Any]], task: Any, visited: set[Any]) -> None:
    """Sorts a pending task, and everything it waits for, into kinds by the reason. Same result as luigi's."""
    visited.add(task)
    stack = [(task, iter(_requirements(kinds, task)))]
    while stack:
        task, remaining = stack[-1]
        new = next((one for one in remaining if one not in visited), None)
        if new is not None:
            visited.add(new)
            stack.append((new, iter(_requirements(kinds, new))))
        else:
            stack.pop()
            _explain(kinds, task)


def _requirements(kinds: Mapping[str, set[Any]], task: Any) -> Any:
    return task._requires() if task in kinds["still_pending_not_ext"] else ()


def _explain(kinds: Mapping[str, set[Any]], task: Any) -> None:
    if task not in kinds["still_pending_not_ext"]:
        return
    needed = task._requires()
    reasons = [why for why, causes in UPSTREAM if any(one in kinds[cause] for one in needed for cause in causes)]
    for why in reasons:
        kinds[why].add(task)
    if not reasons and task not in kinds["run_by_other_worker"]:
        kinds["not_run"].add(task)
