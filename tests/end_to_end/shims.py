"""Programs in front of the real ones on PATH: they write down each call, and fail when the test wants it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

SHIM = """#!/bin/sh
echo '{name}' "$@" >> '{folder}/calls.log'
if [ -e '{folder}/{name}.fail' ]; then cat '{folder}/{name}.fail' >&2; exit 1; fi
if [ -e '{folder}/{name}.hang' ]; then while [ -e '{folder}/{name}.hang' ]; do sleep 0.2; done; exit 1; fi
if [ -e '{folder}/{name}.mute' ]; then exit 0; fi
if mv '{folder}/{name}.lose' '{folder}/{name}.lost' 2>/dev/null; then
  '{real}' "$@" > /dev/null 2>&1
  while [ -e '{folder}/{name}.lost' ]; do sleep 0.2; done
  exit 1
fi
exec '{real}' "$@"
"""

TROUBLES = ("fail", "hang", "mute", "lose", "lost")


class Shims:
    """A folder to be put first on PATH."""

    def __init__(self, folder: Path, programs: Iterable[str], path: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.env = {"PATH": f"{folder}:{path}"}
        for name in programs:
            real = shutil.which(name, path=path)
            assert real, f"{name} is not on {path}"
            shim = folder / name
            shim.write_text(SHIM.format(name=name, folder=folder, real=real))
            shim.chmod(0o755)

    def calls(self, program: str) -> list[str]:
        """The calls of a program so far, a line each."""
        log = self.folder / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[0] == program]

    def counts(self) -> dict[str, int]:
        """How often each program was called."""
        log = self.folder / "calls.log"
        return dict(Counter(line.split()[0] for line in log.read_text().splitlines())) if log.exists() else {}

    def fail(self, program: str, words: str) -> None:
        """From now on the program only says this, and ends with 1."""
        (self.folder / f"{program}.fail").write_text(words + "\n")

    def mute(self, program: str) -> None:
        """From now on the program says nothing, and that all is well."""
        (self.folder / f"{program}.mute").touch()

    def hang(self, program: str) -> None:
        """From now on the program does nothing until it is healed."""
        (self.folder / f"{program}.hang").touch()

    def lose_reply(self, program: str) -> None:
        """The next time the program does its work, says nothing and does not end until it is healed."""
        (self.folder / f"{program}.lose").touch()

    def heal(self) -> None:
        """All programs work again."""
        for path in [path for kind in TROUBLES for path in self.folder.glob(f"*.{kind}")]:
            path.unlink()
