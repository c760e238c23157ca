"""A graph to be drawn: of tasks, or of their classes with how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LARGE = 30
"""With more tasks than this, their classes are drawn instead."""


@dataclass(frozen=True)
class Node:
    """A box. `needs`: keys of the boxes it requires."""

    key: str
    title: str
    needs: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    """Further lines in the box: parameters, or counts."""
    states: Mapping[str, int] = field(default_factory=dict)
    """How many of its tasks are in which state, if that is known."""


@dataclass(frozen=True)
class Vertex:
    """One task: what is needed of it to draw it."""

    task_id: str
    class_name: str
    parameters: Mapping[str, str]
    needs: Sequence[str]
    state: str = ""


def drawing(vertices: Iterable[Vertex], large: int = LARGE) -> list[Node]:
    """The boxes: one for each task, or one for each class where there are more than `large` tasks."""
    tasks = list(vertices)
    return _classes(tasks) if len(tasks) > large else _tasks(tasks)


def _tasks(tasks: Sequence[Vertex]) -> list[Node]:
    known = {task.task_id for task in tasks}
    return [
        Node(
            task.task_id,
            task.class_name,
            tuple(one for one in dict.fromkeys(task.needs) if one in known),
            tuple(f"{name} = {value}" for name, value in task.parameters.items()),
            {task.state: 1} if task.state else {},
        )
        for task in tasks
    ]


def _classes(tasks: Sequence[Vertex]) -> list[Node]:
    class_of = {task.task_id: task.class_name for task in tasks}
    counts = Counter(class_of.values())
    needs: dict[str, Counter[str]] = {name: Counter() for name in counts}
    states: dict[str, Counter[str]] = {name: Counter() for name in counts}
    for task in tasks:
        needs[task.class_name].update({class_of[one]: 1 for one in task.needs if one in class_of})
        if task.state:
            states[task.class_name][task.state] += 1
    return [
        Node(name, name, tuple(needs[name]), (f"{count:,} {'task' if count == 1 else 'tasks'}",), dict(states[name]))
        for name, count in counts.items()
    ]


def layers(nodes: Sequence[Node]) -> list[list[Node]]:
    """The boxes in rows: each below all that require it. A box that requires itself by some way is drawn once."""
    by_key = {node.key: node for node in nodes}
    depth: dict[str, int] = {}
    users: dict[str, list[str]] = {node.key: [] for node in nodes}
    for node in nodes:
        for one in node.needs:
            if one in by_key and one != node.key:
                users[one].append(node.key)
    open_users = {key: len(found) for key, found in users.items()}
    ready = [node.key for node in nodes if not open_users[node.key]] or [node.key for node in nodes[:1]]
    while ready or len(depth) < len(by_key):
        if not ready:  # classes that require each other
            ready = [next(key for key in by_key if key not in depth)]
        key = ready.pop(0)
        if key in depth:
            continue
        depth[key] = max((depth[user] + 1 for user in users[key] if user in depth), default=0)
        for one in by_key[key].needs:
            if one in open_users and one not in depth:
                open_users[one] -= 1
                if open_users[one] <= 0:
                    ready.append(one)
    rows: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        rows[depth[node.key]].append(node)
    return _untangled(rows)


def _untangled(rows: list[list[Node]]) -> list[list[Node]]:
    """Each row ordered by where the boxes stand that its own boxes belong to, so that few lines cross."""
    place: dict[str, float] = {}
    for number, row in enumerate(rows):
        if number:
            above = {node.key: [place[user.key] for user in rows[number - 1] if node.key in user.needs] for node in row}
            row.sort(key=lambda node: sum(above[node.key]) / len(above[node.key]) if above[node.key] else 0.5)
        place.update({node.key: (index + 0.5) / len(row) for index, node in enumerate(row)})
    return rows
