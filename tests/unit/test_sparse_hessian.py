"""Sparse Hessians from a gradient: star and acyclic colourings, against the dense one and the exact values."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from test_sparsity import arrow, banded, grid

import fdcore as fd
from fdcore.sparsity import Symmetric


class Coupled:
    """The gradient of a sum of cosines of w (x_i + x_j) over the pairs of a pattern; counts its calls."""

    def __init__(self, pattern, seed=0):
        self.mask = pattern.toarray() != 0
        w = np.random.default_rng(seed).uniform(0.5, 1.5, self.mask.shape)
        self.w = (w + w.T) / 2
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return (self.mask * self.w * np.sin(np.add.outer(x, x) * self.w)).sum(axis=1)

    def hessian(self, x):
        part = self.mask * self.w**2 * np.cos(np.add.outer(x, x) * self.w)
        return part + np.diag(part.sum(axis=1))


def random_symmetric(n, density, seed):
    half = np.random.default_rng(seed).random((n, n)) < density
    return sp.csr_array(half | half.T | np.eye(n, dtype=bool))


PATTERNS = {
    "tridiagonal": banded(30),
    "band of 11": banded(30, 5),
    "grid": grid(6),
    "arrow": arrow(30),
    "random": random_symmetric(40, 0.03, 0),
    "denser": random_symmetric(25, 0.2, 1),
    "full": random_symmetric(8, 1.0, 2),
    "diagonal": sp.csr_array(sp.eye_array(9)),
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("recovery", ["direct", "substitution"])
def test_hessian_is_right_symmetric_and_of_the_patterns_form(pattern, kind, recovery):
    grad = Coupled(pattern)
    x = np.linspace(-1, 2, pattern.shape[0]) * 10.0 ** np.linspace(-3, 0.5, pattern.shape[0])
    got = fd.hessian(None, x, grad=grad, sparsity=kind(pattern), recovery=recovery)
    assert got.nnz == pattern.nnz
    assert (got != got.T).nnz == 0
    assert np.abs(got.toarray() - grad.hessian(x)).max() < 1e-7 * (10 if recovery == "substitution" else 1)
    assert type(got) is kind


@pytest.mark.parametrize(
    ("pattern", "direct", "substitution"),
    [("tridiagonal", 3, 2), ("band of 11", 11, 6), ("grid", 6, 4), ("arrow", 2, 2), ("full", 8, 8), ("diagonal", 1, 1)],
)
def test_cost_is_two_gradients_a_colour(pattern, direct, substitution):
    for recovery, colours in (("direct", direct), ("substitution", substitution)):
        grad = Coupled(PATTERNS[pattern])
        fd.hessian(None, np.ones(grad.mask.shape[0]), grad=grad, sparsity=PATTERNS[pattern], recovery=recovery)
        assert grad.calls <= 2 * colours


@pytest.mark.parametrize(
    ("pattern", "most"), [(grid(15, corners=True), 9), (grid(8, 3, corners=True), 27), (grid(15), 5), (arrow(1000), 2)]
)
def test_star_colours_are_never_more_than_those_of_columns(pattern, most):
    made = Symmetric(pattern)
    color, count, mirrored = made.star()
    assert count <= most
    assert count <= fd.color_columns(pattern).max() + 1
    # The slow verifier: read there or at the mirror image, no other entry of the row has the colour.
    dense = pattern.toarray() != 0
    for k, (i, j) in enumerate(zip(*made.pattern.entries(), strict=True)):
        row, column = (j, i) if mirrored[k] else (i, j)
        assert np.count_nonzero(dense[row] & (color == color[column])) == 1


def test_error_bars_cover_and_cost_is_stated():
    grad = Coupled(PATTERNS["random"])
    x = np.linspace(-1, 2, 40)
    got = fd.hessian(None, x, grad=grad, sparsity=PATTERNS["random"], full_output=True)
    assert got.nfev == grad.calls
    off = np.abs(got.value.toarray() - grad.hessian(x)) > got.error.toarray()
    assert off.sum() <= 0.02 * PATTERNS["random"].nnz


def test_a_triangle_is_completed_and_detection_works():
    grad = Coupled(PATTERNS["grid"])
    x = np.linspace(-1, 2, 36)
    want = fd.hessian(None, x, grad=grad, sparsity=PATTERNS["grid"])
    for sparsity in (sp.tril(PATTERNS["grid"]), sp.triu(PATTERNS["grid"], format="csc"), "detect"):
        for recovery in ("direct", "substitution"):
            got = fd.hessian(None, x, grad=grad, sparsity=sparsity, recovery=recovery)
            assert np.abs((got - want).toarray()).max() < 1e-8


def test_plan_of_a_symmetric_jacobian():
    grad = Coupled(PATTERNS["arrow"])
    plan = fd.Jacobian(grad, sparsity=PATTERNS["arrow"], symmetric=True)
    for scale in (1.0, 0.5):
        x = scale * np.linspace(-1, 2, 30)
        assert np.abs(plan(x).toarray() - grad.hessian(x)).max() < 1e-7
    grad.calls = 0
    plan(x)
    assert grad.calls == 4
    first = plan(x)
    with pytest.raises(fd.ArgumentError, match="out cannot be given"):
        plan(x, out=first)


def test_diagonal_may_be_missing_from_the_pattern():
    pattern = sp.csr_array(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    for recovery in ("direct", "substitution"):
        got = fd.hessian(
            None, np.array([1.0, 2.0, 3.0]), grad=lambda x: np.array([x[1], x[0] + x[2], x[1]]), sparsity=pattern,
            recovery=recovery,
        )  # fmt: skip
        assert np.abs(got.toarray() - pattern.toarray()).max() < 1e-9


@pytest.mark.parametrize("recovery", ["direct", "substitution"])
def test_nan_on_one_side_is_survived(recovery):
    grad = Coupled(PATTERNS["tridiagonal"])
    x = np.linspace(1, 2, 30)

    def edged(point):
        return np.where(point > x, np.nan, grad(point)) if point[7] > x[7] else grad(point)

    got = fd.hessian(None, x, grad=edged, sparsity=PATTERNS["tridiagonal"], recovery=recovery)
    assert np.abs(got.toarray() - grad.hessian(x)).max() < 1e-6


def test_acyclic_chains_are_as_short_as_can_be():
    # 29 edges of one path of two colours, taken from both ends.
    from fdcore.fdcore import pattern_color_acyclic

    start, index = Symmetric(PATTERNS["tridiagonal"]).pattern.rows
    _, count, steps, depth = pattern_color_acyclic(start, index, 0)
    assert (count, len(steps), depth) == (2, 29, 15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sparsity": np.eye(3)}, "give grad"),
        ({"sparsity": np.eye(3), "grad": np.sin, "recovery": "guess"}, "recovery must be"),
        ({"sparsity": np.eye(3), "grad": np.sin, "recovery": "substitution", "full_output": True}, "no error bars"),
        ({"sparsity": np.eye(3, 4), "grad": np.sin}, "square"),
        ({"sparsity": np.eye(4), "grad": np.sin}, "x has 3 components"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(fd.FdcoreError, match=words):
        fd.hessian(None, np.ones(3), **options)


def test_every_entry_is_read_once_for_each_pair():
    symmetric = Symmetric(PATTERNS["random"])
    groups = symmetric.direct()
    pairs = (PATTERNS["random"].nnz - 40) // 2
    assert groups.nnz == pairs + 40
    row, column = groups.entries()
    assert np.unique(np.minimum(row, column) * 40 + np.maximum(row, column)).size == groups.nnz
    assert_array_equal(groups.color.shape, (40,))
