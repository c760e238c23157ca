"""What became of the jobs of a run after it was over, for its journal: the run cannot write that any more."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from b2luigi.monitor.journal.names import JOURNAL


def note_cancelled(folder: Path, attempts: Iterable[Mapping[str, Any]], reason: str) -> None:
    """Adds to the journal in `folder` that these attempts were cancelled. Raises OSError.

    `attempts`: the facts of their records. One whose submission the journal had lost is in it again.
    """
    known = (folder / JOURNAL).read_text(errors="replace")
    lines = [json.dumps(event) for facts in attempts for event in _events(facts, known, reason)]
    descriptor = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        # The last line of a run that was killed may be torn: it must not swallow ours.
        os.write(descriptor, "".join(f"\n{line}" for line in [*lines, ""]).encode())
    finally:
        os.close(descriptor)


def _events(facts: Mapping[str, Any], known: str, reason: str) -> Iterator[dict[str, Any]]:
    token = facts["token"]
    event = {"t": round(time.time(), 3), "token": token, "late": True}
    if token not in known:
        names = ("attempt", "batch_system", "job_id", "submitted")
        yield {**event, "e": "resumed", "id": facts["task_id"], **{name: facts.get(name) for name in names}}
    yield {**event, "e": "ended", "end": "cancelled", "reason": reason}
