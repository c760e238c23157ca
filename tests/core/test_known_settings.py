from __future__ import annotations

import pytest

from b2luigi.core.known_settings import KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_each_setting_is_told_in_one_sentence(name: str) -> None:
    """The documentation shows one sentence per setting, so each has one, under the name of its row."""
    setting = KNOWN[name]
    assert setting.name == name
    assert setting.description[0].isupper()
    assert setting.description.endswith(".")
    assert ". " not in setting.description


def test_names_are_told_apart() -> None:
    """No old name is also a current one, or the old name of two settings."""
    old = [name for setting in KNOWN.values() for name in setting.old_names]
    assert len(set(old)) == len(old)
    assert not set(old) & set(KNOWN)


def test_the_table_can_not_be_changed() -> None:
    """Nobody changes a default for everyone else."""
    with pytest.raises(TypeError):
        KNOWN["queue"] = KNOWN["shell"]  # type: ignore[index]
