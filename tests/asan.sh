#!/usr/bin/env bash
# Builds the extension with ASan and UBSan, apart from the working tree, and runs the Python tests on it. First a canary,
# a wrong access in fdcore's own code: if that passes, nothing would have been found. Extra arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-gcc}

mkdir "$work/tree"
cp -r setup.py pyproject.toml README.md LICENSE src "$work/tree"
find "$work/tree" \( -name '*.so' -o -name 'fdcore.c' \) -delete
# The flags of CPython's own build would hide signed overflow.
(cd "$work/tree" && CFLAGS="-fno-wrapv" FDCORE_SANITIZE=address,undefined python setup.py -q build_ext -i) \
    >"$work/build.log" 2>&1 || { cat "$work/build.log" && exit 1; }

export PYTHONPATH=$work/tree/src PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
# pytest swallows what is written to stderr, hence the log files; CPython does not free all it has at its end.
options="halt_on_error=1:print_stacktrace=1:log_path=$work/report"
sanitized() {
    LD_PRELOAD="$("$cc" -print-file-name=libasan.so) $("$cc" -print-file-name=libubsan.so)" \
        ASAN_OPTIONS="detect_leaks=0:$options" UBSAN_OPTIONS="$options" timeout -k 5 600 "$@"
}

sanitized python - "$work" <<'PYTHON'
import sys
import fdcore.fdcore
assert fdcore.fdcore.__file__.startswith(sys.argv[1]), f"tests the wrong build: {fdcore.fdcore.__file__}"
PYTHON

if sanitized python - >"$work/canary.log" 2>&1 <<'PYTHON'; then
import numpy as np
import fdcore as fd
beyond = np.lib.stride_tricks.as_strided(np.empty(2), shape=(64,), strides=(8,))
fd.gradient(lambda x: float(x @ x), np.ones(64), out=beyond)
PYTHON
    echo "FAILED: the canary, a write past the end of an array, was not found out"
    exit 1
fi
grep -qs heap-buffer-overflow "$work/canary.log" "$work"/report.* || {
    echo "FAILED: the canary failed of something else:"
    cat "$work/canary.log"
    exit 1
}
rm -f "$work"/report.*
echo "the canary was found out"

# What calls the extension from every side. The rest (checks, reports, drop-ins) is Python on top of it, and other people's
# extensions take minutes here.
status=0
[ $# -gt 0 ] || set -- tests/unit tests/threads
sanitized python -m pytest -q -p no:cacheprovider -m "not slow and not build" "$@" || status=$?
if compgen -G "$work/report.*" >/dev/null; then
    cat "$work"/report.*
    echo "FAILED: the sanitizers report"
    exit 1
fi
exit $status
