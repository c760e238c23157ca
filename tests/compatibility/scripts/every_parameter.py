"""Each kind of parameter: as it is, with hashed=True, hidden, and insignificant."""

import datetime
import enum
import pathlib

import b2luigi


class Colour(enum.Enum):
    red = 1
    blue = 2


NOON = datetime.datetime(2024, 2, 29, 12, 30, 15)
NUMBER = {"var_type": int, "min_value": 0, "max_value": 9}
KINDS = {
    "Parameter": ("a b", {}),
    "IntParameter": (-3, {}),
    "FloatParameter": (0.1, {}),
    "BoolParameter": (True, {"default": False}),
    "DateParameter": (NOON.date(), {}),
    "MonthParameter": (NOON.date().replace(day=1), {}),
    "YearParameter": (NOON.date().replace(day=1, month=1), {}),
    "DateHourParameter": (NOON.replace(minute=0, second=0), {}),
    "DateMinuteParameter": (NOON.replace(second=0), {}),
    "DateSecondParameter": (NOON, {}),
    "TimeDeltaParameter": (datetime.timedelta(days=3, seconds=7), {}),
    "EnumParameter": (Colour.red, {"enum": Colour}),
    "EnumListParameter": ((Colour.blue, Colour.red), {"enum": Colour}),
    "ChoiceParameter": ("x", {"choices": ["x", "y"]}),
    "ChoiceListParameter": (("x", "y"), {"choices": ["x", "y"]}),
    "NumericalParameter": (3, NUMBER),
    "DictParameter": ({"b": [1, None], "a": "x"}, {}),
    "ListParameter": ([1, ["x"]], {}),
    "TupleParameter": ((1, (2, 3)), {}),
    "PathParameter": (pathlib.Path("some.txt"), {}),
    "OptionalParameter": (None, {}),
    "OptionalIntParameter": (None, {}),
    "OptionalFloatParameter": (2.5, {}),
    "OptionalBoolParameter": (None, {}),
    "OptionalPathParameter": (None, {}),
    "OptionalListParameter": ([1], {}),
    "OptionalDictParameter": ({"a": 1}, {}),
    "OptionalTupleParameter": ((1, 2), {}),
    "OptionalChoiceParameter": ("x", {"choices": ["x"]}),
    "OptionalNumericalParameter": (4, NUMBER),
    "OptionalStrParameter": ("text", {}),
}
USES = {
    "Plain": {},
    "Hashed": {"hashed": True},
    "Hidden": {"hidden": True},
    "Silent": {"significant": False},
    "Named": {"hashed": True, "hash_function": lambda value: type(value).__name__},
}


class Writes(b2luigi.Task):
    def output(self):
        yield self.add_to_output(f"{type(self).__name__}.txt")

    def run(self):
        with open(self.get_output_file_name(f"{type(self).__name__}.txt"), "w") as file:
            file.write(repr(self.value))


def task(kind, use):
    value, needs = KINDS[kind]
    parameter = getattr(b2luigi, kind)(**needs, **USES[use])
    cls = type(f"{use}{kind}", (Writes,), {"value": parameter, "__module__": __name__})
    globals()[cls.__name__] = cls
    return cls(value=value)


TASKS = [task(kind, use) for kind in KINDS for use in USES]

if __name__ == "__main__":
    b2luigi.process(TASKS)
