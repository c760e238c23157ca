"""What the documentation says is what the code does."""

from __future__ import annotations

import inspect
import json
import re
import runpy
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import luigi
import pytest
from typer.core import TyperGroup
from typer.main import get_command

import b2luigi
from b2luigi.batch import systems
from b2luigi.batch.attempts.judge import AGAIN
from b2luigi.batch.systems.model import Cause
from b2luigi.cli.command.app import app
from b2luigi.core.flags import FLAGS
from b2luigi.core.known_settings import KNOWN
from b2luigi.core.settings import get_merged_setting, with_new_settings
from b2luigi.monitor import Run, State, Task
from b2luigi.monitor.journal.model import FORMAT
from tests.end_to_end.project import FAST, Project, end_of
from tests.snippets import PAGES, ROOT, Snippet, anchors, prose, snippets

DOCS = ROOT / "docs"
PYTHON = snippets("python")
NAMES = {*KNOWN, *(old for setting in KNOWN.values() for old in setting.old_names)}
OF_THE_COMMAND = ("command.md", "json.md", "messages.md", "trouble.md", "quick-start.md")
"""Pages that mention options of the command `b2luigi`, too."""
EXAMPLES = {int: 3, float: 0.5, list: [1, 2]}
"""A value for each class of parameter in the snippets; a text where none stands here."""


def test_the_page_of_settings_is_made_from_the_table() -> None:
    """`python docs/make_settings_page.py` was run after the last change of a setting."""
    made = runpy.run_path(str(DOCS / "make_settings_page.py"))
    assert (DOCS / "settings.md").read_text() == made["page"]()


def test_the_reference_is_made_from_the_tables() -> None:
    """`python docs/make_reference.py` was run after the last change of a flag, or of a word of a batch system."""
    for path, text in runpy.run_path(str(DOCS / "make_reference.py"))["pages"]().items():
        assert path.read_text() == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file, and a heading in it."""
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", prose(page)):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_links_to_other_sites_are_safe() -> None:
    """No test looks whether they lead somewhere: `sphinx-build -b linkcheck docs docs/_build/links` tries them."""
    links = {link for page in PAGES for link in re.findall(r"\]\((\w+://[^)]*)", page.read_text())}
    assert len(links) >= 3
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_that_are_mentioned_exist(page: Path) -> None:
    """No page mentions a flag that b2luigi does not have."""
    if not page.name.startswith(("moving-", "from-")):  # those mention former flags, and flags of other programs
        mentioned = set(re.findall(r"`(--[a-z][a-z-]+)", prose(page)))
        ours = {flag.name for flag in FLAGS}
        assert mentioned <= (ours | _options_of_the_command() if page.name in OF_THE_COMMAND else ours)


def _options_of_the_command() -> set[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    context = group.make_context("b2luigi", [], resilient_parsing=True)
    commands = filter(None, (group.get_command(context, name) for name in group.list_commands(context)))
    params = [*group.params, *(param for command in commands for param in command.params)]
    return {option for param in params for option in (*param.opts, *param.secondary_opts)}


@pytest.mark.usefixtures("script_folder")
@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python_snippets_can_be_defined(snippet: Snippet) -> None:
    """Each runs, down to what it does as a script; its settings are settings, with values that can work."""
    assert [name for name in re.findall(r"set_setting\(\"(\w+)\"", snippet.text) if name not in NAMES] == []
    names: dict[str, Any] = {"__name__": f"snippet_{snippet.page.stem.replace('-', '_')}_{snippet.line}"}
    with with_new_settings():
        exec(compile("import b2luigi\n" + snippet.text, str(snippet.page), "exec"), names)
        defined = [cls for cls in names.values() if isinstance(cls, type) and issubclass(cls, luigi.Task)]
        own = [cls for cls in defined if cls.__module__ == names["__name__"]]
        assert [f"{cls.__name__}.{name}" for cls in own for name in _plain_attributes(cls) if name not in NAMES] == []
        for task in [b2luigi.Task(), *map(_example_of, own)]:
            for system in systems.OURS:
                systems.load(system).options(partial(get_merged_setting, task=task))


def test_scripts_run(tmp_path: Path) -> None:
    """Each snippet that is a script runs as jobs of this machine, with few tasks: all become done."""
    scripts = [snippet for snippet in PYTHON if snippet.is_script]
    assert len(scripts) >= 5
    projects = [_project(snippet, tmp_path / str(number)) for number, snippet in enumerate(scripts)]
    started = [project.start("--batch", name="my_script.py") for project in projects]
    ends = [end_of(process) for process in started]
    for snippet, project, ended in zip(scripts, projects, ends, strict=True):
        assert ended.rc == 0, f"{snippet}:\n{ended.text}"
        assert {record["end"] for record in project.records()} == {"DONE"}, f"{snippet}:\n{ended.text}"


def test_who_can_read_what(tmp_path: Path) -> None:
    """The modes on the page about security; and a secret stands in no file but the job script."""
    page = (DOCS / "explanation" / "security.md").read_text()
    (snippet,) = [snippet for snippet in PYTHON if snippet.page.name == "security.md"]
    project = Project(tmp_path, {})
    run = "    def run(self):\n        raise ValueError('no')\n"
    process = "b2luigi.process(Download(url='here', password='open sesame'), batch=True)\n"
    script = tmp_path / "my_script.py"
    script.write_text(f"import b2luigi\n{FAST}{snippet.text}\n{run}\n\n{process}")
    ended = project.run(name=script.name)
    assert "Task Download failed: ValueError: no" in ended.text
    assert "open sesame" not in ended.text
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != script]
    assert [path.name for path in files if "open sesame" in path.read_text()] == ["executable_wrapper.sh"]
    modes = {path.name: f"{path.stat().st_mode & 0o777:04o}" for path in files}
    assert f"(`executable_wrapper.sh`) | {modes['executable_wrapper.sh']}:" in page
    assert f"(`attempt-<n>.json`), outcome | {modes['attempt-1.json']}:" in page


@pytest.mark.parametrize("snippet", snippets("bash", "sh", "console"), ids=str)
def test_commands_can_be_typed(snippet: Snippet) -> None:
    """A shell can read them, and what they give to a script of b2luigi are flags of b2luigi."""
    assert snippet.commands
    subprocess.run(["bash", "-n"], input="\n".join(snippet.commands), text=True, check=True)
    calls = [line for line in snippet.commands if "my_script.py" in line and not line.startswith("b2luigi ")]
    flags = {flag for line in calls for flag in re.findall(r"--[a-z][a-z-]+", line)}
    assert flags <= {flag.name for flag in FLAGS}


@pytest.mark.parametrize("snippet", snippets("json"), ids=str)
def test_settings_files_hold_settings(snippet: Snippet) -> None:
    """Each example of a settings.json can be read, and names settings."""
    assert set(json.loads(snippet.text)) <= set(KNOWN)


def test_the_entry_point_is_that_of_the_example() -> None:
    """How to register a batch system, as the example does it."""
    (snippet,) = snippets("toml")
    assert snippet.text in (ROOT / "examples" / "own_batch_system" / "pyproject.toml").read_text()


def test_the_table_of_causes_is_that_of_the_judge() -> None:
    """What is done about each cause of a death."""
    text = (DOCS / "explanation" / "how-it-works.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE))
    assert {cause.value: AGAIN[cause] for cause in Cause} == {
        key: rows[key] for key in rows if key != "cause" and "-" not in key
    }


@pytest.mark.parametrize(
    "function",
    [
        *(b2luigi.process, b2luigi.requires, b2luigi.inherits, b2luigi.get_setting, b2luigi.set_setting),
        *(b2luigi.on_temporary_files, b2luigi.Parameter, b2luigi.Task.add_to_output, b2luigi.Task.get_output_file_name),
        *(b2luigi.Task.get_input_file_names, b2luigi.Task.get_input_file_name),
        b2luigi.Task.get_input_file_names_from_dict,
    ],
    ids=lambda function: str(function.__qualname__),
)
def test_arguments_of_the_api_are_a_list(function: Callable[..., object]) -> None:
    """The page shows a list of all arguments, with what each means."""
    names = set(inspect.signature(function).parameters)
    lines = runpy.run_path(str(DOCS / "conf.py"))["with_fields"]((inspect.getdoc(function) or "").splitlines(), names)
    assert set(re.findall(r"^:param (\w+): \S", "\n".join(lines), flags=re.MULTILINE)) >= names - {
        "self",
        "args",
        "kwargs",
    }


def test_the_keys_of_the_json_are_explained() -> None:
    """All of them, and no other, for the run and for a task; and the states that a task may be in."""
    page = (DOCS / "reference" / "json.md").read_text()
    of_run, _, of_task = page.partition("## The run")[2].partition("## A task")
    keys = [
        {key for row in re.findall(r"^\| (`[^|]*) \|", part, flags=re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
        for part in (of_run, of_task.partition("##")[0])
    ]
    assert keys == [set(Run("", Path()).row()), set(Task("", "").row())]
    (states,) = re.findall(r"^\| `state` \| (.*) \|$", of_task, flags=re.MULTILINE)
    assert states == ", ".join(f"`{state.value}`" for state in State)
    assert f"It is {FORMAT} now." in page


def _project(snippet: Snippet, folder: Path) -> Project:
    project = Project(folder, {})
    text = re.sub(r"range\(\d+\)", "range(3)", snippet.text)
    beginning, main, end = text.partition('if __name__ == "__main__":\n')
    (folder / "my_script.py").write_text(f"{beginning}{FAST}{main}{end}")
    return project


def _plain_attributes(cls: type) -> list[str]:
    """What is neither a method, nor a parameter, nor luigi's: in our snippets, a setting."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_") and not callable(value) and not isinstance(value, luigi.Parameter)
        if not hasattr(luigi.Task, name)
    ]


def _example_of(cls: type[luigi.Task]) -> luigi.Task:
    needed = {
        name: parameter for name, parameter in cls.get_params() if not parameter.has_task_value(cls.__name__, name)
    }
    return cls(**{name: _value_for(parameter) for name, parameter in needed.items()})


def _value_for(parameter: luigi.Parameter) -> Any:
    kinds = {luigi.IntParameter: int, luigi.FloatParameter: float, luigi.ListParameter: list}
    return next((EXAMPLES[kind] for cls, kind in kinds.items() if isinstance(parameter, cls)), "text")
