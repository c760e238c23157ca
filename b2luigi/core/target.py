"""Targets: what a task writes, and where it is written until it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

import luigi
import luigi.target
from luigi.local_target import LocalFileSystem

from b2luigi.core.settings import get_setting
from b2luigi.core.structures import flatten_to_dict_of_lists

LONGEST_NAME = 255
"""Bytes that the name of a file or folder can have, with Linux and its file systems."""
_WILDCARD = re.compile(r"[*?\[{]")
"""luigi warns about these each time it looks."""


class Looks(Protocol):
    """What may know already whether there is something at a path."""

    def exists(self, path: str) -> bool:
        """Whether there is."""


LOOKS: ContextVar[Looks | None] = ContextVar("LOOKS", default=None)
"""Asked for targets that are plain files, during a walk over tasks."""


class FileSystemTarget(luigi.target.FileSystemTarget):
    """Base of targets with a path; to implement: `fs` and `open`, as in luigi."""

    path: str

    @property
    def tmp_name(self) -> str:
        """A new name for the file while it is written: `<stem>-luigi-tmp-<10 digits><ext>`, without folder."""
        return temporary_name(self.path, new_number())

    @contextlib.contextmanager
    def temporary_path(self, task: luigi.Task | None = None) -> Iterator[str]:
        """A path beside the target to write to: `with target.temporary_path() as path: ...`

        At the end the file, or folder, is renamed to be the target; after an exception it is removed.
        Raises luigi's FileAlreadyExists if the target is there by then, FileNotFoundError if nothing was written.
        `task`: for targets whose temporary place depends on settings; it makes no difference to local ones.
        """
        path = temporary_place(self, new_number())
        make_folder_of(self)
        try:
            yield path
            if not self.fs.exists(path):
                raise FileNotFoundError(f"Nothing was written to {path}, so there is no {self.path}.")
            put_in_place(self, path)
        finally:
            remove_if_there(self, path)

    @contextlib.contextmanager
    def get_temporary_input(self, task: luigi.Task | None = None) -> Iterator[str]:
        """A copy of the target to read from, in the folder of the setting `scratch_dir`; removed at the end.

        `task`: whose `scratch_dir` it is. Raises PermissionError, naming the setting, if that can not be written.
        """
        folder = make_scratch_folder(task)
        try:
            yield copy_into(folder, self.path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class LocalTarget(FileSystemTarget, luigi.LocalTarget):
    """A file, or folder, in a file system that this machine sees; its path is an attribute, `path`."""

    def exists(self) -> bool:
        """Whether the file, or folder, is there."""
        looks = LOOKS.get()
        if looks is not None and is_plain(self):
            return looks.exists(self.path)
        return bool(super().exists())  # type: ignore[no-untyped-call]

    def makedirs(self) -> None:
        """Make the folder the file will lie in, with those above it.

        Raises OSError if that is not possible (luigi's own target keeps silent until the file is opened).
        """
        folder = os.path.dirname(os.path.normpath(self.path))
        if folder:
            os.makedirs(folder, exist_ok=True)


def is_plain(target: Any) -> bool:
    """Whether a target exists if there is something at its path, and nobody wants that asked in a way of his own."""
    return (
        isinstance(target, LocalTarget)
        and getattr(target.exists, "__func__", None) is LocalTarget.exists
        and getattr(target.fs.exists, "__func__", None) is LocalFileSystem.exists
        and os.path.isabs(target.path)
        and _WILDCARD.search(target.path) is None
    )


def file_targets_by_name(structure: Any) -> dict[str, list[Any]]:
    """The targets with a path in `structure`, any nesting, by the name under which they were put there.

    The name is the key of the innermost dict around a target (as `add_to_output` makes it) or else, for
    targets of plain luigi tasks, the name of the file.
    """
    named: dict[str, list[Any]] = {}
    for key, targets in flatten_to_dict_of_lists(structure).items():
        with_path = [target for target in targets if hasattr(target, "path")]
        if with_path:
            name = os.path.basename(os.path.normpath(key.path)) if key is targets[0] else key
            named.setdefault(name, []).extend(with_path)
    return named


def new_number() -> int:
    """Tells the temporary files of one run from those of others; of its own, whatever `random.seed` a user gives."""
    return random.SystemRandom().randrange(10**10)


def temporary_name(path: str, number: int) -> str:
    """`<stem>-luigi-tmp-<10 digits><ext>`; the stem is cut where the name would be too long for the file system."""
    stem, extension = os.path.splitext(os.path.basename(path.rstrip("/")))
    mark = f"-luigi-tmp-{number:010}{extension}"
    room = max(0, LONGEST_NAME - len(os.fsencode(mark)))
    fits = len(os.fsencode(stem)) <= room
    return (stem if fits else os.fsencode(stem)[:room].decode(errors="ignore")) + mark


def temporary_place(target: Any, number: int) -> str:
    """A path beside a target: to rename a file there is atomic."""
    return os.path.join(_folder_of(target), temporary_name(target.path, number))


def make_folder_of(target: Any) -> None:
    """Makes the folder a target will lie in, with those above it, in the target's file system. Raises OSError."""
    folder = _folder_of(target)
    if folder:
        target.fs.mkdir(folder, parents=True, raise_if_exists=False)


def check_free(target: Any) -> None:
    """Raises luigi's FileAlreadyExists if the target is there."""
    if target.fs.exists(target.path):
        raise luigi.target.FileAlreadyExists(
            f"{target.path} is there already, made by somebody else in the meantime. It is left as it is, and what "
            "was written instead of it is removed. Look for another run of the same task."
        )


def put_in_place(target: Any, path: str, replace: bool = False) -> None:
    """Renames what was written to `path`, so that it is the target.

    Raises luigi's FileAlreadyExists if the target is there, unless it is to be replaced.
    """
    if not replace:
        check_free(target)
    elif os.path.isdir(target.path):  # a rename replaces files only
        target.fs.remove(target.path)
    target.fs.move(path, target.path)


def remove_if_there(target: Any, path: str) -> None:
    """Removes a file or folder in the file system of a target."""
    if target.fs.exists(path):
        target.fs.remove(path)


def make_scratch_folder(task: luigi.Task | None = None) -> str:
    """A new folder below the setting `scratch_dir`.

    Raises OSError, naming the setting, if that is not possible: PermissionError if it may not be written.
    """
    base = os.fspath(get_setting("scratch_dir", default=None, task=task) or tempfile.gettempdir())
    try:
        os.makedirs(base, exist_ok=True)
        return tempfile.mkdtemp(prefix="b2luigi-", dir=base)
    except OSError as error:
        # OSError makes itself the class that belongs to the number.
        number = errno.EACCES if error.errno == errno.EROFS else error.errno
        raise OSError(
            number,
            f"Inputs are copied to the folder of the setting scratch_dir, which is not possible ({error.strerror}). "
            "Give it the path of a folder in which you may write where the task runs",
            base,
        ) from error


def copy_into(folder: str, path: str) -> str:
    """A copy of a file or folder, under its own name, in a new folder below `folder`. Raises OSError."""
    name = os.path.basename(os.path.normpath(path))
    copy = os.path.join(tempfile.mkdtemp(dir=folder), name)
    if os.path.isdir(path):
        shutil.copytree(path, copy)
    else:
        shutil.copy2(path, copy)
    return copy


def _folder_of(target: Any) -> str:
    return os.path.dirname(str(target.path).rstrip("/"))
