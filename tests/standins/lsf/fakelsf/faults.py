"""Everything that goes wrong on request (`fakelsf fault add KIND key=value ...`)."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

from . import state

if TYPE_CHECKING:
    from .command import Answer, Call

BATCH = ("bsub", "bjobs", "bkill", "bhist", "bqueues")  # what talks to mbatchd; lsid asks the LIM
RESET = "Failed in an LSF library call: Failed in sending/receiving a message: Connection reset by peer"
DOWN = "LSF is down. Please wait ..."

# kind: the commands it hits unless `cmd=` says otherwise
KINDS: dict[str, tuple[str, ...]] = {
    "fail": BATCH,
    "empty": BATCH,
    "slow": BATCH,
    "mbd_down": BATCH,
    "mbd_hang": BATCH,
    "garbage": ("bjobs",),
    "omit": ("bjobs",),
    "stale": ("bjobs",),
    "lost_reply": ("bsub",),
    "reject": ("bsub",),
    "chatter": ("bsub",),
    "quiet": ("bsub",),
}


def add(db: sqlite3.Connection, kind: str, params: dict[str, Any]) -> None:
    """Note a fault. `count`: how often, `for_s`: how long, `cmd`, `match`: which calls, `p`: how likely."""
    if kind not in KINDS:
        raise SystemExit(f"fakelsf: unknown fault {kind}; known: {' '.join(sorted(KINDS))}")
    until = time.time() + float(params["for_s"]) if "for_s" in params else None
    remaining = int(params["count"]) if "count" in params else None
    with state.writing(db):
        db.execute(
            "INSERT INTO fault (kind, params, remaining, until) VALUES (?, ?, ?, ?)",
            (kind, json.dumps(params), remaining, until),
        )


def taken(db: sqlite3.Connection, cmd: str, argv: list[str]) -> dict[str, dict[str, Any]]:
    """The faults that hit this call, by kind; those with a count are used up by it."""
    # almost always there is none: then no write lock is taken
    if not db.execute("SELECT 1 FROM fault WHERE remaining IS NULL OR remaining > 0").fetchone():
        return {}
    hits: dict[str, dict[str, Any]] = {}
    with state.writing(db):
        for row in db.execute("SELECT * FROM fault ORDER BY number").fetchall():
            params = json.loads(row["params"])
            if row["kind"] not in hits and _hits(row, params, cmd, argv):
                hits[row["kind"]] = {**params, "number": row["number"]}
                db.execute("UPDATE fault SET remaining = remaining - 1 WHERE number = ?", (row["number"],))
    return hits


def _hits(row: sqlite3.Row, params: dict[str, Any], cmd: str, argv: list[str]) -> bool:
    if row["remaining"] is not None and row["remaining"] <= 0:
        return False
    if row["until"] is not None and row["until"] < time.time():
        return False
    if cmd not in ((params["cmd"],) if params.get("cmd") else KINDS[row["kind"]]):
        return False
    if params.get("match"):
        import re

        if not re.search(params["match"], " ".join(argv)):
            return False
    if "p" in params:
        import random

        return random.random() < float(params["p"])
    return True


def sleep(seconds: float) -> None:
    """Wait, if there is anything to wait for."""
    if seconds:
        time.sleep(float(seconds))


def before(call: Call) -> Answer | None:
    """What keeps a command from its work: the answer given instead, or None."""
    from .command import Answer

    if fault := call.fault("slow"):
        sleep(0 if _yes(fault.get("after")) else fault.get("seconds", 1))
    if fault := call.fault("mbd_hang"):
        _wait_for_clear(call, fault, None, None)
    if fault := call.fault("mbd_down"):
        tries = os.environ.get("LSB_NTRIES")
        if _wait_for_clear(call, fault, fault.get("text", DOWN), int(tries) if tries else None):
            return Answer(255, "", refused_connection(call))
    if fault := call.fault("fail"):
        return Answer(int(fault.get("rc", 255)), "", fault.get("text", RESET) + "\n")
    if call.fault("empty"):
        return Answer(0)
    if fault := call.fault("reject"):
        return Answer(
            int(fault.get("rc", 255)),
            "",
            f"{fault.get('text', 'Request aborted by esub')}. Job not submitted.\n",
        )
    return None


def after(call: Call, answer: Answer) -> Answer:
    """What spoils an answer after the work was done."""
    if fault := call.fault("garbage"):
        answer.out = answer.out[: len(answer.out) // 2] if _yes(fault.get("cut", 1)) else f"garbage {{\n{answer.out}"
        answer.rc = 0
    if (fault := call.fault("slow")) and _yes(fault.get("after")):
        sleep(fault.get("seconds", 1))
    if call.fault("lost_reply"):
        answer.rc, answer.out, answer.err = 255, "", RESET + "\n"
    return answer


def omitted(call: Call) -> set[str]:
    """The ids that this answer leaves out."""
    fault = call.fault("omit") or {}
    ids = fault.get("ids", ())
    return set(ids.split(",")) if isinstance(ids, str) else {str(jobid) for jobid in ids}


def snapshot_time(call: Call) -> float | None:
    """When the snapshot was taken from which this answer comes; None if it is of now."""
    fault = call.fault("stale")
    if not fault:
        return None
    return float(fault["at"]) if "at" in fault else time.time() - float(fault.get("seconds", 5))


def refused_connection(call: Call) -> str:
    """What a command says when it gave up on mbatchd (LSB_NTRIES)."""
    text = "Connection refused by server"
    if call.name == "bsub":
        return f"{text}. Job not submitted.\n"
    if call.name == "bkill":
        return "".join(f"Job <{word}>: {text}\n" for word in call.argv if word[:1].isdigit())
    return f"{text}\n"


def _wait_for_clear(call: Call, fault: dict[str, Any], text: str | None, tries: int | None) -> bool:
    """Block until the fault is cleared or over (False), or the tries are used up (True)."""
    spoken = 0.0
    while _is_active(call.db, fault["number"]):
        if time.time() - spoken >= float(fault.get("retry_s", 10)):
            spoken = time.time()
            if tries is not None:
                tries -= 1
                if tries <= 0:
                    return True
            if text:
                print(text, file=sys.stderr, flush=True)
        time.sleep(0.02)
    return False


def _is_active(db: sqlite3.Connection, number: int) -> bool:
    row = db.execute("SELECT until FROM fault WHERE number = ?", (number,)).fetchone()
    return row is not None and (row["until"] is None or row["until"] > time.time())


def _yes(value: object) -> bool:
    return value not in (None, "", "0", 0, False)
