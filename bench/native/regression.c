/* Floors of the regression workload: mean squared error and logistic loss, numeric central gradients.
 * Compiled with -ffast-math: exp() and log() then use vectors. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const double STEP = 6.055454452393343e-06; /* DBL_EPSILON ** (1/3) */

struct data {
    const double *X, *y, *p;
    double *out;
    ptrdiff_t rows, cols;
    int logistic, threads;
};

static void *data_of(PyObject *array, ptrdiff_t *count) {
    Py_buffer view;
    *count = 0;
    if (PyObject_GetBuffer(array, &view, PyBUF_SIMPLE) < 0) return NULL;
    *count = view.len / (ptrdiff_t)sizeof(double);
    PyBuffer_Release(&view); /* the caller's reference keeps it */
    return view.buf;
}

static struct data open_data(PyObject *const *args) { /* X, y, p, out, logistic, threads */
    struct data d;
    ptrdiff_t count;
    d.X = data_of(args[0], &count), d.y = data_of(args[1], &d.rows);
    d.p = data_of(args[2], &d.cols), d.out = data_of(args[3], &count);
    d.logistic = (int)PyLong_AsLong(args[4]), d.threads = (int)PyLong_AsLong(args[5]);
    return d;
}

static double softplus(double z) { return fmax(z, 0.0) + log(1.0 + exp(-fabs(z))); }

static double dot(ptrdiff_t n, const double *restrict a, const double *restrict b) {
    double sum = 0.0;
    for (ptrdiff_t j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

static double loss(const struct data *d, const double *p) {
    double sum = 0.0;
    for (ptrdiff_t i = 0; i < d->rows; i++) {
        const double z = dot(d->cols, d->X + i * d->cols, p);
        sum += d->logistic ? softplus(z) - d->y[i] * z : (z - d->y[i]) * (z - d->y[i]);
    }
    return sum / (double)d->rows;
}

/* full(...): 2 evaluations a parameter. */
static PyObject *full(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    const struct data d = open_data(args);
    if (PyErr_Occurred()) return NULL;
    double *p = malloc(sizeof(double) * (size_t)d.cols);
    memcpy(p, d.p, sizeof(double) * (size_t)d.cols);
    for (ptrdiff_t j = 0; j < d.cols; j++) {
        const double h = STEP * fmax(1.0, fabs(d.p[j]));
        p[j] = d.p[j] + h;
        const double above = loss(&d, p);
        p[j] = d.p[j] - h;
        d.out[j] = (above - loss(&d, p)) / (2.0 * h);
        p[j] = d.p[j];
    }
    free(p);
    return Py_NewRef(args[3]);
}

/* Sums of l(z + h x) - l(z - h x) over some rows, all parameters at once: one pass over X. */
static void differences(const struct data *d, const double *restrict h, double *restrict sum, ptrdiff_t first,
                        ptrdiff_t last) {
    memset(sum, 0, sizeof(double) * (size_t)d->cols);
    for (ptrdiff_t i = first; i < last; i++) {
        const double *restrict x = d->X + i * d->cols, y = d->y[i], z = dot(d->cols, x, d->p);
        if (d->logistic) {
            for (ptrdiff_t j = 0; j < d->cols; j++) {
                const double move = h[j] * x[j];
                sum[j] += softplus(z + move) - softplus(z - move) - 2.0 * y * move;
            }
        } else {
            for (ptrdiff_t j = 0; j < d->cols; j++) {
                const double above = z - y + h[j] * x[j], below = z - y - h[j] * x[j];
                sum[j] += above * above - below * below;
            }
        }
    }
}

/* updates(...): coordinate updates of the linear predictor, O(rows * cols) in all. */
static PyObject *updates(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    const struct data d = open_data(args);
    if (PyErr_Occurred()) return NULL;
    double *h = malloc(sizeof(double) * (size_t)(d.cols * (1 + d.threads))), *sums = h + d.cols;
    for (ptrdiff_t j = 0; j < d.cols; j++) h[j] = STEP * fmax(1.0, fabs(d.p[j]));
    Py_BEGIN_ALLOW_THREADS
    if (d.threads == 1) {
        differences(&d, h, sums, 0, d.rows);
    } else {
#pragma omp parallel for num_threads(d.threads) schedule(static)
        for (int t = 0; t < d.threads; t++)
            differences(&d, h, sums + t * d.cols, d.rows * t / d.threads, d.rows * (t + 1) / d.threads);
    }
    Py_END_ALLOW_THREADS
    for (ptrdiff_t j = 0; j < d.cols; j++) {
        double sum = 0.0;
        for (int t = 0; t < d.threads; t++) sum += sums[t * d.cols + j];
        d.out[j] = sum / (2.0 * h[j] * (double)d.rows);
    }
    free(h);
    return Py_NewRef(args[3]);
}

#define ENTRY(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {ENTRY(full), ENTRY(updates), {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "regression", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_regression(void) { return PyModule_Create(&module); }
