"""Errors of what the user gave, in words for the user."""

from __future__ import annotations

from collections.abc import Hashable


class BadInputError(ValueError):
    """Something in the script or its settings cannot work. The text names it, and says what to do.

    `process` ends the script with this text and without a traceback. `kind`: of several errors of a kind, one is shown
    as an example; by default, only equal texts are of one kind.
    """

    def __init__(self, text: str, kind: Hashable = None) -> None:
        super().__init__(text)
        self.kind = kind if kind is not None else text


class BadFileError(BadInputError, OSError):
    """A file that the user wrote, or named, cannot be used."""


class NoSettingsFileError(BadFileError, FileNotFoundError):
    """The user named a file with settings that does not exist."""


class UntrustedFileError(BadFileError, PermissionError):
    """A file with settings may be someone else's."""


class BadCallError(BadInputError, AttributeError):
    """A call does not fit what it is called with; an AttributeError, as in b2luigi 1.x."""
