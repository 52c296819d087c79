"""The GIL boundary: the one module that owns Python references and calls the kernel.

Private; users import `fdcore`. What lives here: the classes that let the kernel call a Python function (`Caller`) or a
native one (`Native`), the `Engine` that a plan runs, and the C functions that other Cython modules cimport.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches, PyErr_Occurred
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer
from cpython.ref cimport Py_DECREF, PyObject
from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, uintptr_t
from libc.string cimport memcpy, memset

import os
import sys

import numpy as np

import fdcore.errors as errors
from fdcore.coerce import OnWorker, as_vector, bind, fill, in_order, values_of, where_note

include "kernel.pxi"


# ---- for other Cython modules ----------------------------------------------------------------------------------------

cdef void options_init(fdc_options *options) noexcept nogil:
    fdc_options_init(options)


cdef fdc_status jacobian(const fdc_func *f, ptrdiff_t n, const double *x, ptrdiff_t m, double *jac,
                         ptrdiff_t row_stride, ptrdiff_t col_stride, const fdc_options *options,
                         fdc_info *info) noexcept nogil:
    return fdc_jacobian(f, n, x, m, jac, row_stride, col_stride, options, info)


cdef fdc_status gradient(const fdc_func *f, ptrdiff_t n, const double *x, double *grad, const fdc_options *options,
                         fdc_info *info) noexcept nogil:
    return fdc_gradient(f, n, x, grad, options, info)


cdef double rule_step(fdc_method method, int accuracy, double precision, double x) noexcept nogil:
    return fdc_rule_step(method, accuracy, precision, x)


cdef fdc_pool *pool_create(int max_workers) noexcept nogil:
    return fdc_pool_create(max_workers)


cdef void pool_destroy(fdc_pool *pool) noexcept nogil:
    fdc_pool_destroy(pool)


cdef const char *status_message(fdc_status status) noexcept nogil:
    return fdc_status_message(status)


include "arrays.pxi"
include "callables.pxi"
include "sparse.pxi"


# ---- runs ------------------------------------------------------------------------------------------------------------

cdef int _poll(void *ctx) noexcept with gil:
    """Signals, looked at from the calling thread, where the exception stays set; and whoever watches a callback."""
    if ctx != NULL and (<Native>ctx).tell():
        return -1
    return PyErr_CheckSignals()


cdef int _reraise() except -1:
    """For a caller that knows an exception to be set already."""
    return -1


# More than the processors, so that any number of workers can be asked for; helpers start when first needed and sleep.
cdef fdc_pool *_pool = fdc_pool_create(64)


cdef int _thread_count(int workers) except -1:
    """Threads that a run with this option may have."""
    return workers if workers > 0 else -workers if workers < 0 else cpu_count()


def cpu_count():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


include "schemes.pxi"
include "scales.pxi"
include "engine.pxi"
include "plain.pxi"


def model_addresses(str name):
    """Addresses of that model's loss, an fdc_fn, and its coordinate update, an fdc_update_fn or 0."""
    cdef const fdc_model *model = fdc_model_find(name.encode())
    if model == NULL:
        raise errors.ArgumentError(f"there is no model {name!r}")
    return <uintptr_t>model.loss, <uintptr_t>model.update


def build_config():
    """How the extension was built."""
    return {
        "abi": FDC_ABI_VERSION,
        "statuses": FDC_STATUS_COUNT,
        "components": FDC_COMPONENT_COUNT,
        "kinds": FDC_KIND_COUNT,
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "cpus": cpu_count(),
    }


def status_text(int status):
    """What the kernel says of a status."""
    return fdc_status_message(<fdc_status>status).decode()
