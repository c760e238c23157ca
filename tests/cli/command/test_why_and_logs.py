"""`b2luigi why` and `b2luigi logs`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command.conftest import A, B, C, Call
from tests.monitor.journals import Text
from tests.waiting import until


def executable(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slurm that says of job 13 what only it can know."""
    fields = "13|PENDING|BeginTime|0|(null)|0|0|" + "c" * 16
    executable(tmp_path / "bin", "squeue", f"echo '{fields}'\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_why_a_task_failed(journal: Text, project: Path, call: Call) -> None:
    """Its reason, its job with node, times and exit code, what it used, its last words, and what to do."""
    folder = project / "logs" / B
    folder.mkdir(parents=True)
    (folder / "stderr").write_text("Traceback\n  ...\nValueError: no such run\n")
    lines = call("why", "Make(n=2)").stdout.splitlines()
    assert lines[0] == "Make(n=2, mode=fast): failed"
    text = "\n".join(lines)
    for words in (
        "reason:  ValueError: ?[31mno <b>such</b> run",
        "attempt 1: slurm job 12 on node node18",
        "failed, exit code 1",
        "asked for 4 GB of memory",
        "    | ValueError: no such run",
        "complete tasks are not repeated",
    ):
        assert words in text, text


def test_what_a_task_used(journal: Text, call: Call) -> None:
    """Beside what was asked for."""
    assert "ran 1 min 1 s, asked for 1 h, CPU 50 s, memory 450 MB of 4 GB asked for (cgroup)" in call("why", A).stdout


def test_what_a_task_waits_for(journal: Text, call: Call) -> None:
    """Its requirements that are not done, and what failed below them."""
    text = call("why", "Merge").stdout
    assert "waits for 2 of 3 tasks that it requires (1 failed, 1 queued):" in text
    assert "    Make(n=2, mode=fast): failed: ValueError" in text
    assert "because of Make(n=2, mode=fast): failed" in call("why", "Plot").stdout


def test_a_class_means_the_task_that_needs_a_look(journal: Text, call: Call) -> None:
    """The others are named."""
    text = call("why", "Make").stdout
    assert text.startswith("Make(n=2, mode=fast): failed")
    assert "2 other tasks match, too: Make(n=1, mode=fast), Make(n=3, mode=fast)" in text


def test_what_the_batch_system_says_now(journal: Text, call: Call) -> None:
    """Of a job that waits; what it says is in no file of ours."""
    text = call("why", C).stdout
    assert "slurm says now:" in text


def test_the_cluster_of_this_machine_is_not_named(journal: Text, tmp_path: Path, call: Call) -> None:
    """Without accounting, Slurm answers nothing to -M."""
    executable(tmp_path / "bin", "scontrol", "echo 'ClusterName             = here'\n")
    fields = "13|PENDING|0:0|n/a|Make-0|" + "c" * 16 + "|BeginTime|"
    executable(
        tmp_path / "bin", "squeue", f'[ "$1" = --me ] && echo "{fields}" || {{ echo no database >&2; exit 1; }}\n'
    )
    journal.add("queued", token="c" * 16, job_id="13", server="here")
    assert "    | PENDING: BeginTime" in call("why", C).stdout
    journal.add("queued", token="c" * 16, job_id="13", server="there")
    assert "no database" in call("why", C).stdout


def test_a_batch_system_that_does_not_answer(journal: Text, tmp_path: Path, call: Call) -> None:
    """That is said; the rest is shown all the same."""
    executable(
        tmp_path / "bin", "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1\n"
    )
    result = call("why", C)
    assert result.exit_code == 0
    assert "Unable to contact slurm controller" in result.stdout


@pytest.mark.parametrize("command", ["why", "logs"])
def test_an_unknown_task(command: str, journal: Text, call: Call) -> None:
    """The nearest ones are named, and the exit code says so."""
    result = call(command, "Mak")
    assert result.exit_code == 1
    assert "The nearest: Make" in result.stderr


def test_logs(journal: Text, project: Path, call: Call) -> None:
    """Standard output and standard error, or one of them, or those of an earlier attempt."""
    folder = project / "logs" / A
    folder.mkdir(parents=True)
    for name, text in (("stdout", "hello\n"), ("stderr", "warning\n"), ("stderr.1", "first try\n")):
        (folder / name).write_text(text)
    journal.queued(A, "d" * 16, "14", attempt=2)
    assert call("logs", "Make(n=1)").stdout == "hello\nwarning\n"
    assert call("logs", A, "--err").stdout == "warning\n"
    assert call("logs", A, "--out").stdout == "hello\n"
    assert call("logs", A, "--err", "--attempt", "1").stdout == "first try\n"


def test_logs_of_an_older_run(journal: Text, project: Path, call: Call) -> None:
    """Its own, by whatever name they are there now; never those of a job that a later run submitted."""
    folder = project / "logs" / B
    folder.mkdir(parents=True)
    (folder / "stdout").write_text("second\n")
    (folder / "stderr").write_text("ValueError: second\n")
    older = call("logs", B, "--run", "-1")
    assert older.stdout == "second\nValueError: second\n"
    later = Text(project, "20251126-090000-ab12cd").task(B, n="2", mode="fast").queued(B, "e" * 16, "15", attempt=2)
    later.ended("e" * 16, "failed", reason="ValueError: second")
    assert call("logs", B).stdout == "second\nValueError: second\n"
    gone = call("logs", B, "--run", "-2")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "This log no longer exists" in gone.stderr
    (folder / "stderr.1").write_text("ValueError: first\n")
    assert call("logs", B, "--run", "-2").stdout == "ValueError: first\n"
    assert "| ValueError: first" in call("why", B, "--run", "-2").stdout
    assert call("logs", B, "--run", "-2", "--attempt", "2").stdout == "second\nValueError: second\n"
    assert call("report", "--run", "-2").exit_code == 0
    assert "ValueError: first" in (project / "report.html").read_text()


def test_there_is_no_log(journal: Text, call: Call) -> None:
    """Where it was looked for is said; several tasks are no answer either."""
    result = call("logs", "Make(n=3)")
    assert result.exit_code == 1
    assert f"logs/{C}/stdout" in result.stderr
    assert "3 tasks match; name one of them:" in call("logs", "Make").stderr


def test_following_a_log(journal: Text, project: Path) -> None:
    """What the task prints appears, and the command ends with its job."""
    folder = project / "logs" / C
    folder.mkdir(parents=True)
    journal.running("c" * 16)
    words = [sys.executable, "-m", "b2luigi", "logs", C, "--out", "--follow"]
    printed = project / "printed"
    with printed.open("w") as file, subprocess.Popen(words, cwd=project, stdout=file) as process:
        try:
            (folder / "stdout").write_text("one\n")
            until(lambda: printed.read_text() == "one\n" or process.poll() is not None, "it prints the log")
        finally:
            process.kill()
    # The run of this journal is over, so there is nothing to wait for once all is printed.
    assert printed.read_text() in ("", "one\n")
