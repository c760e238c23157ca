"""The node: tested in this process where possible, and once through a job script in a process of its own."""

from __future__ import annotations

import collections
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import luigi
import pytest
from luigi.task_register import Register

import b2luigi
from b2luigi.batch.attempts.outcome import DONE, FAILED, INTERRUPTED, PENDING, Outcome
from b2luigi.batch.node.runner import run_one
from b2luigi.core.executable import create_executable_wrapper
from b2luigi.core.job_script import CUT_SHORT, DONE_UNRECORDED, OUTCOME_VARIABLE, SCRIPT_VARIABLE, UNRECORDED
from b2luigi.core.settings import set_setting
from b2luigi.core.version import VERSION
from tests.present import present
from tests.waiting import PATIENCE, until

OUTCOME = Path("outcome.json")


@pytest.fixture(autouse=True)
def _a_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a job script with a token, in a process without cached tasks."""
    monkeypatch.setenv(OUTCOME_VARIABLE, str(OUTCOME.absolute()))
    monkeypatch.setenv(SCRIPT_VARIABLE, "")
    # Tests started in the background of a shell are deaf to SIGINT, and so would be all they start.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)
    Register.clear_instance_cache()


def run(task: luigi.Task, task_id: str = "") -> tuple[int | None, Outcome]:
    """Exit code and outcome of a task that is searched for in a graph."""
    os.environ[OUTCOME_VARIABLE] = str(OUTCOME.absolute())  # run_one takes it out
    code = run_one([task], task_id or task.task_id)
    outcome = Outcome.from_json(OUTCOME.read_text())
    assert outcome is not None
    assert outcome.node == os.uname().nodename
    return code, outcome


class Works(b2luigi.Task):
    number = b2luigi.IntParameter(default=1)

    def output(self) -> Iterator[Any]:
        yield self.add_to_output("a.txt")
        yield self.add_to_output("b.txt")

    def run(self) -> None:
        for name in ("a.txt", "b.txt")[: self.number]:
            Path(self.get_output_file_name(name)).write_text("")


class Ends(b2luigi.Task):
    """Calls the function of this name in this module."""

    how = b2luigi.Parameter()

    def run(self) -> Any:
        return globals()[self.how]()


class Needs(b2luigi.Task):
    def requires(self) -> Any:
        return [Works(number=2), Works(number=0)]

    def run(self) -> None:
        raise AssertionError("not to be run")


class Yields(b2luigi.Task):
    def run(self) -> Iterator[Any]:
        yield [Works(number=2), Ends(how="error")]
        raise AssertionError("not to be reached")


class Explains(b2luigi.Task):
    """Returns a value from on_success."""

    value: Any = None

    def run(self) -> None:
        """Does nothing."""

    def on_success(self) -> Any:
        return type(self).value


class Given(b2luigi.ExternalTask):
    def output(self) -> Any:
        return luigi.LocalTarget("given")


def nothing() -> None:
    """Ends well."""


def error() -> None:
    raise ValueError("what went wrong")


def leave() -> None:
    sys.exit(0)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)


def break_off() -> None:
    raise KeyboardInterrupt("no more")


def interrupt_by_own_handler() -> None:
    signal.signal(signal.SIGINT, lambda number, frame: break_off())
    interrupt()


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot be converted")


def odd_error() -> None:
    raise OddError


def test_success() -> None:
    """A task that created its outputs is done; its folders existed before it started."""
    code, outcome = run(Works(number=2))
    assert (code, outcome.status, outcome.missing, outcome.new_requirements) == (0, DONE, (), ())
    assert stat.S_IMODE(OUTCOME.stat().st_mode) == 0o600


def test_a_node_that_cannot_measure_reports_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is forbidden in a sandbox, say: the task is done all the same."""

    def forbidden(clock: int) -> float:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(time, "clock_gettime", forbidden)
    code, outcome = run(Works(number=2))
    assert (code, outcome.status, outcome.usage) == (0, DONE, {})


def test_a_missing_output(script_folder: Path) -> None:
    """A task that ends without an error but with missing outputs has failed; its first line names the file."""
    code, outcome = run(Works(number=1))
    assert (code, outcome.status) == (1, FAILED)
    words = f"run() ended without an error, but {script_folder}/number=1/b.txt is not there"
    assert outcome.explanation.splitlines() == [words]
    assert outcome.headline == "wrote no output number=1/b.txt"


class Either(b2luigi.Task):
    """Writes the first outputs of a list; `enough` of them make it complete, and the last is only a name."""

    written = b2luigi.IntParameter()
    enough = b2luigi.IntParameter(default=1)

    def output(self) -> Any:
        return [[self.add_to_output(f"{number}.txt") for number in range(3)], "a name"]

    def complete(self) -> bool:
        return sum(Path(path).exists() for path in self.get_all_output_file_names()) >= self.enough

    def run(self) -> None:
        for path in list(self.get_all_output_file_names())[: self.written]:
            Path(path).touch()


@pytest.mark.parametrize(("written", "absent"), [(1, (1, 2, 3)), (2, (2, 3)), (3, (3,))])
def test_complete_of_the_task_itself_counts(written: int, absent: tuple[int, ...]) -> None:
    """Alternative and optional outputs may be missing; the outcome says which, and that names cannot be checked."""
    code, outcome = run(Either(written=written))
    assert (code, outcome.status, outcome.absent) == (0, DONE, absent)


def test_complete_of_the_task_itself_may_say_no() -> None:
    """The headline says so, and names the first missing file."""
    code, outcome = run(Either(written=1, enough=2))
    assert (code, outcome.status) == (1, FAILED)
    headline, *more = outcome.explanation.splitlines()
    assert headline.startswith("run() ended without an error, but its complete() returns False and /")
    assert headline.endswith("/1.txt is not there, nor is 1 other output:")
    assert [Path(path).name for path in more] == ["2.txt"]


class OnlyName(b2luigi.Task):
    """Its output is a row somewhere."""

    def output(self) -> Any:
        return "table/row"

    def complete(self) -> bool:
        return Path("row").exists()

    def run(self) -> None:
        """Forgets to write it."""


def test_only_complete_can_judge_a_name() -> None:
    """If it says no after run(), the task has failed, and the text speaks of no file."""
    code, outcome = run(OnlyName())
    assert (code, outcome.status) == (1, FAILED)
    assert outcome.explanation == "run() ended without an error, but its complete() returns False"
    Path("row").touch()
    assert run(OnlyName())[0] == 0


class Always(b2luigi.Task):
    """Runs in every run."""

    def complete(self) -> bool:
        return False

    def run(self) -> None:
        Path("ran").touch()


def test_a_task_that_always_runs_is_done() -> None:
    """As in luigi: nothing is missing, so nobody asks its complete() again."""
    code, outcome = run(Always())
    assert (code, outcome.status, outcome.absent) == (0, DONE, ())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("error", "ValueError: what went wrong"),
        ("leave", "SystemExit: 0"),
        ("odd_error", "OddError"),
        ("break_off", "KeyboardInterrupt: no more"),
    ],
)
def test_an_exception(how: str, words: str) -> None:
    """The outcome contains the traceback, and sys.exit(0) in a task is a failure."""
    code, outcome = run(Ends(how=how))
    assert (code, outcome.status) == (1, FAILED)
    assert words in outcome.explanation
    assert f", in {how}" in outcome.explanation


@pytest.mark.parametrize("how", ["interrupt", "interrupt_by_own_handler"])
def test_an_interrupt(how: str) -> None:
    """An interrupted task is neither done nor failed: the submit host determines the cause."""
    code, outcome = run(Ends(how=how))
    assert (code, outcome) == (
        130,
        Outcome(INTERRUPTED, node=outcome.node, task_id=Ends(how=how).task_id, usage=outcome.usage),
    )


def test_the_node_waits_for_late_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a shared file system, inputs may become visible on the node later than on the submit host."""
    needed = [Works(number=2), Works(number=0)]
    for task in needed:
        Path(f"number={task.number}").mkdir()

    def appear() -> None:
        for task in needed:
            for name in ("a.txt", "b.txt"):
                Path(f"number={task.number}", name).write_text("")

    threading.Timer(0.6, appear).start()
    outcome = described(Needs(), monkeypatch, result_grace=20)[1]
    assert "not to be run" in outcome.traceback  # so it was run


def test_missing_requirements() -> None:
    """A task does not run with incomplete inputs; the outcome names what is missing."""
    (Path("number=2")).mkdir()
    for name in ("a.txt", "b.txt"):
        Path("number=2", name).write_text("")
    code, outcome = run(Needs())
    assert (code, outcome.status) == (1, FAILED)
    assert [text.split()[0] for text in outcome.missing] == [Works(number=0).task_id]
    assert "Unfulfilled dependency at run time" in outcome.explanation
    assert outcome.headline == "requirement Works(number=0) is not complete, number=0/a.txt is not there"


def test_new_requirements() -> None:
    """The outcome contains requirements yielded by run: module, family and parameters."""
    code, outcome = run(Yields())
    assert (code, outcome.status) == (0, PENDING)
    assert outcome.new_requirements == (
        (__name__, "Works", {"number": "2"}),
        (__name__, "Ends", {"how": "error"}),
    )


@pytest.mark.parametrize(
    ("task", "code"),
    [
        (lambda: Works(number=2), DONE_UNRECORDED),
        (lambda: Works(number=0), 1),
        (Yields, UNRECORDED),
        (lambda: Ends(how="interrupt"), 130),
    ],
    ids=["done", "failed", "yielded", "interrupted"],
)
def test_an_outcome_that_cannot_be_written(task: Callable[[], luigi.Task], code: int) -> None:
    """The exit code says what it can of it."""
    OUTCOME.mkdir()
    assert run_one([task()], task().task_id) == code


def test_how_long_the_process_may_take_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as an outcome may take on its way; only a job has to end."""
    calls: list[tuple[int, float]] = []
    task = Works(number=2)
    script = create_executable_wrapper(task, worker={"result_grace": 7.0})
    for outcome_file in (str(OUTCOME.absolute()), ""):
        monkeypatch.setenv(OUTCOME_VARIABLE, outcome_file)
        monkeypatch.setenv(SCRIPT_VARIABLE, script)
        assert run_one([task], task.task_id, ending=lambda code, grace: calls.append((code, grace))) == 0
    assert calls == [(0, 7.0)]


def test_an_outcome_that_cannot_be_written_for_now_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when the task ends; a folder that comes late stands for it."""
    monkeypatch.setenv(OUTCOME_VARIABLE, str(Path("late", OUTCOME).absolute()))
    later = threading.Timer(1.0, os.mkdir, ["late"])
    later.start()
    task = Works(number=2)
    monkeypatch.setenv(SCRIPT_VARIABLE, create_executable_wrapper(task, worker={"result_grace": PATIENCE}))
    assert run_one([task], task.task_id) == 0
    later.join()
    assert present(Outcome.from_json(Path("late", OUTCOME).read_text())).status == DONE


def test_external_data() -> None:
    """The status of a task without run depends on its outputs."""
    assert run(Given())[1].status == FAILED
    Path("given").touch()
    assert run(Given())[1].status == DONE


class Endless:
    def __repr__(self) -> str:
        raise RecursionError


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({"a": (1, 2.5)}, {"a": [1, 2.5]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (nested(300), nested(300)),
        (Path("/a"), "PosixPath('/a')"),
        ({1}, "{1}"),
        (Endless(), "a Endless, which cannot be printed"),
        (nested(50_000), "a list, which cannot be printed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_on_success_may_return_anything(value: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever on_success returns, the task is done; luigi gets the value via JSON, or else its repr."""
    monkeypatch.setattr(Explains, "value", value)
    code, outcome = run(Explains())
    assert (code, outcome.status) == (0, DONE)
    assert outcome.explanation == expected


def fails(self: Any, *arguments: Any) -> Any:
    raise RuntimeError("the hook failed")


@pytest.mark.parametrize(
    ("hook", "how"),
    [("on_success", "nothing"), ("on_failure", "error"), ("output", "nothing"), ("complete", "nothing")],
)
def test_a_hook_that_fails(hook: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a hook is a failure with its traceback, except in complete(), which is not called."""
    monkeypatch.setattr(Ends, hook, fails, raising=False)
    code, outcome = run(Ends(how=how))
    if hook == "complete":
        assert outcome.status == DONE
    else:
        assert (code, outcome.status) == (1, FAILED)
        assert "the hook failed" in outcome.explanation


class Swallows:
    """A context of luigi's task process that suppresses every exception."""

    def __init__(self, process: Any) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> bool:
        return True


class Refuses(Swallows):
    def __enter__(self) -> None:
        raise RuntimeError("no such context")


def described(task: luigi.Task, monkeypatch: pytest.MonkeyPatch, **worker: Any) -> tuple[int | None, Outcome]:
    """Like `run`, but the task is described in a job script and is not in the graph."""
    script = create_executable_wrapper(task, worker=worker)
    monkeypatch.setenv(SCRIPT_VARIABLE, script)
    Register.clear_instance_cache()
    return run(Explains(), task.task_id)


def test_a_task_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A described task is rebuilt without the graph, which does not contain tasks yielded by run."""
    assert described(Works(number=2), monkeypatch)[1].status == DONE
    assert Path("number=2/a.txt").exists()


@pytest.mark.parametrize(
    ("how", "context", "status", "words"),
    [
        ("nothing", "Swallows", DONE, ""),
        ("interrupt", "Swallows", INTERRUPTED, ""),
        ("break_off", "Swallows", FAILED, "KeyboardInterrupt"),
        ("error", "Swallows", FAILED, "what went wrong"),
        ("error", "Refuses", FAILED, "no such context"),
        ("error", "Missing", FAILED, "AttributeError"),
    ],
)
def test_the_context_of_a_task_process(
    how: str, context: str, status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """luigi's task_process_context is used on the node, and whatever it does, there is an outcome."""
    outcome = described(Ends(how=how), monkeypatch, task_process_context=f"{__name__}.{context}")[1]
    assert outcome.status == status
    assert words in str(outcome.explanation)


def test_luigis_own_checks_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of luigi's section [worker] apply on the node."""
    outcome = described(Needs(), monkeypatch, check_unfulfilled_deps=False)[1]
    assert "not to be run" in outcome.explanation
    outcome = described(Works(number=1), monkeypatch, check_complete_on_run=True)[1]
    assert "complete() is still returning false" in outcome.explanation


class Counts(b2luigi.Task):
    """Counts the calls of complete()."""

    asked: ClassVar[list[str]] = []
    there = b2luigi.BoolParameter(default=True)

    def complete(self) -> bool:
        self.asked.append(self.task_id)
        return bool(self.there)


class NeedsCounted(Needs):
    there = b2luigi.BoolParameter(default=True)

    def requires(self) -> Any:
        return [Counts(there=self.there)]


def test_complete_inputs_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """luigi does not check them again, unless some are missing, which it then reports."""
    Counts.asked.clear()
    assert "not to be run" in described(NeedsCounted(), monkeypatch)[1].traceback
    assert Counts.asked == [Counts().task_id]
    outcome = described(NeedsCounted(there=False), monkeypatch)[1]
    assert outcome.missing == (Counts(there=False).task_id,)


def test_a_node_with_another_version(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The log of the job names both versions, since the installations differ; the task runs all the same."""
    assert described(Works(number=2), monkeypatch)[1].version == VERSION
    assert "version" not in caplog.text
    assert described(Works(number=3), monkeypatch, b2luigi="9.1")[1].status == DONE
    assert f"b2luigi: this node has version {VERSION}, and the submit host, which wrote the job script, has 9.1." in (
        caplog.text
    )


def test_an_unknown_task(caplog: pytest.LogCaptureFixture) -> None:
    """A task that is not in the graph fails; the log lists similar ids, without a traceback."""
    code, outcome = run(Works(number=1), "Works_2_deadbeef")
    assert (code, outcome.status) == (1, FAILED)
    assert f"There is no task Works_2_deadbeef in the task graph of this script. Similar ids: {Works().task_id}" in (
        caplog.text
    )
    assert "Traceback" not in caplog.text
    assert Works().task_id in outcome.explanation


class Cracked(b2luigi.Task):
    def requires(self) -> Any:
        names: dict[str, Any] = {}
        return names["a name of the user's"]


def test_an_error_in_requires(caplog: pytest.LogCaptureFixture) -> None:
    """The log and the outcome contain its traceback."""
    code, outcome = run(Cracked(), "Works_2_deadbeef")
    assert (code, outcome.status) == (1, FAILED)
    assert "in requires" in caplog.text
    assert "in requires" in outcome.explanation


@pytest.mark.parametrize("text", [None, "", "#b2luigi-task {"])
def test_an_unreadable_job_script(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing or broken job script is a failure."""
    if text is not None:
        Path("job.sh").write_text(text)
    monkeypatch.setenv(SCRIPT_VARIABLE, "job.sh")
    assert run(Works(number=2))[1].status == FAILED


def test_another_id_than_the_one_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """If another task is requested by hand, that one is taken from the graph."""
    monkeypatch.setenv(SCRIPT_VARIABLE, create_executable_wrapper(Works(number=1)))
    assert run(Works(number=2))[1].status == DONE


def test_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token, there is an exit code and no outcome file."""
    monkeypatch.setenv(OUTCOME_VARIABLE, "")
    assert run_one([Works(number=2)], Works(number=2).task_id) == 0
    assert run_one([Works(number=1)], Works(number=1).task_id) == 1
    assert not OUTCOME.exists()


class Inherits(b2luigi.Task):
    def run(self) -> None:
        assert not {SCRIPT_VARIABLE, OUTCOME_VARIABLE} & set(os.environ)


def test_a_script_within_a_task() -> None:
    """A program that the task starts cannot overwrite the outcome of the task."""
    assert run(Inherits())[1].status == DONE


class Reports(b2luigi.Task):
    def run(self) -> None:
        as_it_runs: Any = self  # luigi gives these to a task that runs
        as_it_runs.set_tracking_url("http://there")
        as_it_runs.set_status_message("half way")
        as_it_runs.set_progress_percentage(50)
        as_it_runs.decrease_running_resources({"slots": 1})


def test_reports_of_a_running_task(caplog: pytest.LogCaptureFixture) -> None:
    """Reports to luigi's scheduler are logged in the job, and the outcome contains the last ones."""
    caplog.set_level(logging.INFO, "luigi-interface")
    outcome = run(Reports())[1]
    assert outcome.status == DONE
    assert outcome.reports == {"tracking_url": "http://there", "status_message": "half way", "progress_percentage": 50}
    assert [path.name for path in Path().glob("*.progress")] == []
    for words in ("http://there", "half way", "progress: 50 %", "{'slots': 1}"):
        assert words in caplog.text


# -- through a job script

SCRIPT = """
import os, signal, sys, time, b2luigi

class Job(b2luigi.Task):
    how = b2luigi.Parameter()
    def output(self):
        return self.add_to_output("done.txt")
    def run(self):
        print("running", self.how)
        if self.how == "shot":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exits":
            os._exit(0)
        if self.how == "waits":
            open("begun", "w").close()
            time.sleep(1000)
        open(self.get_output_file_name("done.txt"), "w").close()

if __name__ == "__main__":
    b2luigi.process([Job(how=how) for how in ("shot", "exits", "waits", "it's")])
"""


class Job(b2luigi.Task):
    """Same as in the script, where it is in `__main__`."""

    how = b2luigi.Parameter()


@pytest.fixture
def start(script_folder: Path) -> Any:
    (script_folder / "script.py").write_text(SCRIPT)
    (script_folder / "inbox").mkdir()

    def started(how: str) -> subprocess.Popen[bytes]:
        set_setting("env", {"PYTHONWARNINGS": "ignore"})
        task = Job(how=how)
        path = Path(create_executable_wrapper(task, inbox=script_folder / "inbox"))
        path.write_text(path.read_text().replace(f'"module": "{__name__}"', '"module": "__main__"'))
        return subprocess.Popen([path, "a" * 16], start_new_session=True)

    return started


def outcomes(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in folder.rglob("*.outcome")]


@pytest.mark.parametrize(
    ("how", "marker", "statuses"),
    [("it's", "0 outcome\n", [DONE]), ("shot", "137 none\n", []), ("exits", f"{CUT_SHORT} none\n", [])],
)
def test_a_whole_job(start: Any, script_folder: Path, how: str, marker: str, statuses: list[str]) -> None:
    """From job script to marker: a successful job, and one killed by SIGKILL."""
    start(how).wait(PATIENCE)
    assert (script_folder / "inbox" / ("a" * 16)).read_text() == marker
    assert outcomes(script_folder / "task_files") == statuses
    assert (script_folder / "logs" / f"how={how}" / "Job" / "stdout").exists()
    assert list((script_folder / "task_files").rglob("*.begun")) == []


@pytest.mark.parametrize(
    ("number", "marker", "statuses"),
    [(signal.SIGINT, "130 outcome\n", [INTERRUPTED]), (signal.SIGTERM, "143 none\n", [])],
)
def test_a_stopped_job(
    start: Any, script_folder: Path, number: signal.Signals, marker: str, statuses: list[str]
) -> None:
    """LSF's bkill starts with SIGINT, for which Python writes an outcome; SIGTERM ends the job without one."""
    process = start("waits")
    until(lambda: (script_folder / "begun").exists() or process.poll() is not None, "the task runs")
    os.killpg(process.pid, number)
    process.wait(PATIENCE)
    assert (script_folder / "inbox" / ("a" * 16)).read_text() == marker
    assert outcomes(script_folder / "task_files") == statuses
