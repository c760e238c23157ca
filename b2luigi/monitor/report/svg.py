"""A graph as an SVG picture, without Graphviz: boxes in rows, and lines between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from b2luigi.monitor.report.graph import Node, layers

CHARACTER, LINE, PADDING = 7.0, 16.0, 10.0
"""Width and height of a character at 12 px, and the margin inside a box, in pixels."""
GAP, STEP = 24.0, 56.0
"""Between two boxes of a row, and between two rows."""
WIDEST = 34
"""Characters of a line in a box."""
COLOURS = {
    "failed": "#f6c9c4",
    "cancelled": "#f6c9c4",
    "held": "#fbe7b2",
    "running": "#c5e3f6",
    "queued": "#dfe7ee",
    "submitting": "#dfe7ee",
    "done": "#cfe9cf",
    "waiting": "#f4f4f4",
}
"""Background of a box, by the first of these states that one of its tasks is in."""
UNKNOWN = "#f4f4f4"


def colour(node: Node) -> str:
    """The background of a box: that of the state of its tasks that matters most."""
    return next((value for state, value in COLOURS.items() if node.states.get(state)), UNKNOWN)


def svg(nodes: Sequence[Node]) -> str:
    """The picture as a document of its own, with a white ground, so that it can be read anywhere."""
    rows = layers(nodes)
    sizes = {node.key: _size(node) for node in nodes}
    widths = [sum(sizes[node.key][0] for node in row) + GAP * (len(row) + 1) for row in rows]
    width = max(widths, default=200.0)
    boxes, y = dict[str, tuple[float, float, float, float]](), GAP
    for row, row_width in zip(rows, widths, strict=True):
        x = (width - row_width) / 2 + GAP
        height = max(sizes[node.key][1] for node in row)
        for node in row:
            boxes[node.key] = (x, y, *sizes[node.key])
            x += sizes[node.key][0] + GAP
        y += height + STEP
    height = max(y - STEP + GAP, 60.0)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *_edges(nodes, boxes),
            *(line for node in nodes for line in _box(node, *boxes[node.key])),
            "</svg>",
        ]
    )


def _texts(node: Node) -> list[str]:
    states = [f"{number:,} {state}" for state, number in node.states.items()]
    return [text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..." for text in (node.title, *node.lines, *states)]


def _size(node: Node) -> tuple[float, float]:
    texts = _texts(node)
    return max(len(text) for text in texts) * CHARACTER + 2 * PADDING, len(texts) * LINE + 2 * PADDING


def _edges(nodes: Sequence[Node], boxes: Mapping[str, tuple[float, float, float, float]]) -> Iterator[str]:
    for node in nodes:
        x, y, width, height = boxes[node.key]
        for one in node.needs:
            if one == node.key or one not in boxes:
                continue
            left, top, its_width, its_height = boxes[one]
            start, end = (x + width / 2, y + height), (left + its_width / 2, top)
            if top < y:  # classes that require each other
                start, end = (x + width / 2, y), (left + its_width / 2, top + its_height)
            middle = (start[1] + end[1]) / 2
            yield (
                f'<path d="M{start[0]:.0f} {start[1]:.0f} C{start[0]:.0f} {middle:.0f} {end[0]:.0f} {middle:.0f} '
                f'{end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#8a949e" stroke-width="1.2"/>'
            )


def _box(node: Node, x: float, y: float, width: float, height: float) -> Iterator[str]:
    yield (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6" '
        f'fill="{colour(node)}" stroke="#5f6b76"/>'
    )
    for number, text in enumerate(_texts(node)):
        weight = ' font-weight="bold"' if number == 0 else ""
        yield (
            f'<text x="{x + width / 2:.0f}" y="{y + PADDING + (number + 0.75) * LINE:.0f}" text-anchor="middle" '
            f'fill="#1d2329"{weight}>{escape(text)}</text>'
        )
