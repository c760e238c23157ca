"""What all commands have in common: finding the one meant, the log of calls, the faults asked for."""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from . import faults, state

COMMANDS = ("bsub", "bjobs", "bkill", "bhist", "bstop", "bresume", "bmod", "bqueues", "lsid")


class Answer:
    """What a command prints and returns."""

    def __init__(self, rc: int = 0, out: str = "", err: str = "") -> None:
        """Prints nothing and succeeds, unless arguments say otherwise."""
        self.rc, self.out, self.err = rc, out, err


class Call:
    """One call of one command: what the command works with."""

    def __init__(self, name: str, argv: list[str], where: Path) -> None:
        """Look up the folder's knobs and database, and the faults that hit this call."""
        self.name, self.argv, self.where = name, argv, where
        self.conf = state.read_conf(where)
        self.db = state.connect(where)
        self.faults = faults.taken(self.db, name, argv)

    def fault(self, kind: str) -> dict[str, Any] | None:
        """The parameters of a fault that hits this call."""
        return self.faults.get(kind)


def main(name: str, argv: list[str]) -> int:
    """Run a command by name; its exit code."""
    if name == "fakelsf":
        from . import control

        return control.main(argv)
    if name not in COMMANDS:
        print(f"fakelsf: no such command: {name}", file=sys.stderr)
        return 2
    where = state.folder()
    log = _CallLog(where / "calls.log", name, argv)
    answer = Answer(255)
    try:
        answer = answer_of(Call(name, argv, where))
        # one write per stream, as the real commands' short answers are
        for stream, text in ((sys.stderr, answer.err), (sys.stdout, answer.out)):
            stream.write(text)
            stream.flush()
    finally:
        log.end(answer.rc)
    return answer.rc


def answer_of(call: Call) -> Answer:
    """Let faults come before, around and after the command's own work."""
    faults.sleep(call.conf.get(f"{call.name}_latency_s", 0))
    refused = faults.before(call)
    answer = refused if refused is not None else _work(call)
    return faults.after(call, answer)


def _work(call: Call) -> Answer:
    answer: Answer = importlib.import_module(f".{call.name}", __package__).run(call)
    return answer


class _CallLog:
    """`calls.log`: a line when a call begins, another when it ends; no end: it was killed, or still runs."""

    def __init__(self, path: Path, name: str, argv: list[str]) -> None:
        self.path, self.began = path, time.time()
        self.key = f"{os.getpid()}-{self.began}"
        self._add(cmd=name, argv=argv, cwd=os.getcwd(), pid=os.getpid(), time=self.began)

    def end(self, rc: int) -> None:
        """Note how it ended."""
        self._add(rc=rc, duration=round(time.time() - self.began, 4))

    def _add(self, **fields: object) -> None:
        line = json.dumps({"call": self.key, **fields}) + "\n"
        # one write in append mode: lines of parallel calls do not mix
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def read_calls(where: Path, cmd: str | None = None) -> list[dict[str, Any]]:
    """The calls so far, each as one record; `rc` is None for one that did not end."""
    calls: dict[str, dict[str, Any]] = {}
    path = where / "calls.log"
    for line in path.read_text().splitlines() if path.exists() else []:
        record = json.loads(line)
        calls.setdefault(record["call"], {"rc": None, "duration": None}).update(record)
    return [call for call in calls.values() if cmd in (None, call["cmd"])]
