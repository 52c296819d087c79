#!/usr/bin/env bash
# tests/downstream/run.sh [WHEEL]: two clients, built and run outside the repository, in a fresh environment that has
# fdcore from its wheel alone. Without WHEEL, one is built first. PYTHON names the interpreter (python3).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONNOUSERSITE=1
unset PYTHONPATH

wheel=${1:-}
if [ -n "$wheel" ]; then
    wheel=$(realpath "$wheel")
else
    "${PYTHON:-python3}" -m pip wheel -q --no-deps -w "$work" "$here/../.."
    wheel=$(echo "$work"/*.whl)
fi
"${PYTHON:-python3}" -m venv "$work/venv"
python=$work/venv/bin/python
"$python" -m pip install -q --only-binary :all: "$wheel" 'cython>=3.3,<4' 'setuptools>=77' numba

cp -r "$here/cython_client" "$here"/check_*.py "$work"
cd "$work"
"$python" -m pip install -q --no-build-isolation ./cython_client
for check in check_cython.py check_numba.py; do
    "$python" -W error -P "$check"
done
