"""`python -m benchmarks [--quick] [--only NAME]`."""

from __future__ import annotations

import argparse
import os
import platform

import luigi

from benchmarks.rows import DOCS, ON_REQUEST, ROWS, measured
from benchmarks.table import markdown, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="use small graphs, and print the results without writing them"
    )
    names = [*ROWS, *ON_REQUEST]
    parser.add_argument("--only", choices=names, action="append", help="run this measurement (may be repeated)")
    given = parser.parse_args()
    machine = f"{os.cpu_count()} processors, Python {platform.python_version()}, luigi {luigi.__version__}"
    if not given.quick:
        DOCS.mkdir(exist_ok=True)
    for name in given.only or ROWS:
        rows = measured(name, full=not given.quick)
        print(markdown(rows), flush=True)
        if not given.quick:
            write(DOCS, rows, machine, names)


if __name__ == "__main__":
    main()
