/* adaptive.h - derivative and error bar of a function of one real variable with m values. */
#ifndef FDCORE_ADAPTIVE_H
#define FDCORE_ADAPTIVE_H

#include <stddef.h>

/* Fills y[0..m) with f at the displacement t from the point; nonzero stops everything. NaN or inf in any value says
 * that the displacement is outside the domain. */
typedef int (*fdc_line_fn)(void *ctx, double t, double *y);

/* What was found out about one value; they combine. */
enum {
    FDC_FOUND_KINK =
        1, /* one-sided slopes disagree however small the step: no derivative, error = half the gap at least */
    FDC_FOUND_JUMP = 2, /* the difference quotient grows without limit: error is inf */
    FDC_FOUND_NOISY =
        4, /* the values scatter by more than rounding: noise found, or float32, or a solver's tolerance */
    FDC_FOUND_ONE_SIDED = 8,   /* the domain or the bounds end at the point: all evaluations on one side */
    FDC_FOUND_SHRUNK = 16,     /* the domain or the bounds made the step smaller */
    FDC_FOUND_BUDGET = 32,     /* stopped by the budget: the error bar is what was reached by then */
    FDC_FOUND_NO_CENTRE = 64,  /* f at the point itself is not finite; the derivative is that of f continued */
    FDC_FOUND_UNRESOLVED = 128 /* no scale was found on which f is smooth; the error bar says how little is known */
};

typedef struct fdc_line_options {
    double x;         /* the coordinate that moves; the function is evaluated at x + t rounded to double */
    double start;     /* first step; 0: x / 128 */
    double precision; /* relative error of one value of f; 0: DBL_EPSILON / 2 */
    double noise;     /* absolute error of one value of f; 0: found out */
    const double *noises; /* (m,) the same for each value, in place of `noise`, or NULL */
    double rtol;      /* a bar this small relative to the derivative is good enough; 0: 1e-9 */
    double below;     /* the displacements allowed: from -below to above. INFINITY: no limit */
    double above;
    const double *f0;    /* (m,) f at the point where the caller has it, or NULL */
    const double *scale; /* (m,) where to begin, as reported nearby; 0: not known; or NULL */
    int budget;       /* evaluations at most; 0: 160 */
    const double *ready; /* (nready, m) values that the caller has already, at the displacements asked for first */
    int nready;
} fdc_line_options;

void fdc_line_options_init(fdc_line_options *options);

/* Doubles of work space for m values. */
size_t fdc_line_work(ptrdiff_t m);

/* Derivative at t = 0 of every value, and an error bar for each. Returns 0, or what `line` returned. `flags` may be
 * NULL; `step` (m,) receives the step each value was decided at, or NULL; `scale` (m,) the step to begin with at a
 * point nearby, 0 where none is of use, or NULL. `nfev` counts the calls of `line`. */
int fdc_line_derivative(fdc_line_fn line, void *ctx, ptrdiff_t m, const fdc_line_options *options, double *value,
                        double *error, double *step, double *scale, unsigned char *flags, ptrdiff_t *nfev,
                        double *work);

/* ---- The first windows of several components at once ----------------------------------------------------------- */

enum { FDC_LANES = 8, FDC_FIRST = 8 };

/* Most derivatives of a function with one value are decided by their first window, of FDC_FIRST evaluations and f(x).
 * Where evaluations are cheap, what is done with them is cheap for eight components together: one in each lane. */
typedef struct fdc_first {
    double x[FDC_LANES];
    double start[FDC_LANES];              /* as in fdc_line_options */
    double room[FDC_LANES];               /* the smaller of below and above */
    double step[FDC_LANES], length[FDC_LANES]; /* the name of the step, and the step taken */
    double rounding[FDC_LANES];           /* error of x for each unit of the relative error of f */
    double plain[FDC_LANES];              /* 1: the window fits and its displacements are exact; 0: not for this way */
    double at[FDC_FIRST][FDC_LANES];      /* coordinates, in the order in which fdc_line_derivative would ask */
    double y[FDC_FIRST][FDC_LANES];       /* to be filled with f there */
    double value[FDC_LANES], bar[FDC_LANES];
    double good[FDC_LANES];               /* 1: that is the answer, as fdc_line_derivative would give it, bit for bit */
} fdc_first;

/* From x, start and room of every lane to where f is to be evaluated. */
void fdc_first_place(fdc_first *lanes);

/* From the values to derivatives and bars; f0 is f(x), and nothing is good where that is NaN or inf. */
void fdc_first_look(fdc_first *lanes, double f0, double precision, double rtol);

#endif
