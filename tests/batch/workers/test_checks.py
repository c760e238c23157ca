"""Graphs that cannot work: refused, with the reason, before the first of their tasks is started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import luigi
import luigi.interface
import pytest

import b2luigi
from b2luigi.batch.attempts.record import Record
from b2luigi.batch.processes import BatchProcess
from b2luigi.batch.systems.model import JobStatus
from b2luigi.batch.workers.worker import SendJobWorkerSchedulerFactory
from b2luigi.core.checking_worker import CheckingFactory
from b2luigi.core.checks import GraphError, find_circle, tasks_of

STARTED: list[str] = []
FACTORIES = {"jobs": SendJobWorkerSchedulerFactory, "no jobs": CheckingFactory}


class AtOnce(BatchProcess):
    """A job that runs its task where it is started."""

    def start_job(self) -> None:
        STARTED.append(str(self.task))
        self.task.run()

    def get_job_status(self) -> JobStatus:
        return JobStatus.successful

    def kill_job(self) -> None:
        """It has ended."""


class Base(b2luigi.Task):
    n = b2luigi.IntParameter(default=1)
    batch_system = "custom"
    process_class = AtOnce

    def output(self) -> Any:
        yield self.add_to_output("o.dat")

    def run(self) -> None:
        STARTED.append(str(self))
        for path in self.get_all_output_file_names():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(path).touch()


class Ping(Base):
    def requires(self) -> Any:
        return Pong(n=self.n)

    def output(self) -> Any:
        yield self.add_to_output("ping")


class Pong(Ping):
    def requires(self) -> Any:
        return Third(n=self.n)

    def output(self) -> Any:
        yield self.add_to_output("pong")


class Third(Ping):
    def output(self) -> Any:
        yield self.add_to_output("third")


class WrapPing(b2luigi.WrapperTask):
    def requires(self) -> Any:
        return WrapPong()


class WrapPong(b2luigi.WrapperTask):
    def requires(self) -> Any:
        return WrapPing()


class Train(Base):
    """Its output is in a folder with the name of its parameter."""


class Evaluate(Base):
    def requires(self) -> Any:
        return Train(n=self.n)


class Meant(Evaluate):
    allow_shared_outputs = True


class TakesOver(Evaluate):
    def output(self) -> Any:
        return self.input()


class Outside(b2luigi.ExternalTask):
    n = b2luigi.IntParameter(default=1)

    def output(self) -> Any:
        yield self.add_to_output("o.dat")


class Wrapped(b2luigi.WrapperTask):
    n = b2luigi.IntParameter(default=1)

    def requires(self) -> Any:
        return Train(n=self.n)

    def output(self) -> Any:
        yield self.add_to_output("o.dat")


class PlainOne(luigi.Task):
    path = luigi.Parameter()

    def output(self) -> Any:
        return luigi.LocalTarget(self.path)

    def run(self) -> None:
        STARTED.append(str(self))


class PlainTwo(PlainOne):
    """Its output may be that of the other."""


class Forgot(Base):
    def output(self) -> Any:
        self.add_to_output("o.dat")


class Empty(Base):
    def output(self) -> Any:
        yield from ()


class OwnComplete(Empty):
    done: ClassVar[bool] = False

    def run(self) -> None:
        STARTED.append(str(self))
        type(self).done = True

    def complete(self) -> bool:
        return self.done


class SideEffect(b2luigi.Task):
    batch_system = "custom"
    process_class = AtOnce

    def run(self) -> None:
        STARTED.append(str(self))


class Aside(SideEffect):
    n = b2luigi.IntParameter()


class NeedsSideEffect(Base):
    def requires(self) -> Any:
        return SideEffect()


class NeedsClass(Base):
    def requires(self) -> Any:
        return [Train]


class NeedsTarget(Base):
    def requires(self) -> Any:
        return luigi.LocalTarget("raw.root")


@pytest.fixture(autouse=True)
def _nothing_started(script_folder: Path) -> None:
    STARTED.clear()
    luigi.task_register.Register.clear_instance_cache()
    OwnComplete.done = False


def build(roots: Sequence[luigi.Task], kind: str) -> bool:
    # In luigi's own worker, one process: what was started is to be seen here.
    workers = 1 if kind == "no jobs" else 10
    factory = FACTORIES[kind]()
    return bool(
        luigi.build(roots, worker_scheduler_factory=factory, local_scheduler=True, workers=workers, log_level="INFO")
    )


def refusal(roots: Sequence[luigi.Task], kind: str) -> str:
    """The reason for which nothing was started."""
    with pytest.raises(GraphError) as caught:
        build(roots, kind)
    assert STARTED == []
    return str(caught.value)


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_circle_is_named(kind: str) -> None:
    """Each task of a circle waits for the others; the message goes once around it."""
    text = refusal([Ping(n=3)], kind)
    assert "Pong(n=3) -> Third(n=3) -> Pong(n=3)" in text
    assert "Ping" not in text


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_circle_of_wrapper_tasks_is_named(kind: str) -> None:
    """They ask each other whether they are complete, without end; Python's words for that are not shown."""
    text = refusal([WrapPing()], kind)
    assert "WrapPing() -> WrapPong() -> WrapPing()" in text
    assert "Recursion" not in text


class Yields(Base):
    batch_system = "local"

    def run(self) -> Any:
        yield NeedsYields(n=self.n)


class NeedsYields(Base):
    def requires(self) -> Any:
        return Yields(n=self.n)

    def output(self) -> Any:
        yield self.add_to_output("second")


def test_a_circle_that_a_yield_closes_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """It shows only when the task runs, which fails then, instead of waiting for itself."""
    build([Yields(n=1)], "no jobs")
    assert "Yields(n=1) -> NeedsYields(n=1) -> Yields(n=1)" in caplog.text


@pytest.mark.parametrize("kind", FACTORIES)
def test_two_tasks_that_write_the_same_file_are_named_with_the_path(kind: str, script_folder: Path) -> None:
    """The second would replace what the first has written, or count as complete without having run."""
    text = refusal([Evaluate(n=1)], kind)
    for words in ("Train(n=1)", "Evaluate(n=1)", str(script_folder / "n=1/o.dat"), "allow_shared_outputs"):
        assert words in text


def test_one_example_stands_for_many(script_folder: Path) -> None:
    """A thousand pairs of the same two classes are one mistake, and one line."""
    text = refusal([Evaluate(n=n) for n in range(1000)], "jobs")
    assert len(text.splitlines()) == 1
    assert "999 more" in text


def test_the_same_file_by_another_spelling(script_folder: Path) -> None:
    """A relative path, or one with a dot in it, may mean the same file as another one."""
    roots = [PlainOne(path="a/b"), PlainTwo(path=str(script_folder / "a/./b"))]
    assert str(script_folder / "a/b") in refusal(roots, "no jobs")


@pytest.mark.parametrize("root", [Meant, TakesOver, Wrapped, OwnComplete, SideEffect])
@pytest.mark.parametrize("kind", FACTORIES)
def test_what_is_meant_is_started(kind: str, root: type[luigi.Task]) -> None:
    """A shared file that the user wants, or that is passed on; no outputs, and a task that knows when it is done."""
    assert build([root()], kind)
    assert STARTED


def test_an_external_task_may_name_the_file_that_a_task_creates() -> None:
    """It writes nothing."""
    build([Train(n=1), Outside(n=1)], "jobs")
    assert "Train(n=1)" in STARTED


def test_a_task_that_is_complete_writes_nothing(script_folder: Path) -> None:
    """Two tasks share a file that exists: neither of them runs."""
    (script_folder / "n=1").mkdir()
    (script_folder / "n=1/o.dat").touch()
    assert build([Evaluate(n=1), Train(n=1)], "jobs")
    assert STARTED == []


@pytest.mark.filterwarnings("error:Task .* without outputs has no custom complete")
@pytest.mark.parametrize("kind", FACTORIES)
@pytest.mark.parametrize("root", [Forgot, Empty])
def test_an_output_that_returns_nothing(kind: str, root: type[luigi.Task]) -> None:
    """Without outputs and without a complete() of its own, a task can never be complete: usually a yield is missing."""
    text = refusal([root()], kind)
    assert f"{root.__name__}(n=1) can never be complete" in text
    assert "yield" in text


def test_a_task_without_outputs_is_named_once_for_its_class(caplog: pytest.LogCaptureFixture) -> None:
    """luigi's own warning comes for each task, with a line of luigi's source."""
    build([Aside(n=1), Aside(n=2)], "jobs")
    said = [record.getMessage() for record in caplog.records if "no output()" in record.getMessage()]
    assert said == ["Aside(n=1) has no output(), so it is never complete: each run starts it again."]


def test_a_required_task_without_outputs() -> None:
    """luigi runs it, and then finds the requirement unfulfilled."""
    text = refusal([NeedsSideEffect()], "jobs")
    assert "SideEffect() can never be complete" in text


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_requirement_that_is_a_class_or_a_target(kind: str) -> None:
    """The message names the task whose requires() returned it, and what it returned."""
    assert "requires() of NeedsClass(n=1) needs an instance of a task: Train(...), not the class Train" in refusal(
        [NeedsClass()], kind
    )
    assert "b2luigi.ExternalTask" in refusal([NeedsTarget()], kind)


@pytest.mark.parametrize(("elements", "words"), [(Train, "the class Train"), ([Train], "Train(...)"), (3, "not 3")])
def test_elements_that_are_no_tasks(elements: Any, words: str) -> None:
    """process() names what it was given."""
    with pytest.raises(GraphError, match=r"process\(\) needs") as caught:
        tasks_of(elements)
    assert words in str(caught.value)


class Carried(Base):
    batch_system = "htcondor"
    working_dir = "."
    transfer_files = ["/no/such/table.csv"]


class NotCarried(Carried):
    batch_system = "custom"


def test_a_missing_file_to_transfer() -> None:
    """HTCondor is not asked; where nothing is transferred, the setting has no meaning."""
    text = refusal([Carried()], "jobs")
    assert "transfer_files (attribute of the task Carried): /no/such/table.csv does not exist" in text
    assert build([NotCarried()], "jobs")


def test_a_missing_env_script_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It may be on the nodes only; it is named before the first job, once, and for tasks that run only."""
    b2luigi.set_setting("env_script", "/no/setpu.sh")
    build([Train(n=1), Train(n=2), Outside(n=3), Wrapped(n=2)], "jobs")
    found = [number for number, text in enumerate(caplog.messages) if "/no/setpu.sh" in text]
    missing = next(number for number, text in enumerate(caplog.messages) if text.startswith("Missing"))
    assert len(found) == 1
    assert found[0] < missing  # which is logged before the first job
    assert "Train(n=1)" in STARTED


def test_missing_files_are_listed_with_their_paths(caplog: pytest.LogCaptureFixture, script_folder: Path) -> None:
    """luigi names only the external task; five paths are enough."""
    build([Outside(n=n) for n in range(100)], "jobs")
    words = next(text for text in caplog.messages if text.startswith("Missing"))
    assert str(script_folder / "n=0/o.dat") in words
    assert len(words.splitlines()) == 7
    assert "up to 95 more" in words


class SaysNo(b2luigi.ExternalTask):
    def output(self) -> Any:
        yield [self.add_to_output("raw.root"), "a row of a table"]

    def complete(self) -> bool:
        return False


class NeedsAnswer(Base):
    def requires(self) -> Any:
        return SaysNo()


def test_an_external_task_that_says_no_is_listed(caplog: pytest.LogCaptureFixture, script_folder: Path) -> None:
    """Its own complete() decides, and an output that is only a name cannot be looked at."""
    build([NeedsAnswer()], "jobs")
    assert STARTED == []
    assert f"{script_folder}/raw.root (SaysNo())" in caplog.text
    assert "a row of a table (SaysNo())" in caplog.text
    assert "SaysNo(): its complete() returns False" in caplog.text


class Spans(Base):
    runs = b2luigi.ListParameter(default=[3, 5], hashed=True, hash_function=lambda runs: "-".join(map(str, runs)))


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_result_in_a_former_folder_is_pointed_out(kind: str, script_folder: Path) -> None:
    """Development versions put `hashed_` before what a hash_function returns; nothing is computed again in silence."""
    former = script_folder / "n=1" / "runs=hashed_3-5" / "o.dat"
    former.parent.mkdir(parents=True)
    former.touch()
    text = refusal([Spans()], kind)
    assert str(former) in text
    assert str(script_folder / "n=1" / "runs=3-5" / "o.dat") in text
    os.rename(former.parent, former.parent.with_name("runs=3-5"))
    assert build([Spans()], kind)
    assert STARTED == []


def test_a_job_with_files_in_a_former_folder_is_not_doubled(script_folder: Path) -> None:
    """It may still be at work. When its record is closed, it is not."""
    folder = script_folder / "task_files" / "n=1" / "runs=hashed_3-5" / "Spans"
    record = Record.claim(folder, {"task_id": Spans().task_id, "batch_system": "lsf", "job_id": "7"}, after=0)
    assert str(folder) in refusal([Spans()], "jobs")
    record.close("DONE", None)
    assert build([Spans()], "jobs")
    assert set(STARTED) == {"Spans(n=1, runs=[3, 5])"}


def test_a_chain_of_any_length_has_no_circle() -> None:
    """The search does not recurse; what was searched before is not searched again."""
    asked: list[int] = []

    def needs(number: int) -> list[int]:
        asked.append(number)
        return [number - 1, number // 2] if number else []

    assert find_circle(range(20000, -1, -1), needs) == []
    assert len(asked) == 20001
    assert find_circle([5, 9], {5: [6], 6: [7, 8], 7: [], 8: [6]}.__getitem__) == [6, 8, 6]


REFUSED = {
    "lsf": ("lsf_settings", {"-J": "name"}, "lsf_settings has the option '-J': b2luigi sets this option itself"),
    "htcondor": ("htcondor_settings", {"queue": 3}, "htcondor_settings has the key 'queue': b2luigi sets this itself"),
    "slurm": ("slurm_settings", {"array": "1-3"}, "slurm_settings has the option 'array': b2luigi sets this option"),
    "local": ("shell", "a shell", "shell must be the name of a shell in /bin or a path, not 'a shell'"),
    "custom": ("process_class", None, "process_class names no subclass of BatchProcess"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("varies", [False, True])
def test_a_setting_that_no_job_can_have(name: str, varies: bool) -> None:
    """Before anything is submitted, and once: for all tasks of a class, or for those whose property is wrong."""
    key, value, words = REFUSED[name]
    given = property(lambda self: value if self.n > 2 else type(self).good) if varies else value
    good = {"shell": "sh", "process_class": AtOnce}.get(key, {})
    task = type("OneKind", (Base,), {"batch_system": name, key: given, "good": good})
    text = refusal([task(n=n) for n in range(9)], "jobs")
    assert words in text
    assert len(text.splitlines()) == 1


def test_own_code_that_fails_is_no_refusal() -> None:
    """A property may read a file that a requirement makes: it says nothing before its task is submitted."""

    class Late(Base):
        @property
        def shell(self) -> str:
            raise ValueError("there is no such file yet")

    build([Late()], "jobs")
    assert "Late(n=1)" in STARTED


def test_files_in_the_place_of_folders(script_folder: Path) -> None:
    """No job could write its log or its result; each setting is named, with its source."""
    (script_folder / "file").touch()
    b2luigi.set_setting("log_dir", "file/logs")
    b2luigi.set_setting("result_dir", "file")
    text = refusal([Train(n=n) for n in range(9)], "jobs")
    for key in ("result_dir", "log_dir"):
        assert f"{key} (passed to set_setting): {script_folder}/file is a file, and not a folder." in text
    assert len(text.splitlines()) == 2


class Named(Base):
    name = b2luigi.Parameter(default="x")

    def output(self) -> Any:
        return luigi.LocalTarget(f"outputs/{self.name.replace('/', '_')}")


def test_values_that_only_the_logs_are_named_after() -> None:
    """A task with targets of its own has no folder for its results that shows the mistake."""
    text = refusal([Named(name=name) for name in ("a", "b/c", "d/e", "..")], "jobs")
    assert "Named: the parameter 'name' has the value 'b/c', which is not a valid folder name" in text
    assert len(text.splitlines()) == 1
    build([Named(name="b/c")], "no jobs")
    assert STARTED


@pytest.mark.parametrize("kind", FACTORIES)
def test_an_output_that_is_no_target(kind: str) -> None:
    """A path, for example, of which nobody can say whether it is complete; luigi would print a traceback per task."""

    class Path_(Base):
        def output(self) -> Any:
            return {"a": "a.txt"}

    text = refusal([Path_(n=n) for n in range(9)], kind)
    assert "output() of Path_(n=0) needs targets, not 'a.txt': use add_to_output" in text
    assert "The same holds for 8 more." in text
