"""The text report: verdict first, no more than 25 lines, the worst entry first."""

from __future__ import annotations

import numpy as np
import pytest

from fdcore.check import check_gradient


def cube(p):
    return float(sum(np.sum(v**3) for v in p.values()))


@pytest.mark.parametrize("arrays", [1, 5, 30, 60])
@pytest.mark.parametrize("bad", [0, 1, 200])
def test_never_more_than_25_lines(arrays, bad):
    params = {f"layer{k}.weight": np.full(4, 1.0 + k) for k in range(arrays)}

    def grad(p):
        result = {k: 3 * v**2 for k, v in p.items()}
        left = bad
        for v in result.values():
            v[: max(left, 0)] *= 2
            left -= v.size
        return result

    check = check_gradient(cube, grad, params)
    lines = str(check).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("wrong: " if bad else "agrees: ")
    if bad:
        header = next(k for k, line in enumerate(lines) if line.startswith("entry"))
        assert lines[header + 1].split()[0] == check.wrong[0].name
        shown = sum(line.startswith("layer") and "[" in line for line in lines)
        assert shown >= min(3, len(check.wrong))


def test_what_the_columns_say():
    text = str(check_gradient(cube, {"w": np.array([3.0, 24.0])}, {"w": np.array([1.0, 2.0])}))
    header = next(line for line in text.splitlines() if line.startswith("entry"))
    assert header.split() == ["entry", "analytic", "numeric", "+-", "error", "analytic", "/", "numeric", "z"]
    row = next(line for line in text.splitlines() if line.startswith("w[1]"))
    assert row.split()[1:3] == ["24", "12"]
    assert row.split()[4] == "2"
    assert "(bug)" in text


def test_long_names_are_cut():
    name = "encoder." * 20 + "weight"
    lines = str(check_gradient(cube, {name: np.array([1.0])}, {name: np.array([1.0])})).splitlines()
    assert max(map(len, lines)) <= 120
