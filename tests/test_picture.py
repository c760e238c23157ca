"""The picture of a run in README and on the quick start."""

from __future__ import annotations

import re
import runpy
from xml.etree import ElementTree

from tests.snippets import ROOT

DOCS = ROOT / "docs"


def lines_of(svg: str) -> list[str]:
    """What a picture of a terminal says, line by line."""
    texts: dict[float, list[str]] = {}
    for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        texts.setdefault(float(text.get("y", "0")), []).append(text.text or "")
    return [" ".join(" ".join(texts[y]).split()) for y in sorted(texts)]


def kind_of(svg: str) -> list[str]:
    """The lines without numbers and bars; those of the classes by their names, since the busy ones come first."""
    lines = [re.sub(r"[\d,.]+", "1", line) for line in lines_of(svg) if line]
    classes = r"^(Fit|Merge|Plot|Simulate)\b.*"
    tail = r"( · .*| tasks/s.*)$"  # the rate is known after some tasks only
    return sorted(re.sub(tail, "", re.sub(classes, r"\1", line)) for line in lines)


def test_the_picture_is_one_of_a_real_run() -> None:
    """The script still makes such a picture: the same messages, columns and classes, and nothing from elsewhere."""
    made = runpy.run_path(str(DOCS / "make_picture.py"))["picture"](lifetimes=4, done=2)
    committed = (DOCS / "_static" / "run.svg").read_text()
    assert kind_of(made) == kind_of(committed)
    for svg in (made, committed):
        assert "waiting queued running done failed" in " ".join(lines_of(svg))
        assert "url(http" not in svg
