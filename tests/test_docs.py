"""What the documentation says is what the code does."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from b2luigi.batch.judge import AGAIN
from b2luigi.batch.model import Cause
from b2luigi.core.flags import FLAGS
from b2luigi.core.settings import with_new_settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_of_settings_is_made_from_the_table() -> None:
    """`python docs/make_settings_page.py` was run after the last change of a setting."""
    made = runpy.run_path(str(ROOT / "docs" / "make_settings_page.py"))
    assert (ROOT / "docs" / "settings.md").read_text() == made["page"]()


def test_every_flag_is_in_the_quick_start() -> None:
    """The table of flags is complete."""
    text = (ROOT / "docs" / "quick-start.md").read_text()
    assert [flag.name for flag in FLAGS if flag.name not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is a file."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_snippets_can_be_defined(page: Path) -> None:
    """Each Python snippet runs, down to what it does as a script."""
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        names = {"__name__": f"snippet_of_{page.stem.replace('-', '_')}"}
        with with_new_settings():
            exec(compile("import b2luigi\n" + snippet, str(page), "exec"), names)


def test_the_table_of_causes_is_that_of_the_judge() -> None:
    """What is done about each cause of a death."""
    text = (ROOT / "docs" / "explanation" / "how-it-works.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE))
    assert {cause.value: AGAIN[cause] for cause in Cause} == {
        key: rows[key] for key in rows if key != "cause" and "-" not in key
    }
