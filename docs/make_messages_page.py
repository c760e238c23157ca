"""Generates docs/reference/messages.md from messages.json:  python docs/make_messages_page.py

The table has, by section and message, what the message means and what to do; or `information`, if there is nothing to
do; or `part`, if it is a part of other messages. `…` stands for what the code puts in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

PAGE = Path(__file__).parent / "reference" / "messages.md"
TABLE = Path(__file__).with_name("messages.json")
INFORMATION, PART = "information", "part"

BEGINNING = """# Messages

This page explains every message that b2luigi prints, logs or raises. `…` stands for what differs each time: a task, a
job, a number. Search the page for a few words of your message that do not differ. If you do not have a message, start
with [Trouble, by symptom](../trouble.md).
"""
Entry = list[str] | str
"""What a message means and what to do, or the reason why there is nothing to explain."""


def page() -> str:
    """The text of the page."""
    return BEGINNING + "".join(f"\n## {title}\n\n{''.join(_lines(entries))}" for title, entries in sections().items())


def sections() -> dict[str, dict[str, Entry]]:
    """The table: entries by section and message."""
    table: dict[str, dict[str, Entry]] = json.loads(TABLE.read_text())
    return table


def _lines(entries: Mapping[str, Entry]) -> Iterator[str]:
    for message, entry in entries.items():
        if not isinstance(entry, str):
            means, do = entry
            yield f"- {_code(message)}\\\n  {means} *What to do:* {do}\n"
    for title, kind in (("For your information:", INFORMATION), ("Parts of these messages:", PART)):
        found = [message for message, entry in entries.items() if entry == kind]
        if found:
            yield f"\n{title}\n\n" + "".join(f"- {_code(message)}\n" for message in found)


def _code(message: str) -> str:
    return f"`` {message} ``" if "`" in message else f"`{message}`"


if __name__ == "__main__":
    PAGE.write_text(page())
