"""The supervisor: scheduler and sbatchd of one folder. Starts, signals, limits and reaps, tick by tick."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from . import dependencies, processes, runner, state
from .bkill import update

RUNLIMIT = "TERM_RUNLIMIT: job killed after reaching LSF run time limit"
EXTERNAL = "TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF"
STAT_AFTER = {signal.SIGSTOP: "USUSP", signal.SIGTSTP: "USUSP", signal.SIGCONT: "RUN"}
LOST_AFTER_S = 1.0  # a job marked running without any trace: its supervisor died before starting it
ON_HOST = "stat IN ('RUN', 'USUSP', 'SSUSP')"


class Supervisor:
    """One folder's jobs."""

    def __init__(self, where: Path) -> None:
        """Open the folder; nothing is done before tick()."""
        self.where, self.db = where, state.connect(where)
        self.conf = state.read_conf(where)
        self.busy_at = time.time()
        self.known: set[processes.Process] = set()

    def tick(self) -> None:
        """One round of everything."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        self.conf = state.read_conf(self.where)
        if state.counter(self.db, "host_down"):
            return
        running = self._elements(ON_HOST)
        for row in running:
            if not self._reap(row):
                self._limit(row)
                self._signal(row)
        self._forced()
        self._dispatch()
        if running:
            self.busy_at = time.time()

    def _elements(self, where: str) -> list[sqlite3.Row]:
        return self.db.execute(f"{state.ROWS} WHERE {where} ORDER BY jobid, idx").fetchall()

    def _folder(self, row: sqlite3.Row) -> Path:
        return state.job_folder(self.where, row["jobid"], row["idx"])

    # ------------------------------------------------------------------------------------------ start

    def _dispatch(self) -> None:
        pending = self._elements("stat = 'PEND'")
        if not pending:
            return
        self.busy_at = time.time()
        taken = self._elements(ON_HOST)
        free = self.conf["slots"] - sum(row["slots"] for row in taken)
        running: dict[int, int] = {}
        for row in taken:
            running[row["jobid"]] = running.get(row["jobid"], 0) + 1
        for row in pending:
            young = time.time() - row["submit_time"] < self.conf["dispatch_delay_s"]
            full = row["array_limit"] and running.get(row["jobid"], 0) >= row["array_limit"]
            if young or full or row["slots"] > free:
                continue
            if row["depends"] and not dependencies.truth(self.db, row["depends"]):
                continue
            if self._start(row):
                free -= row["slots"]
                running[row["jobid"]] = running.get(row["jobid"], 0) + 1

    def _start(self, row: sqlite3.Row) -> bool:
        host = self.conf["hosts"][0]
        with state.writing(self.db):
            # killed or held since it was read: then it stays as it is
            changed = self.db.execute(
                "UPDATE element SET stat = 'RUN', host = ?, start_time = ?"
                " WHERE jobid = ? AND idx = ? AND stat = 'PEND'",
                (host, time.time(), row["jobid"], row["idx"]),
            )
        if changed.rowcount:
            runner.start(self.where, self.conf, {**dict(row), "host": host})
        return bool(changed.rowcount)

    # ------------------------------------------------------------------------------------------ end

    def _reap(self, row: sqlite3.Row) -> bool:
        """Take note of a job's end; whether it has ended."""
        folder = self._folder(row)
        alive = processes.read(folder / "runner")
        alive = alive if alive and processes.is_alive(alive) else None
        # read after the look at the runner: a runner that is gone has left its file before
        try:
            end = json.loads((folder / "rc").read_text())
        except FileNotFoundError:
            return self._lost(row, folder) if alive is None else False
        killed = row["kill_reason"] or end["reason"]
        done = end["exit_code"] == 0 and not killed
        reason = killed or (EXTERNAL if end["signal"] else "")
        code = None if row["zombi"] else end["exit_code"]
        self._finish(row, "DONE" if done else "EXIT", code, reason, end["ended"])
        return True

    def _lost(self, row: sqlite3.Row, folder: Path) -> bool:
        """Nobody runs it, and nobody reported its end: never started (start it), or its runner died with the host."""
        if time.time() - row["start_time"] < LOST_AFTER_S:
            return False
        if not (folder / "runner").exists():
            runner.start(self.where, self.conf, dict(row))
            return False
        job = processes.read(folder / "pid")
        if job and processes.is_alive(job):
            return False
        self._finish(row, "EXIT", None, row["kill_reason"] or "", time.time())
        return True

    def _finish(self, row: sqlite3.Row, stat: str, code: int | None, reason: str, when: float) -> None:
        update(self.db, row, stat=stat, exit_code=code, exit_reason=reason, finish_time=when, ladder=None)

    # ------------------------------------------------------------------------------------------ signals

    def _limit(self, row: sqlite3.Row) -> None:
        if row["run_limit_s"] and not row["ladder"] and time.time() > row["start_time"] + row["run_limit_s"]:
            update(self.db, row, ladder="USR2 INT TERM KILL", ladder_next=0, kill_reason=RUNLIMIT)

    def _signal(self, row: sqlite3.Row) -> None:
        folder = self._folder(row)
        job = processes.read(folder / "pid")
        if job is None:
            return  # about to start: the signal waits
        self.known.add(job)
        if row["signal"] and processes.signal_group(job, row["signal"]):
            stat = {signal.SIGSTOP: "USUSP", signal.SIGTSTP: "USUSP", signal.SIGCONT: "RUN"}.get(
                row["signal"], row["stat"]
            )
            update(self.db, row, signal=None, stat=stat)
        if row["ladder"] and row["ladder_next"] <= time.time():
            if row["kill_reason"]:
                (folder / "reason").write_text(row["kill_reason"])
            first, _, rest = row["ladder"].partition(" ")
            if processes.signal_group(job, signal.Signals[f"SIG{first}"]):
                # a stopped job gets its signal when it is continued
                processes.signal_group(job, signal.SIGCONT)
                # the last rung is kept: the job is being killed until it is dead
                following = time.time() + float(self.conf["job_terminate_interval_s"])
                update(self.db, row, ladder=rest or first, ladder_next=following)

    def _forced(self) -> None:
        """Jobs removed with bkill -r: already EXIT for everybody, but their processes must go."""
        for row in self._elements("stat = 'EXIT' AND ladder = 'KILL'"):
            job = processes.read(self._folder(row) / "pid")
            if job:
                processes.signal_group(job, signal.SIGKILL)
            update(self.db, row, ladder=None)


def serve(where: Path) -> None:
    """Ticks until asked to stop, the folder is gone, or nothing has happened for a long time."""
    lock = os.open(where / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another one is at it
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    supervisor = Supervisor(where)
    processes.write(where / "supervisor.pid", processes.me())
    while not asked and (where / "supervisor.pid").exists():
        try:
            supervisor.tick()
        except (sqlite3.OperationalError, OSError) as error:
            # the folder is being removed, or the machine is at its limits: look again
            print(f"supervisor: {error!r}", file=sys.stderr, flush=True)
        if time.time() - supervisor.busy_at > supervisor.conf["idle_exit_s"]:
            break
        time.sleep(float(supervisor.conf["tick_s"]))
    if not where.exists():
        for job in supervisor.known:
            processes.signal_group(job, signal.SIGKILL)
