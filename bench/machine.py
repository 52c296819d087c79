"""What the bench ran on, in general terms, and how busy it was with other things."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from bench.build import COMPILER, FLAGS, compiler_version

PACKAGES = (
    "fdcore",
    "numpy",
    "scipy",
    "numdifftools",
    "jacobi",
    "statsmodels",
    "numba",
    "casadi",
    "cffi",
    "torch",
    "jax",
)


class Load:
    """Share of all cores that other processes take, from its creation on."""

    def __init__(self) -> None:
        self._start = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float]:
        """Ticks of all cores, ticks not idle, and our own seconds."""
        own = sum(os.times()[:4])
        try:
            fields = [float(v) for v in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        except OSError:
            return 0.0, 0.0, own
        return sum(fields), sum(fields) - fields[3] - fields[4], own

    def by_others(self) -> float:
        """Return the share since creation, 0 to 1; nan where the system does not say."""
        total, busy, own = (now - then for now, then in zip(self._read(), self._start, strict=True))
        if total <= 0:
            return float("nan")
        own_ticks = own * os.sysconf("SC_CLK_TCK")
        return max(0.0, busy - own_ticks) / total


def versions() -> dict[str, str]:
    """Installed versions of fdcore and its peers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "from the source tree" if name == "fdcore" else "not installed"
    return found


def description() -> dict[str, str]:
    """Cores, system, compiler, Python."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()} {model}".strip(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler of the floors": f"{compiler_version()}, {COMPILER} {' '.join(FLAGS[:2])}",
    }
