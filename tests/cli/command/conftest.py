"""A run of which everything is known, and the command line that looks at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from b2luigi.cli.command.app import app
from tests.monitor.journals import Text

A, B, C, D, E = "Make_1_aa", "Make_2_bb", "Make_3_cc", "Merge__dd", "Plot__ee"
Call = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Is the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def journal(project: Path) -> Text:
    """Make(n=1) is done, Make(n=2) failed, Make(n=3) is queued; Merge and Plot wait for them."""
    text = Text(project)
    for task_id, number in ((A, "1"), (B, "2"), (C, "3")):
        text.task(task_id, n=number, mode="fast")
    text.task(D, (A, B, C)).task(E, (D,))
    text.queued(A, "a" * 16, "11").running("a" * 16)
    text.ended(
        "a" * 16, node="node17", usage={"wall": 61.0, "cpu": 50.0, "memory": 450_000_000, "memory_from": "cgroup"}
    )
    text.add("status", id=A, status="done")
    text.queued(B, "b" * 16, "12").running("b" * 16, "node18")
    text.ended("b" * 16, "failed", reason="ValueError: \x1b[31mno <b>such</b> run", exit_code=1)
    text.add("status", id=B, status="failed")
    return text.queued(C, "c" * 16, "13")


@pytest.fixture
def call() -> Call:
    """Calls the command with these words."""
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(words), catch_exceptions=False)
