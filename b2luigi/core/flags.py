"""The command-line flags that b2luigi adds to every script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """One command-line flag."""

    name: str
    help: str
    metavar: str = ""
    """Placeholder for its value; empty for a flag without a value."""
    short: str = ""
    """The one-letter form, if it has one."""
    only_with: tuple[str, ...] = ()
    """Names of other flags, at least one of which it needs."""
    choices: tuple[str, ...] = ()
    """The values that it may have; empty: any."""

    @property
    def names(self) -> tuple[str, ...]:
        """All its names, short and long."""
        return (self.short, self.name) if self.short else (self.name,)


REMOVING = ("--remove", "--remove-only")
FLAGS = (
    Flag("--batch", "run each task as a job of the batch system (on this machine, if there is none)"),
    Flag("--tui", "the same as --progress live, as in b2luigi 1.3.0"),
    Flag("--fresh", "cancel the jobs of an earlier run instead of resuming them"),
    Flag(
        "--progress",
        "with batch: show how far the run is in a live block, in a line now and then, or not at all (default: auto)",
        "MODE",
        choices=("auto", "live", "plain", "none"),
    ),
    Flag("--show-output", "list the outputs of all tasks and whether they exist, then exit"),
    Flag("--dry-run", "list the tasks that would run, call their dry_run method if they have one, then exit"),
    Flag("--remove", "remove the outputs of these task classes and of all tasks that depend on them, then exit", "A,B"),
    Flag("--remove-only", "remove the outputs of these task classes only, then exit", "A,B"),
    Flag("--keep", "with --remove: keep the outputs of these task classes", "A,B", only_with=REMOVING),
    Flag("--yes", "with --remove: do not ask for confirmation", short="-y", only_with=REMOVING),
    Flag(
        "--failure-exit-code", "the exit code of a run that fails, unless failure_exit_code or [retcode] sets one", "N"
    ),
    Flag("--scheduler-host", "host of luigi's central scheduler", "HOST"),
    Flag("--scheduler-port", "port of luigi's central scheduler", "PORT"),
    Flag("--test", "run everything in this process, with all messages on the console"),
    Flag("--batch-runner", "for experts: run one task in this process; the job script on the node calls this"),
    Flag("--task-id", "for experts: the task that --batch-runner runs", "ID", only_with=("--batch-runner",)),
)


_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}


def script_arguments(arguments: Sequence[str]) -> list[str]:
    """The script's own arguments, in their order: all that are not flags of b2luigi."""
    return list(_script_arguments(iter(arguments)))


def _script_arguments(arguments: Iterator[str]) -> Iterator[str]:
    for word in arguments:
        if word == "--":  # everything after it belongs to the script
            yield word
            yield from arguments
            return
        name, has_value, _ = word.partition("=")
        if name not in _BY_NAME:
            yield word
        elif _BY_NAME[name].metavar and not has_value:
            next(arguments, None)
