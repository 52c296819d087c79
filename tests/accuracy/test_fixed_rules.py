"""Error bars of the default central rule over random functions and a part of the corpus."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath", reason="exact derivatives need mpmath")
pytest.importorskip("scipy", reason="the corpus has Bessel functions from SciPy")

from . import score
from .__main__ import corpus
from .methods import _quiet, fdcore_central
from .random_set import random_problems


def test_bars_of_central_differences():
    # The noise of solvers keeps its mesh as near to x as a rule step looks.
    problems = [*random_problems(60, 0), *(p for p in corpus()[::8] if p.group not in ("solver", "removable"))]
    figures = score.figures(score.run(_quiet(fdcore_central), problems))
    assert figures["covered"] >= 99.0
    assert figures["bar/error"] <= 12.0
    assert figures["confidently wrong"] == 0
    assert figures["mean evaluations"] <= 11
