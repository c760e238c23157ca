"""The running script: its path, and the folder that relative paths are relative to."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from pathlib import Path

from b2luigi.core.bad_input import BadCallError, BadFileError


def get_filename() -> str:
    """The absolute path of the running script; of a zipapp, the path of the archive.

    Raises AttributeError in an interactive session or a notebook, where there is no script.
    """
    script = _main_file()
    if not script:
        raise BadCallError(
            "There is no script: batch jobs need the path of the running script, and an interactive session or a "
            "notebook has none. Put the code into a file and run that, or run without batch."
        )
    above = os.path.dirname(script)
    return os.path.abspath(above if os.path.isfile(above) else script)


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
        raise BadFileError("The current folder was removed, and relative paths are relative to it.") from None


def script_folder() -> str:
    """The folder of the user's script or module; empty if the running program is not the user's, or there is none."""
    script = _main_file()
    folder = os.path.dirname(os.path.abspath(script)) if script else ""
    return "" if not folder or _is_installed(folder) else folder


def _main_file() -> str:
    found: str | None = getattr(sys.modules.get("__main__"), "__file__", None)
    return "" if found is None or found == "<stdin>" else found


@functools.lru_cache(maxsize=8)
def _is_installed(folder: str) -> bool:
    """Whether a folder is one of the interpreter's own, for programs or packages."""
    schemes = [sysconfig.get_paths(), sysconfig.get_paths(sysconfig.get_preferred_scheme("user"))]
    programs = {os.path.dirname(sys.executable), *(paths["scripts"] for paths in schemes)}
    libraries = {paths[name] for paths in schemes for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return folder in programs or any(Path(folder).is_relative_to(library) for library in libraries)
