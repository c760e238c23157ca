"""Languages are pure: their tests need neither settings nor a folder of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _script_of_its_own() -> None:
    """Instead of the one for all of tests/batch."""
