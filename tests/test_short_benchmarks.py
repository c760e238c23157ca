"""The benchmarks of short tasks: what is timed, what is counted, and what a row says of a peer."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import short_peers
from benchmarks.clusters import Cluster
from benchmarks.measure import SCRIPT
from benchmarks.rows import ON_REQUEST, ROWS
from benchmarks.short_cpu import counted
from benchmarks.short_peers import PEERS, Peer
from benchmarks.short_rows import KINDS, Bench, Timed, by_us, row_of_peer, rows_of_ours, timed
from tests.waiting import until

WRITE = "import pathlib, time; time.sleep(0.3); pathlib.Path('short-1.txt').write_text('done'); time.sleep(0.3)"
BUSY_SECONDS = 0.5
BUSY = f"import time\nwhile time.process_time() < {BUSY_SECONDS}: pass"
LATER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
"""Starts a process and does not wait for it, as a daemon does."""


@pytest.fixture
def here(tmp_path: Path) -> Bench:
    """This machine as a batch system."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    return Bench(Cluster("local", folder, {}, ("", "", ""), lambda scripts: ([], ""), list), lambda: None)


def test_a_run_is_timed_to_its_last_output(tmp_path: Path) -> None:
    """Not to the end of the command."""
    found = timed([sys.executable, "-c", WRITE], tmp_path, 1, os.environ)
    assert found.wall >= 0.3
    assert found.cpu > 0


def test_a_run_without_all_of_its_outputs_is_no_measurement(tmp_path: Path) -> None:
    """The error says how many there are, and what the command printed last."""
    with pytest.raises(RuntimeError, match=r"^1 of 2 outputs, exit code 0: Hello$"):
        timed([sys.executable, "-c", f"{WRITE}; print('Hello')"], tmp_path, 2, os.environ)


def test_processes_that_nobody_waits_for_are_counted(tmp_path: Path) -> None:
    """As daemons and jobs are; a machine that cannot count them says so."""
    with counted() as seconds:
        before = seconds()
        subprocess.run([sys.executable, "-c", LATER, BUSY], check=True)
        if before is None:
            pytest.skip("counting CPU time of daemons needs root and cgroups")
        until(lambda: (seconds() or 0) - before >= BUSY_SECONDS, "the process that was left is counted")


def test_our_rows(here: Bench) -> None:
    """Each setting runs the same tasks; a second run is noted; CPU has a row if it was counted."""
    (first,) = by_us(here, [0.0] * 2, "auto")
    (row,) = rows_of_ours("2 tasks", [0.1] * 2, {"auto": [first, Timed(2.0, 0.1)]})
    assert (row.name, row.ours) == ("2 tasks, tasks_per_job=auto", first.wall)
    assert "; run again: 2.0 s" in row.note
    rows = rows_of_ours("2 tasks", [0.1] * 2, {1: [Timed(3.0, 0.02, 0.4)]})
    assert [(row.ours, row.unit, row.target) for row in rows] == [(3.0, "s", ""), (200.0, "ms", "")]


def test_a_peer_that_cannot_be_installed_has_a_row(
    here: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so."""
    (tmp_path / "cache").write_text("a file, in which no environment can be made")
    monkeypatch.setattr(short_peers, "CACHE", tmp_path / "cache")
    peer = Peer("Missing", "1.0", "short_parsl.py", ("missing==1.0",))
    row = row_of_peer("2 tasks", [0.0] * 2, Timed(1.0, 0.1), here, peer)
    assert (row.ours, row.peer) == (1.0, None)
    assert row.name == "2 tasks, tasks_per_job=auto; beside it Missing 1.0"
    assert row.note.startswith("cannot be installed: ")


def test_scripts_of_peers_are_there() -> None:
    """Each is Python; a fixed version is installed for it."""
    for peer in PEERS:
        ast.parse((SCRIPT.parent / peer.script).read_text())
        assert peer.packages[0].endswith(f"=={peer.version}")


def test_long_measurements_run_on_request_only() -> None:
    """With `--only`; and each kind of tasks has durations, and values to compare with."""
    assert "short_tasks" in ROWS
    assert {"short_tasks_many", "short_tasks_auto"} <= set(ON_REQUEST)
    assert all(durations and 1 in values for durations, values in KINDS.values())
