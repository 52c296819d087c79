/* run.h - one run of the perturbation loop: what its workers share, between jacobian.c, column.c and combine.c. */
#ifndef FDCORE_RUN_H
#define FDCORE_RUN_H

#include "compat.h"
#include "internal.h"

#include <string.h>

#define FDC_TILE 8                  /* columns: one cache line of a row */
#define FDC_WORTH_THREADS_NS 300000 /* estimated work below which a second thread does not pay */

typedef struct fdc_failure {
    fdc_status status;
    ptrdiff_t column;
    double displacement;
    int callback_status;
} fdc_failure;

typedef struct fdc_job {
    const fdc_problem *p;
    const fdc_options *o;
    const double *f0;       /* (m,), where any scheme in use needs it */
    ptrdiff_t width;        /* doubles a row of x: n, or 2n when complex */
    ptrdiff_t rows;         /* rows of x and y that each worker has */
    ptrdiff_t chunk;        /* columns a claim */
    int plain;              /* central, order 2, rule step, no bounds, nothing to record but the derivative */
    double *step;           /* (n,) or NULL */
    uint8_t *component;     /* (n,) or NULL */
    uint8_t *nonfinite;     /* (n,) columns to be tried again */
    ptrdiff_t next;         /* atomic: first column not claimed */
    ptrdiff_t nfev;         /* atomic: the helpers' evaluations */
    double evaluation_ns;   /* of the first column; 0: not timed */
    int any_nonfinite;      /* atomic */
    int cancelled;          /* atomic */
    struct fdc_worker *caller;  /* the calling thread's worker */
    fdc_mutex lock;         /* guards first */
    fdc_failure first;          /* the lowest failing column's */
} fdc_job;

typedef struct fdc_worker {
    fdc_job *job;
    double **x;      /* rows of x; read again after each evaluation, since the callback may move it */
    double *own_x;
    double *allocated; /* what to free, or NULL */
    double *y;
    double *tile;    /* FDC_TILE columns of a row-major Jacobian, or NULL: stored together, they share cache lines */
    ptrdiff_t side;  /* FDC_SIDE_BY_SIDE: points that the block of x is laid out for; 0: a row each */
    ptrdiff_t nfev;
    int polls;       /* this worker is the calling thread */
    int countdown;   /* evaluations until the clock is read */
    int interval;
    int64_t last_look; /* at the clock */
    int64_t last_poll;
} fdc_worker;

static inline int fdc_same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* The top bit is set for NaN and inf: adding one to a full exponent carries into it. For sums of bits in loops. */
static inline uint64_t fdc_carry(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & UINT64_C(0x7ff0000000000000)) + UINT64_C(0x0010000000000000);
}

/* ---- jacobian.c ---------------------------------------------------------------------------------------------- */

/* x into a row of a worker. */
void fdc_fill_row(const fdc_job *job, double *row);

/* f(x) into f0. */
fdc_status fdc_base_value(fdc_worker *w, double *f0, fdc_failure *fail);

/* FDC_ERR_MUTATED if a worker's x has come to differ: entries that no later perturbation looked at again may still have
 * been written to. */
fdc_status fdc_unchanged(const fdc_worker *w, fdc_failure *fail);

/* Work that is worth a second thread. */
#define FDC_WORTH_THREADS_NS 300000

/* ---- sparse_jacobian.c --------------------------------------------------------------------------------------- */

/* What fdc_run does where problem->sparsity is given. */
fdc_status fdc_run_sparse(const fdc_problem *problem, const fdc_options *options, fdc_info *info);

/* Where component j lies in a row of x, and what stands there while it is not perturbed. */
static inline ptrdiff_t fdc_coordinate(const fdc_job *jb, ptrdiff_t j)
{
    return jb->p->is_complex ? 2 * j + 1 : j;
}

static inline double fdc_home(const fdc_job *jb, ptrdiff_t j)
{
    return jb->p->is_complex ? 0.0 : jb->p->x[j];
}

/* The displacement of point k, or 0 where it would not move. */
static inline double fdc_displacement(const fdc_job *jb, const fdc_placement *at, ptrdiff_t j, int k, double *point)
{
    if (jb->p->is_complex) {
        *point = at->h;
        return at->h;
    }
    const double x = jb->p->x[j];
    *point = fdc_point(at, jb->o, j, x, k);
    return *point - x;
}

/* ---- combine.c ----------------------------------------------------------------------------------------------- */

/* Whether all m values are finite. */
int fdc_finite(ptrdiff_t m, const double *values, ptrdiff_t stride);

/* out = (out - b) * factor, entry by entry. Returns whether all are finite. */
int fdc_difference(ptrdiff_t m, double *out, const double *b, double factor);

/* One column, to out[i * stride], from the values y (npoints, m) at displacements d. Returns whether all its entries
 * are finite. */
int fdc_combine(const fdc_job *job, const fdc_placement *at, const double *y, const double *d, double *out,
                ptrdiff_t stride);

/* ---- column.c ------------------------------------------------------------------------------------------------ */

/* `count` rows of x at once; y gets (count, m). */
fdc_status fdc_evaluate(fdc_worker *w, ptrdiff_t count, double *y, fdc_failure *fail);

/* Whether the run is to stop; the calling thread's worker looks for signals now and then. */
int fdc_look_for_signals(fdc_worker *w);
static inline int fdc_cancelled(fdc_worker *w)
{
    return w->polls && --w->countdown <= 0 ? fdc_look_for_signals(w) : fdc_atomic_load_int(&w->job->cancelled);
}

/* The poll function of a job, for fdc_pool_run; once it has asked to stop, it is left in peace. */
int fdc_poll(void *job);

/* Threads at the most, from options->workers where they are not stated. */
static inline int fdc_most_workers(int32_t workers)
{
    return workers < 0 && workers > INT32_MIN ? -workers : INT32_MAX;
}

/* When to look for signals next, given the time of one evaluation: reading the clock each time would show. */
void fdc_set_pace(fdc_worker *w, int64_t start, double evaluation_ns);

/* Notes down a failure and returns its status. */
fdc_status fdc_fail(fdc_failure *fail, fdc_status status, ptrdiff_t j, double displacement);

/* Evaluates the points of column j one by one and combines them; `finite` says whether it came out finite. */
fdc_status fdc_column(fdc_worker *w, ptrdiff_t j, const fdc_placement *at, double *out, ptrdiff_t stride, int *finite,
                      fdc_failure *fail);

/* What became of column j, for the caller's arrays. */
void fdc_record(fdc_job *job, ptrdiff_t j, const fdc_placement *at, int finite);

/* Columns begin..end: point by point, the same where job->plain, or (batched.c) all their points in one call. */
fdc_status fdc_columns(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail);
fdc_status fdc_columns_plain(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail);
fdc_status fdc_columns_batched(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail);

/* Where points lie side by side: ready for a call with one of them; and whether the block is as it was. */
void fdc_one_row(fdc_worker *w);
fdc_status fdc_side_unchanged(const fdc_worker *w, fdc_failure *fail);

/* ---- update.c ------------------------------------------------------------------------------------------------ */

/* All columns from the callback's coordinate updates. Returns how many workers took part; `fail` has the status. */
int fdc_run_updates(fdc_worker *w, fdc_failure *fail);

#endif
