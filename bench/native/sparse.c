/* Floors of the sparse workload: a planned forward Jacobian in row order, and greedy column colouring. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int (*vector_fn)(ptrdiff_t, const double *, ptrdiff_t, double *, void *);
static const double STEP = 1.4901161193847656e-08; /* DBL_EPSILON ** (1/2) */

/* Every array argument is taken whole, float64, int32 or uint8 as named. */
static void *data_of(PyObject *array, Py_ssize_t *bytes) {
    Py_buffer view;
    if (bytes) *bytes = 0;
    if (PyObject_GetBuffer(array, &view, PyBUF_SIMPLE) < 0) return NULL;
    void *data = view.buf;
    if (bytes) *bytes = view.len;
    PyBuffer_Release(&view); /* the caller's reference keeps it */
    return data;
}

struct plan {
    vector_fn f;
    ptrdiff_t n, nnz, colours;
    const double *x;
    const uint8_t *colour;       /* (n,) of each column */
    const int32_t *start, *column; /* CSR */
    const uint8_t *entry_colour; /* (nnz,) of each entry's column */
    double *values;              /* (nnz,) */
    double *work;                /* (colours + 3 + threads, n) */
};

static void points(const struct plan *p, double *restrict h, double *restrict inverse, ptrdiff_t first, ptrdiff_t last) {
    for (ptrdiff_t j = first; j < last; j++) {
        const double xj = p->x[j], moved = xj + STEP * fmax(1.0, fabs(xj));
        h[j] = moved - xj;
        inverse[j] = 1.0 / h[j];
    }
}

static void evaluate(const struct plan *p, ptrdiff_t c, const double *restrict h, double *restrict point, double *out) {
    for (ptrdiff_t j = 0; j < p->n; j++) point[j] = p->x[j] + (p->colour[j] == c ? h[j] : 0.0);
    p->f(p->n, point, p->n, out, NULL);
}

static void decompress(const struct plan *p, const double *restrict f0, const double *restrict inverse,
                       const double *restrict moved, ptrdiff_t first, ptrdiff_t last) {
    for (ptrdiff_t i = first; i < last; i++)
        for (int32_t k = p->start[i]; k < p->start[i + 1]; k++)
            p->values[k] = (moved[p->entry_colour[k] * p->n + i] - f0[i]) * inverse[p->column[k]];
}

/* forward(address, x, colour, colours, start, column, entry_colour, values, work, threads) */
static PyObject *forward(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    Py_ssize_t bytes, value_bytes;
    struct plan p = {.f = (vector_fn)PyLong_AsVoidPtr(args[0]), .x = data_of(args[1], &bytes),
                     .colour = data_of(args[2], NULL), .colours = PyLong_AsLong(args[3]),
                     .start = data_of(args[4], NULL), .column = data_of(args[5], NULL),
                     .entry_colour = data_of(args[6], NULL), .values = data_of(args[7], &value_bytes),
                     .work = data_of(args[8], NULL)};
    const int threads = (int)PyLong_AsLong(args[9]);
    if (PyErr_Occurred()) return NULL;
    p.n = bytes / (ptrdiff_t)sizeof(double), p.nnz = value_bytes / (ptrdiff_t)sizeof(double);
    double *h = p.work, *inverse = h + p.n, *f0 = inverse + p.n, *moved = f0 + p.n, *point = moved + p.colours * p.n;
    Py_BEGIN_ALLOW_THREADS
    if (threads == 1) {
        points(&p, h, inverse, 0, p.n);
        p.f(p.n, p.x, p.n, f0, NULL);
        for (ptrdiff_t c = 0; c < p.colours; c++) evaluate(&p, c, h, point, moved + c * p.n);
        decompress(&p, f0, inverse, moved, 0, p.n);
    } else { /* a point of its own for each thread follows the work array */
#pragma omp parallel num_threads(threads)
        {
#pragma omp for schedule(static)
            for (int t = 0; t < threads; t++) points(&p, h, inverse, p.n * t / threads, p.n * (t + 1) / threads);
#pragma omp for schedule(dynamic, 1)
            for (ptrdiff_t c = -1; c < p.colours; c++) {
                if (c < 0) p.f(p.n, p.x, p.n, f0, NULL);
                else evaluate(&p, c, h, point + omp_get_thread_num() * p.n, moved + c * p.n);
            }
#pragma omp for schedule(static)
            for (int t = 0; t < threads; t++)
                decompress(&p, f0, inverse, moved, p.n * t / threads, p.n * (t + 1) / threads);
        }
    }
    Py_END_ALLOW_THREADS
    return Py_NewRef(args[7]);
}

/* calls(f, x, count, values): bare calls of a Python callable, then every value written once. */
static PyObject *calls(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    const long count = PyLong_AsLong(args[2]);
    for (long i = 0; i < count; i++) {
        PyObject *value = PyObject_CallOneArg(args[0], args[1]);
        if (!value) return NULL;
        Py_DECREF(value);
    }
    Py_ssize_t bytes;
    double *values = data_of(args[3], &bytes);
    for (ptrdiff_t k = 0; k < bytes / (ptrdiff_t)sizeof(double); k++) values[k] = (double)k;
    Py_RETURN_NONE;
}

/* colour(row_start, row_columns, column_start, column_rows, colours_out, last_seen): natural order; both int32. */
static PyObject *colour(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    Py_ssize_t bytes;
    const int32_t *row = data_of(args[0], NULL), *in_row = data_of(args[1], NULL);
    const int32_t *column = data_of(args[2], &bytes), *in_column = data_of(args[3], NULL);
    int32_t *colour = data_of(args[4], NULL), *seen = data_of(args[5], NULL);
    const ptrdiff_t n = bytes / (ptrdiff_t)sizeof(int32_t) - 1;
    int32_t colours = 0;
    for (ptrdiff_t j = 0; j < n; j++) colour[j] = -1, seen[j] = -1;
    for (int32_t j = 0; j < n; j++) {
        for (int32_t a = column[j]; a < column[j + 1]; a++) {
            const int32_t i = in_column[a];
            for (int32_t b = row[i]; b < row[i + 1]; b++) {
                const int32_t c = colour[in_row[b]];
                if (c >= 0) seen[c] = j;
            }
        }
        int32_t c = 0;
        while (seen[c] == j) c++;
        colour[j] = c;
        if (c >= colours) colours = c + 1;
    }
    return PyLong_FromLong(colours);
}

#define ENTRY(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {ENTRY(forward), ENTRY(calls), ENTRY(colour), {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "sparse", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_sparse(void) { return PyModule_Create(&module); }
