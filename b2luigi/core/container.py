"""The container that a job script enters, and the lines of shell with which it does so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bind:
    """A folder or file of the node that the container shows."""

    spec: str
    """As the option --bind takes it: `source[:destination[:options]]`."""
    source: str
    """Its path on the node; a relative one is relative to the working directory of the job."""
    is_ours: bool = True
    """Whether b2luigi wants it shown, where the node has it; else the user does, and the node must have it."""


@dataclass(frozen=True)
class Container:
    """A container of Apptainer or Singularity. Paths are those of the node.

    Its methods return lines for the job script, which starts itself again in the container.
    """

    image: str
    program: str = ""
    """Name or path of the program that runs it; empty: apptainer, or else singularity, whichever the node has."""
    options: Sequence[str] = ()
    """Further options of its command exec."""
    binds: Sequence[Bind] = ()
    """In the order in which they are mounted."""
    result_dir: str = ""
    """Folder that must exist to be bound; empty: none."""

    @property
    def step(self) -> str:
        """What the job script is doing until it has started again, for messages."""
        return (
            f"entering the container {self.image} (settings apptainer_image, apptainer_cmd, apptainer_mounts, "
            "apptainer_mount_defaults, apptainer_additional_params, shell)"
        )

    def preparation(self) -> Iterator[str]:
        """Looks for what is needed; leaves the words before image and command in the arguments of the shell."""
        yield from self._search()
        if self.result_dir:
            folder = _on_node(self.result_dir)
            yield _step(f"creating the folder {self.result_dir} (setting result_dir)")
            yield f"[ -d {folder} ] || mkdir -p -- {folder} || exit 1"
        yield shlex.join(["set", "--", "exec", *self.options])
        yield "b2luigi_tmp="
        for bind in self.binds:
            yield from _binding(bind)
        if any(bind.is_ours for bind in self.binds):
            yield from _bindings_of_the_node()
        yield 'b2luigi_inside="$b2luigi_home/${b2luigi_token:-by-hand-$$}.inside"'
        yield 'rm -f -- "$b2luigi_inside"'  # of the same job, on a node that died

    def _search(self) -> Iterator[str]:
        if self.program:
            yield _step(f"looking for the program {self.program} (setting apptainer_cmd)")
            yield f"b2luigi_enter={shlex.quote(self.program)}"
        else:
            yield _step("looking for the program apptainer or singularity (setting apptainer_cmd)")
            yield "b2luigi_enter=apptainer"
            yield 'command -v "$b2luigi_enter" > /dev/null || b2luigi_enter=singularity'
        yield 'command -v -- "$b2luigi_enter" > /dev/null || exit 127'
        if not is_address(self.image):
            yield _step(f"looking for the container {self.image} (setting apptainer_image)")
            yield f"[ -r {shlex.quote(self.image)} ] || exit 1"

    def entry(self, *command: str) -> str:
        """Runs a command in the container. `command`: words of the shell, with their quotes."""
        image = f"./{self.image}" if self.image.startswith("-") else self.image
        return " ".join(('"$b2luigi_enter" "$@"', shlex.quote(image), *command))

    def exit_unless_entered(self) -> Iterator[str]:
        """Where the job script did not start again, the program of the container failed, and not the task.

        On a full disk, only the outcome of the task may say that it did.
        """
        yield "b2luigi_untrapped="
        yield '[ -e "$b2luigi_inside" ] || [ -s "${B2LUIGI_OUTCOME:-/dev/null}" ] || exit "$b2luigi_status"'
        yield 'rm -f -- "$b2luigi_inside"'

    def end(self) -> Iterator[str]:
        """For the exit trap: passes on a signal, which may have come to this shell alone."""
        yield '    if [ -e "${b2luigi_inside-}" ]; then'
        yield "        b2luigi_step='running the task in the container'"
        yield '        rm -f -- "$b2luigi_inside"'
        yield "    fi"
        yield '    if [ -n "$b2luigi_untrapped" ]; then'
        yield '        read -r b2luigi_children < "/proc/$$/task/$$/children" || true'
        yield '        [ -z "${b2luigi_children-}" ] || kill $b2luigi_children'
        yield "    fi 2> /dev/null"


def is_address(image: str) -> bool:
    """Whether an image is not a file but one of a registry, such as `docker://python:3`."""
    return re.match(r"[a-z][a-z0-9+.-]*://", image) is not None


def _binding(bind: Bind) -> Iterator[str]:
    if bind.is_ours:
        yield f'[ ! -e {_on_node(bind.source)} ] || set -- "$@" --bind {_on_node(bind.spec)}'
    else:
        yield _step(f"looking for {bind.source} (setting apptainer_mounts)")
        yield f"[ -e {shlex.quote(bind.source)} ] || exit 1"
        yield f'set -- "$@" --bind {shlex.quote(bind.spec)}'


def _bindings_of_the_node() -> Iterator[str]:
    """What only the node knows: where the batch system put the job script, and its folder for temporary files."""
    yield 'case "$b2luigi_script" in "$b2luigi_home"/*) ;; *) set -- "$@" --bind "$b2luigi_script" ;; esac'
    yield 'case "${TMPDIR-}" in /tmp|/tmp/|/var/tmp|/var/tmp/) ;; /*)'
    yield '    if [ -d "$TMPDIR" ]; then b2luigi_tmp=$TMPDIR; set -- "$@" --bind "$TMPDIR"; fi ;;'
    yield "esac"


def _on_node(path: str) -> str:
    """A path as a word of the shell. The folder in which the job starts may be known on the node only."""
    if path == ".":
        return '"$b2luigi_folder"'
    return shlex.quote(path) if path.startswith("/") else '"$b2luigi_folder"/' + shlex.quote(path)


def _step(text: str) -> str:
    return f"b2luigi_step={shlex.quote(text)}"
