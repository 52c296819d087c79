"""The example of a simulator: another process, few digits, many at once, progress."""

from __future__ import annotations

import importlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fdcore as fd

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simulator"

pytestmark = [
    pytest.mark.build,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the example calls cc as on Unix"),
    pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are in the repository, not in the wheel"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc"),
]


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield importlib.import_module("derivatives")
    sys.modules.pop("derivatives", None)


def test_the_example(example, capsys):
    right, naive, found = example.main()
    assert np.all(np.abs(found.value - right) <= found.error)
    assert np.all(found.error <= 1e-3 * np.abs(right).max())
    # With a step for sixteen digits, the last printed digit is most of the difference.
    assert np.max(np.abs(naive - right) / np.abs(right)) > 0.01
    text = capsys.readouterr().out
    assert all(name in text for name in example.NAMES)


def test_progress_and_the_edge_of_the_domain(example, tmp_path):
    f = example.Simulator(example.build(tmp_path))
    seen = []
    with ThreadPoolExecutor(2) as pool:
        fd.gradient(f, example.X, workers=pool, progress=lambda done, total, info: seen.append((done, total)))
    assert seen[-1] == (6, 6)
    # A mass that a step down would take to zero: one side is all there is.
    result = fd.gradient(lambda x: f([x[0], 0.4, 9.0]), [0.003], step=0.005, full_output=True)
    assert [fd.Status(int(s)) for s in result.status] != [fd.Status.RULE]
    with pytest.raises(fd.NonFiniteError):
        fd.gradient(f, [-1.0, 0.4, 9.0])
