/* sparse_retreat.c - columns with NaN or inf: the other side, then smaller and smaller steps, all of a colour together. */
#include "sparse_run.h"

#include <stdlib.h>

/* Where the value of row i and column j goes, which is entry k of `columns`. */
static double *entry_of(const sparse_job *job, int32_t i, int32_t j, int32_t k)
{
    const fdc_pattern *rows = &job->s->rows;
    if (rows->start == NULL) {
        return job->base.p->jac + k;
    }
    int32_t low = rows->start[i], high = rows->start[i + 1] - 1;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (rows->index[middle] < j) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return job->base.p->jac + low;
}

static int is_bad(const sparse_job *job, int32_t j)
{
    const fdc_pattern *columns = &job->s->columns;
    for (int32_t k = columns->start[j]; k < columns->start[j + 1]; k++) {
        if (!fdc_finite(1, entry_of(job, columns->index[k], j, k), 1)) {
            return 1;
        }
    }
    return 0;
}

/* Tries one scheme at shrunk steps for the components of `pending`, all of one colour; keeps in it those that gave NaN
 * or inf, or had no room. Returns how many. */
static ptrdiff_t retry(fdc_worker *w, int32_t *pending, ptrdiff_t count, int side, double shrink, fdc_status *status,
                       fdc_failure *fail)
{
    sparse_job *job = (sparse_job *)w->job;
    const fdc_problem *p = job->base.p;
    const fdc_options *o = job->base.o;
    const fdc_scheme *s = &p->scheme[side];
    ptrdiff_t tried = 0;
    for (ptrdiff_t t = 0; t < count; t++) {
        const int32_t j = pending[t];
        fdc_placement first;
        (void)fdc_place(p, o, j, &first);
        fdc_placement at = {s, first.h * shrink, FDC_AT_SHRUNK};
        const double factor = fdc_sparse_factor(p, o, j, &at), x = p->x[j];
        if (factor == 0.0 || (shrink == 1.0 && s == first.scheme) ||
            (o->lower != NULL && x + s->lowest * at.h < o->lower[j]) ||
            (o->upper != NULL && x + s->highest * at.h > o->upper[j])) {
            continue;
        }
        job->h[j] = at.h;
        job->factor[j] = factor;
        pending[t] = pending[tried]; /* those that are tried come first */
        pending[tried++] = j;
    }
    if (tried == 0) {
        return count;
    }
    /* A group of its own, in place of the first. */
    const int32_t start[2] = {0, (int32_t)tried};
    uint8_t group_side = (uint8_t)side;
    job->start = start;
    job->members = pending;
    job->groups = 1;
    job->group_side = &group_side;
    for (ptrdiff_t unit = 0; unit < job->points && *status == FDC_OK; unit++) {
        *status = fdc_sparse_evaluate(w, unit, unit + 1, fail);
    }
    if (*status == FDC_OK) {
        fdc_sparse_combine(job, 0, p->m);
        ptrdiff_t left = 0;
        for (ptrdiff_t t = 0; t < count; t++) {
            const int32_t j = pending[t];
            const fdc_pattern *columns = &job->s->columns;
            for (int32_t k = columns->start[j]; t < tried && k < columns->start[j + 1]; k++) {
                *entry_of(job, columns->index[k], j, k) = job->y[columns->index[k]] * job->factor[j];
            }
            if (t >= tried || is_bad(job, j)) {
                pending[left++] = j;
            } else if (job->base.component != NULL) {
                job->base.component[j] = side == 1   ? FDC_AT_FORWARD
                                         : side == 2 ? FDC_AT_BACKWARD
                                                     : FDC_AT_SHRUNK;
            }
        }
        count = left;
    }
    job->group_side = NULL;
    return count;
}

fdc_status fdc_sparse_retreat(fdc_worker *w, double *f0, fdc_failure *fail)
{
    static const double shrink[] = {1.0, 0.125, 1.0 / 64, 1.0 / 512, 1.0 / 4096};
    sparse_job *job = (sparse_job *)w->job;
    const fdc_problem *p = job->base.p;
    const fdc_sparsity *s = job->s;
    fdc_status status = FDC_OK;
    if (job->base.f0 == NULL) {
        status = fdc_base_value(w, f0, fail);
        job->base.f0 = f0;
    } else if (!fdc_finite(p->m, job->base.f0, 1)) {
        status = fdc_fail(fail, FDC_ERR_NONFINITE, -1, 0.0);
    }
    if (status != FDC_OK) {
        return status;
    }
    int32_t *pending = malloc(((size_t)p->n + 1) * sizeof *pending);
    uint8_t *group_side = job->group_side;
    if (pending == NULL) {
        return fdc_fail(fail, FDC_ERR_MEMORY, -1, 0.0);
    }
    for (int32_t c = 0; c < s->colors && status == FDC_OK; c++) {
        ptrdiff_t count = 0;
        for (int32_t t = s->group_start[c]; t < s->group_start[c + 1]; t++) {
            if (is_bad(job, s->group[t])) {
                pending[count++] = s->group[t];
            }
        }
        for (size_t level = 0; level < sizeof shrink / sizeof *shrink; level++) {
            for (int side = 0; side < p->nschemes && count > 0 && status == FDC_OK; side++) {
                count = retry(w, pending, count, side, shrink[level], &status, fail);
            }
        }
        if (status == FDC_OK && count > 0) {
            int32_t least = pending[0];
            for (ptrdiff_t t = 1; t < count; t++) {
                least = pending[t] < least ? pending[t] : least;
            }
            status = fdc_fail(fail, FDC_ERR_NONFINITE, least, job->h[least]);
        }
    }
    free(pending);
    job->group_side = group_side;
    return status;
}
