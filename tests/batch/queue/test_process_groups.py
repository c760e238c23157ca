"""Processes of this machine, and what the system says of them."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2luigi.batch.queue.process_groups import (
    groups_by_token,
    has_members,
    last_argument,
    leaders_by_last_argument,
    signal_group,
    works_on,
)
from b2luigi.core.job_script import OUTCOME_VARIABLE

TOKEN = secrets.token_hex(8)
"""Nobody else's on this machine, as tokens are."""
WAIT = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def started() -> Iterator[subprocess.Popen[bytes]]:
    """A job script, as far as the system can see: the leader of a group, its token the last argument it has."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, TOKEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={OUTCOME_VARIABLE: f"/some where/{TOKEN}.outcome"},
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_process_is_found_by_its_last_argument(started: subprocess.Popen[bytes]) -> None:
    """The token of a job, in this case; once it has ended it is not found."""
    assert leaders_by_last_argument()[TOKEN] == started.pid
    assert last_argument(started.pid) == TOKEN
    started.communicate()
    assert TOKEN not in leaders_by_last_argument()
    assert last_argument(started.pid) == ""


def test_a_group_is_found_by_the_token_in_its_environment(started: subprocess.Popen[bytes]) -> None:
    """That is how a task is found whose job script was killed."""
    assert groups_by_token()[TOKEN] == started.pid
    assert works_on(started.pid, TOKEN)
    assert not works_on(started.pid, secrets.token_hex(8))
    started.communicate()
    assert TOKEN not in groups_by_token()
    assert not works_on(started.pid, TOKEN)


def test_a_group_lives_as_long_as_one_of_its_members(tmp_path: Path) -> None:
    """Its leader may be gone; one that was not reaped is no member any more."""
    script = f"(echo > {tmp_path}/there; exec sleep 60) & exit 0"
    leader = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    while not (tmp_path / "there").exists():
        time.sleep(0.001)
    leader.wait()
    assert has_members(leader.pid)
    signal_group(leader.pid, signal.SIGKILL)
    while has_members(leader.pid):
        time.sleep(0.001)


def test_a_group_that_is_gone_takes_no_harm(started: subprocess.Popen[bytes]) -> None:
    """A signal to it is sent to nobody, and is no error."""
    started.communicate()
    signal_group(started.pid, signal.SIGTERM)
    assert not has_members(started.pid)
