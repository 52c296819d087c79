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
} columns;

/* What one worker needs for a column, in one block. */
typedef struct bench {
    fdc_worker w;
    double *value, *error, *step, *known, *work;
    unsigned char *found;
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

static fdc_status column(bench *b, const columns *c, ptrdiff_t j, fdc_failure *fail)
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
        jb->step[j] = b->step[0];
    }
    return FDC_OK;
}

static int bench_init(bench *b, columns *c, int caller)
{
    fdc_job *jb = &c->base;
    const size_t m = (size_t)jb->p->m, n = (size_t)jb->p->n;
    const int shared = caller && jb->p->xslot != NULL;
    memset(b, 0, sizeof *b);
    const size_t doubles = 4 * m + fdc_line_work(jb->p->m) + (shared ? 0 : n);
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
    b->w.x = shared ? jb->p->xslot : &b->w.own_x;
    memcpy(*b->w.x, jb->p->x, n * sizeof(double));
    return 1;
}

static void work(bench *b, columns *c)
{
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    fdc_job *jb = &c->base;
    const ptrdiff_t n = jb->p->n;
    for (;;) {
        const ptrdiff_t j = fdc_atomic_fetch_add(&jb->next, 1);
        if (j >= n || fdc_atomic_load_int(&jb->cancelled)) {
            break;
        }
        if (column(b, c, j, &fail) != FDC_OK) {
            break;
        }
    }
    for (ptrdiff_t j = 0; j < n && fail.status == FDC_OK; j++) {
        if (!fdc_same_bits((*b->w.x)[j], jb->p->x[j])) {
            (void)fdc_fail(&fail, FDC_ERR_MUTATED, j, (*b->w.x)[j]);
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
