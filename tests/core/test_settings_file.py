from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.settings import UnknownSettingWarning, get_setting, settings_files
from b2luigi.core.settings_file import SettingsCache

AS_USER = pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a file")


def write_settings(folder: Path, **values: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    path.write_text(json.dumps(values))
    return path


def ours(tmp_path: Path) -> list[Path]:
    """The files in use that this test created."""
    return [path for path in settings_files() if tmp_path in path.parents]


def test_the_nearest_file_wins_key_by_key(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two nested settings.json, each key is read from the nearer file that has it."""
    write_settings(script_folder, queue="outer", shell="zsh")
    write_settings(script_folder / "sub", queue="inner")
    monkeypatch.chdir(script_folder / "sub")
    assert (get_setting("queue"), get_setting("shell")) == ("inner", "zsh")


def test_the_current_folder_comes_before_that_of_the_script(
    tmp_path: Path, script_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the current folder and its parents, then the script's folder and its parents, each file once."""
    here, above, script = (write_settings(tmp_path / name) for name in ("a/b", "a", "project"))
    top = write_settings(tmp_path)
    monkeypatch.chdir(here.parent)
    assert ours(tmp_path) == [here, above, top, script]


def test_without_a_script_only_the_current_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook, which has no script, only the current folder and its parents are searched."""
    write_settings(tmp_path / "project")
    elsewhere = write_settings(tmp_path / "elsewhere")
    monkeypatch.chdir(elsewhere.parent)
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    assert ours(tmp_path) == [elsewhere]


def test_a_changed_file_is_read_again(script_folder: Path) -> None:
    """A changed, new or removed settings.json takes effect at once."""
    assert get_setting("queue") == "s"
    path = write_settings(script_folder, queue="one")
    assert get_setting("queue") == "one"
    write_settings(script_folder, queue="three")
    assert get_setting("queue") == "three"
    path.unlink()
    assert get_setting("queue") == "s"


def test_a_replaced_file_of_the_same_size_and_time_is_read_again(script_folder: Path) -> None:
    """A file that replaces another one is read, even if size and modification time are equal."""
    path = write_settings(script_folder, queue="a")
    os.utime(path, ns=(1, 1))
    assert get_setting("queue") == "a"
    other = write_settings(script_folder / "aside", queue="b")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    assert get_setting("queue") == "b"


def test_a_named_file_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B2LUIGI_SETTINGS_JSON replaces the search."""
    write_settings(tmp_path / "project", shell="zsh")
    named = write_settings(tmp_path / "elsewhere", queue="named").rename(tmp_path / "mine.json")
    monkeypatch.setenv("B2LUIGI_SETTINGS_JSON", str(named))
    assert settings_files() == [named]
    assert (get_setting("queue"), get_setting("shell")) == ("named", "bash")


def test_a_missing_named_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong B2LUIGI_SETTINGS_JSON raises an error instead of running without settings."""
    monkeypatch.setenv("B2LUIGI_SETTINGS_JSON", "/not/there.json")
    with pytest.raises(FileNotFoundError, match=r"B2LUIGI_SETTINGS_JSON names /not/there\.json"):
        get_setting("queue")


def test_files_of_the_submit_host_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a job, the submit host's files that exist here come first, in their order, then those found by the search."""
    found = write_settings(tmp_path / "project", queue="found")
    second, first = (write_settings(tmp_path / name, queue=name) for name in ("second", "first"))
    listed = [str(first), str(tmp_path / "not_here.json"), str(second)]
    monkeypatch.setenv("B2LUIGI_SETTINGS_FILES", os.pathsep.join(listed))
    assert ours(tmp_path) == [first, second, found]
    assert get_setting("queue") == "first"


def test_invalid_json_is_an_error_with_its_position(script_folder: Path) -> None:
    """For a syntax error in settings.json, the error gives file, line and column."""
    path = script_folder / "settings.json"
    path.write_text('{\n  "queue": l\n}')
    with pytest.raises(ValueError, match=r"settings\.json, line 2, column 12: not valid JSON"):
        get_setting("queue")


def test_invalid_utf8_is_an_error_with_its_position(script_folder: Path) -> None:
    """For a settings.json in another encoding than UTF-8, the error gives file, line and column."""
    (script_folder / "settings.json").write_bytes(b'{\n "a": "\xff"}')
    with pytest.raises(ValueError, match=r"settings\.json, line 2, column 8: not valid UTF-8"):
        get_setting("queue")


def test_a_list_is_not_a_settings_file(script_folder: Path) -> None:
    """The content must be a JSON object."""
    (script_folder / "settings.json").write_text('["queue"]')
    with pytest.raises(ValueError, match=r"settings\.json, line 1, column 1: expected a JSON object .* not a list"):
        get_setting("queue")


@pytest.mark.parametrize("key", ["poll_interval", "poll_int\\u0065rval"])
def test_a_value_of_the_wrong_type_is_an_error_with_its_line(script_folder: Path, key: str) -> None:
    """Whichever setting is read, the error gives file, line, setting, expected kind and value."""
    text = '\n{"env": {"poll_interval": "}"},\n "shell":"sh"\n ,"KEY"\n:\t"60" , "mine": [1, {}]}'
    (script_folder / "settings.json").write_text(text.replace("KEY", key))
    message = r"project/settings\.json, line 4: poll_interval must be a number of seconds, not '60'\. Please"
    for _ in "again":
        with pytest.raises(ValueError, match=message):
            get_setting("queue")


def test_the_error_for_a_duplicate_key_gives_the_last_line(script_folder: Path) -> None:
    """In JSON the last value wins, so that is the one to correct."""
    (script_folder / "settings.json").write_text('{"job_retries": 1,\n"job_retries": "2"}')
    with pytest.raises(ValueError, match=r"line 2: job_retries must be an integer"):
        get_setting("queue")


def test_a_misspelled_name_gives_one_warning(script_folder: Path) -> None:
    """A warning gives file, line and the setting probably meant, once for each version of the file."""
    path = script_folder / "settings.json"
    path.write_text('{\n"shell": "sh",\n"quue": "l"}')
    with pytest.warns(UnknownSettingWarning, match=r"settings\.json, line 3: .* no setting quue; did you mean queue\?"):
        assert get_setting("queue") == "s"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_setting("queue") == "s"
        path.write_text('{"my_own": 1, "energy": 2}')
        assert get_setting("my_own") == 1


def test_a_dropped_setting_gives_a_warning(script_folder: Path) -> None:
    """For a setting of b2luigi 1.x without effect, the warning says what to do instead."""
    write_settings(script_folder, batch_status_cache_ttl=5)
    with pytest.warns(
        UnknownSettingWarning, match="batch_status_cache_ttl of b2luigi 1.x has no effect.*poll_interval"
    ):
        get_setting("queue")


def test_a_file_is_not_read_if_the_task_has_the_setting(script_folder: Path) -> None:
    """A value with higher precedence does not depend on the files."""
    (script_folder / "settings.json").write_text("broken")
    assert get_setting("queue", task=type("Task", (), {"queue": "l"})()) == "l"


def test_a_folder_of_that_name_is_ignored(script_folder: Path) -> None:
    """Only regular files are settings files."""
    (script_folder / "settings.json").mkdir()
    assert get_setting("queue") == "s"


def test_a_removed_current_folder_is_not_an_error(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the current folder was removed, the script's folder is still searched."""
    write_settings(script_folder, queue="script")
    gone = script_folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert get_setting("queue") == "script"


@AS_ROOT
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_another_users_file_in_a_writable_folder_is_rejected(script_folder: Path, mode: int) -> None:
    """Settings name programs to run, so a file that anybody may have planted is rejected."""
    path = write_settings(script_folder, executable=["evil"])
    os.chown(path, 12345, -1)
    script_folder.chmod(mode)
    with pytest.raises(PermissionError, match=r"project/settings\.json belongs to another user"):
        get_setting("executable")


@AS_ROOT
def test_another_users_file_in_a_protected_folder_is_used(script_folder: Path) -> None:
    """A colleague's project that nobody else can write to is trusted."""
    os.chown(write_settings(script_folder, queue="l"), 12345, -1)
    script_folder.chmod(0o755)
    assert get_setting("queue") == "l"


@AS_ROOT
def test_another_users_file_can_be_named(script_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By naming the file, the user states that they trust it."""
    path = write_settings(script_folder, queue="l")
    os.chown(path, 12345, -1)
    script_folder.chmod(0o777)
    monkeypatch.setenv("B2LUIGI_SETTINGS_JSON", str(path))
    assert get_setting("queue") == "l"


def test_a_run_checks_the_files_twice_a_second(script_folder: Path) -> None:
    """A change takes effect half a second later, or at once after the run."""
    now = [100.0]

    def write(value: str) -> None:
        (script_folder / "settings.json").write_text(json.dumps({"queue": value}))

    write("short")
    with SettingsCache(clock=lambda: now[0]):
        assert get_setting("queue") == "short"
        write("long queue")
        assert get_setting("queue") == "short"
        now[0] += 0.6
        assert get_setting("queue") == "long queue"
        write("another")
    assert get_setting("queue") == "another"


def test_all_problems_of_a_file_are_in_one_message(script_folder: Path) -> None:
    """Whoever corrects the first one would otherwise run into the next."""
    text = '{"job_retries": "2",\n"resultdir": "a",\n"queue": "l",\n"shell": 3,\n"queue": "s"'
    (script_folder / "settings.json").write_text(text + ', "gbasf2_a": 1,\n"gbasf2_b": 2}')
    with pytest.raises(BadInputError) as caught:
        get_setting("queue")
    rows = str(caught.value).splitlines()
    assert rows[0] == f"{script_folder}/settings.json:"
    for number, words in enumerate(("line 1: job_retries must be", "line 4: shell must be", "line 2: there is no"), 1):
        assert words in rows[number]
    assert "lines 5 to 6: the 2 settings gbasf2_..." in rows[4]
    assert "line 5: queue is given 2 times; the last one counts." in rows[5]
    assert rows[6:] == ["Please correct the file."]


def test_all_doubts_about_a_file_are_one_warning(script_folder: Path) -> None:
    """Twenty settings of the grid are one line of it; the file is used all the same."""
    names = [f"gbasf2_{number}" for number in range(20)]
    write_settings(script_folder, queue="l", resultdir="a", **dict.fromkeys(names, 1))
    with pytest.warns(UnknownSettingWarning) as found:
        assert get_setting("queue") == "l"
    assert len(found) == 1
    rows = str(found[0].message).splitlines()
    assert len(rows) == 3
    assert "the 20 settings gbasf2_... of b2luigi 1.x have no effect here: the Belle II grid" in rows[2]
    assert found[0].filename == f"{script_folder}/settings.json"


def test_a_key_given_twice_is_a_warning(script_folder: Path) -> None:
    """One of the values is lost, at whatever depth; as in all readers of JSON, it is the first one."""
    path = script_folder / "settings.json"
    path.write_text('{"queue": "a",\n"queue": "b"}')
    with pytest.warns(UnknownSettingWarning, match=r"settings\.json, line 2: queue is given 2 times"):
        assert get_setting("queue") == "b"
    path.write_text('{"slurm_settings": {"mem": 1, "mem": 2, "mem": 3}}')
    with pytest.warns(UnknownSettingWarning, match=r"settings\.json: mem is given 3 times; the last one counts"):
        assert get_setting("slurm_settings") == {"mem": 3}


def test_a_folder_cannot_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B2LUIGI_SETTINGS_JSON names a file, not its folder."""
    monkeypatch.setenv("B2LUIGI_SETTINGS_JSON", str(tmp_path))
    with pytest.raises(BadInputError, match="which is not a file: correct or unset the variable"):
        get_setting("queue")


@AS_USER
def test_a_file_that_cannot_be_read_is_an_error(script_folder: Path) -> None:
    """Its settings may matter, so a run without them is no way out."""
    write_settings(script_folder, queue="l").chmod(0)
    with pytest.raises(BadInputError, match=r"settings\.json cannot be read \(Permission denied\)"):
        get_setting("queue")


def test_a_file_that_is_edited_during_a_run(script_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file half written, or wrong, would fail live tasks and cancel their jobs: it counts again once it is valid."""
    now = [100.0]
    path = write_settings(script_folder, queue="before")
    with SettingsCache(clock=lambda: now[0]):
        assert get_setting("queue") == "before"
        for text in ("", "", '{"queue": ['):
            path.write_text(text)
            now[0] += 1
            assert get_setting("queue") == "before"
        assert len(caplog.messages) == 2
        assert "line 1, column 1: not valid JSON" in caplog.messages[0]
        write_settings(script_folder, queue="after")
        now[0] += 1
        assert get_setting("queue") == "after"
