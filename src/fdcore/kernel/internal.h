/* internal.h - what the kernel's files and the Python boundary share and nobody else sees. */
#ifndef FDCORE_INTERNAL_H
#define FDCORE_INTERNAL_H

#include "color.h"

/* A second copy of a loop for processors with AVX2, chosen when the library is loaded. Without contraction to fused
 * operations both give the same bits. Sanitizers cannot follow the choosing. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define FDC_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define FDC_WIDE
#endif

/* ---- parallel.c ---------------------------------------------------------------------------------------------- */

/* A task takes work until none is left, commonly with fdc_atomic_fetch_add on a counter in ctx (compat.h). `worker` is
 * 0 for the caller and 1, 2, ... for helpers, in the order in which they join. */
typedef void (*fdc_task_fn)(void *ctx, int worker);

/* Runs task(ctx, 0) on the calling thread and task(ctx, k) on up to workers - 1 helpers, and returns how many workers
 * took part (>= 1). What they wrote is visible to the caller afterwards. A helper that has not joined when the caller's
 * own task returns never does: nothing may depend on helpers coming. Helpers compute in the caller's floating-point
 * environment. The run is serial when the pool is NULL, in use (by another thread, or by the run this one is nested
 * in), or without threads, and when the caller may use one processor only.
 *
 * The task itself looks after cancellation while it works. Once the caller's task has returned and it waits for
 * helpers, poll (unless NULL) is called about every 50 ms; if that returns nonzero, on_cancel(ctx) is called once, and
 * the wait goes on until the helpers are done. on_cancel is also called if the caller's task forked and this is the
 * child: the helpers' part of the work stayed in the parent. */
int fdc_pool_run(fdc_pool *pool, int workers, fdc_task_fn task, void *ctx, fdc_poll_fn poll, void *poll_ctx,
                 void (*on_cancel)(void *ctx));

/* ---- stencil.c ----------------------------------------------------------------------------------------------- */

#define FDC_MAX_POINTS 16

/* How a derivative is put together from values y[k] = f(x + d[k]), where d[k] is the displacement really taken. */
typedef enum fdc_form {
    FDC_PAIRS,     /* sum of weight[k] * (y[2k] - y[2k + 1]) / (d[2k] - d[2k + 1]): central, order 1 */
    FDC_ONE_SIDED, /* sum of weight[k] * (y[k] - f(x)) / d[k]: forward and backward, order 1 */
    FDC_WEIGHTS,   /* (center_weight * f(x) + sum of weight[k] * y[k]) / h^order: any other stencil */
    FDC_IMAGINARY  /* y[0] / h, where the callback returns imaginary parts: the complex step */
} fdc_form;

typedef struct fdc_scheme {
    fdc_form form;
    int npoints;     /* evaluations a component, f(x) not counted */
    int order;       /* of the derivative */
    int accuracy;    /* order of the truncation error */
    int uses_center; /* f(x) enters */
    double center_weight;
    double lowest;  /* smallest offset, <= 0 */
    double highest; /* largest offset, >= 0 */
    double rule;    /* rule step for max(1, |x|) = 1 */
    double offset[FDC_MAX_POINTS];
    double weight[FDC_MAX_POINTS];
} fdc_scheme;

/* The scheme of a method for the first derivative; FDC_ERR_ARGUMENT where the method has no such accuracy. */
fdc_status fdc_scheme_first(fdc_method method, int accuracy, double precision, fdc_scheme *scheme);

/* ---- jacobian.c ---------------------------------------------------------------------------------------------- */

/* A sparse Jacobian to be made by groups of columns: jac gets the values of the stored entries in the order of `rows`
 * or, where rows.start is NULL, of `columns`. */
typedef struct fdc_sparsity {
    fdc_pattern rows, columns;    /* (m, n) and (n, m) */
    const uint8_t *entry_color;   /* (nnz,) in the order of rows; NULL where that is, or with more than 256 colours */
    const int32_t *color;         /* (n,) of each column */
    const int32_t *group_start;   /* (colors + 1,) */
    const int32_t *group;         /* columns that have entries, by colour */
    int32_t colors;
    double *work;                 /* work_size doubles for the run alone, or NULL: it is allocated */
    ptrdiff_t work_size;          /* fdc_sparse_work() is enough */
} fdc_sparsity;

/* All that a run needs besides the options. */
typedef struct fdc_problem {
    const fdc_func *f;
    ptrdiff_t n, m;
    const double *x;
    double *jac;
    ptrdiff_t row_stride, col_stride;
    fdc_scheme scheme[3];  /* the one asked for; then what it retreats to: forward and backward of the same order */
    int nschemes;          /* 1 (no retreat to another side) or 3 */
    int is_complex;        /* x is passed on as n (real, imaginary) pairs and perturbed along the imaginary axis */
    ptrdiff_t block_rows;  /* most rows of a batched call; 0: as many as fill 256 KiB */
    const fdc_sparsity *sparsity; /* or NULL: a dense Jacobian */
    double **xslot;        /* where the serial run's x lives, if the caller owns it: block_rows * n doubles (pairs when
                              complex). The callback may move it: the slot is read again after each evaluation. */
} fdc_problem;

/* Doubles that a sparse run works on with so many threads, or -1 if that is too many to count. */
ptrdiff_t fdc_sparse_work(const fdc_problem *problem, int workers);

fdc_status fdc_run(const fdc_problem *problem, const fdc_options *options, fdc_info *info);

/* ---- hessian.c ----------------------------------------------------------------------------------------------- */

/* The Hessian of f: R^n -> R, (n, n), from n^2 + n + 1 values, and, unless NULL, in `error` (n n + 1 + n) a bar for
 * each of its entries and what bars rest on: the error of one value of f, and by how much derivatives along each
 * component grow with their order, in steps. problem->scheme[0] gives the steps; bounds are not looked at, and NaN or inf anywhere is an error. */
fdc_status fdc_run_hessian(const fdc_problem *problem, const fdc_options *options, fdc_info *info, double *hess,
                           double *error);

/* ---- adaptive_run.c ------------------------------------------------------------------------------------------ */

typedef struct fdc_adaptive {
    double rtol;  /* a bar this small relative to the derivative is good enough; 0: 1e-9 */
    double noise; /* absolute error of one value of f; 0: found out */
    const double *noises; /* (m,) the same for each value, in place of `noise`, or NULL */
    int budget;   /* evaluations a component at most; 0: 160 */
    /* What an earlier run found out near known_x (n,), the scale of each entry, or NULL; and where to put what this run
     * finds out, or NULL. Both (m, n) by columns. Scales are where to begin, and prove nothing. */
    const double *known_x, *known;
    double *scale;
} fdc_adaptive;

/* The Jacobian with an error bar and findings (FDC_FOUND_*, adaptive.h) for each entry, both (m, n) by columns or NULL.
 * abs_step and rel_step give the first step tried. f(x) may be NaN or inf. */
fdc_status fdc_run_adaptive(const fdc_problem *problem, const fdc_options *options, fdc_info *info,
                            const fdc_adaptive *how, double *error, unsigned char *found);

/* ---- place.c ------------------------------------------------------------------------------------------------- */

/* Points for component j: chooses scheme and step so that no point leaves the bounds. Returns FDC_OK or the reason. */
typedef struct fdc_placement {
    const fdc_scheme *scheme;
    double h;
    fdc_component component;
} fdc_placement;

fdc_status fdc_place(const fdc_problem *problem, const fdc_options *options, ptrdiff_t j, fdc_placement *placement);

/* The coordinate of point k of a placement, never outside the bounds. */
double fdc_point(const fdc_placement *placement, const fdc_options *options, ptrdiff_t j, double x, int k);

/* ---- bridge.c ------------------------------------------------------------------------------------------------ */

/* The callback forms other than fdc_fn that fdcore takes, called through an fdc_fn without any Python. */
typedef enum fdc_kind {
    FDC_KIND_SCALAR = 0,      /* double (double) */
    FDC_KIND_SCALAR_USER,     /* double (double, void *) */
    FDC_KIND_ARRAY,           /* double (int, double *) */
    FDC_KIND_ARRAY_USER,      /* double (int, double *, void *) */
    FDC_KIND_VECTOR,          /* int (ptrdiff_t, const double *, ptrdiff_t, double *, void *) */
    FDC_KIND_FULL,            /* fdc_fn */
    FDC_KIND_COUNT
} fdc_kind;

typedef struct fdc_bridge {
    void (*fn)(void);
    void *user;
} fdc_bridge;

/* Fills func so that it calls fn with user data; `bridge` must stay where it is as long as func is used. */
fdc_status fdc_bridge_init(fdc_bridge *bridge, fdc_kind kind, void (*fn)(void), void *user, uint32_t flags,
                           fdc_func *func);

/* The function behind a func of kind FDC_KIND_ARRAY_USER, to be called without the detour; NULL for any other. */
typedef double (*fdc_array_fn)(int n, const double *x, void *user);
fdc_array_fn fdc_bridge_array(const fdc_func *func, void **user);
typedef int (*fdc_vector_fn)(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *user);
fdc_vector_fn fdc_bridge_vector(const fdc_func *func, void **user);

/* A callback that counts: how far a run has come, for whoever watches it (the poll function does). */
typedef struct fdc_counter {
    fdc_func inner;
    ptrdiff_t done; /* atomic: evaluations; of a coordinate update, the points of the blocks that are through */
} fdc_counter;

/* Fills func so that it calls inner and counts; `counter` must stay where it is as long as func is used. */
void fdc_count(fdc_counter *counter, const fdc_func *inner, fdc_func *func);
ptrdiff_t fdc_counted(const fdc_counter *counter);

#endif
