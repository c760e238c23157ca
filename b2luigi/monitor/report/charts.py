"""The charts of the report as SVG: what they show is so little that a library would be a thousand times as large."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from b2luigi.core.words import duration, size
from b2luigi.monitor.report.statistics import ClassNumbers, Point, Spread

WIDTH, HEIGHT = 860, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 28
ROW = 30
NAME = 180
TICKS = 5
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
"""Seconds between two ticks of an axis of time; above the last one, days."""


def timeline_chart(points: Sequence[Point]) -> str:
    """Jobs at work, and above them those in the queue, over the time of the run."""
    end = max((point.moment for point in points), default=0.0) or 1.0
    most = max((point.queued + point.running for point in points), default=0) or 1
    inner, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(moment: float) -> float:
        return LEFT + inner * moment / end

    def y(count: float) -> float:
        return TOP + high * (1 - count / most)

    parts = [_open(HEIGHT, "Jobs in the queue and at work over time")]
    for count in _ticks(most):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(count):.1f}" y2="{y(count):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(count) + 4:.1f}" text-anchor="end">{count:,}</text>')
    for moment in _times(end):
        parts.append(f'<text x="{x(moment):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{duration(moment)}</text>')
    for name, counts in (("queued", [p.queued + p.running for p in points]), ("running", [p.running for p in points])):
        steps = _steps([x(point.moment) for point in points], [y(count) for count in counts], x(end))
        parts.append(f'<path class="area {name}" d="M{LEFT} {y(0):.1f} {steps} L{x(end):.1f} {y(0):.1f} Z"/>')
    return "".join([*parts, "</svg>"])


def spread_chart(classes: Sequence[ClassNumbers], of: str) -> str:
    """Median, nine of ten, and the largest value of each class; `of`: "wall" or "memory"."""
    rows = [
        (one.name, spread, one.memory_requested if of == "memory" else None)
        for one in classes
        if (spread := getattr(one, of)) is not None
    ]
    if not rows:
        return ""
    most = max([*(spread.most for _, spread, _ in rows), *(asked or 0.0 for _, _, asked in rows)]) or 1.0
    height = ROW * len(rows) + 24
    parts = [_open(height, f"{of} by class")]
    for index, (name, spread, asked) in enumerate(rows):
        parts += _bar(index * ROW + 4, name, spread, asked, most, of)
    return "".join([*parts, "</svg>"])


def _bar(top: float, name: str, spread: Spread, asked: float | None, most: float, of: str) -> Iterator[str]:
    text = size if of == "memory" else duration
    inner = WIDTH - NAME - 190

    def x(value: float) -> float:
        return NAME + inner * value / most

    shown = name if len(name) <= 24 else f"{name[:21]}..."
    yield f'<text x="{NAME - 8}" y="{top + 15}" text-anchor="end">{escape(shown)}</text>'
    yield f'<rect class="most" x="{NAME}" y="{top + 7}" width="{max(1.0, x(spread.most) - NAME):.1f}" height="6"/>'
    yield f'<rect class="ninth" x="{NAME}" y="{top + 4}" width="{max(1.0, x(spread.ninth) - NAME):.1f}" height="12"/>'
    yield f'<rect class="median" x="{x(spread.median) - 1:.1f}" y="{top}" width="3" height="20"/>'
    if asked is not None:
        yield f'<rect class="asked" x="{x(asked) - 1:.1f}" y="{top}" width="2" height="20"/>'
    yield f'<text x="{WIDTH - 180}" y="{top + 15}">{text(spread.median)} · {text(spread.most)}</text>'


def _open(height: float, title: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    )


def _steps(xs: Sequence[float], ys: Sequence[float], end: float) -> str:
    parts, before = [], None
    for x, y in zip(xs, ys, strict=True):
        parts.append(f"L{x:.1f} {before:.1f} L{x:.1f} {y:.1f}" if before is not None else f"L{x:.1f} {y:.1f}")
        before = y
    return " ".join([*parts, f"L{end:.1f} {before:.1f}" if before is not None else ""])


def _ticks(most: int) -> list[int]:
    """Round numbers from 0 to `most`."""
    step = 10 ** math.floor(math.log10(max(1, most)))
    step = next((part for part in (step // 5, step // 2, step) if part and most / part <= TICKS), step * 2)
    return list(range(0, most + 1, max(1, step)))


def _times(end: float) -> list[float]:
    step = next((one for one in STEPS if end / one <= 8), 86400 * max(1, round(end / 86400 / 8)))
    return [step * number for number in range(1, int(end / step) + 1)]
