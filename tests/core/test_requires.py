from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import luigi
import pytest
from luigi.task_register import Register

import b2luigi
from b2luigi.core.description import describe, rebuild

NO_RESOURCES: dict[str, int] = {}


class Number(b2luigi.Task):
    number = b2luigi.IntParameter()
    scale = b2luigi.FloatParameter(default=1.0)


class Plain(luigi.Task):
    day = luigi.DateParameter()
    number = luigi.IntParameter()
    resources = luigi.DictParameter(default=NO_RESOURCES)


@b2luigi.requires(Number)
class Double(b2luigi.Task):
    """Twice the number."""

    note = b2luigi.Parameter(default="x")


@b2luigi.requires(Number, Plain, number=3)
class Both(b2luigi.Task):
    pass


@b2luigi.inherits(Number, Plain, without=["number"])
class Heir(b2luigi.Task):
    def requires(self) -> Any:
        return self.clone_parents(number=7)


@b2luigi.requires(Plain)
class PlainChild(luigi.Task):
    pass


class Holder:
    @b2luigi.requires(Number)
    class Inner(b2luigi.Task):
        pass


DAY = "2024-02-29"


def day() -> Any:
    return luigi.DateParameter().parse(DAY)


def required(task: Any) -> list[Any]:
    return list(task.requires())


def test_one_task_is_yielded() -> None:
    """The task requires the other one, with its own values for all its parameters."""
    assert Double.get_param_names() == ["number", "scale", "note"]
    assert required(Double(number=3, scale=2.0)) == [Number(number=3, scale=2.0)]


def test_several_tasks_are_yielded_as_a_list() -> None:
    """Fixed parameters are not copied to the class, and are passed to all tasks that have them."""
    assert Both.get_param_names() == ["scale", "day", "resources"]
    assert required(Both(day=day())) == [[Number(number=3), Plain(day=day(), number=3)]]


def test_inputs_are_found_by_name(script_folder: Any) -> None:
    """Requirements added by the decorator provide inputs like any others."""

    class Makes(Number):
        def output(self) -> Iterator[Any]:
            yield self.add_to_output("f")

    @b2luigi.requires(Makes, scale=0.5)
    class Reads(b2luigi.Task):
        pass

    assert Reads(number=1).get_input_file_name("f") == f"{script_folder}/number=1/scale=0.5/f"


def test_existing_attributes_are_kept() -> None:
    """The class's own parameter or plain attribute is kept, and its value is passed to the required task."""

    @b2luigi.requires(Number)
    class Own(b2luigi.Task):
        scale = b2luigi.FloatParameter(default=9.0)
        number = 5

    assert Own.get_param_names() == ["scale"]
    assert required(Own()) == [Number(number=5, scale=9.0)]


def test_fixed_wins_over_an_own_parameter() -> None:
    """A fixed value is used even if the class has a parameter with this name."""

    @b2luigi.requires(Number, scale=0.5)
    class Own(b2luigi.Task):
        scale = b2luigi.FloatParameter()

    assert required(Own(number=1, scale=9.0)) == [Number(number=1, scale=0.5)]


def test_a_parameter_named_like_an_attribute_of_every_task_is_copied() -> None:
    """luigi's own attribute `resources` does not hide a parameter of this name."""
    task = PlainChild(day=day(), number=1, resources={"cpu": 1})
    assert required(task) == [Plain(day=day(), number=1, resources={"cpu": 1})]
    assert required(task)[0].resources == {"cpu": 1}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (lambda: Number(number=8), [Number(number=8)]),
        (lambda: [Number(number=8), Number(number=9)], [Number(number=8), Number(number=9)]),
        (lambda: (Number(number=n) for n in (8, 9)), [Number(number=8), Number(number=9)]),
        (lambda: {"a": Number(number=8)}, [{"a": Number(number=8)}]),
        (lambda: None, []),
    ],
)
def test_own_requirements_come_first(own: Any, expected: list[Any]) -> None:
    """Whatever the class's own requires returns, its tasks are still required."""

    @b2luigi.requires(Number)
    class Extended(b2luigi.Task):
        def requires(self) -> Any:
            """Why."""
            return own()

    assert required(Extended(number=1)) == [*expected, Number(number=1)]
    assert Extended.requires.__doc__ == "Why."


def test_decorators_and_classes_can_be_stacked() -> None:
    """A second decorator, or a decorated subclass, adds further requirements."""

    class Other(Number):
        pass

    @b2luigi.requires(Number)
    @b2luigi.requires(Other, scale=2.0)
    class Base(b2luigi.Task):
        pass

    @b2luigi.requires(Number, number=0)
    class Derived(Base):
        pass

    both = [Other(number=1, scale=2.0), Number(number=1, scale=3.0)]
    assert required(Base(number=1, scale=3.0)) == both
    assert required(Derived(number=1, scale=3.0)) == [*both, Number(number=0, scale=3.0)]


def test_inherited_parameters_and_clones() -> None:
    """The class gets all but the excluded parameters, and can clone its parents with values for those."""
    assert Heir.get_param_names() == ["scale", "day", "resources"]
    heir = Heir(scale=2.0, day=day())
    assert heir.requires() == [Number(number=7, scale=2.0), Plain(day=day(), number=7)]
    assert heir.clone_parent(number=1, scale=0.0) == Number(number=1, scale=0.0)


@pytest.mark.parametrize("without", [None, "scale", ("scale",), {"scale", "number"}])
def test_without(without: Any) -> None:
    """`without` excludes one name, several, or none."""

    @b2luigi.inherits(Number, without=without)
    class Some(b2luigi.Task):
        pass

    excluded = {without} if isinstance(without, str) else set(without or ())
    assert set(Some.get_param_names()) == {"number", "scale"} - excluded


@pytest.mark.parametrize("decorator", [b2luigi.requires, b2luigi.inherits])
def test_without_a_task_it_is_a_type_error(decorator: Any) -> None:
    """A decorator without a task is a mistake."""
    with pytest.raises(TypeError, match="at least one task class"):
        decorator()


@pytest.mark.parametrize("decorator", [b2luigi.requires, b2luigi.inherits])
@pytest.mark.parametrize("wrong", [Number(number=1), "Number", int])
def test_anything_but_a_task_class_is_rejected(decorator: Any, wrong: Any) -> None:
    """A task, a name or another class is an error at once, not only when the graph is built."""
    with pytest.raises(TypeError, match="takes task classes"):
        decorator(Number, wrong)


def test_unknown_parameter_names_are_errors() -> None:
    """For a misspelled name, the error lists the available names."""
    with pytest.raises(TypeError, match=r"cannot fix 'amount': .*Number has number, scale"):
        b2luigi.requires(Number, amount=3)
    with pytest.raises(AssertionError, match=r"without names 'amount': .*Number has number, scale; Plain has day"):
        b2luigi.inherits(Number, Plain, without="amount")
    with pytest.raises(TypeError, match=r"Heir: cannot set 'day': .*Number has number, scale"):
        Heir(day=day()).clone_parent(number=1, day=day())


def test_the_class_is_not_wrapped() -> None:
    """The decorator returns the class itself, with its name, docstring and module."""
    assert (Double.__name__, Double.__module__, Double.__doc__) == ("Double", __name__, "Twice the number.")
    assert Double.__mro__[1] is b2luigi.Task
    assert Double(number=1).task_family == "Double"


@pytest.mark.parametrize(
    "task",
    [
        Double(number=3),
        Both(day=day()),
        Heir(day=day(), scale=2.0),
        PlainChild(day=day(), number=1),
        Holder.Inner(number=4),
    ],
    ids=str,
)
def test_a_node_can_rebuild_it(task: luigi.Task) -> None:
    """A decorated task can be described, rebuilt by module and name, and pickled."""
    text = json.dumps(describe(task))
    pickled = pickle.dumps(task)
    Register.clear_instance_cache()
    for found in (rebuild(json.loads(text)), pickle.loads(pickled)):
        assert found is not None
        assert found is not task
        assert found == task
        assert found.param_kwargs == task.param_kwargs
        assert luigi.task.flatten(found.requires()) == luigi.task.flatten(task.requires())
