"""Finds the messages of b2luigi that a user can see: the sentences in its code, as templates.

A message is a text that the code logs, raises or prints, or any other text of at least four words, a value counting as
one: sentences are often put together in functions of their own. A template has `…` where the code puts in a value.
These are not messages:

- docstrings, and regular expressions,
- help texts of commands, which `--help` prints,
- tables with a page of their own in this documentation, and labels of the report (`ELSEWHERE`),
- what b2luigi looks for in answers of a batch system (`LANGUAGES`), and code for a shell or Python,
- debug lines, and errors in the attribute protocol of Python.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "b2luigi"
LEVELS = {
    "error": "error",
    "exception": "error",
    "critical": "error",
    "warning": "warning",
    "warn": "warning",
    "log": "warning",
    "info": "info",
    "print": "info",
    "echo": "info",
}
"""What a call prints, by the name of its function."""
ELSEWHERE = (
    "core/known_settings.py",  # the page of settings
    "core/setting_kinds.py",  # the same
    "core/flags.py",  # the page of flags
    "batch/systems/environment.py",  # the page of environment variables
    "monitor/report/",  # a page of labels
    "batch/queue/ticket.py",  # names of states, which nothing prints
    "batch/scheduling/lean_task.py",  # a set, with the errors of a set
)
ALSO = re.compile(r"b2luigi: [^\"\n]*")
"""What the job script prints to the log of its job, within the code for the shell that does so."""
CODE = re.compile(
    "|".join(
        (
            r"^(# |\[ |\*,|%\(|=====|\^|jobid |executable,|b2luigi[_(]|\w+ = )",
            r"^(import (b2|random|runpy|sys)|from b2luigi|def \w+\()",
            r"^(if (\[|read)|elif \[|case \"|while (:|IFS|read)|for b2luigi_|until \{|done [<2])",
            r"^(read -|mv [-\"]|exec [>{\"]|command -|trap (['-]|b2luigi)|echo \")",
            r"\$|\\[bSdw(]|\|\S*\||;;|run_module|stringListMember|(\w+-\w+ ){3}",
        )
    )
)
"""Lines for a shell or for Python, regular expressions, expressions of a batch system, lists of options, formats."""
HELP = {"Option", "Argument", "Typer", "compile", "filterwarnings"}
DEBUG = {"debug"}
PROTOCOL = {"AttributeError"}
LANGUAGES = ("batch/systems/lsf.py", "batch/systems/slurm.py", "batch/systems/htcondor.py")
"""Tuples there hold words that batch systems print."""
ANSWERS = {"SOME_LIMIT", "FULL", "TOO_LARGE", "NO_PAST", "NOT_COMMITTED", "REDUCED", "FIELDS"}
"""Constants that do."""
GAP = "…"


@dataclass(frozen=True)
class Message:
    """One template, where it stands, and how it is printed: `error`, `warning`, `info`, or `` for any."""

    template: str
    file: str
    line: int
    level: str


def messages() -> list[Message]:
    """All messages, in the order of the code."""
    return [message for path in sorted(SOURCES.rglob("*.py")) for message in _of_file(path)]


def texts_of(source: str, file: str = "") -> Iterator[Message]:
    """The messages in the source of a module. `file`: its path below `b2luigi`."""
    return _Texts(file).of(ast.parse(source))


def _of_file(path: Path) -> Iterator[Message]:
    name = path.relative_to(SOURCES).as_posix()
    if not name.startswith(ELSEWHERE):
        yield from texts_of(path.read_text(), name)


class _Texts:
    def __init__(self, name: str) -> None:
        self._name = name

    def of(self, node: ast.AST, level: str = "") -> Iterator[Message]:
        """The messages in a node. `level`: how the text is printed, if a call around it says so."""
        match node:
            case ast.Expr(value=ast.Constant()):  # a docstring
                return
            case ast.Constant(value=str()) | ast.JoinedStr() | ast.BinOp(op=ast.Add()) if _is_text(node):
                yield from self._of_text(node, level)
            case ast.Call() if _name(node.func) in HELP | DEBUG:
                return
            case ast.Assign(value=ast.Tuple()) if self._name in LANGUAGES:
                return
            case ast.Assign(targets=[ast.Name(id=name)]) if name in ANSWERS:
                return
            case ast.keyword(arg="kind"):  # what two errors have in common
                return
            case ast.Call():
                level = LEVELS.get(_name(node.func), level)
            case ast.Raise(exc=ast.Call() as call) if _name(call.func) in PROTOCOL:
                return
            case ast.Raise():
                level = "error"
        for child in _children(node):
            yield from self.of(child, level)

    def _of_text(self, node: ast.AST, level: str) -> Iterator[Message]:
        text = _template(node)
        found = ALSO.findall(text) if "echo" in text or "b2luigi_step" in text else [text]
        for one in map(_tidy, found):
            if _is_message(one, bool(level)) and not CODE.search(one.replace("`$$`", "")):
                yield Message(one, self._name, getattr(node, "lineno", 0), level)


def _is_message(text: str, is_printed: bool) -> bool:
    words = len(re.findall(r"[A-Za-z]{2,}", text))
    return " " in text and words >= (2 if is_printed else 3) and (is_printed or words + text.count(GAP) >= 4)


def _is_text(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
    return False


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What else may hold texts: of an f-string only its values."""
    if isinstance(node, ast.JoinedStr):
        yield from (value.value for value in node.values if isinstance(value, ast.FormattedValue))
    elif isinstance(node, ast.BinOp) and _is_text(node):
        yield from (part for part in (node.left, node.right) if not _is_text(part))
    else:
        yield from ast.iter_child_nodes(node)


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _template(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(_template, values))
        case ast.BinOp(left=left, right=right):
            return _template(left) + _template(right)
    return GAP


def _tidy(text: str) -> str:
    text = re.sub(r"%[-#0 +,]*[\d.]*[sdrgf]", GAP, text)
    text = re.sub(r"\$\{?\w+\}?|\$\([^)]*\)", GAP, text)
    return re.sub(rf"({GAP})+", GAP, re.sub(r"\s+", " ", text)).strip()


if __name__ == "__main__":
    for message in messages():
        print(f"{message.file}:{message.line}\t{message.level}\t{message.template}")
