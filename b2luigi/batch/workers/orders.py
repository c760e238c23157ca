"""What people ask of a run that is under way, by files in its inbox: to cancel tasks, or to try them again."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from b2luigi.batch.attempts import requests
from b2luigi.batch.attempts.inbox import Inbox
from b2luigi.batch.attempts.requests import Reply, Request, RequestError, Verb

logger = logging.getLogger("luigi-interface.b2luigi")

EVERY = 1.0
"""Seconds between two looks, at least."""
READING = 3.0
"""Seconds from an answer for which the end of the run waits until it is read: it is removed with the inbox."""


class Tasks(Protocol):
    """The tasks of a run."""

    def task_ids(self, family: str = "") -> Iterable[str]:
        """The tasks of a class, or of all classes, that this run knows."""

    def is_done(self, task_id: str) -> bool:
        """Whether a task has been done, or was so before."""

    def has_failed(self, task_id: str) -> bool:
        """Whether a task has failed, and is not to be tried again by itself."""

    def cancel_task(self, task_id: str, by: str) -> str:
        """Makes a task fail that has not ended. Returns why that cannot be; empty if it is cancelled."""

    def retry_task(self, task_id: str, by: str) -> str:
        """Gives a task that has failed another try, soon. Returns why that cannot be; empty if it gets one."""


class Orders:
    """Serves requests, once a second at most. Whatever is wrong with one, the run goes on."""

    def __init__(
        self,
        tasks: Tasks,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tasks, self._clock, self._sleep = tasks, clock, sleep
        self._answered_at = float("-inf")
        self._next_at = float("-inf")
        self._seen: set[str] = set()
        """Keys of requests that were served: a file that cannot be removed is served once, too."""

    def look(self, inbox: Inbox) -> None:
        """Serves what is new in the inbox of this run. Called often."""
        if self._clock() < self._next_at:
            return
        self._next_at = self._clock() + EVERY
        for key in inbox.requests():
            if key not in self._seen:
                self._seen.add(key)
                self._serve(inbox, key)

    def close(self, inbox: Inbox) -> None:
        """The run ends: nothing is served any more. Whoever waits for an answer gets a moment to read it."""
        for key in inbox.requests():
            if key not in self._seen:
                self._seen.add(key)
                requests.withdraw(inbox.folder, key)
                self._reply(inbox, key, Reply(error="the run was about to end"))
        end = min(self._answered_at, self._clock()) + READING
        while self._clock() < end and requests.has_replies(inbox.folder):
            self._sleep(0.05)

    def _serve(self, inbox: Inbox, key: str) -> None:
        try:
            request = requests.take(inbox.folder, key)
            answer = self._served(request)
            logger.warning("%s", _in_words(request, answer))
        except RequestError as error:
            logger.warning("A request to this run was ignored: %s (%s)", error, key)
            answer = Reply(error=f"the request was ignored: {error}")
        except Exception as error:
            logger.exception("A request to this run could not be served.")
            answer = Reply(error=f"the request could not be served: {type(error).__name__}: {error}")
        self._reply(inbox, key, answer)

    def _reply(self, inbox: Inbox, key: str, answer: Reply) -> None:
        self._answered_at = self._clock()
        with contextlib.suppress(OSError):  # a full disk: whoever asked will see what becomes of the tasks
            requests.reply(inbox.folder, key, answer)

    def _served(self, request: Request) -> Reply:
        act = self._tasks.cancel_task if request.verb is Verb.cancel else self._tasks.retry_task
        known, served, refused = set(self._tasks.task_ids()), 0, dict[str, str]()
        for task_id in self._meant(request):
            why_not = self._why_not(request.verb, task_id) if task_id in known else "this run does not know it"
            why_not = why_not or act(task_id, request.by)
            if why_not:
                refused[task_id] = why_not
            else:
                served += 1
        return Reply.of(served, refused)

    def _meant(self, request: Request) -> list[str]:
        """The tasks that are named, and those of the classes for which there is something to do."""
        families = [""] if request.all else request.classes
        found = [task_id for family in families for task_id in self._tasks.task_ids(family)]
        return list(dict.fromkeys([*request.tasks, *(one for one in found if not self._why_not(request.verb, one))]))

    def _why_not(self, verb: Verb, task_id: str) -> str:
        match verb:
            case _ if self._tasks.is_done(task_id):
                return "it is done"
            case Verb.cancel:
                return "it has failed already" if self._tasks.has_failed(task_id) else ""
            case Verb.retry:
                return "" if self._tasks.has_failed(task_id) else "it has not failed"


def _in_words(request: Request, answer: Reply) -> str:
    done = "cancelled" if request.verb is Verb.cancel else "retried"
    refused = len(answer.refused) + answer.others
    tasks = "1 task" if answer.served == 1 else f"{answer.served:,} tasks"
    return f"{tasks} {done} by {request.by}" + (f"; not possible for {refused:,} more" if refused else "")
