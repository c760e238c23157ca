"""The processes of the tasks of a pack: copies of this one, or scripts that are started anew."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.liveness import stat_of
from b2luigi.batch.interrupts import SIGNALLED
from b2luigi.batch.node.given_job import GivenJob
from b2luigi.core.job_script import MEMBER, PACK_VARIABLE, SIGNALS

logger = logging.getLogger("luigi-interface.b2luigi")

STOPPING = [signal.Signals[f"SIG{name}"] for name in SIGNALS]
"""Signals with which batch systems ask a job to end."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent has ended."""
Prctl = Callable[[int, int], int]
FROM_THE_SYSTEM = 2**64
"""Seeds that are larger were drawn by the operating system, and not chosen by a person (numpy draws 128 bits)."""


class Forked:
    """A copy of this process that runs one task, with logs and random numbers of its own. Raises OSError."""

    def __init__(
        self,
        job: GivenJob,
        outcome: Path,
        logs: Path,
        work: Callable[[GivenJob, Path], int],
        draw_anew: Callable[[], None],
    ) -> None:
        parent, prctl = os.getpid(), _prctl()  # looked for once, before the fork
        streams = _opened(logs)
        context = multiprocessing.get_context("fork")
        task = (job, outcome, streams, work, draw_anew, parent, prctl)
        self._process = context.Process(target=_work, args=task, name=job.task_id)
        try:
            with _signals_later():
                self._process.start()  # which flushes first, or else each copy would print what was printed before
        finally:
            for descriptor in streams:
                os.close(descriptor)
        self._end = _End(self.pid)

    @property
    def sentinel(self) -> int | None:
        """A file descriptor that can be read once it has ended, or a moment before."""
        return self._process.sentinel if self._end.sentinel is None else self._end.sentinel

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self._process.pid or 0)

    def exit_code(self) -> int | None:
        """0..255, 128 + n for signal n; None while it runs."""
        code = _code(self._process.exitcode)
        if code is not None:
            self._end.close()
        return code


class Started:
    """The job script of one task, which the pack has started. Raises OSError."""

    def __init__(self, script: Path, token: str, base: str) -> None:
        parent, prctl = os.getpid(), _prctl()  # found here: other threads of the script may hold locks at the fork
        self._process = subprocess.Popen(
            [script, token, MEMBER],
            cwd=base,
            stdin=subprocess.DEVNULL,
            env={**os.environ, PACK_VARIABLE: str(parent)},
            preexec_fn=lambda: _end_with_parent(parent, prctl),
        )
        self._end = _End(self.pid)

    @property
    def sentinel(self) -> int | None:
        """A file descriptor that can be read once it has ended."""
        return self._end.sentinel

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """0..255, 128 + n for signal n; None while it runs."""
        code = _code(self._process.poll())
        if code is not None:
            self._end.close()
        return code


def _code(code: int | None) -> int | None:
    return SIGNALLED - code if code is not None and code < 0 else code


class _End:
    """The end of a process, exactly: the sentinel of `multiprocessing` can be read a moment before."""

    def __init__(self, pid: int) -> None:
        self.sentinel: int | None = None
        """Can be read once the process has ended. None before Linux 5.3 (RHEL 8), and elsewhere: pidfd_open(2)."""
        with contextlib.suppress(AttributeError, OSError):
            self.sentinel = os.pidfd_open(pid)

    def close(self) -> None:
        """The end was seen."""
        if self.sentinel is not None:
            os.close(self.sentinel)
            self.sentinel = None


def _opened(logs: Path) -> list[int]:
    """The log files of a task, empty. Raises OSError."""
    logs.mkdir(parents=True, exist_ok=True)
    return [os.open(logs / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for name in ("stdout", "stderr")]


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Those that come meanwhile come afterwards; a copy made meanwhile gets its own when it is ready for them."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _work(
    job: GivenJob,
    outcome: Path,
    streams: list[int],
    work: Callable[[GivenJob, Path], int],
    draw_anew: Callable[[], None],
    parent: int,
    prctl: Prctl,
) -> None:
    """In the copy. `multiprocessing` ends it without the exit handlers of the script, which run once, in the parent."""
    _end_with_parent(parent, prctl)
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    for stream, descriptor in enumerate(streams, 1):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    draw_anew()
    sys.exit(work(job, outcome))


@functools.cache
def _prctl() -> Prctl:
    with contextlib.suppress(OSError, AttributeError):
        found: Prctl = ctypes.CDLL(None).prctl
        return found
    return lambda option, number: -1  # no Linux


def _end_with_parent(parent: int, prctl: Prctl) -> None:
    """Nobody would report the end of a task whose pack was killed, and a second job would do it again."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(SIGNALLED + signal.SIGKILL)


def end_with_pack(pack: str) -> None:
    """In a script that a pack has started anew, whose shell ends with the pack. `pack`: its process id, or empty."""
    if pack.isdecimal():
        shell = os.getppid()
        if stat_of(int(pack)) is None:  # the shell was killed before we came here
            shell = 0
        _end_with_parent(shell, _prctl())


class Randomness:
    """The random numbers of the script: of `random`, and of numpy if the script has it.

    numpy's generators that were made with a seed keep it. Other libraries: `os.register_at_fork(after_in_child=...)`.
    """

    def __init__(self) -> None:
        self._numpy: Any = sys.modules.get("numpy.random")
        self._unseeded: list[Any] = []
        """Those that the script has made without a seed, at the top of a module, say."""
        with contextlib.suppress(Exception):  # an old version, or somebody's own
            self._unseeded = [bits for bits in _bit_generators(self._numpy) if _is_unseeded(bits)]

    def draw_anew(self) -> None:
        """In a copy: random numbers that differ from those of the other copies."""
        random.seed()
        if self._numpy is not None:
            try:
                self._numpy.seed()
                for bits in self._unseeded:
                    bits.state = type(bits)().state
            except Exception:
                logger.warning("b2luigi: could not seed numpy's random numbers again.", exc_info=True)


def _bit_generators(numpy: Any) -> Iterator[Any]:
    """Those of all generators there are."""
    import gc

    kinds = [kind for name in ("Generator", "RandomState") if (kind := getattr(numpy, name, None)) is not None]
    for one in gc.get_objects() if kinds else ():
        if type(one) in kinds:
            yield one.bit_generator if hasattr(one, "bit_generator") else one._bit_generator


def _is_unseeded(bits: Any) -> bool:
    seeds = getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)
    entropy = getattr(seeds, "entropy", None)
    return isinstance(entropy, int) and entropy >= FROM_THE_SYSTEM


@dataclass(frozen=True)
class Tree:
    """A process and all that it had started, as long as these had not left it: process ids, and when each began."""

    members: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def below(cls, pid: int) -> Tree:
        """The tree of this process, as it is now."""
        found = {one: stat for one in _pids() if (stat := stat_of(one)) is not None}
        children = defaultdict(list)
        for one, stat in found.items():
            children[stat.parent].append(one)
        line = [pid]
        for one in line:
            line += children[one]
        return cls(frozenset((one, found[one].start) for one in line if one in found))

    @property
    def lives(self) -> bool:
        """Whether some of it has not ended."""
        return any(_lives(*one) for one in self.members)

    def signal(self, number: signal.Signals) -> None:
        """Signals all of it that has not ended, and nobody who has such a number by now."""
        for pid, start in self.members:
            if _lives(pid, start):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)


def _lives(pid: int, start: int) -> bool:
    stat = stat_of(pid)
    return stat is not None and stat.start == start


def _pids() -> Iterable[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []
