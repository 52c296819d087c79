# Part of fdcore.pyx: what an adaptive run leaves for the next x nearby.


cdef class Scales:
    """The step with which to begin, for each entry of the Jacobian at one x. Made by one run, and never changed after.

    So runs that overlap, in threads or nested in f, may share it: each begins with what some earlier run left.
    """

    cdef object x           # (n,)
    cdef object scale       # (n, m); 0: not known
    cdef ptrdiff_t n, m
    cdef fdc_adaptive how   # of the run that makes it
    cdef Scales before      # whose arrays that run reads


cdef Scales _next_scales(Scales before, const fdc_problem *p, const fdc_adaptive *how):
    """For a run at p.x that begins with `before`, unless it is None or of another shape."""
    cdef Scales s = Scales()
    s.n, s.m, s.how = p.n, p.m, how[0]
    s.x, s.scale = _empty(p.n), _empty((p.n, p.m))
    memcpy(_data(s.x), p.x, p.n * sizeof(double))  # x may be overwritten while it runs, by f or as `out`
    s.how.scale = _data(s.scale)
    if before is not None and before.n == p.n and before.m == p.m:
        before.before = None  # no chain
        s.before = before
        s.how.known_x, s.how.known = _data(before.x), _data(before.scale)
    return s


cdef bint _alarming(const uint8_t *found, ptrdiff_t count) noexcept nogil:
    """Whether any finding says that there is no derivative: `errors.warn_of_findings` takes longer than a cheap f."""
    cdef ptrdiff_t i
    cdef uint8_t any = 0
    for i in range(count):
        any |= found[i]
    return any & (FDC_FOUND_KINK | FDC_FOUND_JUMP | FDC_FOUND_UNRESOLVED)
