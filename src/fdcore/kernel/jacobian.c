/* jacobian.c - the perturbation loop: one column of the Jacobian after another, on one thread or several.
 *
 * A column depends on x and the options alone, never on the worker that computes it or on the columns beside it, so the
 * result is bitwise the same for any number of workers. Columns are claimed in increasing order and a worker finishes
 * what it has claimed, so the lowest failing column is always found and its error is the one reported. */
#include "run.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define BATCH_BYTES (256 * 1024) /* fits the second-level cache */
#define CLAIM_NS 20000           /* work a claim of columns should hold */

enum { AT_HAND = 160 }; /* doubles on the stack: a small run then allocates nothing */

static int multiply(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product)
{
    if (a != 0 && b > PTRDIFF_MAX / (ptrdiff_t)sizeof(double) / a) {
        return 0;
    }
    *product = a * b;
    return 1;
}

void fdc_fill_row(const fdc_job *jb, double *row)
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

/* ---- workers ------------------------------------------------------------------------------------------------- */

/* `at_hand` has AT_HAND doubles, or is NULL. */
static fdc_status worker_init(fdc_worker *w, fdc_job *jb, int polls, double *at_hand)
{
    memset(w, 0, sizeof *w);
    w->job = jb;
    w->polls = polls && jb->o->poll != NULL;
    w->countdown = w->interval = 1;
    const int shared = polls && jb->p->xslot != NULL;
    const ptrdiff_t x_size = shared ? 0 : jb->rows * jb->width;
    const ptrdiff_t spare = jb->p->f->flags & FDC_SIDE_BY_SIDE || jb->rows < FDC_MAX_POINTS ? FDC_MAX_POINTS : 0;
    const ptrdiff_t y_rows = jb->rows + spare;
    const int tiled = jb->p->row_stride != 1 && jb->p->m > 1 && !(jb->p->f->flags & FDC_BATCHED);
    const ptrdiff_t y_size = y_rows * jb->p->m;
    const ptrdiff_t size = x_size + y_size + (tiled ? FDC_TILE * jb->p->m : 0) + 1;
    if (at_hand != NULL && size <= AT_HAND) {
        w->own_x = at_hand;
    } else {
        w->own_x = w->allocated = malloc((size_t)size * sizeof(double));
        if (w->own_x == NULL) {
            return FDC_ERR_MEMORY;
        }
    }
    w->y = w->own_x + x_size;
    w->tile = tiled ? w->y + y_size : NULL;
    w->x = shared ? jb->p->xslot : &w->own_x;
    for (ptrdiff_t row = 0; row < jb->rows; row++) {
        fdc_fill_row(jb, *w->x + row * jb->width);
    }
    return FDC_OK;
}

fdc_status fdc_unchanged(const fdc_worker *w, fdc_failure *fail)
{
    const fdc_job *jb = w->job;
    if (w->side > 0) {
        return fdc_side_unchanged(w, fail);
    }
    for (ptrdiff_t row = 0; row < jb->rows; row++) {
        const double *x = *w->x + row * jb->width;
        if (!jb->p->is_complex && memcmp(x, jb->p->x, (size_t)jb->p->n * sizeof *x) == 0) {
            continue;
        }
        for (ptrdiff_t j = 0; j < jb->p->n; j++) {
            const double real = jb->p->is_complex ? x[2 * j] : x[j];
            const double imaginary = jb->p->is_complex ? x[2 * j + 1] : 0.0;
            if (!fdc_same_bits(real, jb->p->x[j]) || imaginary != 0.0) {
                return fdc_fail(fail, FDC_ERR_MUTATED, j, real);
            }
        }
    }
    return FDC_OK;
}

static void report(fdc_job *jb, const fdc_failure *fail)
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
static void work(fdc_worker *w, ptrdiff_t end)
{
    fdc_job *jb = w->job;
    const int batched = (jb->p->f->flags & FDC_BATCHED) != 0;
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    for (;;) {
        const ptrdiff_t begin = fdc_atomic_fetch_add(&jb->next, jb->chunk);
        if (begin >= end) {
            break;
        }
        const ptrdiff_t stop = end - begin < jb->chunk ? end : begin + jb->chunk;
        const fdc_status status = jb->plain ? fdc_columns_plain(w, begin, stop, &fail)
                                  : batched ? fdc_columns_batched(w, begin, stop, &fail)
                                            : fdc_columns(w, begin, stop, &fail);
        if (status != FDC_OK) {
            report(jb, &fail);
            return;
        }
    }
    if (fdc_unchanged(w, &fail) != FDC_OK) {
        report(jb, &fail);
    }
}

static void task(void *ctx, int index)
{
    fdc_job *jb = ctx;
    fdc_worker w;
    if (index == 0) {
        work(jb->caller, jb->p->n);
        return;
    }
    if (worker_init(&w, jb, 0, NULL) != FDC_OK) {
        const fdc_failure fail = {FDC_ERR_MEMORY, -1, 0.0, 0};
        report(jb, &fail);
        return;
    }
    work(&w, jb->p->n);
    fdc_atomic_fetch_add(&jb->nfev, w.nfev);
    free(w.allocated);
}

static void on_cancel(void *ctx)
{
    fdc_job *jb = ctx;
    fdc_atomic_store_int(&jb->cancelled, 1);
}

/* ---- retreat ------------------------------------------------------------------------------------------------- */

/* Column j gave NaN or inf: the other side, then smaller and smaller steps, until its entries are finite. */
static fdc_status retreat(fdc_worker *w, ptrdiff_t j, fdc_failure *fail)
{
    static const double shrink[] = {1.0, 0.125, 1.0 / 64, 1.0 / 512, 1.0 / 4096};
    fdc_job *jb = w->job;
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
            const fdc_status status = fdc_column(w, j, &at, p->jac + j * p->col_stride, p->row_stride, &finite, fail);
            if (status != FDC_OK) {
                return status;
            }
            if (finite) {
                fdc_record(jb, j, &at, 1);
                return FDC_OK;
            }
        }
    }
    return fdc_fail(fail, FDC_ERR_NONFINITE, j, first.h);
}

fdc_status fdc_base_value(fdc_worker *w, double *f0, fdc_failure *fail)
{
    fdc_status status = fdc_evaluate(w, 1, f0, fail);
    if (status == FDC_OK && !fdc_finite(w->job->p->m, f0, 1)) {
        status = FDC_ERR_NONFINITE;
    }
    return status == FDC_OK ? FDC_OK : fdc_fail(fail, status, -1, 0.0);
}

static fdc_status retreat_all(fdc_worker *w, double *f0, fdc_failure *fail)
{
    fdc_job *jb = w->job;
    fdc_one_row(w);
    if (jb->f0 == NULL) {
        const fdc_status status = fdc_base_value(w, f0, fail);
        if (status != FDC_OK) {
            return status;
        }
        jb->f0 = f0;
    } else if (!fdc_finite(jb->p->m, jb->f0, 1)) {
        return fdc_fail(fail, FDC_ERR_NONFINITE, -1, 0.0);
    }
    for (ptrdiff_t j = 0; j < jb->p->n; j++) {
        if (jb->nonfinite[j]) {
            const fdc_status status = retreat(w, j, fail);
            if (status != FDC_OK) {
                return status;
            }
        }
    }
    return fdc_unchanged(w, fail);
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
static int run_columns(fdc_worker *w)
{
    fdc_job *jb = w->job;
    const fdc_options *o = jb->o;
    const ptrdiff_t n = jb->p->n;
    const int batched = (jb->p->f->flags & FDC_BATCHED) != 0;
    int workers = o->workers;
    const int alone = o->pool == NULL || workers == 1 || n <= jb->chunk || jb->p->xslot != NULL ||
                      !(jb->p->f->flags & FDC_REENTRANT);
    const int points = jb->p->scheme[0].npoints;
    double column_ns = o->evaluation_ns * points;
    if (!alone && column_ns * (double)n >= FDC_WORTH_THREADS_NS) {
        /* Known from an earlier run: no column needs to be waited for before there are helpers. It may have changed
         * since, so the clock is looked at from the first evaluation on. */
        fdc_set_pace(w, fdc_clock_ns(), INFINITY);
        workers = workers <= 0 ? fdc_most_workers(workers) : workers;
    } else if (workers <= 0 || w->polls) {
        /* Time the first columns: what is the work worth, and when to look for signals. */
        const ptrdiff_t timed = jb->chunk;
        const int64_t start = fdc_clock_ns();
        fdc_set_pace(w, start, 0.0);
        work(w, timed < n ? timed : n);
        if (jb->first.status != FDC_OK) {
            return 1;
        }
        fdc_atomic_store(&jb->next, timed);
        column_ns = (double)(fdc_clock_ns() - start) / (double)timed;
        jb->evaluation_ns = column_ns / points;
        fdc_set_pace(w, start, jb->evaluation_ns);
        if (workers <= 0) {
            const int most = fdc_most_workers(workers);
            workers = column_ns * (double)(n - timed) < FDC_WORTH_THREADS_NS ? 1 : most;
        }
    }
    if (alone || workers == 1) {
        jb->chunk = batched ? jb->chunk : n;
        work(w, n);
        return 1;
    }
    if (!batched) {
        jb->chunk = columns_a_claim(n, column_ns);
    }
    jb->caller = w;
    const ptrdiff_t before = w->nfev;
    const int64_t start = fdc_clock_ns();
    const int took_part = fdc_pool_run(o->pool, workers, task, jb, fdc_poll, jb, on_cancel);
    if (w->nfev > before) {
        jb->evaluation_ns = (double)(fdc_clock_ns() - start) / (double)(w->nfev - before);
    }
    return took_part;
}

fdc_status fdc_run(const fdc_problem *p, const fdc_options *o, fdc_info *info)
{
    if (p->sparsity != NULL) {
        return fdc_run_sparse(p, o, info);
    }
    fdc_job jb;
    fdc_worker w;
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
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
        info->evaluation_ns = 0.0;
    }
    jb.plain = p->scheme[0].form == FDC_PAIRS && p->scheme[0].npoints == 2 && !p->is_complex &&
               !(p->f->flags & FDC_BATCHED) && o->rel_step == NULL && o->abs_step == NULL && o->lower == NULL &&
               o->upper == NULL && jb.step == NULL && jb.component == NULL && (p->m == 1 || p->row_stride == 1);
    void *user;
    if (jb.plain && p->m == 1 && fdc_bridge_array(p->f, &user) != NULL) {
        jb.rows = 2; /* for gradient_directly() */
    }
    ptrdiff_t size;
    if (!multiply(jb.rows, jb.width, &size) || !multiply(jb.rows + FDC_MAX_POINTS + FDC_TILE, p->m, &size)) {
        return FDC_ERR_MEMORY;
    }
    if (p->n == 0) {
        return FDC_OK;
    }

    /* One block for what the run owns besides its workers: f(x) and the marks of nonfinite columns. */
    double at_hand[AT_HAND], own_at_hand[AT_HAND];
    const size_t own_size = (size_t)p->m * sizeof(double) + (size_t)p->n;
    double *own = own_size <= sizeof own_at_hand ? own_at_hand : malloc(own_size);
    if (own == NULL) {
        return FDC_ERR_MEMORY;
    }
    jb.nonfinite = (uint8_t *)(own + p->m);
    memset(jb.nonfinite, 0, (size_t)p->n);
    int workers = 1;
    fdc_mutex_init(&jb.lock);
    fdc_status status = worker_init(&w, &jb, 1, at_hand);
    if (status != FDC_OK) {
        fail.status = status;
        goto cleanup;
    }
    if (jb.f0 == NULL && needs_center(p, o)) {
        status = fdc_base_value(&w, own, &fail);
        if (status != FDC_OK) {
            goto cleanup;
        }
        jb.f0 = own;
    }
    if (p->f->update != NULL && !p->is_complex && p->xslot == NULL) {
        workers = fdc_run_updates(&w, &fail);
    } else {
        workers = run_columns(&w);
        fail = jb.first;
    }
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
        info->evaluation_ns = jb.evaluation_ns;
    }
    free(w.allocated);
    fdc_mutex_destroy(&jb.lock);
    if (own != own_at_hand) {
        free(own);
    }
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
