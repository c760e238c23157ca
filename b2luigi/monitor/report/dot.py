"""A graph in the language of Graphviz, for whoever wants to draw it with other means."""

from __future__ import annotations

from collections.abc import Sequence

from b2luigi.monitor.report.graph import Node
from b2luigi.monitor.report.svg import colour


def dot(nodes: Sequence[Node]) -> str:
    """A digraph, drawn from the bottom to the top: what is required comes first."""
    lines = ["digraph tasks {", "  rankdir=BT;", '  node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for node in nodes:
        states = tuple(f"{number:,} {state}" for state, number in node.states.items())
        text = "\n".join([node.title, *node.lines, *states])
        lines.append(f'  {_quoted(node.key)} [label={_quoted(text)}, fillcolor="{colour(node)}"];')
    lines += [f"  {_quoted(one)} -> {_quoted(node.key)};" for node in nodes for one in node.needs]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    """A string of the language (graphviz.org/doc/info/lang.html): only the quote is special, and `\\` in labels."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
