"""The command line of a script that calls `process`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from b2luigi.core.flags import FLAGS


def parse_arguments(arguments: Sequence[str] | None = None, ignore_others: bool = False) -> argparse.Namespace:
    """The flags as attributes (`batch`, `task_id`, ...). Exits with a message for flags nobody knows.

    `ignore_others`: the script has a parser of its own; what is not b2luigi's is left to it. So are the arguments
    of a notebook, which are not the user's.
    """
    ignore_others = ignore_others or _in_notebook()
    parser = argparse.ArgumentParser(add_help=not ignore_others, allow_abbrev=False)
    for flag in FLAGS:
        if flag.metavar:
            parser.add_argument(*flag.names, help=flag.help, metavar=flag.metavar)
        else:
            parser.add_argument(*flag.names, help=flag.help, action="store_true")
    words = sys.argv[1:] if arguments is None else arguments
    return parser.parse_known_args(words)[0] if ignore_others else parser.parse_args(words)


def _in_notebook() -> bool:
    return getattr(sys.modules["__main__"], "__file__", None) is None and sys.argv[:1] != ["-c"]
