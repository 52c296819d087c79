/* fdcore from a plain C extension: the header for the types, the functions from fdcore's capsules, nothing to link. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fdcore/fdcore.h>
#include <math.h>

static void (*options_init)(fdc_options *);
static fdc_status (*jacobian)(const fdc_func *, ptrdiff_t, const double *, ptrdiff_t, double *, ptrdiff_t, ptrdiff_t,
                              const fdc_options *, fdc_info *);
static const char *(*status_message)(fdc_status);

/* The address of one of fdcore's functions, by its name without fdc_. */
static void *fetch(PyObject *api, const char *name)
{
    PyObject *capsule = PyMapping_GetItemString(api, name);
    if (capsule == NULL) {
        return NULL;
    }
    void *function = PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
    Py_DECREF(capsule); /* fdcore keeps it */
    return function;
}

struct observations {
    const double *time;
    const double *value;
};

static int decay(ptrdiff_t count, ptrdiff_t n, const double *p, ptrdiff_t m, double *y, void *ctx)
{
    const struct observations *observed = ctx;
    (void)count; /* 1: FDC_BATCHED is not set */
    (void)n;
    for (ptrdiff_t i = 0; i < m; i++) {
        y[i] = p[0] * exp(-p[1] * observed->time[i]) + p[2] - observed->value[i];
    }
    return 0;
}

/* decay_jacobian(p, time, value, out): fills out (m, 3), gives the number of evaluations. All are float64 arrays. */
static PyObject *decay_jacobian(PyObject *self, PyObject *args)
{
    Py_buffer p, time, value, out;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &p, &time, &value, &out)) {
        return NULL;
    }
    struct observations observed = {time.buf, value.buf};
    const fdc_func f = {FDC_ABI_VERSION, FDC_REENTRANT, decay, NULL, &observed};
    const ptrdiff_t m = time.len / (ptrdiff_t)sizeof(double);
    fdc_options options;
    fdc_info info = {0};
    fdc_status status;
    Py_BEGIN_ALLOW_THREADS
    options_init(&options);
    status = jacobian(&f, 3, p.buf, m, out.buf, 3, 1, &options, &info);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&p);
    PyBuffer_Release(&time);
    PyBuffer_Release(&value);
    PyBuffer_Release(&out);
    if (status != FDC_OK) {
        return PyErr_Format(PyExc_RuntimeError, "%s", status_message(status));
    }
    return PyLong_FromSsize_t(info.nfev);
}

static PyMethodDef methods[] = {{"decay_jacobian", decay_jacobian, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "decay_client", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_decay_client(void)
{
    PyObject *fdcore = PyImport_ImportModule("fdcore.fdcore");
    PyObject *api = fdcore == NULL ? NULL : PyObject_GetAttrString(fdcore, "__pyx_capi__");
    Py_XDECREF(fdcore);
    if (api == NULL) {
        return NULL;
    }
    options_init = fetch(api, "options_init");
    jacobian = options_init == NULL ? NULL : fetch(api, "jacobian");
    status_message = jacobian == NULL ? NULL : fetch(api, "status_message");
    Py_DECREF(api);
    return status_message == NULL ? NULL : PyModule_Create(&definition);
}
