# Part of fdcore.pyx: the short way for a gradient with default settings.

cdef Engine _idle = None  # with default settings, and nobody's
cdef object _idle_lock = object()


def plain_gradient(f, x, out):
    """Central differences with default settings, of a Python function; None where x is not a plain float64 vector.

    The engine is handed on from call to call: making one takes as long as several evaluations of a small f.
    """
    global _idle
    cdef Py_buffer view
    cdef ptrdiff_t nfev
    cdef Engine engine
    if not _read_array(x, 1, ARRAY_CONTIGUOUS | ARRAY_ALIGNED, &view):
        return None
    with cython.critical_section(_idle_lock):
        engine, _idle = _idle, None
    if engine is None:
        engine = Engine()
        engine._configure(None, "central", FDC_CENTRAL, 2, False, "vector", None, 1, 0.0, False, None, False, None)
    engine.f = f
    try:
        return engine.compute(x, (), out, None, 1.0, None, None, None, None, &nfev)
    finally:
        engine.let_go()
        _idle = engine
