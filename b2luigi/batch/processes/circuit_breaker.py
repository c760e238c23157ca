"""The brake: when all of the first jobs of a kind end the same bad way, no more of them are submitted."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Brake:
    """Counts failures by task family. One task that is done, or another reason, and the family is trusted."""

    _reasons: dict[str, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _trusted: set[str] = field(default_factory=set)

    def press(self, family: str, reason: str) -> None:
        """A task of this family failed."""
        if self._reasons.setdefault(family, reason) != reason:
            self._trusted.add(family)
        self._counts[family] = self._counts.get(family, 0) + 1

    def release(self, family: str) -> None:
        """A task of this family was done, or got on."""
        self._trusted.add(family)

    def holds(self, family: str, most: int) -> str:
        """Why no more tasks of this family are to be submitted; empty if they may. `most`: 0 for no brake at all."""
        count = self._counts.get(family, 0)
        return self._reasons[family] if most and count >= most and family not in self._trusted else ""
