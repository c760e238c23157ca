"""Entries of executable_prefix, executable and task_cmd_additional_args: one word each, or a refusal with the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import b2luigi
from b2luigi.core.command_words import KEYS, SeveralWordsError, words_of
from b2luigi.core.executable import create_cmd_from_task


class Plain(b2luigi.Task):
    pass


def with_setting(key: str, entries: Any) -> b2luigi.Task:
    return type("With", (Plain,), {key: entries})()  # type: ignore[no-any-return]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "entry", ["nice", "--name=x", "$HOME/prog", "~/prog", "print('a')", "it's", "a;b", "A=1", "*", "é", "'quoted'", ""]
)
def test_one_word_is_used_as_given(key: str, entry: str) -> None:
    """No shell reads it."""
    assert words_of(key, with_setting(key, [entry, "x"])) == [entry, "x"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("entries", "right", "one"),
    [
        (["nice -n 5"], '["nice", "-n", "5"]', "\"'nice -n 5'\""),
        (["nice", "-n 5"], '["nice", "-n", "5"]', "\"'-n 5'\""),
        (["apptainer exec", "image.sif"], '["apptainer", "exec", "image.sif"]', "\"'apptainer exec'\""),
        (["--name x --version y"], '["--name", "x", "--version", "y"]', "\"'--name x --version y'\""),
        (["--title 'My analysis'", "é"], '["--title", "My analysis", "é"]', "\"'--title '\\\"'\\\"'My analysis"),
        (["a\tb\nc"], '["a", "b", "c"]', "\"'a\\tb\\nc'\""),
        (["it's here"], '["it\'s", "here"]', "\"'it'\\\"'\\\"'s here'\""),
        (["--files=a.root b.root"], '["--files=a.root", "b.root"]', "\"'--files=a.root b.root'\""),
    ],
)
def test_several_words_in_one_entry_are_refused(key: str, entries: list[str], right: str, one: str) -> None:
    """A shell would split them. The message has the very list, and how to write a word with blanks."""
    with pytest.raises(ValueError, match="each word needs an entry of its own") as caught:
        words_of(key, with_setting(key, entries))
    text = str(caught.value)
    assert text.startswith(f"{key} (attribute of the task With): each word needs an entry of its own: {right}. If ")
    assert f"is one word, write {one}" in text


def test_what_the_messages_say_to_write_is_accepted() -> None:
    """Both ways: the list of words, and the word in quotes."""
    assert words_of("executable", with_setting("executable", ["nice", "-n", "5"])) == ["nice", "-n", "5"]
    assert words_of("executable", with_setting("executable", ["'nice -n 5'", '"a  b"'])) == ["nice -n 5", "a  b"]
    assert words_of("executable", with_setting("executable", ["'it'\"'\"'s here'"])) == ["it's here"]
    assert words_of("executable", with_setting("executable", ["--title='My analysis'"])) == ["--title=My analysis"]


@pytest.mark.parametrize("entry", ["source setup.sh &&", "nice 2> log", "A=$(date +%s) prog", "a | b"])
def test_shell_code_is_refused(entry: str) -> None:
    """No list of words would do what it did; the env_script does."""
    with pytest.raises(ValueError, match="is shell code, which no shell reads here; put it into the env_script"):
        words_of("executable_prefix", with_setting("executable_prefix", [entry]))


@pytest.mark.parametrize("option", ["-c", "-lc", "-e", "--command"])
def test_the_program_of_an_option_is_one_word(option: str) -> None:
    """What follows `sh -c` is read by a shell, and what follows `python -c` by Python."""
    words = ["sh", option, 'cd /x && exec "$@"']
    assert words_of("executable_prefix", with_setting("executable_prefix", words)) == words


@pytest.mark.parametrize("entry", ["PATH", "--input=PATH", "PATH:/data", "--bind=PATH:/data", "my data/prog"])
def test_a_path_that_exists_is_one_word(entry: str, script_folder: Path) -> None:
    """Relative ones are looked for in the folder of the script, where jobs run."""
    (script_folder / "my data").mkdir()
    (script_folder / "my data" / "prog").touch()
    entry = entry.replace("PATH", str(script_folder / "my data" / "prog"))
    assert words_of("executable", with_setting("executable", [entry])) == [entry]


def test_a_file_that_is_to_be_written_is_one_word(script_folder: Path) -> None:
    """Its folder exists, and has the blank in its name."""
    (script_folder / "my data").mkdir()
    entry = f"--log={script_folder}/my data/new.log"
    assert words_of("executable", with_setting("executable", [entry])) == [entry]
    with pytest.raises(ValueError, match="each word needs an entry"):
        words_of("executable", with_setting("executable", [f"{script_folder}/your data/new.log"]))


def test_the_former_name_of_a_setting() -> None:
    """It is named by its current one."""
    with pytest.warns(b2luigi.DeprecatedSettingsWarning), pytest.raises(SeveralWordsError) as caught:
        words_of("executable_prefix", with_setting("cmd_prefix", ["nice -n 5"]))
    assert str(caught.value).startswith(
        'executable_prefix (attribute of the task With): each word needs an entry of its own: ["nice"'
    )


def test_the_command_of_a_job() -> None:
    """It is refused where it is made, too, for batch systems of the user's own."""
    b2luigi.set_setting("executable_prefix", ["nice -n 5"])
    with pytest.raises(ValueError, match=r"executable_prefix \(passed to set_setting\): each word needs"):
        create_cmd_from_task(Plain())
