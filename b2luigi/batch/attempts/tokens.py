"""Tokens: the names of attempts, which begin alike for all attempts of one task."""

from __future__ import annotations

import functools
import hashlib
import secrets

PROJECT, TASK = 4, 9
"""So many digits at the beginning of a token name the project, and the task in it."""
_PACK = "0" * (TASK - PROJECT)
"""In place of a task. One task in a million has the same; then more than that wait for a job without a record."""


def new_token(kin: str = "") -> str:
    """A name for one attempt. `kin`: how the names of all attempts of the same task begin, see `kin_of`."""
    return kin + secrets.token_hex(8)[len(kin) :]


def kin_of(task_id: str, project: str) -> str:
    """How tokens of a task begin: with four digits for its project, and five for the task in it.

    So the label of a job shows which task it works on even if its record is lost.
    """
    return _of_project(project) + _digest(f"{project} {task_id}")[: TASK - PROJECT]


@functools.lru_cache(maxsize=16)
def _of_project(project: str) -> str:
    return _digest(project)[:PROJECT]


def token_of_pack(token: str) -> str:
    """A name for a job that runs several tasks, one of which is `token`: with its project, and no task."""
    return new_token(token[:PROJECT] + _PACK)


def is_of_pack(token: str) -> bool:
    """Whether a token names a job of which it does not say on which tasks of its project it works."""
    return token[PROJECT:TASK] == _PACK


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
