"""ReadyQueue: the tasks that can run now, in luigi's order; finding the first takes logarithmic time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any

Signature = tuple[tuple[str, int], ...]
"""The resources a task requests, in a form that can be compared."""
Entry = tuple[float, float, int, Any]
"""Smaller is earlier: minus the priority, the time the task was added, a running number, and the task itself."""


class ReadyQueue:
    """The tasks that can run now, ranked, in one heap for each combination of resources.

    Each of these tasks has its valid entry in its attribute `entry`; all others have None there. Outdated entries stay
    in a heap until they come up.
    """

    def __init__(self) -> None:
        self._heaps: dict[Signature, list[Entry]] = {}
        self._count = 0
        self.sizes = Counter[str]()
        """How many there are of each class."""

    def enter(self, task: Any) -> None:
        """Adds a task, or moves it if its priority or resources changed."""
        known, signature = task.entry, signature_of(task)
        if known is not None and known[:2] == (-task.priority, task.time) and task.signature == signature:
            return
        self._count += 1
        self.sizes[task.family] += known is None
        task.entry, task.signature = (-task.priority, task.time, self._count, task), signature
        heapq.heappush(self._heaps.setdefault(signature, []), task.entry)

    def drop(self, task: Any) -> None:
        """Removes a task."""
        self.sizes[task.family] -= task.entry is not None
        task.entry = None

    def heads(self) -> dict[Signature, Entry]:
        """The first of each heap."""
        for signature in list(self._heaps):
            heap = self._heaps[signature]
            while heap and not _is_valid(heap[0]):
                heapq.heappop(heap)
            if not heap:
                del self._heaps[signature]
        return {signature: heap[0] for signature, heap in self._heaps.items()}

    def ranked(self, signature: Signature) -> Iterator[Entry]:
        """One heap in order, read as far as it is iterated: children of an entry come after it."""
        heap = self._heaps[signature]
        front = [(heap[0], 0)]
        while front:
            entry, index = heapq.heappop(front)
            if _is_valid(entry):
                yield entry
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heapq.heappush(front, (heap[child], child))


def signature_of(task: Any) -> Signature:
    """The resources a task requests."""
    return tuple(sorted(task.resources.items())) if task.resources else ()


def _is_valid(entry: Entry) -> bool:
    return entry[3].entry is entry
