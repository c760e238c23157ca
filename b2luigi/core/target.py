"""Targets, and the temporary files in which they are written until they are complete."""

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
from typing import TYPE_CHECKING, Any, Protocol

import luigi
import luigi.target
from luigi.local_target import LocalFileSystem, atomic_file

from b2luigi.core.files import make_folder
from b2luigi.core.patience import PASSING, patiently
from b2luigi.core.settings import get_seconds, get_setting
from b2luigi.core.structures import flatten_to_dict_of_lists

LONGEST_NAME = 255
"""Longest name of a file or folder on Linux, in bytes (NAME_MAX)."""
_WILDCARD = re.compile(r"[*?\[{]")
"""luigi warns about these characters at each existence check."""


class PathLookup(Protocol):
    """Answers existence checks, possibly from results it has prefetched."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder exists at this path."""


PATH_LOOKUP: ContextVar[PathLookup | None] = ContextVar("PATH_LOOKUP", default=None)
"""During a walk over tasks: answers the existence checks of targets that are plain files."""


class FileSystemTarget(luigi.target.FileSystemTarget):
    """Base class of targets with a path. Subclasses implement `fs` and `open`, as in luigi."""

    path: str

    @property
    def tmp_name(self) -> str:
        """A new name for the temporary file: `<stem>-luigi-tmp-<10 digits><ext>`, without the folder."""
        return temporary_name(self.path, new_number())

    @contextlib.contextmanager
    def temporary_path(self, task: luigi.Task | None = None, **_: Any) -> Iterator[str]:
        """A temporary path in the target's folder to write to: `with target.temporary_path() as path: ...`

        At the end, the file or folder is renamed to the target; after an exception it is removed.
        Raises luigi's FileAlreadyExists if the target exists by then, FileNotFoundError if nothing was written.
        `task`, and the options of a scratch folder that b2luigi 1.3.0 accepts, have no effect for local targets.
        """
        path = temporary_path_of(self, new_number())
        make_folder_of(self)
        try:
            yield path
            if not self.fs.exists(path):
                raise FileNotFoundError(f"Nothing was written to {path}, so {self.path} was not created.")
            put_in_place(self, path)
        finally:
            remove_if_exists(self, path)

    @contextlib.contextmanager
    def get_temporary_input(self, task: luigi.Task | None = None, **options: Any) -> Iterator[str]:
        """A copy of the target to read from, below the setting `scratch_dir`; removed at the end.

        `task`: the task whose `scratch_dir` is used. `options`: `prefix` and `suffix` of the name of its folder there.
        Raises PermissionError, naming the setting, if `scratch_dir` is not writable.
        """
        folder = make_scratch_folder(task, **options)
        try:
            yield copy_into(folder, self.path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _PatientFile(atomic_file):
    """luigi's file that appears when it is closed, which retries that while the disk is full or read-only."""

    def flush(self) -> None:
        patiently(super().flush, _grace, PASSING)

    def move_to_final_destination(self) -> None:
        patiently(super().move_to_final_destination, _grace, PASSING)


class LocalTarget(FileSystemTarget, luigi.LocalTarget):
    """A file or folder in a mounted file system; its attribute `path` is the path."""

    if TYPE_CHECKING:  # luigi leaves it without types

        def __init__(
            self, path: str | os.PathLike[str] | None = None, format: Any = None, is_tmp: bool = False
        ) -> None: ...

    def exists(self) -> bool:
        """Whether the file or folder exists."""
        lookup = PATH_LOOKUP.get()
        if lookup is not None and is_plain(self):
            return lookup.exists(self.path)
        return bool(super().exists())  # type: ignore[no-untyped-call]

    def open(self, mode: str = "r") -> Any:
        """As in luigi: the file for reading or writing; one that is written appears at its path when it is closed.

        If the disk is full or read-only by then, that is waited for at most `result_grace`.
        """
        if mode.replace("b", "").replace("t", "") != "w":
            return super().open(mode)  # type: ignore[no-untyped-call]
        self.makedirs()
        return self.format.pipe_writer(_PatientFile(self.path))  # type: ignore[no-untyped-call]

    def makedirs(self) -> None:
        """Create the folder of the file, including its parents.

        Raises OSError if that fails (luigi's own target ignores errors until the file is opened).
        """
        folder = os.path.dirname(os.path.normpath(self.path))
        if folder:
            make_folder(folder)


def is_plain(target: Any) -> bool:
    """Whether a target exists exactly if its path does: neither it nor its file system overrides `exists`."""
    return (
        isinstance(target, LocalTarget)
        and getattr(target.exists, "__func__", None) is LocalTarget.exists
        and getattr(target.fs.exists, "__func__", None) is LocalFileSystem.exists
        and os.path.isabs(target.path)
        and _WILDCARD.search(target.path) is None
    )


def file_targets_by_name(structure: Any) -> dict[str, list[Any]]:
    """The targets with a path in `structure`, however nested, grouped by name.

    The name is the innermost dict key around a target (as `add_to_output` sets it) or else, for targets of plain
    luigi tasks, the file name.
    """
    named: dict[str, list[Any]] = {}
    for key, targets in flatten_to_dict_of_lists(structure).items():
        with_path = [target for target in targets if hasattr(target, "path")]
        if with_path:
            name = os.path.basename(os.path.normpath(key.path)) if key is targets[0] else key
            named.setdefault(name, []).extend(with_path)
    return named


def new_number() -> int:
    """A random number that makes temporary names unique; independent of the user's `random.seed`."""
    return random.SystemRandom().randrange(10**10)


def temporary_name(path: str, number: int) -> str:
    """`<stem>-luigi-tmp-<10 digits><ext>`, where ext is all from the first dot on, as in `.nii.gz`.

    If the name would be too long for the file system, the stem is truncated, and the extension to its end.
    """
    stem, extension = _at_first_dot(os.path.basename(path.rstrip("/")))
    mark = f"-luigi-tmp-{number:010}"
    ending = os.fsencode(extension)[-(LONGEST_NAME - len(mark)) :].decode(errors="ignore")
    room = LONGEST_NAME - len(mark) - len(os.fsencode(ending))
    fits = len(os.fsencode(stem)) <= room
    return (stem if fits else os.fsencode(stem)[:room].decode(errors="ignore")) + mark + ending


def _at_first_dot(name: str) -> tuple[str, str]:
    """The name before and from its first dot; a dot at its start only hides the file."""
    dot = name.find(".", len(name) - len(name.lstrip(".")))
    return (name, "") if dot < 0 else (name[:dot], name[dot:])


def temporary_path_of(target: Any, number: int) -> str:
    """A path in the folder of a target, from where renaming is atomic."""
    return os.path.join(_folder_of(target), temporary_name(target.path, number))


def make_folder_of(target: Any) -> None:
    """Creates the folder of a target, with its parents, in the target's file system. Raises OSError."""
    folder = _folder_of(target)
    if folder:
        patiently(lambda: target.fs.mkdir(folder, parents=True, raise_if_exists=False), _grace, PASSING)


def check_absent(target: Any) -> None:
    """Raises luigi's FileAlreadyExists if the target exists."""
    if target.fs.exists(target.path):
        raise luigi.target.FileAlreadyExists(
            f"{target.path} already exists; somebody else created it in the meantime. It is kept, and the new file is "
            "removed. Check for another run of the same task."
        )


def put_in_place(target: Any, path: str, replace: bool = False) -> None:
    """Renames `path` to the target.

    Raises luigi's FileAlreadyExists if the target exists, unless `replace` is set.
    """
    if not replace:
        check_absent(target)
    elif os.path.isdir(target.path):  # a rename replaces only files
        target.fs.remove(target.path)
    patiently(lambda: target.fs.move(path, target.path), _grace, PASSING)


def remove_if_exists(target: Any, path: str) -> None:
    """Removes a file or folder, if it exists, from the file system of a target."""
    if target.fs.exists(path):
        target.fs.remove(path)


def make_scratch_folder(task: luigi.Task | None = None, prefix: str = "b2luigi-", suffix: str = "") -> str:
    """A new folder below the setting `scratch_dir`.

    Raises OSError, naming the setting, if it cannot be created: PermissionError if `scratch_dir` is not writable.
    """
    base = os.fspath(get_setting("scratch_dir", default=None, task=task) or tempfile.gettempdir())
    try:
        os.makedirs(base, exist_ok=True)
        return tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=base)
    except OSError as error:
        # OSError(...) picks the subclass that matches the number.
        number = errno.EACCES if error.errno == errno.EROFS else error.errno
        raise OSError(
            number,
            f"Cannot copy inputs to the folder of the setting scratch_dir ({error.strerror}). "
            "Set it to a folder that you can write to on the machine that runs the task",
            base,
        ) from error


def copy_into(folder: str, path: str) -> str:
    """Copies a file or folder, under its own name, to a new folder below `folder`. Raises OSError."""
    name = os.path.basename(os.path.normpath(path))
    copy = os.path.join(tempfile.mkdtemp(dir=folder), name)
    if os.path.isdir(path):
        shutil.copytree(path, copy)
    else:
        shutil.copy2(path, copy)
    return copy


def _grace() -> float:
    return get_seconds("result_grace")


def _folder_of(target: Any) -> str:
    return os.path.dirname(str(target.path).rstrip("/"))
