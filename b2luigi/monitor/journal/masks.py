"""What must not stand in a journal or log: values of parameters and variables with names like "token"."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import luigi
from luigi.parameter import ParameterVisibility

from b2luigi.monitor.journal.names import MASK

SHORTEST = 8
"""Characters of a value that is also looked for in texts; a shorter one would be found everywhere."""
_WORDS = {"token", "password", "passwd", "passphrase", "pwd", "secret", "proxy", "credential", "key", "apikey", "auth"}
_LONGEST_IN_ID = 16
"""Characters of a parameter in luigi's task ids, in which all but letters, digits and _ are replaced."""


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a name says that its value is nobody's business: `api_key`, `gridProxy`, `TOKENS`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return any(word.lower().removesuffix("s") in _WORDS or word.lower() in _WORDS for word in words)


def masked(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values with those of these names replaced."""
    return {**values, **{name: MASK for name in names if name in values}}


def masked_settings(settings: Iterable[tuple[str, Any, str]]) -> list[tuple[str, str, str]]:
    """Name, value as text, and source of settings; without the values of `env`, and of all that is secret."""
    return [(name, _shown(name, value), source) for name, value, source in settings]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        value = {key: MASK if name == "env" or is_secret(str(key)) else entry for key, entry in value.items()}
    return json.dumps(MASK if is_secret(name) else value, default=repr)


def masked_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without the values of secret options: `--token=x`, `--token x`, `--param=token=x`."""
    shown, hide = [], False
    for word in arguments:
        *names, _ = word.split("=")
        last = next((number for number, name in enumerate(names) if is_secret(name)), None)
        if hide and not word.startswith("-"):
            word = MASK
        elif last is not None:
            word = "=".join([*names[: last + 1], MASK])
        hide = word.startswith("-") and not names and is_secret(word)
        shown.append(word)
    return shown


class Masks:
    """The secrets of one run, as they become known."""

    def __init__(self) -> None:
        self._names: dict[type, tuple[str, ...]] = {}
        self._values: set[str] = set()

    def parameters(self, task: luigi.Task | None, values: Mapping[str, str]) -> Mapping[str, str]:
        """The serialised parameters of a task, masked; what is secret of them is hidden in texts from now on."""
        names = self._names_of(task) if task is not None else [name for name in values if is_secret(name)]
        if not names:
            return values
        for name in names:
            self.add(values.get(name) or str(getattr(task, name, "")))  # luigi reports no private ones
        return masked(values, names)

    def variables(self, env: Any) -> None:
        """The environment variables of a job: those that are secret are hidden in texts from now on."""
        for name, value in env.items() if isinstance(env, Mapping) else ():
            if isinstance(name, str) and isinstance(value, str) and is_secret(name):
                self.add(value)

    def add(self, value: str) -> None:
        """A value to be hidden in texts, also as a part of a task id."""
        if len(value) >= SHORTEST:
            self._values |= {value, re.sub(r"\W", "_", value[:_LONGEST_IN_ID], flags=re.ASCII)}

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    def _names_of(self, task: luigi.Task) -> tuple[str, ...]:
        cls = type(task)
        if cls not in self._names:
            self._names[cls] = tuple(
                name
                for name, parameter in task.get_params()
                if is_secret(name) or parameter.visibility != ParameterVisibility.PUBLIC
            )
        return self._names[cls]
