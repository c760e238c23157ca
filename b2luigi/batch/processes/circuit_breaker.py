"""The circuit breaker: when the first jobs of a task family all fail for one reason, no more are submitted."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class CircuitBreaker:
    """Counts failures by task family. One success, or a second reason, and the family is trusted."""

    _reasons: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _trusted: set[str] = field(default_factory=set)

    def failed(self, family: str, reason: str) -> None:
        """A task of this family failed."""
        if self._reasons.setdefault(family, reason) != reason:
            self._trusted.add(family)
        self._counts[family] = self._counts.get(family, 0) + 1

    def succeeded(self, family: str) -> None:
        """A task of this family was done, or yielded requirements."""
        self._trusted.add(family)

    def forget(self, family: str) -> None:
        """A person says that the reason is gone."""
        self._reasons.pop(family, None)
        self._counts.pop(family, None)

    def why_open(self, family: str, most: int) -> str:
        """Why no more tasks of this family are to be submitted; empty if they may. `most`: 0 for no breaker at all."""
        count = self._counts.get(family, 0)
        return self._reasons[family] if most and count >= most and family not in self._trusted else ""
