#!/bin/sh
# Make the virtual environment in $1 with everything that tests, demo and benchmarks need, in the pinned versions.
set -eu
venv=$1

python=${PYTHON_BOOTSTRAP:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' 2>/dev/null; then
    echo "setup: Python 3.11 or newer is needed; '$python' is not. Install it, or set PYTHON_BOOTSTRAP." >&2
    exit 2
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "setup: the module venv is missing. On Debian: apt-get install python3-venv" >&2
    exit 2
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip="$venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt"
# torch first and exactly: what depends on it would otherwise bring a build with gigabytes of GPU libraries.
$pip "$(grep '^torch==' constraints.txt)"
$pip --editable '.[all,dev,demo]'
