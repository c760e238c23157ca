"""Each test has settings of its own and a script in an empty folder, which is the current one, too."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _script_of_its_own(script_folder: Path) -> None:
    """Asks for the script's folder, also where a test does not need its name."""
