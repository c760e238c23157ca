"""What an attempt left behind: the outcome of its node, and the marker of its job script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from b2luigi.core.version import VERSION

DONE, FAILED, PENDING, INTERRUPTED = "DONE", "FAILED", "PENDING", "interrupted"
FORMAT = 1
STATUSES = (DONE, FAILED, PENDING, INTERRUPTED)


@dataclass(frozen=True)
class Outcome:
    """luigi's result of a task, as its node saw it."""

    status: str
    """DONE, FAILED, PENDING (new requirements) or interrupted (a signal; no verdict of its own)."""
    explanation: Any = ""
    """What `on_success` or `on_failure` returned, if JSON can hold it, else its repr."""
    missing: tuple[str, ...] = ()
    """Task ids of requirements that were not complete on the node."""
    new_requirements: tuple[tuple[str, str, dict[str, str]], ...] = ()
    """Requirements that `run` yielded: module, family and serialised parameters of each."""
    node: str = ""
    task_id: str = ""
    """The task that ran; empty if that is not known."""
    traceback: str = ""
    """The exception that ended `run`, whatever `on_failure` made of it."""
    headline: str = ""
    """The same in one line."""
    reports: Mapping[str, Any] = field(default_factory=dict)
    """The last reports of the task to luigi's scheduler: status message, progress, tracking URL."""
    absent: tuple[int, ...] = ()
    """Places of the outputs that do not exist on the node, if `complete()` of the task itself accepts that."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """What the task used: the fields of `b2luigi.monitor.Usage` that are known."""
    version: str = field(default=VERSION, compare=False)
    """Version of b2luigi on the node; empty for one that did not say so, which is older."""

    def to_dict(self) -> dict[str, Any]:
        """The entries of an outcome file."""
        return dict(vars(self))

    def to_json(self) -> str:
        """The text of an outcome file."""
        return json.dumps({"format": FORMAT, **self.to_dict()})

    @classmethod
    def from_record(cls, facts: Any) -> Outcome | None:
        """The outcome in the record of an attempt; None if there is none."""
        return cls.from_json(json.dumps({"format": FORMAT, **facts})) if isinstance(facts, dict) else None

    @classmethod
    def from_json(cls, text: str) -> Outcome | None:
        """Reads the text of an outcome file; None if it is not one (empty, cut short, another format)."""
        try:
            found = json.loads(text)
            _one_of((FORMAT,), found["format"])
            return cls(
                status=_one_of(STATUSES, found["status"]),
                explanation=found["explanation"],
                missing=tuple(str(task_id) for task_id in found["missing"]),
                absent=tuple(int(place) for place in found.get("absent", ())),
                new_requirements=tuple(
                    (str(module), str(family), {str(k): v for k, v in params.items()})
                    for module, family, params in found["new_requirements"]
                ),
                node=str(found["node"]),
                task_id=str(found["task_id"]),
                traceback=str(found["traceback"]),
                headline=str(found["headline"]),
                reports=dict(found.get("reports", found.get("told", {}))),  # the key of development versions
                usage=dict(found.get("usage", {})),
                version=str(found.get("version", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def plain(value: Any) -> Any:
    """What `on_success` or `on_failure` returned, as JSON gives it back, else its repr."""
    if type(value) is str or value is None:  # nearly always; json gives it back as it is
        return value
    for made in (lambda: json.loads(json.dumps(value)), lambda: repr(value)):
        try:
            return made()
        except Exception:
            continue  # a value of the user's own may fail in any way
    return f"a {type(value).__name__}, which cannot be printed"


@dataclass(frozen=True)
class Marker:
    """What the job script left in the inbox when it ended."""

    exit_code: int | None
    has_outcome: bool
    """Whether an outcome file was there on the node: if so, it is only a matter of time until we see it."""
    alone: bool = False
    """The end of one task of a pack, whose job works on: the batch system knows nothing of it."""

    @classmethod
    def from_text(cls, text: str) -> Marker:
        """Reads `<exit code> outcome` or `<exit code> none`; from anything else only the end is known.

        "alone" follows if one task of a pack has ended, and not its job.
        """
        found = re.fullmatch(r"([0-9]{1,3}) (outcome|none)( alone)?\s*", text)
        return cls(int(found[1]), found[2] == "outcome", bool(found[3])) if found else cls(None, False)

    def to_text(self) -> str:
        """What `from_text` reads."""
        return f"{self.exit_code} {'outcome' if self.has_outcome else 'none'}{' alone' if self.alone else ''}\n"


def _one_of(known: tuple[Any, ...], word: Any) -> str:
    if word not in known:
        raise ValueError(word)
    return str(word)
