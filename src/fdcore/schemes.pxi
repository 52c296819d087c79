# Part of fdcore.pyx: stencils and settings as the kernel takes them.


cdef int set_stencils(fdc_problem *problem, stencils) except -1:
    """Replace the schemes of a problem; see `Engine._use_stencils`."""
    cdef fdc_scheme *s
    cdef int k
    problem.nschemes = len(stencils)
    for number, (offsets, weights, order, accuracy, step) in enumerate(stencils):
        s = &problem.scheme[number]
        memset(s, 0, sizeof(s[0]))
        s.form, s.order, s.accuracy, s.rule = FDC_WEIGHTS, order, accuracy, step
        k = 0
        for offset, weight in zip(offsets, weights, strict=True):
            if offset == 0:
                s.uses_center, s.center_weight = 1, weight
                continue
            if k == FDC_MAX_POINTS:
                raise errors.ArgumentError(f"a stencil has at most {FDC_MAX_POINTS} points besides x itself")
            s.offset[k], s.weight[k] = offset, weight
            k += 1
        s.npoints = k
        s.lowest, s.highest = min(0.0, *offsets), max(0.0, *offsets)
    return 0


cdef ptrdiff_t block_rows(const fdc_problem *problem, bint mapped, ptrdiff_t n) noexcept:
    """Rows of a batch: what fits the second-level cache, or plenty where workers share them out."""
    cdef ptrdiff_t most = (64 << 20) if mapped else (256 << 10)
    cdef ptrdiff_t width = 8 * n * (2 if problem.is_complex else 1)
    cdef ptrdiff_t points = problem.scheme[0].npoints, rows
    if problem.nschemes > 1 and problem.scheme[1].npoints > points:
        points = problem.scheme[1].npoints
    rows = most // max(width, 1)
    return max(points, min(rows, points * n))


cdef tuple expanded(dict given, ptrdiff_t n):
    """Per-component settings, n entries each: rel_step, abs_step, lower, upper; None where not given."""
    found = []
    spoken = ("rel_step", "step", "the lower bound", "the upper bound")
    for name, words in zip(("rel_step", "abs_step", "lower", "upper"), spoken, strict=True):
        value = given.get(name)
        if value is not None:
            array = np.asarray(value, dtype=_float64)
            if array.ndim and array.shape != (n,):
                raise errors.ShapeError(
                    f"{words} has shape {array.shape}; give one number, or one for each of the {n} "
                    "components of x"
                )
            value = np.ascontiguousarray(np.broadcast_to(array, (n,)))
            value = value if value.flags.writeable else value.copy()
        found.append(value)
    return tuple(found)
