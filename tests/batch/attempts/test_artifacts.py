"""What attempts leave behind: how many of their logs are kept."""

from __future__ import annotations

from pathlib import Path

from b2luigi.batch.attempts.artifacts import KEPT, LOG_NAMES, put_logs_aside
from b2luigi.batch.attempts.record import Record


def attempts(folder: Path, number: int) -> None:
    """So many attempts of one task, each with logs of its own."""
    for after in range(number):
        put_logs_aside(Record.claim(folder, {}, after=after), folder)
        for name in LOG_NAMES:
            (folder / name).write_text(f"{name} of attempt {after + 1}")


def logs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for name in LOG_NAMES for path in folder.glob(f"{name}*")}


def test_logs_of_earlier_attempts_get_their_number(tmp_path: Path) -> None:
    """Those of the last attempt have the plain names."""
    attempts(tmp_path, 2)
    assert logs(tmp_path) == {
        "stdout": "stdout of attempt 2",
        "stderr": "stderr of attempt 2",
        "stdout.1": "stdout of attempt 1",
        "stderr.1": "stderr of attempt 1",
    }


def test_only_so_many_old_logs_are_kept(tmp_path: Path) -> None:
    """A task that is tried again and again does not fill the disk: the oldest logs are removed."""
    last = KEPT + 4
    attempts(tmp_path, last)
    kept = (4, 5, 6, 7, 8)
    assert set(logs(tmp_path)) == {*LOG_NAMES, *(f"{name}.{number}" for name in LOG_NAMES for number in kept)}


def test_attempts_without_logs(tmp_path: Path) -> None:
    """A job that never started has left none, and nothing else is touched."""
    (tmp_path / "stdout.old").touch()
    put_logs_aside(Record.claim(tmp_path, {}, after=3), tmp_path)
    assert set(logs(tmp_path)) == {"stdout.old"}
