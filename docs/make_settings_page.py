"""Generates docs/settings.md from the table of settings:  python docs/make_settings_page.py"""

from __future__ import annotations

import json
from pathlib import Path

from b2luigi.core.known_settings import KNOWN, Setting
from b2luigi.core.setting_kinds import ENTRIES

PAGE = Path(__file__).with_name("settings.md")
BEGINNING = """# Settings

b2luigi looks a setting up in this order; the first place that has it wins:

1. an attribute, property or parameter of the task with the name of the setting,
2. `b2luigi.set_setting("name", value)`,
3. `settings.json`: the nearest one in the current folder or above it, then in the folder of the script or above it. To
   use one particular file instead, set the environment variable `B2LUIGI_SETTINGS_JSON` to its path,
4. the default.

A setting that is a property can depend on the parameters of the task. `b2luigi.get_setting("name", task=task)` returns
a setting. You can keep settings of your own in the same places.

These dictionaries are *merged*: {merged}. Their entries come from
all places; if several places have the same entry, the first of them wins. Options of HTCondor that differ only in case
are the same entry. Other dictionaries ({whole}) come as a whole from the first place that has them.

`b2luigi settings my_script.py` shows every setting, its value, and where that came from.

A value of the wrong type is an error. The message names the setting and where the value came from: the line of the
`settings.json`, `set_setting`, or the task. A name that is close to one of these triggers a warning, once. All problems
of a `settings.json` come in one message. Jobs repeat no warnings.

What "the folder of the script" means if you start something else than a script, such as `pytest` or a notebook:
[Batch processing](batch.md#file-system).

| setting | type; default | meaning |
|---|---|---|
"""


def page() -> str:
    """The text of the page."""
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for setting in KNOWN.values():
        if setting.kind is ENTRIES:
            kinds[setting.merged].append(f"`{setting.name}`")
    beginning = BEGINNING.format(merged=", ".join(kinds[True]), whole=", ".join(kinds[False]))
    return beginning + "".join(_row(setting) for setting in KNOWN.values())


def _row(setting: Setting) -> str:
    default = f"{setting.kind.words}; "
    default += "not set" if setting.default is None else f"`{json.dumps(setting.default)}`"
    unit = f" {setting.unit}" if setting.unit else ""
    old = f" Old name: `{'`, `'.join(setting.old_names)}`." if setting.old_names else ""
    description = setting.description.replace("<", r"\<")  # otherwise it would be read as HTML
    return f"| `{setting.name}` | {default}{unit} | {description}{old} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
