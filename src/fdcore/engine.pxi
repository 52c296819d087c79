# Part of fdcore.pyx: what a plan runs.


cdef class Engine:
    """What a plan runs: a callable with its stencil, steps and bounds, for any x. Thread-safe."""

    cdef object probe               # refuses a native callback that runs Python code
    cdef readonly object f          # a Python callable, or None
    cdef readonly Native native     # or a native one
    cdef readonly ptrdiff_t m       # values of f; -1 until known
    cdef ptrdiff_t learnt_n         # components of x when m was learnt
    cdef readonly double precision  # unit roundoff of what f returns; 0: of a double
    cdef fdc_options options
    cdef fdc_problem problem
    cdef Mode mode
    cdef object map
    cdef readonly bint is_jacobian
    cdef bint fixed_precision
    cdef public bint is_real        # f has been evaluated at an x, and was real there
    cdef public bint seen_analytic  # the complex step has been compared with real differences
    cdef readonly dict given        # per-component settings by name, scalars or arrays
    cdef tuple arrays               # the same, expanded to n components
    cdef ptrdiff_t arrays_n
    cdef int rule                   # method of a first-derivative scheme, or -1 where schemes are given
    cdef readonly str name          # of the method
    cdef readonly int accuracy      # order of the truncation error
    cdef readonly bint bounded
    cdef readonly bint vectorized
    cdef Caller spare               # the last run's, to be used again
    cdef readonly Groups groups     # of a sparse Jacobian, or None
    cdef readonly object detect     # called with the first x and args, makes the groups; or None
    cdef object spare_work          # the last sparse run's work array
    cdef bint adaptive
    cdef fdc_adaptive how
    cdef Scales scales              # of the last adaptive run, or None
    cdef public object instead      # called as instead(x, args, f0) -> (derivative, nfev) in place of a run; or None
    cdef public object before       # called as before(x, args, f0) with the first x; gives (nfev, f0)
    cdef public dict memo           # of the Python side: how the plan was made
    cdef readonly object noises     # (m,) absolute error of each value of f, for an adaptive run; or None
    cdef double evaluation_ns       # time of one evaluation in the last run of a native callback; 0: not known

    def _configure(self, f, str name, int method, int accuracy, bint jac, str mode, map, int workers, double precision,
                   bint is_complex, settings, bint bounded, probe):
        """Set up; called once, by the constructor of a plan.

        `method` is 0 forward, 1 backward, 2 central; `jac`: f may have any number of values; `settings`: see `expand`.
        """
        cdef fdc_scheme *s = &self.problem.scheme[0]
        memset(&self.problem, 0, sizeof(self.problem))
        fdc_options_init(&self.options)
        self.options.poll = _poll
        self.options.workers = workers
        self.options.precision = precision
        self.precision = precision
        self.fixed_precision = precision > 0.0
        self.probe = probe
        self.is_jacobian = jac
        self.m = -1 if jac else 1
        self.map = map
        self.mode = VECTOR if mode == "vector" else SCALAR if mode == "scalar" else BLOCK if mode == "block" else MAPPED
        self.name = name
        self.accuracy = accuracy
        self.bounded = bounded
        self.vectorized = self.mode == BLOCK
        self.given = settings
        self.arrays_n = -1
        self.problem.is_complex = is_complex
        self.problem.row_stride = 1
        if isinstance(f, Native):
            self.native = f
            self.problem.f = &self.native.func
            self.options.pool = _pool
            if self.native.watcher is not None:
                self.options.poll_ctx = <void *>self.native
            if jac:
                self.m = self.native.m
            elif self.native.m > 1:
                raise errors.ShapeError(f"{f!r} has {f.m} values; use jacobian")
        else:
            self.f = f
        if is_complex:
            s.form, s.npoints, s.order, s.accuracy, s.rule = FDC_IMAGINARY, 1, 1, 2, 1e-20
            s.offset[0] = s.weight[0] = 1.0
            self.problem.nschemes = 1
            self.rule = -1
        else:
            self.rule = method
            self.schemes(precision)

    cdef int schemes(self, double precision) except -1:
        """Choose stencils and rule steps for values of f with this unit roundoff."""
        cdef int method = self.rule, accuracy = self.accuracy, k
        cdef fdc_scheme *s
        if method >= 0:
            if fdc_scheme_first(<fdc_method>method, accuracy, precision, &self.problem.scheme[0]):
                raise errors.ArgumentError(f"no stencil for method {method} with accuracy {accuracy}")
            fdc_scheme_first(FDC_FORWARD, accuracy, precision, &self.problem.scheme[1])
            fdc_scheme_first(FDC_BACKWARD, accuracy, precision, &self.problem.scheme[2])
            self.problem.nschemes = 3
        elif not self.problem.is_complex:
            for k in range(self.problem.nschemes):
                s = &self.problem.scheme[k]
                s.rule *= (precision / max(self.precision, DOUBLE_PRECISION)) ** (1.0 / (s.order + s.accuracy))
        return 0

    def _use_adaptive(self, double noise, int budget):
        """Let f itself choose its steps; `noise` is the absolute error of its values, 0 where not known."""
        self.adaptive = True
        self.how.noise = noise
        self.how.budget = budget

    def _use_noise(self, noises, double start):
        """For an adaptive plan: the absolute error of each value of f, (m,), and a first step relative to abs(x)."""
        if self.given is None and start > 0.0:
            self.given = {"rel_step": start}
        self.noises = np.array(noises, dtype=_float64, ndmin=1)
        self.how.noises = _data(self.noises)

    def adopt(self, Engine other):
        """Take over what another plan has learnt of f: its number of values, its precision, its pattern."""
        self.m, self.learnt_n, self.groups, self.is_real = other.m, other.learnt_n, other.groups, other.is_real
        self.learn(other.precision)

    def _use_stencils(self, stencils):
        """Replace the schemes: the one asked for, then optionally forward and backward ones of the same order.

        Each is ``(offsets, weights, order, accuracy, step)`` in floats, the step for abs(x) <= 1 and double precision.
        """
        set_stencils(&self.problem, stencils)
        self.rule = -1

    cdef tuple expand(self, ptrdiff_t n, fdc_options *o):
        """Point the options at per-component settings of n entries, in arrays for the caller to keep while it runs.

        Another run of this plan, in a thread or nested in f, may replace those of the plan by some of another length.
        """
        cdef tuple arrays
        with cython.critical_section(self):
            arrays = self.arrays if self.arrays_n == n else None
        if arrays is None:
            arrays = expanded(self.given, n)
            with cython.critical_section(self):
                self.arrays = arrays
                self.arrays_n = n
        if arrays[0] is not None:
            o.rel_step = _data(arrays[0])
        if arrays[1] is not None:
            o.abs_step = _data(arrays[1])
        if arrays[2] is not None:
            o.lower = _data(arrays[2])
        if arrays[3] is not None:
            o.upper = _data(arrays[3])
        return arrays

    cdef int require_inside(self, const double *x, ptrdiff_t n) except -1:
        """Before f sees an x that is outside the bounds."""
        cdef fdc_options o = self.options
        cdef ptrdiff_t j
        if not self.bounded:
            return 0
        _held = self.expand(n, &o)
        for j in range(n):
            if x[j] < o.lower[j] or x[j] > o.upper[j]:
                raise errors.BoundsError(
                    f"x[{j}] = {x[j]!r} is outside its bounds, {o.lower[j]} to {o.upper[j]}; move x into the box, "
                    "or widen `bounds`"
                )
        return 0

    cdef ptrdiff_t values_at(self, ptrdiff_t n) noexcept:
        """How many values f has at an x of n components; -1 until known."""
        cdef bint learnt = self.is_jacobian and self.native is None and self.groups is None
        return -1 if learnt and n != self.learnt_n else self.m

    cdef Caller caller(self, f):
        """A Caller nobody else is using: calls may overlap, in threads or nested in f."""
        cdef Caller c
        with cython.critical_section(self):
            c, self.spare = self.spare, None
        if c is not None and c.f is None:
            c.f = f
        if c is None or c.f is not f:
            c = Caller(f, self.mode, self.map, self.problem.is_complex)
        return c

    cdef int let_go(self) except -1:
        """Let go of f, and of what has been learnt of it."""
        self.f = None
        if self.spare is not None:
            self.spare.f = None
        if self.precision > 0.0:
            self.precision = self.options.precision = 0.0
            self.schemes(0.0)
        return 0

    cdef object take_work(self):
        """The last run's work array, unless another run has taken it; then that of a plan that is gone, or None."""
        with cython.critical_section(self):
            work, self.spare_work = self.spare_work, None
        return work if work is not None else _spare_work.pop(None, None)

    def __dealloc__(self):
        # Memory that the system has to clear first would be a third of the time of a plan that is made for one call.
        if self.spare_work is not None and len(self.spare_work) <= _SPARE_WORK:
            _spare_work[None] = self.spare_work

    cdef int fail(self, int status, const fdc_problem *p, const fdc_info *info, ptrdiff_t first) except -1:
        """Raise what a failed run calls for; `first` is the number of the first component in the caller's x."""
        cdef ptrdiff_t j = info.column + first if info.column >= 0 else -1
        if PyErr_Occurred() != NULL:
            try:
                _reraise()
            except Exception as error:
                if self.mode == MAPPED:
                    raise  # it says itself where it was raised
                where = _where(self.groups, j, info.displacement)
                error.add_note(where if isinstance(error, errors.FdcoreError) else f"raised by f {where}")
                raise
        failure = errors.status_error(
            status, fdc_status_message(<fdc_status>status).decode(), j, info.displacement, info.callback_status,
            p.x[info.column] if j >= 0 else NAN,
        )
        failure.nfev = info.nfev
        raise failure

    cdef int run(self, fdc_problem *p, fdc_options *o, fdc_info *info, object f, bint second=False,
                 double *bars=NULL, uint8_t *found=NULL, ptrdiff_t first=0, const fdc_adaptive *how=NULL) except -1:
        """One kernel run; p has n, m, x and jac set. `second`: a Hessian and, unless NULL, its error bars.

        `first`: what the component of x that the kernel calls 0 is called in messages.
        """
        cdef int status
        cdef fdc_sparsity sparsity
        cdef list work = []
        cdef ptrdiff_t wasted
        cdef Caller c
        cdef fdc_func func
        if self.native is not None:
            if self.groups is not None:
                sparsity = self.groups.with_work(p, _thread_count(o.workers), self.take_work(), work)
                p.sparsity = &sparsity
            o.evaluation_ns = self.evaluation_ns
            with nogil:
                status = self.launch(p, o, info, second, bars, found, how)
            if status != FDC_OK:
                self.fail(status, p, info, first)
            if info.evaluation_ns > 0.0:
                self.evaluation_ns = info.evaluation_ns
            self.spare_work = work[0] if work else None
            return 0
        c = self.caller(f)
        if self.mode == BLOCK or self.mode == MAPPED:
            p.block_rows = block_rows(&self.problem, self.mode == MAPPED, p.n)
            func.flags = FDC_BATCHED
        else:
            p.block_rows = 1
            func.flags = 0
        c.reserve(p.block_rows, p.n)
        if self.groups is not None:
            o.pool = _pool  # for what is done between evaluations
            sparsity = self.groups.with_work(p, 1, self.take_work(), work)
            p.sparsity = &sparsity
        c.base = p.x
        c.precision, c.is_real = self.precision, self.is_real
        c.forgiving = self.adaptive
        c.may_restart = not self.fixed_precision and not self.problem.is_complex
        func.version, func.update = FDC_ABI_VERSION, NULL
        func.eval = <fdc_fn><void *>_call_python
        func.ctx = <void *>c
        p.f = &func
        p.xslot = &c.data
        status = self.launch(p, o, info, second, bars, found, how)
        if status == FDC_ERR_CALLBACK and info.callback_status == _RESTART:
            self.learn(c.precision)
            p.scheme = self.problem.scheme
            c.reserve(p.block_rows, p.n)
            wasted = info.nfev
            status = self.launch(p, o, info, second, bars, found, how)
            info.nfev += wasted
        if status != FDC_OK:
            self.fail(status, p, info, first)
        with cython.critical_section(self):
            self.spare = c
        self.spare_work = work[0] if work else None
        return 0

    cdef int launch(self, const fdc_problem *p, const fdc_options *o, fdc_info *info, bint second, double *bars,
                    uint8_t *found, const fdc_adaptive *how) noexcept nogil:
        if second:
            return fdc_run_hessian(p, o, info, p.jac, bars)
        if self.adaptive:
            return fdc_run_adaptive(p, o, info, &self.how if how == NULL else how, bars, found)
        return fdc_run(p, o, info)

    cpdef int learn(self, double precision) except -1:
        """The type that f returns has this unit roundoff: larger steps."""
        if precision > self.precision and not self.fixed_precision:
            self.schemes(precision)
            self.precision = precision
            self.options.precision = precision
        return 0

    def use_groups(self, Groups groups):
        """Make a sparse Jacobian by groups of columns from now on."""
        if self.native is not None and self.native.n not in (-1, groups.n) or self.m not in (-1, groups.m):
            f = self.native or self.f
            raise errors.ShapeError(f"the pattern is ({groups.m}, {groups.n}), which does not fit {f!r}")
        self.groups = groups
        self.m = groups.m
        self.detect = None

    def detect_with(self, detect):
        """Have the groups made when first called: ``detect(x, args)`` gives them and how many evaluations it took."""
        self.detect = detect

    def base(self, x, args=()):
        """Evaluate f(x) once, at a vector x: learns how many values f has and how precise they are."""
        cdef Py_buffer view
        memset(&view, 0, sizeof(view))
        x = _open_vector(x, &view)
        cdef ptrdiff_t n = view.shape[0]
        try:
            _require_finite(<const double *>view.buf, n)
            if self.mode != SCALAR:  # bounds are for each of the points there
                self.require_inside(<const double *>view.buf, n)
        finally:
            PyBuffer_Release(&view)
        if self.native is not None:
            f0 = np.atleast_1d(self.native(x) if self.native.probed else self.probe(self.native, x))
            self.native.probed = True
            return f0
        f = bind(self.f, args) if args else self.f
        given = x.reshape(1, -1).copy() if self.mode == BLOCK else x.copy()
        try:
            result = f(float(given[0]) if self.mode == SCALAR else given)
        except errors.EvaluationError as error:
            raise errors.status_error(FDC_ERR_NONFINITE, "", -1, 0.0, 0, NAN) from error
        except Exception as error:
            error.add_note("raised by f at x itself")
            raise
        if given.tobytes() != x.tobytes():
            where = np.flatnonzero(given.reshape(-1) != x)
            j = int(where[0]) if where.size else 0
            raise errors.status_error(FDC_ERR_MUTATED, "", j, float(given.reshape(-1)[j]), 0, float(x[j]))
        if self.problem.is_complex and result is not None:
            result = np.real(result)
        values, precision = values_of(result, 1 if self.mode == BLOCK else -1, self.values_at(n), False)
        self.is_real = not self.problem.is_complex
        self.m, self.learnt_n = values.size, n
        self.learn(precision)
        return values.reshape(-1)

    def __call__(self, x, *args, out=None, f0=None):
        """Differentiate at the vector x; see the class."""
        cdef ptrdiff_t nfev
        if self.groups is None and self.detect is None:
            try:
                return self.compute(x, (args, {}) if args else (), out, f0, 1.0, None, None, None, None, &nfev)
            except errors.ComplexValuesError:
                return self.complex_valued(x, (args, {}) if args else (), out)
        values = self.compute(x, (args, {}) if args else (), out, f0, 1.0, None, None, None, None, &nfev)
        return out if out is not None else self.groups.wrap(values)

    def evaluate(self, x, *, args=(), out=None, f0=None, double scale=1.0, step=None, component=None,
                 error=None, found=None):
        """Differentiate at the vector x with all steps multiplied by `scale`.

        Returns ``(derivative, nfev)``. `step` (float64) and `component` (uint8) are filled if given; so are, by an
        adaptive plan, `error` (float64) and `found` (uint8), each (n, m). `args` is a pair of the positional and the
        keyword arguments that follow x.
        """
        cdef ptrdiff_t nfev
        return self.compute(x, args, out, f0, scale, step, component, error, found, &nfev), nfev

    cdef object compute(self, x, args, out, f0, double scale, step, component, error, found, ptrdiff_t *nfev):
        cdef fdc_problem p = self.problem
        cdef fdc_options o = self.options
        cdef fdc_info info
        cdef Py_buffer source, target
        cdef ptrdiff_t extra = 0
        cdef Groups groups
        cdef Scales scales
        cdef double *bars = NULL
        cdef uint8_t *alarms
        memset(&info, 0, sizeof(info))
        memset(&source, 0, sizeof(source))
        memset(&target, 0, sizeof(target))
        if self.instead is not None:
            result, nfev[0] = self.instead(x, args, f0)
            return fill(out, result)
        if self.before is not None:
            extra, f0 = self.before(as_vector(x), args, f0)
            p, o = self.problem, self.options
        vector = _open_vector(x, &source)
        try:
            p.n = source.shape[0]
            p.x = <const double *>source.buf
            _require_finite(p.x, p.n)
            self.require_inside(p.x, p.n)
            f = self.f
            if self.native is not None:
                self.check_native(p.n, args)
                if not self.native.probed:
                    # Once for each callback, by an evaluation that is not wasted where f(x) is needed anyway.
                    first = self.probe(self.native, vector)
                    self.native.probed = True
                    extra += 1
                    f0 = first if f0 is None else f0
            elif args:
                f = bind(f, args)
            if self.detect is not None:
                pattern, detected = self.detect(vector, args)
                extra += detected
                self.use_groups(pattern)
                p.scheme = self.problem.scheme  # it may have learnt how precise f is
                o.precision = self.options.precision
            if self.groups is not None and self.groups.n != p.n:
                raise errors.ShapeError(f"x has {p.n} components, and the pattern {self.groups.n} columns")
            p.m = self.values_at(p.n)
            if f0 is None and (p.m < 0 or self.adaptive and self.native is None):
                # An adaptive run takes exceptions for the end of the domain, but not at x itself.
                f0 = self.base(vector, args)
                extra += 1
                p.scheme = self.problem.scheme
                o.precision = self.options.precision
            if f0 is not None:
                f0 = np.array(f0, dtype=_float64, ndmin=1)
                if f0.ndim != 1 or p.m >= 0 and f0.shape[0] != p.m:
                    expected = p.m if p.m >= 0 else "m"
                    raise errors.ShapeError(f"f0 has shape {f0.shape}; it must be f(x), ({expected},)")
                self.m = p.m = f0.shape[0]
                self.learnt_n = p.n
                o.f0 = _data(f0)
            if self.given is not None:
                _held = self.expand(p.n, &o)
            o.step_scale = scale
            if step is not None:
                info.step = <double *>_to_fill(step, _float64, p.n, "step")
            if component is not None:
                info.component = <uint8_t *>_to_fill(component, _uint8, p.n, "component")
            groups = self.groups
            if groups is not None:
                values = None if out is None else groups.unwrap(out)
                result = _empty(groups.nnz) if values is None or groups.reverse is not None else values
                p.jac = _data(result)
            elif out is not None:
                result = out
                _open_target(out, self.is_jacobian, &p, &target)
                if _overlap(&target, &source):
                    own = np.array(vector)
                    p.x = _data(own)
            elif self.is_jacobian:
                # Columns are contiguous: by rows would be several times slower for large m.
                columns = _empty((p.n, p.m))
                p.jac = _data(columns)
                p.col_stride = p.m
                result = columns.T
            else:
                result = _empty(p.n)
                p.jac = _data(result)
                p.col_stride = 1
            if p.n and self.adaptive:
                told = _empty((p.n, p.m), _uint8) if found is None else found
                scales = _next_scales(self.scales, &p, &self.how)
                alarms = <uint8_t *>_to_fill(told, _uint8, p.n * p.m, "found")
                if error is not None:
                    bars = <double *>_to_fill(error, _float64, p.n * p.m, "error")
                self.run(&p, &o, &info, f, False, bars, alarms, 0, &scales.how)
                self.scales = scales
                if error is None and _alarming(alarms, p.n * p.m):
                    errors.warn_of_findings(told)
            elif p.n:
                self.run(&p, &o, &info, f)
            if groups is not None and groups.reverse is not None:
                result, products = groups.reverse(vector, args, result, values)
                extra += products
            if self.problem.is_complex and not self.seen_analytic and p.n and p.m:
                extra += self._check_analytic(f, vector, result if groups is None else groups.wrap(result), False)
                self.seen_analytic = True
        finally:
            PyBuffer_Release(&target)
            PyBuffer_Release(&source)
        nfev[0] = info.nfev + extra
        return result

    cdef int check_native(self, ptrdiff_t n, args) except -1:
        if self.native.n >= 0 and self.native.n != n:
            raise errors.ShapeError(f"x has {n} components, and the native callback takes {self.native.n}")
        if args:
            raise errors.ArgumentError("args and kwargs are for Python callables; a native one has user_data")
        if self.m < 0:
            raise errors.ArgumentError(
                "a native vector callback does not say how many values it returns; wrap it as fdcore.native(f, m=...)"
            )
        return 0

    def use_steps(self, steps):
        """Take these absolute steps, (n,), from now on."""
        with cython.critical_section(self):
            self.given, self.arrays, self.arrays_n = {**(self.given or {}), "abs_step": steps}, None, -1

    def forget(self):
        """Forget the scales that adaptive runs leave for the next x nearby, as if the plan were new."""
        self.scales = None

    def second(self, x, *, args=(), f=None, double scale=1.0, step=None, bint bars=False, first=None):
        """Differentiate twice at the vector x; the plan's stencil gives the steps, times `scale`.

        Returns ``(hessian, bars or None, nfev)``, hessian (n, n), bars of n n entries, then the error of one value of f
        and by how much derivatives along each component grow with their order. `step` (float64) is filled if given; `f`
        takes the place of the plan's own function. `first` (float64, of size 1) is f(x), or NaN: it is then evaluated
        and filled in.
        """
        cdef fdc_problem p = self.problem
        cdef fdc_options o = self.options
        cdef fdc_info info
        cdef double *error = NULL
        cdef bint known = first is not None and first[0] == first[0]
        memset(&info, 0, sizeof(info))
        vector = as_vector(x)
        p.n = len(vector)
        p.m = 1
        p.x = _data(vector)
        if self.native is not None:
            self.check_native(p.n, args)
        if first is not None and not known:
            first[:] = self.base(vector, args)
            p.scheme, o.precision = self.problem.scheme, self.options.precision  # it may have learnt how precise f is
        if self.native is not None:
            if not self.native.probed:
                f0 = np.array(self.probe(self.native, vector), dtype=_float64).reshape(1)
                self.native.probed = True
                o.f0 = _data(f0)
        elif f is None:
            f = bind(self.f, args) if args else self.f
        if first is not None and first[0] - first[0] == 0:  # else the kernel finds it out, and says so
            o.f0 = _data(first)
        if self.given is not None:
            _held = self.expand(p.n, &o)
        o.step_scale = scale
        if step is not None:
            info.step = _data(step)
        hessian = _empty((p.n, p.n))
        p.jac = _data(hessian)
        bar = _empty(p.n * p.n + 1 + p.n) if bars else None
        if bars:
            error = _data(bar)
        self.run(&p, &o, &info, f, True, error)
        return hessian, bar, info.nfev + (o.f0 != NULL and not known)

    def pointwise(self, points, *, args=(), out, double scale=1.0, step=None, component=None, error=None, found=None):
        """Derivatives of a scalar function at each of the points, a contiguous vector, into `out`. Returns nfev."""
        cdef double *bars = NULL if error is None else _data(error)
        cdef uint8_t *told = NULL
        cdef fdc_problem p = self.problem
        cdef fdc_options each, o = self.options
        cdef fdc_info info
        cdef ptrdiff_t i, count = len(points), nfev = 0
        cdef double *x = _data(points), *result = _data(out), *steps = NULL if step is None else _data(step)
        cdef uint8_t *components = NULL if component is None else <uint8_t *>_data(component)
        first = None
        f = bind(self.f, args) if args else self.f
        if self.adaptive:
            found = _empty(count, _uint8) if found is None else found
            told = <uint8_t *>_data(found)
        if self.before is not None and count:
            before, first = self.before(points[:1], args, None)
            nfev += before
        if self.given is not None:
            _held = self.expand(count, &o)
            self.require_inside(x, count)
        for i in range(count):
            memset(&info, 0, sizeof(info))
            p.scheme = self.problem.scheme
            p.n = p.m = p.col_stride = 1
            p.x, p.jac = x + i, result + i
            each = o
            each.precision, each.step_scale = self.options.precision, scale
            each.rel_step = NULL if o.rel_step == NULL else o.rel_step + i
            each.abs_step = NULL if o.abs_step == NULL else o.abs_step + i
            each.lower = NULL if o.lower == NULL else o.lower + i
            each.upper = NULL if o.upper == NULL else o.upper + i
            info.step = NULL if steps == NULL else steps + i
            info.component = NULL if components == NULL else components + i
            if self.adaptive and self.native is None:
                if i or first is None:
                    first = self.base(points[i:i + 1], args)
                    nfev += 1
                each.f0 = _data(first)
            self.run(
                &p, &each, &info, f, False, NULL if bars == NULL else bars + i, NULL if told == NULL else told + i, i
            )
            nfev += info.nfev
        if self.problem.is_complex and not self.seen_analytic and count:
            nfev += self._check_analytic(f, points[:1], out[:1], True)
            self.seen_analytic = True
        if self.adaptive and error is None:
            errors.warn_of_findings(found)
        return nfev
