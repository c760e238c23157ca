"""Each test has settings of its own and a script in an empty folder, which is the current one, too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from b2luigi.core.settings import with_new_settings


@pytest.fixture(autouse=True)
def script_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the script, which is also the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(folder / "script.py"), raising=False)
    monkeypatch.delenv("B2LUIGI_SETTINGS_JSON", raising=False)
    monkeypatch.delenv("B2LUIGI_SETTINGS_FILES", raising=False)
    with with_new_settings():
        yield folder
