# Newton's method on the Broyden tridiagonal system, all of it without the GIL: fdcore gives the Jacobian at every
# iteration, and a banded elimination solves with it. Compile with include_dirs=[fdcore.get_include()]; nothing to link.
cimport fdcore
from libc.math cimport fabs
from libc.stdlib cimport free, malloc

import numpy as np


cdef int broyden(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) noexcept nogil:
    cdef ptrdiff_t i
    cdef double below, above
    for i in range(m):
        below = x[i - 1] if i > 0 else 0.0
        above = x[i + 1] if i < n - 1 else 0.0
        y[i] = (3.0 - 2.0 * x[i]) * x[i] - below - 2.0 * above + 1.0
    return 0


cdef void solve_tridiagonal(ptrdiff_t n, double *jac, double *b) noexcept nogil:
    """Solve in place; jac is (n, n) column-major and loses its contents, b becomes the solution."""
    cdef ptrdiff_t i
    cdef double factor
    for i in range(1, n):
        factor = jac[(i - 1) * n + i] / jac[(i - 1) * n + i - 1]
        jac[i * n + i] -= factor * jac[i * n + i - 1]
        b[i] -= factor * b[i - 1]
    b[n - 1] /= jac[(n - 1) * n + n - 1]
    for i in range(n - 2, -1, -1):
        b[i] = (b[i] - jac[(i + 1) * n + i] * b[i + 1]) / jac[i * n + i]


def newton(const double[::1] start, double tolerance=1e-12, int most=50):
    """Solve from `start`: the root, the iterations, and the evaluations that the Jacobians took."""
    cdef ptrdiff_t n = start.shape[0], i, evaluations = 0
    root = np.array(start)
    cdef double[::1] x = root
    cdef fdcore.fdc_func f
    cdef fdcore.fdc_options options
    cdef fdcore.fdc_info info
    cdef fdcore.fdc_status status = fdcore.FDC_OK
    cdef int iteration = 0
    cdef double residual = 0.0
    cdef double *jac = <double *> malloc(n * n * sizeof(double))
    cdef double *y = <double *> malloc(n * sizeof(double))
    if jac == NULL or y == NULL:
        free(jac)
        free(y)
        raise MemoryError
    f.version, f.flags = fdcore.FDC_ABI_VERSION, fdcore.FDC_REENTRANT
    f.eval, f.update, f.ctx = broyden, NULL, NULL
    info.step, info.component = NULL, NULL
    with nogil:
        fdcore.options_init(&options)
        options.method, options.accuracy = fdcore.FDC_FORWARD, 1
        for iteration in range(most):
            broyden(1, n, &x[0], n, y, NULL)
            residual = 0.0
            for i in range(n):
                residual = max(residual, fabs(y[i]))
            if residual <= tolerance:
                break
            options.f0 = y  # f(x) is known: n evaluations instead of n + 1
            status = fdcore.jacobian(&f, n, &x[0], n, jac, 1, n, &options, &info)
            evaluations += info.nfev
            if status != fdcore.FDC_OK:
                break
            solve_tridiagonal(n, jac, y)
            for i in range(n):
                x[i] -= y[i]
    free(jac)
    free(y)
    if status != fdcore.FDC_OK:
        raise RuntimeError(fdcore.status_message(status).decode())
    return root, iteration, evaluations
