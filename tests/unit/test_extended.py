"""Long double: derivatives in its precision, where f keeps it."""

import numpy as np
import pytest

import fdcore as fd

mpmath = pytest.importorskip("mpmath", reason="exact derivatives need mpmath")

pytestmark = pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double is no wider than double")

X = np.array([0.7, -1.3], dtype=np.longdouble) + np.longdouble(1) / 3


def exact(x):
    """d/dx0 and d/dx1 of exp(x0) sin(x1), to long double."""
    with mpmath.workdps(40):
        a, b = (mpmath.mpf(np.format_float_positional(v, unique=False, precision=40)) for v in x)
        values = mpmath.exp(a) * mpmath.sin(b), mpmath.exp(a) * mpmath.cos(b)
        return np.array([np.longdouble(mpmath.nstr(v, 30)) for v in values])


def f(x):
    return np.exp(x[0]) * np.sin(x[1])


@pytest.mark.parametrize(
    ("options", "limit"),
    [({}, 3e-13), ({"accuracy": 4}, 3e-15), ({"accuracy": 8}, 3e-17), ({"method": "forward"}, 3e-9),
     ({"method": "complex"}, 1e-18)],
    ids=str,
)  # fmt: skip
def test_gradients_are_better_than_double(options, limit):
    result = fd.gradient(f, X, full_output=True, **options)
    assert result.value.dtype == np.longdouble
    error = np.abs(result.value - exact(X))
    assert error.max() < limit
    assert np.all(error <= result.error)
    assert result.error.max() < 1000 * limit
    rows = fd.jacobian(lambda x: np.array([f(x), x[0] * x[1]]), X, **options)
    assert rows.dtype == np.longdouble
    assert np.abs(rows[0] - exact(X)).max() < limit
    double = np.abs(fd.gradient(f, X.astype(float), **options) - exact(X))
    assert options.get("method") == "complex" or error.max() < double.max()


def test_derivatives_of_numbers_and_arrays():
    x = np.longdouble(1) / 3
    got = fd.derivative(np.exp, x, accuracy=6)
    assert isinstance(got, np.longdouble)
    assert abs(got - np.exp(x)) < 1e-16
    second = fd.derivative(np.sin, np.array([[x, 2 * x]]), order=2, accuracy=4)
    assert second.shape == (1, 2)
    assert second[0] == pytest.approx(-np.sin(np.array([x, 2 * x])).astype(float), abs=1e-12)
    calls = []
    result = fd.derivative(lambda t: calls.append(t) or t * t, x, full_output=True)
    assert result.nfev == len(calls)
    assert all(isinstance(t, np.longdouble) for t in calls)


def test_a_function_that_falls_back_to_double_gets_its_steps():
    result = fd.gradient(lambda x: np.float64(np.exp(float(x[0]))), X[:1], full_output=True)
    assert result.step[0] > 3e-6
    assert abs(result.value[0] - np.exp(X[0])) <= result.error[0] < 1e-8


def test_domains_bounds_and_complex_values():
    seen = []
    edge = fd.gradient(
        lambda x: seen.append(x[0]) or x[0] ** 3, np.array([1], np.longdouble), bounds=(1, 2), full_output=True
    )
    assert min(seen) >= 1
    assert edge.status[0] == fd.Status.FORWARD
    assert abs(edge.value[0] - 3) <= edge.error[0]
    with np.errstate(invalid="ignore"):
        half = fd.gradient(lambda x: x[0] ** 1.5 + x[0], np.array([0], np.longdouble), full_output=True)
    assert half.status[0] == fd.Status.FORWARD
    wave = fd.gradient(lambda x: np.exp(1j * x[0]), X[:1], accuracy=6)
    assert wave.dtype == np.clongdouble
    assert abs(wave[0] - 1j * np.exp(1j * X[0])) < 1e-16


def test_what_double_alone_has_is_refused():
    for options in ({"method": "adaptive"}, {"noise": 1e-8}, {"vectorized": True}, {"workers": map}):
        with pytest.raises(fd.ArgumentError, match=r"astype\(float\)"):
            fd.gradient(f, X, **options)
    with pytest.raises(fd.ShapeError, match="jacobian"):
        fd.gradient(lambda x: x, X)


def test_single_precision_arrays_are_differentiated_at_their_double_values():
    x = np.array([0.1, 0.2], dtype=np.float32)
    got = fd.gradient(lambda z: float(np.exp(z).sum()), x)
    assert got.dtype == np.float64
    assert got == pytest.approx(np.exp(x.astype(float)), abs=1e-9)
    assert fd.gradient(lambda z: np.exp(z.astype(np.float32)).sum(), x) == pytest.approx(np.exp(x), abs=1e-3)
