/* test_workers.c - the perturbation loop on several threads: the same bits, the same errors, and an end when asked. */
#include "probe.h"

#include "internal.h"

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
        /* Told what an evaluation takes, the next run does not wait for its first column. */
        CHECK(info.evaluation_ns > 1e6 && info.evaluation_ns < 1e9);
        o.evaluation_ns = info.evaluation_ns;
        double again[N];
        CHECK_INT(fdc_gradient(&f, N, x, again, &o, &info), FDC_OK);
        CHECK_INT(info.workers, reentrant ? 2 : 1);
        CHECK(memcmp(g, again, sizeof g) == 0);
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

static void test_a_failure_ends_the_run(void) {
    double x[N], g[N];
    fill_x(x);
    fdc_pool *pool = fdc_pool_create(2);
    for (int workers = 1; workers <= 2; ++workers) {
        probe seen = new_probe(x);
        seen.fail_at = 0;
        seen.pause_ms = 5;
        const fdc_func f = func_of(watched, FDC_REENTRANT, &seen);
        fdc_options o = options_of(FDC_CENTRAL, 2);
        o.pool = pool;
        o.workers = workers;
        CHECK_INT(fdc_gradient(&f, N, x, g, &o, NULL), FDC_ERR_CALLBACK);
        CHECK(seen.rows < N); /* of 2 N */
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
        seen.pause_ms = workers > 1 ? 120 : 25; /* 2 s in all; helpers are waited for past the time of a poll */
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
        CHECK(ms > 3 * 50 - 1 && ms < 1500); /* the third poll is due at 150, or at the end of an evaluation */
    }
    fdc_pool_destroy(pool);
}

/* Looking at the clock once in so many evaluations must not rely on the first ones. */
static void test_a_poll_is_in_time_though_the_beginning_was_fast(void) {
    double x[N], g[N];
    fill_x(x);
    for (int component = 1; component <= 20; component += 19) {
        probe seen = new_probe(x);
        seen.pause_ms = 5;
        seen.pause_from = component;
        const fdc_func f = func_of(watched, FDC_REENTRANT, &seen);
        int polls = 2;
        fdc_options o = options_of(FDC_CENTRAL, 2);
        o.poll = stop_at_third;
        o.poll_ctx = &polls;
        CHECK_INT(fdc_gradient(&f, N, x, g, &o, NULL), FDC_ERR_CANCELLED);
        CHECK(seen.rows < 2 * component + 20); /* the poll is due after ten evaluations of 5 ms */
    }
}

/* Counted from all threads, and otherwise the same. */
static void test_a_counted_callback(void) {
    double x[N], plain[N], counted[N];
    fill_x(x);
    fdc_pool *pool = fdc_pool_create(3);
    for (int batched = 0; batched < 2; ++batched) {
        probe seen = new_probe(x);
        const fdc_func f = func_of(watched, FDC_REENTRANT | (batched ? FDC_BATCHED : 0), &seen);
        fdc_options o = options_of(FDC_CENTRAL, 4);
        o.pool = pool;
        o.workers = 3;
        CHECK_INT(fdc_gradient(&f, N, x, plain, &o, NULL), FDC_OK);
        seen.rows = 0;
        fdc_counter counter;
        fdc_func watched_f;
        fdc_count(&counter, &f, &watched_f);
        CHECK_INT(watched_f.flags, f.flags);
        CHECK(watched_f.update == NULL);
        CHECK_INT(fdc_counted(&counter), 0);
        CHECK_INT(fdc_gradient(&watched_f, N, x, counted, &o, NULL), FDC_OK);
        CHECK_INT(fdc_counted(&counter), 4 * N);
        CHECK_INT(seen.rows, 4 * N);
        CHECK(memcmp(plain, counted, sizeof plain) == 0);
        seen.fail_at = 3;
        fdc_info info = {0};
        CHECK_INT(fdc_gradient(&watched_f, N, x, counted, &o, &info), FDC_ERR_CALLBACK);
        CHECK(batched ? info.column <= 3 : info.column == 3);
        CHECK_INT(info.callback_status, 10);
    }
    fdc_pool_destroy(pool);
}

int main(void) {
    RUN(test_the_same_bits_for_any_number_of_workers);
    RUN(test_workers_run_at_once_if_the_callback_may);
    RUN(test_the_lowest_failing_column_counts);
    RUN(test_a_failure_ends_the_run);
    RUN(test_a_callback_that_writes_is_found_out);
    RUN(test_a_poll_stops_a_long_run);
    RUN(test_a_poll_is_in_time_though_the_beginning_was_fast);
    RUN(test_a_counted_callback);
    return check_summary();
}
