"""Every message that a user can see is explained in the documentation."""

from __future__ import annotations

import runpy
from itertools import chain
from typing import Any

import pytest

from tests.snippets import ROOT

DOCS = ROOT / "docs"
CODE: dict[str, Any] = runpy.run_path(str(DOCS / "messages_of_the_code.py"))
PAGE: dict[str, Any] = runpy.run_path(str(DOCS / "make_messages_page.py"))
FOUND = CODE["messages"]()
EXPLAINED: dict[str, list[str] | str] = dict(chain.from_iterable(part.items() for part in PAGE["sections"]().values()))
HOW = "docs/messages.json explains each message; then run: python docs/make_messages_page.py"


def test_each_message_is_in_the_table() -> None:
    """A new message needs an explanation: what it means, and what to do."""
    new = [f"{one.file}:{one.line}: {one.template}" for one in FOUND if one.template not in EXPLAINED]
    assert new == [], "\n".join([HOW, *new])


def test_each_explanation_has_its_message() -> None:
    """A message that was removed or reworded takes its explanation with it."""
    gone = sorted(set(EXPLAINED) - {one.template for one in FOUND})
    assert gone == [], "\n".join([HOW, *gone])


def test_no_message_is_explained_twice() -> None:
    """Each stands in one section."""
    assert sum(map(len, PAGE["sections"]().values())) == len(EXPLAINED)


def test_errors_and_warnings_have_a_cause_and_a_remedy() -> None:
    """Only what is no error and no warning, or is a part of other messages, goes without."""
    bare = {one.template for one in FOUND if one.level in ("error", "warning")}
    assert [text for text in bare if isinstance(EXPLAINED[text], str)] == []
    assert {entry for entry in EXPLAINED.values() if isinstance(entry, str)} == {"information", "part"}


def test_explanations_are_short() -> None:
    """One or two sentences each, for the meaning and for what to do."""
    texts = list(chain.from_iterable(entry for entry in EXPLAINED.values() if not isinstance(entry, str)))
    assert [text for text in texts if not text.endswith(".") or len(text) > 240 or text.count(". ") > 2] == []


def test_the_page_of_messages_is_made_from_the_table() -> None:
    """`python docs/make_messages_page.py` was run after the last change."""
    assert (DOCS / "reference" / "messages.md").read_text() == PAGE["page"]()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('logger.warning("%s is gone", job)', [("… is gone", "warning")]),
        ('raise ValueError(f"{name} must be a {kind}.")', [("… must be a ….", "error")]),
        ('print("It is", "done already")', [("It is", "info"), ("done already", "info")]),
        ('what = f"the job of {task} is " + "lost"', [("the job of … is lost", "")]),
        ('"""A docstring of many more words."""', []),
        (
            'problem = "a name with `$$`, which no batch system takes"',
            [("a name with `$$`, which no batch system takes", "")],
        ),
        ('logger.debug("nobody reads this line of text")', []),
        ('pattern = re.compile("any words that are looked for")', []),
        ('typer.Option(help="The name of a file to write to.")', []),
        ('yield f"    mv -- {path} to another place && exit"', []),
    ],
)
def test_what_counts_as_a_message(code: str, found: list[tuple[str, str]]) -> None:
    """Sentences for people, wherever they are put together; not docstrings, help, code or expressions."""
    texts = CODE["texts_of"](code)
    assert [(one.template, one.level) for one in texts] == found
