"""Where Ctrl-C goes during a call of `process`: real signals, sent to this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import luigi
import pytest

import b2luigi
from b2luigi.cli.exit_on_interrupt import RESUME, ExitOnInterrupt


@pytest.fixture(autouse=True)
def _python_handles_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And nothing is left to be done at the end of the tests."""
    monkeypatch.setattr("atexit.register", lambda *_: None)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Calls(luigi.Task):
    """Does what the test wants it to do, and is complete after that."""

    act: Any = None
    is_done = False

    def complete(self) -> bool:
        return self.is_done

    def run(self) -> None:
        type(self).act()
        type(self).is_done = True


def process(act: Callable[[], object], **arguments: Any) -> Any:
    """Calls `process` for a task that does this."""
    Calls.act, Calls.is_done = staticmethod(act), False
    luigi.task_register.Register.clear_instance_cache()
    return b2luigi.process(Calls(), log_level="CRITICAL", **arguments)


def test_the_handler_of_python_is_given_back() -> None:
    """After a call that was not interrupted everything is as it was."""
    assert process(lambda: None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_user_stays() -> None:
    """A script that has its own answer to Ctrl-C keeps it, during the call and after it."""
    received: list[int] = []

    def own(number: int, frame: FrameType | None) -> None:
        received.append(number)

    signal.signal(signal.SIGINT, own)
    assert process(ctrl_c)
    assert received == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is own


def test_what_is_ignored_stays_ignored() -> None:
    """A script that a shell has started in the background does not hear of a Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert process(ctrl_c)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_on_another_thread_nothing_is_installed() -> None:
    """Python delivers signals to the main thread only."""
    handlers: list[object] = []

    def enter() -> None:
        with ExitOnInterrupt():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def interrupted(act: Callable[[], object] = ctrl_c, **arguments: Any) -> Any:
    with pytest.raises(SystemExit) as ended:
        process(act, **arguments)
    return ended.value.code


def test_a_script_that_goes_on_can_be_interrupted_again(capsys: pytest.CaptureFixture[str]) -> None:
    """In a notebook the interpreter lives on: Ctrl-C is a KeyboardInterrupt there, and the next call exits again."""
    assert [interrupted(), interrupted()] == [130, 130]
    assert capsys.readouterr().err.splitlines() == [RESUME, RESUME]
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()
    assert process(lambda: None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_without_a_signal_ends_it_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """A handler of the user may raise it, or code that embeds Python."""
    signal.signal(signal.SIGINT, lambda number, frame: raise_interrupt())
    assert interrupted() == 130
    assert capsys.readouterr().err.splitlines() == [RESUME]


def swallow() -> None:
    try:
        ctrl_c()
    except KeyboardInterrupt:
        return
    raise AssertionError("the task was not interrupted")


def test_an_interrupt_that_is_dropped_ends_the_run_a_little_later() -> None:
    """By a callback of a luigi event, say: the next task does not start."""
    assert interrupted(swallow) == 130


def deferring(*steps: Callable[[], object]) -> Any:
    """Does this while Ctrl-C is deferred; returns the exit code."""
    with pytest.raises(SystemExit) as ended, ExitOnInterrupt() as interrupt, interrupt.deferred():
        _ = [step() for step in steps]
    return ended.value.code


def test_the_first_signal_waits_for_what_is_deferred() -> None:
    """A module is imported to its end, and a process is forked to its end."""
    done: list[str] = []
    assert deferring(ctrl_c, lambda: done.append("here")) == 130
    assert done == ["here"]


def test_a_second_signal_does_not_wait() -> None:
    """A user who presses the keys again means it."""
    done: list[str] = []
    assert deferring(ctrl_c, ctrl_c, lambda: done.append("here")) == 130
    assert done == []


def fail() -> None:
    raise ImportError("half a module")


def test_an_exception_beside_the_signal_is_not_what_the_user_reads() -> None:
    """An import that fails after Ctrl-C, for example, is no news."""
    assert deferring(ctrl_c, fail) == 130


def test_other_exceptions_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """What has nothing to do with Ctrl-C is left alone."""
    with pytest.raises(ValueError, match="own"), ExitOnInterrupt():
        raise ValueError("own")
    assert capsys.readouterr().err == ""


def test_a_node_prints_nothing() -> None:
    """There the job script says what became of the job."""
    interrupt = ExitOnInterrupt()
    interrupt.sentence = ""
    with pytest.raises(KeyboardInterrupt), interrupt:
        ctrl_c()


def test_the_factory_of_the_user_makes_the_worker(script_folder: Any) -> None:
    """What a script gives as worker_scheduler_factory is used."""
    made: list[Any] = []

    class Factory(luigi.interface._WorkerSchedulerFactory):
        def create_worker(self, *args: Any, **kwargs: Any) -> Any:
            made.append(super().create_worker(*args, **kwargs))
            return made[-1]

    assert process(lambda: None, worker_scheduler_factory=Factory())
    assert len(made) == 1
