"""The running script: its path, and the folder that relative paths are relative to."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path

from b2luigi.core.bad_input import BadCallError, BadFileError

RUNNERS = ("pytest", "py.test")
"""Programs that run the code of users, besides those of Python itself (`python -m cProfile`, `python -m unittest`)."""


def get_filename() -> str:
    """The absolute path of the running script; of a zipapp, or a folder with a `__main__.py`, the path of that.

    Raises AttributeError in an interactive session or a notebook, where there is no script.
    """
    script = _main_file()
    if not script:
        raise BadCallError(
            "There is no script: this is an interactive session, a notebook, or `python -c`. Run a .py file instead."
        )
    return os.path.abspath(os.path.dirname(script) if _spec_name() == "__main__" else script)


def refuse_foreign_program() -> None:
    """Raises BadCallError if a node could not run a task with the running program, which is not the user's.

    Programs that users have installed run tasks on nodes like any script.
    """
    name = os.path.basename(script_name())
    module = _spec_name().partition(".")[0]
    if name in RUNNERS or module in {*RUNNERS, *sys.stdlib_module_names} - {"__main__"}:
        raise BadCallError(
            f"The running program is {module or name}, with which no node can run a task: put the code into a script "
            "and run that, or run without batch."
        )


def has_script() -> bool:
    """Whether there is a script that nodes can run, too; not in an interactive session, a notebook, `python -c`."""
    return bool(_main_file())


def script_name() -> str:
    """The path of the running script; empty if there is none."""
    return get_filename() if has_script() else ""


def is_session() -> bool:
    """Whether somebody types into this process, in a notebook or a REPL, and it goes on after an error."""
    return hasattr(sys, "ps1") and not has_script()


def base_folder() -> str:
    """The folder that relative paths are relative to, as an absolute path: as with b2luigi 1.3.0,

    that of the script, if one was started as `python script.py`, and otherwise the current folder: in a notebook, with
    `python -m`, and in programs that come with the interpreter, such as `pytest` and `luigi`.
    Raises OSError if that is the current folder, and it was removed.
    """
    script = _main_file()
    if script.endswith(".py") and getattr(sys.modules["__main__"], "__spec__", None) is None:
        folder = script_folder()
        if folder:
            return folder
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise BadFileError(
            "The current folder was removed, and relative paths are relative to it: change to another one."
        ) from None


def script_folder() -> str:
    """The folder of the user's script or module; empty if the running program is not the user's, or there is none."""
    script = _main_file()
    return _folder_of_user(script if os.path.isabs(script) else os.path.abspath(script)) if script else ""


@functools.lru_cache(maxsize=64)
def _folder_of_user(script: str) -> str:
    folder = os.path.dirname(os.path.normpath(script))
    return "" if is_of_interpreter(folder) else folder


def _spec_name() -> str:
    """The module that was started by `python -m`; `__main__` for a folder or a zipapp, empty for a script."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return str(spec.name) if spec is not None else ""


def _main_file() -> str:
    found: str | None = getattr(sys.modules.get("__main__"), "__file__", None)
    return "" if found is None or found == "<stdin>" or found.endswith(".ipynb") else found


@functools.lru_cache(maxsize=256)
def is_of_interpreter(folder: str) -> bool:
    """Whether a folder is one of the interpreter's own, for programs or packages."""
    schemes = [sysconfig.get_paths(), sysconfig.get_paths(sysconfig.get_preferred_scheme("user"))]
    programs = {os.path.dirname(sys.executable), *(paths["scripts"] for paths in schemes)}
    libraries = {paths[name] for paths in schemes for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return folder in programs or any(Path(folder).is_relative_to(library) for library in libraries)
