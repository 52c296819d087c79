/* adaptive_impl.h - what the files of the adaptive derivative share. Names of types are theirs alone. */
#ifndef FDCORE_ADAPTIVE_IMPL_H
#define FDCORE_ADAPTIVE_IMPL_H

#include "adaptive.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- adaptive_view.c: one window ----------------------------------------------------------------------------- */

enum { NODES = 7, OUTER = 7, INNER = 8, POINTS = 9 };

/* A window in units of the step. f'(0) = sum slope[j] y[j] - or + the term the probes measure: the prediction error at
 * a probe is q(probe) * product(probe), that of the derivative q(0) * product'(0), with q smooth. */
typedef struct window {
    double at[POINTS];
    double slope[NODES];
    double outer[NODES], inner[NODES]; /* prediction at the probes */
    double outer_product, inner_product, product_slope;
    double outer_gain, inner_gain; /* root mean square of a prediction error for noise of size one */
    double sum, gain;              /* of |slope|, of slope^2 (square root) */
    double sum_all;                /* the same sum for the rule of all nine points */
} window;

extern const window fdc_window_central, fdc_window_side;

/* What one level says about one value. */
typedef enum verdict { FLAT, FALLING, SCATTER, ROUGH } verdict;

typedef struct view {
    double value, bar;
    double miss;           /* the larger prediction error */
    double scatter;        /* the noise of one value, if it is noise */
    double range;          /* largest less smallest value */
    double size;           /* largest |value| */
    double rounding;       /* error of one value that is accounted for */
    double curve;          /* size of the second difference */
    double slopes[2], gap; /* one-sided slopes; the jump between the two sides */
    double corner;         /* f is a polynomial and this times |t| / 2, t the displacement; 0: it is not */
    double twist;          /* difference of the slopes relative to the range */
    double bend;           /* how far the two sides are from straight */
    verdict what;
    int constant; /* all values equal */
    int single;   /* all values are float32 numbers */
} view;

/* values: the nine; moved: the displacements really taken less those wanted, in units of h, or NULL where they are the
 * same; hollow: f(x) is not one of the values but made up from its neighbours; sigma: the noise of one value, if known.
 */
void fdc_look(const window *w, const double *values, const double *moved, int hollow, double h, double x,
              double precision, double sigma, view *v);

/* The same without the value at the inner probe, which is not read. Returns whether f is flat in the window, or nearly,
 * so that v is of use. */
int fdc_glance(const double *values, const double *moved, double h, double x, double precision, view *v);

/* ---- adaptive_steps.c: what to look at next ------------------------------------------------------------------ */

typedef enum mode { SEARCH, MICRO, TEETH, DONE } mode;

/* What is known about one value of f. */
typedef struct track {
    double next;              /* the step it wants to see */
    double value, bar, h;     /* the best so far */
    double sigma;             /* noise of one value; 0: none found */
    double rough, smooth;     /* smallest step at which f was not smooth, and largest below it at which it was */
    double last_h, last_miss; /* the last level that was FALLING */
    double rough_h, rough_range, rough_miss, rough_twist; /* the last level that was ROUGH */
    double seen_value, seen_bar, doubt; /* the last smooth level, and by how much the next one contradicted it */
    double first_range;                 /* range of the first ROUGH level */
    double kink_h, kink_gap;            /* the last level that looked like a kink or a jump */
    double kink_noise;                  /* what hid it in a narrower window */
    int kink_tries;
    double fit;                         /* the step at which the best so far is expected to be flat */
    double macro_h, macro_value, macro_bar, macro_sigma; /* where noise was suspected */
    double low, high;                                    /* between these scales it is examined */
    double micro_value, micro_bar;                       /* what a far smaller scale says, if it says anything */
    double steep, size;                                  /* largest slope and largest |f| seen in any window */
    double crude_value, crude_bar; /* the chord over the window in which f moves least for its width, and by how much */
    double crude_h, crude_slope, crude_error, crude_sigma; /* and what the polynomial said there */
    int side;                                            /* 0: both, +1: above only, -1: below only */
    int blocked;                                         /* side on which f was not finite: -1, +1, 0 */
    int familiar; /* it began with a scale known from a point nearby */
    int levels, steps, grown, tries, similar, probed, suspected, checked;
    mode mode;
    unsigned flags;
} track;

typedef struct setting {
    double smallest, largest; /* steps */
    double rtol;
    int origin; /* x is zero: |x| gives no smallest step */
} setting;

/* What a view of the window asked for means: the state of one value changes, and it asks for another or is done. */
void fdc_search(track *s, const setting *set, const view *v, double h);
void fdc_examine(track *s, const setting *set, const view *v, double h);
void fdc_check_teeth(track *s, const setting *set, const view *v, double h);

/* Is the answer one to be checked? Then it asks for another window. */
void fdc_doubt(track *s, const setting *set);

/* Is this bar good enough? */
int fdc_good_enough(const track *s, const view *v, double h, double rtol);

void fdc_remember(track *s, const view *v, double h);
void fdc_adopt(track *s, const view *v, double h, double rtol); /* this is the answer */
void fdc_want(track *s, const setting *set, double h);
void fdc_finish(track *s);

/* 2 to the exponent of a normal number, times 2 where its mantissa is above the square root of 2. For loops. */
static inline double fdc_power_of_two_normal(double h) {
    uint64_t bits;
    memcpy(&bits, &h, sizeof bits);
    bits = (bits + (UINT64_C(0x000fffffffffffff) - UINT64_C(0x6a09e667f3bcd))) & UINT64_C(0x7ff0000000000000);
    memcpy(&h, &bits, sizeof h);
    return h;
}

/* The nearest power of two: steps are named by these. */
static inline double fdc_power_of_two(double h) {
    if (h >= DBL_MIN && h <= DBL_MAX) return fdc_power_of_two_normal(h);
    int exponent;
    double mantissa = frexp(h, &exponent);
    return ldexp(1.0, mantissa > 0.70710678118654752 ? exponent : exponent - 1);
}

static inline double max2(double a, double b) {
    return a > b ? a : b;
}
static inline double min2(double a, double b) {
    return a < b ? a : b;
}

#endif
