"""`b2luigi run`, `attach`, `retry`: what is decided before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from b2luigi.cli.command import leaving
from b2luigi.cli.command.run import words_of
from b2luigi.monitor import load
from b2luigi.monitor.display.attached import story_of, totals_of
from tests.cli.command.conftest import Call
from tests.monitor.journals import BEGAN, Text


def test_the_command_that_runs_a_script() -> None:
    """By the Python of the command; flags that are given are not given twice, and those after -- are the script's."""
    assert words_of(Path("a.py"), ["x"]) == [sys.executable, "a.py", "--batch", "--failure-exit-code", "1", "x"]
    assert words_of(Path("a.py"), ["--failure-exit-code=7", "--batch"])[2:] == ["--failure-exit-code=7", "--batch"]
    assert words_of(Path("a.py"), ["--", "--batch"])[2:] == ["--batch", "--failure-exit-code", "1", "--", "--batch"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere.py"), "There is no script nowhere.py"),
        (("cancel",), "Which tasks?"),
        (("retry",), "Which tasks?"),
        (("retry", "Make(n=1)"), "is done"),
        (("retry", "--failed"), "its script is not there"),
        (("attach",), "no longer running"),
        (("cancel", "Mak"), "The nearest: Make"),
    ],
)
def test_what_cannot_be(words: tuple[str, ...], said: str, journal: Text, call: Call) -> None:
    """A sentence, and 1: the run of this journal is over, and its script was removed."""
    result = call(*words)
    assert (result.exit_code, said in result.stderr) == (1, True), result.output


def test_a_script_is_started_again_only_if_the_user_says_so(journal: Text, project: Path, call: Call) -> None:
    """The command that would run is shown first."""
    script = Path(load(project)[0].script)
    if not script.is_absolute():
        script = project / script
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text("raise AssertionError('nobody said so')\n")
    result = call("retry", "--failed")
    assert result.exit_code == 1
    assert f"{script.name} --batch" in result.output or script.name in result.output
    assert "Start it?" in result.output


def test_the_block_of_another_terminal(journal: Text, project: Path) -> None:
    """Counts, the last failure, and how long it has taken, from the journal alone."""
    run = load(project)[0]
    totals, story = totals_of(run), story_of(run, now=BEGAN + 600)
    assert (totals.tasks, totals.done, totals.failed) == (5, 1, 1)
    assert (totals.waiting("Merge"), totals.of_jobs("queued")) == (1, 1)
    assert story.elapsed == 600
    assert story.last_failure.startswith("Make(n=2, mode=fast) failed: ValueError: ")
    assert "\x1b" not in story.last_failure


@pytest.mark.parametrize(
    ("files", "in_session", "ends"),
    [
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, True, True),
        ({"etc/systemd/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, True, False),
        ({"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, False, False),
        (
            {
                "etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n",
                "usr/lib/systemd/logind.conf.d/50.conf": "[Login]\nKillUserProcesses=no\n",
            },
            True,
            False,
        ),
        (
            {
                "usr/lib/systemd/logind.conf.d/50.conf": "[Login]\nKillUserProcesses=no\n",
                "etc/systemd/logind.conf.d/50.conf": "[Login]\nKillUserProcesses=1\n",
            },
            True,
            True,
        ),
        ({}, True, False),
    ],
)
def test_a_machine_that_ends_all_processes_of_a_session(
    files: dict[str, str], in_session: bool, ends: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As logind.conf(5) has it: drop-ins win over the file, and those in /etc over those of the vendor."""
    monkeypatch.setattr(leaving, "kinds", list)
    root = tmp_path / "root"
    where = "/user.slice/user-1000.slice/session-3.scope" if in_session else "/user.slice/user@1000.service/app"
    for name, text in {**files, "proc/self/cgroup": f"0::{where}\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert any("KillUserProcesses" in danger for danger in leaving.dangers(root)) == ends


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, call: Call) -> None:
    """Printed for each shell; it knows the commands."""
    assert "_B2LUIGI_COMPLETE" in call("--show-completion", shell).stdout.upper()
