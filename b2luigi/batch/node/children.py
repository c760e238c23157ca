"""The processes of the tasks of a pack: copies of this one, or scripts that are started anew."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from b2luigi.batch.attempts.liveness import stat_of
from b2luigi.batch.interrupts import SIGNALLED
from b2luigi.batch.node.given_job import GivenJob
from b2luigi.core.job_script import MEMBER, SIGNALS

logger = logging.getLogger("luigi-interface.b2luigi")

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent has ended."""
FROM_THE_SYSTEM = 2**64
"""Seeds that are larger were drawn by the operating system, and not chosen by a person (numpy draws 128 bits)."""


class Forked:
    """A copy of this process that runs one task, with logs and random numbers of its own. Raises OSError."""

    def __init__(self, job: GivenJob, outcome: Path, logs: Path, work: Callable[[GivenJob, Path], int]) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()  # or else each copy prints what was printed before
        parent = os.getpid()
        streams = _opened(logs)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_work, args=(job, outcome, streams, work, parent), name=job.task_id)
        try:
            self._process.start()
        finally:
            for descriptor in streams:
                os.close(descriptor)
        self.sentinel: int | None = self._process.sentinel

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid or 0)

    def exit_code(self) -> int | None:
        """0..255, 128 + n for signal n; None while it runs."""
        return _code(self._process.exitcode)


class Started:
    """The job script of one task, which the pack has started. Raises OSError."""

    def __init__(self, script: Path, token: str, base: str) -> None:
        self._process = subprocess.Popen([script, token, MEMBER], cwd=base, stdin=subprocess.DEVNULL)
        self.sentinel: int | None = os.pidfd_open(self._process.pid) if hasattr(os, "pidfd_open") else None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """0..255, 128 + n for signal n; None while it runs."""
        code = _code(self._process.poll())
        if code is not None and self.sentinel is not None:
            os.close(self.sentinel)
            self.sentinel = None
        return code


def _code(code: int | None) -> int | None:
    return SIGNALLED - code if code is not None and code < 0 else code


def _opened(logs: Path) -> list[int]:
    """The log files of a task, empty. Raises OSError."""
    logs.mkdir(parents=True, exist_ok=True)
    return [os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for name in ("stdout", "stderr")]


def _work(job: GivenJob, outcome: Path, streams: list[int], work: Callable[[GivenJob, Path], int], parent: int) -> None:
    """In the copy. `multiprocessing` ends it without the exit handlers of the script, which run once, in the parent."""
    _end_with_parent(parent)
    for name in SIGNALS:
        signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    draw_anew()
    sys.exit(work(job, outcome))


def _end_with_parent(parent: int) -> None:
    """Nobody would report the end of a task whose pack was killed, and a second job would do it again."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(SIGNALLED + signal.SIGKILL)


def draw_anew() -> None:
    """Random numbers that differ from those of the other copies: of `random`, and of numpy if the script has it.

    numpy's generators that were made with a seed keep it. Other libraries: `os.register_at_fork(after_in_child=...)`.
    """
    random.seed()
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        try:
            numpy.seed()
            _renew_generators(numpy)
        except Exception:  # an old version, or somebody's own
            logger.warning("b2luigi: could not seed numpy's random numbers again.", exc_info=True)


def _renew_generators(numpy: object) -> None:
    """Those that the script made without a seed, at the top of a module, say."""
    import gc

    kind = getattr(numpy, "Generator", None)
    if kind is None:
        return
    for generator in [one for one in gc.get_objects() if type(one) is kind]:
        bits = generator.bit_generator
        seeds = getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)
        entropy = getattr(seeds, "entropy", None)
        if isinstance(entropy, int) and entropy >= FROM_THE_SYSTEM:
            bits.state = type(bits)().state


def kill_tree(pid: int, number: signal.Signals) -> None:
    """Signals a process and all that it has started, as long as these have not left it."""
    children = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdecimal() and (stat := stat_of(int(name))) is not None:
            children[stat.parent].append(int(name))
    found = [pid]
    for one in found:
        found += children[one]
    for one in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, number)
