"""Class decorators that take over the parameters of other tasks: `requires` and `inherits`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import luigi

TaskClass = TypeVar("TaskClass", bound="type[Any]")

_MISSING: Any = object()


def requires(*tasks: type[luigi.Task], **fixed: Any) -> Callable[[TaskClass], TaskClass]:
    """Class decorator: the task requires these tasks, with its own values for their parameters.

    Parameters of the tasks that the class does not have yet are added to it, but for those with a value in
    `fixed`. The class's own `requires`, also an inherited one, is kept: its tasks come first. Then one task is
    yielded as it is, several are yielded as one list. Works with plain luigi tasks, too.
    Raises TypeError without tasks, for what is no task class, and for a name in `fixed` that is no parameter.
    """
    _check_classes("requires", tasks)
    unknown = _unknown(fixed, tasks)
    if unknown:
        raise TypeError(f"requires: {', '.join(unknown)} can not be fixed: {_no_parameter(tasks)}")

    def decorate(cls: TaskClass) -> TaskClass:
        _take_over(cls, tasks, except_for=fixed)
        cls.requires = _extended(cls.requires, tasks, fixed)
        return cls

    return decorate


def inherits(
    *tasks: type[luigi.Task], without: str | Collection[str] | None = None
) -> Callable[[TaskClass], TaskClass]:
    """Class decorator: parameters of these tasks that the class does not have yet are added to it.

    `without`: the name, or names, of parameters that are not. The class gets two methods for its `requires`:
    `clone_parent(**values)` gives the first of the tasks, `clone_parents(**values)` a list of all of them, with the
    values of this task for their parameters, or those given. Works with plain luigi tasks, too.
    Raises TypeError without tasks and for what is no task class, AssertionError for a name in `without` that is no
    parameter.
    """
    _check_classes("inherits", tasks)
    left_out = [without] if isinstance(without, str) else list(without or ())
    unknown = _unknown(left_out, tasks)
    if unknown:
        raise AssertionError(f"inherits: without names {', '.join(unknown)}: {_no_parameter(tasks)}")

    def decorate(cls: TaskClass) -> TaskClass:
        _take_over(cls, tasks, except_for=left_out)
        cls.clone_parent, cls.clone_parents = _cloning(tasks)
        return cls

    return decorate


def _take_over(cls: Any, tasks: Iterable[Any], except_for: Collection[str]) -> None:
    for task in tasks:
        for name, parameter in task.get_params():
            if name not in except_for and not _has(cls, name):
                setattr(cls, name, parameter)


def _has(cls: Any, name: str) -> bool:
    """Whether a class has an attribute; what every luigi task has (`priority`, say) is none of its own."""
    return getattr(cls, name, _MISSING) is not getattr(luigi.Task, name, _MISSING)


def _extended(own: Callable[[Any], Any], tasks: Collection[Any], fixed: Mapping[str, Any]) -> Callable[[Any], Any]:
    @functools.wraps(own)
    def requires(self: luigi.Task) -> Iterator[Any]:
        yield from _one_by_one(own(self))
        clones = [self.clone(task, **fixed) for task in tasks]
        yield clones[0] if len(clones) == 1 else clones

    return requires


def _one_by_one(required: Any) -> Iterator[Any]:
    """What the class itself requires; a dict stays one, so that its names are still there."""
    if isinstance(required, (luigi.Task, Mapping)):
        yield required
    else:
        yield from required or ()


def _cloning(tasks: Sequence[Any]) -> tuple[Callable[..., Any], Callable[..., list[Any]]]:
    def clone_parent(self: luigi.Task, **values: Any) -> Any:
        """The first of the tasks this class inherits from, with the values of this one or those given."""
        return _clones(self, tasks[:1], values)[0]

    def clone_parents(self: luigi.Task, **values: Any) -> list[Any]:
        """The tasks this class inherits from, with the values of this one or those given."""
        return _clones(self, tasks, values)

    return clone_parent, clone_parents


def _clones(task: luigi.Task, classes: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    unknown = _unknown(values, classes)
    if unknown:  # luigi's own clone would keep silent
        raise TypeError(f"{task.get_task_family()}: no value for {', '.join(unknown)}: {_no_parameter(classes)}")
    return [task.clone(cls, **values) for cls in classes]


def _check_classes(decorator: str, tasks: Collection[Any]) -> None:
    if not tasks:
        raise TypeError(f"{decorator} needs at least one task class, as in @b2luigi.{decorator}(MyTask).")
    for task in tasks:
        if not (isinstance(task, type) and issubclass(task, luigi.Task)):
            raise TypeError(f"{decorator} takes task classes, as in @b2luigi.{decorator}(MyTask), but not {task!r}.")


def _unknown(names: Iterable[str], tasks: Iterable[Any]) -> list[str]:
    known = {name for task in tasks for name, _ in task.get_params()}
    return [repr(name) for name in names if name not in known]


def _no_parameter(tasks: Iterable[Any]) -> str:
    told = (f"{task.__name__} has {', '.join(name for name, _ in task.get_params()) or 'none'}" for task in tasks)
    return f"no task named has such a parameter ({'; '.join(told)})."
