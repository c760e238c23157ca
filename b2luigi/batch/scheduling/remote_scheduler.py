"""luigi's central scheduler, which may be away for a while, and which remembers the workers it knew."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from luigi.rpc import RemoteScheduler
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_never, wait_fixed

from b2luigi.batch.attempts.liveness import has_ended, this_process
from b2luigi.batch.attempts.users import login
from b2luigi.batch.queue.outage import Outage
from b2luigi.core.files import write_atomically

WAIT = 5.0
"""Seconds between two tries to reach a scheduler that is away."""
LOCK = "worker.json"


class PatientScheduler(RemoteScheduler):
    """A remote scheduler that was there is waited for: its jobs run on meanwhile, and their results lie on disk.

    One that never answered raises RPCError after luigi's own tries (`[core] rpc-retry-attempts`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heard = False
        self._outage = Outage("luigi's scheduler answers", time.monotonic)

    def _get_retryer(self) -> Any:
        if not self._heard:
            return super()._get_retryer()
        return Retrying(
            retry=retry_if_exception(_is_away), wait=wait_fixed(WAIT), stop=stop_never, reraise=True, after=self._failed
        )

    def _fetch(self, url_suffix: str, body: Any) -> Any:
        response = super()._fetch(url_suffix, body)
        self._outage.end()
        self._heard = True
        return response

    def _failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._outage.begin(
            "luigi's scheduler at %s does not answer; the jobs keep running. Error: %s", self._url, error
        )


def worker_id(base: Path, script: str) -> str | None:
    """The name under which luigi's scheduler knows the runs of one task file folder, one after the other.

    It says whose they are, and of which script. A run that was killed leaves its tasks running there; only a worker of
    the same name gets them back before a minute is over. None if another run with this name may live, or nothing can
    be written.
    """
    base = Path(os.path.realpath(base))  # one name, whatever way leads there
    path = base / LOCK
    try:
        former = json.loads(path.read_text()) if path.exists() else None
        if isinstance(former, dict) and former != this_process() and has_ended(former) is not True:
            return None
        base.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(this_process()), 0o600)
    except (OSError, ValueError):
        return None
    return f"b2luigi(user={login()}, script={os.path.basename(script)}, host={platform.node()}, {base})"


def _is_away(error: BaseException) -> bool:
    """No answer at all; an answer that says no (HTTP 500) will not change by asking again."""
    answered = getattr(error, "response", None) is not None or hasattr(error, "code")
    return isinstance(error, Exception) and not answered
