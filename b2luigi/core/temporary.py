"""on_temporary_files: a task that writes aside, so that an output that is there is whole."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import random
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import luigi
from luigi.target import FileAlreadyExists, FileSystemException
from luigi.task import flatten

from b2luigi.core.settings import get_setting
from b2luigi.core.target import (
    check_free,
    copy_into,
    make_folder_of,
    make_scratch_folder,
    new_number,
    put_in_place,
    remove_if_there,
    temporary_place,
)
from b2luigi.core.task import Task


def on_temporary_files(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decorator of a task's `run`: while it runs, the paths it asks for are those of temporary files.

    `get_output_file_name` gives a path beside the output. When `run` ended well, what was written is renamed to be
    the output; after an exception it is removed, and no output changes. Methods for input files give the paths of
    copies below the setting `scratch_dir`, made when they are asked for, at most `n_download_threads` at a time.

    An output that is left from a run that was not complete is replaced. Raises luigi's FileAlreadyExists if all
    outputs are there before, or one is made by somebody else in the meantime; FileNotFoundError if an output that
    was asked for was not written; PermissionError if `scratch_dir` can not be written.

    A `run` that yields requirements works, too: luigi starts it from the beginning each time, and so what it wrote
    before is removed.
    """
    if inspect.isgeneratorfunction(inspect.unwrap(run)):

        @functools.wraps(run)
        def on_files(self: Task) -> Generator[Any, Any, Any]:
            with _temporary_files(self):
                return (yield from run(self))

    else:

        @functools.wraps(run)
        def on_files(self: Task) -> Any:
            with _temporary_files(self):
                return _no_generator(self, run(self))

    return on_files


@contextlib.contextmanager
def _temporary_files(task: Task) -> Iterator[None]:
    if not isinstance(task, Task):
        raise TypeError(f"on_temporary_files is for runs of b2luigi.Task, which {type(task).__name__} is not.")
    if task._elsewhere is not None:  # a run that calls the run of its base class: all is moved at the end of the outer
        yield
        return
    files = task._elsewhere = _TemporaryFiles(task)
    try:
        yield
        files.put_in_place()
    finally:
        task._elsewhere = None
        files.clear()


class _TemporaryFiles:
    """The temporary files of one run. Can be pickled, as is a task that starts processes of its own."""

    def __init__(self, task: Task) -> None:
        self._task, self._number = task, new_number()
        self._outputs = {target.path: target for target in flatten(task.output()) if _is_movable(target)}
        self._left = {path for path, target in self._outputs.items() if target.exists()}
        """Outputs of an earlier run, to be replaced."""
        self._asked: set[str] = set()
        self._copies: dict[str, str] = {}
        self._scratch = ""
        # A task that says itself when it is complete knows why it runs again.
        if self._left and len(self._left) == len(self._outputs) and type(task).complete is luigi.Task.complete:
            raise FileAlreadyExists(_all_there(task, self._left))

    def output_paths(self, targets: Sequence[Any]) -> list[str]:
        """Where to write what is to be these targets."""
        return [self._begin(target) if _is_movable(target) else str(target.path) for target in targets]

    def input_paths(self, targets: Sequence[Any]) -> list[str]:
        """Copies of these targets; one that does not exist keeps its own path."""
        paths = [str(target.path) for target in targets]
        new = [path for path in dict.fromkeys(paths) if path not in self._copies and os.path.exists(path)]
        if new:
            self._scratch = self._scratch or make_scratch_folder(self._task)
            self._copies.update(zip(new, _copy_all(new, self._scratch, self._task), strict=True))
        return [self._copies.get(path, path) for path in paths]

    def put_in_place(self) -> None:
        """All or nothing, as far as one can know: everything is looked at before anything is renamed."""
        written = [target for target in self._outputs.values() if target.fs.exists(self._place(target))]
        self._check_missing({target.path for target in written})
        for target in written:
            if target.path not in self._left:
                check_free(target)
        for target in written:
            put_in_place(target, self._place(target), replace=target.path in self._left)

    def clear(self) -> None:
        """Removes everything temporary; what can not be removed must not hide why the run failed."""
        for target in self._outputs.values():
            with contextlib.suppress(OSError, FileSystemException):
                remove_if_there(target, self._place(target))
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _begin(self, target: Any) -> str:
        self._outputs.setdefault(target.path, target)
        self._asked.add(target.path)
        make_folder_of(target)
        return self._place(target)

    def _place(self, target: Any) -> str:
        """The same in all processes of the run, and another one for each output."""
        return temporary_place(target, random.Random(f"{self._number} {target.path}").randrange(10**10))

    def _check_missing(self, written: Set[str]) -> None:
        missing = sorted(path for path in self._asked - written if not self._outputs[path].exists())
        if missing:
            raise FileNotFoundError(
                f"{self._task.get_task_family()}: run() asked where to write these outputs, but did not write them: "
                f"{', '.join(missing)}. No output was put in place."
            )


def _is_movable(target: Any) -> bool:
    return hasattr(target, "path") and hasattr(target, "fs")


def _all_there(task: luigi.Task, paths: Iterable[str]) -> str:
    return (
        f"{task.get_task_family()}: all outputs are there already ({', '.join(sorted(paths))}), so run() was not "
        "started. Another run may have made them; remove them if they are to be made anew."
    )


def _copy_all(paths: Sequence[str], folder: str, task: luigi.Task) -> list[str]:
    copy = functools.partial(copy_into, folder)
    threads = get_setting("n_download_threads", default=2, task=task)
    if threads is None:
        return list(map(copy, paths))
    if threads < 1:
        raise ValueError(f"n_download_threads has to be a whole number above 0, or None, but it is {threads!r}.")
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(copy, paths))


def _no_generator(task: luigi.Task, result: Any) -> Any:
    if isinstance(result, Generator):
        raise TypeError(
            f"{task.get_task_family()}: run() is not a function with yield, and yet gives a generator, so that its "
            "end can not be seen. Put on_temporary_files directly above the function that has the yield."
        )
    return result
