"""The container that the settings of a task name, and what it has to show so that the job can work in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

import luigi

from b2luigi.core.bad_input import BadInputError
from b2luigi.core.container import Bind, Container, is_address
from b2luigi.core.job_script import JobScript
from b2luigi.core.paths import get_log_file_dir, is_subdir, map_folder
from b2luigi.core.script import base_folder
from b2luigi.core.settings import get_setting

PROGRAMS = ("apptainer", "singularity")
"""Programs that run containers, the first one found wins."""
OUR_FILES = ("LUIGI_CONFIG_PATH", "B2LUIGI_SETTINGS_FILES")
"""Variables of a job script with paths of files of the submit host."""
_SEPARATORS = re.compile(r"([:,])")
_UNESCAPED_COLON, _UNESCAPED_COMMA = re.compile(r"(?<!\\):"), re.compile(r"(?<!\\),")


def container_of(
    task: luigi.Task, script: JobScript, carried: bool = False, more: Iterable[str] = ()
) -> Container | None:
    """The container that the job script of a task enters; None if the task has none.

    `carried`: the batch system transfers all files to a scratch folder on the node. `more`: folders that the program
    of the job needs.
    Raises ValueError, naming the setting, for an invalid value.
    """
    image = _image(task, carried)
    if not image:
        return None
    mounts = [_user_bind(mount) for mount in _mounts(task)]
    is_default = bool(get_setting("apptainer_mount_defaults", task=task))
    results = _result_dir(task)
    ours = [_our_bind(_absolute(path, script.folder)) for path in (*_needed(task, script), *more)] if is_default else []
    return Container(
        image=image,
        program=_program(task),
        options=_options(task),
        binds=_in_order(mounts, ours),
        result_dir=_absolute(results, script.folder) if is_default else "",
    )


def missing_here(task: luigi.Task) -> Iterator[tuple[str, str]]:
    """What a container needs and this machine lacks: setting and sentence. Raises ValueError for invalid settings."""
    image, program = _image(task), _program(task)
    if not image:
        return
    path = _on_submit_host(image, task)
    if not is_address(image) and not os.path.exists(path):
        yield "apptainer_image", f"there is no container image {path} on this machine"
    elif not is_address(image) and not os.access(path, os.R_OK):
        yield "apptainer_image", f"the container image {path} cannot be read"
    programs = [_on_submit_host(program, task) if "/" in program else program] if program else PROGRAMS
    if not any(map(shutil.which, programs)):
        yield "apptainer_cmd", f"there is no program {program or ' or '.join(PROGRAMS)} on this machine"
    for mount in map(_user_bind, _mounts(task)):
        if not os.path.exists(mount.source):
            yield "apptainer_mounts", f"there is no {mount.source} on this machine"


def refuse_if_missing_here(task: luigi.Task) -> None:
    """For a job script that runs on this machine. Raises ValueError, naming the setting, if its container cannot."""
    for setting, what in missing_here(task):
        raise BadInputError(f"{setting}: {what}.")


def get_apptainer_or_singularity(task: luigi.Task | None = None) -> str:
    """The program that runs containers: the setting `apptainer_cmd`, or else the one that this machine has.

    Raises ValueError if this machine has neither apptainer nor singularity.
    """
    found = _program(task) or next(filter(shutil.which, PROGRAMS), "")
    if not found:
        raise BadInputError(
            "there is neither apptainer nor singularity on this machine. If there is one on the nodes, set "
            "apptainer_cmd to its name or path."
        )
    return found


def create_apptainer_command(command: str, task: luigi.Task | None = None) -> list[str]:
    """The words of a command that sources `env_script` and runs `command`, a line of bash, in the container of a task.

    Meant for scripts that start containers themselves, on this machine; a job enters its container without it. Creates
    the result and the log folder of the task, which the container shows unless `apptainer_mount_defaults` is false.
    Raises ValueError, naming the setting, if there is no `apptainer_image`, or for an invalid value.
    """
    image = get_setting("apptainer_image", default="", task=task)
    if not image:
        raise BadInputError("apptainer_image is not set: there is no container to run the command in.")
    binds = [*_mounts(task), *(_outside_of_here(task) if get_setting("apptainer_mount_defaults", task=task) else ())]
    env_script = os.fspath(get_setting("env_script", task=task) or "")
    line = f"source {shlex.quote(env_script)} && {command}" if env_script else command
    words = [word for bind in binds for word in ("--bind", bind)]
    program = get_apptainer_or_singularity(task)
    return [program, "exec", *_options(task), *words, os.fspath(image), "/bin/bash", "-c", line]


def _outside_of_here(task: luigi.Task | None) -> Iterator[str]:
    """The folders of a task that a container does not show anyway, as it does the current one."""
    folders = [map_folder(get_setting("result_dir", task=task)), *([get_log_file_dir(task)] if task else [])]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        if not is_subdir(folder, os.getcwd()):
            yield folder


def _image(task: luigi.Task, carried: bool = False) -> str:
    image = os.fspath(get_setting("apptainer_image", task=task) or "")
    if "\0" in image or "\n" in image:
        raise BadInputError(f"apptainer_image must be the path or the address of an image, not {image!r}.")
    if not carried or not image or is_address(image):
        return image
    transferred = [os.fspath(path) for path in get_setting("transfer_files", task=task) or []]
    if os.path.normpath(image) in map(os.path.normpath, transferred):
        return os.path.basename(os.path.normpath(image))
    if not os.path.isabs(image):
        raise BadInputError(
            f"apptainer_image is {image!r}, a relative path, which is not on a node to which files are transferred: "
            "set it to an absolute path, and list that in transfer_files unless the nodes have the image."
        )
    return image


def _program(task: luigi.Task | None) -> str:
    program = os.fspath(get_setting("apptainer_cmd", task=task) or "")
    if re.search(r"[\s\0]", program) and not os.path.exists(program):
        raise BadInputError(
            f"apptainer_cmd must be the name or the path of one program, not {program!r}; its options belong in "
            "apptainer_additional_params."
        )
    return program


def _options(task: luigi.Task | None) -> list[str]:
    given = get_setting("apptainer_additional_params", task=task) or []
    if not isinstance(given, str):
        return [str(word) for word in given]
    try:
        return shlex.split(given)
    except ValueError as error:
        raise BadInputError(f"apptainer_additional_params: {given!r} cannot be split into words: {error}.") from error


def _mounts(task: luigi.Task | None) -> list[str]:
    given = get_setting("apptainer_mounts", task=task) or []
    return [_mount(mount, part) for mount in given for part in _parts(mount)]


def _parts(mount: Any) -> list[str]:
    return _UNESCAPED_COMMA.split(os.fspath(mount)) if isinstance(mount, (str, os.PathLike)) else [""]


def _mount(mount: Any, part: str) -> str:
    paths = _UNESCAPED_COLON.split(part)[:2]
    if not all(path.startswith("/") for path in paths) or re.search(r"[\n\0]", part):
        raise BadInputError(
            f"apptainer_mounts: {mount!r} must be an absolute path, or two with a colon between them: that on the node "
            "and that in the container."
        )
    return part


def _result_dir(task: luigi.Task) -> str:
    return str(os.fspath(get_setting("result_dir", task=task)))


def _needed(task: luigi.Task, script: JobScript) -> Iterator[str]:
    """The folders and files of the node with which a job works; relative paths are relative to where it runs."""
    yield "."
    yield from {_result_dir(one): None for one in (task, *task.deps())}
    yield script.home
    yield from filter(None, (script.inbox, script.logs, get_setting("scratch_dir", task=task)))
    if script.logs is not None:  # their parents, so that folders named by values of parameters need not be bound
        yield from (os.fspath(get_setting(name, task=task)) for name in ("task_file_dir", "log_dir"))
    if not os.path.isabs(script.env_script):  # an absolute one may be part of the image
        yield script.env_script
    for name in OUR_FILES:
        yield from filter(None, script.own_env.get(name, "").split(os.pathsep))


def _absolute(path: str | os.PathLike[str], folder: str | None) -> str:
    """A path as absolute as it can be here: where a job starts may be known on the node only."""
    return os.path.normpath(os.path.join(folder or "", path))


def _user_bind(mount: str) -> Bind:
    return Bind(mount, _unescaped(_UNESCAPED_COLON.split(mount)[0]), is_ours=False)


def _our_bind(path: str) -> Bind:
    return Bind(_SEPARATORS.sub(r"\\\1", path), path)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([:,])", r"\1", text)


def _in_order(mounts: Iterable[Bind], ours: Iterable[Bind]) -> list[Bind]:
    """Parents before what is mounted into them. Of ours only those that no other one shows already."""
    kept: dict[PurePath, Bind] = {_destination(bind): bind for bind in mounts}
    for bind in sorted(ours, key=lambda bind: len(PurePath(bind.source).parts)):
        path = PurePath(bind.source)
        above = (path, *path.parents) if path.parts[:1] != ("..",) else (path,)
        around = next((kept[one] for one in above if one in kept), None)
        if around is None or (path not in kept and _is_read_only(around)):
            kept[path] = bind
    return [kept[path] for path in sorted(kept, key=lambda path: (not path.is_absolute(), len(path.parts)))]


def _is_read_only(bind: Bind) -> bool:
    """Whether a user shows a folder where it is on the node, but so that a job cannot write to it."""
    _, destination, options, *_ = [*_UNESCAPED_COLON.split(bind.spec), "", ""]
    return options == "ro" and _unescaped(destination) == bind.source


def _destination(bind: Bind) -> PurePath:
    paths = _UNESCAPED_COLON.split(bind.spec)
    return PurePath(os.path.normpath(_unescaped(paths[1] if len(paths) > 1 else paths[0])))


def _on_submit_host(path: str, task: luigi.Task) -> str:
    """Where a path of the node is on this machine, if the node sees the folders of this machine."""
    folder = os.fspath(get_setting("working_dir", task=task) or "")
    return os.path.join(base_folder(), "" if folder == "." else folder, path)
