"""Python's garbage collection during a run, and as it was before afterwards."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import luigi
import pytest

import b2luigi
from b2luigi.batch.processes import BatchProcess
from b2luigi.batch.systems.model import JobStatus
from b2luigi.batch.workers.collection import graph_set_aside, only_young_garbage
from b2luigi.batch.workers.worker import SendJobWorkerSchedulerFactory


class Seen(BatchProcess):
    """A job that has failed when it is looked at."""

    frozen: ClassVar[list[int]] = []

    def start_job(self) -> None:
        self.frozen.append(gc.get_freeze_count())

    def get_job_status(self) -> JobStatus:
        return JobStatus.aborted

    def kill_job(self) -> None:
        """There is none."""


class Noting(b2luigi.Task):
    """Notes the thresholds while the graph is added."""

    fails = b2luigi.BoolParameter()
    batch_system = "custom"
    process_class = Seen
    thresholds: ClassVar[list[tuple[int, ...]]] = []

    def requires(self) -> Any:
        self.thresholds.append(gc.get_threshold())
        if self.fails:
            raise SystemExit(1)
        return []

    def output(self) -> Any:
        return b2luigi.LocalTarget(os.path.abspath("never"))

    def run(self) -> None:
        """Never called: the job is simulated."""


class Loop:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 9)
    Seen.frozen.clear()
    Noting.thresholds.clear()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_leaves_garbage_collection_as_it_was(fails: bool, script_folder: Path) -> None:
    """Whatever ends it; meanwhile the graph is not searched."""
    factory = SendJobWorkerSchedulerFactory()
    try:
        luigi.build([Noting(fails=fails)], worker_scheduler_factory=factory, local_scheduler=True, log_level="CRITICAL")
    except SystemExit:
        assert fails
    assert {oldest > 9 for _, _, oldest in Noting.thresholds} == {True}
    assert [count > 0 for count in Seen.frozen] == [True] * (not fails)
    assert (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()) == ((700, 10, 9), 0, True)


def test_garbage_of_the_time_before_is_not_kept() -> None:
    """It is collected first."""
    made = weakref.ref(Loop())
    with graph_set_aside():
        assert made() is None
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_what_the_user_has_set_stays() -> None:
    """A collection that is off, objects that are frozen already, a threshold that is changed meanwhile."""
    with only_young_garbage():
        gc.set_threshold(5, 6, 7)
    assert gc.get_threshold() == (5, 6, 7)
    gc.disable()
    try:
        with graph_set_aside():
            assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
    gc.freeze()
    try:
        with graph_set_aside():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
