/* Residuals of a decay curve, f: R^3 -> R^m, in the vector form
 * "int (ptrdiff_t, double *, ptrdiff_t, double *, void *)": y[i] = p0 * exp(-p1 * t[i]) + p2 - observed[i]. */
#include <math.h>
#include <stddef.h>

struct observations {
    const double *time;
    const double *value;
};

int decay(ptrdiff_t n, const double *p, ptrdiff_t m, double *y, void *user_data)
{
    const struct observations *observed = user_data;
    if (n != 3) {
        return 1; /* nonzero: fdcore raises CallbackError with this status */
    }
    for (ptrdiff_t i = 0; i < m; i++) {
        y[i] = p[0] * exp(-p[1] * observed->time[i]) + p[2] - observed->value[i];
    }
    return 0;
}
