"""Which tasks a word on the command line means: a task id, a class, or `Class(n=3, mode=*)`."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from b2luigi.monitor import Task

NEAREST = 3
"""How many similar names are listed for one that is unknown."""
_CALL = re.compile(r"([\w.*?\[\]]+)\((.*)\)", re.DOTALL)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*")


class UnknownTaskError(LookupError):
    """No task is meant; the message lists the nearest ones."""


@dataclass(frozen=True)
class Pattern:
    """A class and values of some of its parameters, in which `*` and `?` are wildcards."""

    class_name: str
    values: Mapping[str, str]

    def matches(self, task: Task) -> bool:
        """Whether it means this task. Values are compared as text, with or without quotes."""
        return fnmatch.fnmatchcase(task.class_name, self.class_name) and all(
            name in task.parameters and _is_like(task.parameters[name], value) for name, value in self.values.items()
        )


def select(words: Iterable[str], tasks: Mapping[str, Task]) -> list[Task]:
    """The tasks that these words mean, each once, in the order of `tasks`. Raises UnknownTaskError."""
    chosen: set[str] = set()
    for word in words:
        is_meant = _meaning(word)
        found = [task.task_id for task in tasks.values() if is_meant(task)]
        if not found:
            raise UnknownTaskError(_unknown(word, tasks))
        chosen.update(found)
    return [task for task_id, task in tasks.items() if task_id in chosen]


def _meaning(word: str) -> Callable[[Task], bool]:
    call = _CALL.fullmatch(word.strip())
    if call is not None:
        return Pattern(call[1], _values(call[2])).matches
    return lambda task: word in (task.task_id, task.class_name)


def _values(text: str) -> dict[str, str]:
    """The values in `n=3, mode="a, b"`: a comma ends one only if another name follows."""
    names = [
        match for match in _PAIR.finditer(text) if match.start() == 0 or text[: match.start()].rstrip()[-1:] == ","
    ]
    if text.strip() and not names:
        raise UnknownTaskError(f"Expected name=value, separated by commas, in the parentheses, not: {text}")
    ends = [*(match.start() for match in names[1:]), len(text)][: len(names)]
    return {
        match[1]: text[match.end() : end].strip().removesuffix("," if end < len(text) else "").strip()
        for match, end in zip(names, ends, strict=True)
    }


def _is_like(value: str, pattern: str) -> bool:
    bare = pattern[1:-1] if len(pattern) > 1 and pattern[0] == pattern[-1] and pattern[0] in "'\"" else pattern
    return value in (pattern, bare) or fnmatch.fnmatchcase(value, bare)


def _unknown(word: str, tasks: Mapping[str, Task]) -> str:
    families = list(dict.fromkeys(task.class_name for task in tasks.values()))
    call = _CALL.fullmatch(word.strip())
    wanted = call[1] if call is not None else word
    if call is not None and wanted in families:
        some = [task.name for task in tasks.values() if task.class_name == wanted]
        return _sentence(f"There is no task {word} in this run.", difflib.get_close_matches(word, some, NEAREST, 0.0))
    names: Sequence[str] = [*families, *tasks] if len(tasks) <= 2000 else families
    near = difflib.get_close_matches(wanted, names, NEAREST, 0.5) or families[:NEAREST]
    return _sentence(f"There is no task or class {word} in this run.", near)


def _sentence(text: str, near: Sequence[str]) -> str:
    return f"{text} The nearest: {', '.join(near)}" if near else text
