"""Parameters on their way through a real job and back, and values that cannot be part of a path."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.project import Project

EVERY = '''
    import datetime, enum, json
    from pathlib import Path
    from luigi.date_interval import Week
    from luigi.parameter import ParameterVisibility

    class Colour(enum.Enum):
        red = 1
        blue = 2

    class Inner(luigi.Task):
        n = luigi.IntParameter()

    DAY, NOW = datetime.date(2024, 2, 1), datetime.datetime(2024, 2, 29, 13, 14, 15)
    NUMBER = {"var_type": int, "min_value": 0, "max_value": 9}
    VALUES = {
        "BatchIntParameter": 7,
        "BoolParameter": True,
        "ChoiceListParameter": (["a", "b"], {"choices": ["a", "b"]}),
        "ChoiceParameter": (2, {"choices": [1, 2], "var_type": int}),
        "DateHourParameter": NOW.replace(minute=0, second=0),
        "DateIntervalParameter": Week(2024, 9),
        "DateMinuteParameter": NOW.replace(second=0),
        "DateParameter": DAY,
        "DateSecondParameter": NOW,
        "DictParameter": {"a": [1, {"b": None}], "c": "ä $HOME 'x'"},
        "EnumListParameter": ([Colour.red, Colour.blue], {"enum": Colour}),
        "EnumParameter": (Colour.blue, {"enum": Colour}),
        "FloatParameter": 1e-300,
        "IntParameter": -3,
        "ListParameter": [1, [2.5, "x"]],
        "MonthParameter": DAY,
        "NumericalParameter": (3, NUMBER),
        "OptionalBoolParameter": None,
        "OptionalChoiceParameter": (None, {"choices": ["a"]}),
        "OptionalDictParameter": None,
        "OptionalFloatParameter": 0.5,
        "OptionalIntParameter": None,
        "OptionalListParameter": None,
        "OptionalNumericalParameter": (4, NUMBER),
        "OptionalParameter": None,
        "OptionalPathParameter": None,
        "OptionalStrParameter": "text",
        "OptionalTupleParameter": ((1, 2),),
        "Parameter": "a b`'\\\\n",
        "PathParameter": Path("some.txt"),
        "StrParameter": "3",
        "TaskParameter": Inner,
        "TimeDeltaParameter": datetime.timedelta(days=1, seconds=2),
        "TupleParameter": ((1, (2, 3)),),
        "YearParameter": DAY.replace(month=1),
    }
    ODD = {"number": 3, "real": 2.0, "none": None, "table": {"a": 1}, "day": DAY, "colour": Colour.red,
           "path": Path("x"), "task": Inner(n=1), "yes": True, "words": ("a", 1)}

    def given(name):
        """The value for a parameter of this class, and what else its definition needs."""
        found = VALUES[name]
        return found[0] if isinstance(found, tuple) else found

    def made(name, **more):
        found = VALUES[name]
        return getattr(b2luigi, name)(**(found[1] if isinstance(found, tuple) and len(found) > 1 else {}), **more)

    def shown(task):
        """Each parameter with its type."""
        return {name: f"{type(value).__name__} {value!r}" for name, value in task.param_kwargs.items()}

    class Writes(b2luigi.Task):
        def output(self):
            yield self.add_to_output("values.json")

        def run(self):
            print("pid", os.getpid())
            with open(self.get_output_file_name("values.json"), "w") as f:
                json.dump({"values": shown(self), "pid": os.getpid()}, f)

    Plain = type("Plain", (Writes,), {name: made(name) for name in VALUES})
    Hashed = type("Hashed", (Writes,), {name: made(name, hashed=True) for name in VALUES})
    Odd = type("Odd", (Writes,), {name: b2luigi.Parameter() for name in ODD})
    OddHashed = type("OddHashed", (Writes,), {name: b2luigi.Parameter(hashed=True) for name in ODD})
    Unseen = type("Unseen", (Writes,), {
        "private": b2luigi.IntParameter(visibility=ParameterVisibility.PRIVATE),
        "insignificant": b2luigi.DictParameter(significant=False, default={}),
        "odd": b2luigi.Parameter(significant=False, default=None),
        "hidden": b2luigi.DateParameter(hidden=True),
    })

    if __name__ == "__main__":
        values = {name: given(name) for name in VALUES}
        tasks = [Plain(**values), Hashed(**values), Odd(**ODD), OddHashed(**ODD),
                 Unseen(private=3, insignificant={"a": [1]}, odd=7, hidden=DAY)]
        if not any("--batch-runner" in word for word in sys.argv):
            known = vars(b2luigi.core.parameter)  # a newer luigi may have more
            assert sorted(VALUES) == sorted(name for name in known if name.endswith("Parameter"))
            with open("expected.json", "w") as f:
                name = "values.json"
                json.dump({type(task).__name__: [shown(task), task.get_output_file_name(name)] for task in tasks}, f)
        b2luigi.process(tasks, batch=True)
'''


def test_every_parameter_comes_back_as_it_was(tmp_path: Path) -> None:
    """Each class of luigi, plain and hashed, any object in a plain Parameter, and those nobody sees: value and type."""
    project = Project(tmp_path / "project", {"PYTHONWARNINGS": "ignore"})
    project.write(EVERY)
    ended = project.run()
    assert "* 5 ran successfully:" in ended.text, ended.text
    expected = json.loads(project.read("expected.json"))
    found = {name: json.loads(Path(path).read_text()) for name, (_, path) in expected.items()}
    assert {name: one["values"] for name, one in found.items()} == {
        name: values for name, (values, _) in expected.items()
    }
    assert len({one["pid"] for one in found.values()}) == 5
    assert len(expected["Plain"][0]) == len(expected["Hashed"][0]) == 35
    odd = found["Odd"]["values"]
    assert odd["number"] == found["OddHashed"]["values"]["number"] == "int 3"
    assert (odd["none"], odd["task"], odd["words"]) == ("NoneType None", "Inner Inner(n=1)", "tuple ('a', 1)")
    assert found["Unseen"]["values"]["insignificant"] == "FrozenOrderedDict {'a': (1,)}"
    assert (found["Unseen"]["values"]["odd"], found["Unseen"]["values"]["private"]) == ("int 7", "int 3")


LIMITS = """
    class Text(b2luigi.Task):
        text = b2luigi.Parameter()

        def output(self):
            yield self.add_to_output("out.txt")

        def run(self):
            open(self.get_output_file_name("out.txt"), "w").close()

    class Outside(luigi.Task):
        text = luigi.Parameter()

        def output(self):
            return luigi.LocalTarget("outside.txt")

        def run(self):
            self.output().open("w").close()

    class Hashed(Text):
        text = b2luigi.Parameter(hashed=True)

    if __name__ == "__main__":
        values = ["a/b", "..", "\\u00e4" * 126]
        bad = [*map(Text, values), Outside(text="a/b")] if sys.argv[1:] else []
        fine = [*map(Hashed, values), Text(text="\\u00e4" * 125)]
        b2luigi.process([*bad, *fine], batch=True, ignore_additional_command_line_args=True)
"""


def test_values_that_are_no_folder_name_start_no_job(tmp_path: Path) -> None:
    """The error names task, parameter and remedy, once for each class, and nothing is started."""
    project = Project(tmp_path / "project", {"PYTHONIOENCODING": "utf-8"})
    project.write(LIMITS)
    ended = project.run("bad")
    assert ended.rc == 1
    for task in ("Text", "Outside"):
        assert f"{task}: the parameter 'text' has the value 'a/b', which is not a valid folder name" in ended.text
    assert "Text: the parameter 'text' leads to a folder name of 257 bytes; the limit is 255" in ended.text
    assert ended.text.count("Define it with hashed=True") == 3
    assert "Traceback" not in ended.text
    assert project.records() == []
    ended = project.run()
    assert "* 4 ran successfully:" in ended.text, ended.text
    assert sorted(record["class"] for record in project.records()) == ["__main__.Hashed"] * 3 + ["__main__.Text"]
