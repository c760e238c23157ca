"""The flags b2luigi gives to every script, once: for its parser, and to tell them from the script's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """One flag of the command line."""

    name: str
    help: str
    metavar: str = ""
    """Name of its value; empty for a flag without one."""
    short: str = ""
    """The one-letter form, if it has one."""
    only_with: tuple[str, ...] = ()
    """Names of other flags: without one of them it says nothing, and was hardly meant so."""

    @property
    def names(self) -> tuple[str, ...]:
        """How it may be given."""
        return (self.short, self.name) if self.short else (self.name,)


REMOVING = ("--remove", "--remove-only")
FLAGS = (
    Flag("--batch", "run each task as a job of the batch system (on this machine, if there is none)"),
    Flag("--fresh", "cancel jobs that an earlier run has left, instead of going on with them"),
    Flag("--show-output", "list the outputs of all tasks and whether they exist, and stop"),
    Flag("--dry-run", "list the tasks that would run, call their dry_run method if they have one, and stop"),
    Flag("--remove", "remove the outputs of these task classes, and of all tasks that depend on them, and stop", "A,B"),
    Flag("--remove-only", "remove the outputs of these task classes only, and stop", "A,B"),
    Flag("--keep", "with --remove: leave the outputs of these task classes", "A,B", only_with=REMOVING),
    Flag("--yes", "with --remove: do not ask before", short="-y", only_with=REMOVING),
    Flag("--scheduler-host", "luigi's central scheduler is to be asked, on this host", "HOST"),
    Flag("--scheduler-port", "and at this port", "PORT"),
    Flag("--test", "run everything in this process, with all messages on the console"),
    Flag("--batch-runner", "expert: run one task, here and now; what a job script calls on the node"),
    Flag("--task-id", "expert: the task that --batch-runner is to run", "ID", only_with=("--batch-runner",)),
)


def others(arguments: Sequence[str]) -> list[str]:
    """The arguments that are not b2luigi's, in their order: those of the script itself."""
    return list(_others(iter(arguments)))


def _others(arguments: Iterator[str]) -> Iterator[str]:
    ours = {name: flag for flag in FLAGS for name in flag.names}
    for word in arguments:
        if word == "--":  # all that follows is the script's own, whatever it is called
            yield word
            yield from arguments
            return
        name, has_value, _ = word.partition("=")
        if name not in ours:
            yield word
        elif ours[name].metavar and not has_value:
            next(arguments, None)
