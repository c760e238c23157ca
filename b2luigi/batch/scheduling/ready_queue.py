"""ReadyQueue: the tasks that can run now, in luigi's order; finding the first takes logarithmic time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

Signature = tuple[tuple[str, int], ...]
"""The resources a task requests, in a form that can be compared."""
Rank = tuple[float, float, int]
"""Smaller is earlier: minus the priority, the time the task was added, a running number."""


class ReadyQueue:
    """The tasks that can run now, ranked, in one heap for each combination of resources.

    Outdated entries stay in a heap until they come up.
    """

    def __init__(self) -> None:
        self._heaps: dict[Signature, list[tuple[Rank, Any]]] = {}
        self._entered: dict[str, tuple[Rank, Signature]] = {}
        self._count = 0

    def enter(self, task: Any) -> None:
        """Adds a task, or moves it if its priority or resources changed."""
        known, signature = self._entered.get(task.id), signature_of(task)
        if known is not None and known[1] == signature and known[0][:2] == (-task.priority, task.time):
            return
        self._count += 1
        rank = (-task.priority, task.time, self._count)
        self._entered[task.id] = rank, signature
        heapq.heappush(self._heaps.setdefault(signature, []), (rank, task))

    def drop(self, task: Any) -> None:
        """Removes a task."""
        self._entered.pop(task.id, None)

    def heads(self) -> dict[Signature, tuple[Rank, Any]]:
        """The first of each heap."""
        for signature in list(self._heaps):
            heap = self._heaps[signature]
            while heap and not self.holds(*heap[0], signature):
                heapq.heappop(heap)
            if not heap:
                del self._heaps[signature]
        return {signature: heap[0] for signature, heap in self._heaps.items()}

    def ranked(self, signature: Signature) -> Iterator[tuple[Rank, Any]]:
        """One heap in order, read as far as it is iterated: children of an entry come after it."""
        heap = self._heaps[signature]
        front = [(heap[0][0], 0)]
        while front:
            rank, index = heapq.heappop(front)
            if self.holds(rank, heap[index][1], signature):
                yield heap[index]
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heapq.heappush(front, (heap[child][0], child))

    def holds(self, rank: Rank, task: Any, signature: Signature) -> bool:
        """Whether an entry is still valid."""
        return self._entered.get(task.id) == (rank, signature)


def signature_of(task: Any) -> Signature:
    """The resources a task requests."""
    return tuple(sorted(task.resources.items())) if task.resources else ()
