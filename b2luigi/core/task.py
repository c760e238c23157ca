"""Task: luigi's task, with output paths derived from its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, cast, overload

import luigi
from luigi.task import flatten

from b2luigi.core.ahead import each
from b2luigi.core.known_params import KnownParams
from b2luigi.core.known_settings import UnknownSettingWarning, name_problems
from b2luigi.core.paths import create_folders_of, create_output_file_name
from b2luigi.core.patience import patiently
from b2luigi.core.removal import remove_directory, remove_log_files, remove_target, remove_task_files
from b2luigi.core.settings import get_seconds, get_setting
from b2luigi.core.target import LocalTarget, file_targets_by_name
from b2luigi.core.typed import TypedTask
from b2luigi.core.warn import warn

_SIZES = {"max_grouping_size", "max_batch_size"}


class PathRedirection(Protocol):
    """Replaces the paths of a task's files while it runs."""

    def output_paths(self, targets: Sequence[Any]) -> list[str]:
        """The paths to write these targets to."""

    def input_paths(self, targets: Sequence[Any]) -> list[str]:
        """The paths to read these targets from."""


def _warn_about_attributes(cls: type) -> None:
    """Warns, when the class is defined, about attributes that look like misspelled or dropped settings."""
    names = [name for name, value in vars(cls).items() if not name.startswith("_") and _may_be_setting(value)]
    for problem in name_problems(names):
        warn(UnknownSettingWarning(f"{cls.__module__}.{cls.__qualname__}: {problem}"), stacklevel=5)


def _may_be_setting(value: Any) -> bool:
    """Parameters have the names that their callers know."""
    return not callable(value) and not isinstance(value, luigi.Parameter)


class Task(TypedTask):
    """A luigi task whose outputs are in folders named after its parameters.

    Define `output` with `yield self.add_to_output("name.ext")`, and get the paths in `run` with
    `get_output_file_name` and `get_input_file_names`. The output folders exist when `run` starts.
    Everything else is as in luigi, and plain luigi tasks can be part of the same graph.
    """

    # No annotations here: for type checkers, each annotated attribute of a luigi task is an argument of its class.
    job_attempt = 1
    """Number of the job in this run, starting at 1; settings can depend on it, to request more memory in a retry."""

    max_grouping_size = 1
    """How many tasks with parameters that have `grouping` may share a job; the setting `tasks_per_job` wins."""
    max_batch_size = cast("float", 1)
    """luigi's limit for parameters with `batch_method`; `max_grouping_size`, if only that is set, as in b2luigi 1.x."""
    _redirection = cast("PathRedirection | None", None)
    _cached_params: ClassVar[KnownParams | None] = None

    @classmethod
    def get_params(cls) -> list[tuple[str, luigi.Parameter]]:
        """The names and parameters of the class, in the order of their definition, as luigi returns them.

        The result is cached until a class in the MRO gains or loses an attribute, or a parameter is replaced.
        """
        known: KnownParams | None = cls.__dict__.get("_cached_params")
        if known is None or not known.hold_for(cls):
            params = super().get_params()  # type: ignore[no-untyped-call]
            cls._cached_params = None  # it is an attribute, too
            known = cls._cached_params = KnownParams(cls, params)
        return known.params.copy()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _warn_about_attributes(cls)
        sizes = next(found for ancestor in cls.__mro__ if (found := _SIZES & vars(ancestor).keys()))
        if "max_batch_size" not in sizes:
            cls.max_batch_size = cls.max_grouping_size

    def __repr__(self) -> str:
        """As luigi's, which reads all values anew from what they were given as."""
        values = self.param_kwargs
        shown = [f"{name}={one.serialize(values[name])}" for name, one in self.get_params() if one.significant]
        return f"{self.get_task_family()}({', '.join(shown)})"

    if TYPE_CHECKING:  # with `inherits`

        def clone_parent(self, **values: Any) -> Task: ...
        def clone_parents(self, **values: Any) -> list[Task]: ...

    def add_to_output(
        self, output_file_name: str, target_class: Any = None, result_dir: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """A dict with one target under the given name, the last part of its path, for `output` to yield.

        The file is in folders named after the parameters.

        `output_file_name`: the name, by which other tasks find the file as well.
        `target_class`: default: the setting `default_task_target_class`, or else `LocalTarget`.
        `result_dir`: the folder that contains those of the parameters; default: the setting.
        `kwargs`: passed to the target class, after the path and the setting `target_class_kwargs`.

        Raises ValueError if the path is invalid.
        """
        return {output_file_name: self._get_output_file_target(output_file_name, target_class, result_dir, **kwargs)}

    def get_output_file_name(self, key: str) -> str:
        """The path of one output.

        `key`: the name that was given to `add_to_output`.

        Raises KeyError if `output` has no such name, ValueError if it has several.
        """
        return self._output_paths([self._get_output_target(key)])[0]

    def get_all_output_file_names(self) -> Iterator[str]:
        """The paths of all outputs."""
        return iter(self._output_paths(_with_path(self.output())))

    def get_all_input_file_names(self) -> Iterator[str]:
        """The paths of the outputs of all required tasks."""
        return iter(self._input_paths(_with_path(self.input())))

    @overload
    def get_input_file_names(self, key: None = None) -> dict[str, list[str]]: ...
    @overload
    def get_input_file_names(self, key: str) -> list[str]: ...
    def get_input_file_names(self, key: str | None = None) -> Any:
        """The paths of the outputs of all required tasks: a dict from name to list, or the list for `key`.

        `key`: the name that was given to `add_to_output`; without it, the paths under all names.

        Raises KeyError if no required task has an output with that name.
        """
        return self._transform_io(self.input(), key)

    @overload
    def get_input_file_names_from_dict(self, requirement_key: str, key: None = None) -> dict[str, list[str]]: ...
    @overload
    def get_input_file_names_from_dict(self, requirement_key: str, key: str) -> list[str]: ...
    def get_input_file_names_from_dict(self, requirement_key: str, key: str | None = None) -> Any:
        """Like `get_input_file_names`, for the tasks that `requires` returns under `requirement_key`.

        `requirement_key`: a key of the dict that `requires` returns.
        `key`: as in `get_input_file_names`.

        Raises KeyError if there is no such requirement, TypeError if `requires` does not return a dict.
        """
        inputs = self.input()
        if not isinstance(inputs, dict):
            raise TypeError(
                f"{self.get_task_family()}: to get the inputs of {requirement_key!r}, requires() must return a dict."
            )
        if requirement_key not in inputs:
            _raise_unknown(self, "requirement", requirement_key, inputs)
        return self._transform_io(inputs[requirement_key], key)

    def get_input_file_name(self, key: str | None = None) -> str:
        """The path of the only input file, or of the only one named `key`.

        `key`: the name that was given to `add_to_output`; without it, there must be one input file in all.

        Raises ValueError if there is not exactly one, KeyError if there is no such name.
        """
        paths = list(self.get_all_input_file_names() if key is None else self.get_input_file_names(key))
        if len(paths) != 1:
            named = "" if key is None else f" named {key!r}"
            raise ValueError(
                f"{self.get_task_family()}: there are {len(paths)} input files{named}, not one. "
                f"Use get_input_file_names to get all of them."
            )
        return str(paths[0])

    def _get_input_targets(self, key: str) -> list[Any]:
        """The targets named `key` of all required tasks."""
        return self._targets_named(key, self.input(), "input")

    def _get_output_target(self, key: str) -> Any:
        """The only output target named `key`."""
        targets = self._targets_named(key, self.output(), "output")
        if len(targets) != 1:
            raise ValueError(
                f"{self.get_task_family()}: {len(targets)} outputs are named {key!r}; give them different names."
            )
        return targets[0]

    def _get_output_file_target(
        self, base_filename: str, target_class: Any = None, result_dir: str | None = None, **kwargs: Any
    ) -> Any:
        """The target of a file in the folder derived from the parameters of this task."""
        path = create_output_file_name(self, base_filename, result_dir)
        return self._resolve_output_file_target(path, target_class, **kwargs)

    def _resolve_output_file_target(self, file_name: str, target_class: Any = None, **kwargs: Any) -> Any:
        """The target of a file at this path, with the class and arguments from the settings."""
        target_class = target_class or get_setting("default_task_target_class", task=self) or LocalTarget
        return target_class(file_name, **{**get_setting("target_class_kwargs", task=self), **kwargs})

    def remove_output(self) -> None:
        """Removes all outputs that exist; `--remove` calls it. Override it to do more, and call `super()`.

        Raises TypeError if a target has no `remove`, OSError if one cannot be removed.
        """
        self._remove_output()

    def remove_log_files(self) -> None:
        """Removes the log folder of this task; of a folder that `get_log_file_dir` returns, only the files of b2luigi.

        Raises RuntimeError if a job of this task may still be running, OSError if something cannot be removed.
        """
        remove_log_files(self)

    def remove_task_files(self) -> None:
        """Removes the job script and the records of this task, as `remove_log_files` does with its logs."""
        remove_task_files(self)

    def _remove_output(self) -> None:
        """Removes all outputs that exist, as `remove_output` does."""
        for target in flatten(self.output()):
            remove_target(self, target)

    def _remove_output_file_target(
        self, base_filename: str, target_class: Any = None, result_dir: str | None = None, **kwargs: Any
    ) -> None:
        """Removes the output of this name, or the one that `add_to_output` makes of all arguments, if it exists.

        Raises like `get_output_file_name` and `remove_output`.
        """
        if target_class is None and result_dir is None and not kwargs:
            remove_target(self, self._get_output_target(base_filename))
        else:
            remove_target(self, self._get_output_file_target(base_filename, target_class, result_dir, **kwargs))

    _remove_directory = staticmethod(remove_directory)

    def _transform_io(self, structure: Any, key: str | None = None) -> Any:
        """The paths of targets, however nested: a dict from name to list, or the list for `key`."""
        if key is not None:
            return self._input_paths(self._targets_named(key, structure, "input"))
        named = file_targets_by_name(structure)
        return {name: self._input_paths(targets) for name, targets in named.items()}

    @classmethod
    def grouped_param_names(cls) -> list[str]:
        """Names of the parameters with `grouping`."""
        return [name for name, parameter in cls.get_params() if getattr(parameter, "grouping", False)]

    @classmethod
    def has_grouped_params(cls) -> bool:
        """Whether there are such parameters."""
        return bool(cls.grouped_param_names())

    @property
    def batchable(self) -> bool:
        """Whether luigi may run one task in place of several, for parameters with `batch_method`."""
        return bool(super().batchable) and not self.has_grouped_params()

    def _output_paths(self, targets: Sequence[Any]) -> list[str]:
        return self._redirection.output_paths(targets) if self._redirection is not None else _final_paths(targets)

    def _input_paths(self, targets: Sequence[Any]) -> list[str]:
        return self._redirection.input_paths(targets) if self._redirection is not None else _final_paths(targets)

    def _targets_named(self, key: str, structure: Any, kind: str) -> list[Any]:
        named = file_targets_by_name(structure)
        if key not in named:
            _raise_unknown(self, kind, key, named)
        return named[key]


class ExternalTask(Task, luigi.ExternalTask):
    """A task whose outputs are created externally: it has no `run` and is only checked for completeness."""


class WrapperTask(Task, luigi.WrapperTask):
    """A task that only requires others, and is complete when all of them are."""

    def complete(self) -> bool:
        """Whether all required tasks are complete."""
        required = flatten(self.requires())
        return all(task.complete() for task in each(required, lambda: required, once=False))


class NotCompletedTask(Task):
    """A task that is complete only if its own outputs exist and all tasks it requires are complete.

    The check follows requirements of this class recursively, up to those with `check_complete = False`.
    """

    check_complete = True

    def complete(self) -> bool:
        """Whether the outputs of this task exist, and the tasks it requires are complete."""
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
    """luigi calls this in the process that runs the task, in every mode, and also for external tasks."""
    if task.run in (None, NotImplemented):
        return
    targets = flatten(task.output())
    try:
        patiently(lambda: create_folders_of(targets), lambda: get_seconds("result_grace", task=task))
    except OSError as error:
        _fail_instead_of_running(task, error)


def _fail_instead_of_running(task: Task, error: OSError) -> None:
    """luigi only logs what handlers of its events raise, and runs the task all the same."""
    what = f"The folder of an output cannot be created, so run() was not started: {error.strerror}"

    def run() -> NoReturn:
        del task.__dict__["run"]
        raise OSError(error.errno, what, error.filename) from error

    task.__dict__["run"] = run


Task.event_handler(luigi.Event.START)(_prepare_outputs)


def _with_path(structure: Any) -> list[Any]:
    return [target for target in flatten(structure) if hasattr(target, "path")]


def _final_paths(targets: Sequence[Any]) -> list[str]:
    return [str(target.path) for target in targets]


def _raise_unknown(task: luigi.Task, kind: str, key: str, known: Any) -> NoReturn:
    names = ", ".join(map(repr, known)) or "none at all"
    raise KeyError(f"{task.get_task_family()}: there is no {kind} named {key!r}; available: {names}")
