"""Which tasks a word means."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from b2luigi.cli.command.selection import UnknownTaskError, select
from b2luigi.monitor import Task

TASKS = {
    task_id: Task(task_id, task_id.partition("_")[0], parameters=parameters)
    for task_id, parameters in (
        ("Make_1", {"n": "1", "mode": "fast"}),
        ("Make_2", {"n": "2", "mode": "fast, but good"}),
        ("Make_3", {"n": "3", "mode": "a=b"}),
        ("Merge_x", {}),
        ("Maker_1", {"n": "1"}),
    )
}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("Make_2", ["Make_2"]),
        ("Make", ["Make_1", "Make_2", "Make_3"]),
        ("Make(n=2)", ["Make_2"]),
        ("Make(mode=*)", ["Make_1", "Make_2", "Make_3"]),
        ("Make(n=1, mode=fast)", ["Make_1"]),
        ("Make(mode=fast, but good)", ["Make_2"]),
        ("Make(mode='fast, but good', n=2)", ["Make_2"]),
        ("Make(mode=a=b)", ["Make_3"]),
        ("Make(n=[12])", ["Make_1", "Make_2"]),
        ("Mak*(n=1)", ["Make_1", "Maker_1"]),
        ("Merge()", ["Merge_x"]),
    ],
)
def test_what_a_word_means(word: str, meant: list[str]) -> None:
    """An id, a class, or a class with values; `*` and `?` stand for anything."""
    assert [task.task_id for task in select([word], TASKS)] == meant


def test_several_words() -> None:
    """Each task once, in the order of the run."""
    assert [task.task_id for task in select(["Merge_x", "Make(n=2)", "Make_2"], TASKS)] == ["Make_2", "Merge_x"]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("Mak", "Make"),
        ("Merg", "Merge"),
        ("Make(n=7)", "Make(n="),
        ("Make(m=7)", "Make(n="),
        ("nothing at all", "Make, Merge, Maker"),
    ],
)
def test_an_unknown_word(word: str, near: str) -> None:
    """The nearest are named."""
    with pytest.raises(UnknownTaskError) as caught:
        select([word], TASKS)
    assert word in str(caught.value)
    assert near in str(caught.value)


def test_parentheses_without_names() -> None:
    """What is expected is said."""
    with pytest.raises(UnknownTaskError, match="name=value"):
        select(["Make(1)"], TASKS)


VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"], exclude_characters="*?[]'\"()"), min_size=1)


@given(st.dictionaries(st.sampled_from(["n", "mode", "x1"]), VALUES, min_size=1))
def test_a_name_that_is_shown_can_be_typed(parameters: dict[str, str]) -> None:
    """What the command prints of a task means that task."""
    assume(not any(value.endswith(",") or re.search(r",\w+=", value) for value in parameters.values()))
    task = Task("T_1", "T", parameters=parameters)
    assert select([task.name], {"T_1": task}) == [task]
