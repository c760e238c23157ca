"""`bsub -w`: what a job waits for. Conditions on jobs, joined by `&&`, `||` and parentheses."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from . import state

TOKEN = re.compile(
    r"""\s*(?: (?P<sign>&&|\|\||\(|\)) | (?P<what>done|ended|exit|started)\(\s*(?P<job>"[^"]*"|[^\s",()]+)\s*
    (?:,\s*(?P<code>\d+)\s*)?\) | (?P<alone>"[^"]*"|[^\s",()&|!]+) )""",
    re.VERBOSE,
)
Token = dict[str, str | None]
Tree = list[Any]
"""What `json` keeps: `[sign, part, part ...]` or `[what, ids, code]`."""
NEVER = "Dependency condition invalid or never satisfied"
NOT_YET = "Job dependency condition not satisfied"


class NoSuchJob(Exception):
    """A condition names a job that mbatchd does not know."""


class BadCondition(Exception):
    """The text is no condition."""


def resolved(db: sqlite3.Connection, conf: dict[str, Any], text: str) -> str:
    """The condition as it is kept: names have become the ids they mean now. Raises NoSuchJob, BadCondition."""
    _tree(text, lambda word: [])  # all of it is read before mbatchd is asked for any job
    return json.dumps(_tree(text, lambda word: _ids(db, conf, word)))


def truth(db: sqlite3.Connection, kept: str) -> bool | None:
    """Whether the condition holds; None if it does not yet, False if it never will."""
    return _truth(db, json.loads(kept))


def pend_reason(db: sqlite3.Connection, row: sqlite3.Row | dict[str, Any]) -> str:
    """Why a job waits, as far as that is its condition."""
    if row["stat"] != "PEND" or not row["depends"]:
        return ""
    return {True: "", None: NOT_YET, False: NEVER}[truth(db, row["depends"])]


# ---------------------------------------------------------------------------------------------- reading


def _tree(text: str, ids: Callable[[str], list[int]]) -> Tree:
    tokens = list(_tokens(text))
    tree = _any_of(tokens, ids)
    if tokens:
        raise BadCondition(text)
    return tree


def _tokens(text: str) -> Iterator[Token]:
    place, text = 0, text.strip()
    while place < len(text):
        found = TOKEN.match(text, place)
        if not found:
            raise BadCondition(text)
        place = found.end()
        yield found.groupdict()


def _any_of(tokens: list[Token], ids: Callable[[str], list[int]]) -> Tree:
    return _joined("||", tokens, lambda: _all_of(tokens, ids))


def _all_of(tokens: list[Token], ids: Callable[[str], list[int]]) -> Tree:
    return _joined("&&", tokens, lambda: _single(tokens, ids))


def _joined(sign: str, tokens: list[Token], part: Callable[[], Tree]) -> Tree:
    parts = [part()]
    while tokens and tokens[0]["sign"] == sign:
        tokens.pop(0)
        parts.append(part())
    return [sign, *parts] if len(parts) > 1 else parts[0]


def _single(tokens: list[Token], ids: Callable[[str], list[int]]) -> Tree:
    if not tokens:
        raise BadCondition("it ends too early")
    token = tokens.pop(0)
    if token["sign"] == "(":
        tree = _any_of(tokens, ids)
        if not tokens or tokens.pop(0)["sign"] != ")":
            raise BadCondition("a parenthesis is open")
        return tree
    if token["sign"] or (token["code"] and token["what"] != "exit"):
        raise BadCondition("a condition is missing")
    code = int(token["code"]) if token["code"] else None
    return [token["what"] or "done", ids(token["job"] or token["alone"] or ""), code]


def _ids(db: sqlite3.Connection, conf: dict[str, Any], word: str) -> list[int]:
    """An id, or the newest job of a name; a name with `*` means all jobs that match it."""
    name = word.strip('"')
    if word.isdecimal():
        found = [row["jobid"] for row in state.rows(db, conf, "jobid = ?", (int(word),))]
    else:
        found = [row["jobid"] for row in state.rows(db, conf) if state.name_matches(row["name"], name)]
        found = found if "*" in name else found[-1:]
    if not found:
        raise NoSuchJob(name)
    return sorted(set(found))


# ---------------------------------------------------------------------------------------------- truth


def _truth(db: sqlite3.Connection, tree: Tree) -> bool | None:
    if tree[0] in ("&&", "||"):
        parts = [_truth(db, part) for part in tree[1:]]
        decides: bool = tree[0] == "||"
        if decides in parts:
            return decides
        return None if None in parts else not decides
    what, ids, code = tree
    marks = ",".join("?" * len(ids))
    rows = db.execute(f"SELECT stat, exit_code FROM element WHERE jobid IN ({marks})", ids).fetchall()
    answers = [CONDITIONS[what](row["stat"], row["exit_code"], code) for row in rows]
    if False in answers:
        return False
    return None if None in answers else True


def _done(stat: str, exit_code: int | None, code: int | None) -> bool | None:
    return stat == "DONE" if stat in state.FINAL else None


def _ended(stat: str, exit_code: int | None, code: int | None) -> bool | None:
    return True if stat in state.FINAL else None


def _exit(stat: str, exit_code: int | None, code: int | None) -> bool | None:
    return stat == "EXIT" and code in (None, exit_code) if stat in state.FINAL else None


def _started(stat: str, exit_code: int | None, code: int | None) -> bool | None:
    return None if stat in ("PEND", "PSUSP") else True


CONDITIONS: dict[str, Callable[[str, int | None, int | None], bool | None]] = {
    "done": _done,
    "ended": _ended,
    "exit": _exit,
    "started": _started,
}
