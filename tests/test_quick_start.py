"""The quick start, walked as its page says; `b2luigi init` writes the same project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from b2luigi.cli.command.app import app
from b2luigi.cli.command.init import FILES
from tests.snippets import BLOCK, ROOT, Snippet, of_page
from tests.transcript import Person, same, steps

PAGE = ROOT / "docs" / "quick-start.md"


def files_and_commands() -> Iterator[tuple[str, Snippet]]:
    """The blocks of the page; with those that belong into a file, its name, which is the last one in the text above."""
    text, snippets = PAGE.read_text(), list(of_page(PAGE))
    for found, snippet in zip(BLOCK.finditer(text), snippets, strict=True):
        named = re.findall(r"`(\w+\.(?:py|json))`", text[: found.start()])
        yield (named[-1] if snippet.language in ("python", "json") else "", snippet)


def test_init_writes_the_project_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter."""
    monkeypatch.chdir(tmp_path)
    shown: dict[str, list[str]] = {}
    for name, snippet in files_and_commands():
        if name:
            shown.setdefault(name, []).append(snippet.text)
    result = CliRunner().invoke(app, ["init"])
    assert result.output.splitlines() == [*(f"Wrote {name}" for name in FILES), "Run it with: b2luigi run Plot"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        name: "\n\n".join(texts) for name, texts in shown.items()
    }


@pytest.mark.parametrize("name", FILES)
def test_init_changes_no_folder_that_has_one_of_these_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by the others: a new settings.json would make a finished project start anew. `--force` overwrites."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("mine")
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 1
    assert f"Nothing was written, since {tmp_path} already has {name}." in result.output
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]
    assert CliRunner().invoke(app, ["init", "--force"]).exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == FILES


def test_the_walk(tmp_path: Path) -> None:
    """A newcomer copies each block of the page, from the first to the last, and sees what the page shows."""
    person = Person(tmp_path / "lifetime", "/home/me/lifetime")
    for name, snippet in files_and_commands():
        if name:
            file = person.folder / name
            file.write_text(f"{file.read_text()}\n\n{snippet.text}" if file.exists() else snippet.text)
        for step in steps(snippet.text) if snippet.language == "console" else ():
            person.follows(step)
    assert (
        person.folder.joinpath("results", "scan.svg").read_text()
        == (ROOT / "docs" / "_static" / "scan.svg").read_text()
    ), "the plot on the page"
    script = "task_files/lifetime=2.5/Fit/executable_wrapper.sh"
    assert script in PAGE.read_text(), "the report of the failure names the job script, to be run by hand"
    fit = person.folder / "results/lifetime=2.5/fit.txt"
    fit.rename(fit.with_suffix(".former"))
    assert person.types(script)[0] == 0
    assert fit.read_text() == fit.with_suffix(".former").read_text()


def test_what_may_differ_is_what_has_a_name() -> None:
    """Times and ids are alike; every other word counts."""
    text = "done in 3.2 s.\nlocal job 12 on node laptop, 31.4 MB\n    ^^^^\nsubmitted 00:45:19, task 5 of 6"
    assert same(text) == (
        "done in <duration>.\nlocal job <job> on node laptop, <memory>\nsubmitted <moment>, task 5 of 6"
    )
    assert same("All 6 tasks done") != same("All 7 tasks done")
