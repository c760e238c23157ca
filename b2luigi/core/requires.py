"""Class decorators that copy the parameters of other tasks: `requires` and `inherits`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import luigi

TaskClass = TypeVar("TaskClass", bound="type[Any]")

_MISSING: Any = object()


def requires(*tasks: type[luigi.Task], **fixed: Any) -> Callable[[TaskClass], TaskClass]:
    """Class decorator: the task requires these tasks, with its own values for their parameters.

    Parameters of the tasks that the class does not have yet are added to it, except for those with a value in
    `fixed`. The class's own or inherited `requires` is kept, and its tasks come first. Then a single task is
    yielded as it is, several tasks as one list. Works with plain luigi tasks, too.

    `tasks`: the classes that are required.
    `fixed`: values of their parameters, by name.

    Raises TypeError without tasks, for anything but a task class, and for a name in `fixed` that is no parameter.
    """
    _check_classes("requires", tasks)
    unknown = _unknown(fixed, tasks)
    if unknown:
        raise TypeError(f"requires: cannot fix {', '.join(unknown)}: {_no_parameter(tasks)}")

    def decorate(cls: TaskClass) -> TaskClass:
        _copy_parameters(cls, tasks, exclude=fixed)
        cls.requires = _extended(cls.requires, tasks, fixed)
        return cls

    return decorate


def inherits(
    *tasks: type[luigi.Task], without: str | Collection[str] | None = None
) -> Callable[[TaskClass], TaskClass]:
    """Class decorator: adds the parameters of these tasks that the class does not have yet.

    The class gets two methods for use in its `requires`:
    `clone_parent(**values)` returns the first of the tasks, `clone_parents(**values)` a list of all of them, with
    this task's parameter values or the given ones. Works with plain luigi tasks, too.

    `tasks`: the classes whose parameters are added.
    `without`: one or more names of parameters to omit.

    Raises TypeError without tasks and for anything but a task class, AssertionError for a name in `without` that is
    no parameter.
    """
    _check_classes("inherits", tasks)
    excluded = [without] if isinstance(without, str) else list(without or ())
    unknown = _unknown(excluded, tasks)
    if unknown:
        raise AssertionError(f"inherits: without names {', '.join(unknown)}: {_no_parameter(tasks)}")

    def decorate(cls: TaskClass) -> TaskClass:
        _copy_parameters(cls, tasks, exclude=excluded)
        cls.clone_parent, cls.clone_parents = _cloning(tasks)
        return cls

    return decorate


def _copy_parameters(cls: Any, tasks: Iterable[Any], exclude: Collection[str]) -> None:
    for task in tasks:
        for name, parameter in task.get_params():
            if name not in exclude and not _has(cls, name):
                setattr(cls, name, parameter)


def _has(cls: Any, name: str) -> bool:
    """Whether a class has an attribute, not counting those of every luigi task (such as `priority`)."""
    return getattr(cls, name, _MISSING) is not getattr(luigi.Task, name, _MISSING)


def _extended(own: Callable[[Any], Any], tasks: Collection[Any], fixed: Mapping[str, Any]) -> Callable[[Any], Any]:
    @functools.wraps(own)
    def requires(self: luigi.Task) -> Iterator[Any]:
        yield from _one_by_one(own(self))
        clones = [self.clone(task, **fixed) for task in tasks]
        yield clones[0] if len(clones) == 1 else clones

    return requires


def _one_by_one(required: Any) -> Iterator[Any]:
    """The class's own requirements; a dict stays a dict, to keep its keys."""
    if isinstance(required, (luigi.Task, Mapping)):
        yield required
    else:
        yield from required or ()


def _cloning(tasks: Sequence[Any]) -> tuple[Callable[..., Any], Callable[..., list[Any]]]:
    def clone_parent(self: luigi.Task, **values: Any) -> Any:
        """The first of the tasks this class inherits from, with this task's parameter values or the given ones."""
        return _clones(self, tasks[:1], values)[0]

    def clone_parents(self: luigi.Task, **values: Any) -> list[Any]:
        """The tasks this class inherits from, with this task's parameter values or the given ones."""
        return _clones(self, tasks, values)

    return clone_parent, clone_parents


def _clones(task: luigi.Task, classes: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    unknown = _unknown(values, classes)
    if unknown:  # luigi's own clone would ignore it
        raise TypeError(f"{task.get_task_family()}: cannot set {', '.join(unknown)}: {_no_parameter(classes)}")
    return [task.clone(cls, **values) for cls in classes]


def _check_classes(decorator: str, tasks: Collection[Any]) -> None:
    if not tasks:
        raise TypeError(f"{decorator} needs at least one task class, as in @b2luigi.{decorator}(MyTask).")
    for task in tasks:
        if not (isinstance(task, type) and issubclass(task, luigi.Task)):
            raise TypeError(f"{decorator} takes task classes, as in @b2luigi.{decorator}(MyTask), not {task!r}.")


def _unknown(names: Iterable[str], tasks: Iterable[Any]) -> list[str]:
    known = {name for task in tasks for name, _ in task.get_params()}
    return [repr(name) for name in names if name not in known]


def _no_parameter(tasks: Iterable[Any]) -> str:
    found = (f"{task.__name__} has {', '.join(name for name, _ in task.get_params()) or 'none'}" for task in tasks)
    return f"none of the given tasks has such a parameter ({'; '.join(found)})."
