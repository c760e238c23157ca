"""Folders of grouped parameters: short and long lists, texts, dates and their like; 1.3.0 groups only numbers."""

import datetime

from luigi.date_interval import Week

import b2luigi

VALUES = {
    "IntParameter": [1, -3],
    "BatchIntParameter": [1],
    "FloatParameter": [1.5],
    "Parameter": ["ba", "x" * 20],
    "ListParameter": [[], [3, 1, 3], [1.5, None], [[1, 2], [3]], list(range(12)), list(range(13)), ["x" * 26]],
    "TupleParameter": [(1, 2)],
    "DictParameter": [{"b": 1, "a": 2}, {"k" * 17: 1, "b" * 8: 2}, {"k" * 16: 1, "b" * 8: 2}],
    "DateParameter": [datetime.date(2024, 1, 2)],
    "DateIntervalParameter": [Week(2024, 1)],
    "TimeDeltaParameter": [datetime.timedelta(days=1)],
    "OptionalIntParameter": [None],
}
USES = {
    "Grouped": {},
    "Hashed": {"hashed": True},
    "Named": {"hashed": True, "hash_function": repr},
    "Hidden": {"hidden": True},
    "Silent": {"significant": False},
    "Best": {"grouping_function": max},
}


class Base(b2luigi.Task):
    max_grouping_size = 4

    def output(self):
        yield self.add_to_output(f"{type(self).__name__}.txt")


def tasks(kind, use):
    parameter = getattr(b2luigi, kind)(grouping=True, **USES[use])
    cls = type(f"{use}{kind}", (Base,), {"value": parameter, "__module__": __name__})
    return [cls(value=value) for value in VALUES[kind]]


if __name__ == "__main__":
    b2luigi.process([task for kind in VALUES for use in USES for task in tasks(kind, use)], batch=True)
