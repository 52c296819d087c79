/* test_adaptive.c - the windows of adaptive_view.c against their polynomials, and fdc_line_derivative() on functions
 * with known derivatives, edges, kinks, jumps, noise and failing callbacks. */
#include "adaptive_impl.h"

#include "check.h"

#include <float.h>
#include <stdint.h>
#include <stdlib.h>

/* ---- windows ------------------------------------------------------------------------------------------------- */

static double predict(const double *weights, const window *w, int power) {
    double sum = 0;
    for (int j = 0; j < NODES; ++j) {
        sum += weights[j] * pow(w->at[j], power);
    }
    return sum;
}

static void check_window(const window *w) {
    for (int power = 0; power < NODES; ++power) { /* exact up to degree six */
        const double scale = pow(6, power);
        CHECK_CLOSE(predict(w->slope, w, power), power == 1, 1e-13 * scale);
        CHECK_CLOSE(predict(w->outer, w, power), pow(w->at[OUTER], power), 1e-14 * scale);
        CHECK_CLOSE(predict(w->inner, w, power), pow(w->at[INNER], power), 1e-14 * scale);
    }
    /* degree seven is what the products are about */
    CHECK_CLOSE(pow(w->at[OUTER], 7) - predict(w->outer, w, 7), w->outer_product, 1e-8);
    CHECK_CLOSE(pow(w->at[INNER], 7) - predict(w->inner, w, 7), w->inner_product, 1e-8);
    CHECK_CLOSE(0 - predict(w->slope, w, 7), w->product_slope, 1e-8);
    double sum = 0, squares = 0, outer = 1, inner = 1;
    for (int j = 0; j < NODES; ++j) {
        sum += fabs(w->slope[j]);
        squares += w->slope[j] * w->slope[j];
        outer += w->outer[j] * w->outer[j];
        inner += w->inner[j] * w->inner[j];
    }
    CHECK_CLOSE(w->sum, sum, 1e-13);
    CHECK_CLOSE(w->gain, sqrt(squares), 1e-13);
    CHECK_CLOSE(w->outer_gain, sqrt(outer), 1e-13);
    CHECK_CLOSE(w->inner_gain, sqrt(inner), 1e-13);
}

static void test_windows(void) {
    check_window(&fdc_window_central);
    check_window(&fdc_window_side);
}

/* ---- lines --------------------------------------------------------------------------------------------------- */

typedef struct function {
    double (*f)(double);
    double x;
    int calls, fail_at;
    double low, high; /* displacements seen */
} function;

static int call(void *ctx, double t, double *y) {
    function *f = ctx;
    ++f->calls;
    f->low = fmin(f->low, t);
    f->high = fmax(f->high, t);
    if (f->calls == f->fail_at) {
        return 42;
    }
    *y = f->f(f->x + t);
    return 0;
}

typedef struct outcome {
    double value, error, step;
    unsigned char found;
    ptrdiff_t nfev;
    int status;
    function seen;
} outcome;

static outcome differentiate(double (*f)(double), double x, const fdc_line_options *settings) {
    fdc_line_options options;
    fdc_line_options_init(&options);
    if (settings != NULL) {
        options = *settings;
    }
    options.x = x;
    outcome out = {.seen = {.f = f, .x = x}};
    double *work = malloc(fdc_line_work(1) * sizeof *work);
    out.status = fdc_line_derivative(call, &out.seen, 1, &options, &out.value, &out.error, &out.step, NULL, &out.found,
                                     &out.nfev, work);
    free(work);
    return out;
}

static double fast(double x) { return sin(1000 * x); }
static double offset(double x) { return 1e10 + sin(x); }
static double steep(double x) { return exp(1e8 * x); }
static double tiny(double x) { return 1e-300 * exp(x); }
static double huge(double x) { return 1e300 * exp(x); }
static double constant(double x) { return 0 * x + 7; }
static double half_power(double x) { return x >= 0 ? x * x * sqrt(x) + x : NAN; }
static double step(double x) { return x > 1; }
static double nowhere(double x) { return x == 1 ? 1 : INFINITY; }
static double absolute(double x) { return fabs(x); }

static double hashed(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return exp(x) + 1e-6 * ((double)(bits >> 11) * 0x1p-52 - 1);
}

static void check_right(double (*f)(double), double x, double exact, double relative, int most) {
    const outcome out = differentiate(f, x, NULL);
    CHECK_INT(out.status, 0);
    CHECK(fabs(out.value - exact) <= relative * fabs(exact));
    CHECK(fabs(out.value - exact) <= out.error + 4 * DBL_EPSILON * fabs(exact));
    CHECK_INT(out.nfev, out.seen.calls);
    CHECK(out.nfev <= most);
}

static void test_functions_of_all_scales(void) {
    check_right(exp, 1, exp(1), 1e-13, 9);
    check_right(sin, 1, cos(1), 1e-13, 9);
    check_right(sin, 1e6, cos(1e6), 1e-9, 41);
    check_right(log, 1e-300, 1e300, 1e-9, 9);
    check_right(sqrt, 1e-8, 5e3, 1e-9, 9);
    check_right(fast, 1, 1000 * cos(1000), 1e-9, 40);
    check_right(offset, 1, cos(1), 1e-4, 60);
    check_right(steep, 1e-8, 1e8 * exp(1), 1e-9, 9);
    check_right(tiny, 1, 1e-300 * exp(1), 1e-9, 9);
    check_right(huge, 1, 1e300 * exp(1), 1e-9, 9);
    check_right(exp, 1e-300, 1, 1e-9, 40);
    check_right(constant, 3, 0, 0, 9);
}

/* Rounding that is smooth for a while: the slope of one of its teeth is -1000 for the first, and 1e6 for others. */
static double versine(double x) { return (1 - cos(x)) / (x * x); }
static double cubic(double x) { return (x - sin(x)) / (x * x * x); }
static double quadratic(double x) { return (exp(x) - 1 - x) / (x * x); }
static double logarithm(double x) { return log(1 + x) / x; }

static void test_teeth(void) {
    const struct {
        double (*f)(double);
        double x, exact;
    } cases[] = {{versine, 1e-3, -1e-3 / 12},        {versine, 3e-4, -3e-4 / 12}, {versine, 1.3e-3, -1.3e-3 / 12},
                 {versine, 1e-5, -1e-5 / 12},        {cubic, 1e-3, -1e-3 / 60},   {quadratic, 1e-3, 1.0 / 6 + 1e-3 / 12},
                 {quadratic, 1e-5, 1.0 / 6 + 1e-5 / 12}, {logarithm, 1e-6, -0.5},     {logarithm, 1e-9, -0.5}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const outcome out = differentiate(cases[k].f, cases[k].x, NULL);
        CHECK_INT(out.status, 0);
        CHECK(out.found & FDC_FOUND_NOISY);
        CHECK(fabs(out.value - cases[k].exact) <= 10 * out.error); /* never confidently wrong */
    }
    const outcome out = differentiate(versine, 1e-3, NULL);
    CHECK_CLOSE(out.value, -1e-3 / 12, 1e-8);
    CHECK(out.error <= 1e-6);
}

static void test_no_derivative(void) {
    outcome out = differentiate(absolute, 0, NULL);
    CHECK_INT(out.found, FDC_FOUND_KINK);
    CHECK(out.error >= 1 && out.error < 1.1);
    out = differentiate(step, 1, NULL);
    CHECK_INT(out.found, FDC_FOUND_JUMP);
    CHECK(isinf(out.error));
    out = differentiate(nowhere, 1, NULL);
    CHECK(isnan(out.value) && isinf(out.error));
    CHECK(out.found & FDC_FOUND_UNRESOLVED);
}

static void test_edges_and_bounds(void) {
    outcome out = differentiate(half_power, 0, NULL);
    CHECK(out.found & FDC_FOUND_ONE_SIDED);
    CHECK_CLOSE(out.value, 1, 1e-6);
    CHECK(fabs(out.value - 1) <= out.error);
    const double room[][2] = {{0, 1}, {1, 0}, {1e-4, 1}, {1e-9, 1}, {1e-3, 1e-3}};
    for (size_t k = 0; k < sizeof room / sizeof *room; ++k) {
        fdc_line_options options;
        fdc_line_options_init(&options);
        options.below = room[k][0];
        options.above = room[k][1];
        out = differentiate(exp, 1, &options);
        CHECK_CLOSE(out.value, exp(1), 1e-6);
        CHECK(fabs(out.value - exp(1)) <= out.error);
        CHECK(out.seen.low >= -room[k][0] && out.seen.high <= room[k][1]);
    }
}

static void test_noise(void) {
    const outcome out = differentiate(hashed, 1, NULL);
    CHECK(out.found & FDC_FOUND_NOISY);
    CHECK_CLOSE(out.value, exp(1), 1e-4);
    CHECK(fabs(out.value - exp(1)) <= out.error);
    CHECK(out.error < 1e-3);
}

static void test_a_callback_that_fails(void) {
    for (int at = 1; at <= 9; ++at) {
        function f = {.f = exp, .x = 1, .fail_at = at};
        fdc_line_options options;
        fdc_line_options_init(&options);
        options.x = 1;
        double value, error;
        double *work = malloc(fdc_line_work(1) * sizeof *work);
        const int status = fdc_line_derivative(call, &f, 1, &options, &value, &error, NULL, NULL, NULL, NULL, work);
        free(work);
        CHECK_INT(status, 42);
        CHECK_INT(f.calls, at);
    }
}

static void test_the_budget(void) {
    fdc_line_options options;
    fdc_line_options_init(&options);
    options.budget = 20;
    const outcome out = differentiate(hashed, 1, &options);
    CHECK(out.nfev <= 20);
    CHECK(out.found & FDC_FOUND_BUDGET);
}

/* Values of different scales, one of them not finite on one side: each is differentiated as if alone. */
static int several(void *ctx, double t, double *y) {
    const double x = 1 + t;
    ++*(int *)ctx;
    y[0] = exp(x);
    y[1] = 1e-200 * sin(x);
    y[2] = fast(x);
    y[3] = sqrt(x - 1 + 1e-6);
    y[4] = 3;
    return 0;
}

static void test_values_of_different_scales(void) {
    const double exact[] = {exp(1), 1e-200 * cos(1), 1000 * cos(1000), 500, 0};
    double value[5], error[5], steps[5];
    unsigned char found[5];
    int calls = 0;
    ptrdiff_t nfev;
    fdc_line_options options;
    fdc_line_options_init(&options);
    options.x = 1;
    double *work = malloc(fdc_line_work(5) * sizeof *work);
    CHECK_INT(fdc_line_derivative(several, &calls, 5, &options, value, error, steps, NULL, found, &nfev, work), 0);
    free(work);
    CHECK_INT(calls, nfev);
    for (int i = 0; i < 5; ++i) {
        CHECK_CLOSE(value[i], exact[i], 1e-6 * fabs(exact[i]) + (i == 4) * 1e-12);
        CHECK(fabs(value[i] - exact[i]) <= error[i] + 4 * DBL_EPSILON * fabs(exact[i]));
    }
    CHECK(steps[2] < steps[0]);
    CHECK(found[3] & FDC_FOUND_SHRUNK);
}

int main(void) {
    RUN(test_windows);
    RUN(test_functions_of_all_scales);
    RUN(test_teeth);
    RUN(test_no_derivative);
    RUN(test_edges_and_bounds);
    RUN(test_noise);
    RUN(test_a_callback_that_fails);
    RUN(test_the_budget);
    RUN(test_values_of_different_scales);
    return check_summary();
}
