"""Whose file it is: in a project that a group shares, runs of several users meet."""

from __future__ import annotations

import getpass
import os
import pwd
import time
from pathlib import Path


def foreign_owner(path: Path) -> int | None:
    """The user, by uid, whose file or folder it is; None if it is ours, or not there."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return None
    return uid if uid != os.geteuid() else None


def user_name(uid: int | None) -> str:
    """How a user is called in messages."""
    if uid is None:
        return "you"
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"user {uid}"


def login() -> str:
    """The user's own name; their number in a container that has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def moment(seconds: float) -> str:
    """A time of day for messages."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
