/* Elementary functions without branches or tables, so that loops over them vectorise; accurate to an ulp or two. */
#ifndef FDCORE_VECTOR_MATH_H
#define FDCORE_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* e^x = scale * (1 + tail) with |log(1 + tail)| <= log(2) / 2, for -708 <= x <= 709; what is beyond counts as that. */
static inline double fdc_exp_parts(double x, double *scale)
{
    const double shift = 0x1.8p52; /* adding it rounds to an integer, which the lowest bits then hold */
    const double bounded = x < -708.0 ? -708.0 : x > 709.0 ? 709.0 : x;
    const double shifted = bounded * 0x1.71547652b82fep0 + shift;
    const double k = shifted - shift;
    const double r = (bounded - k * 0x1.62e42fefap-1) - k * 0x1.cf79abc9e3b3ap-40;
    double q = 1.0 / 6227020800.0;
    q = q * r + 1.0 / 479001600.0;
    q = q * r + 1.0 / 39916800.0;
    q = q * r + 1.0 / 3628800.0;
    q = q * r + 1.0 / 362880.0;
    q = q * r + 1.0 / 40320.0;
    q = q * r + 1.0 / 5040.0;
    q = q * r + 1.0 / 720.0;
    q = q * r + 1.0 / 120.0;
    q = q * r + 1.0 / 24.0;
    q = q * r + 1.0 / 6.0;
    q = q * r + 0.5;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 52) + ((uint64_t)1023 << 52); /* the exponent of 2^k */
    memcpy(scale, &bits, sizeof bits);
    return r + r * r * q;
}

static inline double fdc_exp(double x)
{
    double scale;
    const double tail = fdc_exp_parts(x, &scale);
    return scale * tail + scale;
}

static inline double fdc_expm1(double x)
{
    double scale;
    const double tail = fdc_exp_parts(x, &scale);
    return scale * tail + (scale - 1.0);
}

static inline double fdc_tanh(double x)
{
    const double e = fdc_expm1(2.0 * (x < -20.0 ? -20.0 : x > 20.0 ? 20.0 : x));
    return e / (e + 2.0);
}

static inline double fdc_sigmoid(double x)
{
    return 1.0 / (1.0 + fdc_exp(-x));
}

#endif
