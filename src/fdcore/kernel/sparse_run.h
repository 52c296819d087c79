/* sparse_run.h - one sparse run: what sparse_jacobian.c, sparse_steps.c and sparse_pass.c share. */
#ifndef FDCORE_SPARSE_RUN_H
#define FDCORE_SPARSE_RUN_H

#include "run.h"

struct sparse_job;

/* Work over 0..count that threads share. */
typedef struct sparse_stage {
    void (*range)(struct sparse_job *, ptrdiff_t, ptrdiff_t);
    ptrdiff_t count;
    ptrdiff_t part; /* of it that is claimed at once */
    ptrdiff_t next; /* atomic: first that is not claimed */
    ptrdiff_t done; /* atomic */
} sparse_stage;

enum { SPARSE_STAGES = 3 }; /* steps; weighted sums where differences are not single; entries */

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
    sparse_stage stage[SPARSE_STAGES];
    int stages;                 /* set */
    int steps_are_due;          /* stage 0 is to be done by threads before they evaluate */
    ptrdiff_t units, finished;  /* evaluations there are; atomic: that are done */
    ptrdiff_t failed;           /* unit or component of base.first */
    int bad;                    /* atomic: some entry is NaN or inf */
    int stopped;                /* atomic: there has been a failure */
    int64_t process;            /* that the run began in: a callback may fork */
    int threads;                /* that may evaluate */
    int range_threads;          /* that may work on a stage without evaluations */
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

/* The same, to be done later, by threads that have evaluated. */
void fdc_sparse_stage(sparse_job *job, ptrdiff_t count, void (*range)(sparse_job *, ptrdiff_t, ptrdiff_t));

/* Units begin..end in one call (one unit, unless the callback takes batches). */
fdc_status fdc_sparse_evaluate(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail);

/* ---- sparse_retreat.c ----------------------------------------------------------------------------------------- */

/* Tries again for columns with NaN or inf, until all are finite or nothing is left to try. */
fdc_status fdc_sparse_retreat(fdc_worker *w, double *f0, fdc_failure *fail);

/* ---- sparse_steps.c ------------------------------------------------------------------------------------------- */

/* Step and factor of every component, and groups of one scheme each; or only the stage for it, where threads that are
 * going to evaluate can do it first. A failure is reported. */
fdc_status fdc_sparse_steps(sparse_job *job);

/* The factor of component j at a placement; where the step is rounded, at->h is. 0: the points do not move. */
double fdc_sparse_factor(const fdc_problem *p, const fdc_options *o, ptrdiff_t j, fdc_placement *at);

/* ---- sparse_pass.c -------------------------------------------------------------------------------------------- */

/* Leaves the weighted sum of each group's differences in its first row of values, for rows begin..end. */
void fdc_sparse_combine(sparse_job *job, ptrdiff_t begin, ptrdiff_t end);

/* The stages that fill in all entries; they set job->bad if one is NaN or inf. */
void fdc_sparse_pass(sparse_job *job);

#endif
