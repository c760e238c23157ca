"""Scripts as users write them have the tasks, paths and logs here that they have with the published b2luigi."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.compare import OLDEST, PUBLISHED, RECORDED, SCRIPTS, SINCE, holds_for, ours, tasks

Tasks = dict[str, dict[str, dict[str, Any]]]
THERE: Tasks = json.loads(RECORDED.read_text())
"""What 1.3.0 made of the scripts: `python -m tests.compatibility --record`."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Tasks:
    """What this checkout makes of them."""
    return tasks(ours(), SCRIPTS, tmp_path_factory.mktemp("compatibility"))


@pytest.mark.parametrize(
    ("script", "since"), [(script, SINCE.get(script, OLDEST)) for script in SCRIPTS], ids=lambda text: str(text)
)
def test_tasks_and_folders_are_the_same(script: str, since: str, here: Tasks) -> None:
    """Task ids, outputs, logs and job scripts: as in all releases from this one to 1.3.0 that were tried."""
    assert THERE[script]
    assert here[script] == THERE[script]
    assert holds_for(script, since)
    assert holds_for(script, PUBLISHED)


def test_each_script_says_what_it_is() -> None:
    """There are a dozen, each with a docstring, and the record has them all."""
    assert len(SCRIPTS) >= 12
    assert THERE.keys() == SCRIPTS.keys()
    assert [path for path in SCRIPTS.values() if not Path(path).read_text().startswith('"""')] == []
