"""Checks of a task graph while it is scheduled: mistakes that no job can survive end the run before the first one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import luigi
import luigi.worker
from luigi.task import flatten

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.completeness import exists, has_own_complete, name_of
from b2luigi.core.former_folders import FormerFolders
from b2luigi.core.settings import get_setting

SHOWN = 5
"""How many problems, how many missing files, and how many tasks at either end of a circle a message lists."""

T = TypeVar("T")


class GraphError(luigi.worker.TaskException):  # luigi logs no traceback for its TaskException
    """Why none of the tasks can be started; the text is for the user."""

    is_late = False
    """Whether tasks were started before: the problem is with tasks that came up later."""


class GraphChecks:
    """Looks once at each task that is scheduled; raises nothing before it is asked to."""

    def __init__(self) -> None:
        self._writers: dict[Any, luigi.Task] = {}
        self._needs: dict[str, list[str]] = {}
        self._undeclared: dict[str, luigi.Task] = {}
        """Tasks without a method `output`, by task id: luigi runs them, but they are never complete."""
        self._external: dict[str, tuple[luigi.Task, Any]] = {}
        """Outputs of incomplete tasks that nothing runs, by path; None for a task with a `complete()` of its own."""
        self.former = FormerFolders()
        self._problems: dict[object, list[str]] = {}
        """By kind and classes: one example says enough."""

    def look(self, task: luigi.Task) -> None:
        """Looks at the outputs of a task that is not complete. Ignores errors of its own code, which luigi reports."""
        targets = outputs_of(task)
        if targets is None:
            return
        if task.run in (None, NotImplemented):
            self._external.update((name_of(target), (task, target)) for target in targets)
            if has_own_complete(task):
                self._external[task.task_id] = (task, None)
        former = self.former.problem_of_results(task, targets)
        if former:
            self.note(("former", type(task)), former)
        self.look_at_outputs(task, targets)

    def look_at_outputs(self, task: luigi.Task, targets: Sequence[Any]) -> None:
        """Looks whether the outputs of a task that is not complete can show that it is done, and are its own."""
        if not targets:
            self._look_at_nothing(task)
        elif runs_itself(task):
            for target in targets:
                self._look_at(task, target)

    def note_requirements(self, task_id: str, needed: list[str]) -> None:
        """Remembers what an incomplete task requires, by task id."""
        if needed:
            self._needs[task_id] = needed

    def note_failed_check(self, task: luigi.Task, words: str) -> bool:
        """`complete()` of a task failed, as a traceback says in `words`; whether it is clear why.

        Where it asks its requirements, a circle looks like endless recursion.
        """
        if BadInputError.__module__ in words:
            try:
                task.complete()
            except BadInputError as error:
                self.note_bad_input(error)
                return True
            except Exception:
                return False
        if self._note_no_targets(task):
            return True
        circle = find_circle([task], _requirements) if "RecursionError" in words else []
        if circle:
            self._note_circle(circle)
        return bool(circle)

    def note_bad_input(self, error: BadInputError) -> None:
        """A setting, a value of a parameter or the like cannot work."""
        self.note(error.kind, str(error))

    def note_no_task(self, task: luigi.Task | None, found: Any) -> None:
        """A requirement is no task."""
        self.note(("class", type(task), type(found)), problem_of_element(found, f"requires() of {task}"))

    def look_at_graph(self, tasks: Mapping[str, luigi.Task], is_checked_at_start: bool = True) -> None:
        """Looks for circles, and for requirements that can never be met.

        `tasks`: all tasks by task id. `is_checked_at_start`: whether a task starts only if all it requires is complete
        (a setting of luigi).
        """
        needs = self._needs
        circle = find_circle(needs, lambda one: needs.get(one, ()))
        if circle:
            self._note_circle([tasks[one] for one in circle])
        if self._undeclared and is_checked_at_start:
            for task_id in self._undeclared.keys() & {one for needed in needs.values() for one in needed}:
                task = self._undeclared[task_id]
                self.note(("nothing", type(task)), _of_nothing(task, "it has no output(), but other tasks require it"))

    def circle_of(self, task_id: str, yielded: Sequence[str], tasks: Mapping[str, luigi.Task]) -> str:
        """The circle that a task closes by yielding others while it runs, in words; empty if there is none."""
        if not yielded:
            return ""
        needs = self._needs
        needs[task_id] = list(dict.fromkeys([*needs.get(task_id, ()), *yielded]))
        circle = find_circle([task_id], lambda one: needs.get(one, ()))
        return _of_circle([tasks[one] for one in circle]) if circle else ""

    def forget(self, task_id: str) -> None:
        """A task is done: nothing waits for it any more."""
        self._needs.pop(task_id, None)

    def raise_problems(self) -> None:
        """Raises GraphError if there was anything to object to since the last call."""
        found, self._problems = self._problems, {}
        texts = [_with_count(texts) for texts in found.values()]
        if texts:
            more = f"... and {len(texts) - SHOWN} more problems" if len(texts) > SHOWN else ""
            raise GraphError("\n".join([*texts[:SHOWN], *filter(None, [more])]))

    def missing_files(self) -> str:
        """Files that no task creates and that do not exist, one in each line; empty if there are none."""
        rows: list[str] = []
        entries = iter(self._external.items())
        for path, (task, target) in entries:
            if target is None:
                rows.append(f"{task}: its complete() returns False")
            elif not exists(target):
                rows.append(f"{path} ({task})")
            if len(rows) == SHOWN:  # looking for all of them may take minutes
                break
        more = sum(1 for _ in entries)
        return "\n    ".join([*rows, *([f"... and up to {more} more"] if more else [])])

    def never_complete(self) -> list[str]:
        """One sentence for each class of tasks without a method `output`."""
        tasks = {type(task): task for task in reversed(self._undeclared.values())}
        return [
            f"{task} has no output(), so it is never complete: each run starts it again." for task in tasks.values()
        ]

    def note(self, kind: object, text: str) -> None:
        """Objects to something; of each kind, the first text is shown, and how many others there were."""
        texts = self._problems.setdefault(kind, [])
        if texts[-1:] != [text]:
            texts.append(text)

    def _note_no_targets(self, task: luigi.Task) -> bool:
        """Whether `output()` returns something else than targets."""
        try:
            found = [one for one in flatten(task.output()) if not hasattr(one, "exists")]
        except Exception:
            return False
        if found:
            advice = "use add_to_output, or a target such as luigi.LocalTarget"
            self.note(("target", type(task)), f"output() of {task} needs targets, not {found[0]!r}: {advice}.")
        return bool(found)

    def _note_circle(self, circle: list[luigi.Task]) -> None:
        self.note(("circle", frozenset(map(type, circle))), _of_circle(circle))

    def _look_at_nothing(self, task: luigi.Task) -> None:
        if has_own_complete(task):
            return
        if type(task).output is luigi.Task.output:
            self._undeclared[task.task_id] = task
        else:
            what = "its output() returns nothing (is a `yield` or `return` missing?)"
            self.note(("nothing", type(task)), _of_nothing(task, what))

    def _look_at(self, task: luigi.Task, target: Any) -> None:
        path = getattr(target, "path", None)
        if path is None:
            return
        # A path is compared as it is written, as far as that is enough: normalizing each would take too long.
        is_local = isinstance(target, luigi.LocalTarget)
        if is_local and (path[:1] != "/" or "/." in path or "//" in path):
            path = os.path.abspath(path)
        key = path if is_local else (type(target), path)
        other = self._writers.setdefault(key, task)
        if other is not task and other.task_id != task.task_id and not _is_meant(task, other):
            pair = frozenset((type(task), type(other)))
            self.note(("same output", pair), _of_same_output(other, task, path))


def outputs_of(task: luigi.Task) -> list[Any] | None:
    """The targets of a task; None if its own code fails, which luigi reports."""
    try:
        return list(flatten(task.output()))
    except Exception:
        return None


@contextmanager
def luigi_quiet_about_outputs() -> Iterator[None]:
    """While entered, luigi does not warn of tasks without outputs: the checks say more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Task .* without outputs has no custom complete")
        yield


def tasks_of(elements: Any) -> list[luigi.Task]:
    """The tasks passed to `process`: one, or several. Raises GraphError for anything else."""
    if isinstance(elements, luigi.Task):
        return [elements]
    if isinstance(elements, type) or not isinstance(elements, Iterable) or isinstance(elements, (str, bytes)):
        raise GraphError(problem_of_element(elements, "process()"))
    tasks = list(elements)
    for task in tasks:
        if not isinstance(task, luigi.Task):
            raise GraphError(problem_of_element(task, "process()"))
    return tasks


def problem_of_element(found: Any, where: str) -> str:
    """Why something is not a task, as a sentence that names where it was given."""
    if isinstance(found, type) and issubclass(found, luigi.Task):
        instance = f"{found.__name__}({'...' if found.get_params() else ''})"
        return f"{where} needs an instance of a task: {instance}, not the class {found.__name__}."
    if isinstance(found, luigi.Target):
        return f"{where} needs a task, not the target {found!r}: define a b2luigi.ExternalTask with it as its output."
    return f"{where} needs a task, not {found!r}."


def refuse_circle(tasks: Iterable[luigi.Task]) -> None:
    """Raises GraphError if one of the tasks requires itself, by way of any others."""
    circle = find_circle(tasks, _requirements)
    if circle:
        raise GraphError(_of_circle(circle))


def find_circle(starts: Iterable[T], needs: Callable[[T], Iterable[T]]) -> list[T]:
    """A circle among what is reached from `starts`, its first element repeated at the end; empty if there is none."""
    done: set[T] = set()
    for start in starts:
        if start in done:
            continue
        path, stack = {start: None}, [iter(needs(start))]  # a dict is a set that keeps the order
        while stack:
            for following in stack[-1]:
                if following in path:
                    steps = list(path)
                    return [*steps[steps.index(following) :], following]
                if following not in done:
                    path[following] = None
                    stack.append(iter(needs(following)))
                    break
            else:
                stack.pop()
                done.add(path.popitem()[0])
    return []


def _requirements(task: luigi.Task) -> list[luigi.Task]:
    try:
        return [required for required in task.deps() if isinstance(required, luigi.Task)]
    except Exception:
        return []


def runs_itself(task: luigi.Task) -> bool:
    """Whether a task has code that creates its outputs: it is no external task, and no wrapper."""
    run = task.run
    has_code = run not in (None, NotImplemented) and getattr(run, "__func__", None) is not luigi.Task.run
    return has_code and not isinstance(task, luigi.WrapperTask)


def _is_meant(task: luigi.Task, other: luigi.Task) -> bool:
    if any(get_setting("allow_shared_outputs", task=one) for one in (task, other)):
        return True
    return _takes_over(task, other) or _takes_over(other, task)


def _takes_over(task: luigi.Task, other: luigi.Task) -> bool:
    """Whether `output()` of a task asks for that of the other: it passes on the output of a requirement."""
    called = []

    def output() -> Any:
        called.append(True)
        return type(other).output(other)

    former = vars(other).get("output")
    vars(other)["output"] = output
    try:
        flatten(task.output())
    finally:
        del vars(other)["output"]
        if former is not None:
            vars(other)["output"] = former
    return bool(called)


def _of_circle(circle: list[luigi.Task]) -> str:
    names = [str(task) for task in circle]
    if len(names) > 2 * SHOWN:
        names = [*names[:SHOWN], f"... {len(names) - 2 * SHOWN} more ...", *names[-SHOWN:]]
    return f"{circle[0]} requires itself, so that it can never start: {' -> '.join(names)}. Remove a requirement."


def _of_nothing(task: luigi.Task, what: str) -> str:
    return f"{task} can never be complete: {what}. Tasks without outputs need a complete() of their own."


def _of_same_output(one: luigi.Task, other: luigi.Task, path: str) -> str:
    return (
        f"{one} and {other} would both run and write the same file {path}: give one of them another file name, "
        "result_dir or parameter, or, if this is meant, set allow_shared_outputs = True in one of the classes."
    )


def _with_count(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{texts[0]} The same holds for {len(texts) - 1} more."
