/* The floors: what a careful C programmer would write for each workload and nothing around it. They trust their
 * arguments (float64, contiguous, right sizes); the bench alone calls them. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef double (*scalar_fn)(int, double *, void *);
typedef int (*vector_fn)(ptrdiff_t, const double *, ptrdiff_t, double *, void *);

static const double STEP = 6.055454452393343e-06; /* DBL_EPSILON ** (1/3) */
enum { STACK = 512 };

static double step_at(double x) { return STEP * (fabs(x) > 1.0 ? fabs(x) : 1.0); }

/* --- Python callables ------------------------------------------------------------------------------------------- */

/* calls(f, x, count): the calls alone. */
static PyObject *calls(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    const long count = PyLong_AsLong(args[2]);
    for (long i = 0; i < count; i++) {
        PyObject *value = PyObject_CallOneArg(args[0], args[1]);
        if (!value) return NULL;
        Py_DECREF(value);
    }
    Py_RETURN_NONE;
}

/* python_gradient(f, x, out): central differences, one array perturbed in place; x is restored. */
static PyObject *python_gradient(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    Py_buffer x, out;
    if (PyObject_GetBuffer(args[1], &x, PyBUF_WRITABLE) < 0) return NULL;
    if (PyObject_GetBuffer(args[2], &out, PyBUF_WRITABLE) < 0) return PyBuffer_Release(&x), NULL;
    double *p = x.buf, *g = out.buf;
    const ptrdiff_t n = x.len / (ptrdiff_t)sizeof(double);
    int failed = 0;
    for (ptrdiff_t j = 0; j < n && !failed; j++) {
        const double xj = p[j], h = step_at(xj), points[2] = {xj + h, xj - h};
        double f[2] = {0.0, 0.0};
        for (int k = 0; k < 2 && !failed; k++) {
            p[j] = points[k];
            PyObject *value = PyObject_CallOneArg(args[0], args[1]);
            failed = !value;
            if (value) f[k] = PyFloat_AsDouble(value), Py_DECREF(value);
        }
        p[j] = xj;
        g[j] = (f[0] - f[1]) / (points[0] - points[1]);
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    if (failed || PyErr_Occurred()) return NULL;
    return Py_NewRef(args[2]);
}

/* batched_gradient(f, x, batch, out): f takes (k, n) and returns (k,); batch is (rows, n) of room for the points. */
static PyObject *batched_gradient(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    Py_buffer x, batch, out;
    if (PyObject_GetBuffer(args[1], &x, PyBUF_SIMPLE) < 0) return NULL;
    if (PyObject_GetBuffer(args[2], &batch, PyBUF_WRITABLE) < 0) return NULL;
    if (PyObject_GetBuffer(args[3], &out, PyBUF_WRITABLE) < 0) return NULL;
    const double *p = x.buf;
    double *points = batch.buf, *g = out.buf;
    const ptrdiff_t n = x.len / (ptrdiff_t)sizeof(double), rows = batch.len / x.len;
    int failed = 0;
    for (ptrdiff_t r = 0; r < rows; r++) memcpy(points + r * n, p, (size_t)x.len);
    for (ptrdiff_t first = 0; first < n && !failed; first += rows / 2) {
        const ptrdiff_t last = first + rows / 2 < n ? first + rows / 2 : n, used = 2 * (last - first);
        for (ptrdiff_t j = first; j < last; j++) {
            points[2 * (j - first) * n + j] = p[j] + step_at(p[j]);
            points[(2 * (j - first) + 1) * n + j] = p[j] - step_at(p[j]);
        }
        PyObject *part = used == rows ? Py_NewRef(args[2]) : PySequence_GetSlice(args[2], 0, used);
        PyObject *values = part ? PyObject_CallOneArg(args[0], part) : NULL;
        Py_buffer y;
        failed = !values || PyObject_GetBuffer(values, &y, PyBUF_SIMPLE) < 0;
        for (ptrdiff_t j = first; j < last && !failed; j++) {
            double *above = points + 2 * (j - first) * n + j, *below = above + n;
            const double *f = (const double *)y.buf + 2 * (j - first);
            g[j] = (f[0] - f[1]) / (*above - *below);
            *above = *below = p[j];
        }
        if (!failed) PyBuffer_Release(&y);
        Py_XDECREF(values);
        Py_XDECREF(part);
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&batch);
    PyBuffer_Release(&out);
    return failed ? NULL : Py_NewRef(args[3]);
}

/* --- native callables, dense ------------------------------------------------------------------------------------ */

static void central_gradient(scalar_fn f, ptrdiff_t n, const double *x, double *g, double *p) {
    memcpy(p, x, sizeof(double) * (size_t)n);
    for (ptrdiff_t j = 0; j < n; j++) {
        const double xj = p[j], h = step_at(xj), above = xj + h, below = xj - h;
        p[j] = above;
        const double fa = f((int)n, p, NULL);
        p[j] = below;
        const double fb = f((int)n, p, NULL);
        p[j] = xj;
        g[j] = (fa - fb) / (above - below);
    }
}

/* Columns first..last of J into rows of `jt`; work is n + m doubles. */
static void central_columns(vector_fn f, ptrdiff_t n, const double *x, double *jt, ptrdiff_t first, ptrdiff_t last,
                            double *work) {
    double *p = work, *below_y = work + n;
    memcpy(p, x, sizeof(double) * (size_t)n);
    for (ptrdiff_t j = first; j < last; j++) {
        const double xj = p[j], h = step_at(xj), above = xj + h, below = xj - h, scale = above - below;
        double *restrict row = jt + j * n;
        p[j] = above;
        f(n, p, n, row, NULL);
        p[j] = below;
        f(n, p, n, below_y, NULL);
        p[j] = xj;
        const double *restrict b = below_y;
        for (ptrdiff_t i = 0; i < n; i++) row[i] = (row[i] - b[i]) / scale;
    }
}

struct native_args {
    Py_buffer x, out;
    void *f;
    ptrdiff_t n;
    double *work, stack[2 * STACK];
};

static int native_open(struct native_args *a, PyObject *const *args) {
    a->f = PyLong_AsVoidPtr(args[0]);
    if (PyObject_GetBuffer(args[1], &a->x, PyBUF_SIMPLE) < 0) return -1;
    if (PyObject_GetBuffer(args[2], &a->out, PyBUF_WRITABLE) < 0) return PyBuffer_Release(&a->x), -1;
    a->n = a->x.len / (ptrdiff_t)sizeof(double);
    a->work = a->n <= STACK ? a->stack : malloc(2 * sizeof(double) * (size_t)a->n);
    return 0;
}

static PyObject *native_close(struct native_args *a, PyObject *out) {
    if (a->work != a->stack) free(a->work);
    PyBuffer_Release(&a->x);
    PyBuffer_Release(&a->out);
    return Py_NewRef(out);
}

/* gradient(address, x, out) */
static PyObject *gradient(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    struct native_args a;
    if (native_open(&a, args) < 0) return NULL;
    central_gradient((scalar_fn)a.f, a.n, a.x.buf, a.out.buf, a.work);
    return native_close(&a, args[2]);
}

/* jacobian(address, x, out): out is the transposed Jacobian, (n, n). */
static PyObject *jacobian(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    struct native_args a;
    if (native_open(&a, args) < 0) return NULL;
    central_columns((vector_fn)a.f, a.n, a.x.buf, a.out.buf, 0, a.n, a.work);
    return native_close(&a, args[2]);
}

/* native_calls(address, x, out): 2n bare calls of a scalar (one-entry out) or vector function. */
static PyObject *native_calls(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    struct native_args a;
    if (native_open(&a, args) < 0) return NULL;
    memcpy(a.work, a.x.buf, sizeof(double) * (size_t)a.n);
    double sum = 0.0;
    for (ptrdiff_t i = 0; i < 2 * a.n; i++) {
        if (a.out.len == sizeof(double)) sum += ((scalar_fn)a.f)((int)a.n, a.work, NULL);
        else ((vector_fn)a.f)(a.n, a.work, a.n, a.out.buf, NULL);
    }
    if (a.out.len == sizeof(double)) *(double *)a.out.buf = sum;
    return native_close(&a, args[2]);
}

/* jacobian_openmp(address, x, out, threads): static split. */
static PyObject *jacobian_openmp(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    struct native_args a;
    const int threads = (int)PyLong_AsLong(args[3]);
    if (native_open(&a, args) < 0) return NULL;
    Py_BEGIN_ALLOW_THREADS
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        double *work = malloc(2 * sizeof(double) * (size_t)a.n);
        central_columns((vector_fn)a.f, a.n, a.x.buf, a.out.buf, a.n * t / threads, a.n * (t + 1) / threads, work);
        free(work);
    }
    Py_END_ALLOW_THREADS
    return native_close(&a, args[2]);
}

struct share {
    struct native_args *a;
    ptrdiff_t first, last;
};

static void *run_share(void *ptr) {
    struct share *s = ptr;
    double *work = malloc(2 * sizeof(double) * (size_t)s->a->n);
    central_columns((vector_fn)s->a->f, s->a->n, s->a->x.buf, s->a->out.buf, s->first, s->last, work);
    free(work);
    return NULL;
}

/* jacobian_pthread(address, x, out): a thread created for the second half, the caller takes the first. */
static PyObject *jacobian_pthread(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    struct native_args a;
    if (native_open(&a, args) < 0) return NULL;
    Py_BEGIN_ALLOW_THREADS
    pthread_t helper;
    struct share mine = {&a, 0, a.n / 2}, theirs = {&a, a.n / 2, a.n};
    const int alone = pthread_create(&helper, NULL, run_share, &theirs);
    run_share(&mine);
    if (alone) run_share(&theirs);
    else pthread_join(helper, NULL);
    Py_END_ALLOW_THREADS
    return native_close(&a, args[2]);
}

#define ENTRY(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {ENTRY(calls),           ENTRY(python_gradient), ENTRY(batched_gradient), ENTRY(gradient),     ENTRY(jacobian),
                                ENTRY(native_calls),    ENTRY(jacobian_openmp),  ENTRY(jacobian_pthread),
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "floor", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_floor(void) { return PyModule_Create(&module); }
