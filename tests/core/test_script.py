"""Where relative paths go, by how Python was started: measured on b2luigi 1.3.0, except where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import b2luigi
from b2luigi.core.bad_input import BadInputError
from b2luigi.core.paths import map_folder
from b2luigi.core.script import base_folder, get_filename, refuse_foreign_program, script_folder

WHERE = "import b2luigi.core.utils as utils\nprint('RESULTS<' + utils.map_folder('results') + '>')\n"
PROGRAM = "#!{python}\nimport sys\nfrom where import main\nsys.exit(main())\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with one program in many forms, and beside it an empty folder to start them from."""
    project = tmp_path / "code"
    (project / "package").mkdir(parents=True)
    (tmp_path / "current").mkdir()
    files = ("script.py", "script", "package/__init__.py", "package/module.py", "package/__main__.py", "test_where.py")
    for name in files:
        (project / name).write_text("" if "init" in name else WHERE)
    (project / "where.py").write_text(f"def main():\n    {WHERE.replace(chr(10), chr(10) + '    ')}")
    with zipfile.ZipFile(project / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", WHERE)
    return project


def printed(project: Path, *words: str, stdin: str = "") -> str:
    """The folder of results of a program that was started from the folder `current`."""
    path = os.pathsep.join([str(project), str(Path(b2luigi.__file__).parents[1])])
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=project.parent / "current",
        env={**os.environ, "PYTHONPATH": path},
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert "RESULTS<" in ended.stdout, ended.stderr
    return str(Path(ended.stdout.partition("RESULTS<")[2].partition(">")[0]).parent.relative_to(project.parent))


def test_of_a_script(project: Path) -> None:
    """`python script.py`: its folder, from wherever it is started, also by a link or under the debugger."""
    link = project.parent / "link.py"
    link.symlink_to(project / "script.py")
    assert printed(project, "../code/script.py") == "code"
    assert printed(project, "../link.py") == "."
    assert printed(project, "-m", "pdb", "../code/script.py", stdin="continue\nquit\n") == "code"


@pytest.mark.parametrize(
    "words",
    [
        ["-c", WHERE],
        ["-m", "script"],
        ["-m", "package.module"],
        ["-m", "package"],
        ["-m", "cProfile", "../code/script.py"],
        ["../code/package"],
        ["../code/app.pyz"],
        ["../code/script"],
        ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "../code/test_where.py"],
    ],
    ids=" ".join,
)
def test_of_anything_else(project: Path, words: list[str]) -> None:
    """No script was started: the current folder, and never that of the interpreter or of a package."""
    assert printed(project, *words) == "current"


@pytest.mark.parametrize("words", [["-"], ["-i", "-"], []])
def test_of_a_session(project: Path, words: list[str]) -> None:
    """Code that is in no file: the current folder."""
    assert printed(project, *words, stdin=WHERE) == "current"


@pytest.mark.parametrize("suffix", ["", ".py"])
@pytest.mark.parametrize("way", [lambda path: path, lambda path: path.with_name("link")])
def test_of_an_installed_program(project: Path, suffix: str, way: Callable[[Path], Path]) -> None:
    """Programs of an environment start as `python /environment/bin/program`, whether called by a link or not."""
    environment = project.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python, program = environment / "bin" / "python", environment / "bin" / f"program{suffix}"
    program.write_text(PROGRAM.format(python=python))
    if way(program) != program:
        way(program).symlink_to(program)
    packages = [str(Path(b2luigi.__file__).parents[1]), *(one for one in sys.path if "site-packages" in one)]
    ended = subprocess.run(
        [python, way(program)],
        cwd=project.parent / "current",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(project), *packages])},
        capture_output=True,
        text=True,
    )
    assert f"<{project.parent}/current/results>" in ended.stdout, ended.stderr


def test_of_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no script, and follows the current folder."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    monkeypatch.chdir(tmp_path)
    assert map_folder("results") == str(tmp_path / "results")
    assert script_folder() == ""
    with pytest.raises(AttributeError, match="There is no script: this is an interactive session"):
        get_filename()


def test_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing that a path could be relative to; absolute paths work."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(OSError, match="current folder was removed"):
        base_folder()
    assert map_folder("/results") == "/results"


def test_the_script_of_a_zipapp_or_a_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node starts it as the user did: Python cannot start a file inside an archive."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", str(project / "app.pyz" / "__main__.py"))
    monkeypatch.setattr(main, "__spec__", ModuleSpec("__main__", None))
    assert get_filename() == str(project / "app.pyz")
    monkeypatch.setattr(main, "__file__", str(project / "package" / "__main__.py"))
    assert get_filename() == str(project / "package")


@pytest.mark.parametrize(
    ("file", "spec", "program"),
    [
        ("/venv/bin/pytest", None, "pytest"),
        ("/packages/pytest/__main__.py", "pytest.__main__", "pytest"),
        ("/lib/cProfile.py", "cProfile", "cProfile"),
        ("/venv/bin/my-analysis", None, ""),
        ("/packages/mine/__main__.py", "mine.__main__", ""),
        ("/mine.pyz/__main__.py", "__main__", ""),
        ("/mine/script.py", None, ""),
    ],
)
def test_programs_that_run_the_code_of_others(
    file: str, spec: str | None, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No node can run a task with pytest or a profiler; with a program that the user has installed, it can."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", file)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec(spec, None) if spec else None)
    if not program:
        refuse_foreign_program()
        return
    with pytest.raises(BadInputError, match=f"The running program is {program}, with which no node can run a task"):
        refuse_foreign_program()
