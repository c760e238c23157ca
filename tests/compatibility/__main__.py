"""`python -m tests.compatibility [--release 1.3.0] [SCRIPT ...]` ends with 1 if anything differs.

It takes some four minutes. `--record` notes what the published package makes of the scripts, for the ordinary tests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.compatibility.compare import PUBLISHED, SCRIPTS, differences, holds_for, record


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility", description=__doc__)
    known = ", ".join(SCRIPTS)
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"one of {known} (all by default), or a path")
    parser.add_argument("--release", default=PUBLISHED, help="release of the published package")
    parser.add_argument("--record", action="store_true", help="update recorded.json instead")
    given = parser.parse_args()
    SCRIPTS.update({name: Path(name).resolve() for name in given.scripts if name not in SCRIPTS})
    with tempfile.TemporaryDirectory(prefix="b2luigi-compatibility-") as folder:
        if given.record:
            record(Path(folder))
            return 0
        return compare(given.scripts or list(SCRIPTS), given.release, Path(folder))


def compare(scripts: Sequence[str], release: str, folder: Path) -> int:
    chosen = [script for script in scripts if holds_for(script, release)]
    count = 0
    for script in chosen:
        found = list(differences(script, release, folder / Path(script).stem))
        print(f"{script}: {len(found)} differ", *found, sep="\n    ", flush=True)
        count += len(found)
    print(f"{len(chosen)} scripts compared with b2luigi {release}: {count} differences.")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
