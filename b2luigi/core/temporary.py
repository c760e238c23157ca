"""on_temporary_files: a task writes to temporary files, so that an output that exists is complete."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import random
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import luigi
from luigi.target import FileAlreadyExists, FileSystemException
from luigi.task import flatten

from b2luigi.core.completeness import has_own_complete
from b2luigi.core.settings import get_setting
from b2luigi.core.target import (
    check_absent,
    copy_into,
    make_folder_of,
    make_scratch_folder,
    new_number,
    put_in_place,
    remove_if_exists,
    temporary_path_of,
)
from b2luigi.core.task import Task

Run = TypeVar("Run", bound=Callable[[Any], Any])


@overload
def on_temporary_files(run_function: Run, *, inputs: bool = True, outputs: bool = True) -> Run: ...
@overload
def on_temporary_files(
    run_function: None = None, *, inputs: bool = True, outputs: bool = True
) -> Callable[[Run], Run]: ...
def on_temporary_files(run_function: Any = None, *, inputs: bool = True, outputs: bool = True) -> Any:
    """Decorator of a task's `run`: while it runs, the task's methods return paths of temporary files.

    `get_output_file_name` returns a path in the folder of the output. When `run` succeeds, the temporary files are
    renamed to the outputs; after an exception they are removed, and no output changes. The methods for input files
    return paths of copies below the setting `scratch_dir`, made on demand, at most `n_download_threads` at a time.

    Use it as `@on_temporary_files`, or with arguments, as in `@on_temporary_files(inputs=False)`.

    `run_function`: the `run` of a task.
    `inputs`: if false, inputs are read where they are, without a copy.
    `outputs`: if false, outputs are written where they belong.

    An output left over from an incomplete run is replaced. Raises luigi's FileAlreadyExists if all outputs already
    exist, or somebody else creates one in the meantime; FileNotFoundError if an output whose path was requested was
    not written; PermissionError if `scratch_dir` is not writable.

    A `run` that yields requirements works, too: luigi restarts it from the beginning each time, so what it wrote
    before is removed.
    """
    if run_function is None:
        return functools.partial(on_temporary_files, inputs=inputs, outputs=outputs)
    if inspect.isgeneratorfunction(inspect.unwrap(run_function)):

        @functools.wraps(run_function)
        def on_files(self: Task) -> Generator[Any, Any, Any]:
            with temporary_files(self, inputs, outputs):
                return (yield from run_function(self))

    else:

        @functools.wraps(run_function)
        def on_files(self: Task) -> Any:
            with temporary_files(self, inputs, outputs):
                return _refuse_generator(self, run_function(self))

    return on_files


@contextlib.contextmanager
def temporary_files(task: Task, inputs: bool = True, outputs: bool = True) -> Iterator[None]:
    """While entered, the methods of a task return paths of temporary files, see `on_temporary_files`."""
    if not isinstance(task, Task):
        raise TypeError(f"on_temporary_files needs a b2luigi.Task, which {type(task).__name__} is not.")
    if task._redirection is not None:  # run() of a base class: the outer run() moves all files at its end
        yield
        return
    files = task._redirection = _TemporaryFiles(
        _TemporaryOutputs(task) if outputs else _FinalFiles(), _CopiedInputs(task) if inputs else _FinalFiles()
    )
    try:
        yield
        files.outputs.finish()
    finally:
        task._redirection = None
        files.outputs.clear()
        files.inputs.clear()


class _FinalFiles:
    """Files that are written, or read, where they are."""

    def paths(self, targets: Sequence[Any]) -> list[str]:
        """The paths of the targets themselves."""
        return [str(target.path) for target in targets]

    def finish(self) -> None:
        """The files are in place."""

    def clear(self) -> None:
        """There is nothing to remove."""


@dataclass(frozen=True)
class _TemporaryFiles:
    """The files of one run. Picklable, for tasks that start processes of their own."""

    outputs: _FinalFiles
    inputs: _FinalFiles

    def output_paths(self, targets: Sequence[Any]) -> list[str]:
        """The paths to write these targets to."""
        return self.outputs.paths(targets)

    def input_paths(self, targets: Sequence[Any]) -> list[str]:
        """The paths to read these targets from."""
        return self.inputs.paths(targets)


class _CopiedInputs(_FinalFiles):
    """Copies of the inputs, made when their paths are requested."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._copies: dict[str, str] = {}
        self._scratch = ""

    def paths(self, targets: Sequence[Any]) -> list[str]:
        """Paths of copies of these targets; a target that does not exist keeps its own path."""
        paths = super().paths(targets)
        new = [path for path in dict.fromkeys(paths) if path not in self._copies and os.path.exists(path)]
        if new:
            self._scratch = self._scratch or make_scratch_folder(self._task)
            self._copies.update(zip(new, _copy_all(new, self._scratch, self._task), strict=True))
        return [self._copies.get(path, path) for path in paths]

    def clear(self) -> None:
        """Removes all copies. Ignores errors, since they must not hide why the run failed."""
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


class _TemporaryOutputs(_FinalFiles):
    """Temporary files beside the outputs, renamed to them at the end."""

    def __init__(self, task: Task) -> None:
        self._task, self._number = task, new_number()
        self._outputs = {target.path: target for target in flatten(task.output()) if _is_movable(target)}
        self._leftover = {path for path, target in self._outputs.items() if target.exists()}
        """Outputs of an earlier run, to be replaced."""
        self._requested: set[str] = set()
        # A task with its own complete() has its own reason to run again.
        if self._leftover and len(self._leftover) == len(self._outputs) and not has_own_complete(task):
            raise FileAlreadyExists(_all_exist(task, self._leftover))

    def paths(self, targets: Sequence[Any]) -> list[str]:
        """The temporary paths of these targets."""
        return [self._begin(target) if _is_movable(target) else str(target.path) for target in targets]

    def finish(self) -> None:
        """All or nothing, as far as possible: checks all files before it renames the first."""
        written = [target for target in self._outputs.values() if target.fs.exists(self._temporary_path(target))]
        self._check_missing({target.path for target in written})
        for target in written:
            if target.path not in self._leftover:
                check_absent(target)
        for target in written:
            put_in_place(target, self._temporary_path(target), replace=target.path in self._leftover)

    def clear(self) -> None:
        """Removes all temporary files. Ignores errors, since they must not hide why the run failed."""
        for target in self._outputs.values():
            with contextlib.suppress(OSError, FileSystemException):
                remove_if_exists(target, self._temporary_path(target))

    def _begin(self, target: Any) -> str:
        self._outputs.setdefault(target.path, target)
        self._requested.add(target.path)
        make_folder_of(target)
        return self._temporary_path(target)

    def _temporary_path(self, target: Any) -> str:
        """Unique to each output, and the same in all processes of the run."""
        return temporary_path_of(target, random.Random(f"{self._number} {target.path}").randrange(10**10))

    def _check_missing(self, written: Set[str]) -> None:
        missing = sorted(path for path in self._requested - written if not self._outputs[path].exists())
        if missing and not has_own_complete(self._task):  # one that says itself which outputs it needs
            raise FileNotFoundError(
                f"{self._task.get_task_family()}: run() requested the paths of these outputs, but did not write them: "
                f"{', '.join(missing)}. No output was put in place."
            )


def _is_movable(target: Any) -> bool:
    return hasattr(target, "path") and hasattr(target, "fs")


def _all_exist(task: luigi.Task, paths: Iterable[str]) -> str:
    return (
        f"{task.get_task_family()}: all outputs already exist ({', '.join(sorted(paths))}), so run() was not "
        "started. Another run may have created them; remove them to create them again."
    )


def _copy_all(paths: Sequence[str], folder: str, task: luigi.Task) -> list[str]:
    copy = functools.partial(copy_into, folder)
    threads = get_setting("n_download_threads", default=2, task=task)
    if threads is None:
        return list(map(copy, paths))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(copy, paths))


def _refuse_generator(task: luigi.Task, result: Any) -> Any:
    if isinstance(result, Generator):
        raise TypeError(
            f"{task.get_task_family()}: run() returns a generator but contains no yield itself, so its end cannot be "
            "detected. Put on_temporary_files directly above the function that contains the yield."
        )
    return result
