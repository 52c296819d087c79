/* Losses of a linear predictor: linear regression (mean squared error), logistic regression (cross-entropy) and Poisson
 * regression (log likelihood, logarithmic link).
 *
 * A coordinate update passes over X once, in row order: moving one coefficient moves z by delta * X[i][j], and the
 * difference of a row's loss is formed before rows are added up. */
#include "models.h"

#include <stdlib.h>
#include <string.h>

/* Rows that go through X together: sums are loaded and stored once for all of them, and where a row is so short that
 * adding up partial sums would take most of the time, four chains of additions overlap instead. */
enum { ROWS = 4, FEW = 24 };

/* The predictor of `rows` <= ROWS rows from row i on. */
static inline void predictors(const fdc_regression *data, const double *params, ptrdiff_t i, ptrdiff_t rows,
                              double *z) {
    const ptrdiff_t cols = data->cols;
    const double *coef = params + (data->intercept ? 1 : 0), base = data->intercept ? params[0] : 0.0;
    const double *x = data->X + i * cols;
    if (rows < ROWS || cols >= FEW) {
        for (ptrdiff_t r = 0; r < rows; r++) {
            z[r] = base + fdc_dot(cols, x + r * cols, coef);
        }
        return;
    }
    double z0 = 0.0, z1 = 0.0, z2 = 0.0, z3 = 0.0;
    for (ptrdiff_t j = 0; j < cols; j++) {
        z0 += x[j] * coef[j];
        z1 += x[cols + j] * coef[j];
        z2 += x[2 * cols + j] * coef[j];
        z3 += x[3 * cols + j] * coef[j];
    }
    z[0] = base + z0;
    z[1] = base + z1;
    z[2] = base + z2;
    z[3] = base + z3;
}

static int fits(const fdc_regression *data, ptrdiff_t n, ptrdiff_t m) {
    return m == 1 && n == data->cols + (data->intercept ? 1 : 0);
}

/* ---- losses ---------------------------------------------------------------------------------------------------- */

typedef enum kind { LINEAR, LOGISTIC, POISSON } kind;

/* The loss of one row. */
static inline double row_loss(kind of, double z, double y) {
    switch (of) {
    case LOGISTIC: /* log(1 + e^z) without overflow; for y of 0 or 1 the first two terms are exact, and one is often 0 */
        return (fmax(z, 0.0) - y * z) + log1p(exp(-fabs(z)));
    case POISSON:
        return exp(z) - y * z;
    case LINEAR:
        break;
    }
    return (z - y) * (z - y);
}

FDC_WIDE static double loss(const fdc_regression *data, const double *params, kind of) {
    fdc_sum sum = {0.0, 0.0};
    for (ptrdiff_t i = 0; i < data->rows; i += ROWS) {
        const ptrdiff_t rows = data->rows - i < ROWS ? data->rows - i : ROWS;
        double z[ROWS];
        predictors(data, params, i, rows, z);
        for (ptrdiff_t r = 0; r < rows; r++) {
            fdc_sum_add(&sum, row_loss(of, z[r], data->y[i + r]));
        }
    }
    const double mean = fdc_sum_value(&sum) / (double)data->rows;
    const double *coef = params + (data->intercept ? 1 : 0);
    return data->l2 > 0.0 ? mean + 0.5 * data->l2 * fdc_dot(data->cols, coef, coef) : mean;
}

static int losses(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, const fdc_regression *data,
                  kind of) {
    if (!fits(data, n, m)) {
        return FDC_ERR_ARGUMENT;
    }
    for (ptrdiff_t k = 0; k < count; k++) {
        y[k] = loss(data, x + k * n, of);
    }
    return 0;
}

int fdc_linear_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    return losses(count, n, x, m, y, ctx, LINEAR);
}

int fdc_logistic_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    return losses(count, n, x, m, y, ctx, LOGISTIC);
}

int fdc_poisson_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    return losses(count, n, x, m, y, ctx, POISSON);
}

/* ---- coordinate updates ----------------------------------------------------------------------------------------- */

/* A part of an update, sorted into the intercept and the coefficients. */
typedef struct share {
    const fdc_regression *data;
    const fdc_update *update;
    ptrdiff_t begin, end; /* rows */
    ptrdiff_t skip;       /* 1: the first column is the intercept */
    ptrdiff_t cols;       /* coefficients */
    const double *X;      /* the first one's entry in row 0 */
    const double *delta;  /* (points, update->cols) */
    double *change;       /* (points, update->cols) */
} share;

/* Parts consist of whole groups of rows, but for the last one. */
static ptrdiff_t rows_begin(const fdc_regression *data, ptrdiff_t part, ptrdiff_t parts) {
    const ptrdiff_t begin = ROWS * fdc_part_begin((data->rows + ROWS - 1) / ROWS, part, parts);
    return begin < data->rows ? begin : data->rows;
}

static share share_of(const fdc_regression *data, const fdc_update *update, double *change) {
    const ptrdiff_t skip = data->intercept && update->first == 0 && update->cols > 0;
    memset(change, 0, (size_t)(update->points * update->cols) * sizeof *change);
    return (share){data,
                   update,
                   rows_begin(data, update->part, update->parts),
                   rows_begin(data, update->part + 1, update->parts),
                   skip,
                   update->cols - skip,
                   data->X + (update->first + skip - (data->intercept ? 1 : 0)),
                   update->delta,
                   change};
}

/* From sums to the mean, and the penalty's change. */
static void finish(const share *s) {
    const fdc_update *u = s->update;
    fdc_divide(u->points * u->cols, s->change, (double)s->data->rows);
    for (ptrdiff_t k = 0; k < u->points && u->part == 0 && s->data->l2 > 0.0; k++) {
        for (ptrdiff_t c = s->skip; c < u->cols; c++) {
            const double d = u->delta[k * u->cols + c];
            s->change[k * u->cols + c] += 0.5 * s->data->l2 * (d * (2.0 * u->x[u->first + c] + d));
        }
    }
}

/* (r + d x)^2 - r^2 = d (2 r x + d x^2), summed over four rows at x that have 2 r in t. */
static inline void linear_rows(ptrdiff_t cols, ptrdiff_t stride, const double *restrict x, const double *restrict t,
                               const double *restrict delta, double *restrict sum) {
    const double t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
    for (ptrdiff_t c = 0; c < cols; c++) {
        const double x0 = x[c], x1 = x[stride + c], x2 = x[2 * stride + c], x3 = x[3 * stride + c];
        const double once = (x0 * t0 + x1 * t1) + (x2 * t2 + x3 * t3);
        const double twice = (x0 * x0 + x1 * x1) + (x2 * x2 + x3 * x3);
        sum[c] += delta[c] * (once + delta[c] * twice);
    }
}

/* The same at two points, bit by bit: what does not depend on the move is worked out once. */
static inline void linear_rows_twice(ptrdiff_t cols, ptrdiff_t stride, const double *restrict x,
                                     const double *restrict t, const double *restrict delta, double *restrict sum,
                                     const double *restrict other_delta, double *restrict other_sum) {
    const double t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
    for (ptrdiff_t c = 0; c < cols; c++) {
        const double x0 = x[c], x1 = x[stride + c], x2 = x[2 * stride + c], x3 = x[3 * stride + c];
        const double once = (x0 * t0 + x1 * t1) + (x2 * t2 + x3 * t3);
        const double twice = (x0 * x0 + x1 * x1) + (x2 * x2 + x3 * x3);
        sum[c] += delta[c] * (once + delta[c] * twice);
        other_sum[c] += other_delta[c] * (once + other_delta[c] * twice);
    }
}

FDC_WIDE static void linear_share(const share *s) {
    const fdc_regression *data = s->data;
    const ptrdiff_t stride = data->cols, width = s->update->cols, points = s->update->points;
    const ptrdiff_t skip = s->skip, cols = s->cols;
    for (ptrdiff_t i = s->begin; i < s->end; i += ROWS) {
        const ptrdiff_t rows = s->end - i < ROWS ? s->end - i : ROWS;
        const double *x = s->X + i * stride;
        double twice[ROWS];
        predictors(data, s->update->x, i, rows, twice);
        for (ptrdiff_t r = 0; r < rows; r++) {
            twice[r] = 2.0 * (twice[r] - data->y[i + r]);
        }
        for (ptrdiff_t k = 0; k < points && skip; k++) {
            for (ptrdiff_t r = 0; r < rows; r++) {
                s->change[k * width] += s->delta[k * width] * (twice[r] + s->delta[k * width]);
            }
        }
        for (ptrdiff_t k = 0; k < points;) {
            const double *delta = s->delta + k * width + skip;
            double *sum = s->change + k * width + skip;
            if (rows == ROWS && k + 1 < points) {
                linear_rows_twice(cols, stride, x, twice, delta, sum, delta + width, sum + width);
                k += 2;
                continue;
            }
            if (rows == ROWS) {
                linear_rows(cols, stride, x, twice, delta, sum);
            }
            for (ptrdiff_t r = 0; r < rows && rows < ROWS; r++) {
                for (ptrdiff_t c = 0; c < cols; c++) {
                    const double d = delta[c] * x[r * stride + c];
                    sum[c] += d * (twice[r] + d);
                }
            }
            k++;
        }
    }
}

int fdc_linear_update(const fdc_update *update, double *change, void *ctx) {
    const fdc_regression *data = ctx;
    if (!fits(data, update->n, update->m)) {
        return FDC_ERR_ARGUMENT;
    }
    const share s = share_of(data, update, change);
    linear_share(&s);
    finish(&s);
    return 0;
}

/* A row of logistic or Poisson regression, and what its loss changes by as z moves.
 *
 * Logistic: with s = +1 or -1 (the likelier class is then s z < 0), the loss is log(1 + e^(s z)) + linear z, and its
 * change by a move e = s d is log1p(p (e^e - 1)) + linear s e, p = sigmoid(s z). Poisson: the loss is e^z + linear z, and
 * its change is p (e^d - 1) + linear d, p = e^z. */
typedef struct curved_row {
    double z, sign, p, linear;
} curved_row;

static inline curved_row curved_row_of(kind of, double z, double y) {
    if (of == POISSON) {
        return (curved_row){z, 1.0, exp(z), -y};
    }
    const double sign = y > 0.5 ? -1.0 : 1.0, e = exp(-fabs(z));
    const double p = (sign * z > 0.0 ? 1.0 : e) / (1.0 + e);
    return (curved_row){z, sign, p, sign * (y > 0.5 ? 1.0 - y : -y)};
}

static inline double curved_change(kind of, const curved_row *row, double d) {
    const double e = row->sign * d, grown = row->p * fdc_small_expm1(e);
    return (of == POISSON ? grown : fdc_small_log1p(grown)) + row->linear * e;
}

/* For moves of any size. */
static double curved_move(kind of, const curved_row *row, double d) {
    if (fabs(d) <= FDC_SMALL) {
        return curved_change(of, row, d);
    }
    if (of == POISSON) {
        return row->p * expm1(d) + row->linear * d;
    }
    const double from = row->sign * row->z, to = row->sign * (row->z + d);
    return (fmax(to, 0.0) - fmax(from, 0.0)) + (log1p(exp(-fabs(to))) - log1p(exp(-fabs(from)))) +
           row->linear * (row->sign * d);
}

/* `of` is a constant where this is called. */
static inline void curved_share(kind of, const share *s) {
    const ptrdiff_t stride = s->data->cols, width = s->update->cols;
    double z[ROWS];
    for (ptrdiff_t i = s->begin; i < s->end; i++) {
        const ptrdiff_t ahead = (i - s->begin) % ROWS, left = s->end - i;
        if (ahead == 0) {
            predictors(s->data, s->update->x, i, left < ROWS ? left : ROWS, z);
        }
        const curved_row row = curved_row_of(of, z[ahead], s->data->y[i]);
        const double *restrict x = s->X + i * stride;
        for (ptrdiff_t k = 0; k < s->update->points; k++) {
            const double *restrict delta = s->delta + k * width + s->skip;
            double *restrict sum = s->change + k * width + s->skip;
            if (s->skip) {
                sum[-1] += curved_change(of, &row, delta[-1]);
            }
            for (ptrdiff_t c = 0; c < s->cols; c++) {
                sum[c] += curved_change(of, &row, delta[c] * x[c]);
            }
        }
    }
}

FDC_WIDE static void logistic_share(const share *s) {
    curved_share(LOGISTIC, s);
}

FDC_WIDE static void poisson_share(const share *s) {
    curved_share(POISSON, s);
}

/* How far a column moves the predictor at the most. */
static double reach(const share *s, ptrdiff_t k, ptrdiff_t c) {
    const double largest = c < s->skip ? 1.0 : s->data->largest[s->update->first + c - (s->data->intercept ? 1 : 0)];
    return fabs(s->update->delta[k * s->update->cols + c]) * largest;
}

static int curved_update(kind of, const fdc_update *update, double *change, const fdc_regression *data) {
    void (*const near_share)(const share *) = of == POISSON ? poisson_share : logistic_share;
    if (!fits(data, update->n, update->m)) {
        return FDC_ERR_ARGUMENT;
    }
    share s = share_of(data, update, change);
    const ptrdiff_t size = update->points * update->cols;
    ptrdiff_t far = 0;
    for (ptrdiff_t i = 0; i < size; i++) {
        far += !(reach(&s, i / update->cols, i % update->cols) <= FDC_SMALL);
    }
    if (far == 0) {
        near_share(&s);
        finish(&s);
        return 0;
    }
    /* Those that go far do not move in the fast loop, and are done one by one. */
    double *near = malloc((size_t)size * sizeof *near);
    if (near == NULL) {
        return FDC_ERR_MEMORY;
    }
    for (ptrdiff_t i = 0; i < size; i++) {
        near[i] = reach(&s, i / update->cols, i % update->cols) <= FDC_SMALL ? update->delta[i] : 0.0;
    }
    s.delta = near;
    if (far < size) {
        near_share(&s);
    }
    for (ptrdiff_t i = s.begin; i < s.end; i++) {
        double z;
        predictors(data, update->x, i, 1, &z);
        const curved_row row = curved_row_of(of, z, data->y[i]);
        for (ptrdiff_t j = 0; j < size; j++) {
            const ptrdiff_t c = j % update->cols;
            if (near[j] != update->delta[j]) {
                const double x = c < s.skip ? 1.0 : s.X[i * data->cols + c - s.skip];
                change[j] += curved_move(of, &row, update->delta[j] * x);
            }
        }
    }
    free(near);
    finish(&s);
    return 0;
}

int fdc_logistic_update(const fdc_update *update, double *change, void *ctx) {
    return curved_update(LOGISTIC, update, change, ctx);
}

int fdc_poisson_update(const fdc_update *update, double *change, void *ctx) {
    return curved_update(POISSON, update, change, ctx);
}
