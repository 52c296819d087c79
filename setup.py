"""The extension and its flags; everything else about the package is in pyproject.toml."""

import os
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNEL = sorted(path.as_posix() for path in Path("src/fdcore/kernel").glob("*.c"))
DEPENDS = sorted(path.as_posix() for end in ("h", "pxi", "pxd") for path in Path("src/fdcore").rglob(f"*.{end}"))

sanitize = os.environ.get("FDCORE_SANITIZE", "")  # for example "address,undefined" or "thread"
coverage = bool(os.environ.get("FDCORE_COVERAGE"))
debug = bool(os.environ.get("FDCORE_DEBUG"))

# One abi3 wheel serves every CPython from 3.11 on. Free-threaded builds have no stable ABI, and line tracing does not
# compile against it.
limited = not sysconfig.get_config_var("Py_GIL_DISABLED") and not coverage

if sys.platform == "win32":
    compile_args = ["/O2", "/std:c11", "/experimental:c11atomics"]
    link_args: list[str] = []
else:
    optimise = ["-O1", "-g"] if sanitize else ["-O0", "-g"] if debug else ["-O3", "-g0"]
    compile_args = [
        "-std=c11",
        *optimise,
        "-fvisibility=hidden",
        "-ffp-contract=off",
        "-fno-math-errno",  # sqrt is one instruction
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
    ]
    link_args = ["-pthread"]
    if sanitize:
        compile_args += [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer"]
        link_args += [f"-fsanitize={sanitize}"]

macros: list[tuple[str, str | None]] = []
if limited:
    macros.append(("Py_LIMITED_API", "0x030B0000"))
if coverage:
    macros += [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]

extension = Extension(
    "fdcore.fdcore",
    ["src/fdcore/fdcore.pyx", *KERNEL],
    include_dirs=["src/fdcore/include", "src/fdcore/kernel"],
    depends=DEPENDS,
    define_macros=macros,
    extra_compile_args=compile_args,
    extra_link_args=link_args,
    py_limited_api=limited,
)

checked = bool(sanitize or debug)
setup(
    ext_modules=cythonize(
        [extension],
        # Here and not in the file header: a header directive silently beats the debug build.
        compiler_directives={
            "language_level": 3,
            "boundscheck": checked,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": checked,
            "freethreading_compatible": True,
            "linetrace": coverage,
        },
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if limited else {},
)
