"""What CONTRIBUTING.md names exists."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from b2luigi.cli.command.app import COMMANDS
from benchmarks.rows import ON_REQUEST, ROWS
from tests.batch.systems.recorded import HERE
from tests.snippets import ROOT, Snippet, anchors, of_page, prose

PAGE = ROOT / "CONTRIBUTING.md"
TEXT = prose(PAGE)
CODE = re.findall(r"`([^`\n]+)`", TEXT)
SNIPPETS = list(of_page(PAGE))
TYPED = [line for snippet in SNIPPETS if snippet.language == "bash" for line in snippet.commands]
LINES = [words for words in (*CODE, *TYPED) if words.startswith(("python ", "b2luigi ", ".ci/", "git ", "pip "))]
PYTEST = [words for words in LINES if words.startswith("python -m pytest")]
TOP = ("b2luigi/", "docs/", "tests/", "benchmarks/", "examples/", ".ci/")
FILES = ("CHANGELOG.md", "pyproject.toml", "README.md")
LATER = "docs/_build"
"""What a command makes."""


def test_paths_exist() -> None:
    """Every path in the text, and in the commands."""
    words = {word.rstrip(",") for words in (*CODE, *TYPED) for word in words.split()}
    paths = {word for word in words if word.startswith(TOP) or word in FILES} - {LATER}
    assert len(paths) > 30
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_links_lead_somewhere() -> None:
    """As on the pages of the documentation."""
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", TEXT):
        target = ROOT / path if path else PAGE
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("words", sorted({words for words in LINES if words not in PYTEST}))
def test_commands_exist(words: str) -> None:
    """Modules that are run, measurements, commands of `b2luigi`; programs in the environment of the tests."""
    program, *rest = shlex.split(words)
    match [program, *rest]:
        case ["python", "-m", "benchmarks", *flags]:
            given = [name for flag, name in itertools.pairwise(flags) if flag == "--only"]
            assert set(given) <= {*ROWS, *ON_REQUEST}
        case ["python", "-m", module, *_]:
            assert module == "build" or (ROOT / module.replace(".", "/") / "__main__.py").exists()
        case ["python", script, *_]:
            assert script == "-" or (ROOT / script).exists()
        case ["b2luigi", command, *_]:
            assert command in COMMANDS
        case _:
            assert shutil.which(program) or (ROOT / program).exists() or program == "pip"


@cache
def collected(marks: str, target: str) -> str:
    """The ids of the tests in a file, one a line."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "--collect-only", "-q"]
    done = subprocess.run([*words, "-m", marks, target], cwd=ROOT, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize("words", sorted({words for words in PYTEST if ".py" in words}))
def test_the_selected_tests_exist(words: str) -> None:
    """Where a file is named, there are tests in it with the mark and the name."""
    arguments = shlex.split(words)[3:]
    given = dict(itertools.pairwise(arguments))
    (target,) = [word for word in arguments if word.endswith(".py")]
    ids = collected(given.get("-m", "not cluster and not matrix"), target).splitlines()
    assert [name for name in ids if name.startswith(target) and given["-k"] in name.partition("::")[2]] != []


def test_settings_of_the_checks_are_those_of_ci() -> None:
    """Every check that is to be typed before a commit stands in `.ci/run`, too."""
    checks = next(snippet.commands for snippet in SNIPPETS if "ruff check" in snippet.text)
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert len(checks) >= 6
    assert [check for check in checks if check not in ci] == []


def test_the_recorded_answer_is_one() -> None:
    """The example of a file is such a file."""
    (shown,) = [snippet.text for snippet in SNIPPETS if snippet.language == "text"]
    name = re.findall(r'recorded\("(\w+)", "([\w-]+)"\)', TEXT)
    assert [(HERE / system / f"{which}.txt").read_text() for system, which in name] == [shown]
    assert all(list(HERE.rglob(file)) for file in re.findall(r"`([\w-]+\.std\w+\.txt)`", TEXT))


def test_bash_snippets_can_be_typed() -> None:
    """A shell can read them; and what is given to Python compiles."""
    for snippet in bash():
        subprocess.run(["bash", "-n"], input=snippet.text, text=True, check=True)
        for text in re.findall(r"<<'END'\n(.*?)^END$", snippet.text, flags=re.DOTALL | re.MULTILINE):
            imports = "\n".join(line for line in text.splitlines() if line.startswith(("import ", "from ")))
            compile(text, str(PAGE), "exec")
            exec(imports, {})


def bash() -> list[Snippet]:
    """The snippets for a shell."""
    return [snippet for snippet in SNIPPETS if snippet.language == "bash"]


def test_marks_are_marks() -> None:
    """Marks of pytest in the commands are in pyproject.toml."""
    marks = {mark for words in PYTEST for mark in re.findall(r"-m (\w+)", words)} - {"pytest"}
    assert marks == {"cluster", "matrix"}
    assert all(f'"{mark}: ' in (ROOT / "pyproject.toml").read_text() for mark in marks)


def test_the_page_is_part_of_the_source_distribution() -> None:
    """As the tests of it are."""
    assert '"CONTRIBUTING.md"' in Path(ROOT / "pyproject.toml").read_text()
