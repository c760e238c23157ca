"""Job scripts, executed for real by bash and by dash."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.description import describe
from b2luigi.core.executable import create_cmd_from_task, create_executable_wrapper, inputs_of
from b2luigi.core.files import write_atomically
from b2luigi.core.job_script import (
    BEGUN_LINE,
    BEGUN_VARIABLE,
    CUT_SHORT,
    MEMORY_LINE,
    OUTCOME_VARIABLE,
    SCRIPT_VARIABLE,
    JobScript,
    read_description,
    render,
)
from tests.present import present
from tests.waiting import PATIENCE, until

TOKEN = "0123456789abcdef"
PYTHON = (sys.executable, "-ISc")
REPORT = "import json, os, sys; print(json.dumps([os.getcwd(), sys.argv[1:], dict(os.environ)]))"
SHELLS = pytest.mark.parametrize(
    "shell",
    [
        "bash",
        pytest.param("dash", marks=pytest.mark.skipif(not Path("/bin/dash").exists(), reason="no dash here")),
    ],
)
AWKWARD = pytest.mark.parametrize(
    "text",
    [
        "two words",
        "it's",
        'say "hi"',
        "$HOME",
        "`touch pwned`",
        "$(touch pwned)",
        "two\nlines\n",
        "a;b&c|d>e",
        "*",
        "~",
        "-rf",
        "back\\slash\\c",
        "!!",
        "grüße",
        os.fsdecode(b"latin-1 \xfc"),
    ],
    ids=ascii,
)


class Number(b2luigi.Task):
    number = b2luigi.IntParameter(default=1)


class Node:
    """The folders that a job script needs, and its results."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.folder, self.shell = folder, shell
        self.home, self.inbox, self.logs = folder / "home", folder / "inbox", folder / "logs"
        for made in (self.home, self.inbox):
            made.mkdir(parents=True)

    def script(self, *command: str, **fields: Any) -> Path:
        own = {"folder": str(self.folder), "home": str(self.home), "inbox": str(self.inbox), "logs": str(self.logs)}
        script = JobScript("T_1", command or (*PYTHON, REPORT), shell=self.shell, **{**own, **fields})
        write_atomically(self.home / "job.sh", render(script), 0o700)
        return self.home / "job.sh"

    def run(self, *command: str, token: str = "", **fields: Any) -> subprocess.CompletedProcess[str]:
        return run(self.script(*command, **fields), *([token] if token else []), cwd="/")

    def source(self, text: str, *command: str, **fields: Any) -> subprocess.CompletedProcess[str]:
        """Runs the script with a token and an env_script with this text."""
        (self.folder / "env.sh").write_text(text)
        return self.run(*command, token=TOKEN, env_script="env.sh", **fields)

    @property
    def marker(self) -> str | None:
        path = self.inbox / TOKEN
        return path.read_text() if path.exists() else None

    @property
    def stdout(self) -> str:
        return (self.logs / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.logs / "stderr").read_text()


def run(*words: str | Path, cwd: str | Path = "/", **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, **kwargs)


@pytest.fixture
def node(shell: str, tmp_path: Path) -> Node:
    return Node(tmp_path / "node", shell)


# -- quoting and environment


@SHELLS
@AWKWARD
def test_no_value_is_interpreted_as_code(shell: str, text: str, tmp_path: Path) -> None:
    """Folders, file names, arguments and values reach the node unchanged, whatever characters they contain."""
    node = Node(tmp_path / text, shell)
    (node.folder / text).write_text("b2luigi_test=$PWD; export FROM_SCRIPT=yes; cd /\n")
    report = node.run(*PYTHON, REPORT, text, token=TOKEN, env_script=text, env={"VALUE": text}, own_env={"OWN": text})
    cwd, arguments, environment = json.loads((node.folder / "logs" / "stdout").read_text())
    assert (report.returncode, report.stdout, report.stderr) == (0, "", "")
    assert (cwd, arguments, environment["VALUE"], environment["OWN"]) == (str(node.folder), [text], text, text)
    assert environment["FROM_SCRIPT"] == "yes"
    assert environment[SCRIPT_VARIABLE] == str(node.home / "job.sh")
    assert environment[OUTCOME_VARIABLE] == str(node.home / f"{TOKEN}.outcome")
    assert node.marker == "0 none\n"
    assert sorted(map(os.fsencode, os.listdir(node.folder))) == sorted(
        map(os.fsencode, ["home", "inbox", "logs", text])
    )


@SHELLS
def test_values_of_the_environment(node: Node) -> None:
    """Empty values are kept, and the user's variables override those of b2luigi."""
    report = node.run(own_env={"A": "b2luigi", "B": "b2luigi"}, env={"A": "", "C": " "})
    environment = json.loads(report.stdout)[2]
    assert [environment[name] for name in "ABC"] == ["", "b2luigi", " "]


@SHELLS
def test_secrets_are_not_printed(node: Node) -> None:
    """Values of the setting env appear in no log, even if the job fails."""
    report = node.source("true\n", "/bin/sh", "-c", "exit 3", env={"PASSWORD": "hunter2"})
    assert report.returncode == 3
    assert "hunter2" not in report.stdout + report.stderr + node.stdout + node.stderr


@SHELLS
def test_the_umask_of_the_submit_host_is_used(node: Node) -> None:
    """Files created by the job have the same permissions as on the submit host."""
    node.run("/bin/sh", "-c", "echo > made", umask=0o027)
    assert stat.S_IMODE((node.folder / "made").stat().st_mode) == 0o640


@SHELLS
def test_an_empty_environment(node: Node) -> None:
    """HTCondor starts jobs without HOME and PATH; the script works without them."""
    report = run("/usr/bin/env", "-i", node.script(), TOKEN)
    assert (report.returncode, report.stderr) == (0, "")
    assert (json.loads(node.stdout)[0], node.marker) == (str(node.folder), "0 none\n")


@SHELLS
def test_the_script_can_be_started_by_a_relative_path(node: Node) -> None:
    """A job script started by a relative path determines its own absolute path."""
    node.script()
    report = run("./job.sh", cwd=node.home)
    assert json.loads(report.stdout)[2][SCRIPT_VARIABLE] == f"{node.home}/./job.sh"


# -- with a token and without


@SHELLS
def test_without_a_token_no_files_are_written(node: Node) -> None:
    """Started by hand, the script does not redirect its output, and writes no outcome, marker or log."""
    report = node.run("/bin/sh", "-c", f'echo out; echo err >&2; echo "[${OUTCOME_VARIABLE}]"; exit 4')
    assert (report.returncode, report.stdout, report.stderr) == (4, "out\n[]\n", "err\n")
    assert os.listdir(node.inbox) == []
    assert os.listdir(node.home) == ["job.sh"]
    assert not node.logs.exists()


@SHELLS
@pytest.mark.parametrize(
    ("command", "marker"),
    [
        ("true", "0 none\n"),
        ("exit 3", "3 none\n"),
        ("kill -9 $$", "137 none\n"),
        (f'echo found > "${OUTCOME_VARIABLE}"', "0 outcome\n"),
        (f'echo found > "${OUTCOME_VARIABLE}"; exit 1', "1 outcome\n"),
        (f': > "${OUTCOME_VARIABLE}"', "0 none\n"),
    ],
)
def test_the_marker_contains_exit_code_and_outcome(node: Node, command: str, marker: str) -> None:
    """However the program ends, the marker contains its exit code and whether there is a non-empty outcome."""
    report = node.run("/bin/sh", "-c", command, token=TOKEN)
    assert (report.returncode, node.marker) == (int(marker.split()[0]), marker)
    assert os.listdir(node.inbox) == [TOKEN]


BEGIN = f'echo > "${BEGUN_VARIABLE}"'


@SHELLS
@pytest.mark.parametrize(
    ("group", "names", "said"),
    [
        ("0::/slurmstepd.scope/job_12/step_0", ("max", "peak", "events"), "peak 3900, limit 4000, killed 2"),
        ("4:memory:/slurm/uid_0/job_12", ("limit_in_bytes", "max_usage_in_bytes", "oom_control"), "killed 2"),
        ("0::/htcondor/condor_execute_slot1_1@n", ("max", "peak", "events"), "peak 3900, limit 4000, killed 2"),
        ("0::/user.slice", ("max", "peak", "events"), ""),
        ("0::/", ("max", "peak", "events"), ""),
    ],
)
def test_a_killed_job_says_how_much_memory_its_cgroup_had(
    node: Node, tmp_path: Path, group: str, names: tuple[str, str, str], said: str
) -> None:
    """Only that of a job: what others share says nothing about this one."""
    path = group.rpartition(":")[2].removesuffix("/step_0")
    folder = tmp_path / "cgroup" / ("" if group.startswith("0::") else "memory") / path.strip("/")
    folder.mkdir(parents=True)
    (folder / "step_0").mkdir(exist_ok=True)
    for name, text in zip(names, ("4000", "3900", "low 0\noom_kill 2"), strict=True):
        (folder / f"memory.{name}").write_text(f"{text}\n")
    (tmp_path / "groups").write_text(f"9:cpuset:/job_1\n{group}\n")
    places = {"/sys/fs/cgroup": str(tmp_path / "cgroup"), "/proc/self/cgroup": str(tmp_path / "groups")}
    script = node.script("/bin/sh", "-c", f"{BEGIN}; kill -9 $$")
    text = script.read_text()
    for place, here in places.items():
        text = text.replace(place, here)
    script.write_text(text)
    run(script, TOKEN)
    lines = [line for line in node.stderr.splitlines() if MEMORY_LINE in line]
    assert [line.endswith(said) for line in lines] == [True] * bool(said)


@SHELLS
def test_a_program_that_ends_in_the_middle_of_the_task_says_how_large_it_was(node: Node) -> None:
    """The node writes it into the file that shows that the task began."""
    node.run("/bin/sh", "-c", f'echo 12345 > "${BEGUN_VARIABLE}"; exit 3', token=TOKEN)
    assert f"b2luigi: {BEGUN_LINE} 12345\n" in node.stderr


@SHELLS
@pytest.mark.parametrize("token", [TOKEN, ""], ids=["a job", "by hand"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{BEGIN}; exit 0", CUT_SHORT),
        (f"{BEGIN}; exit 3", 3),
        (f"{BEGIN}; kill -9 $$", 137),
        (f'{BEGIN}; rm "${BEGUN_VARIABLE}"', 0),
    ],
    ids=["exit 0", "exit 3", "shot", "to the end"],
)
def test_exit_code_zero_of_a_program_that_noted_its_beginning_only(
    node: Node, token: str, command: str, code: int
) -> None:
    """Such a program was at work on the task when something called exit(0); its other exit codes stay as they are."""
    report = node.run("/bin/sh", "-c", command, token=token)
    assert report.returncode == code
    assert node.marker == (f"{code} none\n" if token else None)
    assert ("in the middle of the task" in (node.stderr if token else report.stderr)) is (code == CUT_SHORT)
    assert os.listdir(node.home) == ["job.sh"]


@SHELLS
def test_a_marker_that_cannot_be_written_for_now_is_tried_again(node: Node) -> None:
    """A disk that is full when the job ends; a folder in place of the file stands for it."""
    obstacle = node.inbox / f"{TOKEN}.part"
    obstacle.mkdir()
    process = subprocess.Popen([node.script("/bin/sh", "-c", "echo > begun", grace=PATIENCE), TOKEN])
    until((node.folder / "begun").exists, "the task runs", every=0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    obstacle.rmdir()
    assert process.wait(PATIENCE) == 0
    assert (node.marker, node.stderr) == ("0 none\n", "")


@SHELLS
@pytest.mark.parametrize("grace", [0.0, 100.0])
def test_a_marker_that_can_never_be_written_does_not_hold_the_job(node: Node, grace: float) -> None:
    """The time is up, or nobody is left who would read it: the folder is gone."""
    (node.inbox / f"{TOKEN}.part").mkdir() if not grace else node.inbox.rmdir()
    begin = time.monotonic()
    assert node.run("/bin/sh", "-c", "exit 3", token=TOKEN, grace=grace).returncode == 3
    assert time.monotonic() - begin < 50


@SHELLS
def test_an_outcome_outweighs_a_beginning(node: Node) -> None:
    """The file that notes the beginning may be left where it cannot be removed."""
    node.run("/bin/sh", "-c", f'{BEGIN}; echo x > "${OUTCOME_VARIABLE}"', token=TOKEN)
    assert node.marker == "0 outcome\n"


@SHELLS
@pytest.mark.parametrize(
    ("record", "void", "runs"),
    [
        (None, False, True),
        ({"token": TOKEN}, False, True),
        ({"token": TOKEN, "ended": 1.0}, False, False),
        ({"token": TOKEN, "given_up": "stopped"}, False, False),
        ({"token": "another", "ended": 1.0}, False, True),
        ({"token": TOKEN, "explanation": '"\n "ended": 1'}, False, True),
        (None, True, False),
    ],
)
def test_an_attempt_that_was_judged_does_not_run_again(
    node: Node, record: dict[str, Any] | None, void: bool, runs: bool
) -> None:
    """Batch systems may restart jobs that are over for us; without a record, the job runs."""
    if record is not None:
        (node.home / "attempt-1.json").write_text(json.dumps(record, indent=1))
    if void:
        (node.home / f"{TOKEN}.void").touch()
    report = node.run("/bin/sh", "-c", "echo ran", token=TOKEN)
    assert report.returncode == 0
    assert (node.logs / "stdout").exists() is runs
    assert (node.inbox / TOKEN).exists() is runs


@SHELLS
@pytest.mark.parametrize(("number", "runs"), [(1, False), (2, True)])
def test_the_record_of_its_own_attempt_is_found_among_others(node: Node, number: int, runs: bool) -> None:
    """The script names the record of the attempt for which it was written; jobs of earlier attempts run it, too."""
    other = TOKEN[::-1]
    (node.home / "attempt-1.json").write_text(json.dumps({"token": TOKEN, "ended": 1.0}, indent=1))
    (node.home / "attempt-2.json").write_text(json.dumps({"token": other}, indent=1))
    token = {1: TOKEN, 2: other}[number]
    for name in ("attempt-1.json", "attempt-2.json", "attempt-3.json"):
        assert node.run("/bin/sh", "-c", "echo ran", token=token, record=name).returncode == 0
        assert (node.inbox / token).exists() is runs


@SHELLS
def test_output_goes_to_the_log_folder(node: Node) -> None:
    """With a token, both streams go to files in the log folder, overwritten by each attempt."""
    for text in ("first and long", "second"):
        report = node.run("/bin/sh", "-c", f"echo {text}; echo {text} >&2", token=TOKEN)
    assert (report.stdout, report.stderr, node.stdout, node.stderr) == ("", "", "second\n", "second\n")


@SHELLS
def test_transferred_files(node: Node) -> None:
    """Without shared folders, outcome and marker are in the scratch folder, and an outcome always exists."""
    node.script("/bin/sh", "-c", "echo hello", folder=None, home=".", inbox=None, logs=None)
    report = run(node.home / "job.sh", TOKEN, cwd=node.folder)
    assert report.stdout == "hello\n"
    assert (node.folder / f"{TOKEN}.marker").read_text() == "0 none\n"
    assert (node.folder / f"{TOKEN}.outcome").read_text() == ""


def start(node: Node, *command: str, **fields: Any) -> subprocess.Popen[bytes]:
    """A job script that is running its command, which must create the file `begun`."""
    process = subprocess.Popen(
        [node.script(*command, **fields), TOKEN], stdout=subprocess.DEVNULL, start_new_session=True
    )
    until((node.folder / "begun").exists, "the command runs", every=0.01)
    return process


@pytest.mark.parametrize("shell", ["bash"])
@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the script", "its group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU], ids=lambda number: number.name)
@pytest.mark.parametrize("env_script", ["", "env.sh"])
def test_a_stopped_script_reports_the_signal(node: Node, kill: Any, number: signal.Signals, env_script: str) -> None:
    """The marker of a stopped job has the exit code of a signal, never the 0 of a successful job."""
    (node.folder / "env.sh").touch()
    process = start(node, "/bin/sh", "-c", "echo > begun; exec sleep 1000", env_script=env_script)
    kill(process.pid, number)
    process.wait(PATIENCE)
    os.killpg(process.pid, signal.SIGKILL) if kill is os.kill else None
    assert node.marker == "143 none\n"
    assert "a signal stopped the job of task T_1 while running the task" in node.stderr


def lines_before_the_program(script: str) -> list[int]:
    """The numbers of the lines at which the job script can be stopped, from the first one that notices."""
    lines = script.splitlines()
    noticed = {"#!/bin/bash": "trap b2luigi_end EXIT", "#!/bin/dash": "b2luigi_untrapped="}[lines[0]]
    first, last = lines.index(noticed) + 1, lines.index("b2luigi_untrapped=1", lines.index("b2luigi_untrapped="))
    part_of_another = ("fi", "done", "esac", "else", "then")
    return [n for n in range(first, last + 1) if lines[n].split(" ")[0] not in ("", *part_of_another)]


@SHELLS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_at_any_step_is_reported_as_one(node: Node, number: signal.Signals) -> None:
    """Evicted, held or preempted in its first moments: the batch system may run such a job again."""
    (node.folder / "env.sh").write_text("true\n")
    whole = node.script("true", env_script="env.sh", env={"A": "1"}).read_text()
    (node.home / "attempt-1.json").write_text(json.dumps({"token": TOKEN}, indent=1))
    codes = {f"{128 + number} none\n", f"{128 + signal.SIGTERM} none\n"}
    for at in lines_before_the_program(whole):
        lines = whole.splitlines()
        lines.insert(at, f"kill -{number} $$")
        write_atomically(node.home / "job.sh", "\n".join(lines), 0o700)
        report = run(node.home / "job.sh", TOKEN, cwd=node.folder, preexec_fn=default_interrupt)
        assert node.marker in codes, lines[at + 1]
        assert report.returncode in (-number, int(present(node.marker).split()[0]))
        (node.inbox / TOKEN).unlink()


def default_interrupt() -> None:
    """Tests started in the background of a shell are deaf to SIGINT, and so would be all they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@SHELLS
@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the script", "its group"])
def test_a_signal_during_a_step_that_takes_long_is_reported_as_one(node: Node, kill: Any) -> None:
    """A pipe that nobody reads from stands for a slow file system."""
    node.logs.mkdir()
    os.mkfifo(node.logs / "stderr")
    process = subprocess.Popen([node.script("true"), TOKEN], stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(
        lambda: Path(f"/proc/{process.pid}/wchan").read_text() == "wait_for_partner", "it waits at the pipe", every=0.01
    )
    kill(process.pid, signal.SIGTERM)
    _, words = process.communicate(timeout=PATIENCE)
    assert node.marker == "143 none\n"
    assert "a signal stopped the job of task T_1 while opening the log files" in words


@pytest.mark.parametrize("shell", ["bash"])
def test_an_outcome_written_before_the_signal_counts(node: Node) -> None:
    """If a stopped job has already written its outcome, the marker says so."""
    process = start(node, "/bin/sh", "-c", f'echo x > "${OUTCOME_VARIABLE}"; echo > begun; exec sleep 1000')
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(PATIENCE)
    assert node.marker == "143 outcome\n"


@pytest.mark.parametrize("shell", ["bash"])
@pytest.mark.parametrize("text", ["true", "false", "[ -e nowhere ]"])
def test_a_signal_during_the_env_script_is_reported_as_a_signal(node: Node, text: str) -> None:
    """The marker does not have the status of an earlier line, since such a job may run again."""
    (node.folder / "env.sh").write_text(f"{text} || true; echo > begun; [ -e nowhere ] || sleep 1000\n")
    process = start(node, "true", env_script="env.sh")

    def is_stopped() -> bool:
        os.killpg(process.pid, signal.SIGTERM)  # again: one between the fork and the exec of a child is lost on it
        return process.poll() is not None

    until(is_stopped, "it has stopped", every=0.2)
    assert node.marker == "143 none\n"


# -- env_script


@pytest.mark.parametrize("shell", ["bash"])
@pytest.mark.parametrize(
    "text",
    [
        ': "${NO_SUCH_VARIABLE:?please}"',
        'set -u; echo "$NO_SUCH_VARIABLE"',
        "exec no-such-program",
        "readonly X=1; X=2",
    ],
)
def test_an_error_in_the_env_script_is_not_reported_as_a_signal(node: Node, text: str) -> None:
    """A missing variable, for example, must not lead to a retry."""
    node.source(text + "\n")
    code, seen = present(node.marker).split()
    assert (0 < int(code) < 128, seen) == (True, "none")


@pytest.mark.parametrize("shell", ["bash"])
def test_an_env_script_may_use_all_of_bash(node: Node) -> None:
    """Extended patterns work, and nothing after a return is read."""
    report = node.source("shopt -s extglob\ncase x in\n  @(x|y)) A=1 ;;\nesac\nexport A\nreturn 0\n)( no bash\n")
    assert (report.returncode, node.marker) == (0, "0 none\n")


@SHELLS
@pytest.mark.parametrize(
    "text", ["cd /", "set -u", "set -e", "set -f; IFS=e", "set -C", "trap 'exit 9' EXIT", "set a b"]
)
def test_an_env_script_does_not_affect_the_rest(node: Node, text: str) -> None:
    """Changes of an env_script to its shell affect neither working directory, nor exit code, nor marker of the job."""
    report = node.source(text + "\n", "/bin/sh", "-c", 'echo "$0 $#" in $PWD; exit 5')
    assert (report.returncode, report.stderr, node.marker) == (5, "", "5 none\n")
    assert (node.stdout, node.stderr) == (f"/bin/sh 0 in {node.folder}\n", "")


@SHELLS
def test_an_env_script_sees_no_arguments(node: Node) -> None:
    """The token of the job is not passed to the env_script."""
    node.source('echo "$#:$*"\n')
    assert node.stdout.splitlines()[0] == "0:"


@SHELLS
def test_env_comes_after_the_env_script(node: Node) -> None:
    """The setting env overrides variables of the env_script, which determines the program through PATH."""
    (node.folder / "bin").mkdir()
    write_atomically(node.folder / "bin" / "mine", "#!/bin/sh\necho $A $B\n", 0o755)
    node.source('A=script B=script; export A B; PATH="$PWD/bin:$PATH"\n', "mine", env={"A": "setting"})
    assert node.stdout == "setting script\n"


@SHELLS
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("true\nfalse\ntrue", 1),
        ("true\n( exit 7 )\ntrue", 7),
        ("true\nexit 3", 3),
        ("true\nexit 0", 1),
        ("false || exit", 1),
        ("true\nreturn 4", 4),
        ("true\nno-such-program-here", 127),
        ("true\nif", 2),
    ],
)
def test_an_env_script_that_fails_ends_the_job(node: Node, text: str, code: int) -> None:
    """The task does not run in an incomplete environment: the job fails with a message that names the script."""
    report = node.source(text + "\n")
    assert (report.returncode, node.marker, node.stdout) == (code, f"{code} none\n", "")
    assert "the job of task T_1 ended while running the env_script env.sh, on node" in node.stderr


@pytest.mark.parametrize("shell", ["bash"])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("true\nfalse\ntrue\n", "line 2 of ./env.sh"),
        ("f() {\n  true\n  false\n}\nf\n", "line 3 of ./env.sh"),
        ("true\n. ./other.sh\n", "line 3 of ./other.sh"),
    ],
)
def test_the_failing_line_is_reported(node: Node, text: str, place: str) -> None:
    """The message gives file and line of the error, even inside a function or another sourced file."""
    (node.folder / "other.sh").write_text("true\n\nfalse\n")
    node.source(text)
    assert f"status 1 in {place}\n" in node.stderr


@pytest.mark.parametrize("shell", ["bash"])
def test_a_return_status_is_not_reported_as_a_line(node: Node) -> None:
    """If an env_script merely returns a non-zero status, the message names no line of it."""
    node.source("[ -f nothing ] && true\n")
    assert "job.sh\n" in node.stderr
    assert "env.sh\n" not in node.stderr


@SHELLS
@pytest.mark.parametrize("env_script", ["missing.sh", "deep/missing.sh", "/missing.sh", "it's missing.sh"])
def test_a_missing_env_script(node: Node, env_script: str) -> None:
    """The message gives its name and the folder in which it was searched."""
    report = node.run(token=TOKEN, env_script=env_script)
    assert (report.returncode, node.marker) == (1, "1 none\n")
    path = env_script if "/" in env_script else f"./{env_script}"
    assert f"cannot read the env_script {path} (searched from {node.folder})" in node.stderr


# -- what may be missing on a node


@SHELLS
@pytest.mark.parametrize("program", ["no-such-python", "/no/such/python", "./folder", "./not-executable", "A=1"])
def test_a_missing_program_is_reported_with_the_settings(node: Node, program: str) -> None:
    """If the program cannot be run, the message names the settings that determine it, and the exit code is 127."""
    (node.folder / "folder").mkdir()
    (node.folder / "not-executable").write_text("")
    report = node.run(program, "-c", "pass", token=TOKEN)
    assert (report.returncode, node.marker) == (127, "127 none\n")
    step = f"looking for the program {program} (settings executable, executable_prefix, env_script), on node"
    assert step in node.stderr


@SHELLS
@pytest.mark.parametrize("broken", ["logs", "logs/stdout", "logs/stderr"])
def test_logs_that_cannot_be_written(node: Node, broken: str) -> None:
    """If the log folder is not writable, the job ends before its task, with a message in the batch system's output."""
    if broken == "logs":
        node.logs.write_text("a file")
    else:
        (node.folder / broken).mkdir(parents=True)
    report = node.run("/bin/sh", "-c", "echo > ran", token=TOKEN)
    assert report.returncode > 0
    assert node.marker == f"{report.returncode} none\n"
    assert f"ended while opening the log files in {node.logs}, on node" in report.stderr
    assert not (node.folder / "ran").exists()


@SHELLS
def test_a_missing_working_directory(node: Node) -> None:
    """If the node does not have the folder of the script, the message names the setting to change."""
    report = node.run(folder="/no/such/folder", token=TOKEN)
    assert (report.returncode, node.marker) == (1, "1 none\n")
    assert "changing to the folder /no/such/folder (setting working_dir), on node" in report.stderr


def test_a_task_id_is_never_code() -> None:
    """A task id with arbitrary characters cannot inject code into the messages of its job."""
    text = render(JobScript('T_$(touch pwned)`x`"', ["true"]))
    assert "the job of task T_??touch?pwned??x?? ended" in text


# -- from the settings of a task


def setting(name: str, value: Any) -> Number:
    b2luigi.set_setting(name, value)
    return Number()


@pytest.fixture
def script(script_folder: Path) -> Path:
    """A script that prints how it was called."""
    path = script_folder / "script.py"
    path.write_text(REPORT)
    return path


def test_the_command(script: Path) -> None:
    """A node runs this script with this Python, for one task."""
    expected = [sys.executable, str(script), "--batch-runner", "--task-id", Number().task_id]
    assert create_cmd_from_task(Number()) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("executable", ["python3", "-u"], ["python3", "-u", "SCRIPT", "RUNNER"]),
        ("executable", [], ["PYTHON", "SCRIPT", "RUNNER"]),
        ("executable_prefix", ("nice", "-n", 5), ["nice", "-n", "5", "PYTHON", "SCRIPT", "RUNNER"]),
        ("task_cmd_additional_args", ["--mine", "'a b'"], ["PYTHON", "SCRIPT", "RUNNER", "--mine", "a b"]),
        ("add_filename_to_cmd", False, ["PYTHON", "RUNNER"]),
        ("working_dir", "/elsewhere", ["PYTHON", "script.py", "RUNNER"]),
        ("working_dir", ".", ["PYTHON", "script.py", "RUNNER"]),
    ],
)
def test_settings_change_the_command(script: Path, name: str, value: Any, expected: list[str]) -> None:
    """Settings change each part of the command, and a second call returns the same command."""
    words = {
        "PYTHON": [sys.executable],
        "SCRIPT": [str(script)],
        "RUNNER": ["--batch-runner", "--task-id", Number().task_id],
    }
    expected = [part for word in expected for part in words.get(word, [word])]
    assert [create_cmd_from_task(setting(name, value)) for _ in range(2)] == [expected, expected]


@pytest.mark.parametrize("name", ["executable", "executable_prefix", "task_cmd_additional_args"])
def test_lists_of_words_are_not_modified(name: str) -> None:
    """A list that is an attribute of a task class stays the same for the next task."""

    class Listed(Number):
        pass

    words = ["word"]
    setattr(Listed, name, words)
    create_cmd_from_task(Listed())
    create_executable_wrapper(Listed())
    assert words == ["word"]


def test_the_script_s_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the node, a script gets its own arguments again, without the flags of b2luigi."""
    monkeypatch.setattr(sys, "argv", ["script.py", "--batch", "--energy", "3 GeV", "--task-id", "X", "-v"])
    ours = ["--batch-runner", "--task-id", Number().task_id]
    assert create_cmd_from_task(Number())[-6:] == ["--energy", "3 GeV", "-v", *ours]
    monkeypatch.setattr(sys, "argv", ["script.py", "--batch", "x", "--", "-v"])
    assert create_cmd_from_task(Number())[-6:] == [*ours, "x", "--", "-v"]


@pytest.mark.parametrize("name", ["executable", "executable_prefix", "task_cmd_additional_args"])
@pytest.mark.parametrize("value", ["python3", {"python3": 1}, 3])
def test_words_must_be_a_list(name: str, value: Any) -> None:
    """A string instead of a list is an error that names the setting, and is not split into letters."""
    with pytest.raises(ValueError, match=rf'^{name} must be a list of strings, such as \["python3"\], not '):
        create_executable_wrapper(setting(name, value))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("env", ["A=1"], "env must be a dictionary"),
        ("env", {"A B": "1"}, "env: 'A B' is not a valid name"),
        ("env", {"1A": "1"}, "env: '1A' is not a valid name"),
        ("env", {"": "1"}, "env: '' is not a valid name"),
        ("env", {"A=$(x)": "1"}, r"env: 'A=\$\(x\)' is not a valid name"),
        ("env", {"A\n": "1"}, r"env: 'A\\n' is not a valid name"),
        ("env", {"A": "1\0"}, r"env\['A'\] contains a null byte"),
        ("shell", "bash -x", "shell must be the name of a shell"),
        ("shell", "", "shell must be the name of a shell"),
        ("env_script", ["a.sh"], "env_script must be a path"),
        ("working_dir", 3, "working_dir must be a path"),
    ],
)
def test_invalid_settings_are_rejected(name: str, value: Any, message: str) -> None:
    """A value that would break every job is an error at submission, with the name of the setting."""
    with pytest.raises(ValueError, match=message):
        create_executable_wrapper(setting(name, value))


def test_the_file(script_folder: Path) -> None:
    """The job script is accessible only to its owner, whatever the umask, and is replaced atomically."""
    former = os.umask(0)
    try:
        paths = {create_executable_wrapper(Number()) for _ in range(2)}
    finally:
        os.umask(former)
    assert paths == {f"{script_folder}/task_files/number=1/Number/executable_wrapper.sh"}
    (path,) = map(Path, paths)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == [path.name]


@SHELLS
def test_a_task_script_runs(script: Path, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job script calls the user's script, in its folder and with its settings."""
    monkeypatch.setattr(sys, "argv", ["script.py", "--batch", "it's"])
    b2luigi.set_setting("shell", shell)
    b2luigi.set_setting("env", {"NUMBER": 7})
    (script.parent / "settings.json").write_text("{}")
    (script.parent / "luigi.cfg").write_text("")
    inbox = script.parent / "inbox"
    inbox.mkdir()
    report = run(create_executable_wrapper(Number(), inbox=inbox), TOKEN)
    logs = script.parent / "logs" / "number=1" / "Number"
    cwd, arguments, environment = json.loads((logs / "stdout").read_text())
    assert (report.stdout, report.stderr, cwd) == ("", "", str(script.parent))
    assert arguments == ["it's", "--batch-runner", "--task-id", Number().task_id]
    assert environment["NUMBER"] == "7"
    assert environment["LUIGI_CONFIG_PATH"] == str(script.parent / "luigi.cfg")
    assert environment["B2LUIGI_SETTINGS_FILES"] == str(script.parent / "settings.json")
    assert (inbox / TOKEN).read_text() == "0 none\n"


def test_another_working_dir(script: Path, tmp_path: Path) -> None:
    """With `working_dir`, the job runs there, and folders relative to the script are relative to it."""
    there = tmp_path / "there"
    shutil.copytree(script.parent, there)
    path = create_executable_wrapper(setting("working_dir", there), inbox=script.parent / "task_files" / "inbox")
    shutil.copytree(script.parent / "task_files", there / "task_files")
    (there / "task_files" / "inbox").mkdir()
    run(path, TOKEN)
    assert json.loads((there / "logs/number=1/Number/stdout").read_text())[0] == str(there)
    assert (there / "task_files" / "inbox" / TOKEN).read_text() == "0 none\n"
    assert not (script.parent / "logs").exists()


def test_a_transferred_script_needs_no_folder_of_the_submit_host(script: Path, tmp_path: Path) -> None:
    """With file transfer, script and env_script are found in the scratch folder by their file names."""
    (script.parent / "setup").mkdir()
    (script.parent / "setup" / "env.sh").write_text("export SET_UP=yes\n")
    b2luigi.set_setting("env_script", "setup/env.sh")
    path = create_executable_wrapper(setting("working_dir", "."), inbox="/not/here", carried=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for file in (*inputs_of(Number()), Path(path)):
        shutil.move(file, scratch / file.name)
    report = run(f"./{Path(path).name}", TOKEN, cwd=scratch)
    cwd, _, environment = json.loads(report.stdout)
    assert (cwd, environment["SET_UP"], report.stderr) == (str(scratch), "yes", "")
    assert (scratch / f"{TOKEN}.marker").read_text() == "0 none\n"


def test_files_a_node_needs(script: Path) -> None:
    """The script, the nearest settings file and the env_script must be transferred, each once."""
    (script.parent / "settings.json").write_text("{}")
    (script.parent / "env.sh").write_text("")
    assert inputs_of(Number()) == (script, script.parent / "settings.json")
    assert inputs_of(setting("env_script", "env.sh"))[2:] == (script.parent / "env.sh",)
    with pytest.raises(ValueError, match=r"^env_script: the file '.*nope\.sh', .* does not exist"):
        inputs_of(setting("env_script", "nope.sh"))


# -- the description of the task


@SHELLS
@pytest.mark.parametrize(
    "value",
    ["two\nlines", 'it\'s "quoted"', "\\", "\u2028\x85\r", "#b2luigi-task {}", "\ud800", os.fsdecode(b"\xff"), "$(x)"],
    ids=ascii,
)
def test_a_description_survives_the_round_trip(node: Node, value: str) -> None:
    """The description in the last line is read unchanged, and the shell ignores it."""
    description = {"task_id": f"T_{value}", "parameters": {value: value}}
    path = node.script("/bin/sh", "-c", "echo ran", description=description, folder=str(node.folder))
    assert read_description(path) == description
    assert run(path).stdout == "ran\n"


def test_the_rest_of_the_script_may_be_invalid_utf8(tmp_path: Path) -> None:
    """A job script that contains a folder name in another encoding can be read."""
    script = JobScript("T_1", ["true"], {"task_id": "T_1"}, folder=os.fsdecode(b"/data/\xff"))
    write_atomically(tmp_path / "job.sh", render(script), 0o700)
    assert read_description(tmp_path / "job.sh") == {"task_id": "T_1"}


def test_every_job_script_describes_its_task() -> None:
    """Even that of a custom batch system, so that no node needs to walk the graph."""
    found = read_description(Path(create_executable_wrapper(Number())))
    assert found == {**describe(Number()), "worker": {"call": 1}}


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("echo hello", "is not a job script"),
        ("", "is not a job script"),
        ("#b2luigi-task", "is not a job script"),
        ("#b2luigi-task [1]", "is not a JSON object"),
        ('#b2luigi-task {"a": ', "Expecting value"),
    ],
)
def test_a_file_without_a_description(tmp_path: Path, last: str, message: str) -> None:
    """A file that is not a complete job script is an error, never an empty description."""
    (tmp_path / "job.sh").write_text(f"#!/bin/sh\n{last}\n")
    with pytest.raises(ValueError, match=message):
        read_description(tmp_path / "job.sh")


# -- writing files


@pytest.mark.parametrize("mode", [0o600, 0o700, 0o644])
def test_a_file_is_replaced_atomically(script_folder: Path, mode: int) -> None:
    """It has the requested permissions, whatever the umask and its former permissions."""
    (script_folder / "file").write_text("former")
    (script_folder / "file").chmod(0o777)
    write_atomically(script_folder / "file", "new ü\n", mode)
    assert (script_folder / "file").read_bytes() == b"new \xc3\xbc\n"
    assert stat.S_IMODE((script_folder / "file").stat().st_mode) == mode
    assert os.listdir(script_folder) == ["file"]


def test_a_failed_write_leaves_no_temporary_file(script_folder: Path) -> None:
    """If the path is a folder, the error is raised and the temporary file is removed."""
    (script_folder / "place" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="place"):
        write_atomically(script_folder / "place", "text", 0o600)
    assert os.listdir(script_folder) == ["place"]
