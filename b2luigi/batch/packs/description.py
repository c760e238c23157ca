"""The job of a pack: its folder, its job script, and what that says of the tasks in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.record import Record
from b2luigi.batch.attempts.tokens import token_of_pack
from b2luigi.batch.packs.share import Share
from b2luigi.batch.systems.model import JobSpec
from b2luigi.core.executable import SCRIPT_NAME
from b2luigi.core.job_script import JobScript, read_description

KEPT = 7 * 24 * 3600.0
"""Seconds for which what a pack has printed is kept that did not end well."""
LOOKS = 10
"""So many packs at most are looked at in one run that runs have left which were killed."""
FOLDER = "packs"
"""Beside the inboxes: the folders of packs, which are named by their tokens."""


def folder_of(inbox: Path, token: str) -> Path:
    """The folder of a pack of the run with this inbox."""
    return inbox.parent / FOLDER / token


def tidy(inbox: Path, now: float | None = None) -> None:
    """Removes what is left of packs that ended long ago. `now`: seconds since the epoch.

    As long as a job may still be at work, its folder holds its job script: that of a run that was killed, too. Of
    these some are looked at.
    """
    limit = (time.time() if now is None else now) - KEPT
    with contextlib.suppress(OSError), os.scandir(inbox.parent / FOLDER) as entries:
        old = [Path(entry.path) for entry in entries if entry.stat().st_mtime < limit]
        left = [folder for folder in old if (folder / SCRIPT_NAME).exists()]
        unwanted = [folder for folder in left[:LOOKS] if not _is_wanted(folder)]
        for folder in [*(set(old) - set(left)), *unwanted]:
            shutil.rmtree(folder, ignore_errors=True)


def _is_wanted(folder: Path) -> bool:
    members = members_in(folder)
    return members is None or any(is_open(token, place) for token, place in members.items())


def is_open(token: str, folder: Path) -> bool:
    """Whether an attempt may not be over; what cannot be read says nothing. `folder`: of its task."""
    try:
        _, records = Record.all_in(folder)
    except OSError:
        return True
    return not folder.is_dir() or any(one.is_open for one in records if one.token == token or one.is_torn)


def job_of(token: str, folder: Path, member: JobSpec) -> JobSpec:
    """The job of a pack. `member`: one of its tasks."""
    return JobSpec(
        token=token,
        name=f"{member.family}-{token}",
        script=folder / SCRIPT_NAME,
        folder=folder,
        log_folder=folder,
        inbox=member.inbox,
        options=member.options,
        inputs=member.inputs,
        is_pack=True,
    )


def script_of(shares: Sequence[Share], members: Sequence[JobSpec], limit: float | None) -> tuple[JobSpec, JobScript]:
    """A new pack of these tasks: its job, and its job script.

    `limit`: seconds after which it begins no further task, and hands the rest back.
    """
    token = token_of_pack(members[0].token)
    folder = folder_of(members[0].inbox, token)
    families = {member.family for member in members}
    spec = job_of(token, folder, members[0])
    if len(families) > 1:
        spec = replace(spec, name=f"several-{token}")
    tasks = "1 task" if len(members) == 1 else f"{len(members)} tasks"
    script = shares[0].script
    home = os.path.join(os.path.dirname(script.inbox or ""), FOLDER, token)
    described: Mapping[str, Any] = {
        **script.description,
        "inbox": script.inbox,
        "limit": limit,
        "members": [share.member for share in shares],
    }
    spec = replace(spec, title=f"{spec.family}({tasks})".replace(" ", "_"))
    return spec, replace(script, home=home, logs=home, description=described)


def members_in(folder: Path, default: Any = None) -> Any:
    """The folders of the tasks in a pack, by token, as its job script has them; `default` if it does not say."""
    try:
        found = read_description(folder / SCRIPT_NAME)["members"]
        return {str(member["token"]): folder.parents[1] / str(member["below"]) for member in found}
    except (OSError, ValueError, KeyError, TypeError):
        return default
