"""`bqueues`: the queues there are, and how full they are (in slots)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from . import state
from .command import Answer

if TYPE_CHECKING:
    from .command import Call

HEADER = "QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP \n"
COUNTED = {"PEND": ("PEND", "PSUSP"), "RUN": ("RUN",), "SUSP": ("SSUSP", "USUSP")}
PRIORITY = 30


def run(call: Call) -> Answer:
    """Prints a line for each queue, or for each named one; for unknown ones an error, with exit code 255."""
    known = call.conf["queues"]
    shown = [name for name in call.argv or known if name in known]
    err = "".join(f"{name}: No such queue\n" for name in call.argv if name not in known)
    jobs = state.rows(call.db, call.conf, "stat NOT IN ('DONE', 'EXIT')")
    lines = [_line(name, known[name], [job for job in jobs if job["queue"] == name]) for name in shown]
    return Answer(255 if err else 0, HEADER + "".join(lines) if lines else "", err)


def _line(name: str, queue: dict[str, Any], jobs: list[sqlite3.Row]) -> str:
    status = "Closed:Active" if queue.get("closed") else "Open:Active"
    slots = [sum(job["slots"] for job in jobs if job["stat"] in stats) for stats in COUNTED.values()]
    numbers = "".join(f"{number:6d}" for number in (sum(slots), *slots))
    return f"{name:<15.15} {queue.get('priority', PRIORITY):4d}  {status:<15}   -    -    -    - {numbers[1:]}\n"
