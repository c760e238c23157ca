"""Luigi tasks, run on a batch system: the public names, each imported on first access."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "2.0.0.dev0"

if TYPE_CHECKING:
    from collections.abc import Callable

    from luigi import (
        Config,
        DynamicRequirements,
        Event,
        LuigiStatusCode,
        RemoteScheduler,
        RPCError,
        Target,
        configuration,
        event,
        interface,
        local_target,
        parameter,
        rpc,
        target,
        task,
    )

    # luigi leaves these without types.
    auto_namespace: Callable[..., None]
    build: Callable[..., Any]
    copies: Callable[..., Callable[[Any], Any]]
    namespace: Callable[..., None]
    run: Callable[..., Any]

    from b2luigi.batch.dispatch import (
        DispatchableTask,
        dispatch,
    )
    from b2luigi.cli.process import (
        process,
    )
    from b2luigi.core.generators import (
        ParameterGenerator,
        ZippedParameterGenerator,
    )
    from b2luigi.core.parameter import (
        BatchIntParameter,
        BoolParameter,
        ChoiceListParameter,
        ChoiceParameter,
        DateHourParameter,
        DateIntervalParameter,
        DateMinuteParameter,
        DateParameter,
        DateSecondParameter,
        DictParameter,
        EnumListParameter,
        EnumParameter,
        FloatParameter,
        IntParameter,
        ListParameter,
        MonthParameter,
        NumericalParameter,
        OptionalBoolParameter,
        OptionalChoiceParameter,
        OptionalDictParameter,
        OptionalFloatParameter,
        OptionalIntParameter,
        OptionalListParameter,
        OptionalNumericalParameter,
        OptionalParameter,
        OptionalPathParameter,
        OptionalStrParameter,
        OptionalTupleParameter,
        Parameter,
        PathParameter,
        StrParameter,
        TaskParameter,
        TimeDeltaParameter,
        TupleParameter,
        YearParameter,
        wrap_parameter,
    )
    from b2luigi.core.requires import (
        inherits,
        requires,
    )
    from b2luigi.core.settings import (
        DeprecatedSettingsWarning,
        clear_setting,
        get_setting,
        set_setting,
    )
    from b2luigi.core.target import (
        FileSystemTarget,
        LocalTarget,
    )
    from b2luigi.core.task import (
        ExternalTask,
        Task,
        WrapperTask,
    )
    from b2luigi.core.temporary import (
        on_temporary_files,
    )

__all__ = [
    "BatchIntParameter",
    "BoolParameter",
    "ChoiceListParameter",
    "ChoiceParameter",
    "Config",
    "DateHourParameter",
    "DateIntervalParameter",
    "DateMinuteParameter",
    "DateParameter",
    "DateSecondParameter",
    "DeprecatedSettingsWarning",
    "DictParameter",
    "DispatchableTask",
    "DynamicRequirements",
    "EnumListParameter",
    "EnumParameter",
    "Event",
    "ExternalTask",
    "FileSystemTarget",
    "FloatParameter",
    "IntParameter",
    "ListParameter",
    "LocalTarget",
    "LuigiStatusCode",
    "MonthParameter",
    "NumericalParameter",
    "OptionalBoolParameter",
    "OptionalChoiceParameter",
    "OptionalDictParameter",
    "OptionalFloatParameter",
    "OptionalIntParameter",
    "OptionalListParameter",
    "OptionalNumericalParameter",
    "OptionalParameter",
    "OptionalPathParameter",
    "OptionalStrParameter",
    "OptionalTupleParameter",
    "Parameter",
    "ParameterGenerator",
    "PathParameter",
    "RPCError",
    "RemoteScheduler",
    "StrParameter",
    "Target",
    "Task",
    "TaskParameter",
    "TimeDeltaParameter",
    "TupleParameter",
    "WrapperTask",
    "YearParameter",
    "ZippedParameterGenerator",
    "__version__",
    "auto_namespace",
    "build",
    "clear_setting",
    "configuration",
    "copies",
    "dispatch",
    "event",
    "get_setting",
    "inherits",
    "interface",
    "local_target",
    "namespace",
    "on_temporary_files",
    "parameter",
    "process",
    "requires",
    "rpc",
    "run",
    "set_setting",
    "target",
    "task",
    "wrap_parameter",
]
_KNOWN = tuple(__all__)
if not TYPE_CHECKING:
    del __all__  # computed by `__getattr__`: the installed luigi may have more names

_PACKAGES = ("batch", "cli", "core")
_NOT_FROM_LUIGI = ("range",)
"""Names of luigi that would hide Python's own after `from b2luigi import *`."""
_NAMES_OF_MODULE = {
    "b2luigi.batch.dispatch": ["DispatchableTask", "dispatch"],
    "b2luigi.cli.process": ["process"],
    "b2luigi.core.generators": ["ParameterGenerator", "ZippedParameterGenerator"],
    "b2luigi.core.parameter": [*(name for name in _KNOWN if name.endswith("Parameter")), "wrap_parameter"],
    "b2luigi.core.requires": ["inherits", "requires"],
    "b2luigi.core.settings": ["DeprecatedSettingsWarning", "clear_setting", "get_setting", "set_setting"],
    "b2luigi.core.target": ["FileSystemTarget", "LocalTarget"],
    "b2luigi.core.task": ["ExternalTask", "Task", "WrapperTask"],
    "b2luigi.core.temporary": ["on_temporary_files"],
    "luigi.util": ["copies"],
}
_MODULE_OF = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}


if os.environ.get("B2LUIGI_JOB_SCRIPT"):  # on a node, import only what a task needs
    from b2luigi.core.lazy_luigi import import_luigi

    import_luigi()


def __getattr__(name: str) -> Any:
    """Import a public name on first access: ours, or else luigi's."""
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__all__":
        return sorted({*_KNOWN, *importlib.import_module("luigi").__all__}.difference(_NOT_FROM_LUIGI))
    if not name.startswith("_"):
        module = importlib.import_module(_MODULE_OF.get(name) or _module_of_new(name))
        if hasattr(module, name):
            value = globals()[name] = getattr(module, name)
            return value
        importlib.import_module("b2luigi.core.dropped").dropped(__name__)(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}, and neither has luigi")


def _module_of_new(name: str) -> str:
    """The module to look in for a name that only the installed luigi may know."""
    return "b2luigi.core.parameter" if name.endswith("Parameter") else "luigi"


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__"), *_PACKAGES})
