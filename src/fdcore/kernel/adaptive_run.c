/* adaptive_run.c - adaptive derivatives along every component of x, on as many threads as pay. */
#include "adaptive.h"
#include "run.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

typedef struct columns {
    fdc_job base;
    const fdc_adaptive *how;
    double *error;        /* (m, n) by columns, or NULL */
    unsigned char *found; /* (m, n) by columns, or NULL */
    int together; /* components whose first windows are looked at together: up to FDC_LANES, or 1 */
} columns;

/* What one worker needs for a column, in one block. */
typedef struct bench {
    fdc_worker w;
    double *value, *error, *step, *known, *work;
    unsigned char *found;
    double *row[2]; /* for components that are looked at together: two rows of x */
} bench;

/* One component of x moves. */
typedef struct line {
    fdc_worker *w;
    fdc_failure *fail;
    ptrdiff_t j;
} line;

static int along(void *ctx, double t, double *y)
{
    const line *l = ctx;
    fdc_worker *w = l->w;
    const double home = w->job->p->x[l->j], point = home + t;
    if (!fdc_same_bits((*w->x)[l->j], home)) {
        return (int)fdc_fail(l->fail, FDC_ERR_MUTATED, l->j, (*w->x)[l->j]);
    }
    (*w->x)[l->j] = point;
    const fdc_status status = fdc_evaluate(w, 1, y, l->fail);
    if (status != FDC_OK) {
        return (int)fdc_fail(l->fail, status, l->j, t);
    }
    if (!fdc_same_bits((*w->x)[l->j], point)) {
        return (int)fdc_fail(l->fail, FDC_ERR_MUTATED, l->j, (*w->x)[l->j]);
    }
    (*w->x)[l->j] = home;
    return 0;
}

/* Component j: `ready` are the first values, as far as they are known. */
static fdc_status column(bench *b, const columns *c, ptrdiff_t j, const double *ready, int nready, fdc_failure *fail)
{
    const fdc_job *jb = &c->base;
    const fdc_problem *p = jb->p;
    const fdc_options *o = jb->o;
    const double x = p->x[j];
    line l = {&b->w, fail, j};
    fdc_line_options options;
    fdc_line_options_init(&options);
    options.x = x;
    options.f0 = jb->f0;
    options.precision = o->precision;
    options.noise = c->how->noise;
    options.noises = c->how->noises;
    options.rtol = c->how->rtol;
    options.budget = c->how->budget;
    options.ready = ready;
    options.nready = nready;
    if (o->abs_step != NULL) {
        options.start = o->abs_step[j];
    } else if (o->rel_step != NULL) {
        options.start = o->rel_step[j] * fabs(x);
    }
    if (o->step_scale > 0.0) {
        options.start *= o->step_scale;
    }
    if (o->lower != NULL) {
        options.below = x - o->lower[j];
    }
    if (o->upper != NULL) {
        options.above = o->upper[j] - x;
    }
    if (!(options.below >= 0.0 && options.above >= 0.0 && (options.below > 0.0 || options.above > 0.0))) {
        return fdc_fail(fail, FDC_ERR_BOUNDS, j, 0.0);
    }
    double *scale = c->how->scale != NULL ? c->how->scale + j * p->m : NULL;
    if (c->how->known != NULL && options.start == 0.0) {
        const double *known = c->how->known + j * p->m, far = fabs(x - c->how->known_x[j]);
        const int near = far <= 0.5 * fmax(fabs(x), fabs(c->how->known_x[j]));
        for (ptrdiff_t i = 0; i < p->m; i++) {
            b->known[i] = near || far <= 16.0 * known[i] ? known[i] : 0.0;
        }
        options.scale = b->known;
    }
    ptrdiff_t evaluations = 0;
    const int status = fdc_line_derivative(along, &l, p->m, &options, b->value, b->error, b->step, scale, b->found,
                                           &evaluations, b->work);
    if (status != 0) {
        return fail->status;
    }
    for (ptrdiff_t i = 0; i < p->m; i++) {
        if (!isfinite(b->value[i])) {
            return fdc_fail(fail, FDC_ERR_NONFINITE, j, b->step[i] > 0.0 ? b->step[i] : fabs(x) / 128);
        }
        p->jac[i * p->row_stride + j * p->col_stride] = b->value[i];
        if (c->error != NULL) {
            c->error[j * p->m + i] = b->error[i];
        }
        if (c->found != NULL) {
            c->found[j * p->m + i] = b->found[i];
        }
    }
    if (jb->step != NULL) {
        jb->step[j] = p->m > 0 ? b->step[0] : 0.0;
    }
    return FDC_OK;
}

/* ---- components together --------------------------------------------------------------------------------------- */

/* Moves component l of a row of x that is where it was: home. */
static inline int move(double *row, const double *home, ptrdiff_t l, double point)
{
    const int intact = fdc_same_bits(row[l], home[l]);
    row[l] = intact ? point : row[l];
    return intact;
}

/* The values of the first windows of `count` components from j0 on, in each lane as many as ready[] says: fewer than
 * FDC_FIRST where the next may not be asked for. Returns the lane that failed, or `count`.
 *
 * Rows take turns, and each gets its next point two evaluations ahead: see gradient_directly in column.c. */
static int evaluate_together(bench *b, const columns *c, fdc_first *a, ptrdiff_t j0, int count, int *ready,
                             fdc_failure *fail)
{
    fdc_worker *w = &b->w;
    const fdc_problem *p = c->base.p;
    const fdc_func *f = p->f;
    const double *const home = p->x + j0;
    double *const row[2] = {b->row[0] + j0, b->row[1] + j0};
    void *user = NULL;
    const fdc_array_fn direct = fdc_bridge_array(f, &user);
    int lane[FDC_LANES + 1], lanes = 0;
    for (int l = 0; l < count; l++) {
        ready[l] = 0;
        if (a->plain[l] != 0.0) {
            lane[lanes++] = l;
        }
    }
    const double *written = NULL; /* an entry that is not as it was left */
    int l = 0, k, set = 0;        /* set: the rows hold the first two points of the lane */
    for (int i = 0; i < lanes; i++) {
        l = lane[i];
        const int next = i + 1 < lanes ? lane[i + 1] : -1;
        for (k = 0; k < 2 && !set; k++) {
            if (!move(row[k], home, l, a->at[k][l])) {
                written = &row[k][l];
                goto mutated;
            }
        }
        set = 1;
        for (k = 0; k < FDC_FIRST; k++) {
            double *const x = row[k & 1];
            const double point = a->at[k][l];
            double y;
            if (fdc_cancelled(w)) {
                (void)fdc_fail(fail, FDC_ERR_CANCELLED, j0 + l, 0.0);
                return l;
            }
            w->nfev++;
            if (direct != NULL) {
                y = direct((int)p->n, b->row[k & 1], user);
            } else {
                const int rc = f->eval(1, p->n, b->row[k & 1], 1, &y, f->ctx);
                if (rc != 0) {
                    fail->callback_status = rc;
                    (void)fdc_fail(fail, FDC_ERR_CALLBACK, j0 + l, point - home[l]);
                    return l;
                }
            }
            a->y[k][l] = y;
            if (!fdc_same_bits(x[l], point)) {
                written = &x[l];
                goto mutated;
            }
            if (fdc_carry(y) >> 63) { /* NaN or inf: what comes next is decided with care */
                break;
            }
            if (k < FDC_FIRST - 2) {
                x[l] = a->at[k + 2][l];
                continue;
            }
            x[l] = home[l];
            if (next >= 0 && !move(x, home, next, a->at[k + 2 - FDC_FIRST][next])) {
                written = &x[next];
                goto mutated;
            }
        }
        ready[l] = k < FDC_FIRST ? k + 1 : FDC_FIRST;
        if (k < FDC_FIRST) {
            row[0][l] = row[1][l] = home[l];
            if (k == FDC_FIRST - 1 && next >= 0) {
                row[0][next] = home[next];
            }
            set = 0;
        }
    }
    return count;

mutated:
    (void)fdc_fail(fail, FDC_ERR_MUTATED, (written - b->row[0]) % (b->row[1] - b->row[0]), *written);
    return l;
}

/* Components j0 to j0 + count - 1. What the first window does not decide goes on from there by itself, in order: the
 * lowest component's failure comes first. */
static fdc_status together(bench *b, const columns *c, ptrdiff_t j0, int count, fdc_failure *fail)
{
    const fdc_job *jb = &c->base;
    const fdc_problem *p = jb->p;
    const fdc_options *o = jb->o;
    fdc_first a;
    int ready[FDC_LANES];
    for (int l = 0; l < FDC_LANES; l++) {
        const ptrdiff_t j = j0 + (l < count ? l : 0);
        const double x = p->x[j], start = o->abs_step != NULL   ? o->abs_step[j]
                                          : o->rel_step != NULL ? o->rel_step[j] * fabs(x)
                                                                : 0.0;
        a.x[l] = x;
        a.start[l] = o->step_scale > 0.0 ? start * o->step_scale : start;
        a.room[l] = fmin(o->lower != NULL ? x - o->lower[j] : INFINITY, o->upper != NULL ? o->upper[j] - x : INFINITY);
    }
    fdc_first_place(&a);
    fdc_failure later = *fail;
    const int reached = evaluate_together(b, c, &a, j0, count, ready, &later);
    for (int k = 0; k < 2 && reached < count; k++) {
        memcpy(b->row[k] + j0, p->x + j0, (size_t)count * sizeof(double));
    }
    const double precision = o->precision > 0.0 ? o->precision : 0.5 * DBL_EPSILON;
    fdc_first_look(&a, *jb->f0, precision, c->how->rtol > 0.0 ? c->how->rtol : 1e-9);
    for (int l = 0; l < reached; l++) {
        const ptrdiff_t j = j0 + l;
        if (ready[l] < FDC_FIRST || a.good[l] == 0.0) {
            double values[FDC_FIRST];
            for (int k = 0; k < ready[l]; k++) {
                values[k] = a.y[k][l];
            }
            if (column(b, c, j, values, ready[l], fail) != FDC_OK) {
                return fail->status;
            }
            continue;
        }
        p->jac[j * p->col_stride] = a.value[l];
        if (c->error != NULL) {
            c->error[j] = a.bar[l];
        }
        if (c->found != NULL) {
            c->found[j] = 0;
        }
        if (c->how->scale != NULL) {
            c->how->scale[j] = a.step[l];
        }
        if (jb->step != NULL) {
            jb->step[j] = a.length[l];
        }
    }
    *fail = reached < count ? later : *fail;
    return fail->status;
}

static int bench_init(bench *b, columns *c, int caller)
{
    fdc_job *jb = &c->base;
    const size_t m = (size_t)jb->p->m, n = (size_t)jb->p->n;
    const int shared = caller && jb->p->xslot != NULL;
    memset(b, 0, sizeof *b);
    /* Two rows, each from a cache line on: no vector of a callback that loads from its beginning straddles two. */
    const size_t cache = 64 / sizeof(double), row = (n + cache - 1) / cache * cache;
    const size_t doubles = 4 * m + fdc_line_work(jb->p->m) + (shared ? 0 : cache + row + (c->together > 1 ? row : 0));
    b->value = malloc(doubles * sizeof(double) + m);
    if (b->value == NULL) {
        return 0;
    }
    b->error = b->value + m;
    b->step = b->error + m;
    b->known = b->step + m;
    b->work = b->known + m;
    b->found = (unsigned char *)(b->value + doubles);
    b->w.job = jb;
    b->w.polls = caller && jb->o->poll != NULL;
    b->w.countdown = b->w.interval = 1;
    b->w.last_poll = b->w.polls ? fdc_clock_ns() : 0;
    b->w.own_x = b->value + 4 * m + fdc_line_work(jb->p->m);
    b->w.own_x += (cache - (uintptr_t)b->w.own_x / sizeof(double) % cache) % cache;
    b->w.x = shared ? jb->p->xslot : &b->w.own_x;
    memcpy(*b->w.x, jb->p->x, n * sizeof(double));
    if (c->together > 1) {
        b->row[0] = b->w.own_x;
        b->row[1] = b->w.own_x + row;
        memcpy(b->row[1], jb->p->x, n * sizeof(double));
    }
    return 1;
}

static void work(bench *b, columns *c)
{
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    fdc_job *jb = &c->base;
    const ptrdiff_t n = jb->p->n;
    for (;;) {
        const ptrdiff_t j = fdc_atomic_fetch_add(&jb->next, c->together);
        if (j >= n || fdc_atomic_load_int(&jb->cancelled)) {
            break;
        }
        const int count = n - j < c->together ? (int)(n - j) : c->together;
        if ((count > 1 ? together(b, c, j, count, &fail) : column(b, c, j, NULL, 0, &fail)) != FDC_OK) {
            break;
        }
    }
    for (int k = 0; k < 2; k++) {
        const double *const row = k == 0 ? *b->w.x : b->row[1];
        for (ptrdiff_t j = 0; row != NULL && j < n && fail.status == FDC_OK; j++) {
            if (!fdc_same_bits(row[j], jb->p->x[j])) {
                (void)fdc_fail(&fail, FDC_ERR_MUTATED, j, row[j]);
            }
        }
    }
    if (fail.status != FDC_OK) { /* the others finish what they have; columns before this one are all begun */
        fdc_mutex_lock(&jb->lock);
        if (jb->first.status == FDC_OK || fail.column < jb->first.column) {
            jb->first = fail;
        }
        fdc_mutex_unlock(&jb->lock);
        fdc_atomic_store(&jb->next, n);
    }
}

typedef struct shared_run {
    columns *c;
    bench *caller;
} shared_run;

static void task(void *ctx, int index)
{
    const shared_run *r = ctx;
    if (index == 0) {
        work(r->caller, r->c);
        return;
    }
    bench b;
    if (!bench_init(&b, r->c, 0)) {
        return; /* the others do its share */
    }
    work(&b, r->c);
    fdc_atomic_fetch_add(&r->c->base.nfev, b.w.nfev);
    free(b.value);
}

static void on_cancel(void *ctx)
{
    const shared_run *r = ctx;
    fdc_atomic_store_int(&r->c->base.cancelled, 1);
}

fdc_status fdc_run_adaptive(const fdc_problem *p, const fdc_options *o, fdc_info *info, const fdc_adaptive *how,
                            double *error, unsigned char *found)
{
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    columns c;
    bench b;
    memset(&c, 0, sizeof c);
    c.base.p = p;
    c.base.o = o;
    c.base.first = fail;
    c.base.f0 = o->f0;
    c.base.step = info->step;
    c.how = how;
    c.error = error;
    c.found = found;
    /* A function of one value, about whose noise and scales nothing is known; a callback that may move x is Python. */
    const int alike = p->m == 1 && p->xslot == NULL && how->noise == 0.0 && how->noises == NULL && how->known == NULL &&
                      (how->budget <= 0 || how->budget >= FDC_FIRST);
    c.together = alike ? FDC_LANES : 1;
    info->nfev = 0;
    info->column = -1;
    info->workers = 1;
    if (p->n == 0) {
        return FDC_OK;
    }
    double *f0 = malloc((size_t)(p->m > 0 ? p->m : 1) * sizeof(double));
    if (f0 == NULL || !bench_init(&b, &c, 1)) {
        free(f0);
        return FDC_ERR_MEMORY;
    }
    fdc_mutex_init(&c.base.lock);
    const int64_t start = fdc_clock_ns();
    fdc_status status = FDC_OK;
    if (c.base.f0 == NULL) { /* may be NaN: a removable singularity */
        status = fdc_evaluate(&b.w, 1, f0, &fail);
        if (status != FDC_OK) {
            (void)fdc_fail(&fail, status, -1, 0.0);
            goto cleanup;
        }
        c.base.f0 = f0;
    }
    const double expected = 9.0 * (double)(fdc_clock_ns() - start) * (double)p->n;
    int workers = o->workers;
    if (workers <= 0) {
        workers = expected < FDC_WORTH_THREADS_NS ? 1 : fdc_most_workers(workers);
    }
    shared_run r = {&c, &b};
    if (workers == 1 || o->pool == NULL || p->xslot != NULL || !(p->f->flags & FDC_REENTRANT)) {
        work(&b, &c);
    } else {
        /* Several for each worker, to come out even. */
        const ptrdiff_t share = p->n / (4 * (workers < 8 ? workers : 8));
        c.together = share < 1 ? 1 : share < c.together ? (int)share : c.together;
        info->workers = fdc_pool_run(o->pool, workers, task, &r, fdc_poll, &c.base, on_cancel);
    }
    fail = c.base.first;
    status = fail.status;
    if (status == FDC_OK && fdc_atomic_load_int(&c.base.cancelled)) {
        status = FDC_ERR_CANCELLED;
    }

cleanup:
    info->nfev = fdc_atomic_load(&c.base.nfev) + b.w.nfev;
    info->column = fail.column;
    info->displacement = fail.displacement;
    info->callback_status = fail.callback_status;
    free(b.value);
    free(f0);
    fdc_mutex_destroy(&c.base.lock);
    return status;
}
