"""The pages of the documentation, and what stands in their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)]
BLOCK = re.compile(r"^```(?P<language>[\w{}-]*)\n(?P<text>.*?)^```$", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_script(self) -> bool:
        """A whole script, which does something when it is started."""
        return "__main__" in self.text

    @property
    def commands(self) -> list[str]:
        """Of a snippet for a shell: the lines that a person types."""
        lines = self.text.splitlines()
        return [line[2:] for line in lines if line.startswith("$ ")] if self.language == "console" else lines


def snippets(*languages: str) -> list[Snippet]:
    """All snippets in these languages."""
    return [snippet for page in PAGES for snippet in of_page(page) if snippet.language in languages]


def of_page(page: Path) -> Iterator[Snippet]:
    """All snippets of a page."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        yield Snippet(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"])


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What a link to a heading of this page may say after its `#`."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
