from __future__ import annotations

import sys

import pytest

import b2luigi
from b2luigi.cli.arguments import get_cli_arguments, parse_arguments
from b2luigi.cli.unknown import refuse_unknown
from b2luigi.core.checks import GraphError
from b2luigi.core.flags import FLAGS

SWITCHES = [flag.name for flag in FLAGS if not flag.metavar]


def attribute(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("ignore_others", [True, False])
def test_each_flag_alone(name: str, ignore_others: bool) -> None:
    """A flag that is given is true, and all others are false."""
    found = vars(parse_arguments([name], ignore_others, implied=["--remove"]))
    assert found.pop(attribute(name)) is True
    assert set(found.values()) == {False, None}


def test_no_flags() -> None:
    """Without arguments, no flag is set."""
    assert set(vars(parse_arguments([])).values()) == {False, None}


@pytest.mark.parametrize("words", [["--task-id", "T_1"], ["--task-id=T_1"], ["--task-id", "T_2", "--task-id", "T_1"]])
def test_the_task_id(words: list[str]) -> None:
    """The id is the next word or follows `=`; the last one counts."""
    assert parse_arguments(["--batch-runner", *words]).task_id == "T_1"


def test_the_command_line_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default, the arguments of the running script are parsed."""
    monkeypatch.setattr(sys, "argv", ["script.py", "--dry-run"])
    assert parse_arguments().dry_run is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bacth"], "unrecognized arguments: --bacth"),
        (["--batc"], "unrecognized arguments: --batc"),
        (["--show"], "unrecognized arguments: --show"),
        (["name"], "unrecognized arguments: name"),
        (["--task-id"], "expected one argument"),
        (["--batch=yes"], "ignored explicit argument 'yes'"),
    ],
)
def test_an_unknown_flag(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A typo never starts a run: the script exits and names it; flags cannot be abbreviated."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-y"], "-y or --yes has no meaning without --remove or --remove-only"),
        (["--keep", "Top"], "--keep has no meaning without --remove or --remove-only"),
        (["--keep=Top", "--batch"], "--keep has no meaning without --remove or --remove-only"),
        (["--task-id=T_1"], "--task-id has no meaning without --batch-runner"),
    ],
    ids=str,
)
def test_a_flag_without_the_flag_it_needs(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A forgotten --remove does not start a run; for a script with its own parser, the flag may be its own."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert parse_arguments(words, ignore_others=True)


@pytest.mark.parametrize("words", [["--remove", "A"], ["--remove-only", "A"], ["--remove", "A", "--remove-only", "B"]])
def test_a_flag_with_the_flag_it_needs(words: list[str]) -> None:
    """It is accepted, even if the needed flag is only implied by an argument of `process`."""
    assert parse_arguments(["-y", "--keep=Top", *words]).yes is True
    assert parse_arguments(["-y", "--keep=Top"], implied=["--remove"]).keep == "Top"


@pytest.mark.parametrize(
    "words", [["-h"], ["--help"], ["--bat"], ["--mine", "--energy=3"], ["file.root"], ["--", "--batch"]], ids=str
)
def test_a_script_with_its_own_parser(words: list[str]) -> None:
    """Arguments that are not b2luigi's are ignored, including `--help` and abbreviations of our flags."""
    found = parse_arguments([*["--dry-run"], *words], ignore_others=True)
    assert (found.dry_run, found.batch, found.task_id) == (True, False, None)


def test_help_lists_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists all flags with their descriptions, and exits with 0."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    assert all(flag.name in printed and " ".join(flag.help.split()) in printed for flag in FLAGS)


def test_the_flags_as_b2luigi_1_3_had_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of classes are lists; a text that is not given is empty, and the port is a number."""
    monkeypatch.setattr(sys, "argv", ["script.py", "--remove", "A,B", "--mine", "--scheduler-port=80"])
    found = get_cli_arguments(ignore_additional_command_line_args=True)
    assert (found.remove, found.remove_only, found.keep) == (["A", "B"], [], [])
    assert (found.task_id, found.scheduler_host, found.scheduler_port) == ("", "", 80)
    assert (found.batch, found.tui, found.yes) == (False, False, False)
    with pytest.raises(SystemExit):
        get_cli_arguments()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("workrs", "process() has no argument workrs; did you mean workers?"),
        ("dryrun", "process() has no argument dryrun; did you mean dry_run?"),
        ("detailed_sumary", "process() has no argument detailed_sumary; did you mean detailed_summary?"),
        ("xyz", "process() has no argument xyz. It has assistant, auto_confirm, batch,"),
    ],
)
def test_an_unknown_argument_of_process(name: str, words: str) -> None:
    """It is named with its nearest one, of ours or of luigi's, or else with all there are."""
    refuse_unknown(["workers", "scheduler_url", "detailed_summary", "worker_scheduler_factory"], b2luigi.process)
    with pytest.raises(GraphError) as caught:
        refuse_unknown(["workers", name], b2luigi.process)
    assert words in str(caught.value)
