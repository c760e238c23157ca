"""The pages on cron, CI, exit codes, shared projects and requesting more: what they show is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import b2luigi
from b2luigi.core.settings_json import read_settings
from b2luigi.monitor.report.statistics import Spread, advice
from tests.end_to_end.project import Project, end_of
from tests.snippets import ROOT, Snippet, of_page

FOLDER = ROOT / "docs" / "how-to"
SCRIPT = """
    class Part(b2luigi.Task):
        n = b2luigi.IntParameter()
        def output(self):
            yield self.add_to_output("part.txt")
        def run(self):
            assert self.n != 1, "one is unlucky"
            open(self.get_output_file_name("part.txt"), "w").close()

    if __name__ == "__main__":
        b2luigi.process([Part(n=n) for n in range({tasks})])
"""
"""A script of which the second task fails."""


def snippets_of(page: str, language: str) -> list[Snippet]:
    return [snippet for snippet in of_page(FOLDER / f"{page}.md") if snippet.language == language]


def project(folder: Path, tasks: int) -> Project:
    """A project on a machine without a batch system."""
    made = Project(folder, {"B2LUIGI_SETTINGS_JSON": ""})
    made.write(SCRIPT.format(tasks=tasks), name="my_script.py")
    return made


def with_venv(project: Project) -> None:
    """`venv/bin/python` is the Python of this test, with its packages."""
    (project.folder / "venv" / "bin").mkdir(parents=True)
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    program = project.folder / "venv" / "bin" / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(paths)} exec {sys.executable} "$@"\n')
    program.chmod(0o755)


# -- exit codes


def test_exit_codes(tmp_path: Path) -> None:
    """Each way to set one works, and [retcode] wins over the others; without any it is 0."""
    (settings,) = (one.text for one in snippets_of("cron-and-ci", "json") if "batch_system" not in one.text)
    retcode = snippets_of("cron-and-ci", "ini")[0].text
    ways: dict[str, tuple[dict[str, str], tuple[str, ...], int, int]] = {
        "none": ({}, (), 2, 0),
        "setting": ({"settings.json": settings}, (), 2, 1),
        "flag": ({}, ("--failure-exit-code", "1"), 2, 1),
        "retcode": ({"settings.json": settings, "luigi.cfg": retcode}, (), 2, 30),
        "wrong setting": ({"settings.json": '{"env": 3}'}, (), 2, 1),
        "unknown argument": ({}, ("--no-such-flag",), 2, 2),
        "dry run": ({"settings.json": settings}, ("--dry-run",), 2, 0),
    }
    started = {}
    for name, (files, arguments, tasks, _) in ways.items():
        made = project(tmp_path / name, tasks)
        for file, text in files.items():
            (made.folder / file).write_text(text)
        started[name] = made.start(*arguments, name="my_script.py")
    ends = {name: end_of(process).rc for name, process in started.items()}
    assert ends == {name: code for name, (*_, code) in ways.items()}


# -- cron and CI


def test_the_line_for_cron(tmp_path: Path) -> None:
    """In the environment of cron it runs the script and returns its exit code; not while the last run is at work."""
    (snippet,) = snippets_of("cron-and-ci", "none")
    made = project(tmp_path / "project", 2)
    with_venv(made)
    lock = tmp_path / "lock"
    fields, command = snippet.text[: len("0 * * * * ")], snippet.text[len("0 * * * * ") :]
    assert re.fullmatch(r"[0-9*]+ (\S+ ){4}", fields)
    command = command.replace("/home/me/project", str(made.folder)).replace("/tmp/me-project.lock", str(lock))
    cron = {"HOME": str(tmp_path), "LOGNAME": "me", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    held = subprocess.run(["flock", lock, "/bin/sh", "-c", command], env=cron, cwd="/")
    assert (held.returncode, list(made.folder.glob("n=*"))) == (1, [])
    done = subprocess.run(["/bin/sh", "-c", command], env=cron, cwd="/")
    log = made.read("cron.log")
    assert done.returncode == 1
    assert "one is unlucky" in log
    assert (made.folder / "n=0" / "part.txt").exists(), log


def test_the_job_for_ci(tmp_path: Path) -> None:
    """Its three commands run with the settings of the page: the report is made, and a failure fails the job."""
    (settings,) = (one.text for one in snippets_of("cron-and-ci", "json") if "batch_system" in one.text)
    (snippet,) = snippets_of("cron-and-ci", "yaml")
    commands = re.findall(r"^    - python (.*)$", snippet.text, flags=re.MULTILINE)
    made = project(tmp_path / "project", 2)
    name = re.search(r"B2LUIGI_SETTINGS_JSON: (\S+)", snippet.text)
    assert name
    (made.folder / name[1]).write_text(settings)
    made.env["B2LUIGI_SETTINGS_JSON"] = name[1]
    ends = [end_of(made.start_python(*shlex.split(words))) for words in commands]
    assert [ended.rc for ended in ends] == [0, 1, 0], "\n".join(ended.text for ended in ends)
    assert (made.folder / "ci-results" / "n=0" / "part.txt").exists()
    for path in re.findall(r"[\w./]+", snippet.text.partition("paths: [")[2]):
        assert (made.folder / path).exists(), path


def test_a_mail_at_the_end_of_a_run(tmp_path: Path) -> None:
    """The report of the failure goes to `mail`."""
    (snippet,) = (one for one in snippets_of("cron-and-ci", "bash") if "mail -s" in one.text)
    mail = tmp_path / "bin" / "mail"
    mail.parent.mkdir()
    mail.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/mail; cat >> {tmp_path}/mail\n')
    mail.chmod(0o755)
    made = project(tmp_path / "project", 2)
    with_venv(made)
    env = {**made.env, "PATH": f"{mail.parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", snippet.text], cwd=made.folder, env=env, check=True)
    sent = (tmp_path / "mail").read_text()
    assert sent.startswith("-s analysis failed me@example.org\n")
    assert "one is unlucky" in sent


@pytest.mark.parametrize("page", ["cron-and-ci", "shared-projects", "ten-thousand-tasks", "run-for-days"])
def test_files_of_settings_pass_the_checks(page: str, tmp_path: Path) -> None:
    """Names and values."""
    for number, snippet in enumerate(snippets_of(page, "json")):
        path = tmp_path / f"{number}.json"
        path.write_text(snippet.text)
        assert read_settings(str(path)) == json.loads(snippet.text)


# -- shared projects


def test_how_to_open_a_project_to_the_group(tmp_path: Path) -> None:
    """The group may write everywhere, and what is made afterwards belongs to the group."""
    text = snippets_of("shared-projects", "bash")[0].text
    folder = tmp_path / "project"
    (folder / "logs").mkdir(parents=True)
    (folder / "my_script.py").touch(mode=0o640)
    group = str(os.getgid())
    subprocess.run(
        ["bash", "-e", "-c", text.replace("/group/project", str(folder)).replace("mygroup", group)], check=True
    )
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "logs", *folder.glob("*.py"))}
    assert modes["project"] & modes["logs"] & stat.S_ISGID
    assert all(mode & stat.S_IWGRP for mode in modes.values())


# -- more on a retry


def test_a_list_of_requests_ends() -> None:
    """Each attempt requests the next entry; after the last one the request stays, so the task fails."""
    (snippet,) = (one for one in snippets_of("ask-for-more", "python") if "MEMORY" in one.text)
    names: dict[str, object] = {"__name__": "snippet_of_requests"}
    exec(compile("import b2luigi\n" + snippet.text, "snippet", "exec"), names)
    cls = names["MyListedTask"]
    assert isinstance(cls, type)
    assert issubclass(cls, b2luigi.Task)
    asked = []
    for attempt in range(1, cls.job_retries + 3):
        task = cls()
        task.job_attempt = attempt
        asked.append(b2luigi.get_setting("htcondor_settings", task=task)["request_memory"])
    assert asked == ["2 GB", "4 GB", "16 GB", "16 GB"]


def test_what_the_report_suggests() -> None:
    """The words on the page are those of the report, for three tasks that needed at most 2.4 GB of their 16 GB."""
    suggested = advice(Spread.of([1.1e9, 1.2e9, 2.4e9]), 16e9)
    assert f"`{suggested}`" in (FOLDER / "ask-for-more.md").read_text()
