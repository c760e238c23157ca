"""Writes docs/settings.md from the table of settings:  python docs/make_settings_page.py"""

from __future__ import annotations

import json
from pathlib import Path

from b2luigi.core.known_settings import KNOWN, Setting

PAGE = Path(__file__).with_name("settings.md")
BEGINNING = """# Settings

A setting is looked up in this order; the first place that has it wins:

1. an attribute, property or parameter of the task with the name of the setting,
2. `b2luigi.set_setting("name", value)`,
3. `settings.json`: the nearest one in the current folder and above it, then in the folder of the script and above it.
   `B2LUIGI_SETTINGS_JSON` in the environment names the one file to use instead,
4. the default.

As a property a setting can depend on the parameters of a task. Dictionaries of options (`htcondor_settings`,
`lsf_settings`) are put together from all places, entry by entry. `b2luigi.get_setting("name", task=task)` looks a
setting up; settings of your own may be kept in the same places.

A value of another type is an error, which names the setting and where the value came from: the line of the
`settings.json`, `set_setting`, or the task. A name that is almost one of these is warned about, once.

| setting | type; default | meaning |
|---|---|---|
"""


def page() -> str:
    """The text of the page."""
    return BEGINNING + "".join(_row(setting) for setting in KNOWN.values())


def _row(setting: Setting) -> str:
    default = f"{setting.kind.words}; "
    default += "not set" if setting.default is None else f"`{json.dumps(setting.default)}`"
    unit = f" {setting.unit}" if setting.unit else ""
    old = f" Old name: `{'`, `'.join(setting.old_names)}`." if setting.old_names else ""
    description = setting.description.replace("<", r"\<")  # or it would be read as HTML
    return f"| `{setting.name}` | {default}{unit} | {description}{old} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
