"""What may end a run, or take its rights away, once its user has logged out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from b2luigi.batch.queue.command import run
from b2luigi.batch.queue.credentials import Kind, kinds
from b2luigi.core.files import read_text

PATIENCE = 5.0
"""Seconds to wait for an answer about a credential."""
DROP_INS = ("usr/lib/systemd/logind.conf.d", "run/systemd/logind.conf.d", "etc/systemd/logind.conf.d")
_KILL = re.compile(r"^\s*KillUserProcesses\s*=\s*(\S+)", re.MULTILINE)
_SESSION = re.compile(r"/session-[^/]*\.scope")


def dangers(root: Path = Path("/")) -> Iterator[str]:
    """In sentences, each with what to do. `root`: of the file system, for tests."""
    where = _kills(root)
    if where:
        yield (
            f"systemd-logind ends this run when you log out (KillUserProcesses in {where}). To keep it: "
            "`loginctl enable-linger`, and start it by `systemd-run --user --scope b2luigi run ...`."
        )
    for kind in kinds():
        yield from _ends(kind)


def _kills(root: Path) -> Path | None:
    """The file that makes logind end all processes of a session with it; None if nothing does (logind.conf(5))."""
    if not _SESSION.search(_text(root / "proc/self/cgroup")):
        return None
    drop_ins = {path.name: path for folder in DROP_INS for path in sorted((root / folder).glob("*.conf"))}
    found = None
    for path in (root / "etc/systemd/logind.conf", *(drop_ins[name] for name in sorted(drop_ins))):
        for value in _KILL.findall(_text(path)):
            found = path if value.lower() in ("yes", "true", "1", "on") else None
    return found


def _ends(kind: Kind) -> Iterator[str]:
    for command, left_in in kind.questions:
        answer = run(command, PATIENCE)
        left = left_in(answer, time.time()) if answer.is_complete else None
        if left is None:
            continue
        if 0 < left < float("inf"):
            at = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + left))
            yield f"the {kind.name} of this session ends at {at}: if the run takes longer, {kind.advice}."
        return


def _text(path: Path) -> str:
    try:
        return read_text(path, errors="replace")
    except OSError:
        return ""
