"""Real signals, sent to this process; the fixture `received` ensures that none of them stops the tests."""

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
    """The signals that reached the previous handlers."""
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
    """SIGINT raises the usual KeyboardInterrupt, SIGTERM a SystemExit with the status of a terminated process."""
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
def test_a_signal_is_deferred(number: int, error: type[BaseException]) -> None:
    """A deferred block finishes before the signal takes effect, even if nested; cleanup drops the signal."""
    steps: list[str] = []
    with Interrupts() as interrupts:
        with pytest.raises(error):
            work(interrupts, steps, number)
        with interrupts.ignored():
            pass
        with interrupts.deferred():
            steps.append("calm")
    assert steps == ["inner", "outer", "calm"]


def wait_for(number: int, interrupts: Interrupts, steps: list[str], before: bool = False) -> None:
    """A command is waited for, then a job is submitted; a signal comes before that wait or within it."""
    with interrupts.deferred():
        if before:
            send(number)
        with interrupts.heard():
            steps.append("waiting")
            send(number)
            steps.append("waited")
        steps.append("submitted")


@SIGNALS
@pytest.mark.parametrize(("before", "done"), [(False, ["waiting"]), (True, [])])
def test_a_signal_is_heard_while_there_is_nothing_to_lose(
    number: int, error: type[BaseException], before: bool, done: list[str]
) -> None:
    """A wait within what is deferred ends by a signal, and does not begin after one."""
    steps: list[str] = []
    with Interrupts() as interrupts, pytest.raises(error):
        wait_for(number, interrupts, steps, before)
    assert steps == done


def submit_after_wait(number: int, interrupts: Interrupts, steps: list[str]) -> None:
    with interrupts.deferred():
        with interrupts.heard():
            pass
        send(number)
        steps.append("submitted")
    steps.append("never")


@SIGNALS
def test_a_signal_waits_again_after_that(number: int, error: type[BaseException]) -> None:
    """What is deferred after the wait is finished before a signal is felt."""
    steps: list[str] = []
    with Interrupts() as interrupts, pytest.raises(error):
        submit_after_wait(number, interrupts, steps)
    assert steps == ["submitted"]


class Fragile:
    """Python drops exceptions raised in its __del__, as it does in fork hooks."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        send(self.number)
        time.sleep(0.01)


@SIGNALS
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dropped_signal_takes_effect_later(number: int, error: type[BaseException]) -> None:
    """The run must end, wherever Python was when the signal arrived."""
    with Interrupts() as interrupts:
        Fragile(number)
        with pytest.raises(error), interrupts.deferred():
            pass


def break_down(interrupts: Interrupts) -> None:
    with interrupts.deferred():
        send(signal.SIGINT)
        raise ValueError("broken")


def test_an_error_in_a_deferred_block_is_not_lost() -> None:
    """It becomes the context of the exception that the signal raises."""
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt) as caught:
        break_down(interrupts)
    assert isinstance(caught.value.__context__, ValueError)


@SIGNALS
def test_without_a_signal(number: int, error: type[BaseException]) -> None:
    """Deferred and ignored blocks change nothing if no signal arrives, and later signals take effect."""
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
    """Signals do not interrupt a cleanup, and are dropped at its end."""
    with Interrupts() as interrupts:
        with interrupts.ignored():
            send(number)
            with interrupts.deferred():
                send(number)
        with interrupts.deferred():
            pass


@SIGNALS
def test_handlers_are_restored(number: int, error: type[BaseException], received: list[int]) -> None:
    """After the run, signals reach the previous handlers again, even if a signal ended the run."""
    with pytest.raises(error), Interrupts():
        send(number)
    send(number)
    assert received == [number]


def test_an_ignored_signal_stays_ignored() -> None:
    """A Ctrl-C at the terminal must not stop a script in the background of a shell script."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.default_int_handler])
def test_any_handler_is_restored(handler: Any) -> None:
    """Whatever handler was set before is set again."""
    signal.signal(signal.SIGTERM, handler)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN, handler)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_not_on_the_main_thread(received: list[int]) -> None:
    """On another thread, which cannot have handlers, the code runs without them."""
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
    """The exit status of a stopped script shows the signal."""
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
