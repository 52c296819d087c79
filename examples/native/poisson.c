/* Loss of a Poisson regression, mean of exp(z) - y z with z = X p, and its coordinate update: moving p[j] by d moves
 * z[i] by d * X[i][j], so the whole numeric gradient is one pass over X instead of 2n. */
#include <fdcore/fdcore.h>
#include <math.h>
#include <string.h>

struct data {
    ptrdiff_t rows;
    const double *X; /* (rows, n) */
    const double *y;
};

static double predictor(const struct data *data, ptrdiff_t n, const double *p, ptrdiff_t row)
{
    double z = 0.0;
    for (ptrdiff_t j = 0; j < n; j++) {
        z += data->X[row * n + j] * p[j];
    }
    return z;
}

int poisson(ptrdiff_t count, ptrdiff_t n, const double *p, ptrdiff_t m, double *loss, void *user_data)
{
    const struct data *data = user_data;
    (void)count, (void)m; /* both are 1 */
    *loss = 0.0;
    for (ptrdiff_t i = 0; i < data->rows; i++) {
        const double z = predictor(data, n, p, i);
        *loss += (exp(z) - data->y[i] * z) / (double)data->rows;
    }
    return 0;
}

int poisson_update(const fdc_update *update, double *change, void *user_data)
{
    const struct data *data = user_data;
    const ptrdiff_t n = update->n, cols = update->cols;
    memset(change, 0, sizeof *change * (size_t)(update->points * cols));
    /* This part's rows: all parts together have each row once. */
    const ptrdiff_t end = data->rows * (update->part + 1) / update->parts;
    for (ptrdiff_t i = data->rows * update->part / update->parts; i < end; i++) {
        const double *x = data->X + i * n + update->first;
        const double rate = exp(predictor(data, n, update->x, i));
        for (ptrdiff_t k = 0; k < update->points; k++) {
            for (ptrdiff_t c = 0; c < cols; c++) {
                const double d = update->delta[k * cols + c] * x[c]; /* exp(z + d) - exp(z), without cancellation: */
                change[k * cols + c] += (rate * expm1(d) - data->y[i] * d) / (double)data->rows;
            }
        }
    }
    return 0;
}
