"""The stand-in for IBM LSF's command line (see ../README.md). Standard library only, and quick to import."""
