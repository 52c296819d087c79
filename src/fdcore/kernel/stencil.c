/* stencil.c - the weights of first-derivative stencils, and the step that suits them. */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Central differences as a sum of weights times (f(x + kh) - f(x - kh)) / 2kh, k = 1, 2, ...; the weights sum to 1. A
 * quotient of two small integers is rounded once. */
static const double central_weights[4][4] = {
    {1.0},
    {4.0 / 3.0, -1.0 / 3.0},
    {3.0 / 2.0, -3.0 / 5.0, 1.0 / 10.0},
    {8.0 / 5.0, -4.0 / 5.0, 8.0 / 35.0, -1.0 / 35.0},
};

static double power(double base, int exponent)
{
    double result = 1.0;
    while (exponent-- > 0) {
        result *= base;
    }
    return result;
}

/* The step that minimises truncation + rounding for |f| = |f^(1 + p)| = 1: (K * precision)^(1 / (1 + p)) with
 * K = (p + 1)! / p * (sum of |weights|) / |sum of weights * offset^(p + 1)|, weights being those of f. */
static double balanced_step(int p, double norm, double moment, double precision)
{
    double factorial = 1.0;
    for (int i = 2; i <= p + 1; i++) {
        factorial *= i;
    }
    return pow(factorial / p * norm / fabs(moment) * precision, 1.0 / (p + 1));
}

static fdc_status central(int p, double precision, fdc_scheme *s)
{
    if (p < 2 || p > 8 || p % 2 != 0) {
        return FDC_ERR_ARGUMENT;
    }
    const int pairs = p / 2;
    const double *weight = central_weights[pairs - 1];
    double norm = 0.0;
    double moment = 0.0;
    for (int k = 1; k <= pairs; k++) {
        s->offset[2 * k - 2] = k;
        s->offset[2 * k - 1] = -k;
        s->weight[k - 1] = weight[k - 1];
        norm += fabs(weight[k - 1]) / k;
        moment += weight[k - 1] * power(k, p);
    }
    s->form = FDC_PAIRS;
    s->npoints = p;
    s->lowest = -pairs;
    s->highest = pairs;
    s->rule = balanced_step(p, norm, moment, precision);
    return FDC_OK;
}

/* sign = 1 forward, -1 backward. Weights of the divided differences are (-1)^(k+1) binomial(p, k). */
static fdc_status one_sided(int p, double sign, double precision, fdc_scheme *s)
{
    if (p < 1 || p > 8) {
        return FDC_ERR_ARGUMENT;
    }
    double binomial = 1.0;
    double norm = 0.0;
    double center = 0.0;
    double moment = 0.0;
    for (int k = 1; k <= p; k++) {
        binomial = binomial * (p - k + 1) / k;
        const double weight = (k % 2 == 1) ? binomial : -binomial;
        s->offset[k - 1] = sign * k;
        s->weight[k - 1] = weight;
        norm += fabs(weight) / k;
        center += weight / k;
        moment += weight * power(k, p);
    }
    s->form = FDC_ONE_SIDED;
    s->npoints = p;
    s->uses_center = 1;
    s->lowest = sign > 0 ? 0.0 : -p;
    s->highest = sign > 0 ? p : 0.0;
    s->rule = balanced_step(p, norm + fabs(center), moment, precision);
    return FDC_OK;
}

fdc_status fdc_scheme_first(fdc_method method, int accuracy, double precision, fdc_scheme *scheme)
{
    memset(scheme, 0, sizeof *scheme);
    scheme->order = 1;
    scheme->accuracy = accuracy;
    if (precision <= 0.0) {
        precision = DBL_EPSILON / 2;
    }
    switch (method) {
    case FDC_FORWARD:
        return one_sided(accuracy, 1.0, precision, scheme);
    case FDC_BACKWARD:
        return one_sided(accuracy, -1.0, precision, scheme);
    case FDC_CENTRAL:
        return central(accuracy, precision, scheme);
    default:
        return FDC_ERR_ARGUMENT;
    }
}

double fdc_rule_step(fdc_method method, int accuracy, double precision, double x)
{
    fdc_scheme scheme;
    if (fdc_scheme_first(method, accuracy, precision, &scheme) != FDC_OK) {
        return NAN;
    }
    return scheme.rule * fmax(1.0, fabs(x));
}
