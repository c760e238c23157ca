"""`bmod`: change name or description of jobs, as site hooks and users do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import state
from .command import Answer

if TYPE_CHECKING:
    from .command import Call

COLUMNS = {"-J": ("name", True), "-Jn": ("name", False), "-Jd": ("description", True), "-Jdn": ("description", False)}
"""Option: the column of a job, and whether a value follows (otherwise it is reset)."""
USAGE = "Usage: bmod [options] job_ID\n"


def run(call: Call) -> Answer:
    """Change jobs."""
    rest, changes = list(call.argv), {}
    while rest and rest[0] in COLUMNS:
        column, has_value = COLUMNS[rest.pop(0)]
        changes[column] = rest.pop(0) if has_value and rest else ""
    if len(rest) != 1 or not changes:
        return Answer(255, "", USAGE)
    jobid, _ = state.parse_ids(rest[0])
    with state.writing(call.db) as db:
        for column, value in changes.items():
            db.execute(f"UPDATE job SET {column} = ? WHERE jobid = ?", (value, jobid))
        known = db.execute("SELECT 1 FROM job WHERE jobid = ?", (jobid,)).fetchone()
    if not known:
        return Answer(255, "", f"Job <{rest[0]}>: No matching job found\n")
    return Answer(0, f"Parameters of job <{rest[0]}> are being changed\n")
