"""--remove: chooses the tasks, asks for confirmation and removes their outputs."""

from __future__ import annotations

import difflib
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import luigi

from b2luigi.batch.attempts.runs import Runs
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.graph import all_tasks, with_dependents
from b2luigi.core.paths import get_task_file_dir, map_folder
from b2luigi.core.removal import keeping
from b2luigi.core.settings import get_setting
from b2luigi.core.task import Task

EXAMPLE = "    def remove_output(self):\n        ..."


@dataclass(frozen=True)
class Choice:
    """Whose outputs to remove. Names are those of task classes, with or without their namespace."""

    names: Sequence[str]
    keep: Sequence[str] = ()
    with_dependents: bool = True
    """Whether to remove the outputs of tasks that depend on the named ones, too."""
    confirmed: bool = False
    """Do not ask for confirmation."""


def class_names(given: str | Iterable[str | type] | None) -> list[str]:
    """The class names in `A,B` from the command line, or in the names or classes passed to `process`."""
    words = given.split(",") if isinstance(given, str) else given or []
    names = (word if isinstance(word, str) else word.__name__ for word in words)
    return [name.strip() for name in names if name.strip()]


def remove_outputs(tasks: Sequence[luigi.Task], choice: Choice, ask: Callable[[str], str] = input) -> int:
    """Calls `remove_output` of the chosen tasks. Returns the exit code: 1 if something could not be removed.

    Raises ValueError, and removes nothing, for a name that no task of the graph has.
    """
    graph = list(all_tasks(tasks))
    _refuse_unknown([*choice.names, *choice.keep], graph)
    chosen = [task for task in _chosen(graph, choice) if not _is_named(task, choice.keep)]
    return remove_these(chosen, graph, choice.keep, choice.confirmed, ask)


def remove_these(
    chosen: Sequence[luigi.Task],
    graph: Sequence[luigi.Task],
    keep: Sequence[str],
    confirmed: bool,
    ask: Callable[[str], str] = input,
) -> int:
    """Removes the outputs of these tasks of a graph. Returns the exit code: 1 if something could not be removed.

    `keep`: names of classes whose outputs stay, even if another task names them as its own, too.
    """
    removable = [task for task in chosen if is_removable(task)]
    _report_kept([task for task in chosen if not is_removable(task)])
    kept = [task for task in graph if _is_external(task) or _is_named(task, keep)]
    if not removable:
        print("No outputs to remove.")
        return 0
    # Jobs of dependent tasks would lose their inputs.
    runs = Runs(Path(map_folder(get_setting("task_file_dir"))))
    busy = [task for task in with_dependents(graph, set(removable).__contains__) if _has_open_attempt(task, runs)]
    if busy:
        print(_refusal(busy), file=sys.stderr)
        return 1
    try:
        is_confirmed = confirmed or _is_confirmed(removable, ask)
    except EOFError:
        print("\nNothing was removed: cannot ask for confirmation; pass -y to remove without it.", file=sys.stderr)
        return 1
    if is_confirmed:
        with keeping(kept):
            return _remove(removable)
    print("Nothing was removed.")
    return 0


def _chosen(graph: Sequence[luigi.Task], choice: Choice) -> list[luigi.Task]:
    def is_chosen(task: luigi.Task) -> bool:
        return _is_named(task, choice.names)

    return with_dependents(graph, is_chosen) if choice.with_dependents else [task for task in graph if is_chosen(task)]


def _is_named(task: luigi.Task, names: Iterable[str]) -> bool:
    return bool({type(task).__name__, task.get_task_family()} & set(names))


def is_removable(task: luigi.Task) -> bool:
    """Whether its outputs can be removed: a task here makes them, or says itself how to remove them."""
    return callable(getattr(task, "remove_output", None)) and not _is_external(task)


def _is_external(task: luigi.Task) -> bool:
    """Whether nothing here can create the outputs of a task again, unless it says itself how to remove them."""
    own = getattr(type(task), "remove_output", Task.remove_output)
    return task.run in (None, NotImplemented) and own is Task.remove_output


def _refuse_unknown(names: Iterable[str], graph: Iterable[luigi.Task]) -> None:
    known = {name for task in graph for name in (type(task).__name__, task.get_task_family())}
    for name in names:
        if name not in known:
            similar = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"Did you mean {similar[0]}?" if similar else f"Available: {', '.join(sorted(known))}."
            raise BadInputError(f"No task of this graph is named {name}; nothing was removed. {hint}")


def _has_open_attempt(task: luigi.Task, runs: Runs) -> bool:
    try:
        folder = Path(get_task_file_dir(task))
    except (ValueError, AttributeError):  # without a valid path or a script, it cannot have had a job
        return False
    return runs.unfinished(folder) is not None


def _refusal(tasks: Sequence[luigi.Task]) -> str:
    some = "".join(f"\n  {task}" for task in tasks[:5]) + ("\n  ..." if len(tasks) > 5 else "")
    return (
        f"Nothing was removed: {len(tasks)} of the tasks have jobs that may still run and write their outputs:{some}\n"
        "First run the script with --batch to resume these jobs, or with --batch --fresh to cancel them."
    )


def _report_kept(tasks: Sequence[luigi.Task]) -> None:
    external = sorted({task.get_task_family() for task in tasks if _is_external(task)})
    if external:
        print(f"No task creates the outputs of these, so they are kept: {', '.join(external)}.")
    families = sorted({task.get_task_family() for task in tasks if not _is_external(task)})
    if families:
        print(f"These have no method remove_output, so their outputs are kept: {', '.join(families)}.")
        print(f"To remove them, define\n{EXAMPLE}")


def _is_confirmed(tasks: Sequence[luigi.Task], ask: Callable[[str], str]) -> bool:
    for family, count in sorted(Counter(task.get_task_family() for task in tasks).items()):
        print(f"  {family}: {count} task{'' if count == 1 else 's'}")
    return ask("Remove the outputs of these tasks? [y/N] ").strip().lower() in ("y", "yes")


def _remove(tasks: Sequence[luigi.Task]) -> int:
    failed = 0
    for task in tasks:
        try:
            getattr(task, "remove_output")()  # noqa: B009 - the user's own method, or that of Task
        except Exception:
            failed += 1
            print(f"The outputs of {task} could not be removed:\n{traceback.format_exc()}", file=sys.stderr)
    count = "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
    print(f"Called remove_output of {count}{f'; it failed for {failed} of them.' if failed else '.'}")
    return 1 if failed else 0
