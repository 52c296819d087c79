# fdcore from Cython code of your own, without the GIL and with nothing to link: importing this module fetches the
# functions from the installed fdcore. Compile with include_dirs=[fdcore.get_include()].
cimport fdcore
from libc.math cimport exp

import numpy as np


cdef struct Observations:
    const double *time
    const double *value


cdef int decay(ptrdiff_t count, ptrdiff_t n, const double *p, ptrdiff_t m, double *y, void *ctx) noexcept nogil:
    """The full form; count is 1 unless FDC_BATCHED is set."""
    cdef const Observations *observed = <const Observations *> ctx
    cdef ptrdiff_t i
    for i in range(m):
        y[i] = p[0] * exp(-p[1] * observed.time[i]) + p[2] - observed.value[i]
    return 0


def decay_jacobian(const double[::1] p, const double[::1] time, const double[::1] value, int workers=1):
    """The (m, 3) Jacobian of the residuals at p, and the number of evaluations."""
    jac = np.empty((time.shape[0], 3))
    cdef double[:, ::1] target = jac
    cdef Observations observed
    cdef fdcore.fdc_func f
    cdef fdcore.fdc_options options
    cdef fdcore.fdc_info info
    cdef fdcore.fdc_pool *pool = NULL
    cdef fdcore.fdc_status status
    observed.time, observed.value = &time[0], &value[0]
    f.version, f.flags = fdcore.FDC_ABI_VERSION, fdcore.FDC_REENTRANT
    f.eval, f.update, f.ctx = decay, NULL, &observed
    info.step, info.component = NULL, NULL
    with nogil:
        fdcore.options_init(&options)
        if workers > 1:
            pool = fdcore.pool_create(workers)  # make it once and keep it where you have many Jacobians
            options.pool, options.workers = pool, workers
        status = fdcore.jacobian(&f, 3, &p[0], time.shape[0], &target[0, 0], 3, 1, &options, &info)
        fdcore.pool_destroy(pool)
    if status != fdcore.FDC_OK:
        raise RuntimeError(f"{fdcore.status_message(status).decode()} (component {info.column})")
    return jac, info.nfev
