"""--remove: which tasks lose their outputs, the question before, and the doing."""

from __future__ import annotations

import difflib
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import luigi

from b2luigi.batch.attempts.record import Record
from b2luigi.core.graph import all_tasks, with_dependents
from b2luigi.core.paths import get_task_file_dir

EXAMPLE = "    def remove_output(self):\n        self._remove_output()"


@dataclass(frozen=True)
class Choice:
    """What is to be removed. Names are those of task classes, with or without their namespace."""

    names: Sequence[str]
    keep: Sequence[str] = ()
    with_dependents: bool = True
    """Whether the outputs of tasks that depend on the named ones go, too: they were made from them."""
    confirmed: bool = False
    """Nobody needs to be asked."""


def class_names(given: str | Iterable[str | type] | None) -> list[str]:
    """The names of classes in `A,B` of the command line, or in the names or classes that `process` was given."""
    words = given.split(",") if isinstance(given, str) else given or []
    names = (word if isinstance(word, str) else word.__name__ for word in words)
    return [name.strip() for name in names if name.strip()]


def remove_outputs(tasks: Sequence[luigi.Task], choice: Choice, ask: Callable[[str], str] = input) -> int:
    """Calls `remove_output` of the chosen tasks; returns the exit code: 0 if all that was to go is gone.

    Raises ValueError, and removes nothing, for a name no task of the graph has.
    """
    graph = list(all_tasks(tasks))
    _refuse_unknown([*choice.names, *choice.keep], graph)
    chosen = [task for task in _chosen(graph, choice) if not _is_called(task, choice.keep)]
    able = [task for task in chosen if _is_able(task)]
    _tell_unable([task for task in chosen if not _is_able(task)])
    if not able:
        print("No outputs are to be removed.")
        return 0
    # Those that depend on what goes would lose their inputs.
    busy = [task for task in with_dependents(graph, set(able).__contains__) if _has_open_attempt(task)]
    if busy:
        print(_of_jobs(busy), file=sys.stderr)
        return 1
    if choice.confirmed:
        return _remove(able)
    try:
        is_confirmed = _is_confirmed(able, ask)
    except EOFError:
        print("\nNothing was removed: nobody is there to be asked; with -y nobody needs to be.", file=sys.stderr)
        return 1
    if is_confirmed:
        return _remove(able)
    print("Nothing was removed.")
    return 0


def _chosen(graph: Sequence[luigi.Task], choice: Choice) -> list[luigi.Task]:
    def is_named(task: luigi.Task) -> bool:
        return _is_called(task, choice.names)

    return with_dependents(graph, is_named) if choice.with_dependents else [task for task in graph if is_named(task)]


def _is_called(task: luigi.Task, names: Iterable[str]) -> bool:
    return bool({type(task).__name__, task.get_task_family()} & set(names))


def _is_able(task: luigi.Task) -> bool:
    return callable(getattr(task, "remove_output", None))


def _refuse_unknown(names: Iterable[str], graph: Iterable[luigi.Task]) -> None:
    known = {name for task in graph for name in (type(task).__name__, task.get_task_family())}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There is {', '.join(sorted(known))}."
            raise ValueError(f"No task of this graph is called {name}; nothing was removed. {hint}")


def _has_open_attempt(task: luigi.Task) -> bool:
    try:
        folder = Path(get_task_file_dir(task))
    except (ValueError, AttributeError):  # no such path, or no script: it had no job either
        return False
    try:
        return Record.last(folder)[1] is not None
    except ValueError:  # it is another user's
        return True


def _of_jobs(tasks: Sequence[luigi.Task]) -> str:
    some = "".join(f"\n  {task}" for task in tasks[:5]) + ("\n  ..." if len(tasks) > 5 else "")
    return (
        f"Nothing was removed: {len(tasks)} of the tasks have jobs that may still run and write their outputs:{some}\n"
        "Run the script with --batch to go on with them, or with --batch --fresh to cancel them, before."
    )


def _tell_unable(tasks: Sequence[luigi.Task]) -> None:
    families = sorted({task.get_task_family() for task in tasks})
    if families:
        print(f"No method remove_output, so their outputs stay: {', '.join(families)}. To have them removed, define")
        print(EXAMPLE)


def _is_confirmed(tasks: Sequence[luigi.Task], ask: Callable[[str], str]) -> bool:
    for family, count in sorted(Counter(task.get_task_family() for task in tasks).items()):
        print(f"  {family}: {count} task{'' if count == 1 else 's'}")
    return ask("Remove the outputs of these tasks? [y/N] ").strip().lower() in ("y", "yes")


def _remove(tasks: Sequence[luigi.Task]) -> int:
    failed = 0
    for task in tasks:
        try:
            getattr(task, "remove_output")()  # noqa: B009 - the user's own method
        except Exception:
            failed += 1
            print(f"The outputs of {task} could not be removed:\n{traceback.format_exc()}", file=sys.stderr)
    told = f"; for {failed} of them it failed." if failed else "."
    print(f"remove_output was called for {len(tasks)} tasks{told}")
    return 1 if failed else 0
