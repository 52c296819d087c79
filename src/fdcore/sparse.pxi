# Part of fdcore.pyx: patterns and colourings of the kernel, over int32 arrays that `fdcore.sparsity` has made.

cdef extern from "internal.h" nogil:
    ptrdiff_t fdc_sparse_work(const fdc_problem *, int) noexcept
    ctypedef enum fdc_order:
        pass
    ctypedef struct fdc_substitution:
        pass
    fdc_status fdc_pattern_check(const fdc_pattern *, int32_t *) noexcept
    fdc_status fdc_pattern_transpose(const fdc_pattern *, int32_t *, int32_t *, int32_t *) noexcept
    int fdc_pattern_is_symmetric(const fdc_pattern *, int32_t *) noexcept
    fdc_status fdc_color_columns(const fdc_pattern *, const fdc_pattern *, fdc_order, int32_t *, int32_t *,
                                 fdc_order *) noexcept
    void fdc_color_groups(const fdc_pattern *, const int32_t *, int32_t, int32_t *, int32_t *) noexcept
    void fdc_color_entries(const fdc_pattern *, const int32_t *, uint8_t *) noexcept
    fdc_status fdc_color_star(const fdc_pattern *, fdc_order, int32_t *, int32_t *, uint8_t *, fdc_order *) noexcept
    fdc_status fdc_color_acyclic(const fdc_pattern *, fdc_order, int32_t *, int32_t *, fdc_substitution *, int32_t *,
                                 fdc_order *) noexcept
    void fdc_recover_acyclic(const fdc_pattern *, const int32_t *, const fdc_substitution *, ptrdiff_t,
                             const double *, const double *, double *, double *) noexcept

cdef dict _spare_work = {}  # None: the work array of a sparse plan that is gone
cdef ptrdiff_t _SPARE_WORK = 1 << 20  # numbers in it, at the most

ORDERS = ("natural", "largest-first", "smallest-last", "incidence-degree", "saturation", "best")


cdef void *_int32(array) except? NULL:
    """Where a contiguous int32 array, possibly read-only, has its values."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef void *data = view.buf
    cdef bint fits = view.itemsize == 4 and view.ndim == 1
    PyBuffer_Release(&view)
    if not fits:
        raise TypeError(f"an int32 vector was expected, not {array.dtype}")
    return data


cdef fdc_pattern _pattern(start, index, ptrdiff_t width) except *:
    cdef fdc_pattern p
    p.lines = len(start) - 1
    p.width = width
    p.start = <const int32_t *>_int32(start)
    p.index = <const int32_t *>_int32(index)
    return p


cdef int _ok(fdc_status status) except -1:
    if status == FDC_ERR_ARGUMENT:
        raise errors.ArgumentError("the pattern is not symmetric: it has an entry (i, j) without (j, i)")
    if status != FDC_OK:
        raise errors.status_error(status, fdc_status_message(status).decode(), -1, 0.0, 0, NAN)
    return 0


def pattern_check(start, index, width):
    """Raise unless start and index are a compressed pattern with increasing indices below `width` in each line."""
    cdef fdc_pattern p = _pattern(start, index, width)
    cdef int32_t line = -1
    if len(start) < 1 or start[0] != 0 or start[len(start) - 1] != len(index):
        raise errors.ArgumentError(f"the pattern is damaged: indptr must run from 0 to the {len(index)} indices")
    if fdc_pattern_check(&p, &line) != FDC_OK:
        raise errors.ArgumentError(
            f"the pattern is damaged: the indices of line {line} must be increasing, from 0 to {width - 1}"
        )


def pattern_transpose(start, index, width):
    """The other compressed form; the same arrays where the pattern is symmetric."""
    cdef fdc_pattern p = _pattern(start, index, width)
    other_start = _empty(width + 1, np.int32)
    if fdc_pattern_is_symmetric(&p, <int32_t *>_int32(other_start)):
        return start, index
    other_index = _empty(len(index), np.int32)
    fdc_pattern_transpose(&p, <int32_t *>_int32(other_start), <int32_t *>_int32(other_index), NULL)
    return other_start, other_index


def pattern_color(start, index, width, int order):
    """Colours of the lines so that two of one colour have no index in common; their number; the order that won."""
    cdef fdc_pattern p = _pattern(start, index, width)
    color = _empty(p.lines, np.int32)
    cdef int32_t count = 0
    cdef fdc_order used
    cdef int32_t *color_data = <int32_t *>_int32(color)
    cdef fdc_status status
    with nogil:
        status = fdc_color_columns(&p, NULL, <fdc_order>order, color_data, &count, &used)
    _ok(status)
    return color, count, ORDERS[used]


def pattern_color_star(start, index, int order):
    """Star colouring of a symmetric pattern: colours, their number, which entries are read at their mirror image."""
    cdef fdc_pattern p = _pattern(start, index, len(start) - 1)
    color, mirrored = _empty(p.lines, np.int32), _empty(len(index), np.uint8)
    cdef int32_t count = 0
    cdef int32_t *color_data = <int32_t *>_int32(color)
    cdef uint8_t *mirrored_data = <uint8_t *>_data(mirrored)
    cdef fdc_status status
    with nogil:
        status = fdc_color_star(&p, <fdc_order>order, color_data, &count, mirrored_data, NULL)
    _ok(status)
    return color, count, mirrored


def pattern_color_acyclic(start, index, int order):
    """Acyclic colouring of a symmetric pattern: colours, their number, steps of substitution, and the longest chain."""
    cdef fdc_pattern p = _pattern(start, index, len(start) - 1)
    color, steps = _empty(p.lines, np.int32), _empty((len(index) // 2, 5), np.int32)
    cdef int32_t count = 0, depth = 0
    cdef int32_t *color_data = <int32_t *>_int32(color)
    cdef fdc_substitution *step_data = <fdc_substitution *>_data(steps)
    cdef ptrdiff_t taken = 0
    cdef fdc_status status
    with nogil:
        status = fdc_color_acyclic(&p, <fdc_order>order, color_data, &count, step_data, &depth, NULL)
    _ok(status)
    taken = (len(index) - np.count_nonzero(np.asarray(index) == np.repeat(np.arange(p.lines), np.diff(start)))) // 2
    return color, count, steps[:taken], depth


def pattern_substitute(start, index, color, steps, products, scale):
    """Values of a symmetric matrix from its products (colours, n); column j has been multiplied by scale[j]."""
    cdef fdc_pattern p = _pattern(start, index, len(start) - 1)
    values, known = _empty(len(index)), np.zeros(p.lines)
    fdc_recover_acyclic(&p, <const int32_t *>_int32(color), <const fdc_substitution *>_data(steps), len(steps),
                        _data(products), _data(scale), _data(known), _data(values))
    return values


@cython.final
cdef class Groups:
    """A pattern with the colours of its columns, in the form that the kernel runs."""

    cdef fdc_sparsity s
    cdef tuple owners
    cdef readonly ptrdiff_t m, n, nnz
    cdef readonly object color
    cdef readonly object wrap    # makes the result of a vector of values
    cdef readonly object unwrap  # finds the vector of values in what a caller gives as out
    cdef readonly object reverse  # completes these values for `wrap`: (x, args, values, out); or None

    def __init__(self, m, rows, columns, color, int32_t colors, wrap, unwrap, reverse=None):
        """`rows` and `columns` are pairs (start, index); rows is None where values go in the order of columns."""
        group_start, group, entry_color = _empty(colors + 1, np.int32), _empty(len(columns[0]), np.int32), None
        self.m, self.n, self.nnz = m, len(columns[0]) - 1, len(columns[1])
        self.color, self.wrap, self.unwrap, self.reverse = color, wrap, unwrap, reverse
        memset(&self.s, 0, sizeof(self.s))
        self.s.columns = _pattern(columns[0], columns[1], m)
        self.s.color = <const int32_t *>_int32(color)
        self.s.group_start = <const int32_t *>_int32(group_start)
        self.s.group = <const int32_t *>_int32(group)
        self.s.colors = colors
        fdc_color_groups(&self.s.columns, self.s.color, colors, <int32_t *>self.s.group_start, <int32_t *>self.s.group)
        if rows is not None:
            self.s.rows = _pattern(rows[0], rows[1], self.n)
            if colors <= 256:
                entry_color = _empty(self.nnz, np.uint8)
                self.s.entry_color = <const uint8_t *>_data(entry_color)
                fdc_color_entries(&self.s.rows, self.s.color, <uint8_t *>self.s.entry_color)
        self.owners = (rows, columns, color, group_start, group, entry_color)

    @property
    def colors(self):
        """How many groups of columns there are."""
        return self.s.colors

    def entries(self):
        """Row and column of each value that `wrap` takes."""
        if self.reverse is not None:
            return self.reverse.row, self.reverse.column
        rows, columns = self.owners[:2]
        start, index = columns if rows is None else rows
        line = np.repeat(np.arange(len(start) - 1), np.diff(start))
        return (index, line) if rows is None else (line, index)

    def others(self, ptrdiff_t j):
        """How many columns have the colour of column j besides itself."""
        c = self.color[j]
        return self.s.group_start[c + 1] - self.s.group_start[c] - 1

    cdef fdc_sparsity with_work(self, const fdc_problem *p, int workers, object spare, list work) except *:
        """The struct for one run, its work array being `spare` if that is large enough; it is put into `work`."""
        cdef fdc_sparsity s = self.s
        cdef fdc_problem q = p[0]
        q.sparsity = &s
        s.work_size = fdc_sparse_work(&q, workers)
        if s.work_size < 0:
            raise MemoryError
        if spare is None or len(spare) < s.work_size:
            spare = _empty(s.work_size)
        work.append(spare)
        s.work = _data(spare)
        return s


cdef str _where(Groups groups, ptrdiff_t j, double displacement):
    """Which evaluation it was, for a note on an exception: `j` as the caller counts, -1 for x itself."""
    if j < 0:
        return "at x itself"
    if displacement == 0.0:
        return f"in a block of points, the first of which perturb x[{j}]"
    others = 0 if groups is None else groups.others(j)
    return f"while perturbing x[{j}] by {displacement:.6g}" + (f" and {others} more" if others else "")
