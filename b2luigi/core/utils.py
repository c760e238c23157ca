"""The published address of helpers that live in the modules beside this one."""

from __future__ import annotations

from b2luigi.core.graph import get_all_output_files_in_tree, task_iterator
from b2luigi.core.paths import (
    create_output_dirs,
    create_output_file_name,
    get_filename,
    get_log_file_dir,
    get_serialized_parameters,
    get_task_file_dir,
    map_folder,
)
from b2luigi.core.structures import (
    fill_kwargs_with_lists,
    flatten_to_dict,
    flatten_to_dict_of_lists,
    flatten_to_file_paths,
    product_dict,
)

__all__ = [
    "create_output_dirs",
    "create_output_file_name",
    "fill_kwargs_with_lists",
    "flatten_to_dict",
    "flatten_to_dict_of_lists",
    "flatten_to_file_paths",
    "get_all_output_files_in_tree",
    "get_filename",
    "get_log_file_dir",
    "get_serialized_parameters",
    "get_task_file_dir",
    "map_folder",
    "product_dict",
    "task_iterator",
]
