/* Logistic regression: binary cross-entropy of a sigmoid. */
#include "models.h"

static double loss(const fdc_regression *data, double intercept, const double *coef) {
    fdc_sum sum = {0.0, 0.0};
    for (ptrdiff_t i = 0; i < data->rows; i++) {
        const double z = intercept + fdc_dot(data->cols, data->X + i * data->cols, coef);
        /* log(1 + e^z) without overflow; for y of 0 or 1 the first two terms are exact, and one of them is often 0. */
        fdc_sum_add(&sum, (fmax(z, 0.0) - data->y[i] * z) + log1p(exp(-fabs(z))));
    }
    const double mean = fdc_sum_value(&sum) / (double)data->rows;
    return data->l2 > 0.0 ? mean + 0.5 * data->l2 * fdc_dot(data->cols, coef, coef) : mean;
}

int fdc_logistic_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    const fdc_regression *data = ctx;
    const ptrdiff_t first = data->intercept ? 1 : 0;
    if (m != 1 || n != data->cols + first) {
        return FDC_ERR_ARGUMENT;
    }
    for (ptrdiff_t k = 0; k < count; k++) {
        const double *point = x + k * n;
        y[k] = loss(data, first ? point[0] : 0.0, point + first);
    }
    return 0;
}
