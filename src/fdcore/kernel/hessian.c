/* hessian.c - the Hessian of f: R^n -> R from n^2 + n + 1 values, with an error bar from the same values.
 *
 * With S(u) = f(x + u) + f(x - u) - 2 f(x), a diagonal entry is S(h_i e_i) / h_i^2, and one beside it comes from
 * S(u) = S(h_i e_i) + S(h_j e_j) + 2 h_i h_j H_ij + (fourth order) for u = h_i e_i + h_j e_j: two evaluations a pair.
 *
 * The odd parts, (f(x + u) - f(x - u)) / 2, are free. What they have beyond the sum of their parts is of third order, and
 * how it compares with S is how fast derivatives grow with their order; squared, it estimates the fourth order that the
 * entries neglect. To see pure third derivatives too, each component moves half as far again in one of its pairs. */
#include "run.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define STRETCH 1.5

typedef struct hessian_job {
    fdc_job base;
    const double *h; /* (n,) */
    double *up;      /* (n,) f(x + h_i e_i) */
    double *down;    /* (n,) f(x - h_i e_i) */
    double *even;    /* (n, n), lower triangle: f(x + u) - f(x) - (f(x) - f(x - u)) */
    double *odd;     /* (n, n), lower triangle: (f(x + u) - f(x - u)) / 2 */
    fdc_worker *caller;
} hessian_job;

/* How far component i moves in its pair with j, in steps: each component has one partner with which it goes farther,
 * every other one the other way: where pure and mixed third derivatives cancel in one, they add up in the next. */
static double stretch(ptrdiff_t n, ptrdiff_t i, ptrdiff_t j)
{
    if ((i + 1) % n != j || (n == 2 && i > j)) {
        return 1.0;
    }
    return i % 2 == 0 ? STRETCH : -STRETCH;
}

static int worker_init(fdc_worker *w, fdc_job *jb, int polls)
{
    memset(w, 0, sizeof *w);
    w->job = jb;
    w->polls = polls && jb->o->poll != NULL;
    w->countdown = w->interval = 1;
    w->last_poll = w->polls ? fdc_clock_ns() : 0;
    const int shared = polls && jb->p->xslot != NULL;
    if (!shared) {
        w->own_x = malloc((size_t)jb->p->n * sizeof(double));
        if (w->own_x == NULL) {
            return 0;
        }
    }
    w->x = shared ? jb->p->xslot : &w->own_x;
    memcpy(*w->x, jb->p->x, (size_t)jb->p->n * sizeof(double));
    return 1;
}

/* f at x + di e_i + dj e_j; j may be i, and dj is then 0. */
static fdc_status value_at(fdc_worker *w, ptrdiff_t i, double di, ptrdiff_t j, double dj, double *y, fdc_failure *fail)
{
    const double *base = w->job->p->x;
    const double xi = base[i] + di;
    const double xj = j != i ? base[j] + dj : xi;
    if (!fdc_same_bits((*w->x)[i], base[i]) || !fdc_same_bits((*w->x)[j], base[j])) {
        const ptrdiff_t at = fdc_same_bits((*w->x)[i], base[i]) ? j : i;
        return fdc_fail(fail, FDC_ERR_MUTATED, at, (*w->x)[at]);
    }
    (*w->x)[i] = xi;
    (*w->x)[j] = xj;
    const fdc_status status = fdc_evaluate(w, 1, y, fail);
    if (status != FDC_OK) {
        return fdc_fail(fail, status, i, di);
    }
    if (!fdc_same_bits((*w->x)[i], xi) || !fdc_same_bits((*w->x)[j], xj)) {
        const ptrdiff_t at = fdc_same_bits((*w->x)[i], xi) ? j : i;
        return fdc_fail(fail, FDC_ERR_MUTATED, at, (*w->x)[at]);
    }
    (*w->x)[i] = base[i];
    (*w->x)[j] = base[j];
    if (!(fabs(*y) <= DBL_MAX)) {
        return fdc_fail(fail, FDC_ERR_NONFINITE, i, di);
    }
    return FDC_OK;
}

/* All points of row i: component i alone, and with each component before it. */
static fdc_status row(fdc_worker *w, hessian_job *hj, ptrdiff_t i, fdc_failure *fail)
{
    const ptrdiff_t n = hj->base.p->n;
    const double f0 = *hj->base.f0;
    const double h = hj->h[i];
    fdc_status status = value_at(w, i, h, i, 0.0, &hj->up[i], fail);
    if (status == FDC_OK) {
        status = value_at(w, i, -h, i, 0.0, &hj->down[i], fail);
    }
    for (ptrdiff_t j = 0; j < i && status == FDC_OK; j++) {
        const double di = h * stretch(n, i, j);
        const double dj = hj->h[j] * stretch(n, j, i);
        double up;
        double down;
        status = value_at(w, i, di, j, dj, &up, fail);
        if (status == FDC_OK) {
            status = value_at(w, i, -di, j, -dj, &down, fail);
        }
        if (status == FDC_OK) {
            hj->even[i * n + j] = (up - f0) - (f0 - down);
            hj->odd[i * n + j] = (up - down) / 2;
        }
    }
    return status;
}

static void report(fdc_job *jb, const fdc_failure *fail)
{
    fdc_mutex_lock(&jb->lock);
    if (jb->first.status == FDC_OK || fail->column < jb->first.column) {
        jb->first = *fail;
    }
    fdc_mutex_unlock(&jb->lock);
    fdc_atomic_store(&jb->next, jb->p->n);
}

static void work(fdc_worker *w, hessian_job *hj)
{
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    const ptrdiff_t n = hj->base.p->n;
    for (;;) {
        const ptrdiff_t i = fdc_atomic_fetch_add(&hj->base.next, 1);
        if (i >= n) {
            break;
        }
        if (row(w, hj, i, &fail) != FDC_OK) {
            report(&hj->base, &fail);
            return;
        }
    }
    for (ptrdiff_t j = 0; j < n; j++) {
        if (!fdc_same_bits((*w->x)[j], hj->base.p->x[j])) {
            (void)fdc_fail(&fail, FDC_ERR_MUTATED, j, (*w->x)[j]);
            report(&hj->base, &fail);
            return;
        }
    }
}

static void task(void *ctx, int index)
{
    hessian_job *hj = ctx;
    if (index == 0) {
        work(hj->caller, hj);
        return;
    }
    fdc_worker w;
    if (!worker_init(&w, &hj->base, 0)) {
        return; /* the others do its share */
    }
    work(&w, hj);
    fdc_atomic_fetch_add(&hj->base.nfev, w.nfev);
    free(w.own_x);
}

static void on_cancel(void *ctx)
{
    hessian_job *hj = ctx;
    fdc_atomic_store_int(&hj->base.cancelled, 1);
}

static double at_least(double a, double b)
{
    return a > b ? a : b;
}

/* From the values to the entries and their bars; hj->even may be the Hessian itself and hj->odd the bars. */
static void assemble(const hessian_job *hj, double *hess, double *error, double *growth)
{
    const ptrdiff_t n = hj->base.p->n;
    const double *x = hj->base.p->x;
    const double *h = hj->h;
    const double f0 = *hj->base.f0;
    double *even = hj->up; /* single components: S and the odd part take the place of the two values */
    double *odd = hj->down;
    double reach = 0.0; /* of f, when each x_j changes by one part in itself, independently */
    for (ptrdiff_t i = 0; i < n; i++) {
        const double s = (hj->up[i] - f0) - (f0 - hj->down[i]);
        const double o = (hj->up[i] - hj->down[i]) / 2;
        even[i] = s;
        odd[i] = o;
        reach = hypot(reach, o / h[i] * x[i]);
        /* No function is expected to vary on scales far above that of x. */
        growth[i] = h[i] / at_least(1.0, fabs(x[i]));
    }
    const double precision = hj->base.o->precision > 0.0 ? 2 * hj->base.o->precision : DBL_EPSILON;
    const double noise = precision * (fabs(f0) + reach);
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t j = 0; j < i; j++) {
            const double a = stretch(n, i, j);
            const double b = stretch(n, j, i);
            const double third = fabs(hj->odd[i * n + j] - a * odd[i] - b * odd[j]) - 4 * noise;
            const double second =
                at_least(fabs(hj->even[i * n + j]), at_least(a * a * fabs(even[i]), b * b * fabs(even[j]))) + 8 * noise;
            const double ratio = third > 0.0 ? fmin(6 * third / second, 1.0) : 0.0;
            growth[i] = at_least(growth[i], ratio);
            growth[j] = at_least(growth[j], ratio);
        }
    }
    if (error != NULL) {
        error[n * n] = noise;
        memcpy(error + n * n + 1, growth, (size_t)n * sizeof(double));
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t j = 0; j <= i; j++) {
            const double a = i == j ? 1.0 : stretch(n, i, j);
            const double b = i == j ? 1.0 : stretch(n, j, i);
            const double area = i == j ? h[i] * h[i] : 2 * a * b * h[i] * h[j];
            const double whole = i == j ? even[i] : hj->even[i * n + j];
            const double value = (i == j ? whole : whole - a * a * even[i] - b * b * even[j]) / area;
            const double size = fabs(whole) + (i == j ? 0.0 : a * a * fabs(even[i]) + b * b * fabs(even[j]));
            /* A partner's growth counts too, for the sake of what cancels. */
            const double g = at_least(at_least(growth[i], growth[(i + 1) % n]), at_least(growth[j], growth[(j + 1) % n]));
            const double bar = (4 * (1 + a * a + b * b) / 3 * noise + g * g * size) / fabs(area); /* the second: up to 12 times (fourth order) */
            hess[i * n + j] = hess[j * n + i] = value;
            if (error != NULL) {
                error[i * n + j] = error[j * n + i] = bar;
            }
        }
    }
}

fdc_status fdc_run_hessian(const fdc_problem *p, const fdc_options *o, fdc_info *info, double *hess, double *error)
{
    const ptrdiff_t n = p->n;
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    hessian_job hj;
    fdc_worker w;
    memset(&hj, 0, sizeof hj);
    hj.base.p = p;
    hj.base.o = o;
    hj.base.first = fail;
    hj.base.f0 = o->f0;
    memset(&w, 0, sizeof w);
    info->nfev = 0;
    info->workers = 1;
    if (n == 0) {
        return FDC_OK;
    }
    if (n > PTRDIFF_MAX / (ptrdiff_t)sizeof(double) / (n + 6)) {
        return FDC_ERR_MEMORY;
    }
    /* h, up, down, growth, f(x), and the odd parts unless the bars have room for them */
    double *own = malloc((size_t)(4 * n + 1 + (error == NULL ? n * n : 0)) * sizeof(double));
    if (own == NULL) {
        return FDC_ERR_MEMORY;
    }
    fdc_status status = FDC_OK;
    fdc_mutex_init(&hj.base.lock);
    hj.up = own + n;
    hj.down = own + 2 * n;
    hj.even = hess;
    hj.odd = error != NULL ? error : own + 4 * n + 1;
    hj.h = own;
    for (ptrdiff_t i = 0; i < n; i++) {
        fdc_placement at;
        status = fdc_place(p, o, i, &at);
        if (status == FDC_OK && (p->x[i] + at.h == p->x[i] || p->x[i] - at.h == p->x[i])) {
            status = FDC_ERR_STEP;
        }
        if (status != FDC_OK) {
            (void)fdc_fail(&fail, status, i, at.h);
            goto cleanup;
        }
        own[i] = at.h;
        if (info->step != NULL) {
            info->step[i] = at.h;
        }
    }
    if (!worker_init(&w, &hj.base, 1)) {
        status = FDC_ERR_MEMORY;
        goto cleanup;
    }
    const int64_t start = fdc_clock_ns();
    if (hj.base.f0 == NULL) {
        status = fdc_evaluate(&w, 1, own + 4 * n, &fail);
        if (status == FDC_OK && !(fabs(own[4 * n]) <= DBL_MAX)) {
            status = FDC_ERR_NONFINITE;
        }
        if (status != FDC_OK) {
            (void)fdc_fail(&fail, status, -1, 0.0);
            goto cleanup;
        }
        hj.base.f0 = own + 4 * n;
    }
    const double expected = (double)(fdc_clock_ns() - start) * (double)n * (double)n;
    int workers = o->workers;
    if (workers <= 0) {
        workers = expected < FDC_WORTH_THREADS_NS ? 1 : fdc_most_workers(workers);
    }
    hj.caller = &w;
    if (workers == 1 || o->pool == NULL || p->xslot != NULL || !(p->f->flags & FDC_REENTRANT)) {
        work(&w, &hj);
    } else {
        info->workers = fdc_pool_run(o->pool, workers, task, &hj, fdc_poll, &hj.base, on_cancel);
    }
    fail = hj.base.first;
    status = fail.status;
    if (status == FDC_OK && fdc_atomic_load_int(&hj.base.cancelled)) {
        status = FDC_ERR_CANCELLED;
    }
    if (status == FDC_OK) {
        assemble(&hj, hess, error, own + 3 * n);
    }

cleanup:
    info->nfev = hj.base.nfev + w.nfev;
    info->column = fail.column;
    info->displacement = fail.displacement;
    info->callback_status = fail.callback_status;
    free(w.own_x);
    fdc_mutex_destroy(&hj.base.lock);
    free(own);
    return status;
}
