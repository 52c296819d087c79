# Part of fdcore.pyx: the two kinds of callable that the kernel evaluates.

def capsule_info(capsule):
    """Address, name and context of a PyCapsule."""
    cdef const char *name = PyCapsule_GetName(capsule)
    cdef void *pointer = PyCapsule_GetPointer(capsule, name)
    cdef void *context = PyCapsule_GetContext(capsule)
    return <uintptr_t>pointer, None if name == NULL else name.decode(), <uintptr_t>context


# By fdc_kind. The const that C declarations may add is left out.
KINDS = (
    "double (double)",
    "double (double, void *)",
    "double (int, double *)",
    "double (int, double *, void *)",
    "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)",
    "int (ptrdiff_t, ptrdiff_t, double *, ptrdiff_t, double *, void *)",
)
cdef dict _kind_numbers = {kind: number for number, kind in enumerate(KINDS)}


@cython.final
cdef class Native:
    """A native callback: runs without the GIL, on any thread.

    Made by `fdcore.native` and by whatever has ``__fdcore_native__``; keeps its owners alive.
    """

    cdef fdc_func func
    cdef fdc_bridge bridge
    cdef readonly object owner
    cdef fdc_counter counter
    cdef object watcher             # called with the number of evaluations from time to time; or None
    cdef readonly str kind
    cdef readonly ptrdiff_t n
    cdef readonly ptrdiff_t m
    cdef readonly size_t address
    cdef public bint probed

    def __reduce__(self):
        raise TypeError("a native callback is an address of this process: it can be neither pickled nor copied")

    def __init__(self, address, kind, *, user_data=0, owner=None, n=-1, m=-1, reentrant=True, batched=False,
                 update=0):
        cdef int number = _kind_numbers.get(kind, FDC_KIND_COUNT)
        cdef uint32_t flags = (FDC_REENTRANT if reentrant else 0) | (FDC_BATCHED if batched else 0)
        if batched not in (False, True, "side by side"):
            raise errors.ArgumentError(f"batched must be False, True or 'side by side', not {batched!r}")
        if batched and number != FDC_KIND_COUNT - 1:
            raise errors.SignatureError(f"batches go with the signature {KINDS[FDC_KIND_COUNT - 1]!r}, not {kind!r}")
        if batched == "side by side":
            flags |= FDC_SIDE_BY_SIDE
        cdef uintptr_t where = address
        cdef uintptr_t user = user_data
        if fdc_bridge_init(&self.bridge, <fdc_kind>number, <plain_fn>where, <void *>user, flags, &self.func):
            raise errors.SignatureError(f"no callback at address {address!r} with signature {kind!r}")
        cdef uintptr_t update_address = update
        if update_address:
            if number != FDC_KIND_COUNT - 1:
                raise errors.SignatureError(
                    f"a coordinate update goes with the signature {KINDS[FDC_KIND_COUNT - 1]!r}, not {kind!r}"
                )
            self.func.update = <fdc_update_fn>update_address
        self.address = address
        self.kind = kind
        self.owner = owner
        self.n = 1 if number < 2 else n
        self.m = 1 if number < 4 else m
        self.probed = False

    def watched(self, watcher):
        """The same callback, counted: while it runs, ``watcher(evaluations)`` is called every 50 ms."""
        cdef Native other = Native.__new__(Native)
        fdc_count(&other.counter, &self.func, &other.func)
        other.owner, other.watcher = self, watcher
        other.address, other.kind, other.n, other.m, other.probed = (
            self.address, self.kind, self.n, self.m, self.probed
        )
        return other

    @property
    def counted(self):
        """Evaluations so far, of what `watched` gave."""
        return fdc_counted(&self.counter)

    cdef int tell(self) noexcept:
        """Call the watcher; -1, with its exception set, if it raises."""
        cdef PyObject *result
        cdef object count = fdc_counted(&self.counter)  # not a C number, which would pass for an address
        result = call_raw(<PyObject *>self.watcher, <PyObject *>count, NULL)
        if result == NULL:
            return -1
        Py_DECREF(<object>result)
        return 0

    def __repr__(self):
        sizes = "".join(f", {name}={size}" for name, size in (("n", self.n), ("m", self.m)) if size >= 0)
        return f"<fdcore native callback {self.kind!r} at {self.address:#x}{sizes}>"

    def __call__(self, x):
        """Evaluate once: a float for the scalar forms, else the array of m values."""
        # No Python function is called for a vector: the probe for Python code would find it.
        vector = x
        if not (isinstance(x, _ndarray) and x.ndim == 1 and x.dtype is _float64 and x.flags.c_contiguous):
            vector = as_vector([x] if isinstance(x, (int, float)) else x)
        vector = vector.copy()
        cdef ptrdiff_t n = len(vector), m = self.m
        if self.n >= 0 and n != self.n:
            raise errors.ShapeError(f"x has {n} components, and this callback takes {self.n}")
        if m < 0:
            raise errors.ArgumentError(f"{self!r} does not say how many values it returns; use fdcore.native(f, m=...)")
        result = _empty(m)
        cdef int status = self.func.eval(1, n, _data(vector), m, _data(result), self.func.ctx)
        if status:
            raise errors.CallbackError(f"the native callback returned status {status} (0 is success) at x", status)
        return result if _kind_numbers[self.kind] >= 4 else float(result[0])


cdef enum Mode:
    VECTOR    # f(x) with x (n,)
    SCALAR    # f(x) with x a Python float
    BLOCK     # f(x) with x (k, n): vectorised
    MAPPED    # map(f, [x, x, ...]) by somebody's workers

cdef enum:
    _RESTART = -1000  # what a thunk returns when it learns that f is less precise than the steps assume


@cython.final
cdef class Caller:
    """Lets the kernel call a Python function, the GIL being held throughout.

    The kernel perturbs the very array that the function is given; it is handed over again and again as long as nobody
    else holds a reference to it, and replaced by a fresh one as soon as somebody does.
    """

    cdef object f
    cdef Mode mode
    cdef object map
    cdef bint is_complex
    cdef object array       # n or (rows, n) values, real or complex
    cdef const double *base  # x: n values
    cdef double *data       # its memory: the kernel's xslot
    cdef Py_ssize_t references
    cdef ptrdiff_t rows, n
    cdef double precision   # 0: of a double
    cdef bint may_restart
    cdef bint is_real       # f is real at x: it has no value where it is complex
    cdef bint forgiving     # f's ArithmeticError and ValueError are the end of its domain, too

    def __cinit__(self, f, Mode mode, map, bint is_complex):
        self.f = f
        self.mode = mode
        self.map = map
        self.is_complex = is_complex
        self.rows = self.n = -1

    cdef int reserve(self, ptrdiff_t rows, ptrdiff_t n) except -1:
        """Have an array of this size that nobody else holds."""
        if self.array is not None and self.rows == rows and self.n == n and Py_REFCNT(self.array) == self.references:
            return 0
        self.array = None
        cdef object shape = n
        if self.mode == BLOCK or self.mode == MAPPED:
            shape = (rows, n)
        self.array = _empty(shape, _complex128 if self.is_complex else _float64)
        self.data = _data(self.array)
        self.references = Py_REFCNT(self.array)
        self.rows = rows
        self.n = n
        return 0

    cdef inline bint intact(self) noexcept:
        """Whether the array is still the one that was made, its values aside."""
        cdef fdc_ndarray *a = <fdc_ndarray *><PyObject *>self.array
        cdef int ndim = 2 if self.mode == BLOCK else 1
        return (
            a.data == <char *>self.data and a.nd == ndim and a.shape[ndim - 1] == self.n
            and a.strides[ndim - 1] == (16 if self.is_complex else 8)
            and a.dtype == <PyObject *>(_complex128 if self.is_complex else _float64)
        )

    cdef inline int release(self) except -1:
        """After an evaluation: if somebody kept the array, they keep it, and the kernel gets a copy."""
        if _known_layout and not self.intact():
            self.array = None
            raise errors.InputMutatedError(
                "f changed the shape, the type or the memory of its argument in place; have f work on a copy, x.copy()"
            )
        if Py_REFCNT(self.array) == self.references:
            return 0
        cdef double *old = self.data
        kept = self.array
        self.reserve(self.rows, self.n)
        memcpy(self.data, old, self.rows * self.n * (16 if self.is_complex else 8))
        return 0

    cdef int take(self, PyObject *result, ptrdiff_t count, ptrdiff_t m, double *y) except -1:
        """Copy what f returned to y (count, m)."""
        cdef Py_buffer view
        cdef ptrdiff_t i, size = count * m
        cdef double *values
        cdef bint plain
        cdef int usual = ARRAY_CONTIGUOUS | ARRAY_ALIGNED
        if size == 1 and not self.is_complex and PyFloat_Check(result):
            y[0] = PyFloat_AsDouble(result)
            return 0
        if not self.is_complex:
            if self.mode == BLOCK:
                plain = (
                    _read_array(<object>result, 2, usual, &view) and view.shape[0] == count and view.shape[1] == m
                    or m == 1 and _read_array(<object>result, 1, usual, &view) and view.shape[0] == count
                )
            else:
                plain = (
                    _read_array(<object>result, 1, usual, &view) and view.shape[0] == m
                    or m == 1 and _read_array(<object>result, 0, usual, &view)
                )
            if plain:
                memcpy(y, view.buf, size * 8)
                return 0
        converted, precision = values_of(<object>result, count if self.mode == BLOCK else -1, m, self.is_complex,
                                         self.is_real)
        if precision > self.precision and self.may_restart:
            self.precision = precision
            return _RESTART
        values = _data(converted)
        for i in range(size):
            y[i] = values[2 * i + 1] if self.is_complex else values[i]
        return 0

    cdef tuple place(self, ptrdiff_t row):
        """Which component is perturbed in this row of the block, by how much, and how many others are."""
        cdef ptrdiff_t i, first = -1, others = -1, width = 2 if self.is_complex else 1
        cdef double *point = self.data + row * self.n * width
        cdef double moved = 0.0, change
        for i in range(self.n):
            change = point[width * i + 1] if self.is_complex else point[i] - self.base[i]
            if change != 0.0:
                others += 1
                if first < 0:
                    first, moved = i, change
        return first, moved, others

    cdef int evaluate(self, ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y) except -1:
        cdef PyObject *result
        cdef int status
        cdef ptrdiff_t i, k
        if self.mode == VECTOR:
            result = call_raw(<PyObject *>self.f, <PyObject *>self.array, NULL)
        elif self.mode == SCALAR:
            argument = complex(x[0], x[1]) if self.is_complex else x[0]
            result = call_raw(<PyObject *>self.f, <PyObject *>argument, NULL)
        elif self.mode == BLOCK:
            block = self.array if count == self.rows else self.array[:count]
            result = call_raw(<PyObject *>self.f, <PyObject *>block, NULL)
            block = None
        else:
            points = [(i, *self.place(i), self.array[i].copy()) for i in range(count)]
            values = in_order(self.map(OnWorker(self.f, self.forgiving), points), count)
            for i in range(count):
                if isinstance(values[i], _EvaluationError):
                    for k in range(i * m, (i + 1) * m):
                        y[k] = NAN
                    continue
                try:
                    status = self.take(<PyObject *>values[i], 1, m, y + i * m)
                except errors.FdcoreError as error:
                    error.add_note(where_note(*points[i][1:4]))
                    raise
                if status != 0:
                    return status
            self.may_restart = False
            return 0
        if result == NULL:
            if not (
                PyErr_ExceptionMatches(_EvaluationError)
                or self.forgiving and (PyErr_ExceptionMatches(ArithmeticError) or PyErr_ExceptionMatches(ValueError))
            ):
                return -1
            PyErr_Clear()
            for i in range(count * m):
                y[i] = NAN
            self.release()
            return 0
        try:
            status = self.take(result, count, m, y)
        finally:
            Py_DECREF(<object>result)
        if self.mode != SCALAR:
            self.release()
        self.may_restart = False
        return status


cdef int _call_python(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) except -1:
    """The fdc_fn of a Python function; an exception stays set on this thread until the kernel has returned."""
    return (<Caller>ctx).evaluate(count, n, x, m, y)
