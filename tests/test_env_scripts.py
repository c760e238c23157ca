"""The env_scripts on the pages of the batch systems: job scripts source them, with stand-ins for conda and its kind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from b2luigi.core.job_script import JobScript, render
from tests.snippets import ROOT, Snippet, of_page

FOLDER = ROOT / "docs" / "batch-systems"
PAGES = ("htcondor", "slurm", "lsf", "this-machine")
SCRIPTS = [
    snippet
    for page in PAGES
    for snippet in of_page(FOLDER / f"{page}.md")
    if snippet.language == "bash" and snippet.text.startswith("# env.sh\n")
]
SHELLS = pytest.mark.parametrize(
    "shell",
    [
        "bash",
        pytest.param("dash", marks=pytest.mark.skipif(not Path("/bin/dash").exists(), reason="no dash here")),
    ],
)
REPORT = "import json, os, sys; print(json.dumps([sys.prefix, dict(os.environ)]))"
CONDA = """\
conda() {{
    [ "$1 $2" = "activate analysis" ] || return 1
    export CONDA_PREFIX={folder}/envs/analysis
    export PATH="$CONDA_PREFIX/bin:$PATH"
}}
"""
VIEW = """\
export LCG_VERSION=106
[ -n "$NO_SUCH_VARIABLE" ] && export NOTHING=1
false
export PYTHONHOME_OF_VIEW=set
"""
MODULES = """\
module() {
    [ "$1" != purge ] || LOADED=
    [ "$1" != load ] || LOADED="$LOADED $2"
    export LOADED
}
"""


class Node(NamedTuple):
    """A node with the software of a user, in folders of this test instead of those on the pages."""

    folder: Path

    @property
    def project(self) -> Path:
        """The folder of the script."""
        return self.folder / "project"

    def put(self, path: str, text: str) -> None:
        """Writes a file of the stand-ins."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def moved(self, text: str) -> str:
        """The text of a page with the folders of this test."""
        return re.sub(r"(?<![\w.])/(home/me|cvmfs|etc/profile\.d)/", lambda found: f"{self._of(found[1])}/", text)

    def _of(self, place: str) -> Path:
        return self.folder if place == "home/me" else self.folder / place

    def run(self, env_script: str, shell: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs a job script with this env_script, of which the program says what it has."""
        (self.project / "env.sh").write_text(env_script)
        return self.run_job(shell, env)

    def run_job(self, shell: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs a job script that sources `env.sh`."""
        script = JobScript(
            "Fit_3", ["python3", "-c", REPORT], shell=shell, folder=str(self.project), env_script="env.sh"
        )
        path = self.project / "job.sh"
        path.write_text(render(script))
        return subprocess.run([f"/bin/{shell}", path], cwd="/", env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A real venv; conda, a view on CVMFS and environment modules as far as an env_script meets them."""
    node = Node(tmp_path_factory.mktemp("node"))
    node.put("project/software/package.py", "")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", node.project / "venv"], check=True)
    miniforge = node.folder / "miniforge3"
    node.put("miniforge3/etc/profile.d/conda.sh", CONDA.format(folder=miniforge))
    (miniforge / "envs/analysis/bin").mkdir(parents=True)
    (miniforge / "envs/analysis/bin/python3").symlink_to(Path(sys.executable).resolve())
    node.put("cvmfs/sft.cern.ch/lcg/views/LCG_106/x86_64-el9-gcc13-opt/setup.sh", VIEW)
    node.put("etc/profile.d/modules.sh", MODULES)
    return node


def starts_with(snippet: Snippet) -> dict[str, str]:
    """The environment with which the batch system of a page starts a job."""
    is_empty = snippet.page.stem == "htcondor"
    return {} if is_empty else {"PATH": os.environ["PATH"], "LOADED": " inherited", "HOME": "/root", "USER": "me"}


def found_by(done: subprocess.CompletedProcess[str]) -> tuple[str, dict[str, Any]]:
    """The prefix of the Python that ran, and its environment."""
    assert done.returncode == 0, done.stderr
    prefix, environment = json.loads(done.stdout)
    return prefix, environment


@SHELLS
@pytest.mark.parametrize("snippet", SCRIPTS, ids=str)
def test_each_env_script_activates_its_software(node: Node, snippet: Snippet, shell: str) -> None:
    """From what a job of the batch system starts with; the Python that runs the task is the one that was meant."""
    prefix, environment = found_by(node.run(node.moved(snippet.text), shell, starts_with(snippet)))
    assert all(environment.get(name) for name in ("PATH", "HOME", "USER"))
    if "venv/bin/activate" in snippet.text:
        assert prefix == environment["VIRTUAL_ENV"] == str(node.project / "venv")
    if "conda.sh" in snippet.text:
        assert environment["PATH"].startswith(f"{environment['CONDA_PREFIX']}/bin:")
    if "/cvmfs/" in snippet.text:
        assert environment["PYTHONHOME_OF_VIEW"] == "set"
    if "module load" in snippet.text:
        assert environment["LOADED"] == " python/3.11"
    if "PYTHONPATH" in snippet.text:
        assert environment["PYTHONPATH"] == str(node.project / "software")


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_all_four(page: str) -> None:
    """A venv, conda, a view on CVMFS, environment modules."""
    texts = [snippet.text for snippet in SCRIPTS if snippet.page.stem == page]
    for what in ("# env.sh\n. /home/me/project/venv/bin/activate", "conda activate", "/cvmfs/", "module load"):
        assert [text for text in texts if what in re.sub(r"export .*\n", "", text)], what


# -- what goes wrong


@SHELLS
def test_a_set_up_script_whose_lines_fail_without_harm(node: Node, shell: str) -> None:
    """Without `set +e` the job ends, at the line of the set-up script; bash says which."""
    snippet = next(snippet for snippet in SCRIPTS if "/cvmfs/" in snippet.text)
    done = node.run(node.moved(snippet.text.replace("set +e\n", "")), shell, starts_with(snippet))
    assert done.returncode == 1
    assert "ended while running the env_script env.sh" in done.stderr
    if shell == "bash":
        assert re.search(r"b2luigi: status 1 in line 3 of \S+/setup\.sh", done.stderr)


def quoted(words: str) -> str:
    """What a row of the table of failures shows that begins so."""
    text = (FOLDER / "environment.md").read_text()
    found = re.search(rf"^\| `({re.escape(words)}[^`]*)`", text, flags=re.MULTILINE)
    assert found, words
    return found[1]


def test_what_the_log_says(node: Node) -> None:
    """The messages in the table of failures, to the letter."""
    env = {"PATH": "/usr/bin:/bin"}
    failing = node.run("# one\n# two\nfalse\n", "bash", env)
    assert quoted("b2luigi: status 1") in failing.stderr

    assert quoted("ended while looking") in node.run("PATH=/no/such\n", "bash", env).stderr

    assert "module: command not found" in node.run("module load python\n", "bash", env).stderr

    (node.project / "env.sh").unlink()
    unread = quoted("b2luigi: cannot read").replace("/home/me/project", str(node.project))
    assert unread in node.run_job("bash", env).stderr


def test_limits_of_this_machine(node: Node) -> None:
    """`ulimit -v` in an env_script makes Python raise a MemoryError."""
    (snippet,) = [one for one in of_page(FOLDER / "this-machine.md") if one.text.startswith("# limits.sh\n")]
    tries = f"{sys.executable} -c 'bytearray(5 * 10**9)'"
    done = node.run(f"{snippet.text}{tries}\n", "bash", {"PATH": "/usr/bin:/bin"})
    assert "MemoryError" in done.stderr


def test_how_to_try_an_env_script(node: Node) -> None:
    """The command on the page shows the Python and the b2luigi that a job gets."""
    snippet = next(one for one in of_page(FOLDER / "environment.md") if "env -i bash" in one.text)
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    (node.project / "env.sh").write_text(f". {node.project}/venv/bin/activate\nexport PYTHONPATH={paths}\n")
    done = subprocess.run(["bash", "-c", node.moved(snippet.text)], capture_output=True, text=True)
    shown = [f"{node.project}/venv/bin/python3", str(ROOT / "b2luigi" / "__init__.py")]
    assert done.stdout.splitlines() == shown, done.stderr
