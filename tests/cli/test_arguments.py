from __future__ import annotations

import sys

import pytest

from b2luigi.cli.arguments import parse_arguments
from b2luigi.core.flags import FLAGS

SWITCHES = [flag.name for flag in FLAGS if not flag.metavar]


def attribute(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("ignore_others", [True, False])
def test_each_flag_alone(name: str, ignore_others: bool) -> None:
    """A flag that is given is true, and all others are not."""
    found = vars(parse_arguments([name], ignore_others, implied=["--remove"]))
    assert found.pop(attribute(name)) is True
    assert set(found.values()) == {False, None}


def test_no_flags() -> None:
    """A script without arguments asks for nothing."""
    assert set(vars(parse_arguments([])).values()) == {False, None}


@pytest.mark.parametrize("words", [["--task-id", "T_1"], ["--task-id=T_1"], ["--task-id", "T_2", "--task-id", "T_1"]])
def test_the_task_id(words: list[str]) -> None:
    """The id comes as the next word or after `=`; the last one counts."""
    assert parse_arguments(["--batch-runner", *words]).task_id == "T_1"


def test_the_command_line_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without words of one's own those of the running script are read."""
    monkeypatch.setattr(sys, "argv", ["script.py", "--dry-run"])
    assert parse_arguments().dry_run is True


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bacth"], "unrecognized arguments: --bacth"),
        (["--batc"], "unrecognized arguments: --batc"),
        (["--show"], "unrecognized arguments: --show"),
        (["name"], "unrecognized arguments: name"),
        (["--task-id"], "expected one argument"),
        (["--batch=yes"], "ignored explicit argument 'yes'"),
    ],
)
def test_a_flag_nobody_knows(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the pen never starts a run: the script ends and names it; flags are not abbreviated."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(words)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-y"], "-y or --yes has no meaning without --remove or --remove-only"),
        (["--keep", "Top"], "--keep has no meaning without --remove or --remove-only"),
        (["--keep=Top", "--batch"], "--keep has no meaning without --remove or --remove-only"),
        (["--task-id=T_1"], "--task-id has no meaning without --batch-runner"),
    ],
    ids=str,
)
def test_a_flag_that_says_nothing_alone(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who forgot --remove does not start a run instead; a script with a parser of its own may mean its own flag."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(words)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err
    assert parse_arguments(words, ignore_others=True)


@pytest.mark.parametrize("words", [["--remove", "A"], ["--remove-only", "A"], ["--remove", "A", "--remove-only", "B"]])
def test_a_flag_in_company(words: list[str]) -> None:
    """With what it belongs to it is taken, also where the script itself says what is to be removed."""
    assert parse_arguments(["-y", "--keep=Top", *words]).yes is True
    assert parse_arguments(["-y", "--keep=Top"], implied=["--remove"]).keep == "Top"


@pytest.mark.parametrize(
    "words", [["-h"], ["--help"], ["--bat"], ["--mine", "--energy=3"], ["file.root"], ["--", "--batch"]], ids=str
)
def test_the_script_has_a_parser_of_its_own(words: list[str]) -> None:
    """What is not b2luigi's is left alone, `--help` and what looks like a short form of ours, too."""
    found = parse_arguments([*["--dry-run"], *words], ignore_others=True)
    assert (found.dry_run, found.batch, found.task_id) == (True, False, None)


def test_help_tells_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists all flags with what they do, and ends well."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert all(flag.name in told and " ".join(flag.help.split()) in told for flag in FLAGS)
