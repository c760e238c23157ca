"""Task: luigi's task, with outputs that find their own place."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, cast

import luigi
from luigi.task import flatten

from b2luigi.core.ahead import each
from b2luigi.core.known_settings import UnknownSettingWarning, doubt
from b2luigi.core.paths import create_output_dirs, create_output_file_name
from b2luigi.core.settings import get_setting
from b2luigi.core.target import LocalTarget, file_targets_by_name


class Elsewhere(Protocol):
    """Where the files of a task are while it runs, if not where they belong."""

    def output_paths(self, targets: Sequence[Any]) -> list[str]:
        """Where to write what is to be these targets."""

    def input_paths(self, targets: Sequence[Any]) -> list[str]:
        """Where to read what is in these targets."""


def _warn_about_doubtful_names(cls: type) -> None:
    """Once, where the class is made: an attribute that is almost a setting, or was one of b2luigi 1.x."""
    for name in (name for name, value in vars(cls).items() if not name.startswith("_") and not callable(value)):
        doubtful = doubt(name)
        if doubtful:
            warnings.warn(UnknownSettingWarning(f"{cls.__module__}.{cls.__qualname__}: {doubtful}"), stacklevel=5)


class Task(luigi.Task):
    """A luigi task whose outputs lie in folders named after its parameters.

    Define `output` with `yield self.add_to_output("name.ext")`, and ask for paths in `run` with
    `get_output_file_name` and `get_input_file_names`. The folders are there when `run` starts.
    Everything else is as in luigi; plain luigi tasks can be mixed with these.
    """

    # No annotations here: for type checkers, each annotated attribute of a luigi task is an argument of its class, and
    # one such argument is enough to reject all parameters that are written without annotation.
    job_attempt = 1
    """Which try of this run its job is, from 1 on, for settings that depend on it: more memory the second time."""

    max_grouping_size = 1
    """Tasks that one job may run: groups are not supported, each task is a job."""
    _elsewhere = cast("Elsewhere | None", None)
    _found_params: ClassVar[tuple[list[int], list[tuple[str, luigi.Parameter]]] | None] = None

    @classmethod
    def get_params(cls) -> list[tuple[str, luigi.Parameter]]:
        """The parameters of the class by name, in the order of their definition, as luigi finds them.

        luigi looks through all attributes of the class, ten and more times for each task. What it found is kept as
        long as no class in the line of ancestors gains or loses an attribute, and each parameter is still there.
        """
        sizes = [len(ancestor.__dict__) for ancestor in cls.__mro__]
        known = cls.__dict__.get("_found_params")
        if known is not None and known[0] == sizes and all(getattr(cls, name) is found for name, found in known[1]):
            return list(known[1])
        found: list[tuple[str, luigi.Parameter]] = super().get_params()  # type: ignore[no-untyped-call]
        if known is None:
            sizes[0] += 1  # by what is kept here
        cls._found_params = (sizes, found)
        return list(found)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _warn_about_doubtful_names(cls)

    if TYPE_CHECKING:  # luigi leaves these without types

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def output(self) -> Any: ...
        def requires(self) -> Any: ...
        def input(self) -> Any: ...
        def complete(self) -> bool: ...
        @classmethod
        def get_task_family(cls) -> str: ...
        @classmethod
        def event_handler(cls, event: str) -> Callable[[Callable[..., None]], Callable[..., None]]: ...

    def add_to_output(
        self, name: str, target_class: Any = None, result_dir: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """A dict of one target, by the name given: what `output` is to yield for each file.

        The file lies below `result_dir` (default: the setting) in folders named after the parameters.
        The target is a `target_class` (default: the setting default_task_target_class, else LocalTarget),
        made with the path, the setting target_class_kwargs and `kwargs`.
        Raises ValueError when the path is not possible.
        """
        return {name: self._get_output_file_target(name, target_class, result_dir, **kwargs)}

    def get_output_file_name(self, key: str) -> str:
        """The path of the output called `key`.

        Raises KeyError if `output` has none of that name, ValueError if it has several.
        """
        return self._output_paths([self._get_output_target(key)])[0]

    def get_all_output_file_names(self) -> Iterator[str]:
        """The paths of all outputs."""
        return iter(self._output_paths(_with_path(self.output())))

    def get_all_input_file_names(self) -> Iterator[str]:
        """The paths of the outputs of all required tasks."""
        return iter(self._input_paths(_with_path(self.input())))

    def get_input_file_names(self, key: str | None = None) -> Any:
        """The paths of the outputs of all required tasks: a dict of lists by name, or the list for `key`.

        Raises KeyError if no required task has an output of that name.
        """
        return self._transform_io(self.input(), key)

    def get_input_file_names_from_dict(self, requirement_key: str, key: str | None = None) -> Any:
        """Like `get_input_file_names`, of the tasks that `requires` returns under `requirement_key`.

        Raises KeyError if there is no such requirement, TypeError if `requires` does not return a dict.
        """
        inputs = self.input()
        if not isinstance(inputs, dict):
            raise TypeError(
                f"{self.get_task_family()}: requires() has to return a dict to ask for {requirement_key!r}."
            )
        if requirement_key not in inputs:
            _unknown(self, "requirement", requirement_key, inputs)
        return self._transform_io(inputs[requirement_key], key)

    def get_input_file_name(self, key: str | None = None) -> str:
        """The path of the one input file, or the one called `key`.

        Raises ValueError if there is not exactly one, KeyError if there is none of that name.
        """
        paths = list(self.get_all_input_file_names() if key is None else self.get_input_file_names(key))
        if len(paths) != 1:
            called = "" if key is None else f" called {key!r}"
            raise ValueError(
                f"{self.get_task_family()}: there are {len(paths)} input files{called}, not one. "
                f"Use get_input_file_names to get all of them."
            )
        return str(paths[0])

    def _get_input_targets(self, key: str) -> list[Any]:
        """The targets called `key` of all required tasks."""
        return self._targets_called(key, self.input(), "input")

    def _get_output_target(self, key: str) -> Any:
        """The one output target called `key`."""
        targets = self._targets_called(key, self.output(), "output")
        if len(targets) != 1:
            raise ValueError(
                f"{self.get_task_family()}: {len(targets)} outputs are called {key!r}; give each its name."
            )
        return targets[0]

    def _get_output_file_target(
        self, base_filename: str, target_class: Any = None, result_dir: str | None = None, **kwargs: Any
    ) -> Any:
        """The target of a file that lies where the parameters of this task say."""
        path = create_output_file_name(self, base_filename, result_dir)
        return self._resolve_output_file_target(path, target_class, **kwargs)

    def _resolve_output_file_target(self, file_name: str, target_class: Any = None, **kwargs: Any) -> Any:
        """The target of a file at this path, of the class and with the arguments that the settings say."""
        target_class = target_class or get_setting("default_task_target_class", task=self) or LocalTarget
        return target_class(file_name, **{**get_setting("target_class_kwargs", task=self), **kwargs})

    def _remove_output(self) -> None:
        """Removes all outputs that are there: what a `remove_output` of your own, for `--remove`, would call.

        Raises TypeError if one has no `remove`, OSError if one can not be removed.
        """
        for target in flatten(self.output()):
            self._remove_target(target)

    def _remove_output_file_target(self, key: str) -> None:
        """Removes the output called `key`, if it is there. Raises like `get_output_file_name` and `_remove_output`."""
        self._remove_target(self._get_output_target(key))

    def _transform_io(self, structure: Any, key: str | None = None) -> Any:
        """The paths of targets in any nesting: a dict, name to list, or the list of those called `key`."""
        if key is not None:
            return self._input_paths(self._targets_called(key, structure, "input"))
        named = file_targets_by_name(structure)
        return {name: self._input_paths(targets) for name, targets in named.items()}

    @classmethod
    def grouped_param_names(cls) -> list[str]:
        """The parameters of which one job may take several values: none, groups are not supported."""
        return []

    @classmethod
    def has_grouped_params(cls) -> bool:
        """Whether there are such parameters."""
        return bool(cls.grouped_param_names())

    def _output_paths(self, targets: Sequence[Any]) -> list[str]:
        return self._elsewhere.output_paths(targets) if self._elsewhere is not None else _final_paths(targets)

    def _input_paths(self, targets: Sequence[Any]) -> list[str]:
        return self._elsewhere.input_paths(targets) if self._elsewhere is not None else _final_paths(targets)

    def _remove_target(self, target: Any) -> None:
        if not target.exists():
            return
        if not hasattr(target, "remove"):
            raise TypeError(
                f"{self.get_task_family()}: the output {target} can not be removed, since {type(target).__name__} "
                "has no method remove. Define one, or a remove_output of the task that does it another way."
            )
        with contextlib.suppress(FileNotFoundError):
            target.remove()

    def _targets_called(self, key: str, structure: Any, kind: str) -> list[Any]:
        named = file_targets_by_name(structure)
        if key not in named:
            _unknown(self, kind, key, named)
        return named[key]


class ExternalTask(Task, luigi.ExternalTask):
    """A task whose outputs are made by somebody else: it has no `run` and is only checked."""


class WrapperTask(Task, luigi.WrapperTask):
    """A task that only requires others, and is complete when all of them are."""

    def complete(self) -> bool:
        """Whether all required tasks are complete."""
        required = flatten(self.requires())
        return all(task.complete() for task in each(required, lambda: required, once=False))


class NotCompletedTask(Task):
    """A task that is complete only if the tasks it requires are complete, too, not just its own outputs.

    Tasks of this class are followed upwards; `check_complete = False` on one of them ends the search there.
    """

    check_complete = True

    def complete(self) -> bool:
        """Whether the outputs of this task and of those above it are there."""
        seen: set[luigi.Task] = set()
        waiting: list[Any] = [self]
        while waiting:
            task = waiting.pop()
            if task in seen:
                continue
            seen.add(task)
            if type(task).complete is not NotCompletedTask.complete:
                done = task.complete()
            else:
                done = super(NotCompletedTask, task).complete()
                waiting.extend(flatten(task.requires()) if task.check_complete else ())
            if not done:
                return False
        return True


def _prepare_outputs(task: Task) -> None:
    """Luigi calls this in the process that runs the task, in every mode; also for tasks it only checks."""
    if task.run not in (None, NotImplemented):
        create_output_dirs(task)


Task.event_handler(luigi.Event.START)(_prepare_outputs)


def _with_path(structure: Any) -> list[Any]:
    return [target for target in flatten(structure) if hasattr(target, "path")]


def _final_paths(targets: Sequence[Any]) -> list[str]:
    return [str(target.path) for target in targets]


def _unknown(task: luigi.Task, kind: str, key: str, known: Any) -> NoReturn:
    names = ", ".join(map(repr, known)) or "none at all"
    raise KeyError(f"{task.get_task_family()}: there is no {kind} called {key!r}; there is {names}")
