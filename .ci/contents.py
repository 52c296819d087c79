"""Check what the sdist and the wheels in a folder contain: `python contents.py FOLDER`."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

SDIST_HAS = [
    r"README\.md",
    r"LICENSE",
    r"setup\.py",
    r"src/fdcore/fdcore\.pyx",
    r"src/fdcore/fdcore\.pxd",
    r"src/fdcore/arrays\.pxi",
    r"src/fdcore/callables\.pxi",
    r"src/fdcore/engine\.pxi",
    r"src/fdcore/kernel\.pxi",
    r"src/fdcore/plain\.pxi",
    r"src/fdcore/scales\.pxi",
    r"src/fdcore/sparse\.pxi",
    r"src/fdcore/kernel/\w+\.c",
    r"src/fdcore/kernel/internal\.h",
    r"src/fdcore/include/fdcore/fdcore\.h",
    r"tests/.*\.py",
    r"docs/conf\.py",
    r"docs/lessons/rows\.toml",
    r"bench/(RESULTS|ACCURACY|CHECKS)\.md",
]
SDIST_LACKS = [r"src/fdcore/fdcore\.c", r".*\.(so|pyd|pyc|o)", r".*/\.(git|venv)/.*", r"build/.*"]

WHEEL_HAS = [
    r"fdcore/__init__\.py",
    r"fdcore/__init__\.pxd",
    r"fdcore/fdcore\.pxd",
    r"fdcore/fdcore\.pyi",
    r"fdcore/fdcore[.\w-]*\.(so|pyd)",
    r"fdcore/include/fdcore/fdcore\.h",
    r"fdcore/py\.typed",
    r"fdcore/data/Norris\.dat",
    r"fdcore/data/oring\.csv",
    r"fdcore/report/(check|fragment|page|style|taylor)\.html",
    r"fdcore/report/check\.schema\.json",
    r"fdcore-[\w.]+\.dist-info/licenses/LICENSE",
    r"fdcore-[\w.]+\.dist-info/entry_points\.txt",
]
WHEEL_LACKS = [r".*\.(c|pyx|pxi|pyc|o)", r"fdcore/kernel/.*", r"(tests|bench|docs|examples)/.*"]


def complaints(names: list[str], has: list[str], lacks: list[str]) -> list[str]:
    """List what is missing, and what should not be there."""
    missing = [f"lacks {pattern}" for pattern in has if not any(re.fullmatch(pattern, name) for name in names)]
    surplus = [f"holds {name}" for name in names if any(re.fullmatch(pattern, name) for pattern in lacks)]
    return missing + surplus


def main(folder: str) -> int:
    """Print each complaint; the exit status is 1 if there are any, or nothing to look at."""
    found: list[str] = []
    sdists = sorted(Path(folder).glob("*.tar.gz"))
    wheels = sorted(Path(folder).glob("*.whl"))
    for path in sdists:
        with tarfile.open(path) as archive:
            names = [member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()]
        found += [f"{path.name} {text}" for text in complaints(names, SDIST_HAS, SDIST_LACKS)]
        print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1000:.0f} kB")
    for path in wheels:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        found += [f"{path.name} {text}" for text in complaints(names, WHEEL_HAS, WHEEL_LACKS)]
        print(f"{path.name}: {len(names)} files, {path.stat().st_size / 1000:.0f} kB")
    print(*found, sep="\n")
    return int(bool(found) or not sdists or not wheels)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
