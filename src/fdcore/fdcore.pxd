# The kernel as the boundary sees it, and what other Cython modules get through fdcore/__init__.pxd.
from libc.stdint cimport int32_t, uint8_t, uint32_t


cdef extern from "fdcore/fdcore.h" nogil:
    enum: FDC_ABI_VERSION
    ctypedef enum fdc_status:
        FDC_OK
        FDC_ERR_ARGUMENT
        FDC_ERR_MEMORY
        FDC_ERR_CALLBACK
        FDC_ERR_NONFINITE
        FDC_ERR_STEP
        FDC_ERR_BOUNDS
        FDC_ERR_MUTATED
        FDC_ERR_CANCELLED
        FDC_STATUS_COUNT
    ctypedef enum fdc_component:
        FDC_AT_RULE
        FDC_AT_SHRUNK
        FDC_AT_FORWARD
        FDC_AT_BACKWARD
        FDC_COMPONENT_COUNT
    ctypedef enum fdc_method:
        FDC_FORWARD
        FDC_BACKWARD
        FDC_CENTRAL
        FDC_METHOD_COUNT
    enum:
        FDC_REENTRANT
        FDC_BATCHED
        FDC_SIDE_BY_SIDE
    ctypedef int (*fdc_fn)(ptrdiff_t, ptrdiff_t, const double *, ptrdiff_t, double *, void *) noexcept nogil
    ctypedef struct fdc_update:
        ptrdiff_t n
        const double *x
        ptrdiff_t first
        ptrdiff_t cols
        ptrdiff_t points
        const double *delta
        ptrdiff_t m
        ptrdiff_t part
        ptrdiff_t parts
    ctypedef int (*fdc_update_fn)(const fdc_update *, double *, void *) noexcept nogil
    ctypedef int (*fdc_poll_fn)(void *) noexcept nogil
    ctypedef struct fdc_func:
        uint32_t version
        uint32_t flags
        fdc_fn eval
        fdc_update_fn update
        void *ctx
    ctypedef struct fdc_pool:
        pass
    ctypedef struct fdc_options:
        uint32_t version
        int32_t method
        int32_t accuracy
        int32_t workers
        double precision
        double step_scale
        const double *rel_step
        const double *abs_step
        const double *lower
        const double *upper
        const double *f0
        fdc_pool *pool
        fdc_poll_fn poll
        void *poll_ctx
        double evaluation_ns
    ctypedef struct fdc_info:
        ptrdiff_t nfev
        ptrdiff_t column
        double displacement
        int callback_status
        int workers
        double *step
        uint8_t *component
        double evaluation_ns

# Through these a client needs no linking: `cimport fdcore`, then fdcore.jacobian(...) from its own nogil code.
cdef void options_init(fdc_options *options) noexcept nogil
cdef fdc_status jacobian(const fdc_func *f, ptrdiff_t n, const double *x, ptrdiff_t m, double *jac,
                         ptrdiff_t row_stride, ptrdiff_t col_stride, const fdc_options *options,
                         fdc_info *info) noexcept nogil
cdef fdc_status gradient(const fdc_func *f, ptrdiff_t n, const double *x, double *grad, const fdc_options *options,
                         fdc_info *info) noexcept nogil
cdef double rule_step(fdc_method method, int accuracy, double precision, double x) noexcept nogil
cdef fdc_pool *pool_create(int max_workers) noexcept nogil
cdef void pool_destroy(fdc_pool *pool) noexcept nogil
cdef const char *status_message(fdc_status status) noexcept nogil
