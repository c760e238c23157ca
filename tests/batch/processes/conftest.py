from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import b2luigi
from b2luigi.core.settings import with_new_settings
from tests.batch.processes.hands import Job


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A job that was not started."""
    with with_new_settings():
        for key in ("log_dir", "task_file_dir", "result_dir"):
            b2luigi.set_setting(key, str(tmp_path / key))
        yield Job(tmp_path)
