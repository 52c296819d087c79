/* batched.c - columns of the Jacobian whose points are evaluated in one call. */
#include "run.h"

/* Where point `row` of `count` has coordinate c: in a row of its own, or side by side with the other points. */
static double *entry(const fdc_worker *w, ptrdiff_t count, ptrdiff_t row, ptrdiff_t c)
{
    return w->job->p->f->flags & FDC_SIDE_BY_SIDE ? *w->x + c * count + row : *w->x + row * w->job->width + c;
}

/* Side by side, the place of a point depends on how many there are: the block is laid out anew when that changes, which
 * is for the last batch. */
static void lay_out(fdc_worker *w, ptrdiff_t count)
{
    const fdc_problem *p = w->job->p;
    if (!(p->f->flags & FDC_SIDE_BY_SIDE) || w->side == count) {
        return;
    }
    for (ptrdiff_t j = 0; j < p->n; j++) {
        for (ptrdiff_t row = 0; row < count; row++) {
            (*w->x)[j * count + row] = p->x[j];
        }
    }
    w->side = count;
}

/* The values of one column's points, (npoints, m), out of those of the batch. */
static const double *values_of(const fdc_worker *w, ptrdiff_t count, ptrdiff_t row, int npoints)
{
    const ptrdiff_t m = w->job->p->m;
    if (!(w->job->p->f->flags & FDC_SIDE_BY_SIDE) || m == 1) {
        return w->y + row * m;
    }
    double *own = w->y + w->job->rows * m; /* room for FDC_MAX_POINTS more */
    for (int k = 0; k < npoints; k++) {
        for (ptrdiff_t i = 0; i < m; i++) {
            own[k * m + i] = w->y[i * count + row + k];
        }
    }
    return own;
}

fdc_status fdc_columns_batched(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail)
{
    fdc_job *jb = w->job;
    fdc_placement at;
    ptrdiff_t count = 0;
    for (ptrdiff_t j = begin; j < end; j++) {
        const fdc_status status = fdc_place(jb->p, jb->o, j, &at);
        if (status != FDC_OK) {
            return fdc_fail(fail, status, j, at.h);
        }
        count += at.scheme->npoints;
    }
    lay_out(w, count);
    ptrdiff_t row = 0;
    for (ptrdiff_t j = begin; j < end; j++) {
        (void)fdc_place(jb->p, jb->o, j, &at);
        for (int k = 0; k < at.scheme->npoints; k++, row++) {
            double point;
            if (fdc_displacement(jb, &at, j, k, &point) == 0.0) {
                return fdc_fail(fail, FDC_ERR_STEP, j, at.h);
            }
            *entry(w, count, row, fdc_coordinate(jb, j)) = point;
        }
    }
    const fdc_status status = fdc_evaluate(w, count, w->y, fail);
    if (status != FDC_OK) {
        return fdc_fail(fail, status, begin, 0.0);
    }
    row = 0;
    for (ptrdiff_t j = begin; j < end; j++) {
        (void)fdc_place(jb->p, jb->o, j, &at);
        double d[FDC_MAX_POINTS];
        const double *y = values_of(w, count, row, at.scheme->npoints);
        for (int k = 0; k < at.scheme->npoints; k++, row++) {
            double point;
            d[k] = fdc_displacement(jb, &at, j, k, &point);
            double *here = entry(w, count, row, fdc_coordinate(jb, j));
            if (!fdc_same_bits(*here, point)) {
                return fdc_fail(fail, FDC_ERR_MUTATED, j, *here);
            }
            *here = fdc_home(jb, j);
        }
        fdc_record(jb, j, &at, fdc_combine(jb, &at, y, d, jb->p->jac + j * jb->p->col_stride, jb->p->row_stride));
    }
    return FDC_OK;
}

void fdc_one_row(fdc_worker *w)
{
    lay_out(w, 1);
}

fdc_status fdc_side_unchanged(const fdc_worker *w, fdc_failure *fail)
{
    for (ptrdiff_t j = 0; j < w->job->p->n; j++) {
        for (ptrdiff_t row = 0; row < w->side; row++) {
            const double value = (*w->x)[j * w->side + row];
            if (!fdc_same_bits(value, w->job->p->x[j])) {
                return fdc_fail(fail, FDC_ERR_MUTATED, j, value);
            }
        }
    }
    return FDC_OK;
}
