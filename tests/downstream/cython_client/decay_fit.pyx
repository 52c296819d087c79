# Fits y = p0 * exp(-p1 * t) + p2 by Gauss-Newton steps, all without the GIL; fdcore gives the Jacobian.
cimport fdcore
from libc.math cimport exp, fabs
from libc.stdint cimport uintptr_t


cdef struct Observations:
    const double *time
    const double *value


cdef api int decay(ptrdiff_t count, ptrdiff_t n, const double *p, ptrdiff_t m, double *y, void *ctx) noexcept nogil:
    cdef const Observations *observed = <const Observations *> ctx
    cdef ptrdiff_t i
    for i in range(m):
        y[i] = p[0] * exp(-p[1] * observed.time[i]) + p[2] - observed.value[i]
    return 0


cdef void solve(double *a, double *b) noexcept nogil:
    """Solve the 3 by 3 normal equations in place, positive definite as they are."""
    cdef int i, j, k
    cdef double factor
    for k in range(3):
        for i in range(k + 1, 3):
            factor = a[3 * i + k] / a[3 * k + k]
            for j in range(k, 3):
                a[3 * i + j] -= factor * a[3 * k + j]
            b[i] -= factor * b[k]
    for k in range(2, -1, -1):
        for j in range(k + 1, 3):
            b[k] -= a[3 * k + j] * b[j]
        b[k] /= a[3 * k + k]


def fit(uintptr_t p, uintptr_t time, uintptr_t value, uintptr_t jac, ptrdiff_t m):
    """Fit in place; arguments are addresses of float64 arrays (3,), (m,), (m,) and (m, 3). Returns the iterations."""
    cdef double *x = <double *> p
    cdef double *j = <double *> jac
    cdef double a[9]
    cdef double b[3]
    cdef double y[64]
    cdef Observations observed
    cdef fdcore.fdc_func f
    cdef fdcore.fdc_status status = fdcore.FDC_OK
    cdef ptrdiff_t i, r, c
    cdef int iterations = 0
    if m > 64:
        raise ValueError(m)
    observed.time, observed.value = <const double *> time, <const double *> value
    f.version, f.flags = fdcore.FDC_ABI_VERSION, fdcore.FDC_REENTRANT
    f.eval, f.update, f.ctx = decay, NULL, &observed
    with nogil:
        while iterations < 50:
            iterations += 1
            status = fdcore.jacobian(&f, 3, x, m, j, 3, 1, NULL, NULL)
            if status != fdcore.FDC_OK:
                break
            decay(1, 3, x, m, y, &observed)
            for r in range(3):
                b[r] = 0.0
                for c in range(3):
                    a[3 * r + c] = 0.0
            for i in range(m):
                for r in range(3):
                    b[r] += j[3 * i + r] * y[i]
                    for c in range(3):
                        a[3 * r + c] += j[3 * i + r] * j[3 * i + c]
            solve(a, b)
            for r in range(3):
                x[r] -= b[r]
            if fabs(b[0]) + fabs(b[1]) + fabs(b[2]) < 1e-13:
                break
    if status != fdcore.FDC_OK:
        raise RuntimeError(fdcore.status_message(status).decode())
    return iterations
