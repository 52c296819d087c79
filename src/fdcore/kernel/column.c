/* column.c - the evaluations for one column of the Jacobian, or for several at once. */
#include "run.h"

#include <float.h>
#include <math.h>

#define POLL_EVERY_NS 50000000 /* 50 ms: more often costs time against a busy GIL */
#define LOOK_EVERY_NS 2000     /* reading the clock takes 25; rarely is no good: later evaluations may be far slower */
#define MAX_COUNTDOWN 1024

int fdc_look_for_signals(fdc_worker *w)
{
    fdc_job *jb = w->job;
    const int64_t now = fdc_clock_ns();
    const int64_t since = now - w->last_look;
    if (now - w->last_poll >= POLL_EVERY_NS) {
        if (jb->o->poll(jb->o->poll_ctx) != 0) {
            fdc_atomic_store_int(&jb->cancelled, 1);
        }
        w->last_poll = fdc_clock_ns();
    }
    if (since < LOOK_EVERY_NS && w->interval < MAX_COUNTDOWN) {
        w->interval *= 2;
    } else if (since > 4 * LOOK_EVERY_NS) {
        w->interval = 1 + (int)(w->interval * LOOK_EVERY_NS / since);
    }
    w->last_look = now;
    w->countdown = w->interval;
    return fdc_atomic_load_int(&jb->cancelled);
}

int fdc_poll(void *job)
{
    const fdc_job *jb = job;
    return jb->o->poll != NULL && !fdc_atomic_load_int(&jb->cancelled) && jb->o->poll(jb->o->poll_ctx) != 0;
}

void fdc_set_pace(fdc_worker *w, int64_t start, double evaluation_ns)
{
    const double pace = LOOK_EVERY_NS / (evaluation_ns + 1.0);
    w->last_poll = w->last_look = start;
    w->countdown = w->interval = pace < 1.0 ? 1 : pace < MAX_COUNTDOWN ? (int)pace : MAX_COUNTDOWN;
}

fdc_status fdc_evaluate(fdc_worker *w, ptrdiff_t count, double *y, fdc_failure *fail)
{
    const fdc_problem *p = w->job->p;
    if (fdc_cancelled(w)) {
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

fdc_status fdc_fail(fdc_failure *fail, fdc_status status, ptrdiff_t j, double displacement)
{
    fail->status = status;
    fail->column = j;
    fail->displacement = displacement;
    return status;
}

fdc_status fdc_column(fdc_worker *w, ptrdiff_t j, const fdc_placement *at, double *out, ptrdiff_t stride, int *finite,
                      fdc_failure *fail)
{
    const fdc_job *jb = w->job;
    const ptrdiff_t c = fdc_coordinate(jb, j);
    const double home = fdc_home(jb, j);
    double d[FDC_MAX_POINTS];
    for (int k = 0; k < at->scheme->npoints; k++) {
        double point;
        d[k] = fdc_displacement(jb, at, j, k, &point);
        if (d[k] == 0.0) {
            return fdc_fail(fail, FDC_ERR_STEP, j, at->h);
        }
        if (!fdc_same_bits((*w->x)[c], home)) {
            return fdc_fail(fail, FDC_ERR_MUTATED, j, (*w->x)[c]);
        }
        (*w->x)[c] = point;
        const fdc_status status = fdc_evaluate(w, 1, w->y + k * jb->p->m, fail);
        if (status != FDC_OK) {
            return fdc_fail(fail, status, j, d[k]);
        }
        if (!fdc_same_bits((*w->x)[c], point)) {
            return fdc_fail(fail, FDC_ERR_MUTATED, j, (*w->x)[c]);
        }
        (*w->x)[c] = home;
    }
    *finite = fdc_combine(jb, at, w->y, d, out, stride);
    return FDC_OK;
}

void fdc_record(fdc_job *jb, ptrdiff_t j, const fdc_placement *at, int finite)
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

/* Columns that were put aside, into a row-major Jacobian. */
static void store_tile(const fdc_worker *w, ptrdiff_t begin, ptrdiff_t end)
{
    const fdc_problem *p = w->job->p;
    const ptrdiff_t m = p->m;
    for (ptrdiff_t i = 0; i < m; i++) {
        double *row = p->jac + i * p->row_stride;
        for (ptrdiff_t j = begin; j < end; j++) {
            row[j * p->col_stride] = w->tile[(j - begin) * m + i];
        }
    }
}

fdc_status fdc_columns(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail)
{
    fdc_job *jb = w->job;
    const fdc_problem *p = jb->p;
    ptrdiff_t aside = begin; /* first column of the tile */
    for (ptrdiff_t j = begin; j < end; j++) {
        fdc_placement at;
        fdc_status status = fdc_place(p, jb->o, j, &at);
        if (status != FDC_OK) {
            return fdc_fail(fail, status, j, at.h);
        }
        int finite = 1;
        double *out = w->tile != NULL ? w->tile + (j - aside) * p->m : p->jac + j * p->col_stride;
        status = fdc_column(w, j, &at, out, w->tile != NULL ? 1 : p->row_stride, &finite, fail);
        if (status != FDC_OK) {
            return status;
        }
        fdc_record(jb, j, &at, finite);
        if (w->tile != NULL && (j + 1 - aside == FDC_TILE || j + 1 == end)) {
            store_tile(w, aside, j + 1);
            aside = j + 1;
        }
    }
    return FDC_OK;
}

/* The two points of component j in the commonest case: x + h and x - h with the rule step and nothing to look out for.
 * What the general way spends on choosing would be a third of the time of a cheap callback. */
typedef struct pair {
    double point[2];
    double d[2];
} pair;

static inline int place_pair(double home, double rule, pair *at)
{
    const double size = fabs(home);
    const double h = rule * (size > 1.0 ? size : 1.0);
    at->point[0] = home + h;
    at->point[1] = home - h;
    at->d[0] = at->point[0] - home;
    at->d[1] = at->point[1] - home;
    return at->d[0] > 0.0 && at->d[1] < 0.0 && at->d[0] - at->d[1] <= DBL_MAX;
}

/* A gradient by a native callback of the form double (int, double *, void *), called without the detour.
 *
 * One row of x is for x + h and the other for x - h, and each gets the next component's point as soon as its own has been
 * used. A callback that loads several entries at once cannot take one of them from a store still under way, and would
 * wait for it as long as a cheap evaluation takes; this early, the store is done before the row's turn comes. */
static fdc_status gradient_directly(fdc_worker *w, fdc_array_fn f, void *user, double rule, ptrdiff_t begin,
                                    ptrdiff_t end, fdc_failure *fail)
{
    fdc_job *jb = w->job;
    const int n = (int)jb->p->n;
    const ptrdiff_t stride = jb->p->col_stride;
    const double *const base = jb->p->x;
    double *const row[2] = {*w->x, *w->x + n}; /* never move: only a Python callback has a reason to */
    double *const out = jb->p->jac;
    pair turn[2]; /* this component's and the next one's, in turn */
    if (begin == end || !place_pair(base[begin], rule, &turn[begin & 1])) {
        return fdc_columns(w, begin, end, fail); /* which says what is wrong */
    }
    int intact = 1;
    for (int k = 0; k < 2; k++) {
        intact &= fdc_same_bits(row[k][begin], base[begin]);
        row[k][begin] = turn[begin & 1].point[k];
    }
    for (ptrdiff_t j = begin; j < end; j++) {
        const pair *const at = &turn[j & 1];
        pair *const next = &turn[(j + 1) & 1];
        const int follows = j + 1 < end && place_pair(base[j + 1], rule, next);
        double y[2];
        if (fdc_cancelled(w)) {
            return fdc_fail(fail, FDC_ERR_CANCELLED, j, 0.0);
        }
        for (int k = 0; k < 2; k++) {
            double *const x = row[k];
            y[k] = f(n, x, user);
            intact &= fdc_same_bits(x[j], at->point[k]);
            x[j] = base[j];
            if (follows) {
                intact &= fdc_same_bits(x[j + 1], base[j + 1]);
                x[j + 1] = next->point[k];
            }
        }
        w->nfev += 2;
        if (!intact) {
            return fdc_fail(fail, FDC_ERR_MUTATED, j, base[j]);
        }
        const double value = (y[0] - y[1]) / (at->d[0] - at->d[1]);
        out[j * stride] = value;
        if (!(fabs(value) <= DBL_MAX)) {
            jb->nonfinite[j] = 1;
            fdc_atomic_store_int(&jb->any_nonfinite, 1);
        }
        if (!follows) {
            return j + 1 < end ? fdc_columns(w, j + 1, end, fail) : FDC_OK;
        }
    }
    return FDC_OK;
}

fdc_status fdc_columns_plain(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail)
{
    fdc_job *jb = w->job;
    const fdc_problem *p = jb->p;
    const fdc_func *f = p->f;
    const ptrdiff_t m = p->m;
    const double rule = p->scheme[0].rule * (jb->o->step_scale > 0.0 ? jb->o->step_scale : 1.0);
    const fdc_placement rule_step = {&p->scheme[0], rule, FDC_AT_RULE};
    void *user = NULL;
    const fdc_array_fn direct = fdc_bridge_array(f, &user);
    if (direct != NULL) {
        return gradient_directly(w, direct, user, rule, begin, end, fail);
    }
    const fdc_vector_fn vector = fdc_bridge_vector(f, &user);
    for (ptrdiff_t j = begin; j < end; j++) {
        const double home = p->x[j];
        double *const out = p->jac + j * p->col_stride;
        double *const y[2] = {m > 1 ? out : w->y, w->y + m}; /* f(x + h) goes where the column will be */
        pair at;
        if (!place_pair(home, rule, &at)) {
            return fdc_columns(w, j, end, fail);
        }
        if (fdc_cancelled(w)) {
            return fdc_fail(fail, FDC_ERR_CANCELLED, j, 0.0);
        }
        if (!fdc_same_bits((*w->x)[j], home)) {
            return fdc_fail(fail, FDC_ERR_MUTATED, j, (*w->x)[j]);
        }
        for (int k = 0; k < 2; k++) {
            (*w->x)[j] = at.point[k];
            w->nfev++;
            const int rc =
                vector != NULL ? vector(p->n, *w->x, m, y[k], user) : f->eval(1, p->n, *w->x, m, y[k], f->ctx);
            if (rc != 0) {
                fail->callback_status = rc;
                return fdc_fail(fail, FDC_ERR_CALLBACK, j, at.d[k]);
            }
            if (!fdc_same_bits((*w->x)[j], at.point[k])) {
                return fdc_fail(fail, FDC_ERR_MUTATED, j, (*w->x)[j]);
            }
        }
        (*w->x)[j] = home;
        int finite;
        if (m == 1) {
            *out = (*y[0] - *y[1]) / (at.d[0] - at.d[1]);
            finite = fabs(*out) <= DBL_MAX;
        } else {
            finite = fdc_difference(m, out, y[1], p->scheme[0].weight[0] / (at.d[0] - at.d[1]));
        }
        if (!finite) {
            fdc_record(jb, j, &rule_step, 0);
        }
    }
    return FDC_OK;
}
