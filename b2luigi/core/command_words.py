"""The settings that are lists of words: each of their entries is one word of the command."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence

import luigi

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.script import base_folder
from b2luigi.core.settings import get_setting, source_of

KEYS = ("executable_prefix", "executable", "task_cmd_additional_args")
_PROGRAM_FOLLOWS = re.compile(r"-[A-Za-z]*[ceE]|--command|--eval")
"""Options of shells and interpreters whose value is a program, in which blanks separate nothing."""
_SHELL_CODE = re.compile(r"[;&|<>`]|\$\(")


class SeveralWordsError(BadInputError):
    """An entry is several words; the text has the list to write."""


def words_of(key: str, task: luigi.Task) -> list[str]:
    """The words of a setting. Raises SeveralWordsError for an entry that is several words."""
    entries = [str(entry) for entry in get_setting(key, task=task) or []]
    if not entries:
        return []
    split = list(_split(entries, task))
    if all(len(words) == 1 for words in split):
        return [words[0] for words in split]
    wrong = next(entry for entry, words in zip(entries, split, strict=True) if len(words) > 1)
    right = [word for words in split for word in words]
    raise SeveralWordsError(_refusal(f"{key} ({source_of(key, task)})", wrong, right))


def check_words(task: luigi.Task) -> Iterator[str]:
    """Which of these settings of a task have several words in one entry, in sentences."""
    for key in KEYS:
        try:
            words_of(key, task)
        except SeveralWordsError as error:
            yield str(error)


def _split(entries: Sequence[str], task: luigi.Task) -> Iterator[list[str]]:
    """For each entry, its words: one, or several where a shell would see several."""
    for entry, before in zip(entries, ("", *entries), strict=False):
        is_one = not re.search(r"\s", entry) or _PROGRAM_FOLLOWS.fullmatch(before) or _names_a_file(entry, task)
        yield [entry] if is_one else _shell_words(entry) or [entry]


def _shell_words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed
        return text.split()


def _names_a_file(entry: str, task: luigi.Task) -> bool:
    """Whether an entry is a path that exists here, or can be created, as in `--out=PATH` or `PATH:/data`."""
    path = re.sub(r"^-[\w-]+=", "", entry).partition(":")[0]
    here = os.path.join(base_folder(), os.fspath(get_setting("working_dir", task=task) or ""), path)
    folder = os.path.dirname(path)
    return os.path.exists(here) or (" " in folder and os.path.isdir(os.path.dirname(here)))


def _refusal(what: str, entry: str, words: Sequence[str]) -> str:
    if _SHELL_CODE.search(entry):
        return f"{what}: {entry!r} is shell code, which no shell reads here; put it into the env_script."
    right, one = (json.dumps(value, ensure_ascii=False) for value in (list(words), shlex.quote(entry)))
    return f"{what}: each word needs an entry of its own: {right}. If {entry!r} is one word, write {one}."
