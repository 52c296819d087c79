"""Patterns, colours, sparse Jacobians and detection, against dense differences and slow verifiers."""

import copy

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.optimize import least_squares, root
from scipy.optimize._numdiff import approx_derivative, group_columns

import fdcore as fd
from fdcore.fdcore import ORDERS
from fdcore.sparsity import Pattern

RULES = [("forward", p) for p in (1, 2, 3, 8)] + [("backward", p) for p in (1, 2, 5)]
RULES += [("central", p) for p in (2, 4, 6, 8)]


def banded(n, width=1):
    return sp.diags_array([np.ones(n)] * (2 * width + 1), offsets=range(-width, width + 1), shape=(n, n)).tocsr()


def grid(side, dimensions=2, corners=False):
    line, one = banded(side), sp.eye_array(side)
    if corners:
        made = sp.eye_array(1)
        for _ in range(dimensions):
            made = sp.kron(made, line)
        return sp.csr_array(made)
    total = 0
    for axis in range(dimensions):
        term = sp.eye_array(1)
        for other in range(dimensions):
            term = sp.kron(term, line if other == axis else one)
        total = total + term
    return sp.csr_array(total)


def arrow(n):
    made = sp.lil_array(np.eye(n))
    made[0, :] = 1.0
    made[:, 0] = 1.0
    return made.tocsr()


def random_pattern(m, n, density, seed=0):
    return sp.csr_array(np.random.default_rng(seed).random((m, n)) < density)


def smooth(mask, seed=1):
    """A function whose Jacobian has exactly this pattern; terms off it are exact zeros."""
    random = np.random.default_rng(seed)
    rate, shift = random.uniform(0.5, 2.0, mask.shape), random.uniform(-1, 1, mask.shape)
    # Summed in the same order whatever else moves.
    return lambda x: (mask * np.sin(rate * x + shift)).sum(axis=1)


def assert_valid(pattern, color):
    """The slow verifier: no row meets a colour twice, and colours are 0, 1, ... without gaps."""
    dense = np.asarray(pattern.toarray() if sp.issparse(pattern) else pattern) != 0
    assert color.shape == (dense.shape[1],)
    if color.size:
        assert_array_equal(np.unique(color), np.arange(color.max() + 1))
    for row in dense:
        used = color[row]
        assert np.unique(used).size == used.size


# ---- colours ---------------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 12).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=0, max_size=12).map(
            lambda rows: np.array(rows, dtype=bool).reshape(len(rows), n)
        )
    ),
    st.sampled_from(ORDERS),
)
def test_any_mask_is_coloured_validly(mask, order):
    assert_valid(mask, fd.color_columns(mask, order))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(5))
def test_larger_patterns_are_coloured_validly(order, seed):
    pattern = random_pattern(60, 90, 0.02 * 3**seed, seed)  # up to full, so more than 64 colours
    color = fd.color_columns(pattern, order)
    assert_valid(pattern, color)
    if order == "best":
        assert color.max() <= min(fd.color_columns(pattern, other).max() for other in ORDERS)


@pytest.mark.parametrize(
    ("pattern", "natural", "best"),
    [
        (banded(1000), 3, 3),
        (banded(1000, 5), 11, 11),
        (grid(60), 7, 5),
        (grid(60, corners=True), 9, 9),
        (grid(16, 3), 12, 11),
        (grid(12, 3, corners=True), 27, 27),
        (arrow(300), 300, 300),
    ],
    ids=["tridiagonal", "band of 11", "5 points", "9 points", "7 points", "27 points", "arrow"],
)
def test_known_families_take_as_few_colours_as_published(pattern, natural, best):
    for order, most in (("natural", natural), ("best", best)):
        color = fd.color_columns(pattern, order)
        assert_valid(pattern, color)
        assert color.max() + 1 <= most
    # SciPy's default, columns in random order.
    assert fd.color_columns(pattern).max() <= group_columns(sp.csr_matrix(pattern)).max()


def test_every_way_to_give_a_pattern_gives_the_same_colours():
    pattern = random_pattern(15, 20, 0.2)
    rows, columns = pattern.nonzero()
    want = fd.color_columns(pattern.toarray())
    shuffled = np.random.default_rng(0).permutation(rows.size)
    twice = np.concatenate([shuffled, shuffled[:5]])
    unsorted = pattern.copy()
    unsorted.indices = np.concatenate([part[::-1] for part in np.split(unsorted.indices, unsorted.indptr[1:-1])])
    unsorted.has_sorted_indices = unsorted.has_canonical_format = False
    long = pattern.copy()
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    for given_pattern in (
        pattern.tocsc(), pattern.tocoo(), sp.csr_matrix(pattern), pattern.toarray().astype(float), unsorted, long,
        pattern.toarray().tolist(), (rows[twice], columns[twice], (15, 20)), Pattern.of(pattern),
    ):  # fmt: skip
        assert_array_equal(fd.color_columns(given_pattern), want)


def test_stored_zeros_count_and_the_callers_matrix_is_left_alone():
    pattern = banded(6)
    pattern.data[:] = 0.0
    before = copy.deepcopy(pattern.__dict__)
    assert fd.color_columns(pattern).max() == 2
    fd.jacobian(smooth(banded(6).toarray()), np.ones(6), sparsity=pattern)
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(pattern, name), before[name])
        assert getattr(pattern, name).flags.writeable


@pytest.mark.parametrize(
    ("pattern", "error", "words"),
    [
        (3, fd.ArgumentTypeError, "a pattern must be"),
        ([[1, 2], [3]], fd.ArgumentTypeError, "a pattern must be"),
        (np.ones(3), fd.ArgumentTypeError, "a pattern must be"),
        (([0, 5], [0, 1], (3, 3)), fd.ArgumentError, "within 0 .. 2"),
        (([0], [0, 1], (3, 3)), fd.ShapeError, "one length"),
        (([0.5], [0], (3, 3)), fd.ShapeError, "int vectors"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern, error, words):
    with pytest.raises(error, match=words):
        fd.color_columns(pattern)


def test_damaged_matrices_are_refused_before_the_kernel_sees_them():
    broken = banded(5)
    broken.indices[3] = 77
    with pytest.raises(fd.ArgumentError, match=r"damaged: the indices of line 1 must be increasing, from 0 to 4"):
        fd.color_columns(broken)
    broken = banded(5)
    broken.indptr[2] = 1
    with pytest.raises(fd.ArgumentError, match="damaged"):
        fd.color_columns(broken)
    with pytest.raises(fd.ArgumentError, match="order must be one of 'natural'"):
        fd.color_columns(banded(5), "alphabetical")


# ---- Jacobians -------------------------------------------------------------------------------------------------------

MASKS = {
    "band": banded(17, 2).toarray() != 0,
    "wide": random_pattern(11, 23, 0.15).toarray(),
    "tall": random_pattern(23, 11, 0.15, seed=2).toarray(),
    "with empty rows and columns": np.diag([1, 0, 1, 0, 1]) != 0,
    "full": np.ones((5, 6), dtype=bool),
    "dense row": np.eye(12) + (np.arange(12)[:, None] == 4) != 0,
}


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(("method", "accuracy"), RULES)
def test_jacobian_equals_the_oracle(method, accuracy, mask, form):
    f = smooth(mask)
    x = np.linspace(-1.5, 2.0, mask.shape[1])
    got = fd.jacobian(f, x, method=method, accuracy=accuracy, sparsity=sp.coo_array(mask).asformat(form))
    assert got.format == form
    assert got.shape == mask.shape
    want = reference.jacobian(f, x, method, accuracy)
    assert_array_equal(got.toarray()[~mask], 0.0)
    assert np.all(np.abs(got.toarray() - want) <= reference.floor(method, accuracy, x, 10.0))


@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"method": "backward"}, {"abs_step": 1e-4}])
@pytest.mark.parametrize("order", ORDERS)
def test_every_step_is_the_dense_ones_own_so_that_values_are_equal_bitwise(options, order):
    mask = MASKS["wide"]
    f = smooth(mask)
    x = np.linspace(-1.5, 2.0, mask.shape[1]) * 10.0 ** np.linspace(-8, 5, mask.shape[1])  # mixed scales in a colour
    got = fd.Jacobian(f, sparsity=mask, order=order, **options)(x)
    assert_array_equal(got.toarray(), fd.jacobian(f, x, **options))


@pytest.mark.parametrize("method", ["forward", "central", "complex"])
def test_cost_is_the_number_of_colours(method):
    calls = 0
    f = smooth(MASKS["band"])

    def counted(x):
        nonlocal calls
        calls += 1
        return f(x)

    plan = fd.Jacobian(counted, sparsity=MASKS["band"], method=method)
    if method == "complex":  # the first call looks whether it means something
        plan(np.ones(17))
        calls = 0
    _, nfev = plan.evaluate(np.ones(17))
    assert nfev == calls == {"forward": 6, "central": 10, "complex": 5}[method]
    plan(np.ones(17), f0=f(np.ones(17)))
    assert calls - nfev == {"forward": 5, "central": 10, "complex": 5}[method]


def test_columns_without_entries_never_move():
    x = np.linspace(1, 2, 5)

    def f(point):
        assert point[1] == x[1]
        assert point[3] == x[3]
        return point * [1, 0, 1, 0, 1]

    assert_array_equal(
        fd.jacobian(f, x, sparsity=MASKS["with empty rows and columns"]).toarray(), np.diag([1, 0, 1, 0, 1])
    )


def test_float32_gets_larger_steps():
    f = smooth(MASKS["band"])
    got = fd.jacobian(lambda x: f(x).astype(np.float32), np.ones(17), sparsity=MASKS["band"])
    assert np.abs(got.toarray() - reference.jacobian(f, np.ones(17))).max() < 1e-3


@pytest.mark.parametrize("options", [{"vectorized": True}, {"workers": map}], ids=["vectorized", "map"])
@pytest.mark.parametrize("method", ["forward", "central", "complex"])
def test_batched_callables(options, method):
    mask = MASKS["wide"]
    f = smooth(mask)
    x = np.linspace(-1.5, 2.0, mask.shape[1])
    batch = (lambda block: np.array([f(point) for point in block])) if "vectorized" in options else f
    got = fd.jacobian(batch, x, method=method, sparsity=mask, **options)
    assert_array_equal(got.toarray(), fd.jacobian(f, x, method=method, sparsity=mask).toarray())


@pytest.mark.parametrize(("method", "accuracy"), [("forward", 1), ("forward", 2), ("central", 2), ("central", 6)])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_never_left_and_values_stay_right(method, accuracy, seed):
    mask = MASKS["band"]
    f = smooth(mask)
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, 17)
    room = 10.0 ** random.uniform(-5, 0, (2, 17)) * (random.random((2, 17)) < 0.7)
    room[:, room.max(axis=0) == 0.0] = 1.0
    lower, upper = x - room[0], x + room[1]

    def watched(point):
        assert np.all(point >= lower)
        assert np.all(point <= upper)
        return f(point)

    options = {"method": method, "accuracy": accuracy, "bounds": (lower, upper)}
    got = fd.jacobian(watched, x, sparsity=mask, full_output=True, **options)
    want = fd.jacobian(watched, x, full_output=True, **options)
    assert_array_equal(got.status, want.status)
    # A step of 1e-5 may be all the room there is for a rule of order 6, so compare by the error bars.
    bar = got.error.toarray() + want.error
    assert np.all(np.abs(got.value.toarray() - want.value)[mask] <= bar[mask])


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("method", ["forward", "central"])
@pytest.mark.parametrize("accuracy", [None, 2])
def test_nan_at_a_point_makes_only_those_components_retreat(form, method, accuracy):
    mask = banded(12).toarray() != 0
    inner = smooth(mask)
    x = np.linspace(0.5, 1.5, 12)

    def f(point):
        return np.where(point[3] > x[3], np.nan, inner(point))

    options = {"method": method, "accuracy": accuracy}
    want = fd.jacobian(f, x, full_output=True, **options)
    got = fd.jacobian(f, x, full_output=True, sparsity=sp.csr_array(mask).asformat(form), **options)
    assert got.status[3] == want.status[3] == fd.Status.BACKWARD
    assert np.abs(got.value.toarray() - want.value).max() < 1e-6


def test_nan_everywhere_names_the_lowest_component_of_the_first_colour():
    x = np.ones(9)

    def f(point):
        return np.where(point != x, np.nan, point) * (np.arange(9) >= 4) + np.arange(9)

    with pytest.raises(fd.NonFiniteError, match=r"both sides of x\[4\]"):
        fd.jacobian(lambda p: f(p)[4:], x, sparsity=np.eye(9)[4:])
    with pytest.raises(fd.NonFiniteError, match=r"f\(x\) is NaN or inf"):
        fd.jacobian(lambda p: p * np.nan, x, sparsity=np.eye(9))


def test_exceptions_come_back_with_a_note_and_leave_the_plan_usable():
    f = smooth(banded(9).toarray())
    x = np.linspace(1, 2, 9)
    boom = KeyError("boom")
    broken = True

    def g(point):
        if broken and point[4] != x[4]:
            raise boom
        return f(point)

    plan = fd.Jacobian(g, sparsity=banded(9))
    with pytest.raises(KeyError) as caught:
        plan(x)
    assert caught.value is boom
    assert caught.value.__notes__[0].startswith("raised by f while perturbing x[1] by ")
    assert caught.value.__notes__[0].endswith(" and 2 more")
    broken = False
    assert_array_equal(plan(x).toarray(), fd.jacobian(f, x))
    assert_array_equal(x, np.linspace(1, 2, 9))


def test_writing_into_x_is_found_out():
    f = smooth(banded(9).toarray())

    def g(point):
        value = f(point)
        point[6] += 1.0
        return value

    with pytest.raises(fd.InputMutatedError, match=r"x\[6\]"):
        fd.jacobian(g, np.ones(9), sparsity=banded(9))


def test_results_share_read_only_indices_and_out_is_overwritten():
    pattern = banded(9)
    f = smooth(pattern.toarray())
    plan = fd.Jacobian(f, sparsity=pattern)
    x = np.linspace(1, 2, 9)
    first = plan(x)
    second = plan(2 * x)
    assert first.indices is second.indices
    assert not first.indices.flags.writeable
    assert first.copy().indices.flags.writeable
    assert_array_equal(first.toarray(), fd.jacobian(f, x))
    again = plan(x, out=second)
    assert again is second
    assert_array_equal(second.toarray(), first.toarray())
    with pytest.raises(fd.ArgumentError, match="out must be a result of the same plan"):
        plan(x, out=sp.csr_array(pattern))
    with pytest.raises(fd.ArgumentError, match="out must be a result of the same plan"):
        plan(x, out=np.empty((9, 9)))
    for operation in (first @ first, first.T, first.tocsc(), first + first, first[2:5], abs(first), first.tocoo()):
        assert np.all(np.isfinite(operation.toarray()))


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.csr_matrix, sp.csc_matrix])
def test_result_is_of_the_patterns_kind(kind):
    got = fd.jacobian(smooth(banded(5).toarray()), np.ones(5), sparsity=kind(banded(5)))
    assert type(got) is kind
    assert got.has_canonical_format


def test_colours_may_be_given_and_must_fit():
    pattern = banded(9)
    f = smooth(pattern.toarray())
    x = np.linspace(1, 2, 9)
    groups = group_columns(pattern)
    assert_array_equal(fd.jacobian(f, x, sparsity=(pattern, groups)).toarray(), fd.jacobian(f, x))
    ours = approx_derivative(f, x, sparsity=(sp.csr_matrix(pattern), fd.color_columns(pattern)))
    assert np.abs(ours.toarray() - fd.jacobian(f, x)).max() < 1e-6
    with pytest.raises(fd.ArgumentError, match="two columns of one colour meet in row 0"):
        fd.jacobian(f, x, sparsity=(pattern, np.zeros(9, dtype=int)))
    with pytest.raises(fd.ShapeError, match="each of the 9 columns"):
        fd.jacobian(f, x, sparsity=(pattern, np.arange(8)))


def test_shapes_that_do_not_fit_are_refused():
    f = smooth(banded(9).toarray())
    with pytest.raises(fd.ShapeError, match="x has 8 components, and the pattern 9 columns"):
        fd.jacobian(f, np.ones(8), sparsity=banded(9))
    with pytest.raises(fd.ShapeError, match="f returned shape"):
        fd.jacobian(f, np.ones(9), sparsity=np.eye(9)[:7])
    with pytest.raises(fd.ArgumentError, match="'detect' or a pattern"):
        fd.jacobian(f, np.ones(9), sparsity="find")


def test_empty_patterns_cost_nothing():
    got = fd.jacobian(lambda x: 1 / 0, np.ones(3), sparsity=np.zeros((4, 3)))
    assert got.shape == (4, 3)
    assert got.nnz == 0
    assert fd.jacobian(lambda x: np.ones(4), np.empty(0), sparsity=np.zeros((4, 0))).shape == (4, 0)


def test_error_bars_are_those_of_the_dense_jacobian():
    mask = MASKS["wide"]
    f = smooth(mask)
    x = np.linspace(-1.5, 2.0, mask.shape[1])
    for form in ("csr", "csc"):
        got = fd.jacobian(f, x, sparsity=sp.coo_array(mask).asformat(form), full_output=True)
        want = fd.jacobian(f, x, full_output=True)
        assert_array_equal(got.value.toarray(), want.value)
        np.testing.assert_allclose(got.error.toarray()[mask], want.error[mask], rtol=0.5)  # the second step is rounded
        assert_array_equal(got.step, want.step)
        assert got.nfev < want.nfev


def test_plan_as_jac_of_scipys_solvers():
    n = 200

    def broyden(x):
        value = (3 - 2 * x) * x + 1
        value[1:] -= x[:-1]
        value[:-1] -= 2 * x[1:]
        return value

    plan = fd.Jacobian(broyden, sparsity=banded(n))
    found = least_squares(broyden, -np.ones(n), jac=plan, tr_solver="lsmr")
    assert found.cost < 1e-12
    dense = root(broyden, -np.ones(n), jac=lambda x: plan(x).toarray())
    assert dense.success


# ---- native callbacks ------------------------------------------------------------------------------------------------

TRIDIAGONAL = """
#include <stddef.h>
#include <math.h>
int tridiagonal(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *user)
{
    (void)m;
    const double *limit = user;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (limit && x[i] > *limit) return 5;
        y[i] = sin(x[i]) + (i > 0 ? x[i - 1] * x[i] : 0.0) - (i + 1 < n ? 2 * x[i + 1] : 0.0);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def tridiagonal(compile_c):
    import ctypes

    library = ctypes.CDLL(compile_c(TRIDIAGONAL))
    address = ctypes.cast(library.tridiagonal, ctypes.c_void_p).value

    def make(m, limit=None):
        return fd.native(
            address, m=m, signature="int (ptrdiff_t, double *, ptrdiff_t, double *, void *)", user_data=limit
        )

    make.keep = library
    return make


@pytest.mark.threads
@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize(("method", "accuracy"), [("forward", 1), ("central", 2), ("central", 4)])
def test_result_is_bitwise_the_same_for_any_number_of_workers(tridiagonal, method, accuracy, form):
    n = 120_000  # enough for every stage to take threads
    f, pattern, x = tridiagonal(n), banded(n).asformat(form), np.linspace(0.1, 3, n)
    runs = [
        fd.Jacobian(f, sparsity=pattern, method=method, accuracy=accuracy, workers=workers)(x).data
        for workers in (1, 2, 3, 7)
    ]
    runs.append(fd.Jacobian(f, sparsity=pattern, method=method, accuracy=accuracy)(x).data)
    assert all(np.array_equal(run, runs[0]) for run in runs[1:])
    exact = sp.diags_array(
        [x[1:], np.cos(x) + np.concatenate([[0], x[:-1]]), -2.0 * np.ones(n - 1)], offsets=(-1, 0, 1), format=form
    )
    assert np.abs(runs[0] - exact.data).max() < (1e-6 if method == "forward" else 1e-8)


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_lowest_failing_colour_is_reported(tridiagonal, workers):
    import ctypes

    n = 1000
    x = np.linspace(0.1, 3, n)
    x[[7, 8]] = 4.0  # colours 1 and 2 exceed the limit when moved up
    limit = ctypes.c_double(4.0)
    f = tridiagonal(n, ctypes.addressof(limit))
    plan = fd.Jacobian(f, sparsity=banded(n), method="forward", workers=workers)
    for _ in range(20):
        with pytest.raises(fd.CallbackError, match=r"status 5 .*x\[1\]") as caught:
            plan(x)
        assert caught.value.status == 5


# ---- detection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_detection_finds_the_pattern(mask):
    found = fd.detect_sparsity(smooth(mask), np.linspace(-1.5, 2.0, mask.shape[1]))
    assert found.dtype == bool
    assert_array_equal(found.toarray(), mask)


@pytest.mark.parametrize(
    ("pattern", "share"), [(banded(3000), 0.12), (grid(50), 0.25), (random_pattern(500, 2000, 0.002), 0.35)]
)
def test_detection_costs_far_less_than_n_for_sparse_functions(pattern, share):
    calls = 0
    rows, columns = pattern.nonzero()
    rate = np.random.default_rng(0).uniform(0.5, 2, rows.size)

    def f(x):
        nonlocal calls
        calls += 1
        return np.bincount(rows, np.sin(rate * x[columns]), minlength=pattern.shape[0])

    found = fd.detect_sparsity(f, np.linspace(0.1, 3, pattern.shape[1]))
    assert (found != (pattern != 0)).nnz == 0
    assert calls < share * 3 * pattern.shape[1]


def test_detection_of_a_dense_function_costs_little_more_than_its_columns():
    calls = 0
    weights = np.random.default_rng(0).normal(size=(40, 120))

    def f(x):
        nonlocal calls
        calls += 1
        return np.tanh(weights @ x)

    assert fd.detect_sparsity(f, np.zeros(120)).toarray().all()
    assert calls < 1.4 * 3 * 120


def test_detection_at_a_special_point_does_not_see_its_zeros():
    # At x = 0 the whole Jacobian of x[i] * x[i + 1] vanishes.
    found = fd.detect_sparsity(lambda x: x[:-1] * x[1:], np.zeros(50))
    assert_array_equal(found.toarray(), np.eye(49, 50) + np.eye(49, 50, 1) != 0)


def test_detection_survives_nan_nearby():
    x = np.full(30, 1e-6)

    def f(point):
        with np.errstate(invalid="ignore"):
            return np.sqrt(point) + np.roll(point, 1)

    want = np.eye(30) + np.roll(np.eye(30), 1, axis=0) != 0
    assert_array_equal(fd.detect_sparsity(f, x).toarray(), want)
    assert_array_equal(fd.detect_sparsity(f, x, bounds=(0, np.inf)).toarray(), want)


def test_detection_refuses_what_it_cannot_judge():
    random = np.random.default_rng(0)
    with pytest.raises(fd.ArgumentError, match="different values for the same x"):
        fd.detect_sparsity(lambda x: x + random.normal(size=4), np.ones(4))
    with pytest.raises(fd.NonFiniteError, match="choose another x"):
        fd.detect_sparsity(lambda x: x * np.nan, np.ones(4))
    with pytest.raises(fd.ArgumentError, match="points must be at least 1"):
        fd.detect_sparsity(lambda x: x, np.ones(4), points=0)


def test_detection_inside_jacobian_and_in_a_plan(tridiagonal):
    mask = MASKS["band"]
    f, x = smooth(mask), np.linspace(1, 2, 17)
    got = fd.jacobian(f, x, sparsity="detect")
    assert_array_equal(got.toarray(), fd.jacobian(f, x))
    assert got.nnz == mask.sum()
    plan = fd.Jacobian(f, sparsity="detect", method="forward")
    assert plan.evaluate(x)[1] > plan.evaluate(x)[1] == 6
    native = fd.jacobian(tridiagonal(50), np.linspace(1, 2, 50), sparsity="detect")
    assert_array_equal(native.toarray() != 0, banded(50).toarray() != 0)
