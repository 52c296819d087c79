/* sparse_pass.c - from the values of f at every group's points to the entries of the Jacobian. */
#include "sparse_run.h"

void fdc_sparse_combine(sparse_job *job, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t m = job->base.p->m;
    const double *f0 = job->base.f0;
    for (ptrdiff_t group = 0; group < job->groups; group++) {
        const fdc_scheme *s = scheme_of(job, group);
        double *y = job->y + group * job->points * m;
        const int single = is_single(s);
        for (ptrdiff_t i = begin; i < end; i++) {
            double sum = 0.0;
            if (s->form == FDC_IMAGINARY) {
                sum = y[i];
            } else if (s->form == FDC_PAIRS) {
                for (int k = 0; k < s->npoints; k += 2) {
                    const double weight = single ? 1.0 : s->weight[k / 2] / (s->offset[k] - s->offset[k + 1]);
                    sum += weight * (y[k * m + i] - y[(k + 1) * m + i]);
                }
            } else {
                for (int k = 0; k < s->npoints; k++) {
                    sum += (single ? 1.0 : s->weight[k] / s->offset[k]) * (y[k * m + i] - f0[i]);
                }
            }
            y[i] = sum;
        }
    }
}

enum { TAKE = 0, MINUS_CENTER, MINUS_SECOND }; /* what an entry is the difference of: nothing, f(x), the second value */

#define BLOCK 128 /* rows or columns after which their values are looked at again, while they are in the cache */

FDC_WIDE static int is_finite(ptrdiff_t count, const double *restrict values)
{
    uint64_t carry = 0;
    for (ptrdiff_t k = 0; k < count; k++) {
        carry |= fdc_carry(values[k]);
    }
    return (carry >> 63) == 0;
}

/* Rows begin..end. `difference` and `by_byte` are constants where this is called. */
static inline void rows_range(sparse_job *job, ptrdiff_t begin, ptrdiff_t end, int difference, int by_byte)
{
    const fdc_pattern *rows = &job->s->rows;
    const ptrdiff_t m = job->base.p->m, stride = job->points * m;
    const double *restrict y = job->y, *restrict f0 = job->base.f0, *restrict factor = job->factor;
    const int32_t *restrict start = rows->start, *restrict index = rows->index, *restrict group_of = job->group_of;
    const uint8_t *restrict entry_group = job->entry_group;
    double *restrict values = job->base.p->jac;
    const double *group_values[256]; /* saves the multiplication for each entry */
    for (ptrdiff_t group = 0; by_byte && group < job->groups; group++) {
        group_values[group] = y + group * stride;
    }
    for (ptrdiff_t block = begin; block < end; block += BLOCK) {
        const ptrdiff_t stop = end - block < BLOCK ? end : block + BLOCK;
        for (ptrdiff_t i = block; i < stop; i++) {
            const double center = difference == MINUS_CENTER ? f0[i] : 0.0;
            for (int32_t k = start[i]; k < start[i + 1]; k++) {
                const int32_t j = index[k];
                const double *at = (by_byte ? group_values[entry_group[k]] : y + group_of[j] * stride) + i;
                const double change = difference == TAKE ? *at : *at - (difference == MINUS_CENTER ? center : at[m]);
                values[k] = change * factor[j];
            }
        }
        if (!is_finite(start[stop] - start[block], values + start[block])) {
            fdc_atomic_store_int(&job->bad, 1);
        }
    }
}

static inline void columns_range(sparse_job *job, ptrdiff_t begin, ptrdiff_t end, int difference)
{
    const fdc_pattern *columns = &job->s->columns;
    const int32_t *restrict start = columns->start, *restrict index = columns->index;
    const ptrdiff_t m = job->base.p->m;
    const double *restrict f0 = job->base.f0;
    double *restrict values = job->base.p->jac;
    for (ptrdiff_t block = begin; block < end; block += BLOCK) {
        const ptrdiff_t stop = end - block < BLOCK ? end : block + BLOCK;
        for (ptrdiff_t j = block; j < stop; j++) {
            const double factor = job->factor[j], *restrict y = job->y + job->group_of[j] * job->points * m;
            for (int32_t k = start[j]; k < start[j + 1]; k++) {
                const int32_t i = index[k];
                const double other = difference == MINUS_CENTER ? f0[i] : difference == MINUS_SECOND ? y[m + i] : 0.0;
                values[k] = (difference == TAKE ? y[i] : y[i] - other) * factor;
            }
        }
        if (!is_finite(start[stop] - start[block], values + start[block])) {
            fdc_atomic_store_int(&job->bad, 1);
        }
    }
}

#define PASS(name, call)                                                                                               \
    static void name(sparse_job *job, ptrdiff_t begin, ptrdiff_t end) { call; }
PASS(rows_take, rows_range(job, begin, end, TAKE, 0))
PASS(rows_center, rows_range(job, begin, end, MINUS_CENTER, 0))
PASS(rows_second, rows_range(job, begin, end, MINUS_SECOND, 0))
PASS(rows_center_byte, rows_range(job, begin, end, MINUS_CENTER, 1))
PASS(rows_second_byte, rows_range(job, begin, end, MINUS_SECOND, 1))
PASS(columns_take, columns_range(job, begin, end, TAKE))
PASS(columns_center, columns_range(job, begin, end, MINUS_CENTER))
PASS(columns_second, columns_range(job, begin, end, MINUS_SECOND))

void fdc_sparse_pass(sparse_job *job)
{
    const fdc_scheme *s = &job->base.p->scheme[0];
    const int by_row = job->s->rows.start != NULL, bytes = job->entry_group != NULL;
    const ptrdiff_t lines = by_row ? job->base.p->m : job->base.p->n;
    int difference = s->form == FDC_IMAGINARY ? TAKE : s->form == FDC_PAIRS ? MINUS_SECOND : MINUS_CENTER;
    if (!is_single(s) || (job->group_side != NULL && s->form == FDC_PAIRS)) {
        fdc_sparse_stage(job, job->base.p->m, fdc_sparse_combine);
        difference = TAKE;
    }
    fdc_sparse_stage(job, lines,
                     difference == TAKE           ? (by_row ? rows_take : columns_take)
                     : difference == MINUS_CENTER ? (!by_row ? columns_center : bytes ? rows_center_byte : rows_center)
                                                  : (!by_row ? columns_second : bytes ? rows_second_byte : rows_second));
}
