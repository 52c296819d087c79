/* probe.h - a smooth function of many components that watches how it is called, and can be told to fail. */
#ifndef FDCORE_TESTS_PROBE_H
#define FDCORE_TESTS_PROBE_H

#include "compat.h"

#include "fdcore/fdcore.h"

#include "check.h"

enum { N = 40, M = 23 };

static const struct {
    fdc_method method;
    int accuracy;
} rules[] = {
    {FDC_FORWARD, 1},  {FDC_FORWARD, 2},  {FDC_FORWARD, 3},  {FDC_FORWARD, 4},  {FDC_FORWARD, 5},
    {FDC_FORWARD, 6},  {FDC_FORWARD, 7},  {FDC_FORWARD, 8},  {FDC_BACKWARD, 1}, {FDC_BACKWARD, 2},
    {FDC_BACKWARD, 3}, {FDC_BACKWARD, 4}, {FDC_BACKWARD, 5}, {FDC_BACKWARD, 6}, {FDC_BACKWARD, 7},
    {FDC_BACKWARD, 8}, {FDC_CENTRAL, 2},  {FDC_CENTRAL, 4},  {FDC_CENTRAL, 6},  {FDC_CENTRAL, 8},
};
enum { RULES = sizeof rules / sizeof *rules };

static inline void sleep_ms(long ms) {
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&span, NULL);
}

/* What a callback is to do, and what it saw. Counts are atomic: workers share it. */
typedef struct probe {
    ptrdiff_t calls, rows, running, most_running;
    ptrdiff_t fail_at;   /* fails where this component is moved, with status 7 + component; or -1: never */
    ptrdiff_t fail_also; /* and where this one is */
    ptrdiff_t nan_at;    /* NaN where this component is moved; or -1 */
    ptrdiff_t write_at;  /* writes to this component of x; or -1 */
    int nan_side;        /* NaN only if it is moved down (-1), up (1), or anyhow (0) */
    long pause_ms;
    ptrdiff_t pause_from; /* components whose move takes that long: this one and those after it */
    const double *x, *lower, *upper; /* what to compare with */
    ptrdiff_t outside;               /* evaluation points beyond the bounds */
    ptrdiff_t amiss;                 /* rows that are not x but for one component */
} probe;

static inline probe new_probe(const double *x) {
    const probe p = {.fail_at = -1, .fail_also = -1, .nan_at = -1, .write_at = -1, .pause_from = -1, .x = x};
    return p;
}

/* m values, each a smooth function of every component. */
static inline void smooth(ptrdiff_t n, const double *x, ptrdiff_t m, double *y) {
    for (ptrdiff_t i = 0; i < m; ++i) {
        double sum = 0;
        for (ptrdiff_t j = 0; j < n; ++j) {
            sum += sin(x[j] * (1.0 + 0.1 * (double)((i + j) % 7))) / (double)(1 + (i + j) % 5);
        }
        y[i] = sum;
    }
}

static inline double smooth_derivative(const double *x, ptrdiff_t i, ptrdiff_t j) {
    const double rate = 1.0 + 0.1 * (double)((i + j) % 7);
    return rate * cos(rate * x[j]) / (double)(1 + (i + j) % 5);
}

static inline int watched_row(probe *p, ptrdiff_t n, const double *x, ptrdiff_t m, double *y) {
    ptrdiff_t moved = -1, differing = 0;
    for (ptrdiff_t j = 0; j < n; ++j) {
        if (x[j] != p->x[j]) {
            moved = j;
            ++differing;
        }
        if ((p->lower != NULL && x[j] < p->lower[j]) || (p->upper != NULL && x[j] > p->upper[j])) {
            (void)fdc_atomic_fetch_add(&p->outside, 1);
        }
    }
    if (differing > 1) {
        (void)fdc_atomic_fetch_add(&p->amiss, 1);
    }
    if (p->pause_ms > 0 && moved >= p->pause_from) {
        sleep_ms(p->pause_ms);
    }
    if (moved >= 0 && (moved == p->fail_at || moved == p->fail_also)) {
        return 7 + (int)moved;
    }
    smooth(n, x, m, y);
    if (moved >= 0 && moved == p->nan_at && (p->nan_side == 0 || (x[moved] > p->x[moved]) == (p->nan_side > 0))) {
        y[m - 1] = NAN;
    }
    if (p->write_at >= 0) {
        ((double *)x)[p->write_at] += 1.0;
    }
    return 0;
}

static inline int watched(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    probe *p = ctx;
    const ptrdiff_t running = fdc_atomic_fetch_add(&p->running, 1) + 1;
    if (running > fdc_atomic_load(&p->most_running)) {
        fdc_atomic_store(&p->most_running, running);
    }
    (void)fdc_atomic_fetch_add(&p->calls, 1);
    (void)fdc_atomic_fetch_add(&p->rows, count);
    int status = 0;
    for (ptrdiff_t row = 0; row < count && status == 0; ++row) {
        status = watched_row(p, n, x + row * n, m, y + row * m);
    }
    (void)fdc_atomic_fetch_add(&p->running, -1);
    return status;
}

static inline fdc_func func_of(fdc_fn eval, uint32_t flags, void *ctx) {
    const fdc_func f = {.version = FDC_ABI_VERSION, .flags = flags, .eval = eval, .ctx = ctx};
    return f;
}

static inline fdc_options options_of(fdc_method method, int accuracy) {
    fdc_options o;
    fdc_options_init(&o);
    o.method = (int32_t)method;
    o.accuracy = accuracy;
    return o;
}

static inline void fill_x(double *x) {
    for (int j = 0; j < N; ++j) {
        x[j] = 0.05 * j - 1.0 + 0.3 / (j + 1);
    }
}

#endif
