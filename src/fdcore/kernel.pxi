# Part of fdcore.pyx: what it calls of CPython and of the kernel's own header.

cdef extern from "Python.h":
    object PyObject_CallFunctionObjArgs(object callable, ...)
    PyObject *call_raw "PyObject_CallFunctionObjArgs"(PyObject *callable, ...)
    Py_ssize_t Py_REFCNT(object)
    # With Cython's own declaration, the KeyboardInterrupt would be printed and forgotten in a noexcept function.
    int PyErr_CheckSignals() noexcept
    bint PyFloat_Check(PyObject *)
    double PyFloat_AsDouble(PyObject *) except? -1.0
    ctypedef void (*plain_fn "void (*)(void)")() noexcept nogil

cdef extern from "internal.h" nogil:
    enum: FDC_MAX_POINTS
    ctypedef enum fdc_form:
        FDC_PAIRS
        FDC_ONE_SIDED
        FDC_WEIGHTS
        FDC_IMAGINARY
    ctypedef struct fdc_scheme:
        fdc_form form
        int npoints
        int order
        int accuracy
        int uses_center
        double center_weight
        double lowest
        double highest
        double rule
        double offset[16]
        double weight[16]
    ctypedef struct fdc_pattern:
        int32_t lines
        int32_t width
        const int32_t *start
        const int32_t *index
    ctypedef struct fdc_sparsity:
        fdc_pattern rows
        fdc_pattern columns
        const uint8_t *entry_color
        const int32_t *color
        const int32_t *group_start
        const int32_t *group
        int32_t colors
        double *work
        ptrdiff_t work_size
    ctypedef struct fdc_problem:
        const fdc_func *f
        ptrdiff_t n
        ptrdiff_t m
        const double *x
        double *jac
        ptrdiff_t row_stride
        ptrdiff_t col_stride
        fdc_scheme scheme[3]
        int nschemes
        int is_complex
        ptrdiff_t block_rows
        const fdc_sparsity *sparsity
        double **xslot
    ctypedef enum fdc_kind:
        FDC_KIND_FULL
        FDC_KIND_COUNT
    ctypedef struct fdc_bridge:
        void (*fn)() noexcept nogil
        void *user
    fdc_status fdc_scheme_first(fdc_method, int, double, fdc_scheme *) noexcept
    fdc_status fdc_run(const fdc_problem *, const fdc_options *, fdc_info *) noexcept
    fdc_status fdc_run_hessian(const fdc_problem *, const fdc_options *, fdc_info *, double *, double *) noexcept
    ctypedef struct fdc_adaptive:
        double rtol
        double noise
        const double *noises
        int budget
        const double *known_x
        const double *known
        double *scale
    fdc_status fdc_run_adaptive(const fdc_problem *, const fdc_options *, fdc_info *, const fdc_adaptive *, double *,
                                unsigned char *) noexcept
    fdc_status fdc_bridge_init(fdc_bridge *, fdc_kind, void (*)() noexcept nogil, void *, uint32_t,
                               fdc_func *) noexcept
    ctypedef struct fdc_counter:
        ptrdiff_t done
    void fdc_count(fdc_counter *, const fdc_func *, fdc_func *) noexcept
    ptrdiff_t fdc_counted(const fdc_counter *) noexcept
    # From the public header, under their C names.
    void fdc_options_init(fdc_options *) noexcept
    fdc_status fdc_jacobian(const fdc_func *, ptrdiff_t, const double *, ptrdiff_t, double *, ptrdiff_t, ptrdiff_t,
                            const fdc_options *, fdc_info *) noexcept
    fdc_status fdc_gradient(const fdc_func *, ptrdiff_t, const double *, double *, const fdc_options *,
                            fdc_info *) noexcept
    double fdc_rule_step(fdc_method, int, double, double) noexcept
    fdc_pool *fdc_pool_create(int) noexcept
    void fdc_pool_destroy(fdc_pool *) noexcept
    const char *fdc_status_message(fdc_status) noexcept

cdef extern from "models.h" nogil:
    ctypedef struct fdc_model:
        fdc_fn loss
        fdc_update_fn update
    const fdc_model *fdc_model_find(const char *) noexcept

cdef extern from "adaptive.h" nogil:
    enum:
        FDC_FOUND_KINK
        FDC_FOUND_JUMP
        FDC_FOUND_UNRESOLVED
