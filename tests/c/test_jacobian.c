/* test_jacobian.c - the perturbation loop on one thread: values, cost, strides, bounds, failures. */
#include "probe.h"

#include <float.h>

/* ---- tests: values -------------------------------------------------------------------------------------------- */

/* x to the power p + 1, p being where ctx points: its error is a multiple of h^p, with no terms of higher order. */
static int monomial(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    (void)count, (void)n, (void)m;
    *y = pow(*x, *(const int *)ctx + 1);
    return 0;
}

static double error_of_rule(fdc_method method, int accuracy, double h) {
    const fdc_func f = func_of(monomial, 0, &accuracy);
    fdc_options o = options_of(method, accuracy);
    o.abs_step = &h;
    const double x = 0.3;
    double g = NAN;
    CHECK_INT(fdc_gradient(&f, 1, &x, &g, &o, NULL), FDC_OK);
    return fabs(g - (accuracy + 1) * pow(x, accuracy));
}

static void test_every_rule_has_exactly_its_order(void) {
    for (int k = 0; k < RULES; ++k) {
        const int p = rules[k].accuracy;
        const double order = log2(error_of_rule(rules[k].method, p, 0.5) / error_of_rule(rules[k].method, p, 0.25));
        CHECK_CLOSE(order, (double)p, 1e-6);
    }
}

static void test_the_rule_step_gives_the_accuracy_of_its_order(void) {
    double x[N], jac[M * N];
    fill_x(x);
    for (int k = 0; k < RULES; ++k) {
        const int p = rules[k].accuracy;
        probe seen = new_probe(x);
        const fdc_func f = func_of(watched, 0, &seen);
        const fdc_options o = options_of(rules[k].method, p);
        CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, &o, NULL), FDC_OK);
        const double expected = pow(DBL_EPSILON, p / (p + 1.0));
        for (int j = 0; j < N; ++j) {
            for (int i = 0; i < M; ++i) {
                CHECK_CLOSE(jac[i + j * M], smooth_derivative(x, i, j), 1000 * expected);
            }
        }
        CHECK_INT(seen.amiss, 0);
    }
}

static int identity(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    (void)count, (void)ctx;
    memcpy(y, x, (size_t)(n < m ? n : m) * sizeof *y);
    return 0;
}

static void test_the_divisor_is_the_step_really_taken(void) {
    const double xs[] = {0.1, 1e8 / 3, -1e-12, 12345.678, 1e300 / 7};
    const fdc_func f = func_of(identity, 0, NULL);
    for (size_t k = 0; k < sizeof xs / sizeof *xs; ++k) {
        for (int r = 0; r < RULES; ++r) {
            const fdc_options o = options_of(rules[r].method, rules[r].accuracy);
            double g = 0;
            CHECK_INT(fdc_gradient(&f, 1, &xs[k], &g, &o, NULL), FDC_OK);
            CHECK_CLOSE(g, 1.0, rules[r].accuracy <= 2 && rules[r].method == FDC_CENTRAL ? 0.0 : 1e-13);
        }
    }
}

static void test_steps_are_those_asked_for(void) {
    const double x[] = {4.0, -0.5, 0.0}, relative[] = {1e-3, 1e-3, 1e-3}, absolute[] = {0.25, 0.5, 1.0};
    double g[3], step[3];
    fdc_info info = {.step = step};
    const fdc_func f = func_of(identity, 0, NULL);
    fdc_options o = options_of(FDC_CENTRAL, 2);
    CHECK_INT(fdc_gradient(&f, 3, x, g, &o, &info), FDC_OK);
    for (int j = 0; j < 3; ++j) {
        CHECK_CLOSE(step[j], fdc_rule_step(FDC_CENTRAL, 2, 0, x[j]), 0);
    }
    CHECK(step[0] == 4 * step[2] && step[1] == step[2] && step[2] > 1e-6 && step[2] < 1e-4);
    o.rel_step = relative;
    o.step_scale = 2.0;
    CHECK_INT(fdc_gradient(&f, 3, x, g, &o, &info), FDC_OK);
    CHECK(step[0] == 8e-3 && step[1] == 1e-3 && step[2] > 0);
    o.abs_step = absolute;
    CHECK_INT(fdc_gradient(&f, 3, x, g, &o, &info), FDC_OK);
    CHECK(step[0] == 0.5 && step[1] == 1.0 && step[2] == 2.0);
}

static void test_cost_and_untouched_x(void) {
    double x[N], before[N], jac[M * N], f0[M];
    fill_x(x);
    memcpy(before, x, sizeof x);
    smooth(N, x, M, f0);
    for (int k = 0; k < RULES; ++k) {
        for (int known = 0; known < 2; ++known) {
            probe seen = new_probe(x);
            const fdc_func f = func_of(watched, 0, &seen);
            fdc_options o = options_of(rules[k].method, rules[k].accuracy);
            o.f0 = known ? f0 : NULL;
            fdc_info info = {0};
            CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, &o, &info), FDC_OK);
            const int center = rules[k].method != FDC_CENTRAL && !known;
            CHECK_INT(info.nfev, N * rules[k].accuracy + center);
            CHECK_INT(seen.rows, info.nfev);
            CHECK_INT(info.column, -1);
            CHECK_INT(info.workers, 1);
            CHECK(memcmp(x, before, sizeof x) == 0);
        }
    }
}

/* ---- tests: where results go ---------------------------------------------------------------------------------- */

static void test_strides_and_nothing_beside_them(void) {
    enum { PAD = 3, SIZE = 4 * (M + PAD) * (N + PAD) };
    static double reference[M * N], room[SIZE];
    const ptrdiff_t strides[][2] = {{1, M}, {1, M + PAD}, {N, 1}, {N + PAD, 1}, {2, 2 * M + PAD}, {2 * N + PAD, 2}};
    double x[N];
    fill_x(x);
    probe seen = new_probe(x);
    const fdc_func f = func_of(watched, 0, &seen);
    CHECK_INT(fdc_jacobian(&f, N, x, M, reference, 1, M, NULL, NULL), FDC_OK);
    for (size_t k = 0; k < sizeof strides / sizeof *strides; ++k) {
        const ptrdiff_t rs = strides[k][0], cs = strides[k][1];
        for (int at = 0; at < SIZE; ++at) {
            room[at] = -777.0;
        }
        CHECK_INT(fdc_jacobian(&f, N, x, M, room, rs, cs, NULL, NULL), FDC_OK);
        int written = 0;
        for (int at = 0; at < SIZE; ++at) {
            written += room[at] != -777.0;
        }
        CHECK_INT(written, M * N);
        for (int i = 0; i < M; ++i) {
            for (int j = 0; j < N; ++j) {
                CHECK(memcmp(&room[i * rs + j * cs], &reference[i + j * M], sizeof(double)) == 0);
            }
        }
    }
}

static void test_empty_problems(void) {
    double x[N], jac = -777.0;
    fill_x(x);
    probe seen = new_probe(x);
    const fdc_func f = func_of(watched, 0, &seen);
    CHECK_INT(fdc_jacobian(&f, 0, NULL, M, NULL, 1, M, NULL, NULL), FDC_OK);
    CHECK_INT(fdc_jacobian(&f, 0, x, 0, &jac, 1, 0, NULL, NULL), FDC_OK);
    CHECK(jac == -777.0);
    CHECK_INT(seen.rows, 0);
    const fdc_func nothing = func_of(identity, 0, NULL);
    CHECK_INT(fdc_jacobian(&nothing, N, x, 0, &jac, 1, 0, NULL, NULL), FDC_OK);
    CHECK(jac == -777.0);
}

static void test_batches_give_the_same_bits(void) {
    static double one_by_one[M * N], batched[M * N];
    double x[N];
    fill_x(x);
    for (int k = 0; k < RULES; ++k) {
        probe seen = new_probe(x);
        const fdc_options o = options_of(rules[k].method, rules[k].accuracy);
        fdc_func f = func_of(watched, 0, &seen);
        CHECK_INT(fdc_jacobian(&f, N, x, M, one_by_one, 1, M, &o, NULL), FDC_OK);
        const ptrdiff_t rows = seen.rows;
        seen = new_probe(x);
        f.flags = FDC_BATCHED;
        CHECK_INT(fdc_jacobian(&f, N, x, M, batched, 1, M, &o, NULL), FDC_OK);
        CHECK(memcmp(one_by_one, batched, sizeof batched) == 0);
        CHECK_INT(seen.rows, rows);
        CHECK(seen.calls < rows / 4);
        CHECK_INT(seen.amiss, 0);
    }
}

/* ---- tests: bounds and holes in the domain -------------------------------------------------------------------- */

static void test_no_point_leaves_the_bounds(void) {
    double x[N], lower[N], upper[N], jac[M * N];
    uint8_t component[N];
    fill_x(x);
    for (int j = 0; j < N; ++j) { /* x on its lower bound, on its upper, in a narrow box, in a wide one */
        lower[j] = x[j] - (j % 4 == 0 ? 0 : j % 4 == 1 ? 1 : j % 4 == 2 ? 1e-7 : 9);
        upper[j] = x[j] + (j % 4 == 0 ? 1 : j % 4 == 1 ? 0 : j % 4 == 2 ? 2e-7 : 9);
    }
    for (int k = 0; k < RULES; ++k) {
        probe seen = new_probe(x);
        seen.lower = lower;
        seen.upper = upper;
        const fdc_func f = func_of(watched, 0, &seen);
        fdc_options o = options_of(rules[k].method, rules[k].accuracy);
        o.lower = lower;
        o.upper = upper;
        fdc_info info = {.component = component};
        CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, &o, &info), FDC_OK);
        CHECK_INT(seen.outside, 0);
        CHECK_INT(component[3], FDC_AT_RULE);
        if (rules[k].method == FDC_CENTRAL) {
            CHECK_INT(component[0], FDC_AT_FORWARD);
            CHECK_INT(component[1], FDC_AT_BACKWARD);
        }
        for (int j = 0; j < N; ++j) {
            for (int i = 0; i < M; ++i) { /* narrow boxes leave little accuracy, but no nonsense */
                CHECK_CLOSE(jac[i + j * M], smooth_derivative(x, i, j), j % 4 == 2 ? 0.1 : 1e-5);
            }
        }
    }
}

/* Where room is divided by the stencil's reach and multiplied again, rounding may go a little too far. */
static void test_no_point_leaves_a_random_box(void) {
    double x[N], lower[N], upper[N], g[N];
    uint64_t state = 1;
    for (int repeat = 0; repeat < 100; ++repeat) {
        for (int j = 0; j < N; ++j) {
            double random[3];
            for (int k = 0; k < 3; ++k) {
                state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                random[k] = (double)(state >> 11) * 0x1p-53;
            }
            x[j] = j % 2 ? 2 * random[0] - 1 : 0; /* at 0, what rounding does is not rounded away */
            lower[j] = x[j] - 1e-3 * random[1];
            upper[j] = x[j] + 1e-3 * random[2];
        }
        for (int k = 0; k < RULES; ++k) {
            probe seen = new_probe(x);
            seen.lower = lower;
            seen.upper = upper;
            const fdc_func f = func_of(watched, 0, &seen);
            fdc_options o = options_of(rules[k].method, rules[k].accuracy);
            o.lower = lower;
            o.upper = upper;
            o.step_scale = 1000;
            CHECK_INT(fdc_gradient(&f, N, x, g, &o, NULL), FDC_OK);
            CHECK_INT(seen.outside, 0);
        }
    }
}

static void test_a_finite_side_is_used_and_said(void) {
    double x[N], jac[M * N];
    uint8_t component[N];
    fill_x(x);
    for (int side = -1; side <= 1; side += 2) {
        probe seen = new_probe(x);
        seen.nan_at = 5;
        seen.nan_side = side;
        const fdc_func f = func_of(watched, 0, &seen);
        fdc_info info = {.component = component};
        CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, NULL, &info), FDC_OK);
        CHECK_INT(component[5], side < 0 ? FDC_AT_FORWARD : FDC_AT_BACKWARD);
        CHECK_INT(component[4], FDC_AT_RULE);
        CHECK_CLOSE(jac[M - 1 + 5 * M], smooth_derivative(x, M - 1, 5), 1e-5);
        CHECK_INT(seen.rows, info.nfev);
    }
}

/* ---- tests: failures ------------------------------------------------------------------------------------------ */

static void test_arguments(void) {
    double x[N], g[N];
    fill_x(x);
    const fdc_func f = func_of(identity, 0, NULL);
    fdc_func bad = f;
    CHECK_INT(fdc_gradient(NULL, N, x, g, NULL, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_gradient(&f, -1, x, g, NULL, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_gradient(&f, N, NULL, g, NULL, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_gradient(&f, N, x, NULL, NULL, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_jacobian(&f, N, x, -1, g, 1, 1, NULL, NULL), FDC_ERR_ARGUMENT);
    bad.eval = NULL;
    CHECK_INT(fdc_gradient(&bad, N, x, g, NULL, NULL), FDC_ERR_ARGUMENT);
    bad = f;
    bad.version = FDC_ABI_VERSION + 1;
    CHECK_INT(fdc_gradient(&bad, N, x, g, NULL, NULL), FDC_ERR_ARGUMENT);

    const int wrong[][2] = {{FDC_FORWARD, 0},  {FDC_FORWARD, 9},      {FDC_CENTRAL, 3},
                            {FDC_CENTRAL, 10}, {FDC_METHOD_COUNT, 2}, {-1, 2}};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; ++k) {
        const fdc_options o = options_of((fdc_method)wrong[k][0], wrong[k][1]);
        CHECK_INT(fdc_gradient(&f, N, x, g, &o, NULL), FDC_ERR_ARGUMENT);
        CHECK(isnan(fdc_rule_step((fdc_method)wrong[k][0], wrong[k][1], 0, 1.0)));
    }
    fdc_options o = options_of(FDC_CENTRAL, 2);
    o.version = 0;
    CHECK_INT(fdc_gradient(&f, N, x, g, &o, NULL), FDC_ERR_ARGUMENT);
    x[3] = INFINITY;
    CHECK_INT(fdc_gradient(&f, N, x, g, NULL, NULL), FDC_ERR_ARGUMENT);
}

static void test_memory(void) {
    const double x = 1.0;
    double jac = 0;
    const fdc_func f = func_of(identity, 0, NULL);
    CHECK_INT(fdc_jacobian(&f, 1, &x, PTRDIFF_MAX, &jac, 1, 1, NULL, NULL), FDC_ERR_MEMORY);
    CHECK_INT(fdc_jacobian(&f, 1, &x, PTRDIFF_MAX / 8, &jac, 1, 1, NULL, NULL), FDC_ERR_MEMORY);
}

static void test_steps_and_bounds_that_cannot_be(void) {
    const double steps[] = {0.0, -1.0, NAN, INFINITY, 1e-30};
    double x[] = {1.0, 2.0}, g[2];
    const fdc_func f = func_of(identity, 0, NULL);
    fdc_info info;
    for (size_t k = 0; k < sizeof steps / sizeof *steps; ++k) {
        const double h[] = {0.1, steps[k]};
        fdc_options o = options_of(FDC_CENTRAL, 2);
        o.abs_step = h;
        memset(&info, 0, sizeof info);
        CHECK_INT(fdc_jacobian(&f, 2, x, 1, g, 1, 1, &o, &info), FDC_ERR_STEP);
        CHECK_INT(info.column, 1);
    }
    const double low[] = {0.0, 2.5}, fixed[] = {3.0, 2.0};
    fdc_options o = options_of(FDC_CENTRAL, 2);
    o.lower = low;
    memset(&info, 0, sizeof info);
    CHECK_INT(fdc_jacobian(&f, 2, x, 1, g, 1, 1, &o, &info), FDC_ERR_BOUNDS);
    CHECK_INT(info.column, 1);
    o.lower = o.upper = fixed;
    x[0] = 3.0;
    memset(&info, 0, sizeof info);
    CHECK_INT(fdc_jacobian(&f, 2, x, 1, g, 1, 1, &o, &info), FDC_ERR_BOUNDS);
    CHECK_INT(info.column, 0);
}

static void test_nan_everywhere_and_at_x(void) {
    double x[N], jac[M * N];
    fill_x(x);
    probe seen = new_probe(x);
    seen.nan_at = 9;
    const fdc_func f = func_of(watched, 0, &seen);
    fdc_info info = {0};
    CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, NULL, &info), FDC_ERR_NONFINITE);
    CHECK_INT(info.column, 9);
    double f0[M];
    smooth(N, x, M, f0);
    f0[2] = NAN;
    fdc_options o = options_of(FDC_FORWARD, 1);
    o.f0 = f0;
    CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, &o, &info), FDC_ERR_NONFINITE);
    CHECK_INT(info.column, -1);
}

int main(void) {
    RUN(test_every_rule_has_exactly_its_order);
    RUN(test_the_rule_step_gives_the_accuracy_of_its_order);
    RUN(test_the_divisor_is_the_step_really_taken);
    RUN(test_steps_are_those_asked_for);
    RUN(test_cost_and_untouched_x);
    RUN(test_strides_and_nothing_beside_them);
    RUN(test_empty_problems);
    RUN(test_batches_give_the_same_bits);
    RUN(test_no_point_leaves_the_bounds);
    RUN(test_no_point_leaves_a_random_box);
    RUN(test_a_finite_side_is_used_and_said);
    RUN(test_arguments);
    RUN(test_memory);
    RUN(test_steps_and_bounds_that_cannot_be);
    RUN(test_nan_everywhere_and_at_x);
    return check_summary();
}
