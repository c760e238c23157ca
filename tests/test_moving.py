"""The pages for those who move: what they show runs, with b2luigi and with luigi; other programs are not installed."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

import b2luigi
from b2luigi.cli.command.app import COMMANDS
from b2luigi.core.flags import FLAGS
from b2luigi.core.known_settings import KNOWN
from tests.end_to_end.project import FAST, Project
from tests.snippets import ROOT, Snippet, of_page

FOLDER = ROOT / "docs" / "moving"
PAGES = sorted(FOLDER.glob("from-*.md"))


def snippets(page: Path) -> list[Snippet]:
    """The snippets of a page in Python."""
    return [snippet for snippet in of_page(page) if snippet.language == "py"]


def having(page: Path, words: str) -> str:
    """The shortest snippet of a page with these words."""
    return min((snippet.text for snippet in snippets(page) if words in snippet.text), key=len)


def ours(page: Path) -> str:
    """The whole workflow with b2luigi."""
    return having(page, "import b2luigi\n")


def project(folder: Path, text: str) -> Project:
    """A folder with the script and its steps."""
    made = Project(folder, {})
    (folder / "steps.py").write_text(having(FOLDER / "index.md", "def estimate("))
    (folder / "analysis.py").write_text(text.replace('__main__":\n', '__main__":\n' + textwrap.indent(FAST, "    ")))
    return made


def shown() -> str:
    """The table, as the first page shows it."""
    text = next(snippet.text for snippet in of_page(FOLDER / "index.md") if "$ cat results/table.txt" in snippet.text)
    return text.partition("\n")[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_shows_the_same_workflow(page: Path) -> None:
    """To the letter; each other snippet is Python, too, and the steps that it calls are there."""
    assert ours(page) == ours(FOLDER / "index.md")
    for snippet in snippets(page):
        ast.parse(textwrap.dedent(snippet.text))
    steps = having(FOLDER / "index.md", "def estimate(")
    called = set(re.findall(r"steps(?:\.py |\.)(estimate|merge|table|\w+)\b(?=[( ])", page.read_text()))
    assert called == {"estimate", "merge", "table"}
    assert all(f"def {step}(" in steps for step in called)


def test_the_workflow_gives_what_is_shown(tmp_path: Path) -> None:
    """Five jobs, and the table; the files of the text exist."""
    analysis = project(tmp_path / "project", ours(FOLDER / "index.md"))
    ended = analysis.run()
    assert "All 5 tasks done" in ended.text, ended.text
    assert analysis.read("results/table.txt") == shown()
    text = (FOLDER / "index.md").read_text().partition("The five jobs write ")[2].partition(" below")[0]
    names = re.findall(r"`([^`]+)`", text)
    assert len(names) == 5
    assert [name for name in names if not (analysis.folder / "results" / name).exists()] == []


def test_from_luigi_one_line_is_enough(tmp_path: Path) -> None:
    """The script for luigi runs with luigi; with one other line its tasks are jobs, with the same results."""
    page = FOLDER / "from-luigi.md"
    plain, line = having(page, "luigi.build("), having(page, "batch=True)\n")
    former = project(tmp_path / "former", plain)
    (former.folder / "analysis.py").write_text(plain)  # luigi alone: no settings of b2luigi
    assert former.run().rc == 0
    assert former.read("results/table.txt") == shown()
    moved = "import b2luigi\n" + plain.replace("    luigi.build([Table()], local_scheduler=True)\n", line)
    analysis = project(tmp_path / "project", moved)
    ended = analysis.run()
    assert {record["end"] for record in analysis.records()} == {"DONE"}, ended.text
    assert analysis.read("results/table.txt") == shown()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_to_be_typed_for_b2luigi_exists(page: Path) -> None:
    """Flags of the script, commands of `b2luigi`, and names of its API and settings."""
    text = page.read_text()
    flags = set(re.findall(r"python analysis\.py (--[a-z-]+)", text))
    assert flags
    assert flags <= {flag.name for flag in FLAGS}
    assert set(re.findall(r"`b2luigi ([a-z]+)", text)) <= set(COMMANDS)
    assert [name for name in re.findall(r"b2luigi\.([A-Za-z_]+)", text) if not hasattr(b2luigi, name)] == []
    settings = set(re.findall(r"`(\w+_settings|\w+_script|batch_system|apptainer_\w+|job_retries)\b", text))
    assert settings <= set(KNOWN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_former_results_are_kept_in_the_same_way_everywhere(page: Path) -> None:
    """With the method that each page shows."""
    assert having(page, "b2luigi.LocalTarget(") == having(PAGES[0], "b2luigi.LocalTarget(")


def test_former_results_are_not_computed_again(tmp_path: Path) -> None:
    """An estimate that exists under its former path is taken; only those that are missing become jobs."""
    method = having(PAGES[0], "b2luigi.LocalTarget(")
    text = re.sub(r"    def output\(self\):\n.*?\n(?=\n)", lambda _: method, ours(PAGES[0]), count=1, flags=re.DOTALL)
    analysis = project(tmp_path / "project", text)
    (analysis.folder / "results").mkdir()
    for n in (100, 1000):
        (analysis.folder / "results" / f"estimate-{n}.json").write_text(f'{{"n": {n}, "pi": 3}}')
    ended = analysis.run()
    assert len(list(analysis.records())) == 3, ended.text
    assert analysis.read("results/table.txt").startswith("   100 points: pi = 3.0000\n")
