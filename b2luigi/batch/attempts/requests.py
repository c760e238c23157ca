"""Requests to a run that is alive: files in its inbox, which it takes away and answers in other files.

So they work from any host that sees the project, and for whoever may write to it.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from b2luigi.batch.attempts.users import user_name
from b2luigi.core.files import write_atomically

FORMAT = 1
LARGEST = 16 * 1024 * 1024
"""Bytes of a request that is read: one with 100,000 task ids has some 10 MB."""
NAMED = 20
"""How many tasks an answer names that could not be served."""
_REQUEST = re.compile(r"request-([0-9a-f]{16})\.json")


class Verb(str, enum.Enum):
    """What is requested."""

    cancel = "cancel"
    """The tasks fail, and are not tried again; their jobs leave the batch system."""
    retry = "retry"
    """Tasks that failed get another job."""


class RequestError(ValueError):
    """It is no request; the message says why."""


@dataclass(frozen=True)
class Request:
    """What somebody wants of a run, for all tasks that any of its fields means."""

    verb: Verb
    tasks: Sequence[str] = ()
    """By task id."""
    classes: Sequence[str] = ()
    """All tasks of these classes that are not over (cancel), or failed (retry)."""
    all: bool = False
    """The same for all classes."""
    by: str = "you"
    """Who asks; known from the owner of the file."""


@dataclass(frozen=True)
class Reply:
    """What came of a request."""

    served: int = 0
    """How many tasks are cancelled, or will run again."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By task id: why not; at most `NAMED` of them."""
    others: int = 0
    """How many more were refused."""
    error: str = ""
    """Why the request was ignored."""

    @classmethod
    def of(cls, served: int, refused: Mapping[str, str]) -> Reply:
        """A reply that does not grow with the number of tasks."""
        named = dict(list(refused.items())[:NAMED])
        return cls(served, named, len(refused) - len(named))


def key_of(name: str) -> str | None:
    """Which request a file in an inbox is; None for all other files."""
    found = _REQUEST.fullmatch(name)
    return found[1] if found else None


def send(inbox: Path, request: Request) -> str:
    """Leaves a request in the inbox of a run; returns the key by which it is answered. Raises OSError."""
    key = secrets.token_hex(8)
    facts = {"format": FORMAT, "verb": request.verb.value, "tasks": list(request.tasks)}
    facts.update(classes=list(request.classes), all=request.all)
    write_atomically(_request(inbox, key), json.dumps(facts), _mode(inbox))
    return key


def withdraw(inbox: Path, key: str) -> bool:
    """Takes a request back; False if the run has taken it already, or is gone."""
    try:
        _request(inbox, key).unlink()
    except OSError:
        return False
    return True


def take(inbox: Path, key: str) -> Request:
    """Reads a request and removes it, so that it is served once. Raises RequestError if it is none."""
    path = _request(inbox, key)
    try:
        text, owner = _read(path)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return _parsed(text, owner)


def reply(inbox: Path, key: str, answer: Reply) -> None:
    """Answers a request. Raises OSError."""
    write_atomically(_answer(inbox, key), json.dumps({"format": FORMAT, **vars(answer)}), _mode(inbox))


def read_reply(inbox: Path, key: str) -> Reply | None:
    """The answer, which is removed; None while there is none."""
    path = _answer(inbox, key)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        answer = Reply(int(found["served"]), dict(found["refused"]), int(found["others"]), str(found["error"]))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        answer = Reply(error=f"its answer cannot be read: {error}")
    with contextlib.suppress(OSError):
        path.unlink()
    return answer


def has_replies(inbox: Path) -> bool:
    """Whether there are answers that nobody has read."""
    return next(inbox.glob("answer-*.json"), None) is not None


def sweep(inbox: Path) -> None:
    """Removes what nobody will read any more. Raises OSError."""
    for pattern in ("request-*.json", "answer-*.json", ".request-*", ".answer-*"):
        for path in inbox.glob(pattern):
            path.unlink(missing_ok=True)


def _request(inbox: Path, key: str) -> Path:
    return inbox / f"request-{key}.json"


def _answer(inbox: Path, key: str) -> Path:
    return inbox / f"answer-{key}.json"


def _mode(inbox: Path) -> int:
    """As for records: who may write here may read."""
    return 0o640 if inbox.stat().st_mode & stat.S_IWGRP else 0o600


def _read(path: Path) -> tuple[str, int]:
    """The text of a file, and the user who wrote it. Whatever else has that name (a pipe, a link) is not opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RequestError(f"it cannot be read: {error.strerror}") from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
            raise RequestError("it is not a regular file, or it is too large")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST).decode(errors="replace"), facts.st_uid
    finally:
        os.close(descriptor)


def _parsed(text: str, owner: int) -> Request:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError("it is not valid JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RequestError(f"it is not of format {FORMAT}, which this release of b2luigi reads")
    verb, is_all = found.get("verb"), found.get("all", False)
    if verb not in tuple(Verb) or not isinstance(is_all, bool):
        raise RequestError("unknown request: verb must be cancel or retry, all must be true or false")
    by = "you" if owner == os.geteuid() else user_name(owner)
    return Request(Verb(verb), _words(found.get("tasks", [])), _words(found.get("classes", [])), is_all, by)


def _words(value: Any) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise RequestError("tasks and classes must be lists of strings")
    words: Iterable[str] = value
    return tuple(dict.fromkeys(words))
