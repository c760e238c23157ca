"""The benchmarks run, and their table shows the results."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.page import SECTIONS, page
from benchmarks.rows import DOCS, ON_REQUEST, ROWS, measured
from benchmarks.table import Row, markdown, read, write


def test_the_table() -> None:
    """A row shows both values and their ratio; a dash means not measured."""
    rows = [Row("fast", 2.0, 9.0, "s", "ratio 4"), Row("alone", 0.5, None, "ms", note="a|b")]
    assert markdown(rows).splitlines()[2:] == [
        "| fast | 2 | 9 | s | 4.5 | ratio 4 |  |",
        "| alone | 0.5 | - | ms |  |  | a/b |",
    ]


def test_the_page_is_made_from_the_results() -> None:
    """One sentence and one plot come first; then each row in its section, without what we had aimed at."""
    rows, text = read(DOCS / "results.json"), (DOCS / "index.md").read_text()
    machine = re.search(r"Measured on (.*), shared with", text)
    assert machine is not None
    assert text == page(rows, machine[1], list(DOCS.glob("*.png")))
    assert re.match(r"# Performance\n\n\*\*[^\n]+\.\*\*\n\n!\[", text)
    assert all(text.count(f"| {row.name} |") == 1 for row in rows)
    assert "target" not in text


def test_each_measurement_has_a_section() -> None:
    """A new one is put where a reader looks for it."""
    known = {group for _, groups in SECTIONS.values() for group in groups}
    assert {*ROWS, *ON_REQUEST} <= known


def test_a_measurement_replaces_its_own_rows(tmp_path: Path) -> None:
    """Repeating a measurement replaces its former rows and keeps the others."""
    write(tmp_path, [Row("a", 1.0, None, "s", group="one"), Row("b", 2.0, None, "s", group="two")], "a machine")
    write(tmp_path, [Row("a", 3.0, None, "s", group="one")], "a machine")
    assert {row.name: row.ours for row in read(tmp_path / "results.json")} == {"a": 3.0, "b": 2.0}
    assert (tmp_path / "index.md").read_text().startswith("# Performance\n")


def test_a_quick_row() -> None:
    """A small measurement that needs no peer yields its rows, none of them failed."""
    rows = measured("queue", full=False)
    assert [row.group for row in rows] == ["queue", "queue"], rows
    assert all(row.ours is not None and row.ours > 0 for row in rows), rows


@pytest.mark.timeout(180)
def test_a_task_costs_few_operations_on_files() -> None:
    """On the submit host and on its node; a slow disk charges milliseconds for each."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace, which counts them: apt-get install strace")
    submit_host, node = measured("file_operations", full=False)
    assert 20 < (submit_host.ours or 0) <= 30, submit_host
    assert 15 < (node.ours or 0) <= 30, node


@pytest.mark.cluster
@pytest.mark.timeout(180)
def test_rows_of_real_clusters() -> None:
    """A whole run on a real HTCondor and a real Slurm is compared with the same job scripts, submitted by hand."""
    rows = measured("cluster_run", full=False)
    assert [row.name.split(",")[0] for row in rows] == ["whole run on HTCondor", "whole run on Slurm"]
    assert all(row.ours and row.note.startswith("by hand ") for row in rows), rows


def test_a_failure_is_a_row() -> None:
    """A failure is shown in the table and does not stop other measurements."""

    def broken(full: bool) -> object:
        raise RuntimeError("no such machine")

    ROWS["broken"] = broken  # type: ignore[assignment]
    try:
        (row,) = measured("broken", full=False)
    finally:
        del ROWS["broken"]
    assert (row.ours, row.note) == (None, "failed: no such machine")
