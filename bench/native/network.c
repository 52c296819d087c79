/* Floors of the network workload: a 64-128-10 MLP, tanh and cross-entropy, numeric central gradients.
 * Compiled with -ffast-math: exp(), log() and tanh() then use vectors. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { D = 64, H = 128, K = 10, SIZE = H * D + H + K * H + K };
static const double STEP = 6.055454452393343e-06; /* DBL_EPSILON ** (1/3) */

struct data {
    const double *X, *p, *labels;
    double *out;
    ptrdiff_t rows;
    int threads;
};

static void *data_of(PyObject *array, ptrdiff_t *count) {
    Py_buffer view;
    *count = 0;
    if (PyObject_GetBuffer(array, &view, PyBUF_SIMPLE) < 0) return NULL;
    *count = view.len / (ptrdiff_t)sizeof(double);
    PyBuffer_Release(&view); /* the caller's reference keeps it */
    return view.buf;
}

static struct data open_data(PyObject *const *args) { /* X, labels, p, out, threads */
    struct data d;
    ptrdiff_t count;
    d.X = data_of(args[0], &count), d.labels = data_of(args[1], &d.rows);
    d.p = data_of(args[2], &count), d.out = data_of(args[3], &count);
    d.threads = (int)PyLong_AsLong(args[4]);
    return d;
}

static double dot(ptrdiff_t n, const double *restrict a, const double *restrict b) {
    double sum = 0.0;
    for (ptrdiff_t j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

/* Hidden z and a, outputs less the largest. */
static void forward(const double *p, const double *x, double *z, double *a, double *outputs) {
    const double *b1 = p + H * D, *W2 = b1 + H, *b2 = W2 + K * H;
    double highest = -INFINITY;
    for (int u = 0; u < H; u++) z[u] = b1[u] + dot(D, p + u * D, x);
    for (int u = 0; u < H; u++) a[u] = tanh(z[u]);
    for (int k = 0; k < K; k++) {
        outputs[k] = b2[k] + dot(H, W2 + k * H, a);
        highest = fmax(highest, outputs[k]);
    }
    for (int k = 0; k < K; k++) outputs[k] -= highest;
}

static double loss(const struct data *d, const double *p) {
    double sum = 0.0, z[H], a[H], outputs[K];
    for (ptrdiff_t i = 0; i < d->rows; i++) {
        forward(p, d->X + i * D, z, a, outputs);
        double total = 0.0;
        for (int k = 0; k < K; k++) total += exp(outputs[k]);
        sum += log(total) - outputs[(int)d->labels[i]];
    }
    return sum / (double)d->rows;
}

/* full(...): 2 evaluations a parameter. */
static PyObject *full(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    const struct data d = open_data(args);
    if (PyErr_Occurred()) return NULL;
    double *p = malloc(sizeof(double) * SIZE);
    memcpy(p, d.p, sizeof(double) * SIZE);
    for (int j = 0; j < SIZE; j++) {
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

/* A row's loss when a hidden unit moves by each of the moves; w are its weights to the outputs. */
static void hidden_moves(int n, const double *restrict move, double z, double a, const double *restrict outputs,
                         const double *restrict w, int label, double *restrict result) {
    double change[D + 1], total[D + 1];
    for (int j = 0; j < n; j++) change[j] = tanh(z + move[j]) - a, total[j] = 0.0;
    for (int k = 0; k < K; k++) {
        for (int j = 0; j < n; j++) total[j] += exp(outputs[k] + w[k] * change[j]);
    }
    for (int j = 0; j < n; j++) result[j] = log(total[j]) - (outputs[label] + w[label] * change[j]);
}

static void output_moves(int n, const double *restrict move, double output, double rest, double hit,
                         double *restrict result) {
    for (int j = 0; j < n; j++) result[j] = log(rest + exp(output + move[j])) - hit * move[j];
}

/* Adds the slopes of some rows, moving each weight's unit alone: one pass, vectors over the weights of a unit. */
static void differences(const struct data *d, const double *h, double *sum, ptrdiff_t first, ptrdiff_t last) {
    const double *W2 = d->p + H * D + H;
    double z[H], a[H], outputs[K], w[K], up[H + 1], down[H + 1], above[H + 1], below[H + 1];
    memset(sum, 0, sizeof(double) * SIZE);
    for (ptrdiff_t i = first; i < last; i++) {
        const double *x = d->X + i * D;
        const int label = (int)d->labels[i];
        forward(d->p, x, z, a, outputs);
        for (int u = 0; u < H; u++) {
            for (int j = 0; j < D; j++) up[j] = h[u * D + j] * x[j];
            up[D] = h[H * D + u];
            for (int j = 0; j <= D; j++) down[j] = -up[j];
            for (int k = 0; k < K; k++) w[k] = W2[k * H + u];
            hidden_moves(D + 1, up, z[u], a[u], outputs, w, label, above);
            hidden_moves(D + 1, down, z[u], a[u], outputs, w, label, below);
            for (int j = 0; j < D; j++) sum[u * D + j] += above[j] - below[j];
            sum[H * D + u] += above[D] - below[D];
        }
        double total = 0.0;
        for (int k = 0; k < K; k++) total += exp(outputs[k]);
        for (int k = 0; k < K; k++) {
            const int start = H * D + H + k * H, bias = H * D + H + K * H + k;
            for (int u = 0; u < H; u++) up[u] = h[start + u] * a[u];
            up[H] = h[bias];
            for (int u = 0; u <= H; u++) down[u] = -up[u];
            const double rest = total - exp(outputs[k]);
            output_moves(H + 1, up, outputs[k], rest, k == label, above);
            output_moves(H + 1, down, outputs[k], rest, k == label, below);
            for (int u = 0; u < H; u++) sum[start + u] += above[u] - below[u];
            sum[bias] += above[H] - below[H];
        }
    }
}

static PyObject *updates(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self, (void)nargs;
    const struct data d = open_data(args);
    if (PyErr_Occurred()) return NULL;
    double *h = malloc(sizeof(double) * SIZE * (size_t)(1 + d.threads)), *sums = h + SIZE;
    for (int j = 0; j < SIZE; j++) h[j] = STEP * fmax(1.0, fabs(d.p[j]));
    Py_BEGIN_ALLOW_THREADS
    if (d.threads == 1) {
        differences(&d, h, sums, 0, d.rows);
    } else {
#pragma omp parallel for num_threads(d.threads) schedule(static)
        for (int t = 0; t < d.threads; t++)
            differences(&d, h, sums + t * SIZE, d.rows * t / d.threads, d.rows * (t + 1) / d.threads);
    }
    Py_END_ALLOW_THREADS
    for (int j = 0; j < SIZE; j++) {
        double sum = 0.0;
        for (int t = 0; t < d.threads; t++) sum += sums[t * SIZE + j];
        d.out[j] = sum / (2.0 * h[j] * (double)d.rows);
    }
    free(h);
    return Py_NewRef(args[3]);
}

#define ENTRY(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}
static PyMethodDef methods[] = {ENTRY(full), ENTRY(updates), {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "network", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_network(void) { return PyModule_Create(&module); }
