"""The compatibility table: every public name of published releases, with the arguments it took.

`published.json` was made by running `published.py` with each of these releases, in an environment of its own.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from b2luigi.core.dropped import DROPPED_NAMES
from tests.test_public_names import at

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("published.json").read_text())

OF_THE_COMMAND = {
    *(f"b2luigi.cli.{name}" for name in ("about", "get_b2luigi_version", "init", "main", "main_callback")),
    *(f"b2luigi.cli.{name}" for name in ("self_update", "version")),
    *(f"b2luigi.cli.runner.render_{name}" for name in ("graph_dot", "graph_summary", "graph_tree")),
    *(f"b2luigi.cli.runner.render_{name}" for name in ("task_help", "task_list")),
    *(f"b2luigi.cli.runner.{name}" for name in ("get_task_outputs", "remove_requirement_outputs", "run_with_tui")),
    *(f"b2luigi.cli.runner.{name}" for name in ("show_task_outputs", "test_task")),
}
"""What the command `b2luigi` of 1.3.0 is made of; ours is made of other functions."""
INSIDES = {
    "b2luigi.batch.processes.htcondor.HTCondorProcess.get_job_status_for_id",  # looks into the cache
    "b2luigi.batch.processes.test.TestProcess.get_job_output",  # empty since 0.7
    "b2luigi.batch.workers.BatchSystems.gbasf2",  # says that the grid is not supported
}
"""Names that no script has a use for, or that an error explains."""
ARGUMENTS_OF_THE_COMMAND = {"methods", "noun"}
BY_PLACE = {"b2luigi.core.utils.on_failure": 2}
"""Functions that luigi calls, whose arguments had other names in each release, and how many there are."""


def is_answered(address: str) -> bool:
    """Whether an import says what to use instead of this name, or of the module or class that it was in."""
    parts = address.split(".")
    return any(".".join(parts[:length]) in DROPPED_NAMES for length in range(2, len(parts) + 1))


HERE = [row for row in ROWS if row["address"] not in OF_THE_COMMAND | INSIDES]


@pytest.mark.parametrize("row", HERE, ids=lambda row: f"{row['address']}-{row['releases'][0]}")
def test_a_published_name(row: dict[str, Any]) -> None:
    """It is here and takes all arguments that it took, by their names, or the import says what to use instead."""
    address = row["address"]
    if is_answered(address):
        with pytest.raises(ImportError, match=r"of b2luigi 1\.x is not here"):
            at(address)
        return
    found = at(address)
    if row["arguments"] and callable(found):
        given = {name: None for name in row["arguments"] if name not in ARGUMENTS_OF_THE_COMMAND}
        parameters = inspect.signature(found).parameters
        parent = at(address.rpartition(".")[0]) if address.count(".") > 2 else None
        instance = [None] if inspect.isclass(parent) and "self" in parameters else []
        if address in BY_PLACE:
            instance, given = [None] * BY_PLACE[address], {}
        inspect.signature(found).bind(*instance, **given)


def test_names_of_this_table_that_are_not_here() -> None:
    """Each is a published name, and only one that has no answer is listed above."""
    listed = OF_THE_COMMAND | INSIDES
    assert [address for address in listed if is_answered(address)] == []
    assert listed - {row["address"] for row in ROWS} == set()
