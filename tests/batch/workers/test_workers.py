"""What the worker does for many tasks, and what it keeps of them: counted, not timed."""

from __future__ import annotations

import itertools
import logging
import os
import re
import signal
from pathlib import Path
from typing import Any, ClassVar

import luigi
import luigi.scheduler
import pytest

import b2luigi
from b2luigi.batch.processes import BatchProcess
from b2luigi.batch.queue.backoff import Backoff
from b2luigi.batch.systems.model import JobStatus
from b2luigi.batch.workers import worker as module
from b2luigi.batch.workers.progress import Lines, Progress
from b2luigi.batch.workers.worker import SendJobWorker, SendJobWorkerSchedulerFactory
from tests.waiting import PATIENCE


class Simulated(BatchProcess):
    """A job that has ended when it is looked at."""

    started: ClassVar[list[str]] = []

    task: Any

    def start_job(self) -> None:
        self.started.append(self.task.task_id)

    def get_job_status(self) -> JobStatus:
        if getattr(self.task, "endless", False):
            return JobStatus.running
        if self.task.unlucky:
            return JobStatus.aborted
        Path(self.task.output().path).parent.mkdir(parents=True, exist_ok=True)
        Path(self.task.output().path).touch()
        return JobStatus.successful

    def kill_job(self) -> None:
        """There is none."""


class Node(b2luigi.Task):
    """A task of a tree: three times the number below it."""

    n = b2luigi.IntParameter()
    batch_system = "custom"
    process_class = Simulated
    unlucky = False

    @property
    def priority(self) -> int:  # type: ignore[override]
        return self.n % 3

    @property
    def resources(self) -> dict[str, int]:  # type: ignore[override]
        return {"licence": 1} if self.n % 4 == 1 else {}

    def requires(self) -> Any:
        return [Node(n=3 * self.n + i) for i in range(1, 4) if 3 * self.n + i < 60]

    def output(self) -> Any:
        return b2luigi.LocalTarget(os.path.abspath(f"out/{self.n}"))

    def run(self) -> None:
        """Never called: the jobs are simulated."""


class Endless(Node):
    endless = True


class Link(Node):
    """A chain, as long as its number."""

    def requires(self) -> Any:
        return Link(n=self.n - 1) if self.n else []

    @property
    def unlucky(self) -> bool:  # type: ignore[override]
        return self.n == 0

    resources = {}
    priority = 0


class OfLuigi(SendJobWorkerSchedulerFactory):
    """Our worker, with luigi's own scheduler."""

    def create_local_scheduler(self) -> Any:
        return luigi.scheduler.Scheduler(prune_on_get_work=True, record_task_history=False)


@pytest.fixture(autouse=True)
def _nothing_started() -> None:
    Simulated.started.clear()


def run(factory: SendJobWorkerSchedulerFactory, root: luigi.Task, folder: Path, workers: int) -> list[str]:
    """Runs a graph in a folder of its own; returns the tasks in the order in which they were started."""
    folder.mkdir()
    os.chdir(folder)
    luigi.task_register.Register.clear_instance_cache()
    luigi.build([root], worker_scheduler_factory=factory, local_scheduler=True, workers=workers, log_level="CRITICAL")
    order, Simulated.started[:] = list(Simulated.started), []
    return order


@pytest.mark.parametrize("workers", [1, 2, 7, 100])
def test_a_run_starts_its_tasks_in_the_order_of_luigis_own_scheduler(
    workers: int, script_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole run, worker included: priorities and resources as in luigi."""
    monkeypatch.setattr(module, "GLANCE_FIRST", float("inf"))  # looks on a slow machine bring other results to light
    monkeypatch.setattr(module, "GLANCE", float("inf"))
    theirs = run(OfLuigi(), Node(n=0), script_folder / "theirs", workers)
    ours = run(SendJobWorkerSchedulerFactory(), Node(n=0), script_folder / "ours", workers)
    assert len(ours) == 60
    assert ours == theirs


def test_an_hour_of_waiting_leaves_nothing_behind(script_folder: Path) -> None:
    """luigi asks for work each second; 3,600 answers later the worker holds no more than after two."""
    scheduler = SendJobWorkerSchedulerFactory().create_local_scheduler()
    worker = SendJobWorkerSchedulerFactory().create_worker(scheduler, worker_processes=100)
    with worker:
        worker.add(Endless(n=30))
        task_id = worker._get_work().task_id
        worker._run_task(task_id)
        for _ in range(3600):
            assert worker._get_work().task_id is None
        assert worker._get_work_response_history == []


class Counts(luigi.Task):
    """Says how often it was asked whether it is complete."""

    asked: ClassVar[list[str]] = []
    there = luigi.BoolParameter(default=True)

    def complete(self) -> bool:
        self.asked.append(self.task_id)
        if self.there is None:
            raise RuntimeError("who knows")
        return bool(self.there)


class All(b2luigi.WrapperTask):
    there = luigi.BoolParameter(default=True)

    def requires(self) -> Any:
        return Counts(there=self.there)


@pytest.mark.parametrize(("there", "status"), [(True, "DONE"), (False, "FAILED"), (None, "FAILED")])
def test_what_a_wrapper_task_requires_is_looked_at_once(there: Any, status: str, script_folder: Path) -> None:
    """At its end, when it is all there; what is missing luigi finds, and says so."""
    scheduler = SendJobWorkerSchedulerFactory().create_local_scheduler()
    with SendJobWorkerSchedulerFactory().create_worker(scheduler, worker_processes=1) as worker:
        Counts.asked.clear()
        worker._create_task_process(All(there=there)).run()
        task_id, found, explanation, missing, _ = worker.results.get(timeout=PATIENCE)
    assert (task_id, found) == (All(there=there).task_id, status)
    assert missing == ([Counts(there=False).task_id] if there is False else [])
    assert "who knows" in explanation if there is None else len(Counts.asked) == (1 if there else 2)


def test_a_worker_that_is_to_take_no_more_work_says_so(script_folder: Path) -> None:
    """luigi's SIGUSR1: it asks nobody, and so there is no answer to keep."""
    scheduler = SendJobWorkerSchedulerFactory().create_local_scheduler()
    with SendJobWorkerSchedulerFactory().create_worker(scheduler, worker_processes=1) as worker:
        worker.handle_interrupt(signal.SIGUSR1, None)
        assert worker._get_work().task_id is None


def test_tasks_of_other_workers_are_remembered_for_the_summary(script_folder: Path) -> None:
    """Once, however often the scheduler mentions them."""
    scheduler = luigi.scheduler.Scheduler(prune_on_get_work=True, record_task_history=False)
    worker = SendJobWorker(scheduler=scheduler, worker_processes=100)
    task = Endless(n=30)
    scheduler.add_task(task_id=task.task_id, worker="another", status="PENDING")
    scheduler.get_work(worker="another", current_tasks=[])
    with worker:
        worker.add(task)
        for _ in range(10):
            worker._get_work()
        assert worker._get_work_response_history == [
            {"task_id": None, "running_tasks": [{"task_id": task.task_id, "worker": "another"}]}
        ]


def test_running_tasks_are_not_asked_while_results_wait(script_folder: Path) -> None:
    """luigi asks each of them after each result: thousands of results of thousands of tasks would be millions."""
    scheduler = SendJobWorkerSchedulerFactory().create_local_scheduler()
    asked: list[int] = []

    class Running:
        exitcode = None
        timeout_time = None

        def is_alive(self) -> bool:
            asked.append(1)
            return True

    worker = SendJobWorkerSchedulerFactory().create_worker(scheduler, worker_processes=1)
    worker._running_tasks["T"] = Running()
    worker.results.put("a result")
    worker._purge_children()
    while_one_waits = len(asked)
    worker.results.get()
    worker._purge_children()
    assert (while_one_waits, len(asked)) == (0, 1)


def test_a_long_chain_runs(script_folder: Path) -> None:
    """5,000 levels, and a failure at the bottom: nothing calls itself for each level."""
    scheduler = SendJobWorkerSchedulerFactory().create_local_scheduler()
    with SendJobWorkerSchedulerFactory().create_worker(scheduler, worker_processes=10) as worker:
        worker.add(Link(n=5000))
        assert not worker.run()
    assert Simulated.started == [Link(n=0).task_id]


def test_a_run_logs_its_progress(script_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through luigi's own loop: at first what it finds in the graph, then what becomes of tasks and jobs."""
    caplog.set_level(logging.INFO, "luigi-interface")
    now = iter(range(0, 10**6, 7))
    with SendJobWorkerSchedulerFactory().create_worker(
        SendJobWorkerSchedulerFactory().create_local_scheduler(), worker_processes=3
    ) as worker:
        worker.progress = Progress(Lines(lambda: float(next(now))))
        worker.add(Node(n=0))
        assert worker.run()
    logged = [record.getMessage() for record in caplog.records if record.name == "luigi-interface.b2luigi"]
    assert logged[0].startswith("Checking the tasks: ")
    assert re.fullmatch(r"\d+ of 60 tasks done(; jobs: [1-3] queued)?", logged[-1])


class Short(Simulated):
    """A job that ends while it is being started, which takes long."""

    now: ClassVar[float] = 0.0

    def start_job(self) -> None:
        super().start_job()
        type(self).now += 0.4
        self.finish("DONE")


class First(b2luigi.Task):
    n = b2luigi.IntParameter()
    batch_system = "custom"
    process_class = Short
    priority = 1

    def complete(self) -> bool:
        return False

    def run(self) -> None:
        """Never called: the jobs are simulated."""


class Then(First):
    priority = 2

    def requires(self) -> Any:
        return First(n=self.n)


class Pairs(b2luigi.WrapperTask):
    def requires(self) -> Any:
        return [Then(n=n) for n in range(10)]


def test_ends_are_handled_while_luigi_hands_out_tasks(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most once a second: a task that waits for a job does not wait until all others are started."""
    Simulated.started.clear()
    Short.now = 0.0
    worker = SendJobWorker(scheduler=SendJobWorkerSchedulerFactory().create_local_scheduler(), worker_processes=100)
    looks: list[float] = []
    with worker:
        worker._glances = Backoff(lambda: Short.now, first=1.0, most=1.0)
        look = worker._jobs.look

        def noted(more_to_come: bool = False) -> bool:
            looks.append(Short.now)
            return look(more_to_come)

        monkeypatch.setattr(worker._jobs, "look", noted)
        worker.add(Pairs())
        worker.run()
    kinds = [task_id.partition("_")[0] for task_id in Simulated.started]
    assert len(kinds) == 20
    assert kinds[:4] == ["First"] * 3 + ["Then"]
    while_handing_out = [moment for moment in looks if moment < Short.now]
    assert all(after - before >= 1.0 for before, after in itertools.pairwise(while_handing_out))


def test_the_timeout_of_a_users_own_process_ignores_the_time_of_day() -> None:
    """luigi compares it with the time of day; what remains is measured by a clock that nobody sets."""
    process = Simulated(Endless(n=1), None, [], 100)  # type: ignore[arg-type]
    assert process.timeout_time is not None
    assert 0 < process.timeout_time.remaining <= 100
    assert Simulated(Endless(n=1), None, [], 0).timeout_time is None  # type: ignore[arg-type]


def test_packs_know_how_many_tasks_luigi_can_hand_out() -> None:
    """Of each class; a scheduler in another process does not say, and so there are none."""
    factory = SendJobWorkerSchedulerFactory()
    with factory.create_worker(factory.create_local_scheduler(), 1) as worker:
        worker.add(Node(n=0))
        ready = worker._scheduler.ready("Node")
        assert ready > 1
        assert (worker._coming("Node"), worker._coming("Other")) == (ready, 0)
        worker._scheduler = luigi.scheduler.Scheduler()
        assert worker._coming("Node") == 0
