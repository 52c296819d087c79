# Functions declared `api` are listed in the module's __pyx_capi__, each as a capsule whose name is its signature.
# `noexcept nogil`: fdcore calls it without the GIL, and nobody would see an exception.

cdef api double rosenbrock(int n, const double *x, void *user_data) noexcept nogil:
    cdef double scale = (<const double *> user_data)[0]
    cdef double total = 0.0
    cdef int i
    for i in range(n - 1):
        total += scale * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total
