"""`b2luigi about`: what is installed where, for a question to the site or a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

import typer

from b2luigi.core.version import VERSION

PACKAGES = ("luigi", "tenacity", "parse", "colorama", "rich", "typer")


def about() -> None:
    """Print versions and places: of b2luigi, luigi, Python, and the batch systems that this machine has."""
    from b2luigi.batch import systems
    from b2luigi.cli.project import PARAMS_VARIABLE, TASK_VARIABLE

    typer.echo(f"b2luigi {VERSION} in {Path(__file__).parents[2]}")
    typer.echo("(a reimplementation; the package of this name on PyPI up to 1.3.0 is another one)")
    typer.echo(f"Python {platform.python_version()}: {sys.executable} on {platform.platform()}")
    for name in PACKAGES:
        typer.echo(f"{name} {_version(name)}")
    for name in (TASK_VARIABLE, PARAMS_VARIABLE):
        typer.echo(f"{name} {os.environ.get(name) or 'is not set'}")
    for system in systems.installed():
        typer.echo(f"batch system {system.name}: {shutil.which(system.probe)}")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def version() -> None:
    """Print the version."""
    typer.echo(VERSION)
