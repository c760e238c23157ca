"""`bhist`: what became of jobs, also of those that bjobs has forgotten."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from . import state
from .command import Answer

if TYPE_CHECKING:
    from .command import Call

FLAGS, WITH_VALUE = ("-l", "-a", "-w"), ("-n",)
RULE = "-" * 78 + "\n"
HEAD = "JOBID   USER    JOB_NAME  PEND    PSUSP   RUN     USUSP   SSUSP   UNKWN   TOTAL\n"
SUMMARY = "Summary of time in seconds spent in various states by  "
COLUMNS = "  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL\n"
UNKNOWN_TO_BHIST = 2
"""How the fault `lost_job` notes a job that not even bhist knows."""


def run(call: Call) -> Answer:
    """The history of the jobs named; without ids that of the unfinished ones (all with -a)."""
    options, ids = _read(call.argv)
    rows = _by_ids(call, ids) if ids else _all(call, finished="-a" in options)
    if not rows:
        return Answer(255, "No matching job found\n")
    if "-l" in options:
        return Answer(0, RULE.join(_long(row) for row in rows))
    return Answer(0, f"{SUMMARY}{_date(time.time())}\n{HEAD}" + "".join(map(_short, rows)))


def _read(argv: list[str]) -> tuple[set[str], list[str]]:
    options, rest = set(), list(argv)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        options.add(word)
        if word in WITH_VALUE:
            rest.pop(0)
        elif word not in FLAGS:
            raise SystemExit(f"bhist: illegal option -- {word.lstrip('-')}")
    return options, rest


def _by_ids(call: Call, ids: list[str]) -> list[sqlite3.Row]:
    found = []
    for word in ids:
        jobid, indices = state.parse_ids(word)
        rows = call.db.execute(f"{state.ROWS} WHERE jobid = ? ORDER BY idx", (jobid,)).fetchall()
        found += [row for row in rows if indices is None or row["idx"] in indices]
    return [row for row in found if state.lost(call.db, row) != UNKNOWN_TO_BHIST]


def _all(call: Call, finished: bool) -> list[sqlite3.Row]:
    rows = call.db.execute(f"{state.ROWS} ORDER BY jobid, idx").fetchall()
    return [row for row in rows if finished or row["stat"] not in state.FINAL]


def _long(row: sqlite3.Row) -> str:
    label = state.job_label(row["jobid"], row["idx"])
    lines = [
        f"Job <{label}>, Job Name <{state.job_name(row)}>, User <{row['user']}>, Project <{row['project']}>",
        f"{_date(row['submit_time'])}: Submitted from host <hostA>, to Queue <{row['queue']}>, CWD <{row['sub_cwd']}>;",
    ]
    if row["start_time"]:
        lines.append(f"{_date(row['start_time'])}: Dispatched to <{row['host']}>;")
        lines.append(f"{_date(row['start_time'])}: Starting (Pid 1);")
    lines += _end(row)
    lines += [f"{SUMMARY}{_date(time.time())}", COLUMNS.rstrip("\n"), _times(row)]
    return "\n" + "\n".join(lines) + "\n"


def _end(row: sqlite3.Row) -> list[str]:
    if row["stat"] not in state.FINAL:
        return []
    when, code, reason = _date(row["finish_time"]), row["exit_code"], row["exit_reason"]
    cpu = "The CPU time used is 0.0 seconds"
    if row["stat"] == "DONE":
        return [f"{when}: Done successfully. {cpu};"]
    how = (
        "Exited"
        if code is None
        else f"Exited by signal {code - 128}"
        if code > 128
        else f"Exited with exit code {code}"
    )
    completed = [f"{when}: Completed <exit>; {reason}."] if reason else []
    return [f"{when}: {how}. {cpu};", *completed]


def _short(row: sqlite3.Row) -> str:
    label = state.job_label(row["jobid"], row["idx"])
    return f"{label:<7} {row['user'][:7]:<7} {state.job_name(row)[:9]:<9} {_times(row)}\n"


def _times(row: sqlite3.Row) -> str:
    end = row["finish_time"] or time.time()
    begin = row["start_time"] or end
    pend, ran = int(begin - row["submit_time"]), int(end - begin)
    return "".join(f"{number:<8}" for number in (pend, 0, ran, 0, 0, 0, pend + ran)).rstrip()


def _date(when: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S", time.localtime(when))
