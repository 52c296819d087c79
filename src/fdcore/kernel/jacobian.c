/* jacobian.c - the perturbation loop: one column of the Jacobian after another, on one thread or several.
 *
 * A column depends on x and the options alone, never on the worker that computes it or on the columns beside it, so the
 * result is bitwise the same for any number of workers. Columns are claimed in increasing order and a worker finishes
 * what it has claimed, so the lowest failing column is always found and its error is the one reported. */
#include "compat.h"
#include "internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES (256 * 1024)      /* fits the second-level cache */
#define WORTH_THREADS_NS 300000       /* estimated work below which a second thread does not pay */
#define CLAIM_NS 20000               /* work a claim of columns should hold */
#define POLL_EVERY_NS 50000000        /* 50 ms: more often costs time against a busy GIL */
#define MAX_COUNTDOWN 65536

typedef struct failure {
    fdc_status status;
    ptrdiff_t column;
    double displacement;
    int callback_status;
} failure;

typedef struct job {
    const fdc_problem *p;
    const fdc_options *o;
    const double *f0;       /* (m,), where any scheme in use needs it */
    ptrdiff_t width;        /* doubles a row of x: n, or 2n when complex */
    ptrdiff_t rows;         /* rows of x and y that each worker has */
    ptrdiff_t chunk;        /* columns a claim */
    double *step;           /* (n,) or NULL */
    uint8_t *component;     /* (n,) or NULL */
    uint8_t *nonfinite;     /* (n,) columns to be tried again */
    ptrdiff_t next;         /* atomic: first column not claimed */
    ptrdiff_t nfev;         /* atomic: the helpers' evaluations */
    int any_nonfinite;      /* atomic */
    int cancelled;          /* atomic */
    struct worker *caller;  /* the calling thread's worker */
    fdc_mutex lock;         /* guards first */
    failure first;          /* the lowest failing column's */
} job;

typedef struct worker {
    job *job;
    double **x;      /* rows of x; read again after each evaluation, since the callback may move it */
    double *own_x;
    double *y;
    ptrdiff_t nfev;
    int polls;       /* this worker is the calling thread */
    int countdown;   /* evaluations until the clock is read */
    int interval;
    int64_t last_poll;
} worker;

/* ---- small things -------------------------------------------------------------------------------------------- */

static int finite_all(ptrdiff_t m, const double *values, ptrdiff_t stride)
{
    /* Adding one to a full exponent carries into the top bit. Written so that compilers vectorise it. */
    uint64_t carry = 0;
    if (stride == 1) {
        for (ptrdiff_t i = 0; i < m; i++) {
            uint64_t bits;
            memcpy(&bits, values + i, sizeof bits);
            carry |= (bits & UINT64_C(0x7ff0000000000000)) + UINT64_C(0x0010000000000000);
        }
    } else {
        for (ptrdiff_t i = 0; i < m; i++) {
            uint64_t bits;
            memcpy(&bits, values + i * stride, sizeof bits);
            carry |= (bits & UINT64_C(0x7ff0000000000000)) + UINT64_C(0x0010000000000000);
        }
    }
    return (carry >> 63) == 0;
}

static int same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static int multiply(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product)
{
    if (a != 0 && b > PTRDIFF_MAX / (ptrdiff_t)sizeof(double) / a) {
        return 0;
    }
    *product = a * b;
    return 1;
}

static ptrdiff_t coordinate(const job *jb, ptrdiff_t j)
{
    return jb->p->is_complex ? 2 * j + 1 : j;
}

static double coordinate_value(const job *jb, ptrdiff_t j)
{
    return jb->p->is_complex ? 0.0 : jb->p->x[j];
}

static void fill_row(const job *jb, double *row)
{
    if (!jb->p->is_complex) {
        memcpy(row, jb->p->x, (size_t)jb->p->n * sizeof *row);
        return;
    }
    for (ptrdiff_t j = 0; j < jb->p->n; j++) {
        row[2 * j] = jb->p->x[j];
        row[2 * j + 1] = 0.0;
    }
}

/* ---- one evaluation ------------------------------------------------------------------------------------------ */

static int cancelled(worker *w)
{
    job *jb = w->job;
    if (w->polls && --w->countdown <= 0) {
        const int64_t now = fdc_clock_ns();
        if (now - w->last_poll >= POLL_EVERY_NS) {
            if (jb->o->poll(jb->o->poll_ctx) != 0) {
                fdc_atomic_store_int(&jb->cancelled, 1);
            }
            w->last_poll = fdc_clock_ns();
            w->interval = w->interval > 1 ? w->interval / 2 : 1;
        } else if (now - w->last_poll < POLL_EVERY_NS / 8 && w->interval < MAX_COUNTDOWN) {
            w->interval *= 2;
        }
        w->countdown = w->interval;
    }
    return fdc_atomic_load_int(&jb->cancelled);
}

static fdc_status evaluate(worker *w, ptrdiff_t count, double *y, failure *fail)
{
    const fdc_problem *p = w->job->p;
    if (cancelled(w)) {
        return FDC_ERR_CANCELLED;
    }
    w->nfev += count;
    const int rc = p->f->eval(count, p->n, *w->x, p->m, y, p->f->ctx);
    if (rc != 0) {
        fail->callback_status = rc;
        return FDC_ERR_CALLBACK;
    }
    return FDC_OK;
}

/* ---- from values to a column --------------------------------------------------------------------------------- */

/* One column from the values y (npoints, m) at displacements d. Returns whether all its entries are finite. */
static int combine(const job *jb, const fdc_placement *at, const double *y, const double *d, ptrdiff_t j)
{
    const fdc_problem *p = jb->p;
    const fdc_scheme *s = at->scheme;
    const ptrdiff_t m = p->m;
    const ptrdiff_t stride = p->row_stride;
    double *out = p->jac + j * p->col_stride;
    const double *f0 = jb->f0;

    if (m == 1) { /* divisions, so that the derivative of a linear function comes out exact */
        double value = 0.0;
        switch (s->form) {
        case FDC_PAIRS:
            for (int k = 0; k < s->npoints / 2; k++) {
                value += s->weight[k] * ((y[2 * k] - y[2 * k + 1]) / (d[2 * k] - d[2 * k + 1]));
            }
            break;
        case FDC_ONE_SIDED:
            for (int k = 0; k < s->npoints; k++) {
                value += s->weight[k] * ((y[k] - *f0) / d[k]);
            }
            break;
        case FDC_WEIGHTS:
            value = s->uses_center ? s->center_weight * *f0 : 0.0;
            for (int k = 0; k < s->npoints; k++) {
                value += s->weight[k] * y[k];
            }
            for (int k = 0; k < s->order; k++) {
                value /= at->h;
            }
            break;
        case FDC_IMAGINARY:
            value = y[0] / d[0];
            break;
        }
        *out = value;
        return fabs(value) <= DBL_MAX;
    }

    double factor[FDC_MAX_POINTS];
    switch (s->form) {
    case FDC_PAIRS:
        for (int k = 0; k < s->npoints / 2; k++) {
            factor[k] = s->weight[k] / (d[2 * k] - d[2 * k + 1]);
        }
        if (s->npoints == 2 && stride == 1) {
            for (ptrdiff_t i = 0; i < m; i++) {
                out[i] = (y[i] - y[m + i]) * factor[0];
            }
            break;
        }
        for (ptrdiff_t i = 0; i < m; i++) {
            double value = 0.0;
            for (int k = 0; k < s->npoints / 2; k++) {
                value += (y[2 * k * m + i] - y[(2 * k + 1) * m + i]) * factor[k];
            }
            out[i * stride] = value;
        }
        break;
    case FDC_ONE_SIDED:
        for (int k = 0; k < s->npoints; k++) {
            factor[k] = s->weight[k] / d[k];
        }
        if (s->npoints == 1 && stride == 1) {
            for (ptrdiff_t i = 0; i < m; i++) {
                out[i] = (y[i] - f0[i]) * factor[0];
            }
            break;
        }
        for (ptrdiff_t i = 0; i < m; i++) {
            double value = 0.0;
            for (int k = 0; k < s->npoints; k++) {
                value += (y[k * m + i] - f0[i]) * factor[k];
            }
            out[i * stride] = value;
        }
        break;
    case FDC_WEIGHTS:
        for (ptrdiff_t i = 0; i < m; i++) {
            double value = s->uses_center ? s->center_weight * f0[i] : 0.0;
            for (int k = 0; k < s->npoints; k++) {
                value += s->weight[k] * y[k * m + i];
            }
            for (int k = 0; k < s->order; k++) {
                value /= at->h;
            }
            out[i * stride] = value;
        }
        break;
    case FDC_IMAGINARY:
        for (ptrdiff_t i = 0; i < m; i++) {
            out[i * stride] = y[i] / d[0];
        }
        break;
    }
    return finite_all(m, out, stride);
}

/* ---- columns ------------------------------------------------------------------------------------------------- */

static fdc_status fail_at(failure *fail, fdc_status status, ptrdiff_t j, double displacement)
{
    fail->status = status;
    fail->column = j;
    fail->displacement = displacement;
    return status;
}

/* The displacement of point k, or 0 where it would not move. */
static double displacement(const job *jb, const fdc_placement *at, ptrdiff_t j, int k, double *point)
{
    if (jb->p->is_complex) {
        *point = at->h;
        return at->h;
    }
    const double x = jb->p->x[j];
    *point = fdc_point(at, jb->o, j, x, k);
    return *point - x;
}

/* Evaluates the points of column j one by one and combines them. `finite` says whether the column came out finite. */
static fdc_status column_by_points(worker *w, ptrdiff_t j, const fdc_placement *at, int *finite, failure *fail)
{
    const job *jb = w->job;
    const ptrdiff_t c = coordinate(jb, j);
    const double home = coordinate_value(jb, j);
    double d[FDC_MAX_POINTS];
    for (int k = 0; k < at->scheme->npoints; k++) {
        double point;
        d[k] = displacement(jb, at, j, k, &point);
        if (d[k] == 0.0) {
            return fail_at(fail, FDC_ERR_STEP, j, at->h);
        }
        if (!same_bits((*w->x)[c], home)) {
            return fail_at(fail, FDC_ERR_MUTATED, j, (*w->x)[c]);
        }
        (*w->x)[c] = point;
        const fdc_status status = evaluate(w, 1, w->y + k * jb->p->m, fail);
        if (status != FDC_OK) {
            return fail_at(fail, status, j, d[k]);
        }
        if (!same_bits((*w->x)[c], point)) {
            return fail_at(fail, FDC_ERR_MUTATED, j, (*w->x)[c]);
        }
        (*w->x)[c] = home;
    }
    *finite = combine(jb, at, w->y, d, j);
    return FDC_OK;
}

static void record(job *jb, ptrdiff_t j, const fdc_placement *at, int finite)
{
    if (jb->step != NULL) {
        jb->step[j] = at->h;
    }
    if (jb->component != NULL) {
        jb->component[j] = (uint8_t)at->component;
    }
    if (!finite) {
        jb->nonfinite[j] = 1;
        fdc_atomic_store_int(&jb->any_nonfinite, 1);
    }
}

static fdc_status columns_one_by_one(worker *w, ptrdiff_t begin, ptrdiff_t end, failure *fail)
{
    job *jb = w->job;
    for (ptrdiff_t j = begin; j < end; j++) {
        fdc_placement at;
        fdc_status status = fdc_place(jb->p, jb->o, j, &at);
        if (status != FDC_OK) {
            return fail_at(fail, status, j, at.h);
        }
        int finite = 1;
        status = column_by_points(w, j, &at, &finite, fail);
        if (status != FDC_OK) {
            return status;
        }
        record(jb, j, &at, finite);
    }
    return FDC_OK;
}

/* The points of several columns in one call. Every row of x equals the base point but for one entry. */
static fdc_status columns_batched(worker *w, ptrdiff_t begin, ptrdiff_t end, failure *fail)
{
    job *jb = w->job;
    const ptrdiff_t m = jb->p->m;
    ptrdiff_t row = 0;
    for (ptrdiff_t j = begin; j < end; j++) {
        fdc_placement at;
        const fdc_status status = fdc_place(jb->p, jb->o, j, &at);
        if (status != FDC_OK) {
            return fail_at(fail, status, j, at.h);
        }
        for (int k = 0; k < at.scheme->npoints; k++, row++) {
            double point;
            if (displacement(jb, &at, j, k, &point) == 0.0) {
                return fail_at(fail, FDC_ERR_STEP, j, at.h);
            }
            (*w->x)[row * jb->width + coordinate(jb, j)] = point;
        }
    }
    const fdc_status status = evaluate(w, row, w->y, fail);
    if (status != FDC_OK) {
        return fail_at(fail, status, begin, 0.0);
    }
    row = 0;
    for (ptrdiff_t j = begin; j < end; j++) {
        fdc_placement at;
        (void)fdc_place(jb->p, jb->o, j, &at);
        double d[FDC_MAX_POINTS];
        const double *y = w->y + row * m;
        for (int k = 0; k < at.scheme->npoints; k++, row++) {
            double point;
            d[k] = displacement(jb, &at, j, k, &point);
            double *entry = *w->x + row * jb->width + coordinate(jb, j);
            if (!same_bits(*entry, point)) {
                return fail_at(fail, FDC_ERR_MUTATED, j, *entry);
            }
            *entry = coordinate_value(jb, j);
        }
        record(jb, j, &at, combine(jb, &at, y, d, j));
    }
    return FDC_OK;
}

/* ---- workers ------------------------------------------------------------------------------------------------- */

static fdc_status worker_init(worker *w, job *jb, int polls)
{
    memset(w, 0, sizeof *w);
    w->job = jb;
    w->polls = polls && jb->o->poll != NULL;
    w->countdown = w->interval = 1;
    w->last_poll = w->polls ? fdc_clock_ns() : 0;
    const int shared = polls && jb->p->xslot != NULL;
    const ptrdiff_t x_size = shared ? 0 : jb->rows * jb->width;
    const ptrdiff_t y_rows = jb->rows > FDC_MAX_POINTS ? jb->rows : FDC_MAX_POINTS;
    w->own_x = malloc((size_t)(x_size + y_rows * jb->p->m + 1) * sizeof(double));
    if (w->own_x == NULL) {
        return FDC_ERR_MEMORY;
    }
    w->y = w->own_x + x_size;
    w->x = shared ? jb->p->xslot : &w->own_x;
    for (ptrdiff_t row = 0; row < jb->rows; row++) {
        fill_row(jb, *w->x + row * jb->width);
    }
    return FDC_OK;
}

/* Entries that no later perturbation looked at again may still have been written to. */
static fdc_status unchanged(const worker *w, failure *fail)
{
    const job *jb = w->job;
    for (ptrdiff_t row = 0; row < jb->rows; row++) {
        const double *x = *w->x + row * jb->width;
        if (!jb->p->is_complex && memcmp(x, jb->p->x, (size_t)jb->p->n * sizeof *x) == 0) {
            continue;
        }
        for (ptrdiff_t j = 0; j < jb->p->n; j++) {
            const double real = jb->p->is_complex ? x[2 * j] : x[j];
            const double imaginary = jb->p->is_complex ? x[2 * j + 1] : 0.0;
            if (!same_bits(real, jb->p->x[j]) || imaginary != 0.0) {
                return fail_at(fail, FDC_ERR_MUTATED, j, real);
            }
        }
    }
    return FDC_OK;
}

static void report(job *jb, const failure *fail)
{
    fdc_mutex_lock(&jb->lock);
    if (jb->first.status == FDC_OK || fail->column < jb->first.column) {
        jb->first = *fail;
    }
    fdc_mutex_unlock(&jb->lock);
    /* Nothing above what is already claimed needs to start. */
    fdc_atomic_store(&jb->next, jb->p->n);
}

/* Claims columns up to `end` and computes them. */
static void work(worker *w, ptrdiff_t end)
{
    job *jb = w->job;
    const int batched = (jb->p->f->flags & FDC_BATCHED) != 0;
    failure fail = {FDC_OK, -1, 0.0, 0};
    for (;;) {
        const ptrdiff_t begin = fdc_atomic_fetch_add(&jb->next, jb->chunk);
        if (begin >= end) {
            break;
        }
        const ptrdiff_t stop = end - begin < jb->chunk ? end : begin + jb->chunk;
        const fdc_status status =
            batched ? columns_batched(w, begin, stop, &fail) : columns_one_by_one(w, begin, stop, &fail);
        if (status != FDC_OK) {
            report(jb, &fail);
            return;
        }
    }
    if (unchanged(w, &fail) != FDC_OK) {
        report(jb, &fail);
    }
}

static void task(void *ctx, int index)
{
    job *jb = ctx;
    worker w;
    if (index == 0) {
        work(jb->caller, jb->p->n);
        return;
    }
    if (worker_init(&w, jb, 0) != FDC_OK) {
        const failure fail = {FDC_ERR_MEMORY, -1, 0.0, 0};
        report(jb, &fail);
        return;
    }
    work(&w, jb->p->n);
    fdc_atomic_fetch_add(&jb->nfev, w.nfev);
    free(w.own_x);
}

static void on_cancel(void *ctx)
{
    job *jb = ctx;
    fdc_atomic_store_int(&jb->cancelled, 1);
}

/* ---- retreat ------------------------------------------------------------------------------------------------- */

/* Column j gave NaN or inf: the other side, then smaller and smaller steps, until its entries are finite. */
static fdc_status retreat(worker *w, ptrdiff_t j, failure *fail)
{
    static const double shrink[] = {1.0, 0.125, 1.0 / 64, 1.0 / 512, 1.0 / 4096};
    job *jb = w->job;
    const fdc_problem *p = jb->p;
    const double lower = jb->o->lower != NULL ? jb->o->lower[j] : -INFINITY;
    const double upper = jb->o->upper != NULL ? jb->o->upper[j] : INFINITY;
    fdc_placement first;
    (void)fdc_place(p, jb->o, j, &first);
    for (size_t level = 0; level < sizeof shrink / sizeof *shrink; level++) {
        for (int side = 0; side < p->nschemes; side++) {
            const fdc_placement at = {
                &p->scheme[side], first.h * shrink[level],
                side == 1 ? FDC_AT_FORWARD : side == 2 ? FDC_AT_BACKWARD : FDC_AT_SHRUNK};
            const double x = p->x[j];
            if ((at.scheme == first.scheme && level == 0) || x + at.scheme->lowest * at.h < lower ||
                x + at.scheme->highest * at.h > upper || x + at.h == x || x - at.h == x) {
                continue;
            }
            int finite = 0;
            const fdc_status status = column_by_points(w, j, &at, &finite, fail);
            if (status != FDC_OK) {
                return status;
            }
            if (finite) {
                record(jb, j, &at, 1);
                return FDC_OK;
            }
        }
    }
    return fail_at(fail, FDC_ERR_NONFINITE, j, first.h);
}

/* f(x) into f0. */
static fdc_status base_value(worker *w, double *f0, failure *fail)
{
    fdc_status status = evaluate(w, 1, f0, fail);
    if (status == FDC_OK && !finite_all(w->job->p->m, f0, 1)) {
        status = FDC_ERR_NONFINITE;
    }
    return status == FDC_OK ? FDC_OK : fail_at(fail, status, -1, 0.0);
}

static fdc_status retreat_all(worker *w, double *f0, failure *fail)
{
    job *jb = w->job;
    if (jb->f0 == NULL) {
        const fdc_status status = base_value(w, f0, fail);
        if (status != FDC_OK) {
            return status;
        }
        jb->f0 = f0;
    } else if (!finite_all(jb->p->m, jb->f0, 1)) {
        return fail_at(fail, FDC_ERR_NONFINITE, -1, 0.0);
    }
    for (ptrdiff_t j = 0; j < jb->p->n; j++) {
        if (jb->nonfinite[j]) {
            const fdc_status status = retreat(w, j, fail);
            if (status != FDC_OK) {
                return status;
            }
        }
    }
    return unchanged(w, fail);
}

/* ---- a run --------------------------------------------------------------------------------------------------- */

static int needs_center(const fdc_problem *p, const fdc_options *o)
{
    if (p->scheme[0].uses_center) {
        return 1;
    }
    if (p->nschemes == 1 || (o->lower == NULL && o->upper == NULL)) {
        return 0;
    }
    for (ptrdiff_t j = 0; j < p->n; j++) {
        fdc_placement at;
        if (fdc_place(p, o, j, &at) == FDC_OK && at.scheme->uses_center) {
            return 1;
        }
    }
    return 0;
}

static int most_points(const fdc_problem *p)
{
    int most = 1;
    for (int i = 0; i < p->nschemes; i++) {
        most = p->scheme[i].npoints > most ? p->scheme[i].npoints : most;
    }
    return most;
}

/* Columns a claim: enough that claiming costs nothing beside them, and few enough that workers finish together. */
static ptrdiff_t columns_a_claim(ptrdiff_t n, double column_ns)
{
    const ptrdiff_t fair = n / 32;
    const ptrdiff_t paying = column_ns > 0.0 ? (ptrdiff_t)(CLAIM_NS / column_ns) + 1 : fair;
    const ptrdiff_t chunk = paying < fair ? paying : fair;
    return chunk > 1 ? chunk : 1;
}

/* Runs all columns, on the calling thread alone or with helpers. Returns how many workers took part. */
static int run_columns(worker *w)
{
    job *jb = w->job;
    const fdc_options *o = jb->o;
    const ptrdiff_t n = jb->p->n;
    const int batched = (jb->p->f->flags & FDC_BATCHED) != 0;
    int workers = o->workers;
    if (o->pool == NULL || workers == 1 || n <= jb->chunk || jb->p->xslot != NULL ||
        !(jb->p->f->flags & FDC_REENTRANT)) {
        jb->chunk = batched ? jb->chunk : n;
        work(w, n);
        return 1;
    }
    double column_ns = 0.0;
    if (workers <= 0) { /* as many as the work is worth: time the first columns */
        const ptrdiff_t timed = jb->chunk;
        const int64_t start = fdc_clock_ns();
        work(w, timed);
        if (jb->first.status != FDC_OK) {
            return 1;
        }
        fdc_atomic_store(&jb->next, timed);
        column_ns = (double)(fdc_clock_ns() - start) / (double)timed;
        if (column_ns * (double)(n - timed) < WORTH_THREADS_NS) {
            jb->chunk = batched ? jb->chunk : n;
            work(w, n);
            return 1;
        }
        workers = workers < 0 ? -workers : INT32_MAX;
    }
    if (!batched) {
        jb->chunk = columns_a_claim(n, column_ns);
    }
    jb->caller = w;
    return fdc_pool_run(o->pool, workers, task, jb, o->poll, o->poll_ctx, on_cancel);
}

fdc_status fdc_run(const fdc_problem *p, const fdc_options *o, fdc_info *info)
{
    job jb;
    worker w;
    failure fail = {FDC_OK, -1, 0.0, 0};
    memset(&jb, 0, sizeof jb);
    jb.p = p;
    jb.o = o;
    jb.f0 = o->f0;
    jb.first = fail;
    jb.width = p->is_complex ? 2 * p->n : p->n;
    const int points = most_points(p);
    jb.rows = 1;
    jb.chunk = 1;
    if (p->f->flags & FDC_BATCHED) {
        jb.rows = p->block_rows;
        if (jb.rows <= 0) {
            jb.rows = jb.width > 0 ? BATCH_BYTES / ((ptrdiff_t)sizeof(double) * jb.width) : points;
        }
        jb.rows = jb.rows > points ? jb.rows : points;
        jb.rows = jb.rows > points * p->n ? points * (p->n > 0 ? p->n : 1) : jb.rows;
        jb.chunk = jb.rows / points;
    }
    if (info != NULL) {
        jb.step = info->step;
        jb.component = info->component;
        info->nfev = 0;
        info->column = -1;
        info->displacement = 0.0;
        info->callback_status = 0;
        info->workers = 1;
    }
    ptrdiff_t size;
    if (!multiply(jb.rows + 1, jb.width + 1, &size) || !multiply(jb.rows + FDC_MAX_POINTS, p->m + 1, &size)) {
        return FDC_ERR_MEMORY;
    }
    if (p->n == 0) {
        return FDC_OK;
    }

    /* One block for what the run owns besides its workers: f(x) and the marks of nonfinite columns. */
    double *own = malloc((size_t)p->m * sizeof(double) + (size_t)p->n);
    if (own == NULL) {
        return FDC_ERR_MEMORY;
    }
    jb.nonfinite = (uint8_t *)(own + p->m);
    memset(jb.nonfinite, 0, (size_t)p->n);
    int workers = 1;
    fdc_mutex_init(&jb.lock);
    fdc_status status = worker_init(&w, &jb, 1);
    if (status != FDC_OK) {
        fail.status = status;
        goto cleanup;
    }
    if (jb.f0 == NULL && needs_center(p, o)) {
        status = base_value(&w, own, &fail);
        if (status != FDC_OK) {
            goto cleanup;
        }
        jb.f0 = own;
    }
    workers = run_columns(&w);
    fail = jb.first;
    status = fail.status;
    if (status == FDC_OK && fdc_atomic_load_int(&jb.cancelled)) {
        status = FDC_ERR_CANCELLED;
    }
    if (status == FDC_OK && fdc_atomic_load_int(&jb.any_nonfinite)) {
        status = retreat_all(&w, own, &fail);
    }

cleanup:
    if (info != NULL) {
        info->nfev = fdc_atomic_load(&jb.nfev) + w.nfev;
        info->column = fail.column;
        info->displacement = fail.displacement;
        info->callback_status = fail.callback_status;
        info->workers = workers;
    }
    free(w.own_x);
    fdc_mutex_destroy(&jb.lock);
    free(own);
    return status;
}

fdc_status fdc_jacobian(const fdc_func *f, ptrdiff_t n, const double *x, ptrdiff_t m, double *jac, ptrdiff_t row_stride,
                        ptrdiff_t col_stride, const fdc_options *options, fdc_info *info)
{
    fdc_options defaults;
    if (options == NULL) {
        fdc_options_init(&defaults);
        options = &defaults;
    }
    if (f == NULL || f->version != FDC_ABI_VERSION || f->eval == NULL || options->version != FDC_ABI_VERSION || n < 0 ||
        m < 0 || (n > 0 && (x == NULL || (m > 0 && jac == NULL)))) {
        return FDC_ERR_ARGUMENT;
    }
    fdc_problem p;
    memset(&p, 0, sizeof p);
    p.f = f;
    p.n = n;
    p.m = m;
    p.x = x;
    p.jac = jac;
    p.row_stride = row_stride;
    p.col_stride = col_stride;
    p.nschemes = 3;
    const fdc_status status =
        fdc_scheme_first((fdc_method)options->method, options->accuracy, options->precision, &p.scheme[0]);
    if (status != FDC_OK) {
        return status;
    }
    (void)fdc_scheme_first(FDC_FORWARD, options->accuracy, options->precision, &p.scheme[1]);
    (void)fdc_scheme_first(FDC_BACKWARD, options->accuracy, options->precision, &p.scheme[2]);
    return fdc_run(&p, options, info);
}

fdc_status fdc_gradient(const fdc_func *f, ptrdiff_t n, const double *x, double *grad, const fdc_options *options,
                        fdc_info *info)
{
    return fdc_jacobian(f, n, x, 1, grad, 1, 1, options, info);
}
