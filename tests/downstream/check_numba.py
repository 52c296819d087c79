"""numba both ways: fdcore differentiates a compiled callback, and compiled code calls fdcore's Jacobian."""

import ctypes
import sys
from pathlib import Path

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import get_cython_function_address

import fdcore as fd

X = np.array([0.3, 0.5, -0.2, 0.1])

# What fdcore.h calls fdc_func.
FUNC = np.dtype([("version", "u4"), ("flags", "u4"), ("eval", "u8"), ("update", "u8"), ("ctx", "u8")], align=True)


@cfunc(types.double(types.intc, types.CPointer(types.double), types.voidptr))
def product(n, address, user_data):  # type: ignore[no-untyped-def]
    x = carray(address, n)
    scale = carray(user_data, 1, np.float64)[0]
    result = scale
    for i in range(n):
        result *= np.cos(x[i])
    return result


SIZE, DOUBLES = types.intp, types.CPointer(types.double)


@cfunc(types.intc(SIZE, SIZE, DOUBLES, SIZE, DOUBLES, types.voidptr))
def squares(count, n, x_address, m, y_address, context):  # type: ignore[no-untyped-def]
    x, y = carray(x_address, n), carray(y_address, m)
    for i in range(m):
        y[i] = x[i % n] ** 2 + x[(i + 1) % n]
    return 0


def fdcore_jacobian():  # type: ignore[no-untyped-def]
    """The C function, for compiled code to call: func, n, x, m, jac, row and column stride, options, info."""
    size, pointer = ctypes.c_ssize_t, ctypes.c_void_p
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, pointer, size, pointer, size, pointer, size, size, pointer, pointer)
    return prototype(get_cython_function_address("fdcore.fdcore", "jacobian"))


def main() -> None:
    assert Path(fd.__file__).is_relative_to(sys.prefix), fd.__file__
    scale = np.array([3.0])
    f = fd.native(product, user_data=scale)
    exact = -3.0 * np.prod(np.cos(X)) * np.tan(X)
    result = fd.gradient(f, X, full_output=True)
    assert np.all(np.abs(result.value - exact) <= result.error), result
    assert fd.jacobian(f, X, workers=2).tobytes() == fd.jacobian(f, X, workers=1).tobytes()

    jacobian = fdcore_jacobian()

    @njit(nogil=True)
    def compiled(func, x, jac):  # type: ignore[no-untyped-def]
        m, n = jac.shape
        return jacobian(func.ctypes.data, n, x.ctypes.data, m, jac.ctypes.data, n, 1, 0, 0)

    func = np.zeros(1, dtype=FUNC)
    func["version"] = fd.build_config()["abi"]
    func["eval"] = squares.address
    jac = np.empty((6, X.size))
    assert compiled(func.view(np.uint8), X, jac) == 0
    np.testing.assert_allclose(jac, fd.jacobian(fd.native(squares, m=6), X), atol=1e-12)
    expected = np.zeros((6, X.size))
    for i in range(6):
        expected[i, i % 4] += 2 * X[i % 4]
        expected[i, (i + 1) % 4] += 1.0
    np.testing.assert_allclose(jac, expected, atol=1e-9)
    print("numba client: callback differentiated, fdcore called from compiled code")


if __name__ == "__main__":
    main()
