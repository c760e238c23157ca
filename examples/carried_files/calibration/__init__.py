"""What the tasks need besides their script: a correction, from a file beside this module."""

from pathlib import Path

FACTOR = float((Path(__file__).parent / "factor.txt").read_text())


def calibrated(energy):
    """The energy (GeV) with the correction."""
    return FACTOR * energy
