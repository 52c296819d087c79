/* Linear regression: mean squared error. */
#include "models.h"

static double loss(const fdc_regression *data, double intercept, const double *coef) {
    fdc_sum sum = {0.0, 0.0};
    for (ptrdiff_t i = 0; i < data->rows; i++) {
        const double z = intercept + fdc_dot(data->cols, data->X + i * data->cols, coef);
        const double residual = z - data->y[i];
        fdc_sum_add(&sum, residual * residual);
    }
    const double mean = fdc_sum_value(&sum) / (double)data->rows;
    return data->l2 > 0.0 ? mean + 0.5 * data->l2 * fdc_dot(data->cols, coef, coef) : mean;
}

int fdc_linear_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
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
