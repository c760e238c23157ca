from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.batch import dispatch
from b2luigi.batch.dispatch import run_task_remote
from tests.standins.apptainer import put_apptainer, put_image
from tests.waiting import PATIENCE, until


class Shell(b2luigi.Task):
    """When dispatched, its job script runs this shell program instead of Python."""

    program = b2luigi.Parameter(hidden=True, hashed=True)
    name = b2luigi.Parameter(default="")
    add_filename_to_cmd = False

    @property
    def executable(self) -> list[str]:
        return ["/bin/sh", "-c", str(self.program)]

    @b2luigi.dispatch
    def run(self) -> None:
        """Runs."""
        Path("in_place").write_text("")


def log(name: str) -> str:
    return Path("logs", "name=", "Shell", name).read_text()


def is_alive(pid: int) -> bool:
    """Whether a process is alive; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path) -> str:
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path} is whole")
    return path.read_text()


def test_it_runs_through_the_job_script(script_folder: Path) -> None:
    """The job script runs the task, and its output goes to the log folder."""
    task = Shell(program='echo "$*"; echo oh >&2; pwd')
    task.run()
    # the first word after the program becomes $0 of the shell
    assert log("stdout") == f"--task-id {task.task_id}\n{script_folder}\n"
    assert log("stderr") == "oh\n"
    assert not Path("in_place").exists()


def test_it_runs_in_the_container_of_the_task(script_folder: Path) -> None:
    """The job script enters it; what this machine lacks is an error before anything is started."""
    for name, value in (("apptainer_image", "image.sif"), ("apptainer_cmd", "bin/apptainer"), ("env", {"A": "b"})):
        b2luigi.set_setting(name, value)
    task = Shell(program="echo $A $HOSTNAME_OF_TEST; pwd")
    with pytest.raises(ValueError, match=rf"^apptainer_image: there is no container image {script_folder}/image.sif"):
        task.run()
    assert not Path("logs").exists()
    put_image(script_folder / "image.sif")
    put_apptainer(script_folder / "bin", "bare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTNAME_OF_TEST", "1")
        task.run()
    assert log("stdout") == f"b\n{script_folder}\n"


def test_name_and_docstring_are_kept() -> None:
    """The decorated method has the name and docstring of the original."""
    assert (Shell.run.__name__, Shell.run.__doc__) == ("run", "Runs.")


def test_logs_are_those_of_the_last_run() -> None:
    """A second run starts with empty logs."""
    for word in ("first", "second"):
        run_task_remote(Shell(program=f"echo {word}"))
    assert log("stdout") == "second\n"


def test_it_reads_nothing() -> None:
    """The process does not read from the terminal."""
    run_task_remote(Shell(program="readlink /proc/self/fd/0"))
    assert log("stdout") == "/dev/null\n"


@pytest.mark.parametrize(
    ("program", "code"), [("exit 3", "3"), ("kill -9 $$", "137"), ("kill -9 $PPID", "-9")], ids=["exit", "shot", "all"]
)
def test_a_failure_is_raised(script_folder: Path, program: str, code: str) -> None:
    """The error contains the return code, the task, its log folder and its last words."""
    task = Shell(program=f"echo well; echo 'ValueError: three is unlucky' >&2; {program}")
    with pytest.raises(RuntimeError, match=rf"^Execution failed with return code {code}\.\n") as raised:
        task.run()
    lines = str(raised.value).splitlines()
    assert lines[1:4] == [
        f"  task id: {task.task_id}",
        f"  logs:    {script_folder}/logs/name=/Shell/ (stdout, stderr)",
        "  last words:",
    ]
    assert "    | ValueError: three is unlucky" in lines[4:]


def test_a_failure_without_output() -> None:
    """If the process printed nothing, the error has no last words."""
    with pytest.raises(RuntimeError, match=r"(?s)return code 3.*\(stdout, stderr\)$") as raised:
        run_task_remote(Shell(program="exit 3"))
    assert "last words" not in str(raised.value)


def test_a_job_script_that_cannot_be_started() -> None:
    """For a missing shell, the error names the setting."""
    b2luigi.set_setting("shell", "/no/such/shell")
    with pytest.raises(RuntimeError, match=r"executable_wrapper\.sh cannot be started \(setting shell\)"):
        run_task_remote(Shell(program="true"))


# -- when it is not dispatched


@pytest.mark.parametrize("flags", [["--batch-runner", "--task-id", "x"], ["--test"], ["more", "--test", "--", "x"]])
def test_on_a_node_and_in_a_test_it_runs_in_process(monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    """A process that was started to run the task does not start another one, and neither does a test."""
    monkeypatch.setattr(sys, "argv", ["script.py", *flags])
    Shell(program="exit 3").run()
    assert Path("in_place").exists()


@pytest.mark.parametrize("arguments", [["--batch"], ["--", "--test"], ["--testing"]])
def test_other_arguments_make_no_difference(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Only the exact flags count, not the script's own arguments."""
    monkeypatch.setattr(sys, "argv", ["script.py", *arguments])
    Shell(program="true").run()
    assert not Path("in_place").exists()


def test_a_setting_runs_it_in_process() -> None:
    """`_dispatch_local_execution`, known from earlier versions, does so for one task or for all."""
    b2luigi.set_setting("_dispatch_local_execution", True)
    Shell(program="exit 3").run()
    assert Path("in_place").exists()


def test_a_call_of_process_for_a_test_runs_it_in_process() -> None:
    """`process(test=True)` does what `--test` does, and nothing is left of it afterwards."""

    class Once(Shell):
        def complete(self) -> bool:
            return Path("in_place").exists()

    assert b2luigi.process(Once(program="exit 3"), test=True)
    assert Path("in_place").exists()
    with pytest.raises(RuntimeError, match="return code 3"):
        Shell(program="exit 3").run()


# -- what cannot be dispatched


def test_a_run_with_yield_is_rejected_at_its_definition() -> None:
    """Requirements cannot be passed on from another process, so defining the class is an error."""
    with pytest.raises(TypeError, match=r"run cannot be dispatched: it yields requirements"):

        @b2luigi.dispatch
        def run(self: Any) -> Any:
            yield b2luigi.Task()


def test_a_wrapped_yield_is_rejected() -> None:
    """The check looks through other decorators."""

    @b2luigi.on_temporary_files
    def run(self: Any) -> Any:
        yield b2luigi.Task()

    with pytest.raises(TypeError, match="cannot be dispatched"):
        b2luigi.dispatch(run)


def test_a_process_with_yield_is_rejected() -> None:
    """A generator returned by `process` is detected when it runs."""

    class Yields(b2luigi.DispatchableTask):
        def process(self) -> Any:
            yield b2luigi.Task()

    b2luigi.set_setting("_dispatch_local_execution", True)
    with pytest.raises(TypeError, match=r"Yields\.run cannot be dispatched"):
        Yields().run()


def test_process_must_be_defined() -> None:
    """For a DispatchableTask without it, the error says what is missing."""

    class Forgot(b2luigi.DispatchableTask):
        pass

    b2luigi.set_setting("_dispatch_local_execution", True)
    with pytest.raises(NotImplementedError, match="Forgot is a DispatchableTask: define its method process"):
        Forgot().run()


# -- when the script is stopped


@pytest.fixture
def stopper() -> Iterator[Any]:
    """Sends a signal to this process as soon as the file `pid` is complete."""
    threads = []

    def stop(number: signal.Signals, folder: Path) -> None:
        def send() -> None:
            wait_for(folder / "pid")
            os.kill(os.getpid(), number)

        threads.append(threading.Thread(target=send))
        threads[-1].start()

    yield stop
    for thread in threads:
        thread.join()


SLEEP = "echo $$ > pid; sleep 60"


def test_ctrl_c_stops_the_process(script_folder: Path, stopper: Any) -> None:
    """After the KeyboardInterrupt, the process does not exist any more."""
    stopper(signal.SIGINT, script_folder)
    with pytest.raises(KeyboardInterrupt):
        Shell(program=SLEEP).run()
    assert not is_alive(int(Path("pid").read_text()))


def test_it_has_time_to_clean_up(script_folder: Path, stopper: Any) -> None:
    """The process first gets a SIGTERM, which it can handle."""
    stopper(signal.SIGINT, script_folder)
    with pytest.raises(KeyboardInterrupt):
        Shell(program="trap 'sleep 0.2; echo bye; exit' TERM; echo $$ > pid; while :; do sleep 0.05; done").run()
    assert log("stdout") == "bye\n"


def test_a_process_that_ignores_sigterm_is_killed(
    script_folder: Path, stopper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the timeout, it gets a SIGKILL."""
    monkeypatch.setattr(dispatch, "KILL_AFTER", 0.2)
    stopper(signal.SIGINT, script_folder)
    with pytest.raises(KeyboardInterrupt):
        Shell(program=f"trap '' TERM; {SLEEP}").run()
    until(lambda: not is_alive(int(Path("pid").read_text())), "it is gone")


def test_a_sigterm_reaches_the_script_after_the_process_ended(script_folder: Path, stopper: Any) -> None:
    """The script's own handler is called as it would be without dispatch, and then the task ends."""
    alive: list[bool] = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: alive.append(is_alive(int(Path("pid").read_text()))))
    try:
        stopper(signal.SIGTERM, script_folder)
        with pytest.raises(SystemExit) as raised:
            Shell(program=SLEEP).run()
    finally:
        signal.signal(signal.SIGTERM, former)
    assert (alive, raised.value.code) == ([False], 143)


# -- whole scripts

SCRIPT = """
import os

import b2luigi

b2luigi.set_setting("env_script", "env.sh")


class Dispatched(b2luigi.DispatchableTask):
    def output(self):
        yield self.add_to_output("out")

    @b2luigi.on_temporary_files
    def process(self):
        print("greeting", os.environ.get("GREETING"))
        with open(self.get_output_file_name("out"), "w") as file:
            file.write(f"{os.getpid()}")
        if os.path.exists("wait"):
            import time
            open("pid", "w").write(f"{os.getpid()}\\n")
            time.sleep(60)


class Both(b2luigi.Task):
    def requires(self):
        yield Dispatched()

    def output(self):
        yield self.add_to_output("both")

    @b2luigi.on_temporary_files
    @b2luigi.dispatch
    def run(self):
        with open(self.get_output_file_name("both"), "w") as file:
            file.write(f"{os.getpid()}")


if __name__ == "__main__":
    print("script", os.getpid())
    assert b2luigi.process(Both(), log_level="WARNING")
"""


@pytest.fixture
def script(script_folder: Path) -> list[str]:
    (script_folder / "script.py").write_text(SCRIPT)
    (script_folder / "env.sh").write_text("echo started >> started; export GREETING=hello\n")
    return [sys.executable, "script.py"]


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("flag", [[], ["--batch"]])
def test_each_task_has_one_process(script: list[str], flag: list[str]) -> None:
    """Locally and as a job, a task runs in one job script, not in nested ones, and in its environment."""
    printed = run([*script, *flag])
    pids = {Path("out").read_text(), Path("both").read_text(), printed.split()[1]}
    assert len(pids) == 3
    assert Path("started").read_text() == "started\n" * 2
    assert "greeting hello\n" in Path("logs/Dispatched/stdout").read_text()


def test_a_test_is_one_process(script: list[str]) -> None:
    """With --test no job script is written, and the task prints to the console."""
    printed = run([*script, "--test"])
    assert "greeting None" in printed
    assert Path("out").read_text() == Path("both").read_text() == printed.split()[1]
    assert not Path("started").exists()
    assert not Path("task_files").exists()


def test_a_terminated_script_leaves_nothing_behind(script: list[str]) -> None:
    """SIGTERM ends the script as usual, together with the process; there is no output."""
    Path("wait").touch()
    process = subprocess.Popen(script, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pid = int(wait_for(Path("pid")))
        process.terminate()
        assert process.wait(PATIENCE) == -signal.SIGTERM
        assert not is_alive(pid)
        assert not Path("out").exists()
    finally:
        process.kill()
