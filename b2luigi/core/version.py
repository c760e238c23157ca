"""The version of b2luigi, which the submit host and the nodes compare."""

from __future__ import annotations

import sys

VERSION = str(vars(sys.modules["b2luigi"])["__version__"])
"""That of the package, which is imported before any of its modules; importing it from here would be a circle."""


def on_this_node(of_submit_host: str) -> str:
    """What to say on a node whose version is not that of the submit host; empty if it is."""
    if of_submit_host == VERSION:
        return ""
    return f"this node has version {VERSION}, and the submit host, which wrote the job script, has {of_submit_host}"
