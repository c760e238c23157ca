"""What a script has started or opened that a copy of its process cannot use."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from b2luigi.batch.node.forkable import unforkable


@pytest.fixture
def _a_thread() -> Iterator[None]:
    """The script has started one."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="of-the-script")
    thread.start()
    yield
    end.set()
    thread.join()


@pytest.mark.usefixtures("_a_thread")
def test_threads_of_the_script_are_named() -> None:
    """So that its author knows which they are."""
    assert any("of-the-script" in what for what in unforkable())


def test_threads_of_our_own_do_not_count() -> None:
    """A copy does not need them."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="b2luigi-sync")
    thread.start()
    try:
        assert not any("b2luigi-sync" in what for what in unforkable())
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize(
    ("name", "module", "is_unforkable"),
    [
        ("torch", SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True)), True),
        ("torch", SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: False)), False),
        ("torch", SimpleNamespace(), False),
        ("XRootD", SimpleNamespace(), True),
    ],
)
def test_a_gpu_or_a_connection_counts(
    name: str, module: Any, is_unforkable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be asked is no reason to fail."""
    monkeypatch.setitem(sys.modules, name, module)
    assert (f"used {name}" in list(unforkable())) is is_unforkable
