/* place.c - where one component is evaluated: step, side, and the bounds. */
#include "internal.h"

#include <float.h>
#include <math.h>

/* A central stencil is shrunk towards a bound down to this share of its step; beyond, a one-sided one of the same order
 * is the more accurate. */
#define CENTRAL_SHRINK 0.25

static double wanted_step(const fdc_problem *problem, const fdc_options *options, ptrdiff_t j)
{
    const double size = fabs(problem->x[j]);
    const double scale = options->step_scale > 0.0 ? options->step_scale : 1.0;
    if (options->abs_step != NULL) {
        return scale * options->abs_step[j];
    }
    if (options->rel_step != NULL) {
        const double h = scale * options->rel_step[j] * size;
        if (problem->x[j] + h != problem->x[j]) {
            return h;
        }
    }
    if (problem->is_complex) {
        /* No subtraction, so no rounding to balance: only small against x, and not so small that f' * h underflows. */
        return scale * (size > 0.0 ? fmax(problem->scheme[0].rule * size, 1e-300) : problem->scheme[0].rule);
    }
    return scale * problem->scheme[0].rule * fmax(1.0, size);
}

/* For rules that divide by h^order: the multiple of the points' spacing nearest to h, so that x + k * h is exact. */
static double representable(const fdc_scheme *scheme, double x, double h)
{
    const double far = fabs(x) + fmax(scheme->highest, -scheme->lowest) * h;
    const volatile double reached = far + h;
    const double rounded = reached - far;
    return rounded > 0.0 ? rounded : h;
}

static int fits(const fdc_scheme *scheme, double x, double h, double lower, double upper)
{
    return x + scheme->lowest * h >= lower && x + scheme->highest * h <= upper;
}

fdc_status fdc_place(const fdc_problem *problem, const fdc_options *options, ptrdiff_t j, fdc_placement *placement)
{
    const double x = problem->x[j];
    const fdc_scheme *own = &problem->scheme[0];
    double h = wanted_step(problem, options, j);
    if (own->form == FDC_WEIGHTS) {
        h = representable(own, x, h);
    }
    placement->scheme = own;
    placement->h = h;
    placement->component = FDC_AT_RULE;
    if (!(fabs(x) <= DBL_MAX)) {
        return FDC_ERR_ARGUMENT;
    }
    if (!(h > 0.0 && h <= DBL_MAX)) {
        return FDC_ERR_STEP;
    }
    if (options->lower == NULL && options->upper == NULL) {
        return FDC_OK;
    }
    const double lower = options->lower != NULL ? options->lower[j] : -INFINITY;
    const double upper = options->upper != NULL ? options->upper[j] : INFINITY;
    if (!(x >= lower && x <= upper)) {
        return FDC_ERR_BOUNDS;
    }
    if (problem->is_complex || fits(own, x, h, lower, upper)) {
        return FDC_OK;
    }
    /* The points must stay distinct from x after rounding. */
    const double below = x - lower;
    const double above = upper - x;
    if (own->lowest < 0.0 && own->highest > 0.0) {
        const double room = fmin(below / -own->lowest, above / own->highest);
        if (room >= CENTRAL_SHRINK * h || problem->nschemes == 1) {
            placement->h = room;
            placement->component = FDC_AT_SHRUNK;
            return x + room != x && x - room != x ? FDC_OK : FDC_ERR_BOUNDS;
        }
    } else if (problem->nschemes == 1) {
        const double room = own->highest > 0.0 ? above / own->highest : below / -own->lowest;
        placement->h = room;
        placement->component = FDC_AT_SHRUNK;
        return x + room != x ? FDC_OK : FDC_ERR_BOUNDS;
    }
    /* One-sided: the own side if it has the room, then the other, then the longer one with what room there is. */
    const fdc_scheme *forward = &problem->scheme[1];
    const fdc_scheme *backward = &problem->scheme[2];
    const int forward_fits = fits(forward, x, h, lower, upper);
    const int backward_fits = fits(backward, x, h, lower, upper);
    const int go_forward = forward_fits && backward_fits ? above >= below
                           : forward_fits               ? 1
                           : backward_fits              ? 0
                                                        : above >= below;
    const fdc_scheme *side = go_forward ? forward : backward;
    const double reach = go_forward ? side->highest : -side->lowest;
    const double room = fmax(above, below) / reach;
    placement->scheme = side;
    placement->h = forward_fits || backward_fits ? h : room;
    placement->component = go_forward ? FDC_AT_FORWARD : FDC_AT_BACKWARD;
    if (own->lowest == side->lowest && own->highest == side->highest) {
        placement->component = FDC_AT_SHRUNK; /* the side that was asked for */
    }
    return x + placement->h != x && x - placement->h != x ? FDC_OK : FDC_ERR_BOUNDS;
}

double fdc_point(const fdc_placement *placement, const fdc_options *options, ptrdiff_t j, double x, int k)
{
    double point = x + placement->scheme->offset[k] * placement->h;
    if (options->lower != NULL && point < options->lower[j]) {
        point = options->lower[j];
    }
    if (options->upper != NULL && point > options->upper[j]) {
        point = options->upper[j];
    }
    return point;
}
