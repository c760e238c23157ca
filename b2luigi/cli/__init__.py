"""`process`, the entry point of a script, and the script's command line."""

from __future__ import annotations

from b2luigi.core.submodules import importing

__getattr__ = importing(__name__)
