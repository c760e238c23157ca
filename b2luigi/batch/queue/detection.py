"""Which batch system this machine submits to: those that are installed are asked, with one ordinary query each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from b2luigi.batch.queue.command import run
from b2luigi.batch.queue.poller import FirstAnswer, checked
from b2luigi.batch.systems.base import BatchSystem
from b2luigi.batch.systems.model import Answer, AnswerError, Command

logger = logging.getLogger("luigi-interface.b2luigi")

PATIENCE = 20.0
"""Seconds that one batch system has for its answer."""
LOCAL = "local"


@dataclass(frozen=True)
class Detected:
    """What `batch_system = "auto"` stands for on this machine."""

    name: str
    first_answer: FirstAnswer | None = None
    """What the batch system answered; None where there is none."""


@dataclass(frozen=True)
class _Unconfigured:
    words: str


@dataclass(frozen=True)
class _Silent:
    words: str


def detect(
    installed: Iterable[BatchSystem],
    timeout: float,
    *,
    ask: Callable[[Command, float], Answer] = run,
    clock: Callable[[], float] = time.monotonic,
) -> Detected:
    """The first batch system that answers, each within `timeout` seconds, or `PATIENCE` if that is less.

    If none answers: the first that is configured, whose outage has to be waited for. Without any: this machine.
    """
    unconfigured: list[str] = []
    silent: dict[str, str] = {}
    patience = min(timeout, PATIENCE)
    for system in installed:
        match _asked(system, lambda command: ask(command, patience), clock):
            case FirstAnswer() as first_answer:
                _report(system.name, unconfigured)
                return Detected(system.name, first_answer)
            case _Unconfigured(words):
                unconfigured.append(f"{system.name} is installed, but no cluster is configured: {words}")
            case _Silent(words):
                silent[system.name] = words
    if silent:
        name, words = next(iter(silent.items()))
        logger.warning(
            "Tasks run as jobs of: %s, which does not answer at the moment; they wait until it does. To run them on "
            'this machine instead, set batch_system to "local". Output: %s',
            *(name, words),
        )
        return Detected(name, FirstAnswer(None, clock()))
    _report(LOCAL, unconfigured)
    return Detected(LOCAL)


def _asked(
    system: BatchSystem, ask: Callable[[Command], Answer], clock: Callable[[], float]
) -> FirstAnswer | _Unconfigured | _Silent:
    try:
        return _read(system, ask(system.query([])), clock)
    except Exception as error:  # a language of somebody else's
        return _Silent(f"{type(error).__name__}: {error}")


def _read(system: BatchSystem, answer: Answer, clock: Callable[[], float]) -> FirstAnswer | _Unconfigured | _Silent:
    if not answer.is_complete:
        return _Silent(answer.words)
    if words := system.unconfigured(answer):
        return _Unconfigured(" ".join(words.split()))
    try:
        checked(system.parse_query(answer))
    except AnswerError:
        return _Silent(answer.words)
    return FirstAnswer(answer, clock())


def _report(name: str, unconfigured: list[str]) -> None:
    reasons = "; ".join(unconfigured)
    if name != LOCAL:
        logger.info("Tasks run as jobs of: %s%s", name, f" ({reasons})" if reasons else "")
    else:
        level = logging.WARNING if reasons else logging.INFO
        logger.log(level, "Tasks run as jobs of: this machine (%s)", reasons or "no batch system found")
