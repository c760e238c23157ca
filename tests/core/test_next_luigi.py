"""b2luigi beside a luigi that has names nobody here has heard of, in interpreters of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import b2luigi

ROOT = Path(b2luigi.__file__).parents[1]
TESTS = ("tests/test_public_names.py", "tests/core/test_parameter.py", "tests/core/test_description.py")


def beside_it(*words: str) -> subprocess.CompletedProcess[str]:
    """What Python does in the folder of the checkout."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True)


def answer(question: str, before: str = "") -> str:
    """What a script prints that b2luigi and the luigi of tomorrow run together."""
    lines = ["import luigi", "import tests.core.next_luigi", "import b2luigi", before, f"print(({question}))"]
    ended = beside_it("-W", "ignore", "-c", "\n".join(lines))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("name", ["MoonParameter", "OptionalMoonParameter", "OptionalDateParameter", "ScaleParameter"])
def test_a_parameter_of_tomorrow_is_ours_and_luigis(name: str) -> None:
    """It is wrapped as it is found: one class, under its name, at both addresses."""
    question = (
        f"issubclass(b2luigi.{name}, b2luigi.Parameter), issubclass(b2luigi.{name}, luigi.{name}), "
        f"b2luigi.{name} is b2luigi.core.parameter.{name}, b2luigi.{name}.__name__, '{name}' in b2luigi.__all__"
    )
    assert answer(question) == str((True, True, True, name, True))


def test_a_parameter_of_tomorrow_extends_what_it_extends_in_luigi() -> None:
    """So an OptionalDateParameter is a DateParameter of b2luigi, like the optional classes that are known."""
    question = (
        "issubclass(b2luigi.OptionalDateParameter, b2luigi.DateParameter), "
        "issubclass(b2luigi.OptionalMoonParameter, b2luigi.MoonParameter), "
        "issubclass(b2luigi.MoonParameter, b2luigi.DateParameter)"
    )
    assert answer(question) == "(True, True, True)"


TASK = """
class Tide(b2luigi.Task):
    day = b2luigi.OptionalDateParameter(default=None, hashed=True)
    height = b2luigi.ScaleParameter(100, hidden=True)

    def output(self):
        yield self.add_to_output("tide.txt")

import pickle
from b2luigi.core.description import describe, rebuild
b2luigi.set_setting("result_dir", "/r")
tide = Tide.from_str_params({"day": "2024-02-29", "height": "3"})
"""


def test_a_task_with_parameters_of_tomorrow_works() -> None:
    """Both sides are at work: luigi parses the values, and b2luigi hashes and hides them."""
    path = answer("tide.day, tide.height, tide.get_output_file_name('tide.txt')", before=TASK)
    assert path.startswith("(datetime.date(2024, 2, 29), 300, '/r/day=hashed_")
    assert "height" not in path


def test_a_task_with_parameters_of_tomorrow_comes_back_on_a_node() -> None:
    """Its description and its pickle make the same task."""
    question = "rebuild(describe(tide)) is tide, pickle.loads(pickle.dumps(b2luigi.ScaleParameter)).__name__"
    assert answer(question, before=TASK.replace("class Tide", "global Tide\nclass Tide")) == "(True, 'ScaleParameter')"


def test_other_names_of_tomorrow_are_luigis_own() -> None:
    """What is no parameter is handed on as it is, whatever its name looks like."""
    question = (
        "b2luigi.eclipse is luigi.eclipse, b2luigi.AdviceParameter is luigi.AdviceParameter, "
        "{'eclipse', 'AdviceParameter'} <= set(b2luigi.__all__) & set(dir(b2luigi))"
    )
    assert answer(question) == "(True, True, True)"


def test_a_star_import_has_the_names_of_tomorrow() -> None:
    """And leaves Python's range alone, as ever."""
    question = "OptionalDateParameter.__module__, eclipse(), range(2)"
    assert answer(question, before="from b2luigi import *") == "('b2luigi.core.parameter', 'dark', range(0, 2))"


def test_an_unknown_parameter_is_an_attribute_error() -> None:
    """A misspelt parameter class is refused as before."""
    ended = beside_it("-W", "ignore", "-c", "import b2luigi; b2luigi.IntegerParameter")
    assert "AttributeError: module 'b2luigi' has no attribute 'IntegerParameter'" in ended.stderr


@pytest.mark.parametrize("tests", TESTS)
def test_a_luigi_of_tomorrow_turns_no_test_red(tests: str) -> None:
    """Those of names, parameters and descriptions, which list what luigi has."""
    words = ("-p", "tests.core.next_luigi", "-p", "no:cacheprovider", "-p", "no:xdist", "-q")
    ended = beside_it("-m", "pytest", *words, tests)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert "passed" in ended.stdout
