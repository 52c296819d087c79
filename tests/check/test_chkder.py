"""The fourteen Jacobians, eleven of them wrong, on which MINPACK tries its CHKDER."""

from __future__ import annotations

import numpy as np
import pytest

import fdcore as fd


def rosenbrock(x):
    return np.array([1 - x[0], 10 * (x[1] - x[0] ** 2)])


def powell_singular(x):
    return np.array(
        [
            x[0] + 10 * x[1],
            np.sqrt(5.0) * (x[2] - x[3]),
            (x[1] - 2 * x[2]) ** 2,
            np.sqrt(10.0) * (x[0] - x[3]) ** 2,
        ]
    )


def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def wood(x):
    a, b = x[1] - x[0] ** 2, x[3] - x[2] ** 2
    return np.array(
        [
            -200 * x[0] * a - (1 - x[0]),
            200 * a + 20.2 * (x[1] - 1) + 19.8 * (x[3] - 1),
            -180 * x[2] * b - (1 - x[2]),
            180 * b + 20.2 * (x[3] - 1) + 19.8 * (x[1] - 1),
        ]
    )


def helical_valley(x):
    turn = np.arctan(x[1] / x[0]) / (2 * np.pi) + (0.5 if x[0].real < 0 else 0.0)
    return np.array([10 * (x[2] - 10 * turn), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2]])


def watson(x):
    n = x.size
    t = np.arange(1, 30) / 29.0
    k = np.arange(n)
    powers = t[:, None] ** k
    slopes = np.where(k > 0, k * t[:, None] ** (k - 1.0), 0.0)
    s1, s2 = slopes @ x, powers @ x
    f = ((slopes - 2 * s2[:, None] * powers) * (s1 - s2**2 - 1)[:, None]).sum(0)
    last = x[1] - x[0] ** 2 - 1
    f[0] += x[0] * (1 - 2 * last)
    f[1] += last
    return f


def watson_wrong(x):
    """The Jacobian with sign reversals in one of its factors."""
    n = x.size
    t = np.arange(1, 30) / 29.0
    k = np.arange(n)
    powers = t[:, None] ** k
    slopes = np.where(k > 0, k * t[:, None] ** (k - 1.0), 0.0)
    s1, s2 = slopes @ x, powers @ x
    d = slopes - 2 * s2[:, None] * powers
    jac = np.einsum("ti,tj->ij", d, d) - 2 * np.einsum("t,ti,tj->ij", s1 + s2**2 + 1, powers, powers)
    jac[0, 0] += 1 - 2 * (x[1] - 3 * x[0] ** 2 - 1)
    jac[0, 1] -= 2 * x[0]
    jac[1, 0] -= 2 * x[0]
    jac[1, 1] += 1
    return jac


def chebyquad(x):
    n = x.size
    previous, current = np.ones_like(x), 2 * x - 1
    f = np.empty_like(x)
    for i in range(n):
        f[i] = current.sum() / n + (1 / ((i + 1) ** 2 - 1) if i % 2 else 0.0)
        previous, current = current, 2 * (2 * x - 1) * current - previous
    return f


def brown_almost_linear(x):
    f = x + x.sum() - (x.size + 1)
    f[-1] = np.prod(x) - 1
    return f


def discrete_boundary_value(x):
    h = 1 / (x.size + 1)
    t = h * np.arange(1, x.size + 1)
    return 2 * x - np.append(0, x[:-1]) - np.append(x[1:], 0) + h**2 / 2 * (x + t + 1) ** 3


def discrete_integral(x):
    h = 1 / (x.size + 1)
    t = h * np.arange(1, x.size + 1)
    cube = (x + t + 1) ** 3
    kernel = np.where(t[None, :] <= t[:, None], (1 - t[:, None]) * t, t[:, None] * (1 - t))
    return x + h / 2 * kernel @ cube


def trigonometric(x):
    n = x.size
    return n - np.cos(x).sum() + np.arange(1, n + 1) * (1 - np.cos(x)) - np.sin(x)


def variably_dimensioned(x):
    k = np.arange(1, x.size + 1)
    s = k @ (x - 1)
    return x - 1 + k * s * (1 + 2 * s**2)


def broyden_tridiagonal(x):
    return (3 - 2 * x) * x - np.append(0, x[:-1]) - 2 * np.append(x[1:], 0) + 1


def broyden_banded(x):
    f = x * (2 + 5 * x**2) + 1
    for i in range(x.size):
        for j in range(max(0, i - 5), min(x.size, i + 2)):
            if j != i:
                f[i] -= x[j] * (1 + x[j])
    return f


def exact(f):
    def jac(x):
        columns = [f(x + 1e-30j * e).imag / 1e-30 for e in np.eye(x.size)]
        return np.array(columns).T

    return jac


def entries(*places, factor=-1.0):
    def change(jac):
        for i, j in places:
            jac[i - 1, j - 1] *= factor
        return jac

    return change


def on(mask, factor):
    return lambda jac: np.where(mask(*jac.shape), factor * jac, jac)


def diagonal(n, m):
    return np.eye(n, dtype=bool)


def off_diagonal(n, m):
    return ~np.eye(n, dtype=bool)


def upper(n, m):
    return np.triu(np.ones((n, m), dtype=bool), 1)


PROBLEMS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0], entries((1, 1))),
    "powell singular": (powell_singular, [3.0, -1.0, 0.5, 1.0], entries((3, 3))),
    "powell badly scaled": (powell_badly_scaled, [0.1, 1.0], lambda jac: -jac),
    "wood": (wood, [-3.0, -1.0, -3.0, -1.0], None),
    "helical valley": (helical_valley, [-1.0, 0.3, 0.2], entries((2, 1), (2, 2), factor=10.0)),
    "watson": (watson, [0.1, 0.2, -0.3, 0.4, 0.5, -0.2], "given"),
    "chebyquad": (chebyquad, np.arange(1, 8) / 8.0, lambda jac: 2 * jac),
    "brown almost-linear": (brown_almost_linear, np.full(10, 0.5), None),
    "discrete boundary value": (discrete_boundary_value, np.linspace(-0.2, 0.1, 10), on(diagonal, 2.0)),
    "discrete integral": (discrete_integral, np.linspace(-0.2, 0.1, 10), on(diagonal, -1.0)),
    "trigonometric": (trigonometric, np.full(10, 0.1) + np.arange(10) / 50, on(off_diagonal, -1.0)),
    "variably dimensioned": (variably_dimensioned, 1 - np.arange(1, 11) / 10.0, on(upper, 0.5)),
    "broyden tridiagonal": (broyden_tridiagonal, np.full(10, -1.0), None),
    "broyden banded": (broyden_banded, np.full(10, -1.0), on(diagonal, -1.0)),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("mode", ["elementwise", "projected"])
def test_verdict(name, mode):
    f, x, change = PROBLEMS[name]
    x = np.asarray(x, dtype=float)
    good = exact(f)
    assert fd.check_jacobian(f, good, x, mode=mode).verdict == "agrees"
    if change is not None:
        bad = watson_wrong if change == "given" else lambda x: change(good(x))
        assert fd.check_jacobian(f, bad, x, mode=mode).verdict == "wrong"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("rosenbrock", {"single-entry"}),
        ("powell singular", {"single-entry"}),
        ("powell badly scaled", {"sign"}),
        ("helical valley", {"single-row"}),
        ("chebyquad", {"factor"}),
        ("discrete boundary value", {"diagonal"}),
        ("discrete integral", {"diagonal"}),
        ("trigonometric", {"off-diagonal"}),
        ("variably dimensioned", {"triangle"}),
        ("broyden banded", {"diagonal"}),
    ],
)
def test_named(name, labels):
    f, x, change = PROBLEMS[name]
    check = fd.check_jacobian(f, lambda x: change(exact(f)(x)), np.asarray(x, dtype=float))
    assert {d.label for d in check.diagnoses} == labels
