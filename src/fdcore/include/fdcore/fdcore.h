/* fdcore.h - the public C interface of fdcore: numerical derivatives of a C callback.
 *
 * Everything here is plain C11 (and C++), needs no Python, allocates nothing that it does not free, and may be
 * called without the GIL. From Cython: `cimport fdcore`. From C: the functions are capsules in the dictionary
 * fdcore.fdcore.__pyx_capi__, under their names without fdc_; nothing to link.
 */
#ifndef FDCORE_FDCORE_H
#define FDCORE_FDCORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a struct below changes its layout or a function its meaning. */
#define FDC_ABI_VERSION 1u

/* What a call came to. Every fdcore function returns one of these; fdc_status_message() says it in words. */
typedef enum fdc_status {
    FDC_OK = 0,
    FDC_ERR_ARGUMENT,  /* an argument is NULL, negative, or names no method */
    FDC_ERR_MEMORY,    /* a work array could not be allocated */
    FDC_ERR_CALLBACK,  /* the callback returned nonzero */
    FDC_ERR_NONFINITE, /* NaN or inf from the callback, whatever step and side were tried */
    FDC_ERR_STEP,      /* the step vanishes: x + h == x, or it is not positive and finite */
    FDC_ERR_BOUNDS,    /* x is outside its bounds, or they leave no room to move */
    FDC_ERR_MUTATED,   /* the callback wrote into its input */
    FDC_ERR_CANCELLED, /* the poll function asked to stop */
    FDC_STATUS_COUNT   /* not a status: how many there are */
} fdc_status;

/* What became of one component (fdc_info.component); every value but FDC_AT_RULE says that the evaluation points are
 * not the ones the method asks for. */
typedef enum fdc_component {
    FDC_AT_RULE = 0, /* the method's own points */
    FDC_AT_SHRUNK,   /* same points, smaller step: bounds, or NaN/inf at the first points */
    FDC_AT_FORWARD,  /* one-sided, x and above, same order */
    FDC_AT_BACKWARD, /* one-sided, x and below, same order */
    FDC_COMPONENT_COUNT
} fdc_component;

typedef enum fdc_method { FDC_FORWARD = 0, FDC_BACKWARD, FDC_CENTRAL, FDC_METHOD_COUNT } fdc_method;

/* The callback. `x` is (count, n), `y` is (count, m), both row-major; it fills y and returns 0. `count` is 1 unless
 * FDC_BATCHED is set. It must not write to x, nor keep x or y. */
typedef int (*fdc_fn)(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);

/* Which changes a coordinate update is asked for. */
typedef struct fdc_update {
    ptrdiff_t n;
    const double *x; /* (n,) the base point */
    ptrdiff_t first; /* coordinates first, ..., first + cols - 1 are moved, one at a time */
    ptrdiff_t cols;
    ptrdiff_t points;    /* each to so many places: */
    const double *delta; /* (points, cols) by how much; 0 where it does not matter */
    ptrdiff_t m;
    ptrdiff_t part;  /* the share that is asked for, */
    ptrdiff_t parts; /* out of so many */
} fdc_update;

/* Optional, for a function that knows what moving one coordinate changes without evaluating all of itself: a sum over
 * rows of data, a model with a linear predictor, a network. With it, n derivatives cost a few evaluations instead of
 * 2n.
 *
 * Fills change (points, cols, m), row-major: change[(k * cols + c) * m + i] is this part's share of
 *     f_i(x + delta[k * cols + c] * e_(first + c)) - f_i(x).
 * The shares of all parts add up to the change; a sum over rows best gives part p the rows from rows * p / parts to
 * rows * (p + 1) / parts, and a function that cannot be split gives all of it in part 0 and zeros in the others. Taking
 * differences before summing makes the derivative more accurate than differences of f itself. A column's share may
 * depend on nothing but what is asked: not on the columns beside it. Returns 0, or nonzero to stop. With FDC_REENTRANT
 * it must be able to run on several threads at once. */
typedef int (*fdc_update_fn)(const fdc_update *update, double *change, void *ctx);

enum {
    FDC_REENTRANT = 1u, /* eval may run on several threads at once with the same ctx */
    FDC_BATCHED = 2u,   /* eval takes any count >= 1 */
    FDC_SIDE_BY_SIDE = 4u /* with FDC_BATCHED: x is (n, count) and y (m, count), so that a loop over the points is one
                             that compilers vectorise */
};

typedef struct fdc_func {
    uint32_t version; /* FDC_ABI_VERSION */
    uint32_t flags;
    fdc_fn eval;
    fdc_update_fn update; /* or NULL */
    void *ctx;
} fdc_func;

/* Called by the calling thread about every 50 ms during a long run; nonzero stops it with FDC_ERR_CANCELLED. */
typedef int (*fdc_poll_fn)(void *ctx);

/* Threads that can be used by one call after another. Not needed: without one, a call is serial. */
typedef struct fdc_pool fdc_pool;

typedef struct fdc_options {
    uint32_t version;       /* FDC_ABI_VERSION */
    int32_t method;         /* fdc_method */
    int32_t accuracy;       /* order of the truncation error: 1..8 one-sided, 2, 4, 6, 8 central */
    int32_t workers;        /* threads, the caller's included; 1: serial; 0: as many as pool and work are worth; -k: so,
                               but at most k */
    double precision;       /* relative error of one value of f; 0 means DBL_EPSILON / 2 */
    double step_scale;      /* multiplies every step; 0 means 1 */
    const double *rel_step; /* (n,) h = rel_step * |x|, or NULL */
    const double *abs_step; /* (n,) h = abs_step, or NULL. Neither: the rule step, see fdc_rule_step() */
    const double *lower;    /* (n,) or NULL: no evaluation point is below */
    const double *upper;    /* (n,) or NULL: nor above */
    const double *f0;       /* (m,) f(x) where the caller has it, or NULL */
    fdc_pool *pool;         /* or NULL */
    fdc_poll_fn poll;       /* or NULL */
    void *poll_ctx;
    double evaluation_ns;   /* time of one evaluation as an earlier run's info has it, so that work worth several threads
                               goes to them at once; 0: the first column is timed */
} fdc_options;

/* What happened, for messages and for the curious. Arrays are the caller's and may be NULL. */
typedef struct fdc_info {
    ptrdiff_t nfev;      /* evaluations of f, whatever the outcome */
    ptrdiff_t column;    /* the component a failure belongs to, or -1 (f(x) itself, or none) */
    double displacement; /* what had been added to x[column] when it failed */
    int callback_status; /* what the callback returned (FDC_ERR_CALLBACK) */
    int workers;         /* threads that took part at the most */
    double *step;        /* (n,) the step used */
    uint8_t *component;  /* (n,) fdc_component */
    double evaluation_ns; /* time of one evaluation; 0 where it was not taken */
} fdc_info;

/* Sets the defaults: central differences of order 2, rule step, no bounds, serial. */
void fdc_options_init(fdc_options *options);

/* Jacobian of f: R^n -> R^m at x. d f_i / d x_j goes to jac[i * row_stride + j * col_stride] (strides in doubles);
 * a column that is contiguous (row_stride 1) is fastest. Neither x nor, on error, anything but jac is changed.
 * Cost: n * p evaluations for central differences of order p; n * p + 1 for one-sided ones. */
fdc_status fdc_jacobian(const fdc_func *f, ptrdiff_t n, const double *x, ptrdiff_t m, double *jac, ptrdiff_t row_stride,
                        ptrdiff_t col_stride, const fdc_options *options, fdc_info *info);

/* Gradient of f: R^n -> R at x; the same as fdc_jacobian with m = 1. */
fdc_status fdc_gradient(const fdc_func *f, ptrdiff_t n, const double *x, double *grad, const fdc_options *options,
                        fdc_info *info);

/* The step that balances truncation and rounding when f and its derivatives are all of size one, times max(1, |x|). */
double fdc_rule_step(fdc_method method, int accuracy, double precision, double x);

/* At most `max_workers` threads take part in a run, the caller's included. NULL when out of memory. Threads start
 * when first needed; where they cannot start, runs are serial. A pool survives fork(): the child starts its own. */
fdc_pool *fdc_pool_create(int max_workers);
void fdc_pool_destroy(fdc_pool *pool);

/* A static string, never NULL. */
const char *fdc_status_message(fdc_status status);

#ifdef __cplusplus
}
#endif
#endif
