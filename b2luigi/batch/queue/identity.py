"""Identity: which batch server the commands of a language reach; it is asked beside the loop, and never blocks it."""

from __future__ import annotations

from collections.abc import Callable

from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.queue.command import NOT_EXECUTABLE, NOT_FOUND, Running
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, AnswerError, Command

PAUSE, PAUSE_MOST = 5.0, 60.0
"""Seconds until a server that did not answer is asked again, the first time and at most."""
TRIES = 3
"""Failures after which nobody waits for the answer any longer."""


class Identity:
    """The answer to "which batch server is this?". `expected`: the only answer that counts; empty for any."""

    def __init__(
        self,
        system: BatchSystem,
        start: Callable[[Command], Running],
        clock: Callable[[], float],
        expected: str = "",
    ) -> None:
        self._system, self._start, self._expected = system, start, expected
        self._tries = Backoff(clock, first=PAUSE, most=PAUSE_MOST)
        self._running: Running | None = None
        self._answers: list[Answer] = []
        self.name = ""
        """What `BatchSystem.parse_server` made of the answers; empty while that is not known, and if it cannot be."""
        self.is_settled = False
        """The name is known, or it is known that nobody can say it."""
        self.problem = ""
        """Why the name is not known, or not the one that was expected."""
        self._failures = 0

    @property
    def is_optional(self) -> bool:
        """The language knows no difference between servers."""
        return self._system.ask_server([]) is None

    @property
    def is_open(self) -> bool:
        """The name is worth waiting for."""
        return not self.is_settled and self._failures < TRIES

    def step(self) -> bool:
        """Asks if it is time to, and reads what came back; True when that settles it."""
        if self.is_settled:
            return False
        try:
            self._move()
        except AnswerError as error:
            self._failed(str(error))
        except Exception as error:  # a language of somebody else's
            self.is_settled, self.problem = not self._expected, f"{type(error).__name__}: {error}"
        return self.is_settled

    def _move(self) -> None:
        if self._running is None and self._tries.is_due:
            self._tries.put_off()
            self._answers = []
            self._go_on()
        answer = self._running.poll() if self._running is not None else None
        if answer is not None:
            self._running = None
            self._read(answer)

    def _read(self, answer: Answer) -> None:
        if not answer.is_complete:
            raise AnswerError(answer.words)
        if answer.rc in (NOT_FOUND, NOT_EXECUTABLE) and not self._expected:
            self.is_settled, self.problem = True, answer.words
            return
        self._answers.append(answer)
        self._go_on()

    def _go_on(self) -> None:
        """Asks what is to be asked next; if there is nothing, the answers decide."""
        command = self._system.ask_server(self._answers)
        if command is not None:
            self._running = self._start(command)
            return
        name = self._system.parse_server(self._answers) if self._answers else ""
        if self._answers and self._expected and name != self._expected:
            last = self._answers[-1]
            raise AnswerError(f"{name or 'an unknown server'} answered" if last.rc == 0 else last.words)
        self.name, self.is_settled, self.problem = name, True, ""

    def _failed(self, words: str) -> None:
        self._running, self.problem = None, words
        self._failures += 1
