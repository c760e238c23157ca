"""Job scripts that enter a container, executed for real: one that only clears, and one that really hides."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from b2luigi.core.container import Bind, Container
from b2luigi.core.files import write_atomically
from b2luigi.core.job_script import (
    BEGUN_VARIABLE,
    CUT_SHORT,
    OUTCOME_VARIABLE,
    SCRIPT_VARIABLE,
    JobScript,
    read_description,
    render,
)
from tests.present import present
from tests.standins.apptainer import put_apptainer, put_image, why_not_real
from tests.waiting import PATIENCE, until

TOKEN = "0123456789abcdef"
BEGIN = f'echo > "${BEGUN_VARIABLE}"'
PRINT = "import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))"
KINDS = [
    "bare",
    pytest.param("real", marks=pytest.mark.skipif(bool(why_not_real()), reason=f"no real container: {why_not_real()}")),
]


class Node:
    """A node with Apptainer, the folders that a job script needs, and its results."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.home, self.inbox, self.logs = folder / "home", folder / "inbox", folder / "logs"
        for made in (self.home, self.inbox):
            made.mkdir(parents=True)
        self.image, self.bin = put_image(folder.with_name("image.sif")), folder.with_name("bin")
        self.program = put_apptainer(self.bin, kind)

    def script(self, *command: str, container: Container | None = None, **fields: Any) -> Path:
        own = {"folder": str(self.folder), "home": str(self.home), "inbox": str(self.inbox), "logs": str(self.logs)}
        within = container or self.container()
        script = JobScript("T_1", command, {"task_id": "T_1"}, container=within, **{**own, **fields})
        write_atomically(self.home / "job.sh", render(script), 0o700)
        return self.home / "job.sh"

    def container(self, shows: Sequence[Path] = (), **fields: Any) -> Container:
        """One that shows the folder of the script, and these."""
        binds = [Bind(str(path), str(path)) for path in (self.folder, *shows)]
        return replace(Container(str(self.image), str(self.program), binds=binds), **fields)

    def run(self, *command: str, token: str = TOKEN, **fields: Any) -> subprocess.CompletedProcess[str]:
        words = [str(self.script(*command, **fields)), *([token] if token else [])]
        return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=PATIENCE)

    def sh(self, text: str, **fields: Any) -> subprocess.CompletedProcess[str]:
        return self.run("/bin/sh", "-c", text, **fields)

    @property
    def marker(self) -> str:
        return (self.inbox / TOKEN).read_text()

    @property
    def stdout(self) -> str:
        return (self.logs / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.logs / "stderr").read_text()


@pytest.fixture(params=KINDS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(tmp_path / "node", request.param)


@pytest.fixture
def real(tmp_path: Path) -> Node:
    if why_not_real():
        pytest.skip(f"no real container: {why_not_real()}")
    return Node(tmp_path / "node", "real")


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_environment_is_set_up_inside(node: Node, shell: str) -> None:
    """Of the node's environment nothing passes, yet env_script, env and all variables of b2luigi are there."""
    (node.folder / "env.sh").write_text("export FROM_SCRIPT=$PWD A=script; cd /\n")
    env = {"A": "setting", "B": "it's $HOME"}
    report = subprocess.run(
        [node.script(sys.executable, "-ISc", PRINT, container=node.container([Path(sys.prefix), Path(sys.base_prefix)]),
                     env_script="env.sh", env=env, own_env={"OWN": "1"}, shell=shell), TOKEN],
        env={**os.environ, "OF_NODE": "1"},
    )  # fmt: skip
    assert (report.returncode, node.marker, node.stderr) == (0, "0 none\n", "")
    cwd, found = json.loads(node.stdout)
    assert cwd == found["FROM_SCRIPT"] == str(node.folder)
    assert "OF_NODE" not in found
    assert [found[name] for name in ("A", "B", "OWN")] == ["setting", "it's $HOME", "1"]
    assert found[SCRIPT_VARIABLE] == str(node.home / "job.sh")
    assert found[OUTCOME_VARIABLE] == str(node.home / f"{TOKEN}.outcome")
    assert found[BEGUN_VARIABLE] == str(node.home / f"{TOKEN}.begun")


def test_values_are_no_arguments(node: Node) -> None:
    """Other users of the node see the arguments of all processes, and must not see values of env."""
    seen = 'cat "/proc/$PPID/cmdline" /proc/self/cmdline | tr "\\0" " "'
    node.sh(seen, env={"PASSWORD": "hunter2"})
    assert "--inside" in node.stdout
    assert "hunter2" not in node.stdout + node.stderr


@pytest.mark.parametrize(
    ("command", "marker"),
    [
        ("true", "0 none\n"),
        ("exit 3", "3 none\n"),
        ("exit 255", "255 none\n"),
        ("kill -9 $$", "137 none\n"),
        (f'echo found > "${OUTCOME_VARIABLE}"', "0 outcome\n"),
        (f"{BEGIN}; exit 0", f"{CUT_SHORT} none\n"),
        (f"{BEGIN}; exit 4", "4 none\n"),
        (f'{BEGIN}; rm "${BEGUN_VARIABLE}"', "0 none\n"),
    ],
)
def test_exit_codes_and_outcomes_come_out(node: Node, command: str, marker: str) -> None:
    """The marker says what it would say without a container, nothing is said of a task that ran, no file is left."""
    report = node.sh(command)
    assert (report.returncode, node.marker) == (int(marker.split()[0]), marker)
    assert "ended while" not in node.stderr
    assert sorted(path.name for path in node.home.iterdir() if path.suffix != ".outcome") == ["job.sh"]


def test_by_hand(node: Node) -> None:
    """Without a token the output is not redirected, and no file is left."""
    report = node.sh(f'echo out; echo err >&2; echo "[${OUTCOME_VARIABLE}]"; exit 4', token="")
    assert (report.returncode, report.stdout, report.stderr) == (4, "out\n[]\n", "err\n")
    assert [os.listdir(node.home), os.listdir(node.inbox)] == [["job.sh"], []]


def test_standard_input_reaches_the_task(node: Node) -> None:
    """A debugger works in a task that is run by hand."""
    words = [node.script("/bin/sh", "-c", "read line; echo got $line")]
    assert subprocess.run(words, input="it\n", capture_output=True, text=True).stdout == "got it\n"


def test_the_umask_of_the_submit_host(node: Node) -> None:
    """Files that are made in the container have the permissions that they have on the submit host."""
    node.sh("umask", umask=0o027)
    assert node.stdout == "0027\n"


def test_what_is_not_bound_is_hidden(real: Node, tmp_path: Path) -> None:
    """The stand-in makes a container: a folder that no setting names is not there."""
    (tmp_path / "elsewhere").mkdir()
    real.sh(f"ls {tmp_path}")
    assert sorted(real.stdout.split()) == ["node"]


def test_binds_are_optional_only_if_they_are_ours(node: Node, tmp_path: Path) -> None:
    """What the node lacks of our own folders is left out; what the user named must be there."""
    (tmp_path / "data").mkdir()
    there, nowhere = str(tmp_path / "data"), str(tmp_path / "no where")
    ours = Bind(nowhere, nowhere)
    binds = [*node.container().binds, ours, Bind(there, there, False)]
    assert node.sh(f"ls -d {there}", container=node.container(binds=binds)).returncode == 0
    assert node.sh("true", container=node.container(binds=[Bind(nowhere, nowhere, False)])).returncode == 1
    assert f"ended while looking for {nowhere} (setting apptainer_mounts), on node" in node.stderr


def test_names_with_colons_and_commas(real: Node, tmp_path: Path) -> None:
    """Folders are often named by values of parameters."""
    odd = tmp_path / "a:b,c d"
    odd.mkdir()
    spec = str(odd).replace(":", "\\:").replace(",", "\\,")
    binds = [*real.container().binds, Bind(spec, str(odd))]
    report = real.sh(f"ls -d {shlex.quote(str(odd))}", container=real.container(binds=binds))
    assert (report.returncode, real.stdout) == (0, f"{odd}\n")


@pytest.mark.parametrize("scratch", ["scratch", ""])
def test_the_scratch_folder_of_the_job(real: Node, tmp_path: Path, scratch: str) -> None:
    """The folder for temporary files that a batch system made for the job is shown, and used; /tmp is the image's."""
    (tmp_path / "scratch").mkdir()
    env = {**os.environ, "TMPDIR": str(tmp_path / scratch) if scratch else "/tmp"}
    command = f'echo "TMPDIR=${{TMPDIR-none}}"; ls -d {tmp_path}/scratch'
    code = subprocess.run([real.script("/bin/sh", "-c", command), TOKEN], env=env).returncode
    assert (code == 0) is bool(scratch)
    assert real.stdout.splitlines()[0] == (f"TMPDIR={tmp_path}/scratch" if scratch else "TMPDIR=none")


def test_the_result_folder_is_made(node: Node, tmp_path: Path) -> None:
    """A folder that does not exist yet cannot be shown."""
    results = tmp_path / "results" / "new"
    shown = node.container([results], result_dir=str(results))
    assert node.sh(f"echo > {results}/a", container=shown).returncode == 0
    assert (results / "a").exists()


def test_a_job_script_in_a_spool(node: Node, tmp_path: Path) -> None:
    """A batch system may copy the job script; the copy is what the container shows."""
    (tmp_path / "spool").mkdir()
    copy = tmp_path / "spool" / "job.sh"
    write_atomically(copy, node.script("/bin/sh", "-c", f'cat "${SCRIPT_VARIABLE}"').read_text(), 0o700)
    subprocess.run([copy, TOKEN])
    assert node.stdout == copy.read_text()
    assert read_description(copy) == {"task_id": "T_1"}


def test_where_the_job_starts_is_known_on_the_node_only(node: Node, tmp_path: Path) -> None:
    """With transferred files, everything is in the folder in which the batch system starts the job."""
    binds = [Bind(".", "."), Bind("not/there", "not/there")]
    script = node.script(
        "/bin/sh", "-c", f'pwd; echo x > "${OUTCOME_VARIABLE}"', folder=None, home=".", inbox=None, logs=None,
        container=node.container(binds=binds, image="image.sif"),
    )  # fmt: skip
    put_image(node.folder / "image.sif")
    words = [str(script.rename(node.folder / "job.sh")), TOKEN]
    done = subprocess.run(words, cwd=node.folder, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{node.folder}\n", "")
    assert (node.folder / f"{TOKEN}.marker").read_text() == "0 outcome\n"


# -- what may be wrong


def test_a_node_has_either_program(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting, apptainer is taken, or else singularity; the message for neither names the setting."""
    either, monkey = node.container(program=""), monkeypatch
    monkey.setenv("PATH", f"{node.bin}:/usr/bin:/bin")
    assert node.sh("true", container=either).returncode == 0
    node.program.rename(node.bin / "singularity")
    assert node.sh("true", container=either).returncode == 0
    (node.bin / "singularity").unlink()
    assert node.sh("true", container=either).returncode == 127
    assert "while looking for the program apptainer or singularity (setting apptainer_cmd), on node" in node.stderr
    assert node.marker == "127 none\n"


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"program": "/no/apptainer"}, 127, "while looking for the program /no/apptainer (setting apptainer_cmd)"),
        ({"image": "/no/image.sif"}, 1, "while looking for the container /no/image.sif (setting apptainer_image)"),
        ({"image": "docker://no"}, 255, "entering the container docker://no (settings apptainer_image, apptainer_cmd"),
        ({"options": ["--no-such"]}, 1, "apptainer_additional_params, shell), on node"),
        ({"binds": []}, 255, "while entering the container"),
        ({"program": "true"}, 1, "while entering the container"),
        ({"result_dir": "/proc/no"}, 1, "while creating the folder /proc/no (setting result_dir)"),
    ],
)  # fmt: skip
def test_a_container_that_cannot_be_entered(node: Node, fields: dict[str, Any], code: int, words: str) -> None:
    """The job ends before its task, with a sentence that names the settings, after what the program itself said."""
    report = node.sh("echo ran", container=node.container(**fields))
    if fields == {"binds": []} and node.program.read_text().count("'real'"):
        code = 127  # the shell in the container sees no job script
    assert (report.returncode, node.marker, node.stdout) == (code, f"{code} none\n", "")
    assert words in node.stderr
    assert os.listdir(node.home) == ["job.sh"]


def test_a_shell_that_the_image_lacks(node: Node) -> None:
    """The setting shell holds for the container as well."""
    shell = node.bin / "mysh"
    shell.symlink_to("/bin/bash")
    assert node.sh("true", shell=str(shell)).returncode == 255
    assert "shell), on node" in node.stderr


def test_a_job_that_starts_again(node: Node) -> None:
    """A note that it was in the container, left on a node that died, says nothing of the next start."""
    (node.home / f"{TOKEN}.inside").touch()
    assert node.sh("true", container=node.container(options=["--no-such"])).returncode == 1
    assert "while entering the container" in node.stderr


def test_a_disk_that_is_full_for_a_moment(node: Node) -> None:
    """The outcome alone says that the task ran; the note of the container could not be written."""
    write = f'echo x > "${OUTCOME_VARIABLE}"'
    script = node.script("/bin/sh", "-c", write)
    text = script.read_text().replace('{ true > "$b2luigi_inside"; }', "{ false; }")
    write_atomically(script, text, 0o700)
    assert subprocess.run([script, TOKEN]).returncode == 0
    assert node.marker == "0 outcome\n"


@pytest.mark.parametrize(
    ("text", "command", "code", "words"),
    [
        ("true\nfalse\n", "true", 1, "status 1 in line 2 of ./env.sh"),
        ("exit 0\n", "true", 1, "while running the env_script env.sh, in the container on node"),
        ("", "/no/python", 127, "executable_prefix, env_script, apptainer_mounts), in the container"),
        ("trap 'echo mine' EXIT; set -eu\n", "true", 0, ""),
    ],
)  # fmt: skip
def test_what_fails_inside_is_reported_once(node: Node, text: str, command: str, code: int, words: str) -> None:
    """The sentences of a job without container, with the container as their place."""
    (node.folder / "env.sh").write_text(text)
    report = node.run(command, env_script="env.sh")
    assert (report.returncode, node.marker) == (code, f"{code} none\n")
    assert words in node.stderr
    assert node.stderr.count("b2luigi: the job") == (code != 0)
    assert "mine" not in node.stdout


def test_an_env_script_that_the_container_does_not_show(real: Node, tmp_path: Path) -> None:
    """The message names it."""
    (tmp_path / "env.sh").touch()
    assert real.sh("true", env_script=str(tmp_path / "env.sh")).returncode == 1
    assert f"cannot read the env_script {tmp_path}/env.sh" in real.stderr


# -- signals


CAUGHT = 'trap "echo caught > caught; exit 1" TERM; echo > begun; while true; do sleep 0.05; done'


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the script", "its group"])
def test_a_signal_reaches_the_task(node: Node, kill: Any) -> None:
    """Batch systems signal the job script alone, or its process group; the marker says so either way."""
    process = subprocess.Popen([node.script("/bin/sh", "-c", CAUGHT), TOKEN], start_new_session=True)
    until((node.folder / "begun").exists, "the task runs")
    kill(process.pid, signal.SIGTERM)
    assert process.wait(PATIENCE) in (143, -15)
    assert node.marker == "143 none\n"
    assert "a signal stopped the job of task T_1 while running the task in the container, on node" in node.stderr
    until((node.folder / "caught").exists, "the task has caught the signal")
    assert sorted(os.listdir(node.home)) == ["job.sh"]


def test_a_task_that_is_shot_leaves_no_part_of_its_container(node: Node) -> None:
    """SIGKILL to the group, as when its patience is over, ends all that runs in the container."""
    command = f"{BEGIN}; echo $$ > begun; sleep 1000"
    process = subprocess.Popen([node.script("/bin/sh", "-c", command), TOKEN], start_new_session=True)
    until(lambda: (node.folder / "begun").exists() and (node.folder / "begun").read_text(), "the task runs")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)
    pid = int((node.folder / "begun").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists(), "the task has ended")
    assert present(process.returncode) == -signal.SIGKILL


def test_a_signal_while_the_env_script_runs(node: Node) -> None:
    """It counts as a signal, and not as a failure of the env_script."""
    (node.folder / "env.sh").write_text("echo > begun; sleep 1000\n")
    process = subprocess.Popen([node.script("true", env_script="env.sh"), TOKEN], start_new_session=True)
    until((node.folder / "begun").exists, "the env_script runs")

    def is_over() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # again: one between the fork and the exec of a child is lost on it
            process.poll()
            return False
        return True

    until(is_over, "all of it has ended", every=0.2)
    assert node.marker == "143 none\n"
    assert "while running the env_script" not in node.stderr
