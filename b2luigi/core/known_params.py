"""The parameters of a class of tasks, which luigi would search for ten times or more per task."""

from __future__ import annotations

import luigi


class KnownParams:
    """Parameters of a class, in the order of their definition, with what shows whether they are still all of them."""

    def __init__(self, cls: type[luigi.Task], params: list[tuple[str, luigi.Parameter]]) -> None:
        self.params = params
        self._mro = cls.__mro__
        self._attributes = tuple(map(vars, cls.__mro__))
        self._sizes = [*map(len, self._attributes)]

    def hold_for(self, cls: type[luigi.Task]) -> bool:
        """Whether no class in the MRO has gained or lost an attribute since, and no parameter was replaced."""
        if self._mro is not cls.__mro__ or [*map(len, self._attributes)] != self._sizes:
            return False
        for name, param in self.params:  # noqa: SIM110 - a generator takes twice as long
            if getattr(cls, name) is not param:
                return False
        return True
