/* test_parallel.c - the thread pool. Linked with --wrap=pthread_create and --wrap=calloc, so that both can be made to
 * fail. */
#include "tasks.h"

#include <errno.h>

/* ---- failures on demand --------------------------------------------------------------------------------------- */

enum { NO_LIMIT = 1000000000 };

static ptrdiff_t threads_left = NO_LIMIT, callocs_left = NO_LIMIT;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
    return fdc_atomic_fetch_add(&threads_left, -1) > 0 ? __real_pthread_create(thread, attr, start, arg) : EAGAIN;
}

void *__wrap_calloc(size_t count, size_t size) {
    return fdc_atomic_fetch_add(&callocs_left, -1) > 0 ? __real_calloc(count, size) : NULL;
}

/* ---- tests: who works ----------------------------------------------------------------------------------------- */

static void test_every_index_is_taken_once_by_1_to_7_workers(void) {
    fdc_pool *pool = fdc_pool_create(MOST);
    CHECK(pool != NULL);
    for (int workers = 1; workers <= MOST; ++workers) {
        for (int repeat = 0; repeat < 20; ++repeat) {
            const int came = run_marks(pool, workers, MOST_INDICES, 1);
            CHECK(came >= 1 && came <= workers);
        }
    }
    fdc_pool_destroy(pool);
}

static void test_all_the_helpers_asked_for_come(void) {
    for (int workers = 2; workers <= MOST; ++workers) {
        fdc_pool *pool = fdc_pool_create(workers);
        CHECK_INT(run_marks(pool, workers, 1000, workers), workers); /* the first time, and ... */
        CHECK_INT(run_marks(pool, workers, 1000, workers), workers); /* ... woken up */
        fdc_pool_destroy(pool);
    }
}

static void test_a_pool_grows_and_wakes_no_more_than_wanted(void) {
    fdc_pool *pool = fdc_pool_create(MOST);
    const int sizes[] = {2, 5, 2, 7, 3, 7, 2};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k) {
        CHECK_INT(run_marks(pool, sizes[k], 1000, sizes[k]), sizes[k]);
    }
    fdc_pool_destroy(pool);
}

static void test_no_more_workers_than_the_pool_has(void) {
    fdc_pool *pool = fdc_pool_create(2);
    CHECK_INT(run_marks(pool, MOST, 1000, 2), 2);
    fdc_pool_destroy(pool);
}

static void test_serial_without_a_pool_or_with_one_of_one(void) {
    CHECK_INT(run_marks(NULL, MOST, 1000, 1), 1);
    const int sizes[] = {1, 0, -3};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k) {
        fdc_pool *pool = fdc_pool_create(sizes[k]);
        CHECK(pool != NULL);
        CHECK_INT(run_marks(pool, MOST, 1000, 1), 1);
        fdc_pool_destroy(pool);
    }
    fdc_pool *pool = fdc_pool_create(MOST);
    CHECK_INT(run_marks(pool, 1, 1000, 1), 1);
    CHECK_INT(run_marks(pool, 0, 1000, 1), 1);
    CHECK_INT(run_marks(pool, -1, 1000, 1), 1);
    fdc_pool_destroy(pool);
}

static void test_a_pool_without_limit_works(void) {
    fdc_pool *pool = fdc_pool_create(2147483647);
    CHECK(pool != NULL);
    CHECK_INT(run_marks(pool, 3, 1000, 3), 3);
    fdc_pool_destroy(pool);
}

static void test_many_tiny_jobs(void) {
    fdc_pool *pool = fdc_pool_create(3);
    for (int repeat = 0; repeat < 10000; ++repeat) {
        CHECK(run_marks(pool, 3, 3, 1) >= 1);
    }
    fdc_pool_destroy(pool);
}

/* The job's memory is gone, or another job's, when the run is over: a helper that joined late would use it. */
static void test_no_helper_comes_after_the_end(void) {
    fdc_pool *pool = fdc_pool_create(3);
    for (int repeat = 0; repeat < 3000; ++repeat) {
        brief *b = calloc(1, sizeof *b);
        CHECK(b != NULL);
        const int came = run(pool, 3, come_and_go, b);
        const ptrdiff_t calls = fdc_atomic_load(&b->calls), left = fdc_atomic_load(&b->left);
        free(b);
        CHECK_INT(calls, came);
        CHECK_INT(left, came);
    }
    fdc_pool_destroy(pool);
}

/* Helpers that were woken for one job but came too late for it look in on the next. */
static void test_no_more_helpers_join_than_wanted(void) {
    fdc_pool *pool = fdc_pool_create(MOST);
    for (int repeat = 0; repeat < 50; ++repeat) {
        brief b = {0};
        (void)run(pool, MOST, come_and_go, &b);
        CHECK(run(pool, 2, linger, NULL) <= 2);
    }
    fdc_pool_destroy(pool);
}

/* ---- tests: a pool in use ------------------------------------------------------------------------------------- */

typedef struct second_caller {
    fdc_pool *pool;
    ptrdiff_t begun, finished;
    int workers;
} second_caller;

static void hold(void *ctx, int worker) {
    second_caller *s = ctx;
    (void)worker;
    (void)fdc_atomic_fetch_add(&s->begun, 1);
    (void)wait_for(&s->finished, 1);
}

static void *hold_pool(void *ctx) {
    second_caller *s = ctx;
    (void)run(s->pool, 2, hold, s);
    return NULL;
}

static void test_a_pool_in_use_means_a_serial_run(void) {
    second_caller s = {.pool = fdc_pool_create(4)};
    pthread_t holder;
    CHECK(pthread_create(&holder, NULL, hold_pool, &s) == 0);
    CHECK(wait_for(&s.begun, 2));
    s.workers = run_marks(s.pool, 4, 1000, 1);
    (void)fdc_atomic_fetch_add(&s.finished, 1);
    (void)pthread_join(holder, NULL);
    CHECK_INT(s.workers, 1);
    CHECK_INT(run_marks(s.pool, 4, 1000, 4), 4); /* and free again */
    fdc_pool_destroy(s.pool);
}

typedef struct nest {
    fdc_pool *pool;
    ptrdiff_t met;
    int inner[2];
} nest;

static void run_inside(void *ctx, int worker) {
    nest *n = ctx;
    (void)fdc_atomic_fetch_add(&n->met, 1);
    (void)wait_for(&n->met, 2);
    n->inner[worker] = run_marks(n->pool, 2, 100, 1);
}

static void test_a_nested_run_is_serial(void) {
    nest n = {.pool = fdc_pool_create(2)};
    CHECK_INT(run(n.pool, 2, run_inside, &n), 2);
    CHECK_INT(n.inner[0], 1);
    CHECK_INT(n.inner[1], 1);
    fdc_pool_destroy(n.pool);
}

enum { CALLERS = 4, JOBS = 400 };

typedef struct caller {
    fdc_pool *pool;
    int amiss, most;
} caller;

static void *call_often(void *ctx) {
    caller *c = ctx;
    for (int k = 0; k < JOBS; ++k) {
        const int came = run_marks(c->pool, 3, 1 + k % 50, 1);
        c->amiss += came < 1;
        c->most = came > c->most ? came : c->most;
    }
    return NULL;
}

static void test_several_callers_at_once(void) {
    fdc_pool *pool = fdc_pool_create(3);
    caller c[CALLERS];
    pthread_t thread[CALLERS];
    for (int k = 0; k < CALLERS; ++k) {
        c[k] = (caller){.pool = pool};
        CHECK(pthread_create(&thread[k], NULL, call_often, &c[k]) == 0);
    }
    for (int k = 0; k < CALLERS; ++k) {
        (void)pthread_join(thread[k], NULL);
        CHECK_INT(c[k].amiss, 0);
    }
    CHECK_INT(run_marks(pool, 3, 1000, 3), 3);
    fdc_pool_destroy(pool);
}

/* ---- tests: cancelling ---------------------------------------------------------------------------------------- */

typedef struct cancelled {
    ptrdiff_t stop, joined;
    int polls, cancels, cancel_at;
    pthread_t poller;
} cancelled;

static void work_until_stopped(void *ctx, int worker) {
    cancelled *c = ctx;
    (void)fdc_atomic_fetch_add(&c->joined, 1);
    (void)wait_for(worker == 0 ? &c->joined : &c->stop, worker == 0 ? 2 : 1);
    if (worker > 0) {
        sleep_ms(120); /* longer than the time between polls: none may follow a cancel */
    }
}

static int poll_count(void *ctx) {
    cancelled *c = ctx;
    c->poller = pthread_self();
    return ++c->polls >= c->cancel_at;
}

static void on_cancel(void *ctx) {
    cancelled *c = ctx;
    ++c->cancels;
    (void)fdc_atomic_fetch_add(&c->stop, 1);
}

static void test_a_poll_cancels_the_wait_for_helpers(void) {
    fdc_pool *pool = fdc_pool_create(2);
    cancelled c = {.cancel_at = 3};
    const int64_t start = fdc_clock_ns();
    CHECK_INT(fdc_pool_run(pool, 2, work_until_stopped, &c, poll_count, &c, on_cancel), 2);
    const double ms = (double)(fdc_clock_ns() - start) * 1e-6 - 120;
    CHECK_INT(c.polls, 3);
    CHECK_INT(c.cancels, 1);
    CHECK(pthread_equal(c.poller, pthread_self()));
    CHECK(ms > 3 * 50 - 1 && ms < 1000);
    CHECK_INT(run_marks(pool, 2, 1000, 2), 2); /* usable afterwards */
    fdc_pool_destroy(pool);
}

static void test_no_poll_when_there_is_nothing_to_wait_for(void) {
    fdc_pool *pool = fdc_pool_create(2);
    cancelled c = {.cancel_at = 1};
    brief b = {0};
    for (int k = 0; k < 100; ++k) {
        (void)fdc_pool_run(pool, 2, come_and_go, &b, poll_count, &c, never);
        (void)fdc_pool_run(NULL, 2, come_and_go, &b, poll_count, &c, never);
    }
    CHECK_INT(c.polls, 0);
    fdc_pool_destroy(pool);
}

/* ---- tests: want of threads and memory ------------------------------------------------------------------------ */

static void test_serial_when_threads_cannot_start(void) {
    fdc_pool *pool = fdc_pool_create(MOST);
    threads_left = 0;
    const int none = run_marks(pool, MOST, 1000, 1);
    threads_left = 2;
    const int some = run_marks(pool, MOST, 1000, 3);
    threads_left = NO_LIMIT;
    CHECK_INT(none, 1);
    CHECK_INT(some, 3);
    CHECK_INT(run_marks(pool, MOST, 1000, MOST), MOST);
    fdc_pool_destroy(pool);
}

static void test_out_of_memory(void) {
    callocs_left = 0;
    fdc_pool *none = fdc_pool_create(2);
    callocs_left = 1;
    fdc_pool *pool = fdc_pool_create(2);
    const int came = run_marks(pool, 2, 1000, 1);
    callocs_left = NO_LIMIT;
    CHECK(none == NULL && pool != NULL);
    CHECK_INT(came, 1);
    CHECK_INT(run_marks(pool, 2, 1000, 2), 2);
    fdc_pool_destroy(pool);
}

static void test_destroy_unused_and_null(void) {
    fdc_pool_destroy(NULL);
    fdc_pool_destroy(fdc_pool_create(3));
    for (int k = 0; k < 200; ++k) { /* at once after a job: helpers are anywhere in their loop */
        fdc_pool *pool = fdc_pool_create(3);
        CHECK(run_marks(pool, 3, 3, 1) >= 1);
        fdc_pool_destroy(pool);
    }
}

/* ---- tests: atomics and clock --------------------------------------------------------------------------------- */

typedef struct lowest {
    ptrdiff_t next, value, met;
} lowest;

static void lower(void *ctx, int worker) {
    lowest *l = ctx;
    (void)worker;
    (void)fdc_atomic_fetch_add(&l->met, 1);
    (void)wait_for(&l->met, 3);
    for (ptrdiff_t i = fdc_atomic_fetch_add(&l->next, 1); i < 20000; i = fdc_atomic_fetch_add(&l->next, 1)) {
        fdc_atomic_min(&l->value, 20000 + (i * 7919) % 20000);
    }
}

static void test_atomic_min_finds_the_minimum(void) {
    fdc_pool *pool = fdc_pool_create(3);
    lowest l = {.value = PTRDIFF_MAX};
    CHECK_INT(run(pool, 3, lower, &l), 3);
    CHECK_INT(l.value, 20000);
    fdc_atomic_min(&l.value, 20001);
    CHECK_INT(l.value, 20000);
    fdc_pool_destroy(pool);
}

static void test_the_other_atomics(void) {
    ptrdiff_t word = 5;
    CHECK_INT(fdc_atomic_fetch_add(&word, -2), 5);
    CHECK_INT(fdc_atomic_load(&word), 3);
    fdc_atomic_store(&word, PTRDIFF_MIN);
    CHECK_INT(word, PTRDIFF_MIN);
    CHECK(!fdc_atomic_replace(&word, 1, 2));
    CHECK(fdc_atomic_replace(&word, PTRDIFF_MIN, PTRDIFF_MAX));
    CHECK_INT(word, PTRDIFF_MAX);
    int flag = 0;
    fdc_atomic_store_int(&flag, -7);
    CHECK_INT(fdc_atomic_load_int(&flag), -7);
    void *pointer = &word;
    CHECK(!fdc_atomic_replace_ptr(&pointer, &flag, NULL) && fdc_atomic_load_ptr(&pointer) == &word);
    CHECK(fdc_atomic_replace_ptr(&pointer, &word, &flag) && fdc_atomic_load_ptr(&pointer) == &flag);
}

static void test_the_clock_counts_nanoseconds(void) {
    const int64_t start = fdc_clock_ns();
    sleep_ms(30);
    const int64_t passed = fdc_clock_ns() - start;
    CHECK(passed >= 30000000 && passed < 10000000000);
}

int main(void) {
    RUN(test_serial_without_a_pool_or_with_one_of_one);
    RUN(test_destroy_unused_and_null);
    RUN(test_the_other_atomics);
    RUN(test_the_clock_counts_nanoseconds);
    if (!is_parallel_possible()) {
        printf("skipped: everything that needs two processors\n");
        return check_summary();
    }

    RUN(test_every_index_is_taken_once_by_1_to_7_workers);
    RUN(test_all_the_helpers_asked_for_come);
    RUN(test_a_pool_grows_and_wakes_no_more_than_wanted);
    RUN(test_no_more_workers_than_the_pool_has);
    RUN(test_a_pool_without_limit_works);
    RUN(test_many_tiny_jobs);
    RUN(test_no_helper_comes_after_the_end);
    RUN(test_no_more_helpers_join_than_wanted);
    RUN(test_a_pool_in_use_means_a_serial_run);
    RUN(test_a_nested_run_is_serial);
    RUN(test_several_callers_at_once);
    RUN(test_a_poll_cancels_the_wait_for_helpers);
    RUN(test_no_poll_when_there_is_nothing_to_wait_for);

    RUN(test_serial_when_threads_cannot_start);
    RUN(test_out_of_memory);
    RUN(test_atomic_min_finds_the_minimum);
    return check_summary();
}
