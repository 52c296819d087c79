/* update.c - Jacobians from coordinate updates: the callback says what moving one coordinate changes, for many
 * coordinates in one call, instead of evaluating itself again and again.
 *
 * The work is split into parts, a fixed number whatever the workers, and the shares of the parts are added in order:
 * the result is bitwise the same for any number of workers. */
#include "run.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define PARTS 16
#define PAD 8 /* between shares, lest they start in the same set of the cache, which has room for half of them */
#define PROBE_COLS 64           /* columns of the calls that find out what a call costs */
#define FIRST_COLS 16384        /* columns of a call, where those of a probe are cheap */
#define PART_NS 20000000        /* what a call may take, so that Ctrl-C is heard */
#define SHARES_BYTES (64 << 20) /* what the shares of one call may occupy */
#define WORTH_THREADS_NS 300000 /* estimated work below which a second thread does not pay */

typedef struct fdc_sweep {
    fdc_worker *caller;
    fdc_update what;   /* but for its part */
    ptrdiff_t size;    /* from one share to the next */
    double *shares;    /* (PARTS, points, cols, m) */
    ptrdiff_t next;    /* atomic: first part not claimed */
    int failed;        /* atomic: some part has */
    int status[PARTS]; /* what the callback returned */
} fdc_sweep;

static void parts(fdc_sweep *sweep, fdc_worker *w, ptrdiff_t end) {
    const fdc_job *jb = sweep->caller->job;
    for (;;) {
        const ptrdiff_t part = fdc_atomic_fetch_add(&sweep->next, 1);
        if (part >= end || fdc_atomic_load_int(&sweep->failed) ||
            (w != NULL ? fdc_cancelled(w) : fdc_atomic_load_int(&jb->cancelled))) {
            return;
        }
        fdc_update what = sweep->what;
        what.part = part;
        sweep->status[part] = jb->p->f->update(&what, sweep->shares + part * sweep->size, jb->p->f->ctx);
        if (sweep->status[part] != 0) {
            fdc_atomic_store_int(&sweep->failed, 1);
        }
    }
}

static void task(void *ctx, int index) {
    fdc_sweep *sweep = ctx;
    parts(sweep, index == 0 ? sweep->caller : NULL, PARTS);
}

static void on_cancel(void *ctx) {
    fdc_sweep *sweep = ctx;
    fdc_atomic_store_int(&sweep->caller->job->cancelled, 1);
}

/* All parts of one block of columns; learns how many workers pay (*workers <= 0 at first). */
static fdc_status run(fdc_sweep *sweep, int *workers, int *took_part, fdc_failure *fail) {
    const fdc_options *o = sweep->caller->job->o;
    sweep->next = 0;
    memset(sweep->status, 0, sizeof sweep->status);
    if (*workers <= 0) {
        const int64_t start = fdc_clock_ns();
        parts(sweep, sweep->caller, 1);
        const int64_t rest = (fdc_clock_ns() - start) * (PARTS - 1);
        *workers = rest < WORTH_THREADS_NS ? 1 : fdc_most_workers(*workers);
        sweep->next = 1;
    }
    if (*workers == 1 || o->pool == NULL || !(sweep->caller->job->p->f->flags & FDC_REENTRANT)) {
        parts(sweep, sweep->caller, PARTS);
    } else {
        const int helped = fdc_pool_run(o->pool, *workers, task, sweep, fdc_poll, sweep->caller->job, on_cancel);
        *took_part = helped > *took_part ? helped : *took_part;
    }
    for (int part = 0; part < PARTS; part++) {
        if (sweep->status[part] != 0) {
            fail->callback_status = sweep->status[part];
            return fdc_fail(fail, FDC_ERR_CALLBACK, sweep->what.first, 0.0);
        }
    }
    return fdc_atomic_load_int(&sweep->caller->job->cancelled)
               ? fdc_fail(fail, FDC_ERR_CANCELLED, sweep->what.first, 0.0)
               : FDC_OK;
}

/* The same where job->plain, a loop that is vectorised. Returns whether all went well; place() says what did not. */
FDC_WIDE static int place_plain(const fdc_job *jb, ptrdiff_t first, ptrdiff_t cols, double *restrict delta) {
    const fdc_scheme *scheme = &jb->p->scheme[0];
    const double *restrict at = jb->p->x + first;
    const double rule = scheme->rule * (jb->o->step_scale > 0.0 ? jb->o->step_scale : 1.0);
    const double one = scheme->offset[0], other = scheme->offset[1];
    double *restrict opposite = delta + cols;
    uint64_t wrong = 0;
    for (ptrdiff_t c = 0; c < cols; c++) {
        const double x = at[c], size = fabs(x), h = rule * (size > 1.0 ? size : 1.0);
        delta[c] = (x + one * h) - x;
        opposite[c] = (x + other * h) - x;
        wrong |= fdc_carry(delta[c]) | fdc_carry(opposite[c]);
        wrong |= (uint64_t)(delta[c] == 0.0) << 63 | (uint64_t)(opposite[c] == 0.0) << 63;
    }
    return (wrong >> 63) == 0;
}

/* Fills delta (points, cols). Columns that need another scheme, for the bounds' sake, do not move: they are evaluated
 * in full later. */
static fdc_status place(const fdc_job *jb, ptrdiff_t first, ptrdiff_t cols, double *delta, fdc_failure *fail) {
    const fdc_problem *p = jb->p;
    if (jb->plain && place_plain(jb, first, cols, delta)) {
        return FDC_OK;
    }
    for (ptrdiff_t c = 0; c < cols; c++) {
        fdc_placement at;
        const fdc_status status = fdc_place(p, jb->o, first + c, &at);
        if (status != FDC_OK) {
            return fdc_fail(fail, status, first + c, at.h);
        }
        for (int k = 0; k < p->scheme[0].npoints; k++) {
            const double x = p->x[first + c];
            const double d = at.scheme == &p->scheme[0] ? fdc_point(&at, jb->o, first + c, x, k) - x : 0.0;
            if (at.scheme == &p->scheme[0] && d == 0.0) {
                return fdc_fail(fail, FDC_ERR_STEP, first + c, at.h);
            }
            delta[k * cols + c] = d;
        }
    }
    return FDC_OK;
}

/* The sum of all shares, in the order of their parts, into the first. By blocks, that stay in the cache. */
FDC_WIDE static void add_shares(const fdc_sweep *sweep) {
    enum { BLOCK = 1024 };
    const ptrdiff_t count = sweep->size - PAD;
    for (ptrdiff_t begin = 0; begin < count; begin += BLOCK) {
        const ptrdiff_t end = count - begin < BLOCK ? count : begin + BLOCK;
        double *restrict sum = sweep->shares;
        for (ptrdiff_t part = 1; part < PARTS; part++) {
            const double *restrict share = sweep->shares + part * sweep->size;
            for (ptrdiff_t i = begin; i < end; i++) {
                sum[i] += share[i];
            }
        }
    }
}

/* What fdc_combine() does with one value and job->plain, for many columns. Returns whether all are finite. */
FDC_WIDE static int combine_plain(const fdc_sweep *sweep, double *restrict out, ptrdiff_t stride) {
    const ptrdiff_t cols = sweep->what.cols;
    const double *restrict y = sweep->shares, *restrict d = sweep->what.delta;
    const double weight = sweep->caller->job->p->scheme[0].weight[0];
    uint64_t carry = 0;
    for (ptrdiff_t c = 0; c < cols; c++) {
        const double value = weight * ((y[c] - y[cols + c]) / (d[c] - d[cols + c]));
        carry |= fdc_carry(value);
        out[c * stride] = value;
    }
    return (carry >> 63) == 0;
}

/* From the shares to columns of the Jacobian. */
static fdc_status finish(fdc_sweep *sweep, const double *zeros, fdc_failure *fail) {
    fdc_worker *w = sweep->caller;
    fdc_job *jb = w->job, changes = *jb;
    const fdc_problem *p = jb->p;
    const ptrdiff_t m = p->m, cols = sweep->what.cols;
    add_shares(sweep);
    if (jb->plain && m == 1 && combine_plain(sweep, p->jac + sweep->what.first * p->col_stride, p->col_stride)) {
        return FDC_OK;
    }
    changes.f0 = zeros; /* changes are counted from f(x) */
    for (ptrdiff_t c = 0; c < cols; c++) {
        const ptrdiff_t j = sweep->what.first + c;
        double *out = p->jac + j * p->col_stride, d[FDC_MAX_POINTS];
        fdc_placement at;
        int finite = 1;
        (void)fdc_place(p, jb->o, j, &at);
        if (at.scheme != &p->scheme[0]) {
            const fdc_status status = fdc_column(w, j, &at, out, p->row_stride, &finite, fail);
            if (status != FDC_OK) {
                return status;
            }
        } else {
            for (ptrdiff_t k = 0; k < p->scheme[0].npoints; k++) {
                d[k] = sweep->what.delta[k * cols + c];
                for (ptrdiff_t i = 0; i < m; i++) {
                    w->y[k * m + i] = sweep->shares[(k * cols + c) * m + i];
                }
            }
            finite = fdc_combine(&changes, &at, w->y, d, out, p->row_stride);
        }
        fdc_record(jb, j, &at, finite);
    }
    return FDC_OK;
}

static fdc_sweep sweep_of(fdc_worker *w, ptrdiff_t first, ptrdiff_t cols, double *block) {
    const fdc_problem *p = w->job->p;
    const ptrdiff_t points = p->scheme[0].npoints;
    return (fdc_sweep){.caller = w,
                       .what = {p->n, p->x, first, cols, points, block, p->m, 0, PARTS},
                       .size = points * cols * p->m + PAD,
                       .shares = block + points * cols};
}

/* What part 0 takes for the first `cols` columns, in ns; the shares are not used. */
static int64_t probe(fdc_worker *w, ptrdiff_t cols, double *block) {
    fdc_failure ignored = {FDC_OK, -1, 0.0, 0};
    fdc_sweep sweep = sweep_of(w, 0, cols, block);
    if (place(w->job, 0, cols, block, &ignored) != FDC_OK) {
        return 0; /* which the run itself will find out and report */
    }
    const int64_t start = fdc_clock_ns();
    (void)w->job->p->f->update(&sweep.what, sweep.shares, w->job->p->f->ctx);
    return fdc_clock_ns() - start;
}

/* Columns a call: many, as each call does again what all columns share, such as passing over the data for the base
 * point; and not so many that a call takes long. */
static ptrdiff_t columns_a_call(fdc_worker *w, ptrdiff_t most, double *block) {
    const int64_t some = probe(w, PROBE_COLS, block);
    if (some * (FIRST_COLS / PROBE_COLS) < PART_NS) {
        return FIRST_COLS < most ? FIRST_COLS : most;
    }
    const double shared = (double)probe(w, 1, block);
    const double column = ((double)some - shared) / (PROBE_COLS - 1) + 1.0;
    const double wanted = (PART_NS > 2.0 * shared ? PART_NS - shared : shared) / (column > 1.0 ? column : 1.0);
    return wanted < 1.0 ? 1 : wanted < (double)most ? (ptrdiff_t)wanted : most;
}

int fdc_run_updates(fdc_worker *w, fdc_failure *fail) {
    const fdc_problem *p = w->job->p;
    const ptrdiff_t points = p->scheme[0].npoints, m = p->m > 0 ? p->m : 1;
    const ptrdiff_t fitting = SHARES_BYTES / ((ptrdiff_t)sizeof(double) * PARTS * points) / m;
    const ptrdiff_t most = fitting < 1 ? 1 : fitting < p->n ? fitting : p->n;
    int workers = w->job->o->workers, took_part = 1;
    double *zeros = calloc((size_t)m, sizeof *zeros);
    double *block =
        malloc(((size_t)(most * points) * (size_t)(1 + PARTS * m) + (size_t)PARTS * PAD) * sizeof *block);
    fdc_status status = zeros != NULL && block != NULL ? FDC_OK : fdc_fail(fail, FDC_ERR_MEMORY, -1, 0.0);
    ptrdiff_t wanted = most;
    fdc_set_pace(w, fdc_clock_ns(), PART_NS); /* look for signals after each part, until that is too often */
    if (status == FDC_OK && p->n > 2 * PROBE_COLS && most >= PROBE_COLS) {
        wanted = columns_a_call(w, most, block);
    }
    for (ptrdiff_t first = 0; status == FDC_OK && first < p->n; first += wanted) {
        fdc_sweep sweep = sweep_of(w, first, p->n - first < wanted ? p->n - first : wanted, block);
        status = place(w->job, first, sweep.what.cols, block, fail);
        if (status == FDC_OK) {
            status = run(&sweep, &workers, &took_part, fail);
        }
        if (status == FDC_OK) {
            w->nfev += points * sweep.what.cols;
            status = finish(&sweep, zeros, fail);
        }
    }
    free(block);
    free(zeros);
    return took_part;
}
