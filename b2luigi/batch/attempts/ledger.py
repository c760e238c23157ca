"""The ledger of a pack: which of its tasks have begun. A file beside its job script, which the node appends to."""

from __future__ import annotations

import os
from pathlib import Path

from b2luigi.core.files import read_text

NAME = "begun"


class Ledger:
    """The ledger in the folder of one pack."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def begin(self, token: str) -> None:
        """On the node: the task of this attempt begins now. Other machines see it from here on. Raises OSError."""
        # Opened for each line: closing a file is what makes NFS send it to its server.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, f"{token}\n".encode())
        finally:
            os.close(descriptor)

    def begun(self) -> frozenset[str]:
        """The attempts whose tasks have begun. Raises OSError if that cannot be read for now."""
        try:
            return frozenset(read_text(self.path, errors="replace").split())
        except FileNotFoundError:
            return frozenset()
