from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.monitor.display.screens import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()
