"""Each test has its own settings, and its own script in an empty folder, which is also the current folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _script_of_its_own(script_folder: Path) -> None:
    """Uses the fixture `script_folder` for every test."""
