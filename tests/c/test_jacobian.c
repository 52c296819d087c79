/* test_jacobian.c - the perturbation loop through the public header: values, cost, strides, bounds, failures, workers.
 */
#include "compat.h"

#include "fdcore/fdcore.h"

#include "check.h"

#include <float.h>
#include <stdlib.h>

enum { N = 40, M = 23 };

static void sleep_ms(long ms) {
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&span, NULL);
}

/* ---- callbacks ------------------------------------------------------------------------------------------------ */

/* What a callback is to do, and what it saw. Counts are atomic: workers share it. */
typedef struct probe {
    ptrdiff_t calls, rows, running, most_running;
    ptrdiff_t fail_at;   /* fails where this component is moved, with status 7 + component; or -1: never */
    ptrdiff_t fail_also; /* and where this one is */
    ptrdiff_t nan_at;    /* NaN where this component is moved; or -1 */
    ptrdiff_t write_at;  /* writes to this component of x; or -1 */
    int nan_side;        /* NaN only if it is moved down (-1), up (1), or anyhow (0) */
    long pause_ms;
    const double *x, *lower, *upper; /* what to compare with */
    ptrdiff_t outside;               /* evaluation points beyond the bounds */
    ptrdiff_t amiss;                 /* rows that are not x but for one component */
} probe;

static probe new_probe(const double *x) {
    const probe p = {.fail_at = -1, .fail_also = -1, .nan_at = -1, .write_at = -1, .x = x};
    return p;
}

/* m values, each a smooth function of every component. */
static void smooth(ptrdiff_t n, const double *x, ptrdiff_t m, double *y) {
    for (ptrdiff_t i = 0; i < m; ++i) {
        double sum = 0;
        for (ptrdiff_t j = 0; j < n; ++j) {
            sum += sin(x[j] * (1.0 + 0.1 * (double)((i + j) % 7))) / (double)(1 + (i + j) % 5);
        }
        y[i] = sum;
    }
}

static double smooth_derivative(const double *x, ptrdiff_t i, ptrdiff_t j) {
    const double rate = 1.0 + 0.1 * (double)((i + j) % 7);
    return rate * cos(rate * x[j]) / (double)(1 + (i + j) % 5);
}

static int watched_row(probe *p, ptrdiff_t n, const double *x, ptrdiff_t m, double *y) {
    ptrdiff_t moved = -1, differing = 0;
    for (ptrdiff_t j = 0; j < n; ++j) {
        if (x[j] != p->x[j]) {
            moved = j;
            ++differing;
        }
        if ((p->lower != NULL && x[j] < p->lower[j]) || (p->upper != NULL && x[j] > p->upper[j])) {
            (void)fdc_atomic_fetch_add(&p->outside, 1);
        }
    }
    if (differing > 1) {
        (void)fdc_atomic_fetch_add(&p->amiss, 1);
    }
    if (p->pause_ms > 0) {
        sleep_ms(p->pause_ms);
    }
    if (moved >= 0 && (moved == p->fail_at || moved == p->fail_also)) {
        return 7 + (int)moved;
    }
    smooth(n, x, m, y);
    if (moved >= 0 && moved == p->nan_at && (p->nan_side == 0 || (x[moved] > p->x[moved]) == (p->nan_side > 0))) {
        y[m - 1] = NAN;
    }
    if (p->write_at >= 0) {
        ((double *)x)[p->write_at] += 1.0;
    }
    return 0;
}

static int watched(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    probe *p = ctx;
    const ptrdiff_t running = fdc_atomic_fetch_add(&p->running, 1) + 1;
    if (running > fdc_atomic_load(&p->most_running)) {
        fdc_atomic_store(&p->most_running, running);
    }
    (void)fdc_atomic_fetch_add(&p->calls, 1);
    (void)fdc_atomic_fetch_add(&p->rows, count);
    int status = 0;
    for (ptrdiff_t row = 0; row < count && status == 0; ++row) {
        status = watched_row(p, n, x + row * n, m, y + row * m);
    }
    (void)fdc_atomic_fetch_add(&p->running, -1);
    return status;
}

static fdc_func func_of(fdc_fn eval, uint32_t flags, void *ctx) {
    const fdc_func f = {.version = FDC_ABI_VERSION, .flags = flags, .eval = eval, .ctx = ctx};
    return f;
}

static fdc_options options_of(fdc_method method, int accuracy) {
    fdc_options o;
    fdc_options_init(&o);
    o.method = (int32_t)method;
    o.accuracy = accuracy;
    return o;
}

static void fill_x(double *x) {
    for (int j = 0; j < N; ++j) {
        x[j] = 0.05 * j - 1.0 + 0.3 / (j + 1);
    }
}

/* ---- tests: values -------------------------------------------------------------------------------------------- */

static const struct {
    fdc_method method;
    int accuracy;
} rules[] = {
    {FDC_FORWARD, 1},  {FDC_FORWARD, 2},  {FDC_FORWARD, 3},  {FDC_FORWARD, 4},  {FDC_FORWARD, 5},
    {FDC_FORWARD, 6},  {FDC_FORWARD, 7},  {FDC_FORWARD, 8},  {FDC_BACKWARD, 1}, {FDC_BACKWARD, 2},
    {FDC_BACKWARD, 3}, {FDC_BACKWARD, 4}, {FDC_BACKWARD, 5}, {FDC_BACKWARD, 6}, {FDC_BACKWARD, 7},
    {FDC_BACKWARD, 8}, {FDC_CENTRAL, 2},  {FDC_CENTRAL, 4},  {FDC_CENTRAL, 6},  {FDC_CENTRAL, 8},
};
enum { RULES = sizeof rules / sizeof *rules };

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

/* ---- tests: workers ------------------------------------------------------------------------------------------- */

static const int worker_counts[] = {1, 2, 3, 7, 0, -2, INT32_MIN};
enum { WORKER_COUNTS = sizeof worker_counts / sizeof *worker_counts };

static void test_the_same_bits_for_any_number_of_workers(void) {
    static double serial[M * N], parallel[M * N];
    double x[N];
    fill_x(x);
    fdc_pool *pool = fdc_pool_create(7);
    for (int k = 0; k < RULES; ++k) {
        for (int batched = 0; batched < 2; ++batched) {
            for (int w = 0; w < WORKER_COUNTS; ++w) {
                probe seen = new_probe(x);
                seen.nan_at = 5; /* one component retreats */
                seen.nan_side = 1;
                const fdc_func f = func_of(watched, FDC_REENTRANT | (batched ? FDC_BATCHED : 0), &seen);
                fdc_options o = options_of(rules[k].method, rules[k].accuracy);
                o.pool = pool;
                o.workers = worker_counts[w];
                fdc_info info = {0};
                double *const out = w == 0 && !batched ? serial : parallel;
                CHECK_INT(fdc_jacobian(&f, N, x, M, out, N, 1, &o, &info), FDC_OK);
                CHECK(memcmp(serial, out, sizeof serial) == 0);
                CHECK_INT(info.nfev, seen.rows);
                CHECK_INT(seen.amiss, 0);
            }
        }
    }
    fdc_pool_destroy(pool);
}

static void test_workers_run_at_once_if_the_callback_may(void) {
    double x[N], g[N];
    fill_x(x);
    fdc_pool *pool = fdc_pool_create(2);
    for (int reentrant = 0; reentrant < 2; ++reentrant) {
        probe seen = new_probe(x);
        seen.pause_ms = 2;
        const fdc_func f = func_of(watched, reentrant ? FDC_REENTRANT : 0, &seen);
        fdc_options o = options_of(FDC_CENTRAL, 2);
        o.pool = pool;
        o.workers = 0; /* 80 evaluations of 2 ms are worth it */
        fdc_info info = {0};
        CHECK_INT(fdc_gradient(&f, N, x, g, &o, &info), FDC_OK);
        CHECK_INT(info.workers, reentrant ? 2 : 1);
        CHECK_INT(seen.most_running, reentrant ? 2 : 1);
    }
    fdc_pool_destroy(pool);
}

static void test_the_lowest_failing_column_counts(void) {
    double x[N], jac[M * N];
    fill_x(x);
    fdc_pool *pool = fdc_pool_create(7);
    for (int w = 0; w < WORKER_COUNTS; ++w) {
        for (int repeat = 0; repeat < 50; ++repeat) {
            probe seen = new_probe(x);
            seen.fail_at = 3 + repeat % 30;
            seen.fail_also = seen.fail_at + 1 + repeat % 5;
            const fdc_func f = func_of(watched, FDC_REENTRANT, &seen);
            fdc_options o = options_of(FDC_CENTRAL, 2);
            o.pool = pool;
            o.workers = worker_counts[w];
            fdc_info info = {0};
            CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, &o, &info), FDC_ERR_CALLBACK);
            CHECK_INT(info.column, seen.fail_at);
            CHECK_INT(info.callback_status, 7 + seen.fail_at);
            CHECK(info.displacement > 0);
        }
    }
    fdc_pool_destroy(pool);
}

static void test_a_callback_that_writes_is_found_out(void) {
    double x[N], before[N], jac[M * N];
    fill_x(x);
    memcpy(before, x, sizeof x);
    fdc_pool *pool = fdc_pool_create(3);
    for (int workers = 1; workers <= 3; ++workers) {
        for (int batched = 0; batched < 2; ++batched) {
            probe seen = new_probe(x);
            seen.write_at = 11;
            const fdc_func f = func_of(watched, FDC_REENTRANT | (batched ? FDC_BATCHED : 0), &seen);
            fdc_options o = options_of(FDC_CENTRAL, 2);
            o.pool = pool;
            o.workers = workers;
            fdc_info info = {0};
            CHECK_INT(fdc_jacobian(&f, N, x, M, jac, 1, M, &o, &info), FDC_ERR_MUTATED);
            CHECK_INT(info.column, 11);
            CHECK(memcmp(x, before, sizeof x) == 0);
        }
    }
    fdc_pool_destroy(pool);
}

static int stop_at_third(void *ctx) {
    return ++*(int *)ctx >= 3;
}

static void test_a_poll_stops_a_long_run(void) {
    double x[N], g[N];
    fill_x(x);
    fdc_pool *pool = fdc_pool_create(2);
    for (int workers = 1; workers <= 2; ++workers) {
        probe seen = new_probe(x);
        seen.pause_ms = 25; /* 2 s in all */
        const fdc_func f = func_of(watched, FDC_REENTRANT, &seen);
        int polls = 0;
        fdc_options o = options_of(FDC_CENTRAL, 2);
        o.pool = pool;
        o.workers = workers;
        o.poll = stop_at_third;
        o.poll_ctx = &polls;
        const int64_t start = fdc_clock_ns();
        CHECK_INT(fdc_gradient(&f, N, x, g, &o, NULL), FDC_ERR_CANCELLED);
        const double ms = (double)(fdc_clock_ns() - start) * 1e-6;
        CHECK_INT(polls, 3);
        CHECK(ms > 3 * 50 - 1 && ms < 700); /* the third poll is due at 150 */
    }
    fdc_pool_destroy(pool);
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
    RUN(test_a_finite_side_is_used_and_said);
    RUN(test_arguments);
    RUN(test_memory);
    RUN(test_steps_and_bounds_that_cannot_be);
    RUN(test_nan_everywhere_and_at_x);
    RUN(test_the_same_bits_for_any_number_of_workers);
    RUN(test_workers_run_at_once_if_the_callback_may);
    RUN(test_the_lowest_failing_column_counts);
    RUN(test_a_callback_that_writes_is_found_out);
    RUN(test_a_poll_stops_a_long_run);
    return check_summary();
}
