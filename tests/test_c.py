"""The kernel's own tests, which know no Python, as part of the suite; the sanitizers' runs of them are .ci/run's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "c" / "run.sh"


@pytest.mark.build
@pytest.mark.timeout(400)
@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("gcc")), reason="needs bash and gcc")
def test_kernel_without_python() -> None:
    run = subprocess.run(["bash", SCRIPT, "plain"], capture_output=True, text=True, timeout=380, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    counts = re.search(r"^(\d+) passed, 0 failed$", run.stdout, re.MULTILINE)
    assert counts is not None
    assert int(counts[1]) > 0
