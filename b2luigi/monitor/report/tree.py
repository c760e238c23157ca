"""A graph as an indented list, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from b2luigi.monitor.report.graph import Node


def tree(nodes: Sequence[Node]) -> str:
    """Each box below those that require it; one that was listed before is not unfolded again."""
    return "\n".join(_lines(nodes))


def _lines(nodes: Sequence[Node]) -> Iterator[str]:
    by_key = {node.key: node for node in nodes}
    needed = {one for node in nodes for one in node.needs if one != node.key}
    roots = [node for node in nodes if node.key not in needed] or list(nodes[:1])
    seen: set[str] = set()
    stack = [(node, "", "", "") for node in reversed(roots)]
    while stack:
        node, indent, corner, below = stack.pop()
        again = node.key in seen and bool(node.needs)
        seen.add(node.key)
        yield f"{indent}{corner}{label(node)}{' (see above)' if again else ''}"
        if again:
            continue
        children = [by_key[one] for one in node.needs if one in by_key and one != node.key]
        for index, child in reversed(list(enumerate(children))):
            last = index == len(children) - 1
            stack.append((child, indent + below, "└─ " if last else "├─ ", "   " if last else "│  "))


def label(node: Node) -> str:
    """A box on one line: `Class(n = 3)  done`, `Class  400 tasks: 390 done, 10 failed`."""
    states = ", ".join(f"{number:,} {state}" for state, number in node.states.items())
    if node.key == node.title:  # a class
        return f"{node.title}  {', '.join(node.lines)}" + (f": {states}" if states else "")
    parameters = ", ".join(line.replace(" = ", "=", 1) for line in node.lines)
    return f"{node.title}({parameters})" + (f"  {next(iter(node.states))}" if states else "")
