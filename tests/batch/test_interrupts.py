"""Real signals, sent to this process; `received` makes sure that none of them ends the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from b2luigi.batch.interrupts import Interrupts
from tests.waiting import PATIENCE

SIGNALS = pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)], ids=["INT", "TERM"]
)


@pytest.fixture(autouse=True)
def received() -> Iterator[list[int]]:
    """The signals that reached the handlers that were there before."""
    numbers: list[int] = []
    former = {
        number: signal.signal(number, lambda number, frame: numbers.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    yield numbers
    for number, handler in former.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@SIGNALS
def test_a_signal_ends_the_run(number: int, error: type[BaseException]) -> None:
    """SIGINT is the KeyboardInterrupt everybody knows, SIGTERM an exit with the status of one that was terminated."""
    with pytest.raises(error) as caught, Interrupts():
        send(number)
    assert number == signal.SIGINT or caught.value.code == 143  # type: ignore[attr-defined]


def work(interrupts: Interrupts, steps: list[str], number: int) -> None:
    with interrupts.deferred():
        with interrupts.deferred():
            send(number)
            send(number)
            steps.append("inner")
        steps.append("outer")
    steps.append("never")


@SIGNALS
def test_a_signal_waits(number: int, error: type[BaseException]) -> None:
    """What is deferred is finished before the signal is felt, also when it is nested; cleaning up ends it."""
    steps: list[str] = []
    with Interrupts() as interrupts:
        with pytest.raises(error):
            work(interrupts, steps, number)
        with interrupts.ignored():
            pass
        with interrupts.deferred():
            steps.append("calm")
    assert steps == ["inner", "outer", "calm"]


class Fragile:
    """Python drops what is raised while it is taken away, as it does in its hooks of fork."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        send(self.number)
        time.sleep(0.01)


@SIGNALS
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_got_lost_is_felt_a_little_later(number: int, error: type[BaseException]) -> None:
    """A run that was told to end must end, wherever the signal struck."""
    with Interrupts() as interrupts:
        Fragile(number)
        with pytest.raises(error), interrupts.deferred():
            pass


def break_down(interrupts: Interrupts) -> None:
    with interrupts.deferred():
        send(signal.SIGINT)
        raise ValueError("broken")


def test_an_error_in_the_meantime_is_not_lost() -> None:
    """An error within what is deferred stands behind the signal as its context."""
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt) as caught:
        break_down(interrupts)
    assert isinstance(caught.value.__context__, ValueError)


@SIGNALS
def test_nothing_came(number: int, error: type[BaseException]) -> None:
    """What is deferred or ignored changes nothing when no signal comes, and signals are felt again after it."""
    with Interrupts() as interrupts:
        with interrupts.deferred():
            pass
        with pytest.raises(ValueError, match="own"), interrupts.deferred():
            raise ValueError("own")
        with interrupts.ignored():
            pass
        with pytest.raises(error):
            send(number)


@SIGNALS
def test_a_signal_is_ignored(number: int, error: type[BaseException]) -> None:
    """While cleaning up nothing disturbs, and what came in the meantime is forgotten."""
    with Interrupts() as interrupts:
        with interrupts.ignored():
            send(number)
            with interrupts.deferred():
                send(number)
        with interrupts.deferred():
            pass


@SIGNALS
def test_handlers_are_given_back(number: int, error: type[BaseException], received: list[int]) -> None:
    """After the run signals go where they went before, also when it ended by one."""
    with pytest.raises(error), Interrupts():
        send(number)
    send(number)
    assert received == [number]


def test_what_was_ignored_stays_ignored() -> None:
    """A script in the background of a shell script is not to be ended by a Ctrl-C at its terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.default_int_handler])
def test_any_handler_is_given_back(handler: Any) -> None:
    """What was there before is so again."""
    signal.signal(signal.SIGTERM, handler)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN, handler)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_not_on_the_main_thread(received: list[int]) -> None:
    """In another thread, which cannot have handlers, everything goes on without them."""
    steps: list[str] = []

    def run() -> None:
        with Interrupts() as interrupts:
            with interrupts.deferred():
                steps.append("deferred")
            with interrupts.ignored():
                steps.append("ignored")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    send(signal.SIGINT)
    assert (steps, received) == (["deferred", "ignored"], [signal.SIGINT])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_the_exit_status_of_a_script(number: signal.Signals, code: int) -> None:
    """A script that was stopped tells so to whoever started it."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert (process.communicate(timeout=PATIENCE)[0], process.returncode) == ("finished\n", code)


SCRIPT = """
import time
from b2luigi.batch.interrupts import Interrupts
with Interrupts() as interrupts:
    with interrupts.deferred():
        print("ready", flush=True)
        time.sleep(0.3)
        print("finished", flush=True)
    time.sleep(1000)
"""
