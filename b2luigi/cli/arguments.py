"""The command line of a script that calls `process`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence

from b2luigi.core.flags import FLAGS, Flag

LISTS = ("remove", "remove_only", "keep")
"""Flags whose values are names of task classes, separated by commas."""


def parse_arguments(
    arguments: Sequence[str] | None = None, ignore_others: bool = False, implied: Collection[str] = ()
) -> argparse.Namespace:
    """The flags as attributes (`batch`, `task_id`, ...). Exits with a message for unknown or meaningless flags.

    `ignore_others`: ignore arguments that are not b2luigi's, since the script has its own parser. The arguments of a
    notebook, which are not the user's, are always ignored.
    `implied`: flags that the script has set by an argument of `process`.
    """
    ignore_others = ignore_others or _in_notebook()
    parser = argparse.ArgumentParser(add_help=not ignore_others, allow_abbrev=False)
    for flag in FLAGS:
        if flag.metavar:
            choices = flag.choices or None
            metavar = None if choices else flag.metavar
            parser.add_argument(*flag.names, help=flag.help, metavar=metavar, choices=choices)
        else:
            parser.add_argument(*flag.names, help=flag.help, action="store_true")
    words = sys.argv[1:] if arguments is None else arguments
    if ignore_others:  # a flag of ours without the flag it needs may be meant for the other parser
        return parser.parse_known_args(words)[0]
    found = parser.parse_args(words)
    for flag in _meaningless({*_given(found), *implied}):
        parser.error(f"{' or '.join(flag.names)} has no meaning without {' or '.join(flag.only_with)}")
    return found


def get_cli_arguments(ignore_additional_command_line_args: bool = False) -> argparse.Namespace:
    """The flags of the running script, with the values that b2luigi 1.3.0 gave them.

    `remove`, `remove_only` and `keep` are lists of names, `task_id` and `scheduler_host` are empty and
    `scheduler_port` is 0 where they are not given.
    """
    found = parse_arguments(ignore_others=ignore_additional_command_line_args)
    lists = {name: [one.strip() for one in (vars(found)[name] or "").split(",") if one.strip()] for name in LISTS}
    texts = {name: vars(found)[name] or "" for name in ("scheduler_host", "task_id")}
    return argparse.Namespace(**{**vars(found), **lists, **texts, "scheduler_port": int(found.scheduler_port or 0)})


def _given(found: argparse.Namespace) -> Iterator[str]:
    values = vars(found)
    yield from (flag.name for flag in FLAGS if values[flag.name[2:].replace("-", "_")] not in (None, False))


def _meaningless(given: Collection[str]) -> Iterator[Flag]:
    for flag in FLAGS:
        if flag.name in given and flag.only_with and not set(flag.only_with) & set(given):
            yield flag


def _in_notebook() -> bool:
    return getattr(sys.modules["__main__"], "__file__", None) is None and sys.argv[:1] != ["-c"]
