"""The content of one settings.json, checked: all that is wrong or doubtful in it comes in one message."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecoder
from pathlib import Path
from typing import Any

from b2luigi.core.bad_input import BadFileError, BadInputError
from b2luigi.core.known_settings import UnknownSettingWarning, name_problems, value_problem
from b2luigi.core.warn import warn_at


@dataclass(frozen=True)
class _Problem:
    """Something wrong with keys of the outermost object, or (without keys) somewhere inside."""

    text: str
    keys: Sequence[str]


def read_settings(path: str) -> dict[str, Any]:
    """The settings in a file; warns about names that are probably mistakes, and about keys given several times.

    Raises BadInputError, with all problems, for a file that is not valid JSON or has values of the wrong type.
    """
    text = _text(path)
    repeated: Counter[str] = Counter()
    try:
        content = json.loads(text, object_pairs_hook=functools.partial(_object, repeated))
    except json.JSONDecodeError as error:
        raise _invalid(path, error.lineno, error.colno, f"not valid JSON ({error.msg})") from error
    if not isinstance(content, dict):
        raise _invalid(path, 1, 1, f"expected a JSON object {{...}}, not a {type(content).__name__}")
    _check(path, text, content, repeated)
    return content


def _object(repeated: Counter[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of equal keys, the last one counts; they are added to `repeated`."""
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated.update({key: times for key, times in Counter(key for key, _ in pairs).items() if times > 1})
    return content


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        raise _invalid(path, line, column, "not valid UTF-8") from error
    except OSError as error:
        raise BadFileError(f"{path} cannot be read ({error.strerror}): make it readable, or remove it.") from error


def _check(path: str, text: str, content: Mapping[str, Any], repeated: Mapping[str, int]) -> None:
    wrong = [_Problem(f"{what}.", [key]) for key, value in content.items() if (what := value_problem(key, value))]
    doubts = [_Problem(what, keys) for what, keys in name_problems(content).items()]
    problems = [*wrong, *doubts, *_repetitions(content, repeated)]
    if not problems:
        return
    lines = dict(_lines(text))  # of keys given several times, the last
    words = _in_words(path, problems, lines)
    if wrong:
        raise BadInputError(f"{words}{' ' if len(problems) == 1 else chr(10)}Please correct the file.")
    first = min((lines[key] for problem in problems for key in problem.keys), default=1)
    warn_at(UnknownSettingWarning(words), path, first)


def _repetitions(content: Mapping[str, Any], repeated: Mapping[str, int]) -> Iterator[_Problem]:
    for key, times in repeated.items():
        yield _Problem(f"{key} is given {times} times; the last one counts.", [key] if key in content else [])


def _in_words(path: str, problems: Sequence[_Problem], lines: Mapping[str, int]) -> str:
    """One problem in one line; several in a list."""
    places = [_place([lines[key] for key in problem.keys]) for problem in problems]
    rows = [f"{place}{': ' if place else ''}{problem.text}" for place, problem in zip(places, problems, strict=True)]
    if len(rows) > 1:
        return "\n    ".join([f"{path}:", *rows])
    return f"{path}{', ' if places[0] else ': '}{rows[0]}"


def _place(lines: Sequence[int]) -> str:
    if len(set(lines)) > 1:
        return f"lines {min(lines)} to {max(lines)}"
    return f"line {lines[0]}" if lines else ""


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """The keys of the outermost object of a valid JSON text, and their lines."""
    decode = JSONDecoder().raw_decode
    position = text.index("{") + 1
    while text[position := _skip(text, position)] != "}":
        key, end = decode(text, position)
        yield key, text.count("\n", 0, position) + 1
        _, position = decode(text, _skip(text, end))


def _skip(text: str, position: int) -> int:
    """The position of the next token, past whitespace, colons and commas."""
    while text[position] in " \t\r\n:,":
        position += 1
    return position


def _invalid(path: str, line: int, column: int, what: str) -> BadInputError:
    return BadInputError(f"{path}, line {line}, column {column}: {what}. Please correct the file.")
