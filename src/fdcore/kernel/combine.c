/* combine.c - from the values of f at the points of a stencil to one column of the Jacobian. */
#include "run.h"

#include <float.h>
#include <math.h>

/* Adding one to a full exponent, that of NaN and inf, carries into the top bit. */
#define CARRIES(bits) (((bits) & UINT64_C(0x7ff0000000000000)) + UINT64_C(0x0010000000000000))

int fdc_finite(ptrdiff_t m, const double *values, ptrdiff_t stride)
{
    uint64_t carry = 0;
    for (ptrdiff_t i = 0; i < m; i++) {
        uint64_t bits;
        memcpy(&bits, values + i * stride, sizeof bits);
        carry |= CARRIES(bits);
    }
    return (carry >> 63) == 0;
}

/* out = (a - b) * factor, and whether all of it is finite: the loop that most Jacobians spend their time in. */
FDC_WIDE static int scaled_difference(ptrdiff_t m, const double *restrict a, const double *restrict b, double factor,
                                  double *restrict out)
{
    uint64_t carry = 0;
    for (ptrdiff_t i = 0; i < m; i++) {
        const double value = (a[i] - b[i]) * factor;
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        carry |= CARRIES(bits);
        out[i] = value;
    }
    return (carry >> 63) == 0;
}

FDC_WIDE int fdc_difference(ptrdiff_t m, double *restrict out, const double *restrict b, double factor)
{
    uint64_t carry = 0;
    for (ptrdiff_t i = 0; i < m; i++) {
        const double value = (out[i] - b[i]) * factor;
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        carry |= CARRIES(bits);
        out[i] = value;
    }
    return (carry >> 63) == 0;
}

int fdc_combine(const fdc_job *jb, const fdc_placement *at, const double *y, const double *d, double *out,
                ptrdiff_t stride)
{
    const fdc_problem *p = jb->p;
    const fdc_scheme *s = at->scheme;
    const ptrdiff_t m = p->m;
    const double *f0 = jb->f0;

    if (m == 1) { /* divisions, so that the derivative of a linear function comes out exact */
        double value = 0.0;
        switch (s->form) {
        case FDC_PAIRS:
            for (int k = 0; k < s->npoints / 2; k++) {
                value += s->weight[k] * ((y[2 * k] - y[2 * k + 1]) / (d[2 * k] - d[2 * k + 1]));
            }
            break;
        case FDC_ONE_SIDED:
            for (int k = 0; k < s->npoints; k++) {
                value += s->weight[k] * ((y[k] - *f0) / d[k]);
            }
            break;
        case FDC_WEIGHTS:
            value = s->uses_center ? s->center_weight * *f0 : 0.0;
            for (int k = 0; k < s->npoints; k++) {
                value += s->weight[k] * y[k];
            }
            for (int k = 0; k < s->order; k++) {
                value /= at->h;
            }
            break;
        case FDC_IMAGINARY:
            value = y[0] / d[0];
            break;
        }
        *out = value;
        return fabs(value) <= DBL_MAX;
    }

    double factor[FDC_MAX_POINTS];
    switch (s->form) {
    case FDC_PAIRS:
        for (int k = 0; k < s->npoints / 2; k++) {
            factor[k] = s->weight[k] / (d[2 * k] - d[2 * k + 1]);
        }
        if (s->npoints == 2 && stride == 1) {
            return scaled_difference(m, y, y + m, factor[0], out);
        }
        for (ptrdiff_t i = 0; i < m; i++) {
            double value = 0.0;
            for (int k = 0; k < s->npoints / 2; k++) {
                value += (y[2 * k * m + i] - y[(2 * k + 1) * m + i]) * factor[k];
            }
            out[i * stride] = value;
        }
        break;
    case FDC_ONE_SIDED:
        for (int k = 0; k < s->npoints; k++) {
            factor[k] = s->weight[k] / d[k];
        }
        if (s->npoints == 1 && stride == 1) {
            return scaled_difference(m, y, f0, factor[0], out);
        }
        for (ptrdiff_t i = 0; i < m; i++) {
            double value = 0.0;
            for (int k = 0; k < s->npoints; k++) {
                value += (y[k * m + i] - f0[i]) * factor[k];
            }
            out[i * stride] = value;
        }
        break;
    case FDC_WEIGHTS:
        for (ptrdiff_t i = 0; i < m; i++) {
            double value = s->uses_center ? s->center_weight * f0[i] : 0.0;
            for (int k = 0; k < s->npoints; k++) {
                value += s->weight[k] * y[k * m + i];
            }
            for (int k = 0; k < s->order; k++) {
                value /= at->h;
            }
            out[i * stride] = value;
        }
        break;
    case FDC_IMAGINARY:
        for (ptrdiff_t i = 0; i < m; i++) {
            out[i * stride] = y[i] / d[0];
        }
        break;
    }
    return fdc_finite(m, out, stride);
}
