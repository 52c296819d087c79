"""Functions of real x with complex values."""

import math

import numpy as np
import pytest

import fdcore as fd


class Counted:
    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, *args):
        self.calls += 1
        return self.f(*args)


X = np.array([0.3, -1.2])
METHODS = [{"method": name} for name in ("central", "forward", "backward", "five-point", "adaptive")] + [
    {"accuracy": 6}
]


def wave(x):
    return np.exp(1j * x[0]) * (x[1] + 0.5j)


def slope(x):
    return np.array([1j * wave(x), np.exp(1j * x[0])])


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_gradients_and_derivatives(options):
    f = Counted(wave)
    result = fd.gradient(f, X, full_output=True, **options)
    assert result.nfev == f.calls
    assert result.value.dtype == np.complex128
    assert result.error.dtype == np.float64
    assert np.all(np.abs(result.value - slope(X)) <= result.error)
    assert result.error.max() < 1e-6
    assert fd.gradient(wave, X, **options) == pytest.approx(slope(X), abs=1e-6)
    one = fd.derivative(lambda t: np.exp(1j * t), 0.7, full_output=True, **options)
    assert abs(one.value - 1j * np.exp(0.7j)) <= one.error < 1e-6
    assert isinstance(one.value, complex)


def test_jacobians_vectorised_callables_trees_and_arguments():
    f = lambda x: np.array([wave(x), x[0] * 1.0, x[1] ** 2 * 1j])  # noqa: E731
    exact = np.array([slope(X), [1, 0], [0, 2j * X[1]]])
    assert fd.jacobian(f, X) == pytest.approx(exact, abs=1e-9)
    block = fd.jacobian(lambda z: np.array([f(x) for x in z]), X, vectorized=True)
    assert block == pytest.approx(exact, abs=1e-9)
    assert fd.jacobian(f, X, workers=map) == pytest.approx(exact, abs=1e-9)
    tree = fd.gradient(lambda p: wave(p["a"]), {"a": X})
    assert tree["a"] == pytest.approx(slope(X), abs=1e-9)
    scaled = fd.gradient(lambda x, c: c * wave(x), X, args=(3.0,))
    assert scaled == pytest.approx(3.0 * slope(X), abs=1e-9)
    bounded = fd.gradient(wave, X, bounds=(X, np.inf))
    assert bounded == pytest.approx(slope(X), abs=1e-9)


def test_plans_learn_it_once():
    f = Counted(wave)
    plan = fd.Gradient(f)
    plan(X)
    f.calls = 0
    assert plan(X + 0.1) == pytest.approx(slope(X + 0.1), abs=1e-9)
    assert f.calls <= 5
    out = np.empty(2, dtype=complex)
    assert plan(X, out=out) is out
    assert fd.Jacobian(wave)(X) == pytest.approx(slope(X)[None], abs=1e-9)


def test_higher_derivatives_and_several_points():
    got = fd.derivative(lambda t: np.exp(2j * t), [0.1, 0.2], order=3, accuracy=4)
    assert got == pytest.approx(-8j * np.exp(2j * np.array([0.1, 0.2])), abs=1e-6)


def test_complex_noise_is_the_noise_of_each_part():
    rng = np.random.default_rng(0)
    result = fd.gradient(lambda x: wave(x) + 1e-8 * rng.normal(), X, noise=1e-8, full_output=True)
    assert np.all(np.abs(result.value - slope(X)) <= result.error)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fd.derivative(np.exp, 1.0 + 1.0j), "real parameters.*real and imaginary"),
        (lambda: fd.jacobian(lambda x: x * 1j, X, sparsity=np.eye(2)), "real and imaginary"),
        (lambda: fd.hessian(wave, X), "complex"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(fd.ArgumentTypeError, match=message):
        call()


def test_the_complex_step_needs_real_values():
    with pytest.raises(fd.AnalyticityError, match=r"complex values at real x.*central"):
        fd.gradient(wave, X, method="complex")
    with pytest.raises(fd.AnalyticityError, match="complex values at real x"):
        fd.derivative(lambda t: np.exp(1j * t), 0.3, method="complex")


def test_a_vector_is_no_gradient():
    with pytest.raises(fd.ShapeError, match="jacobian"):
        fd.gradient(lambda x: x * 1j, X)
    assert math.isfinite(abs(fd.gradient(wave, X)[0]))


@pytest.mark.parametrize("options", METHODS, ids=str)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_python_powers_of_negative_numbers_are_outside_the_domain(options, sign):
    """A Python float to a broken power is complex where it is negative; f is a real function for all that."""
    x = 1e-9  # nearer to the edge than the rule's step
    f = lambda t: float(sign * t) ** 1.5  # noqa: E731
    exact = sign * 1.5 * x**0.5
    result = fd.derivative(f, sign * x, full_output=True, **options)
    assert isinstance(result.value, float)
    assert abs(result.value - exact) <= result.error
    assert isinstance(fd.derivative(f, sign * x, **options), float)
    counted = Counted(lambda z: f(z[0]) + z[1])
    rows = fd.gradient(counted, [sign * x, 1.0], full_output=True, **options)
    assert rows.nfev == counted.calls
    assert rows.value.dtype == np.float64
    assert abs(rows.value[0] - exact) <= rows.error[0]
    plain = fd.gradient(lambda z: f(z[0]) + z[1], [sign * x, 1.0], **options)
    assert plain.dtype == np.float64
    assert np.isfinite(plain).all()
    out = np.empty(2)
    plan = fd.Gradient(lambda z: f(z[0]) + z[1], **options)
    assert plan(np.array([sign * x, 1.0]), out=out) is out
    assert np.array_equal(out, plain)
    jac = fd.jacobian(lambda z: [f(z[0]), z[1]], [sign * x, 1.0], **options)
    assert jac.dtype == np.float64
    assert jac[0] == pytest.approx(fd.gradient(lambda z: f(z[0]), [sign * x, 1.0], **options), rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"method": "adaptive"}, {"step": fd.selectors.CurtisReid()}], ids=str)
def test_plans_count_each_call(options):
    calls = []

    def f(x):
        calls.append(1)
        return np.exp(1j * x)

    plan = fd.Jacobian(f, **options)
    for _ in range(3):  # the first finds out that values are complex
        calls.clear()
        assert plan.full(np.array([0.4, 0.5])).nfev == len(calls)
