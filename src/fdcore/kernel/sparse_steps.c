/* sparse_steps.c - the steps of a sparse run, and which components may move together. */
#include "sparse_run.h"

#include <math.h>
#include <stdlib.h>

/* The spacing of the points rounded so that x + k * h is exact for each of them, and inside the bounds. */
static double exact_step(const fdc_scheme *s, const fdc_options *o, ptrdiff_t j, double x, double h)
{
    const double far = fabs(x) + fmax(s->highest, -s->lowest) * h;
    const double spacing = nextafter(far, INFINITY) - far;
    double rounded = floor(h / spacing) * spacing;
    while (rounded > 0.0 && ((o->lower != NULL && x + s->lowest * rounded < o->lower[j]) ||
                             (o->upper != NULL && x + s->highest * rounded > o->upper[j]))) {
        rounded -= spacing;
    }
    return rounded;
}

double fdc_sparse_factor(const fdc_problem *p, const fdc_options *o, ptrdiff_t j, fdc_placement *at)
{
    const fdc_scheme *s = at->scheme;
    const double x = p->x[j];
    if (p->is_complex) {
        return 1.0 / at->h;
    }
    if (!is_single(s)) {
        at->h = exact_step(s, o, j, x, at->h);
        return at->h > 0.0 ? 1.0 / at->h : 0.0;
    }
    const double d = fdc_point(at, o, j, x, 0) - x - (s->form == FDC_PAIRS ? fdc_point(at, o, j, x, 1) - x : 0.0);
    return d != 0.0 ? 1.0 / d : 0.0;
}

static void place_each(sparse_job *job, ptrdiff_t begin, ptrdiff_t end)
{
    const fdc_problem *p = job->base.p;
    for (ptrdiff_t j = begin; j < end; j++) {
        fdc_placement at;
        fdc_status status = fdc_place(p, job->base.o, j, &at);
        if (status == FDC_OK) {
            job->factor[j] = fdc_sparse_factor(p, job->base.o, j, &at);
            status = job->factor[j] != 0.0 ? FDC_OK : FDC_ERR_STEP;
        }
        if (status != FDC_OK) {
            const fdc_failure fail = {status, j, at.h, 0};
            fdc_sparse_report(job, &fail, j);
            return;
        }
        job->h[j] = at.h;
        if (job->side != NULL) {
            job->side[j] = (uint8_t)(at.scheme - p->scheme);
        }
        if (job->base.component != NULL) {
            job->base.component[j] = (uint8_t)at.component;
        }
    }
}

/* Rule steps and factors of n components without bounds; whether all are finite. */
FDC_WIDE static int rule_steps(ptrdiff_t n, const double *restrict x, double rule, double first, double second,
                               double *restrict h, double *restrict factor)
{
    uint64_t carry = 0;
    for (ptrdiff_t block = 0; block < n; block += 512) { /* two loops, lest the maximum become a branch */
        const ptrdiff_t end = n - block < 512 ? n : block + 512;
        for (ptrdiff_t j = block; j < end; j++) {
            const double size = fabs(x[j]);
            h[j] = size > 1.0 ? size : 1.0;
        }
        for (ptrdiff_t j = block; j < end; j++) {
            h[j] *= rule;
            const double d = (x[j] + first * h[j] - x[j]) - (x[j] + second * h[j] - x[j]);
            factor[j] = 1.0 / d;
            carry |= fdc_carry(d) | fdc_carry(factor[j]);
        }
    }
    return (carry >> 63) == 0;
}

/* The same for the rule step without bounds. */
static void place_by_rule(sparse_job *job, ptrdiff_t begin, ptrdiff_t end)
{
    const fdc_problem *p = job->base.p;
    const fdc_scheme *s = &p->scheme[0];
    const double scale = job->base.o->step_scale > 0.0 ? job->base.o->step_scale : 1.0;
    const double rule = scale * s->rule;
    const double first = s->offset[0], second = s->form == FDC_PAIRS ? s->offset[1] : 0.0;
    if (!rule_steps(end - begin, p->x + begin, rule, first, second, job->h + begin, job->factor + begin)) {
        place_each(job, begin, end); /* x is NaN, or so large that a point overflows: find out where */
    } else if (job->base.component != NULL) {
        memset(job->base.component + begin, FDC_AT_RULE, (size_t)(end - begin));
    }
}

/* Groups of components of one colour and one scheme, where bounds leave a colour with several. */
static fdc_status split_groups(sparse_job *job)
{
    const fdc_sparsity *s = job->s;
    const ptrdiff_t n = job->base.p->n, keys = 3 * (ptrdiff_t)s->colors;
    int mixed = 0;
    for (ptrdiff_t j = 0; j < n && !mixed; j++) {
        mixed = job->side[j] != 0;
    }
    if (!mixed) {
        return FDC_OK;
    }
    job->split = malloc((size_t)(keys + 1 + n + n) * sizeof *job->split);
    job->group_side = malloc((size_t)keys + 1);
    int32_t *number = calloc((size_t)keys + 1, sizeof *number);
    if (job->split == NULL || job->group_side == NULL || number == NULL) {
        free(number);
        return FDC_ERR_MEMORY;
    }
    int32_t *start = job->split, *members = start + keys + 1, *group_of = members + n;
    for (int32_t t = 0; t < s->group_start[s->colors]; t++) {
        number[3 * s->color[s->group[t]] + job->side[s->group[t]]]++;
    }
    int32_t groups = 0, filled = 0;
    for (ptrdiff_t key = 0; key < keys; key++) {
        if (number[key] > 0) {
            job->group_side[groups] = (uint8_t)(key % 3);
            start[groups] = filled;
            filled += number[key];
            number[key] = groups++;
        }
    }
    for (ptrdiff_t j = 0; j < n; j++) {
        group_of[j] = number[3 * s->color[j] + job->side[j]];
    }
    for (int32_t t = 0; t < s->group_start[s->colors]; t++) {
        members[start[group_of[s->group[t]]]++] = s->group[t];
    }
    for (int32_t g = groups; g > 0; g--) { /* filling has moved each start to its end */
        start[g] = start[g - 1];
    }
    start[0] = 0;
    free(number);
    job->groups = groups;
    job->start = start;
    job->members = members;
    job->group_of = group_of;
    job->entry_group = NULL;
    return FDC_OK;
}

fdc_status fdc_sparse_steps(sparse_job *job)
{
    const fdc_problem *p = job->base.p;
    const fdc_options *o = job->base.o;
    const int bounded = o->lower != NULL || o->upper != NULL;
    const int plain = !bounded && o->abs_step == NULL && o->rel_step == NULL && !p->is_complex;
    if (bounded && p->nschemes > 1) {
        job->side = calloc((size_t)p->n, 1);
        if (job->side == NULL) {
            return FDC_ERR_MEMORY;
        }
    }
    void (*const place)(sparse_job *, ptrdiff_t, ptrdiff_t) =
        plain && is_single(&p->scheme[0]) ? place_by_rule : place_each;
    if (job->threads > 1 && o->workers > 0 && job->side == NULL) {
        fdc_sparse_stage(job, p->n, place);
        job->steps_are_due = 1;
        return FDC_OK;
    }
    fdc_sparse_ranges(job, p->n, p->n, place);
    if (job->base.first.status != FDC_OK) {
        return job->base.first.status;
    }
    return job->side != NULL ? split_groups(job) : FDC_OK;
}
