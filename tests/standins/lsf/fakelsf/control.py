"""`fakelsf`: start and stop a cluster, turn its knobs, make it misbehave, look at it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from . import accidents, faults, processes, state
from .command import read_calls

USAGE = """usage: fakelsf start | stop | status | reset | jobs | calls [CMD] | set KEY VALUE
       fakelsf fault add KIND [key=value ...] | fault clear | fault list"""


def is_running(where: Path) -> bool:
    """Whether the folder has its supervisor."""
    found = processes.read(where / "supervisor.pid")
    return found is not None and processes.is_alive(found)


def start(where: Path) -> None:
    """Start the supervisor of the folder, and wait until it is there."""
    state.connect(where).close()
    if is_running(where):
        return
    (where / "supervisor.pid").unlink(missing_ok=True)
    if os.fork() == 0:
        _become_supervisor(where)
    for _ in range(500):
        if is_running(where):
            return
        time.sleep(0.01)
    raise SystemExit(f"fakelsf: the supervisor did not start, see {where / 'supervisor.log'}")


def _become_supervisor(where: Path) -> None:
    """Detach from whoever started it: its terminal, its session, its open files."""
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    log = os.open(where / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 256)
    from . import supervisor

    try:
        supervisor.serve(where)
    except BaseException as error:
        print(f"supervisor: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(0)


def stop(where: Path) -> None:
    """Stop the supervisor and kill all jobs it started, with whatever they left behind."""
    found = processes.read(where / "supervisor.pid")
    if found:
        processes.signal_process(found, signal.SIGTERM)
        for _ in range(500):
            if not processes.is_alive(found):
                break
            time.sleep(0.01)
        else:
            processes.signal_process(found, signal.SIGKILL)
    accidents.kill_jobs(where)
    (where / "supervisor.pid").unlink(missing_ok=True)


def reset(where: Path) -> None:
    """Forget everything but the knobs; the supervisor is started again if it ran."""
    again = is_running(where)
    stop(where)
    shutil.rmtree(where / "jobs", ignore_errors=True)
    for path in (*where.glob("state.sqlite*"), where / "calls.log"):
        path.unlink(missing_ok=True)
    if again:
        start(where)


def jobs(where: Path) -> list[dict[str, Any]]:
    """All jobs, also those bjobs has forgotten."""
    with contextlib.closing(state.connect(where)) as db:
        return [dict(row) for row in db.execute(state.ROWS + "ORDER BY jobid, idx")]


def live_jobs(where: Path) -> list[str]:
    """The jobs that have not ended: `12`, `13[2]`."""
    return [state.job_label(job["jobid"], job["idx"]) for job in jobs(where) if job["stat"] not in state.FINAL]


# ---------------------------------------------------------------------------------------------- faults


def fault(where: Path, kind: str, params: dict[str, Any]) -> None:
    """A fault: done at once if it happens to jobs or the host, else noted for the calls it will hit."""
    with contextlib.closing(state.connect(where)) as db:
        if kind in accidents.AT_ONCE:
            accidents.AT_ONCE[kind](where, db, params)
        else:
            faults.add(db, kind, params)


def clear_faults(where: Path) -> None:
    """All faults are over, and the host is back."""
    with contextlib.closing(state.connect(where)) as db:
        with state.writing(db):
            db.execute("DELETE FROM fault")
        accidents.host_up(where, db, {})


# ---------------------------------------------------------------------------------------------- command line


def main(argv: list[str]) -> int:
    """The `fakelsf` command."""
    where = state.folder()
    match argv:
        case ["start"]:
            start(where)
        case ["stop"]:
            stop(where)
        case ["reset"]:
            reset(where)
        case ["status"]:
            print("running" if is_running(where) else "stopped")
            return 0 if is_running(where) else 1
        case ["jobs", *_]:
            print(json.dumps(jobs(where), indent=2))
        case ["calls", *cmd]:
            for call in read_calls(where, cmd[0] if cmd else None):
                print(json.dumps(call))
        case ["set", key, value]:
            state.set_conf(where, key, _value(value))
        case ["fault", "add", kind, *params]:
            fault(where, kind, dict(_pair(text) for text in params))
        case ["fault", "clear"]:
            clear_faults(where)
        case ["fault", "list"]:
            with contextlib.closing(state.connect(where)) as db:
                for row in db.execute("SELECT * FROM fault ORDER BY number"):
                    print(json.dumps(dict(row)))
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
