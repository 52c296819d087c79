"""The tutorials' relative errors, against their formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fdcore.check import error_band, relative_error
from fdcore.errors import ArgumentError, ShapeError

A = np.array([[1.0, -2.0], [0.0, 1e-13]])
N = np.array([[1.5, 2.0], [0.0, 3e-13]])


def test_formulas():
    assert relative_error(A, N) == pytest.approx(np.linalg.norm(A - N) / (np.linalg.norm(A) + np.linalg.norm(N)))
    elementwise = [[0.5 / 1.5, 2.0], [0.0, 0.2]]
    np.testing.assert_allclose(relative_error(A, N, "elementwise"), elementwise)
    np.testing.assert_allclose(relative_error(A, N, "sum"), [[0.2, 1.0], [0.0, 2e-5]])


def test_trees_keep_their_structure():
    errors = relative_error({"W": A, "b": [1.0]}, {"W": A, "b": [3.0]}, kind="sum")
    assert set(errors) == {"W", "b"}
    assert errors["b"][0] == 0.5


def test_extreme_sizes_do_not_overflow_or_vanish():
    assert relative_error([1e-200, 0], [2e-200, 0]) == pytest.approx(1 / 3)
    assert relative_error([1e200], [-1e200]) == 1.0
    assert relative_error([0.0, 0.0], [0.0, 0.0]) == 0.0
    assert math.isnan(relative_error([math.nan], [1.0]))


def test_misuse():
    with pytest.raises(ArgumentError, match="'max'"):
        relative_error(A, N, kind="max")
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        relative_error(A, N[0])


@pytest.mark.parametrize(
    ("error", "band"),
    [
        (0.0, "correct"),
        (9.9e-8, "correct"),
        (1e-7, "probably correct"),
        (1e-5, "suspicious"),
        (1e-3, "bug"),
        (math.nan, "bug"),
    ],
)
def test_bands(error, band):
    assert error_band(error) == band
