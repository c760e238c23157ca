"""Public import path of helpers that are defined in the other modules of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from b2luigi.core.executable import create_cmd_from_task
from b2luigi.core.failure_text import add_on_failure_function, get_luigi_logger, on_failure
from b2luigi.core.graph import get_all_output_files_in_tree, task_iterator
from b2luigi.core.moved import moved
from b2luigi.core.paths import (
    create_output_dirs,
    create_output_file_name,
    get_filename,
    get_filled_params,
    get_log_file_dir,
    get_serialized_parameters,
    get_task_file_dir,
    is_subdir,
    map_folder,
)
from b2luigi.core.structures import (
    fill_kwargs_with_lists,
    flatten_to_dict,
    flatten_to_dict_of_lists,
    flatten_to_file_paths,
    flatten_to_list_of_dicts,
    product_dict,
)

if TYPE_CHECKING:
    from b2luigi.core.container_settings import create_apptainer_command, get_apptainer_or_singularity

__all__ = [
    "add_on_failure_function",
    "create_apptainer_command",
    "create_cmd_from_task",
    "create_output_dirs",
    "create_output_file_name",
    "fill_kwargs_with_lists",
    "flatten_to_dict",
    "flatten_to_dict_of_lists",
    "flatten_to_file_paths",
    "flatten_to_list_of_dicts",
    "get_all_output_files_in_tree",
    "get_apptainer_or_singularity",
    "get_filename",
    "get_filled_params",
    "get_log_file_dir",
    "get_luigi_logger",
    "get_serialized_parameters",
    "get_task_file_dir",
    "is_subdir",
    "map_folder",
    "on_failure",
    "product_dict",
    "task_iterator",
]

__getattr__ = moved(__name__)
