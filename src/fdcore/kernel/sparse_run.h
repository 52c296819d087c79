/* sparse_run.h - one sparse run: what sparse_jacobian.c, sparse_steps.c and sparse_pass.c share. */
#ifndef FDCORE_SPARSE_RUN_H
#define FDCORE_SPARSE_RUN_H

#include "run.h"

typedef struct sparse_job {
    fdc_job base; /* first: the workers' job */
    const fdc_sparsity *s;
    ptrdiff_t points;           /* evaluations a group, f(x) not counted */
    ptrdiff_t groups;
    const int32_t *start;       /* (groups + 1,) */
    const int32_t *members;     /* components by group */
    const int32_t *group_of;    /* (n,) */
    const uint8_t *entry_group; /* (nnz,) or NULL: look the group up by column */
    uint8_t *side;              /* (n,) which scheme, where bounds may choose; or NULL: all the first */
    uint8_t *group_side;        /* (groups,) the same for the split groups, or NULL */
    int32_t *split;             /* owned: start, members and group_of of split groups */
    double *h, *factor;         /* (n,) steps, and what differences are multiplied by */
    double *center;             /* where f(x) goes */
    double *y;                  /* (groups * points, m) values of f */
    double *rows;               /* x of the helpers, helper_rows of them */
    ptrdiff_t helper_rows;
    ptrdiff_t range_end;
    void (*range)(struct sparse_job *, ptrdiff_t, ptrdiff_t);
    ptrdiff_t failed;           /* unit or component of base.first */
    int bad;                    /* atomic: some entry is NaN or inf */
    int threads;                /* that may work on a stage */
    int most;                   /* that did */
} sparse_job;

static inline const fdc_scheme *scheme_of(const sparse_job *job, ptrdiff_t group)
{
    return &job->base.p->scheme[job->group_side != NULL ? job->group_side[group] : 0];
}

/* One difference: its displacement is the one really taken. More: a multiple of h each, which is made exact. */
static inline int is_single(const fdc_scheme *s)
{
    return s->form == FDC_IMAGINARY || (s->form == FDC_PAIRS ? s->npoints == 2 : s->npoints == 1);
}

/* ---- sparse_jacobian.c ---------------------------------------------------------------------------------------- */

/* Notes down the failure at the lowest place (unit or component), and that nothing above it needs to start. */
void fdc_sparse_report(sparse_job *job, const fdc_failure *fail, ptrdiff_t place);

/* range(job, begin, end) over 0..count, in parts shared by threads if there is enough `work`. */
void fdc_sparse_ranges(sparse_job *job, ptrdiff_t count, ptrdiff_t work,
                       void (*range)(sparse_job *, ptrdiff_t, ptrdiff_t));

/* ---- sparse_steps.c ------------------------------------------------------------------------------------------- */

/* Step and factor of every component, and groups of one scheme each. A failure is reported. */
fdc_status fdc_sparse_steps(sparse_job *job);

/* The factor of component j at a placement; where the step is rounded, at->h is. 0: the points do not move. */
double fdc_sparse_factor(const fdc_problem *p, const fdc_options *o, ptrdiff_t j, fdc_placement *at);

/* ---- sparse_pass.c -------------------------------------------------------------------------------------------- */

/* Leaves the weighted sum of each group's differences in its first row of values, for rows begin..end. */
void fdc_sparse_combine(sparse_job *job, ptrdiff_t begin, ptrdiff_t end);

/* Fills in all entries; sets job->bad if one is NaN or inf. */
void fdc_sparse_pass(sparse_job *job);

#endif
