"""What a task is: parameters, settings, outputs, paths and graphs. Independent of batch systems."""

from __future__ import annotations

from b2luigi.core.submodules import importing

__getattr__ = importing(__name__)
