"""Listings of jobs among other text: wrappers of sites, busy servers and debug levels print notices beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from b2luigi.batch.systems.model import AnswerError, JobInfo

_BEGINNING = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)
_JSON_LINE = re.compile(r'^\s*(\[\s*(\{|$)|\{\s*("|\}|$))', re.MULTILINE)
_FAILURE = re.compile(
    r"\b(error|fatal|fail|failed|failure|unable|cannot|can't|denied|refused|timed? ?out)\b"
    r"|\b(unavailable|not responding|is down|please wait)\b|usage:",
    re.IGNORECASE,
)
"""Words that no mere notice has."""


class Listing(dict[str, JobInfo]):
    """What is known, by job id, of an answer of which parts cannot be read: those prove presence, never absence.

    `unread`: these parts, for the log. `of`: the ids of the jobs they are about, None if nobody knows.
    """

    def __init__(
        self, known: Mapping[str, JobInfo], unread: Iterable[str] = (), of: Collection[str] | None = None
    ) -> None:
        super().__init__(known)
        self.unread, self._of = tuple(unread), of

    def may_have(self, job_id: str) -> bool:
        """A job may be in the part that cannot be read; of "" that is true if any job may be."""
        return bool(self.unread) and (self._of is None or job_id in self._of)


def json_values(text: str) -> Iterator[tuple[Any, int, int]]:
    """Each JSON array or object that begins a line, with its place; what stands between them is passed over."""
    decoder, end = json.JSONDecoder(strict=False), 0  # not strict: a name of a job may hold a line break
    for found in _BEGINNING.finditer(text):
        if found.end() >= end:
            try:
                value, end = decoder.raw_decode(text, found.end())
            except (ValueError, RecursionError):
                continue
            yield value, found.end(), end


def is_empty_list(text: str) -> bool:
    """All JSON in a text is empty arrays, of which there is one at least."""
    values = [value for value, _, _ in json_values(text)]
    return bool(values) and all(value == [] for value in values)


def begins_json(text: str) -> bool:
    """There is a line with which a JSON array or object would begin, as in an answer that was cut."""
    return _JSON_LINE.search(text) is not None


def refuse_failure(text: str, words: str) -> None:
    """Raises AnswerError if text that should be notices only reads like a failure."""
    if _FAILURE.search(text):
        raise AnswerError(words)
