"""Fixtures for all rooms. The conftest of a room says what its tests start from."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2luigi.batch import systems
from b2luigi.core.settings import with_new_settings
from tests.machine import MARK, path_without, processes_with

ENDING = 30.0
"""Seconds for processes that were stopped to be gone."""


@pytest.fixture(scope="session", autouse=True)
def _no_batch_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests start on a machine without a batch system, whatever is installed; clusters bring their own PATH."""
    former = os.environ.get("PATH")
    probes = [systems.load(name).probe for name in systems.OURS]
    os.environ["PATH"] = path_without(probes, tmp_path_factory.mktemp("machine") / "bin")
    yield
    os.environ.update({} if former is None else {"PATH": former})


@pytest.fixture(scope="session", autouse=True)
def _signals() -> None:
    """Under nohup, or in the background of a shell, signals are ignored, and children would inherit that."""
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """What the tests of a module started has ended when they are over; what has not is killed, and is an error."""
    mark = secrets.token_hex(8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, mark)
        yield
    end = time.monotonic() + ENDING
    while (left := processes_with(f"{MARK}={mark}")) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {left}"


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """A run of luigi sets the level of its loggers for the whole process, and so for the tests to come."""
    logger = logging.getLogger("luigi-interface")
    level, disabled = logger.level, logger.disabled
    logger.setLevel(logging.NOTSET)
    logger.disabled = False
    yield
    logger.setLevel(level)
    logger.disabled = disabled


@pytest.fixture
def script_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the script, which is also the current folder; and settings of one's own."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["script.py"])
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(folder / "script.py"), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # with `python -m pytest` it has one
    monkeypatch.delenv("B2LUIGI_SETTINGS_JSON", raising=False)
    monkeypatch.delenv("B2LUIGI_SETTINGS_FILES", raising=False)
    with with_new_settings():
        yield folder
