"""What happens to jobs, to the host and to mbatchd at once: `fakelsf fault add kill_job ids=7` and its kin."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import faults, processes, runner, state
from .bkill import update

REASONS = {
    "external": "TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF",
    "memlimit": "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
    "runlimit": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    "admin": "TERM_ADMIN: job killed by root or LSF administrator",
}
OUTAGE_S, ID_JUMP = 1.0, 100


def kill_jobs(where: Path) -> None:
    """Kill every job: its runner first (a dead runner reports nothing), then its group, then strays."""
    for name, send in (("runner", processes.signal_process), ("pid", processes.signal_group)):
        for path in sorted(where.glob(f"jobs/*/{name}")):
            found = processes.read(path)
            if found:
                send(found, signal.SIGKILL)
    processes.kill_marked(runner.marker(where).encode())


def _jobs_of(db: sqlite3.Connection, params: dict[str, Any]) -> Iterator[sqlite3.Row]:
    for word in str(params["ids"]).split(","):
        jobid, indices = state.parse_ids(word)
        for row in db.execute(f"{state.ROWS} WHERE jobid = ?", (jobid,)).fetchall():
            if indices is None or row["idx"] in indices:
                yield row


def _kill_job(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    reason = REASONS[params.get("reason", "external")]
    with state.writing(db):
        for row in _jobs_of(db, params):
            if row["stat"] not in state.FINAL:
                update(db, row, ladder="KILL", ladder_next=0, kill_reason=reason)


def _host_down(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    with state.writing(db):
        state.set_counter(db, "host_down", 1)
        state.set_counter(db, "exit_unknown", params.get("finish") == "exit_unknown")
    if params.get("kill") not in (None, "", "0", 0, False):
        kill_jobs(where)


def host_up(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    """The host is back."""
    with state.writing(db):
        if state.counter(db, "exit_unknown"):
            # whoever ended while nobody looked: how is not known
            for row in db.execute(f"{state.ROWS} WHERE stat = 'RUN'").fetchall():
                if (state.job_folder(where, row["jobid"], row["idx"]) / "rc").exists():
                    update(db, row, stat="EXIT", finish_time=time.time())
        state.set_counter(db, "exit_unknown", 0)
        state.set_counter(db, "host_down", 0)


def _flap(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    for _ in range(int(params.get("times", 2))):
        _host_down(where, db, {})
        time.sleep(float(params.get("seconds", 0.2)))
        host_up(where, db, {})
        time.sleep(float(params.get("seconds", 0.2)))


def _lost_job(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    """bjobs does not know it any more; it keeps running. bhist knows it unless `bhist=0`."""
    with state.writing(db):
        for row in _jobs_of(db, params):
            state.set_counter(db, f"lost {row['jobid']} {row['idx']}", 1 if params.get("bhist", "1") == "1" else 2)


def _queue_move(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    with state.writing(db):
        for row in _jobs_of(db, params):
            db.execute("UPDATE job SET queue = ? WHERE jobid = ?", (params["queue"], row["jobid"]))


def _dup_id(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    """Ids have wrapped: the next job gets the id of one that has ended, and was cleaned."""
    jobid = int(params["id"])
    with state.writing(db):
        for table in ("element", "job"):
            db.execute(f"DELETE FROM {table} WHERE jobid = ?", (jobid,))
        state.set_counter(db, "jobid", jobid - 1)
    for path in (where / "jobs").glob(f"{jobid}*"):
        if path.name.partition(".")[0] == str(jobid):
            path.rename(path.with_name(f"old-{path.name}-{time.time_ns()}"))


def _mbd_restart(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    """Away for a moment; afterwards all ids are valid, and new ones are a good deal higher."""
    with state.writing(db):
        state.set_counter(db, "jobid", state.counter(db, "jobid") + ID_JUMP)
    faults.add(db, "mbd_down", {"for_s": params.get("for_s", OUTAGE_S), "retry_s": 0.2})


def _preempt(where: Path, db: sqlite3.Connection, params: dict[str, Any]) -> None:
    """A job of more weight needs its slot: stopped (`bresume` continues it), or killed and queued again."""
    requeue = params.get("requeue") not in (None, "", "0", 0, False)
    with state.writing(db):
        for row in _jobs_of(db, params):
            folder = state.job_folder(where, row["jobid"], row["idx"])
            job = processes.read(folder / "pid")
            if row["stat"] != "RUN" or job is None:
                continue
            if not requeue:
                processes.signal_group(job, signal.SIGSTOP)
                update(db, row, stat="SSUSP")
                continue
            keeper = processes.read(folder / "runner")
            if keeper:
                processes.signal_process(keeper, signal.SIGKILL)
            processes.signal_group(job, signal.SIGKILL)
            for name in ("rc", "pid", "runner", "reason"):
                (folder / name).unlink(missing_ok=True)
            update(db, row, stat="PEND", host=None, start_time=None)


AT_ONCE: dict[str, Callable[[Path, sqlite3.Connection, dict[str, Any]], None]] = {
    "kill_job": _kill_job,
    "host_down": _host_down,
    "host_up": host_up,
    "flap": _flap,
    "lost_job": _lost_job,
    "queue_move": _queue_move,
    "dup_id": _dup_id,
    "mbd_restart": _mbd_restart,
    "preempt": _preempt,
}
