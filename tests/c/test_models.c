/* The models' losses against sums written out in extended precision, and what they do with bad input. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
        const fdc_fn loss = fdc_model_find(logistic ? "logistic" : "linear")->loss;
        for (ptrdiff_t i = 0; i < ROWS; i++) {
            y[i] = logistic ? (double)(i % 2) : uniform(&state);
        }
        for (int intercept = 0; intercept < 2; intercept++) {
            for (ptrdiff_t cols = 1 - intercept; cols <= MAX_COLS; cols++) {
                const fdc_regression data = {ROWS, cols, X + (ROWS * (MAX_COLS - cols)), y, NULL, 0.25, intercept};
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
    const fdc_regression below = {1, 1, X, zero, NULL, 0.0, 0}, above = {1, 1, X, one, NULL, 0.0, 0};
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
    const fdc_regression data = {1, 2, X, y, NULL, 0.0, 1};
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

/* One row through a network, unit by unit. */
static long double network_row(const fdc_network *net, const double *params, const double *x, const double *Y) {
    long double a[8], z[8] = {0.0L}, total = 0.0L;
    const ptrdiff_t last = net->width[net->layers];
    for (ptrdiff_t j = 0; j < net->width[0]; j++) {
        a[j] = x[j];
    }
    for (ptrdiff_t k = 0; k < net->layers; k++) {
        const ptrdiff_t in = net->width[k], out = net->width[k + 1];
        const double *W = net->bias == 1 ? params + out : params;
        const double *b = net->bias == 1 ? params : params + in * out;
        for (ptrdiff_t i = 0; i < out; i++) {
            z[i] = net->bias ? b[i] : 0.0L;
            for (ptrdiff_t j = 0; j < in; j++) {
                z[i] += W[i * in + j] * a[j];
            }
        }
        for (ptrdiff_t i = 0; i < out; i++) {
            const long double gelu = tanhl(0.7978845608028654L * (z[i] + 0.044715L * z[i] * z[i] * z[i]));
            a[i] = net->activation == FDC_TANH      ? tanhl(z[i])
                   : net->activation == FDC_RELU    ? fmaxl(z[i], 0.0L)
                   : net->activation == FDC_SIGMOID ? 1.0L / (1.0L + expl(-z[i]))
                                                    : 0.5L * z[i] * (1.0L + gelu);
        }
        params += out * (in + (net->bias ? 1 : 0));
    }
    for (ptrdiff_t i = 0; i < last; i++) {
        total += net->squared ? (z[i] - Y[i]) * (z[i] - Y[i]) / (long double)last : expl(z[i]);
    }
    if (!net->squared) {
        total = logl(total);
        for (ptrdiff_t i = 0; i < last; i++) {
            total -= Y[i] * z[i];
        }
    }
    return total;
}

static void test_network(void) {
    static const ptrdiff_t widths[][4] = {{1, 2}, {3, 4}, {2, 5, 3}, {3, 1, 2}, {4, 3, 2, 5}};
    static const ptrdiff_t layers[] = {1, 1, 2, 2, 3};
    unsigned state = 7;
    for (int shape = 0; shape < 5; shape++) {
        for (int variant = 0; variant < 4 * 2 * 3; variant++) {
            const ptrdiff_t rows = 1 + (variant * 5 + shape) % 19, in = widths[shape][0];
            fdc_network net = {rows, layers[shape], widths[shape],   NULL,       NULL,
                               0.5,  variant % 4,   variant / 4 % 2, variant / 8};
            const ptrdiff_t out = widths[shape][net.layers];
            ptrdiff_t n = 0;
            for (ptrdiff_t k = 0; k < net.layers; k++) {
                n += widths[shape][k + 1] * (widths[shape][k] + (net.bias ? 1 : 0));
            }
            /* Each exactly as large as said, so that a sanitizer sees a step over. */
            double *X = malloc(sizeof *X * (size_t)(rows * in)), *Y = malloc(sizeof *Y * (size_t)(rows * out));
            double *params = malloc(sizeof *params * (size_t)(2 * n)), got[2] = {0.0, 0.0};
            CHECK(X != NULL && Y != NULL && params != NULL);
            for (ptrdiff_t i = 0; i < rows * in; i++) {
                X[i] = uniform(&state);
            }
            for (ptrdiff_t i = 0; i < rows * out; i++) {
                Y[i] = net.squared ? uniform(&state) : (double)(i % out == i / out % out);
            }
            for (ptrdiff_t i = 0; i < 2 * n; i++) {
                params[i] = uniform(&state);
            }
            net.X = X;
            net.Y = Y;
            CHECK(fdc_network_loss(2, n, params, 1, got, &net) == 0);
            for (int point = 0; point < 2; point++) {
                long double expected = 0.0L;
                const double *layer = params + point * n;
                for (ptrdiff_t i = 0; i < rows; i++) {
                    expected += network_row(&net, layer, X + i * in, Y + i * out) / (long double)rows;
                }
                for (ptrdiff_t k = 0; k < net.layers; k++) {
                    const ptrdiff_t size = widths[shape][k] * widths[shape][k + 1], units = widths[shape][k + 1];
                    for (ptrdiff_t i = 0; i < size; i++) {
                        const double w = layer[(net.bias == 1 ? units : 0) + i];
                        expected += 0.25L * w * w;
                    }
                    layer += size + (net.bias ? units : 0);
                }
                CHECK(fabsl(got[point] - expected) <= 64.0 * DBL_EPSILON * fabsl(expected));
            }
            CHECK(fdc_network_loss(1, n + 1, params, 1, got, &net) == FDC_ERR_ARGUMENT);
            CHECK(fdc_network_loss(1, n, params, 2, got, &net) == FDC_ERR_ARGUMENT);
            free(X);
            free(Y);
            free(params);
        }
    }
}

/* Small and large ones, beside each other. */
static double move(ptrdiff_t point, ptrdiff_t j) {
    static const double moves[] = {1e-3, -0.7, 20.0, 3e-3, -1e-4};
    return moves[(point + j) % 5];
}

/* What moving each coordinate changes, against the loss itself; and the same bits whichever columns go together. */
static void check_updates(const char *name, void *data, ptrdiff_t n, const double *x) {
    const double moves[] = {1e-3};
    const fdc_model *model = fdc_model_find(name);
    double *moved = malloc(sizeof *moved * (size_t)n), base, value;
    double *whole = malloc(sizeof *whole * (size_t)(3 * n)), *delta = malloc(sizeof *delta * (size_t)(3 * n));
    CHECK(moved != NULL && whole != NULL && delta != NULL);
    CHECK(model->loss(1, n, x, 1, &base, data) == 0);
    memcpy(moved, x, sizeof *moved * (size_t)n);
    for (ptrdiff_t parts = 1; parts <= 16; parts += 5) {
        double *sum = calloc((size_t)(3 * n), sizeof *sum);
        CHECK(sum != NULL);
        for (ptrdiff_t part = 0; part < parts; part++) {
            for (ptrdiff_t i = 0; i < 3 * n; i++) {
                delta[i] = move(i / n, i % n);
            }
            const fdc_update all = {n, x, 0, n, 3, delta, 1, part, parts};
            CHECK(model->update(&all, whole, data) == 0);
            for (ptrdiff_t i = 0; i < 3 * n; i++) {
                sum[i] += whole[i];
            }
            for (ptrdiff_t first = part % 3; first < n; first += 3) {
                const ptrdiff_t cols = n - first < 2 + part % 2 ? n - first : 2 + part % 2;
                double *some = malloc(sizeof *some * (size_t)(3 * cols)); /* exactly as large as said */
                double *steps = malloc(sizeof *steps * (size_t)(3 * cols));
                CHECK(some != NULL && steps != NULL);
                for (ptrdiff_t i = 0; i < 3 * cols; i++) {
                    steps[i] = move(i / cols, first + i % cols);
                }
                const fdc_update few = {n, x, first, cols, 3, steps, 1, part, parts};
                CHECK(model->update(&few, some, data) == 0);
                for (ptrdiff_t i = 0; i < 3 * cols; i++) {
                    CHECK(memcmp(&some[i], &whole[i / cols * n + first + i % cols], sizeof *some) == 0);
                }
                free(some);
                free(steps);
            }
        }
        for (ptrdiff_t i = 0; i < 3 * n; i++) {
            const ptrdiff_t j = i % n;
            moved[j] = x[j] + move(i / n, j);
            CHECK(model->loss(1, n, moved, 1, &value, data) == 0);
            moved[j] = x[j];
            CHECK(fabs(sum[i] - (value - base)) <= 64.0 * DBL_EPSILON * (fabs(value) + fabs(base)));
        }
        free(sum);
    }
    const fdc_update wrong = {n + 1, x, 0, 1, 1, moves, 1, 0, 1}, vector = {n, x, 0, 1, 1, moves, 2, 0, 1};
    CHECK(model->update(&wrong, whole, data) == FDC_ERR_ARGUMENT);
    CHECK(model->update(&vector, whole, data) == FDC_ERR_ARGUMENT);
    free(moved);
    free(whole);
    free(delta);
}

static void test_updates(void) {
    static const ptrdiff_t widths[][4] = {{3, 4}, {3, 4, 2}, {2, 3, 4, 2}};
    unsigned state = 3;
    double X[ROWS * 3], Y[ROWS * 4], x[64], largest[3] = {0.0, 0.0, 0.0};
    for (int i = 0; i < ROWS * 3; i++) {
        X[i] = uniform(&state);
        largest[i % 3] = fmax(largest[i % 3], fabs(X[i]));
    }
    for (int i = 0; i < 64; i++) {
        x[i] = uniform(&state);
    }
    for (int intercept = 0; intercept < 2; intercept++) {
        for (int i = 0; i < ROWS; i++) {
            Y[i] = i % 3 == 0 ? 0.3 : i % 2;
        }
        fdc_regression regression = {ROWS, 3, X, Y, largest, 0.25, intercept};
        check_updates("linear", &regression, 3 + intercept, x);
        check_updates("logistic", &regression, 3 + intercept, x);
        check_updates("poisson", &regression, 3 + intercept, x);
    }
    for (int variant = 0; variant < 3 * 4 * 2 * 3; variant++) {
        const ptrdiff_t layers = 1 + variant % 3, *width = widths[layers - 1];
        fdc_network net = {ROWS, layers, width, X, Y, 0.25, variant / 3 % 4, variant / 12 % 2, variant / 24};
        ptrdiff_t widest;
        for (ptrdiff_t i = 0; i < ROWS * width[layers]; i++) {
            Y[i] = net.squared ? uniform(&state) : 1.0 / (double)width[layers];
        }
        check_updates("network", &net, fdc_network_size(&net, &widest), x);
    }
}

/* The whole gradient, on one thread and on three. */
static void test_threads(void) {
    enum { MANY = 400, WIDE_COLS = 30 };
    static const ptrdiff_t width[] = {WIDE_COLS, 7, 3};
    unsigned state = 9;
    double *X = malloc(sizeof *X * MANY * WIDE_COLS), *Y = malloc(sizeof *Y * MANY * 3), largest[WIDE_COLS] = {0.0};
    double x[7 * WIDE_COLS + 7 + 3 * 7 + 3], one[sizeof x / sizeof *x], three[sizeof x / sizeof *x];
    CHECK(X != NULL && Y != NULL);
    for (int i = 0; i < MANY * WIDE_COLS; i++) {
        X[i] = uniform(&state);
        largest[i % WIDE_COLS] = fmax(largest[i % WIDE_COLS], fabs(X[i]));
    }
    for (int i = 0; i < MANY * 3; i++) {
        Y[i] = i % 3 == 1;
    }
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        x[i] = 0.3 * uniform(&state);
    }
    fdc_regression regression = {MANY, WIDE_COLS, X, Y, largest, 0.1, 1};
    fdc_network net = {MANY, 2, width, X, Y, 0.1, FDC_TANH, 0, 2};
    fdc_pool *pool = fdc_pool_create(3);
    for (int which = 0; which < 3; which++) {
        const fdc_model *model = fdc_model_find(which == 0 ? "linear" : which == 1 ? "logistic" : "network");
        const ptrdiff_t n = which == 2 ? (ptrdiff_t)(sizeof x / sizeof *x) : WIDE_COLS + 1;
        void *data = which == 2 ? (void *)&net : (void *)&regression;
        const fdc_func f = {FDC_ABI_VERSION, FDC_REENTRANT, model->loss, model->update, data};
        fdc_options options;
        fdc_info info = {0};
        fdc_options_init(&options);
        CHECK(fdc_gradient(&f, n, x, one, &options, &info) == FDC_OK && info.nfev == 2 * n);
        options.pool = pool;
        options.workers = 3;
        for (int i = 0; i < 20; i++) {
            CHECK(fdc_gradient(&f, n, x, three, &options, NULL) == FDC_OK);
            CHECK(memcmp(one, three, sizeof *one * (size_t)n) == 0);
        }
    }
    fdc_pool_destroy(pool);
    free(X);
    free(Y);
}

static void test_find(void) {
    CHECK(fdc_model_find("network")->loss == fdc_network_loss);
    CHECK(fdc_model_find("linear")->loss == fdc_linear_loss);
    CHECK(fdc_model_find("logistic")->loss == fdc_logistic_loss);
    CHECK(fdc_model_find("poisson")->loss == fdc_poisson_loss);
    CHECK(fdc_model_find("") == NULL);
    CHECK(fdc_model_find("Linear") == NULL);
}

int main(void) {
    RUN(test_values);
    RUN(test_extremes);
    RUN(test_bad_arguments);
    RUN(test_sum);
    RUN(test_network);
    RUN(test_updates);
    RUN(test_threads);
    RUN(test_find);
    return check_summary();
}
