# Part of fdcore.pyx: NumPy arrays in and out, without NumPy's headers.

cdef double DOUBLE_PRECISION = 2.0**-53
cdef object _empty = np.empty
cdef object _ndarray = np.ndarray
cdef object _float64 = np.dtype(np.float64)
cdef object _uint8 = np.dtype(np.uint8)
cdef object _complex128 = np.dtype(np.complex128)
cdef object _EvaluationError = errors.EvaluationError


cdef extern from *:
    """
    /* NumPy's public array layout, the one its own macros read; checked when the module is loaded. The buffer protocol
     * says the same and takes 100 ns for each array. */
    typedef struct {
        PyObject_HEAD
        char *data;
        int nd;
        Py_ssize_t *shape;
        Py_ssize_t *strides;
        PyObject *base;
        PyObject *dtype;
        int flags;
    } fdc_ndarray;
    """
    ctypedef struct fdc_ndarray:
        char *data
        int nd
        Py_ssize_t *shape
        Py_ssize_t *strides
        PyObject *dtype
        int flags


cdef enum:
    ARRAY_CONTIGUOUS = 0x0001
    ARRAY_ALIGNED = 0x0100
    ARRAY_WRITEABLE = 0x0400


cdef bint _layout_is_known() except *:
    array = np.arange(6.0).reshape(2, 3)
    cdef fdc_ndarray *a = <fdc_ndarray *><PyObject *>array
    about = array.__array_interface__
    array.flags.writeable = False
    return (
        <uintptr_t>a.data == about["data"][0] and a.nd == 2 and a.shape[0] == 2 and a.shape[1] == 3
        and a.strides[0] == 24 and a.strides[1] == 8 and a.dtype == <PyObject *>_float64
        and a.flags & (ARRAY_CONTIGUOUS | ARRAY_ALIGNED | ARRAY_WRITEABLE) == ARRAY_CONTIGUOUS | ARRAY_ALIGNED
    )


cdef bint _known_layout = _layout_is_known()


cdef inline bint _read_array(array, int ndim, int flags, Py_buffer *view) noexcept:
    """Shape, strides and memory of a float64 array with these flags, if it is one; holds no reference."""
    cdef fdc_ndarray *a = <fdc_ndarray *><PyObject *>array
    if not _known_layout or type(array) is not _ndarray or a.dtype != <PyObject *>_float64:
        return False
    if a.nd != ndim or a.flags & flags != flags:
        return False
    view.buf, view.ndim, view.itemsize, view.shape, view.strides = a.data, ndim, 8, a.shape, a.strides
    return True


cdef double *_data(object array) except? NULL:
    """Where an array that we keep alive has its values."""
    cdef Py_buffer view
    if _known_layout and type(array) is _ndarray:
        return <double *>(<fdc_ndarray *><PyObject *>array).data
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE | PyBUF_STRIDES)
    cdef double *data = <double *>view.buf
    PyBuffer_Release(&view)
    return data


cdef void *_to_fill(array, dtype, ptrdiff_t size, str name) except? NULL:
    """Where the kernel writes `size` entries; the array is the caller's, so it is looked at first."""
    if type(array) is not _ndarray or array.dtype != dtype or not array.flags.carray or array.size != size:
        raise errors.ShapeError(f"{name} must be a writeable contiguous array of {dtype}, of {size} entries")
    return <void *>_data(array)


cdef inline bint _is_double(const Py_buffer *view) noexcept:
    return view.format != NULL and view.format[0] == c'd' and view.format[1] == 0


cdef object _open_vector(x, Py_buffer *view):
    """Get at x as n contiguous doubles; returns the object that holds them."""
    if _read_array(x, 1, ARRAY_CONTIGUOUS | ARRAY_ALIGNED, view):
        return x
    vector = as_vector(x)
    if not _read_array(vector, 1, ARRAY_CONTIGUOUS | ARRAY_ALIGNED, view):
        PyObject_GetBuffer(vector, view, PyBUF_FORMAT | PyBUF_STRIDES)
    return vector


cdef int _require_finite(const double *x, ptrdiff_t n) except -1:
    """Before f sees an x that it has no derivative at."""
    cdef ptrdiff_t j
    for j in range(n):
        if not isfinite(x[j]):
            raise errors.status_error(FDC_ERR_ARGUMENT, "", j, 0.0, 0, x[j])
    return 0


cdef int _open_target(out, bint jac, fdc_problem *p, Py_buffer *view) except -1:
    """Get at the caller's result array, in any memory order."""
    cdef bint good = False
    if _read_array(out, 2 if jac else 1, ARRAY_ALIGNED | ARRAY_WRITEABLE, view):
        good = True
    elif isinstance(out, _ndarray):
        if not out.flags.writeable:
            raise errors.ArgumentError("out is read-only; give an array that can be written to")
        PyObject_GetBuffer(out, view, PyBUF_FORMAT | PyBUF_STRIDES | PyBUF_WRITABLE)
        good = _is_double(view) and view.ndim == (2 if jac else 1)
    if good and view.shape[view.ndim - 1] == p.n and (not jac or view.shape[0] == p.m):
        if view.strides[0] % 8 == 0 and view.strides[view.ndim - 1] % 8 == 0:
            p.jac = <double *>view.buf
            p.row_stride = view.strides[0] // 8 if jac else 1
            p.col_stride = view.strides[view.ndim - 1] // 8
            return 0
    raise errors.ShapeError(
        f"out must be a float64 array of shape {f'({p.m}, {p.n})' if jac else f'({p.n},)'}, not "
        f"{getattr(out, 'dtype', type(out).__name__)} of shape {getattr(out, 'shape', None)}"
    )


cdef bint _overlap(const Py_buffer *a, const Py_buffer *b) noexcept:
    """Whether two arrays may share memory."""
    cdef const char *low[2]
    cdef const char *high[2]
    cdef const Py_buffer *each[2]
    cdef int i, k
    each[0], each[1] = a, b
    for i in range(2):
        low[i] = <const char *>each[i].buf
        high[i] = low[i] + each[i].itemsize
        for k in range(each[i].ndim):
            if each[i].shape[k] == 0:
                return False
            if each[i].strides[k] > 0:
                high[i] += (each[i].shape[k] - 1) * each[i].strides[k]
            else:
                low[i] += (each[i].shape[k] - 1) * each[i].strides[k]
    return low[0] < high[1] and low[1] < high[0]
