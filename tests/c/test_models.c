/* The models' losses against sums written out in extended precision, and what they do with bad input. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "models.h"

enum { ROWS = 23, MAX_COLS = 19 };

static double uniform(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return (double)*state / 4294967296.0 * 4.0 - 2.0;
}

static double reference(const fdc_regression *data, const double *x, int logistic) {
    const double *coef = x + data->intercept;
    long double total = 0.0L, penalty = 0.0L;
    for (ptrdiff_t i = 0; i < data->rows; i++) {
        long double z = data->intercept ? x[0] : 0.0;
        for (ptrdiff_t j = 0; j < data->cols; j++) {
            z += (long double)data->X[i * data->cols + j] * coef[j];
        }
        total += logistic ? logl(1.0L + expl(z)) - data->y[i] * z : (z - data->y[i]) * (z - data->y[i]);
    }
    for (ptrdiff_t j = 0; j < data->cols; j++) {
        penalty += (long double)coef[j] * coef[j];
    }
    return (double)(total / (long double)data->rows + data->l2 / 2.0L * penalty);
}

static void test_values(void) {
    double *X =
        malloc(sizeof *X * ROWS * MAX_COLS); /* exactly as large as said, so that a sanitizer sees a step over */
    double y[ROWS], points[2 * (MAX_COLS + 1)], got[2];
    unsigned state = 1;
    CHECK(X != NULL);
    for (ptrdiff_t i = 0; X != NULL && i < (ptrdiff_t)ROWS * MAX_COLS; i++) {
        X[i] = uniform(&state);
    }
    for (ptrdiff_t i = 0; i < 2 * (MAX_COLS + 1); i++) {
        points[i] = uniform(&state);
    }
    for (int logistic = 0; X != NULL && logistic < 2; logistic++) {
        const fdc_fn loss = fdc_model_find(logistic ? "logistic" : "linear");
        for (ptrdiff_t i = 0; i < ROWS; i++) {
            y[i] = logistic ? (double)(i % 2) : uniform(&state);
        }
        for (int intercept = 0; intercept < 2; intercept++) {
            for (ptrdiff_t cols = 1 - intercept; cols <= MAX_COLS; cols++) {
                const fdc_regression data = {ROWS, cols, X + (ROWS * (MAX_COLS - cols)), y, 0.25, intercept};
                const ptrdiff_t n = cols + intercept;
                CHECK(loss(2, n, points, 1, got, (void *)&data) == 0);
                for (int k = 0; k < 2; k++) {
                    const double expected = reference(&data, points + k * n, logistic);
                    CHECK(fabs(got[k] - expected) <= 16.0 * DBL_EPSILON * expected);
                }
            }
        }
    }
    free(X);
}

static void test_extremes(void) {
    const double X[] = {1.0}, zero[] = {0.0}, one[] = {1.0};
    const fdc_regression below = {1, 1, X, zero, 0.0, 0}, above = {1, 1, X, one, 0.0, 0};
    const double big = 1e300, small = -1e300, nan_ = NAN, inf = INFINITY;
    double got;
    CHECK(fdc_logistic_loss(1, 1, &big, 1, &got, (void *)&below) == 0 && got == 1e300);
    CHECK(fdc_logistic_loss(1, 1, &big, 1, &got, (void *)&above) == 0 && got == 0.0);
    CHECK(fdc_logistic_loss(1, 1, &small, 1, &got, (void *)&below) == 0 && got == 0.0);
    CHECK(fdc_logistic_loss(1, 1, &small, 1, &got, (void *)&above) == 0 && got == 1e300);
    CHECK(fdc_logistic_loss(1, 1, &nan_, 1, &got, (void *)&below) == 0 && isnan(got));
    CHECK(fdc_linear_loss(1, 1, &big, 1, &got, (void *)&below) == 0 && isinf(got));
    CHECK(fdc_linear_loss(1, 1, &inf, 1, &got, (void *)&below) == 0 && isinf(got));
    CHECK(fdc_linear_loss(1, 1, &nan_, 1, &got, (void *)&below) == 0 && isnan(got));
}

static void test_bad_arguments(void) {
    const double X[] = {1.0, 2.0}, y[] = {0.0}, x[] = {1.0, 1.0, 1.0};
    const fdc_regression data = {1, 2, X, y, 0.0, 1};
    double got[2] = {7.0, 7.0};
    CHECK(fdc_linear_loss(1, 2, x, 1, got, (void *)&data) == FDC_ERR_ARGUMENT);
    CHECK(fdc_linear_loss(1, 3, x, 2, got, (void *)&data) == FDC_ERR_ARGUMENT);
    CHECK(fdc_logistic_loss(1, 2, x, 1, got, (void *)&data) == FDC_ERR_ARGUMENT);
    CHECK(fdc_logistic_loss(1, 3, x, 0, got, (void *)&data) == FDC_ERR_ARGUMENT);
    CHECK(got[0] == 7.0 && got[1] == 7.0);
    CHECK(fdc_linear_loss(1, 3, x, 1, got, (void *)&data) == 0 && got[0] == 16.0);
}

static void test_sum(void) {
    fdc_sum sum = {0.0, 0.0};
    fdc_sum_add(&sum, 1.0);
    for (int i = 0; i < 1000000; i++) {
        fdc_sum_add(&sum, 1e-17); /* each is lost in a plain sum */
    }
    CHECK(fabs(fdc_sum_value(&sum) - (1.0 + 1e-11)) <= DBL_EPSILON);
}

static void test_find(void) {
    CHECK(fdc_model_find("linear") == fdc_linear_loss);
    CHECK(fdc_model_find("logistic") == fdc_logistic_loss);
    CHECK(fdc_model_find("") == NULL);
    CHECK(fdc_model_find("Linear") == NULL);
}

int main(void) {
    RUN(test_values);
    RUN(test_extremes);
    RUN(test_bad_arguments);
    RUN(test_sum);
    RUN(test_find);
    return check_summary();
}
