"""`bkill`: note what is to be signalled; the supervisor does it, as sbatchd would."""

from __future__ import annotations

import signal
import sqlite3
import time
from typing import TYPE_CHECKING

from . import state
from .bsub import user
from .command import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .command import Call

WITH_VALUE = ("-J", "-q", "-u", "-s")
FLAGS = ("-r",)
USAGE = "Usage: bkill [options] [job_ID ... | 0]\n"
OWNER = "TERM_OWNER: job killed by owner"
FORCED = "TERM_FORCE_OWNER: job killed by owner with force"
# messages for a signal sent with -s
DONE_TO = {"KILL": "terminated", "STOP": "stopped", "CONT": "resumed"}


def run(call: Call) -> Answer:
    """Kill or signal the jobs named; one line each, on the stream of its kind."""
    options, ids, problem = _read_options(call.argv)
    if problem:
        return Answer(255, "", f"bkill: {problem}\n{USAGE}")
    answer = Answer(0)
    with state.writing(call.db):
        # in the order of the ids: so come the answers
        for row in _targets(call, options, ids, answer):
            _kill(call, row, options, answer)
    answer.rc = 255 if answer.err else 0
    return answer


def _read_options(argv: list[str]) -> tuple[dict[str, str], list[str], str]:
    options: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word not in WITH_VALUE and word not in FLAGS:
            return {}, [], f"illegal option -- {word.lstrip('-')}"
        if word in WITH_VALUE and not rest:
            return {}, [], f"option requires an argument -- {word.lstrip('-')}"
        options[word] = rest.pop(0) if word in WITH_VALUE else ""
    if "-s" in options:
        options["-s"] = options["-s"].upper().removeprefix("SIG")
        if not options["-s"].isdecimal() and f"SIG{options['-s']}" not in signal.Signals.__members__:
            return {}, [], f"{options['-s']}: Illegal signal value"
    if not rest and not any(option in options for option in ("-J", "-q", "-u")):
        return {}, [], "Job ID must be specified"
    return options, rest, ""


def _targets(call: Call, options: dict[str, str], ids: list[str], answer: Answer) -> Iterator[sqlite3.Row]:
    """The jobs meant; ids that mean none are answered here."""
    if not ids or ids == ["0"]:
        yield from _by_options(call, options, answer)
        return
    for word in ids:
        try:
            jobid, indices = state.parse_ids(word)
        except ValueError:
            answer.err += f"{word}: Illegal job ID.\n"
            continue
        rows = state.rows(call.db, call.conf, "jobid = ?", (jobid,))
        rows = [row for row in rows if indices is None or row["idx"] in indices]
        # a whole array: its finished elements are not worth a word, unless there is nothing else
        live = [row for row in rows if row["stat"] not in state.FINAL]
        yield from (live or rows[:1]) if indices is None else rows
        if not rows:
            answer.err += f"Job <{word}>: No matching job found\n"


def _by_options(call: Call, options: dict[str, str], answer: Answer) -> list[sqlite3.Row]:
    owner = options.get("-u", user())
    rows = state.rows(call.db, call.conf, "stat NOT IN ('DONE', 'EXIT') AND user = ?", (owner,))
    if "-q" in options:
        rows = [row for row in rows if row["queue"] == options["-q"]]
    if "-J" in options:
        rows = [row for row in rows if state.name_matches(row["name"], options["-J"])]
    if not rows and "-J" in options:
        answer.err += f"Job <{options['-J']}>: No matching job found\n"
    elif not rows:
        answer.err += "No unfinished job found\n"
    return rows


def _kill(call: Call, row: sqlite3.Row, options: dict[str, str], answer: Answer) -> None:
    label = state.job_label(row["jobid"], row["idx"])
    if row["stat"] in state.FINAL:
        answer.err += f"Job <{label}>: Job has already finished\n"
    elif "-r" in options:
        finish(call.db, row, reason=FORCED)
        # the process dies too, unless its host cannot be reached
        update(call.db, row, ladder="KILL", ladder_next=0)
        answer.out += f"Job <{label}> is being terminated\n"
    elif state.counter(call.db, "host_down") and row["stat"] not in ("PEND", "PSUSP"):
        update(call.db, row, zombi=1, kill_reason=OWNER)
        answer.err += f"Job <{label}>: Operation is in progress\n"
    elif "-s" in options:
        _signal(call, row, options["-s"])
        answer.out += f"Job <{label}> is being {DONE_TO.get(options['-s'], 'signaled')}\n"
    elif row["stat"] in ("PEND", "PSUSP"):
        finish(call.db, row, reason=OWNER)
        answer.out += f"Job <{label}> is being terminated\n"
    elif row["ladder"]:
        answer.err += f"Job <{label}>: Operation is in progress\n"
    else:
        update(call.db, row, ladder="INT TERM KILL", ladder_next=0, kill_reason=OWNER)
        answer.out += f"Job <{label}> is being terminated\n"


def _signal(call: Call, row: sqlite3.Row, name: str) -> None:
    pending = row["stat"] in ("PEND", "PSUSP")
    if pending and name in ("STOP", "CONT"):
        update(call.db, row, stat="PSUSP" if name == "STOP" else "PEND")
    elif pending and name in ("KILL", "TERM", "INT"):
        finish(call.db, row, reason=OWNER)
    elif not pending and name == "KILL":
        update(call.db, row, ladder="KILL", ladder_next=0, kill_reason=OWNER)
    elif not pending:
        number = int(name) if name.isdecimal() else int(signal.Signals[f"SIG{name}"])
        update(call.db, row, signal=number)


def update(db: sqlite3.Connection, row: sqlite3.Row, **fields: object) -> None:
    """Change fields of one element."""
    names = ", ".join(f"{name} = ?" for name in fields)
    db.execute(
        f"UPDATE element SET {names} WHERE jobid = ? AND idx = ?",
        (*fields.values(), row["jobid"], row["idx"]),
    )


def finish(db: sqlite3.Connection, row: sqlite3.Row, reason: str) -> None:
    """The job ends without an exit code."""
    update(db, row, stat="EXIT", finish_time=time.time(), exit_reason=reason)
