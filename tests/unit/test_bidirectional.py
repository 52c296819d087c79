"""Colours of columns and rows at once, and Jacobians that take dense rows from a reverse product."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from test_sparsity import arrow, banded, grid, random_pattern, smooth

import fdcore as fd


def dense_lines(n, rows, columns):
    """Tridiagonal, with some rows and columns full."""
    made = banded(n).tolil()
    made[list(rows), :] = 1.0
    made[:, list(columns)] = 1.0
    return made.tocsr()


def assert_shows_all(mask, columns, rows):
    """The slow verifier: every entry of a random matrix is read off one sum that has no other entry in it."""
    J = np.where(mask, np.random.default_rng(0).uniform(1, 2, mask.shape), 0.0)
    right, left = np.full(J.shape, np.nan), np.full(J.shape, np.nan)
    for c in range(columns.max(initial=-1) + 1):
        right[:, columns == c] = J[:, columns == c].sum(axis=1)[:, None]
    for r in range(rows.max(initial=-1) + 1):
        left[rows == r] = J[rows == r].sum(axis=0)
    assert_array_equal(np.where(rows[:, None] < 0, right, left)[mask], J[mask])


@given(
    st.integers(1, 10).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=10).map(np.array)
    )
)
def test_any_mask_is_shown_whole_and_never_takes_more_than_columns_alone(mask):
    columns, rows = fd.color_bidirectional(mask)
    assert columns.shape == (mask.shape[1],)
    assert rows.shape == (mask.shape[0],)
    assert_shows_all(mask, columns, rows)
    assert columns.max() + 1 + rows.max() + 1 <= fd.color_columns(mask).max() + 1


@pytest.mark.parametrize(
    ("pattern", "right", "left"),
    [
        (arrow(1000), 2, 1),
        (dense_lines(500, [0], []), 3, 1),
        (dense_lines(500, [], [7]), 4, 0),
        (dense_lines(500, [3, 200, 499], [1]), 4, 3),
        (dense_lines(500, range(0, 500, 100), range(0, 500, 50)), 13, 5),
        (sp.csr_array(np.ones((1, 300))), 0, 1),
        (sp.csr_array(np.ones((300, 1))), 1, 0),
        (grid(20), 5, 0),
        (banded(200, 3), 7, 0),
        (sp.csr_array((4, 5)), 0, 0),
    ],
    ids=[
        "arrow", "dense row", "dense column", "three rows and a column", "five rows, ten columns", "one row",
        "one column", "grid", "band", "empty",
    ],
)  # fmt: skip
def test_dense_lines_cost_one_group_each(pattern, right, left):
    columns, rows = fd.color_bidirectional(pattern)
    assert_shows_all(pattern.toarray() != 0, columns, rows)
    assert columns.max() + 1 <= right
    assert rows.max() + 1 == left


def test_a_dense_column_alone_costs_columns_one_colour_more():
    for n in (50, 300):
        assert fd.color_columns(banded(n)).max() + 1 == 3
        assert fd.color_columns(dense_lines(n, [], [n // 2])).max() + 1 == 4


class Counted:
    """A function of a pattern with its reverse product, both counting."""

    def __init__(self, pattern):
        self.mask = pattern.toarray() != 0
        self.values = smooth(self.mask)
        random = np.random.default_rng(1)  # as `smooth` does
        self.rate, self.shift = random.uniform(0.5, 2.0, self.mask.shape), random.uniform(-1, 1, self.mask.shape)
        self.calls = self.products = 0

    def f(self, x):
        self.calls += 1
        return self.values(x)

    def jacobian(self, x):
        return self.mask * self.rate * np.cos(self.rate * x + self.shift)

    def vjp(self, x, v):
        self.products += 1
        return v @ self.jacobian(x)


MIXED = {
    "arrow": arrow(40),
    "rows and columns": dense_lines(60, [3, 20], [1]),
    "random": random_pattern(30, 50, 0.05),
    "wide": sp.csr_array(np.ones((2, 30))),
    "no dense row": banded(30),
}


@pytest.mark.parametrize("pattern", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("method", ["forward", "central", "complex"])
def test_jacobian_is_right_and_costs_what_the_colours_say(pattern, kind, method):
    problem = Counted(pattern)
    x = np.linspace(-1, 2, pattern.shape[1])
    colors = fd.color_bidirectional(pattern, "natural")
    points = 2 if method == "central" else 1
    got = fd.jacobian(problem.f, x, sparsity=kind(pattern), vjp=problem.vjp, method=method)
    assert type(got) is kind
    assert got.nnz == pattern.nnz
    exact = problem.jacobian(x)
    assert np.abs(got.toarray() - exact).max() < (1e-6 if method == "forward" else 1e-8)
    assert problem.products == colors[1].max() + 1
    assert problem.calls <= points * (colors[0].max() + 1) + (0 if method == "central" else 1) + 4 * (
        method == "complex"
    )
    shown = colors[1] >= 0
    assert_array_equal(got.toarray()[shown], exact[shown])  # from the product alone


def test_arrow_of_1000_takes_three_groups_instead_of_1000():
    problem = Counted(arrow(1000))
    plan = fd.Jacobian(problem.f, sparsity=arrow(1000), vjp=problem.vjp, method="forward")
    x = np.linspace(-1, 1, 1000)
    got = plan(x)
    assert np.abs(got.toarray() - problem.jacobian(x)).max() < 1e-6
    assert (problem.calls, problem.products) == (3, 1)


def test_full_output_bars_cover_and_count_products():
    problem = Counted(MIXED["rows and columns"])
    x = np.linspace(-1, 2, 60)
    got = fd.jacobian(problem.f, x, sparsity=MIXED["rows and columns"], vjp=problem.vjp, full_output=True)
    assert got.nfev == problem.calls + problem.products
    off = np.abs(got.value.toarray() - problem.jacobian(x)) > got.error.toarray()
    assert off.sum() <= 0.02 * got.value.nnz
    assert (got.error.toarray()[[3, 20]] <= 1e-15 * 4).all()


def test_plan_reuses_out_passes_arguments_and_takes_colours():
    pattern = arrow(20)

    def f(x, a, b=0.0):
        return np.concatenate([[a * np.sum(x**2)], a * x[0] * x[1:] ** 2 + b * x[1:]])

    def vjp(x, v, a, b=0.0):
        product = v[0] * 2 * a * x
        product[0] += v[1:] @ (a * x[1:] ** 2)
        product[1:] += v[1:] * (2 * a * x[0] * x[1:] + b)
        return product

    x = np.linspace(1, 2, 20)
    wanted = fd.jacobian(f, x, args=(2.0,), kwargs={"b": 3.0})
    colors = fd.color_bidirectional(pattern)
    built = fd.Jacobian(f, sparsity=(pattern, colors), vjp=vjp, args=(2.0,), kwargs={"b": 3.0})
    first = built(x)
    again = built(x + 1, out=first)
    assert again is first
    assert np.abs(built(x, out=first).toarray() - wanted).max() < 1e-8
    called = fd.Jacobian(f, sparsity=pattern, vjp=vjp)
    assert np.abs(called(x, 2.0, 3.0).toarray() - wanted).max() < 1e-8
    found = fd.Jacobian(f, sparsity="detect", vjp=vjp, args=(2.0,), kwargs={"b": 3.0})
    assert np.abs(found(x).toarray() - wanted).max() < 1e-8


def test_what_is_wrong_is_said():
    pattern, x = arrow(10), np.ones(10)
    problem = Counted(pattern)

    def jacobian(vjp, **options):
        return fd.jacobian(problem.f, x, **{"sparsity": pattern, **options}, vjp=vjp)

    with pytest.raises(fd.ShapeError, match=r"vjp returned float64 of shape \(3,\); it must return the 10"):
        jacobian(lambda x, v: np.ones(3))
    with pytest.raises(fd.NonFiniteError, match=r"vjp gave nan for x\[0\]"):
        jacobian(lambda x, v: np.full(10, np.nan))
    with pytest.raises(fd.ArgumentTypeError, match="vjp must be a function"):
        jacobian(np.ones(3))
    with pytest.raises(fd.ArgumentError, match="needs sparsity"):
        jacobian(problem.vjp, sparsity=None)
    with pytest.raises(fd.ArgumentError, match=r"\(pattern, \(columns, rows\)\)"):
        jacobian(problem.vjp, sparsity=(pattern, np.arange(10)))
    columns, rows = fd.color_bidirectional(pattern)
    with pytest.raises(fd.ArgumentError, match="two rows of one colour meet in column 0"):
        jacobian(problem.vjp, sparsity=(pattern, (columns, np.zeros(10, dtype=int))))
    with pytest.raises(fd.ArgumentError, match="two columns of one colour meet in row"):
        jacobian(problem.vjp, sparsity=(pattern, (np.zeros(10, dtype=int), rows)))
    with pytest.raises(fd.ShapeError, match="colours of rows"):
        jacobian(problem.vjp, sparsity=(pattern, (columns, rows[:3])))

    def failing(x, v):
        raise KeyError("mine")

    with pytest.raises(KeyError) as info:
        jacobian(failing)
    assert info.value.__notes__ == ["raised by vjp for the sum of 1 rows, the first of which is 0"]
    given = x.copy()

    def writing(x, v):
        x[:] = 7.0
        return v @ problem.jacobian(given)

    jacobian(writing)
    assert_array_equal(x, given)
