"""fdcore.compat.scipy's finite differences: SciPy's evaluation points, and what is better than SciPy's."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fdcore as fd
from fdcore.compat.scipy import approx_derivative, approx_fprime, check_derivative, group_columns

RNG = np.random.default_rng


class Recorded:
    """A smooth function that remembers where it was evaluated."""

    def __init__(self):
        self.points = []

    def __call__(self, x):
        # The imaginary part's sign is the only thing that differs by design.
        self.points.append(x.real + 1j * np.abs(x.imag))
        return np.array([np.sum(np.sin(x)) * x[0], np.sum(np.cos(0.1 * x)), x[0] * x[-1]])

    def places(self):
        return np.array(sorted(map(tuple, np.array(self.points).view(float).tolist())))


def case(rng):
    """A random call: x, and steps, bounds and method in any combination."""
    n = int(rng.integers(1, 5))
    x = rng.normal(size=n) * 10.0 ** rng.integers(-3, 3, n)
    x[rng.random(n) < 0.1] = 0.0
    options = {"method": str(rng.choice(["2-point", "3-point", "cs"]))}
    steps = 10.0 ** rng.uniform(-7, -3) * rng.choice([-1, 1], n)
    kind = rng.choice(["rel_step", "abs_step", "none"])
    if kind != "none":
        options[str(kind)] = steps
    elif options["method"] == "cs":
        options["rel_step"] = 1e-8  # fdcore's own default is better than SciPy's
    if rng.random() < 0.7:
        below, above = 10.0 ** rng.uniform(-7, 0, (2, n))
        below[rng.random(n) < 0.2] = 0.0
        above[(rng.random(n) < 0.2) & (below > 0)] = 0.0
        options["bounds"] = (np.where(rng.random(n) < 0.2, -np.inf, x - below), x + above)
    return x, options


def test_evaluates_at_scipys_points():
    theirs = pytest.importorskip("scipy.optimize._numdiff").approx_derivative
    rng = RNG(0)
    for _ in range(400):
        x, options = case(rng)
        own, reference = Recorded(), Recorded()
        f0 = Recorded()(x.astype(complex)).real
        value = approx_derivative(own, x, f0=f0, **options)
        expected = theirs(reference, x, f0=f0, **options)
        if options["method"] == "cs":  # the look at whether f is analytic is at real points
            own.points = [point for point in own.points if np.any(point.imag)]
        assert own.places().shape == reference.places().shape
        assert_allclose(own.places(), reference.places(), rtol=1e-15, atol=1e-16)
        assert_allclose(value, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("method", ["2-point", "3-point", "cs"])
def test_sparse_takes_one_evaluation_a_group_whatever_the_signs(method):
    sparse = pytest.importorskip("scipy.sparse")
    n = 30
    x = RNG(1).normal(size=n)
    calls = []

    def f(x):
        calls.append(1)
        return np.append(x[1:] ** 2, 0.0) + x**3 - np.append(0.0, x[:-1])

    truth = np.diag(3 * x**2) + np.diag(2 * x[1:], 1) - np.diag(np.ones(n - 1), -1)
    structure = truth != 0
    for given in (structure, sparse.csc_array(structure), sparse.csr_matrix(structure)):
        calls.clear()
        jac, info = approx_derivative(f, x, method=method, sparsity=given, f0=f(x), full_output=True)
        assert len(calls) - 1 == info["nfev"] == {"2-point": 3, "3-point": 6, "cs": 3 + 4}[method]
        assert isinstance(jac, sparse.csr_matrix if isinstance(given, sparse.csr_matrix) else sparse.csr_array)
        assert_allclose(jac.toarray(), truth, atol=1e-6)
    rows, columns = structure.nonzero()
    # A stored zero is a zero, to SciPy.
    stored = sparse.csr_array((np.append(np.ones(rows.size), 0), (np.append(rows, 0), np.append(columns, n - 1))))
    assert approx_derivative(f, x, method=method, sparsity=stored).nnz == structure.sum()
    assert stored.nnz == structure.sum() + 1
    with pytest.raises(ValueError, match="colours do not fit"):
        approx_derivative(f, x, sparsity=(structure, np.zeros(n, dtype=int)))


def test_best_groups_are_fewer_than_scipys():
    theirs = pytest.importorskip("scipy.optimize._numdiff").group_columns
    pattern = RNG(2).random((200, 200)) < 0.02
    assert group_columns(pattern).max() < theirs(pattern).max()
    # Any order gives what taking the columns in that order gives.
    order = RNG(3).permutation(200)
    assert_array_equal(group_columns(pattern, order), theirs(pattern, order))
    with pytest.raises(ValueError, match="order must hold"):
        group_columns(pattern, order[1:])


def test_nan_stays_where_it_is():
    def f(x):
        return np.array([x[0] ** 2, np.nan, x[1] if x[1] == 2.0 else np.nan])

    for method in ("2-point", "3-point"):
        jac = approx_derivative(f, [1.0, 2.0], method=method)
        assert_allclose(jac, [[2.0, 0.0], [np.nan, np.nan], [0.0, np.nan]], rtol=1e-7)
    assert_allclose(approx_derivative(np.square, [np.nan, 1.0]), [[np.nan, np.nan], [np.nan, 2.0]])


def test_steps_retreat_from_where_f_has_no_value():
    def f(x):
        return np.exp(x[0]) if x[0] <= 1.0 else np.nan

    assert approx_derivative(f, 1.0) == pytest.approx(np.e, rel=1e-8)
    # But the side that the caller asks for is the side that is taken.
    assert np.isnan(approx_derivative(f, 1.0, method="2-point"))
    assert approx_derivative(f, 1.0, method="2-point", rel_step=-1e-8) == pytest.approx(np.e, rel=1e-6)


def test_adaptive_has_error_bars():
    x = np.array([1e-3, 1.0, 1e6])
    with np.errstate(invalid="ignore", divide="ignore"):
        jac, info = approx_derivative(np.log, x, method="adaptive", full_output=True)
    assert_allclose(np.diag(jac), 1 / x, rtol=1e-9)
    assert np.all(np.abs(jac - np.diag(1 / x)) <= info["error"])
    assert np.all(info["error"].diagonal() < 1e-8 / x)
    kink, told = approx_derivative(lambda x: np.abs(x[0]), 0.0, method="adaptive", full_output=True)
    assert told["status"][0] & fd.Finding.KINK
    assert abs(kink[0]) <= told["error"][0]
    with pytest.raises(ValueError, match="adaptive"):
        approx_derivative(np.log, x, method="adaptive", rel_step=1e-3)


def test_a_function_that_is_not_analytic_is_found_out():
    with pytest.raises(ValueError, match="not analytic"):
        approx_derivative(lambda x: np.array([(x * np.conj(x)).sum() + 0j]), [1.0, 2.0], method="cs", f0=[5.0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("method", ["2-point", "3-point"])
def test_f_gets_the_type_of_x(dtype, method):
    seen = set()

    def f(x):
        seen.add(x.dtype.name)
        return np.sin(x)

    x = np.array([0.5, -1.25, 3.0], dtype=dtype)
    jac = approx_derivative(f, x, method=method)
    assert seen == {dtype}
    eps = float(np.finfo(dtype).eps)
    assert_allclose(jac, np.diag(np.cos(x.astype(float))), atol=4 * eps ** (1 / 2 if method == "2-point" else 2 / 3))


@pytest.mark.parametrize("arguments", [(), (1.0,)])
def test_the_step_allows_for_the_precision_of_the_values(arguments):
    x = np.array([0.5, 1.0])
    jac = approx_derivative(lambda x, c=1.0: np.float32(np.sum(c * np.sin(x))), x, args=arguments)
    assert_allclose(jac, np.cos(x), atol=1e-4)
    assert jac.dtype == np.float64
    jac = approx_derivative(lambda x, c=1.0: np.float32(np.sum(c * np.sin(x))), x.astype("float16"), args=arguments)
    assert jac.dtype == np.float32


def test_native_callbacks_run_natively():
    numba = pytest.importorskip("numba")
    from numba import types

    signature = types.double(types.intc, types.CPointer(types.double), types.voidptr)

    @numba.cfunc(signature)
    def f(n, x, data):
        return x[0] * x[0] * x[1]

    value, info = approx_derivative(f, [2.0, -3.0], method="2-point", full_output=True)
    assert_allclose(value, [-12.0, 4.0], rtol=1e-6)
    assert info["nfev"] == 3


def test_workers():
    def f(x):
        return np.array([x[0] ** 2, x[0] * x[1]])

    x = [1.5, -2.0]
    serial = approx_derivative(f, x, method="2-point")
    with ThreadPoolExecutor(2) as pool:
        assert_array_equal(approx_derivative(f, x, method="2-point", workers=pool.map), serial)

    def all_at_once(f, points):  # the example in SciPy's documentation
        return np.stack(list(points)).prod(axis=1)

    assert_allclose(approx_derivative(np.prod, [2.0, 3.0, 4.0], workers=all_at_once), [12.0, 8.0, 6.0])


def test_fprime_as_the_jac_of_a_solver():
    optimize = pytest.importorskip("scipy.optimize")

    def residual(x, target):
        return np.sum((x - target) ** 2)

    target = np.array([1.0, -2.0])
    found = optimize.minimize(
        residual, np.zeros(2), args=(target,), jac=lambda x, t: approx_fprime(x, residual, 1e-8, t), method="BFGS"
    )
    assert_allclose(found.x, target, atol=1e-6)
    for method in ("2-point", "3-point", "cs"):
        fit = optimize.least_squares(
            lambda x: x**2 - np.array([4.0, 9.0]), [1.0, 1.0],
            jac=lambda x, method=method: approx_derivative(lambda x: x**2 - np.array([4.0, 9.0]), x, method=method),
        )  # fmt: skip
        assert_allclose(fit.x, [2.0, 3.0], rtol=1e-6)


def test_check_derivative_finds_an_entry_that_is_missing():
    sparse = pytest.importorskip("scipy.sparse")
    x = np.array([1.0, 2.0])

    def f(x):
        return np.array([x[0] * x[1], x[1] ** 2])

    right = np.array([[2.0, 1.0], [0.0, 4.0]])
    for form in (np.asarray, sparse.csr_array, sparse.coo_matrix):
        assert check_derivative(f, lambda x, form=form: form(right), x) < 1e-9
        wrong = right + np.array([[0.0, 0.5], [0.0, 0.0]])
        assert check_derivative(f, lambda x, form=form, wrong=wrong: form(wrong), x) == pytest.approx(0.5)


def test_a_linear_operator_scales_its_step():
    pytest.importorskip("scipy.sparse")
    x = np.array([1e6, 1e6])
    operator, info = approx_derivative(
        lambda x: np.array([x[0] ** 2, x[0] * x[1]]), x, as_linear_operator=True, full_output=True
    )
    assert operator.shape == (2, 2)
    assert info == {"nfev": 1}
    assert_allclose(operator @ [1.0, 2.0], [2e6, 3e6], rtol=1e-9)
    assert_allclose(operator @ [0.0, 0.0], 0.0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"method": "4-point"}, "method must be one of"),
        ({"x0": [[1.0, 2.0]]}, "at most one dimension"),
        ({"bounds": (2.0, 3.0)}, "outside its bounds"),
        ({"bounds": ([0.0], 3.0)}, "inconsistent shapes"),
        ({"f0": [[1.0]]}, "f0 has shape"),
        ({"as_linear_operator": True, "bounds": (0.0, 3.0)}, "as_linear_operator"),
    ],
)
def test_misuse(options, error):
    with pytest.raises(ValueError, match=error):
        approx_derivative(**{"fun": np.sum, "x0": [1.0, 2.0], **options})


def test_runs_without_scipy():
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from fdcore.compat.scipy import approx_derivative, approx_fprime, derivative, group_columns, hessian\n"
        "import numpy as np\n"
        "assert approx_fprime([1.0], lambda x: x[0]**2).shape == (1,)\n"
        "assert abs(derivative(np.exp, 0.0).df - 1) < 1e-12\n"
        "assert approx_derivative(lambda x: x**2, [1.0, 2.0], method='cs').shape == (2, 2)\n"
        "assert hessian(lambda x: x[0] * x[1], [1.0, 2.0]).ddf.shape == (2, 2)\n"
        "assert group_columns(np.eye(3)).max() == 0\n"
        "try: approx_derivative(lambda x: x**2, [1.0], as_linear_operator=True)\n"
        "except ImportError as error: assert 'fdcore[sparse]' in str(error)\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
