"""What an attempt leaves behind, as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from b2luigi.batch.attempts.outcome import STATUSES, Marker, Outcome
from b2luigi.core.version import VERSION

WHOLE = {
    "format": 1,
    "status": "PENDING",
    "explanation": {"nested": [1, None, "ü"]},
    "missing": ["T_1"],
    "new_requirements": [["module", "Family", {"a": "1"}]],
    "node": "n1",
    "task_id": "T_2",
    "traceback": "",
    "headline": "",
}


@pytest.mark.parametrize("status", STATUSES)
def test_an_outcome_there_and_back(status: str) -> None:
    """What a node writes is what the submit host reads."""
    outcome = Outcome(status, {"a": ["\ud800\n"]}, ("T_1",), (("m", "F", {"a": "1"}),), "n1", absent=(0, 2))
    assert Outcome.from_json(outcome.to_json()) == outcome
    with_more = Outcome.from_json(json.dumps({**WHOLE, "status": status, "more": 1}))
    assert with_more is not None
    assert with_more.status == status


def test_reports_of_development_versions_are_read() -> None:
    """They wrote the reports of a task under the key "told"."""
    reports = {"status_message": "half way"}
    outcome = Outcome("DONE", reports=reports)
    assert set(json.loads(outcome.to_json())) == {*WHOLE, "reports", "absent", "usage", "version"}
    read = Outcome.from_json(json.dumps({**WHOLE, "told": reports}))
    assert read is not None
    assert read.reports == reports
    assert Outcome.from_record(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_an_older_version_did_not_name_itself() -> None:
    """Outcomes of b2luigi before 2.0 have no version; a later one is whatever it says."""
    versions = [Outcome.from_json(json.dumps({**WHOLE, **more})) for more in ({}, {"version": "9.1"})]
    assert [found and found.version for found in versions] == ["", "9.1"]
    assert Outcome("DONE").version == VERSION


def test_an_outcome_cut_short_is_none() -> None:
    """However much of an outcome has arrived: before it is whole it is none."""
    text = json.dumps(WHOLE)
    assert [length for length in range(len(text)) if Outcome.from_json(text[:length]) is not None] == []


@pytest.mark.parametrize(
    "text",
    ["", "\0", "null", "[]", "7", '"DONE"', "{}", "[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "\ud800", "<html>"],
    ids=lambda text: ascii(text[:10]),
)
def test_other_text_is_no_outcome(text: str) -> None:
    """Whatever a file may hold instead of an outcome, nothing is raised."""
    assert Outcome.from_json(text) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("status", None),
        ("status", "done"),
        ("status", ["DONE"]),
        ("missing", 3),
        ("new_requirements", [["m", "F"]]),
        ("new_requirements", [["m", "F", ["a"]]]),
        ("new_requirements", 5),
    ],
)
def test_an_outcome_of_another_make_is_none(key: str, value: Any) -> None:
    """An outcome with anything unknown in it is not guessed at."""
    assert Outcome.from_json(json.dumps(WHOLE)) is not None
    assert Outcome.from_json(json.dumps({**WHOLE, key: value})) is None


@pytest.mark.parametrize("key", WHOLE)
def test_an_outcome_that_lacks_something_is_none(key: str) -> None:
    """All fields have to be there."""
    assert Outcome.from_json(json.dumps({name: value for name, value in WHOLE.items() if name != key})) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 outcome\n", Marker(0, True)),
        ("1 none\n", Marker(1, False)),
        ("143 none", Marker(143, False)),
        ("", Marker(None, False)),
        ("1", Marker(None, False)),
        ("1 outcome more", Marker(None, False)),
        ("-1 none", Marker(None, False)),
        ("0 outcom", Marker(None, False)),
        ("0 nothing", Marker(None, False)),
        ("\u0661 none", Marker(None, False)),
        ("1" * 5000 + " none", Marker(None, False)),
        ("\0", Marker(None, False)),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_marker_of_any_text(text: str, expected: Marker) -> None:
    """A marker that is not whole says that the script ended, and nothing else."""
    assert Marker.from_text(text) == expected
