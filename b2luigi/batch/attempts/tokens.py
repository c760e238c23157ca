"""Tokens: the names of attempts, which begin alike for all attempts of one task."""

from __future__ import annotations

import hashlib
import secrets


def new_token(kin: str = "") -> str:
    """A name for one attempt. `kin`: how the names of all attempts of the same task begin, see `kin_of`."""
    return kin + secrets.token_hex(8)[len(kin) :]


def kin_of(task_id: str, project: str) -> str:
    """How tokens of a task begin: with four digits for its project, and five for the task in it.

    So the label of a job shows which task it works on even if its record is lost.
    """
    return _digest(project)[:4] + _digest(f"{project} {task_id}")[:5]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
