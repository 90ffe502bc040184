#!/bin/sh
# Renews constraints.txt: the newest releases that fit pyproject.toml, pinned for Python 3.11 to 3.13
# with markers where these differ. Only releases with wheels count. Needs network; uses uv.
set -eu
cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
"${PYTHON:-python3}" -m venv "$temporary/venv"
"$temporary/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
{
    echo "# Written by 'make lock'. Tested releases for Python 3.11 to 3.13 on Linux."
    "$temporary/venv/bin/uv" pip compile pyproject.toml --universal --python-version 3.11 --no-build \
        --extra all --extra plot --group build --group test --group check \
        --no-header --no-annotate --quiet
} | grep -v "sys_platform == 'win32'" >"$temporary/constraints.txt"
mv "$temporary/constraints.txt" constraints.txt
