"""A Cython extension that was built with fdcore installed, and links to nothing of it."""

import ctypes
import sys
from pathlib import Path

import decay_fit
import numpy as np

import fdcore as fd

TIME = np.linspace(0.0, 4.0, 41)
TRUE = np.array([2.0, 0.7, 0.3])


def main() -> None:
    assert Path(fd.__file__).is_relative_to(sys.prefix), fd.__file__
    assert Path(decay_fit.__file__).is_relative_to(sys.prefix), decay_fit.__file__
    value = TRUE[0] * np.exp(-TRUE[1] * TIME) + TRUE[2]

    # fdcore called from the client's own nogil code.
    p, jac = np.array([1.0, 1.0, 0.0]), np.empty((TIME.size, 3))
    iterations = decay_fit.fit(p.ctypes.data, TIME.ctypes.data, value.ctypes.data, jac.ctypes.data, TIME.size)
    np.testing.assert_allclose(p, TRUE, rtol=1e-9)
    decayed = np.exp(-TRUE[1] * TIME)
    exact = np.stack([decayed, -TRUE[0] * TIME * decayed, np.ones_like(TIME)], axis=1)
    np.testing.assert_allclose(jac, exact, atol=1e-9)
    p[1] = np.nan
    message = ""
    try:
        decay_fit.fit(p.ctypes.data, TIME.ctypes.data, value.ctypes.data, jac.ctypes.data, TIME.size)
    except RuntimeError as error:
        message = str(error)
    assert "argument" in message, message

    # The client's function handed to fdcore as a capsule, with its user data.
    class Observations(ctypes.Structure):
        _fields_ = (("time", ctypes.c_void_p), ("value", ctypes.c_void_p))

    observed = Observations(TIME.ctypes.data, value.ctypes.data)
    f = fd.native(decay_fit.__pyx_capi__["decay"], m=TIME.size, user_data=observed)
    np.testing.assert_allclose(fd.jacobian(f, TRUE), exact, atol=1e-9)
    print(f"Cython client: fitted in {iterations} iterations, fdcore {fd.__version__} from {Path(fd.__file__).parent}")


if __name__ == "__main__":
    main()
