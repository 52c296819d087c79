"""What breaks analyticity, and what only looks as if it did: no wrong derivative comes out silently."""

import numpy as np
import pytest

import fdcore as fd

X = np.array([0.7, -0.4])

BROKEN = {
    "abs": lambda z: abs(z[0]) * z[1] + 0j,
    "real": lambda z: z[0].real * z[1],
    "conj": lambda z: np.sum(z * np.conj(z)),
    "vdot": lambda z: np.vdot(z, z),
    "norm": lambda z: np.linalg.norm(z) + 0j,
    "float": lambda z: float(z[0]) ** 2 + z[1],
}
FINE = {
    "branch": (lambda z: z[0] ** 2 if z[0].real > 0 else -z[0], [1.4, 0.0]),
    "comparison": (lambda z: 2 * z[0] if z[0] > z[1] else z[1], [2.0, 0.0]),
    "maximum": (lambda z: np.maximum(z[0], z[1]) * 2, [2.0, 0.0]),
    "where": (lambda z: np.sum(np.where(z.real > 0, z**2, -z)), [1.4, -1.0]),
    "sort": (lambda z: np.sort(z)[0] * 1, [0.0, 1.0]),
    "complex64": (lambda z: np.sum(z.astype(np.complex64) ** 2), [1.4, -0.8]),
}


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_analyticity_is_found_out(name):
    f = BROKEN[name]
    with pytest.raises(fd.AnalyticityError):
        fd.gradient(f, X, method="complex")
    with pytest.raises(fd.AnalyticityError):
        fd.jacobian(lambda z: np.array([z[0], f(z)]), X, method="complex")


@pytest.mark.parametrize("name", FINE)
def test_what_only_branches_is_right(name):
    f, exact = FINE[name]
    assert fd.gradient(f, X, method="complex") == pytest.approx(exact, abs=1e-6)
    assert fd.jacobian(lambda z: np.array([z[0], f(z)]), X, method="complex")[1] == pytest.approx(exact, abs=1e-6)
