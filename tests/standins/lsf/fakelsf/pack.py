"""`bsub -pack`: many submissions in one file, a line each."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import bsub
from .command import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .command import Call

WORD = re.compile(r""" "(?P<double>[^"]*)"(?!\S) | '(?P<single>[^']*)'(?!\S) | (?P<plain>\S+) """, re.VERBOSE)
NOT_IN_A_PACK = ("-I", "-Is", "-Ip", "-K", "-XF", "-jsdl", "-h", "-V", "-pack")


def run(call: Call) -> Answer:
    """Submit the lines of the file in their order, each as bsub would; after a bad one the rest is not looked at."""
    if len(call.argv) != 2:
        return bsub.unusable("the -pack option goes with no other one")
    if not call.conf["max_pack_jobs"]:
        return Answer(255, "", "Job pack feature is not enabled. Job not submitted.\n")
    try:
        text = Path(call.argv[1]).read_text()
    except OSError as error:
        return Answer(255, "", f"{call.argv[1]}: {error.strerror}. Job not submitted.\n")
    whole = bsub.chatter_of(call)
    for line in requests(text):
        answer = bsub.answer_to(call, partial(_read, call, line), Answer())
        whole.out, whole.err = whole.out + answer.out, whole.err + answer.err
        whole.rc = whole.rc or answer.rc
        if answer.rc and not call.conf["pack_skip_error"]:
            break
    return whole


def requests(text: str) -> Iterator[list[str]]:
    """The words of each line that is one: blank lines and comments are none; quotes hold whole words only."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield [next(part for part in found.groups() if part is not None) for found in WORD.finditer(line)]


def _read(call: Call, words: list[str]) -> tuple[dict[str, str], str]:
    """Options and command of one line. In the command all characters are plain text, not the shell's."""
    options, command = bsub.read_options(words, call.conf, refused=NOT_IN_A_PACK)
    if not command:
        raise bsub.Rejected("No command is specified")
    return options, " ".join(bsub.quoted(word) for word in command)
