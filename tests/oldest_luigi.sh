#!/usr/bin/env bash
# The oldest luigi that pyproject.toml allows: tasks, parameters, settings, and the life of a job on this machine.
# It needs python3 (3.10 or newer) with venv, and takes less than a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

oldest=$(sed -n 's/^ *"luigi>=\([0-9.]*\)".*/\1/p' pyproject.toml)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "luigi==$oldest" -e . \
    hypothesis pytest pytest-randomly pytest-timeout pytest-xdist
"$folder/venv/bin/python" -W ignore -c "import sys, luigi; print('luigi', luigi.__version__); sys.exit(luigi.__version__ != '$oldest')"
"$folder/venv/bin/python" -m pytest -q -n 2 -p no:cacheprovider tests/core tests/test_public_names.py \
    tests/end_to_end/test_parameters.py tests/end_to_end/test_life.py -k "not lsf"
