"""The node of a pack: starts a process for each of its tasks, and reports how each has ended.

The user's script has run once, up to `process()`. With `pack_mode` "fork" each task runs in a copy of this process, and
with "process" in a script that is started anew.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from b2luigi.batch.attempts.fresh_look import look_again
from b2luigi.batch.attempts.ledger import Ledger
from b2luigi.batch.attempts.outcome import INTERRUPTED, Marker
from b2luigi.batch.attempts.record import Record, read_outcome
from b2luigi.batch.interrupts import SIGNALLED
from b2luigi.batch.node.children import STOPPING, Forked, Randomness, Started, Tree
from b2luigi.batch.node.forkable import NOT_FORKABLE, unforkable
from b2luigi.batch.node.given_job import GivenJob
from b2luigi.batch.node.usage import job_memory
from b2luigi.core.description import rebuild
from b2luigi.core.files import write_atomically
from b2luigi.core.job_script import BEGUN_LINE, CUT_SHORT, UNRECORDED
from b2luigi.core.patience import PASSING, patiently
from b2luigi.core.script import base_folder
from b2luigi.core.settings_file import contents
from b2luigi.core.structures import flatten_to_dict_of_lists
from b2luigi.core.target import LocalTarget

logger = logging.getLogger("luigi-interface.b2luigi")

GLANCE = 2.0
"""Seconds between two looks whether a task that is at work is still wanted."""
KILL_AFTER = 5.0
"""Seconds from the request to stop to the end."""
MOMENT = 0.001
"""Seconds from the sentinel of a process to its end, where the kernel has none that is exact."""
TOGETHER = 0.5
"""Seconds by which a signal for the whole job may come later here than to one of its tasks."""
OF_NODE = (*PASSING, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Errors for which this node cannot start any task now: a disk that is full or away, no memory, too many processes."""


@dataclass(frozen=True)
class Member:
    """One task of a pack, as the job script of the pack has it. Paths are those of this node."""

    token: str
    folder: Path
    logs: Path
    description: Mapping[str, Any]

    @property
    def job(self) -> GivenJob:
        """What its own job script would say."""
        return GivenJob.described(self.description)

    @property
    def outcome(self) -> Path:
        """The file for its outcome."""
        return self.folder / f"{self.token}.outcome"

    @property
    def void(self) -> Path:
        """If this file is there, the task must not run."""
        return self.folder / f"{self.token}.void"

    @property
    def stderr(self) -> Path:
        """The log in which people look first."""
        return self.logs / "stderr"

    def is_void(self) -> bool:
        """Nobody wants the task any more."""
        with contextlib.suppress(OSError):  # a disk that hiccups
            return self.void.exists()
        return False

    def is_over(self) -> bool:
        """It was judged or given up, or has ended in an earlier execution of this job."""
        if self.is_void():
            return True
        with contextlib.suppress(OSError):
            _, records = Record.all_in(self.folder)
            if any(one.token == self.token and {"ended", "given_up"} & one.facts.keys() for one in records):
                return True
        outcome = read_outcome(self.outcome)
        return outcome is not None and outcome.status != INTERRUPTED


class Child(Protocol):
    """The process of one task."""

    @property
    def sentinel(self) -> int | None:
        """A file descriptor that can be read once it has ended; None where the system has no such thing."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def exit_code(self) -> int | None:
        """0..255, 128 + n for signal n; None while it runs."""


@dataclass(eq=False)
class _AtWork:
    member: Member
    child: Child
    kill_at: float | None = None
    tree: Tree = field(default_factory=Tree)
    """What was asked to stop."""

    @property
    def has_ended(self) -> bool:
        """With all that was asked to stop, as long as there is patience."""
        if self.child.exit_code() is None:
            return False
        return self.kill_at is None or time.monotonic() >= self.kill_at or not self.tree.lives


def run_pack(job: GivenJob, script: Path, work: Callable[[GivenJob, Path], int]) -> int:
    """Runs the tasks of a pack. `script`: its job script; `work`: runs one task in this process, and returns its code.

    Returns 0 if all that it has begun has ended, however that was.
    """
    description = job.description
    base = os.environ.get("PWD", os.getcwd())  # that of the job script: the user's script may have changed to another
    members = [_member(one, base) for one in description["members"]]
    inbox = Path(base, str(description["inbox"]))
    mode, at_once, limit = description["mode"], int(description["at_once"]), description["limit"]
    make: Callable[[Member], Child]
    if mode == "fork":
        for what in unforkable():
            logger.warning("b2luigi: " + NOT_FORKABLE, what)
        draw_anew = Randomness().draw_anew  # before what there is gets out of sight
        _prepare_copies(members)
        make = lambda member: Forked(member.job, member.outcome, member.logs, work, draw_anew)  # noqa: E731
    else:
        make = lambda member: Started(member.folder / script.name, member.token, base)  # noqa: E731
    return _Supervisor(members, inbox, Ledger(script.parent), make, at_once, limit, job.grace).run()


def _member(facts: Mapping[str, Any], base: str) -> Member:
    return Member(
        token=str(facts["token"]),
        folder=Path(base, str(facts["home"])),
        logs=Path(base, str(facts["logs"])),
        description=facts["description"],
    )


class _Supervisor:
    def __init__(
        self,
        members: Sequence[Member],
        inbox: Path,
        ledger: Ledger,
        make: Callable[[Member], Child],
        at_once: int,
        limit: float | None,
        grace: float,
    ) -> None:
        self._waiting, self._at_work = deque(members), list[_AtWork]()
        self._inbox, self._ledger, self._make = inbox, ledger, make
        self._at_once, self._grace = at_once, grace
        self._end = time.monotonic() + limit if limit is not None else float("inf")
        self._stopped_by, self._parent = 0, os.getppid()
        self._has_begun = self._is_unfit = False
        memory = job_memory()
        self._kills = memory.kills if memory is not None else 0
        """By the kernel, for lack of memory, that tasks before have explained."""

    def run(self) -> int:
        """Returns the exit code of the pack."""
        with self._signals():
            glance = time.monotonic() + GLANCE
            while self._at_work or self._may_begin:
                while self._may_begin and len(self._at_work) < self._at_once:
                    self._begin(self._waiting.popleft())
                self._wait()
                self._stop_without_parent()
                for one in list(self._at_work):
                    self._reap(one)
                if time.monotonic() >= glance or self._is_stopping:
                    glance = time.monotonic() + GLANCE
                    self._stop_unwanted()
        if self._stopped_by:
            signal.signal(self._stopped_by, signal.SIG_DFL)
            os.kill(os.getpid(), self._stopped_by)
        return UNRECORDED if self._is_unfit and not self._has_begun else 0

    def _wait(self) -> None:
        """For the end of a task, at most a moment."""
        running = [one.child for one in self._at_work if one.child.exit_code() is None]
        sentinels = [child.sentinel for child in running if child.sentinel is not None]
        if sentinels:
            ends = wait(sentinels, timeout=0.1 if self._is_stopping else 1.0)
            if ends and all(child.exit_code() is None for child in running):  # an old kernel: it says so too early
                time.sleep(MOMENT)
        elif self._at_work:
            time.sleep(0.1)

    @property
    def _may_begin(self) -> bool:
        if not self._waiting or self._stopped_by or self._is_unfit:
            return False
        return time.monotonic() < self._end or not self._has_begun

    @property
    def _is_stopping(self) -> bool:
        return any(one.kill_at is not None for one in self._at_work)

    def _begin(self, member: Member) -> None:
        if member.is_over():
            return
        try:
            patiently(lambda: self._ledger.begin(member.token), lambda: self._grace)
        except OSError as error:
            logger.error("b2luigi: no task can begin on this node: %s", error)
            self._is_unfit = True
            return
        self._has_begun = True
        look_again(member.folder)
        if member.is_void():  # whoever cancels it looks into the ledger after that, and one of both sees the other
            self._report(member, SIGNALLED + signal.SIGTERM, "")
            return
        try:
            self._at_work.append(one := _AtWork(member, self._make(member)))
        except OSError as error:
            self._is_unfit = error.errno in OF_NODE
            code = UNRECORDED if self._is_unfit else 1
            self._report(member, code, f"b2luigi: the task cannot be started: {error}")
            return
        if self._stopped_by:
            self._pass_on(self._stopped_by, one)

    def _reap(self, one: _AtWork) -> None:
        code = one.child.exit_code()
        if code is None or not one.has_ended:
            return
        one.tree.signal(signal.SIGKILL)
        if code - SIGNALLED in (*STOPPING, signal.SIGKILL) and one.kill_at is None and not self._stopped_by:
            time.sleep(TOGETHER)
            self._stop_without_parent()
        self._at_work.remove(one)
        member, note = one.member, ""
        has_outcome = _has_outcome(member.outcome)
        if code == 0 and not has_outcome:
            code, note = CUT_SHORT, "b2luigi: the program ended with exit code 0 in the middle of the task"
        elif code != 0 and not has_outcome:
            note = f"b2luigi: {BEGUN_LINE} unknown"
            if code == SIGNALLED + signal.SIGKILL and (memory := job_memory()) is not None:
                note = f"b2luigi: {memory.note(self._kills)}\n{note}"
                self._kills = memory.kills
        self._report(member, code, note)

    def _report(self, member: Member, code: int, note: str) -> None:
        """Leaves the marker of a task. If the job itself is being stopped, the batch system knows better why."""
        if note:
            with contextlib.suppress(OSError), open(member.stderr, "a") as file:
                file.write(f"{note}\n")
        marker = Marker(code, _has_outcome(member.outcome), alone=not self._stopped_by)
        with contextlib.suppress(OSError):  # without the folder there is nobody who would read it
            patiently(
                lambda: write_atomically(self._inbox / member.token, marker.to_text(), 0o644),
                lambda: self._grace if self._inbox.is_dir() else 0.0,
            )

    def _stop_unwanted(self) -> None:
        now = time.monotonic()
        for one in self._at_work:
            if one.kill_at is not None:
                if now >= one.kill_at:
                    Tree.below(one.child.pid).signal(signal.SIGKILL)
                continue
            look_again(one.member.folder)
            if one.member.is_void():
                one.kill_at, one.tree = now + KILL_AFTER, Tree.below(one.child.pid)
                one.tree.signal(signal.SIGTERM)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """A signal with which batch systems end jobs goes on to the tasks at work; no other one begins."""
        former = {}
        for number in STOPPING:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                former[number] = signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _stop_without_parent(self) -> None:
        """The job script was killed: nobody would report how the job ends, and it may be killed process by process."""
        if os.getppid() != self._parent and not self._stopped_by:
            self._stop(signal.SIGTERM)

    def _stop(self, number: int, frame: object = None) -> None:
        self._stopped_by = number
        for one in self._at_work:
            self._pass_on(number, one)

    def _pass_on(self, number: int, one: _AtWork) -> None:
        """Also to what the task has started, as batch systems do: a shell would keep it for itself."""
        Tree.below(one.child.pid).signal(signal.Signals(number))


def _has_outcome(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _prepare_copies(members: Sequence[Member]) -> None:
    """What all copies would do anew: reading settings, looking at a class for the first time, looking for garbage.

    Python remembers of each class whether its objects are series, which costs a copy a quarter of a millisecond.
    """
    with contextlib.suppress(Exception):  # reported by the task that needs it
        base_folder()
        list(contents())
        flatten_to_dict_of_lists(target for target in [LocalTarget(os.devnull)])
        rebuild(members[0].description)
    gc.collect()
    gc.freeze()
