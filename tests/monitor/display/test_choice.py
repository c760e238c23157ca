"""Which display a run gets."""

from __future__ import annotations

import sys

import pytest

from b2luigi.batch.workers.progress import Lines, NoScreen
from b2luigi.core.flags import FLAGS
from b2luigi.monitor.display.choice import MODES, displayed
from b2luigi.monitor.display.live import LiveScreen
from tests.monitor.display.screens import Terminal


@pytest.mark.parametrize(
    ("mode", "term", "kind"),
    [
        ("auto", "xterm", LiveScreen),
        ("live", "xterm", LiveScreen),
        ("plain", "xterm", Lines),
        ("none", "xterm", NoScreen),
        ("auto", "dumb", Lines),
    ],
)
def test_on_a_terminal(
    mode: str, term: str, kind: type[object], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live, unless somebody wants it otherwise, or the terminal cannot do so."""
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("TERM", term)
    with displayed(mode, terse=True) as display:
        assert type(display.screen) is kind


@pytest.mark.parametrize(("mode", "kind"), [("auto", Lines), ("live", Lines), ("plain", Lines), ("none", NoScreen)])
def test_in_a_file(mode: str, kind: type[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line now and then: nothing can stand at the bottom of a file."""
    monkeypatch.setenv("TERM", "xterm")
    with displayed(mode, terse=True) as display:
        assert type(display.screen) is kind


def test_the_flag_has_the_same_modes() -> None:
    """`core` knows nothing of displays, so the names stand there once more."""
    (flag,) = [flag for flag in FLAGS if flag.name == "--progress"]
    assert flag.choices == MODES
