"""`out=` takes a result as it is, whatever way the plan goes: never rounded to another type, never repeated."""

import numpy as np
import pytest

import fdcore as fd

X = np.array([1.0, 2.0, 3.0])


def cubes(x):
    return np.sum(x**3)


def squares(x):
    return x**2


WAYS = {
    "rule": {},
    "adaptive": {"method": "adaptive"},
    "noise": {"noise": 1e-9},
    "policy with a value": {"step": fd.selectors.Ridders()},
}


def outs(shape):
    return {
        "integers": np.zeros(shape, dtype=int),
        "single": np.zeros(shape, dtype=np.float32),
        "swapped": np.zeros(shape, dtype=np.dtype(np.float64).newbyteorder()),
        "deeper": np.zeros((2, *shape)),
        "list": np.zeros(shape).tolist(),
    }


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", outs((1,)))
@pytest.mark.parametrize("way", WAYS)
def test_out_of_another_type_or_shape(way, kind, full):
    for function, f, shape in ((fd.gradient, cubes, (3,)), (fd.jacobian, squares, (3, 3))):
        good = np.zeros(shape)
        function(f, X, out=good, full_output=full, **WAYS[way])
        np.testing.assert_allclose(good, 3 * X**2 if f is cubes else np.diag(2 * X), rtol=1e-6, atol=1e-6)
        with pytest.raises(fd.ShapeError, match=r"out must be a float64 array of shape \(3"):
            function(f, X, out=outs(shape)[kind], full_output=full, **WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_out_that_cannot_be_written(way):
    out = np.zeros(3)
    out.flags.writeable = False
    with pytest.raises(fd.ArgumentError, match="out is read-only"):
        fd.gradient(cubes, X, out=out, **WAYS[way])


def test_out_of_hessians_and_of_complex_values():
    for out in (np.zeros((3, 3), dtype=int), np.zeros((2, 3, 3)), np.zeros((1, 3))):
        with pytest.raises(fd.ShapeError, match=r"float64 array of shape \(3, 3\)"):
            fd.Hessian(cubes).full(X, out=out)
    with pytest.raises(fd.ShapeError, match=r"complex128 array of shape \(3, 3\)"):
        fd.jacobian(lambda x: 1j * x, X, out=np.zeros((2, 3, 3), dtype=complex))


@pytest.mark.parametrize(
    "given",
    [
        {"step": np.empty(2)}, {"step": np.empty(3, dtype=np.float32)}, {"component": np.empty(3)},
        {"error": np.empty((3, 1))[:2]}, {"found": np.empty(6, dtype=np.uint8)[::2]},
    ],
)  # fmt: skip
def test_what_a_run_fills_has_room_for_it(given):
    plan = fd.Gradient(cubes, method="adaptive")
    with pytest.raises(fd.ShapeError, match=f"{next(iter(given))} must be a writeable contiguous array"):
        plan.evaluate(X, **given)
