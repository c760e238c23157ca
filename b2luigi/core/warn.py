"""Warnings about scripts and settings. Nodes are silent: the submit host has warned, and each job would repeat it."""

from __future__ import annotations

import os
import warnings

from b2luigi.core.job_script import SCRIPT_VARIABLE

_IS_NODE = bool(os.environ.get(SCRIPT_VARIABLE))
"""Looked up when the job begins: a node removes the variable before it starts the task."""


def warn(warning: Warning, stacklevel: int) -> None:
    """Like `warnings.warn`; `stacklevel` 1 is the caller."""
    if not _IS_NODE:
        warnings.warn(warning, stacklevel=stacklevel + 1)


def warn_at(warning: Warning, path: str, line: int) -> None:
    """Warns about a line of a file."""
    if not _IS_NODE:
        warnings.warn_explicit(warning, type(warning), path, line)
