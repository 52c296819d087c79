/* test_helpers.c - the pool's helpers: what they have from their caller, where they run, and that they sleep. */
#include "tasks.h"

#include <fenv.h>

typedef struct surroundings {
    ptrdiff_t met;
    int rounding[2], blocks_sigint[2], blocks_sigsegv[2];
    fdc_cpus cpus[2];
} surroundings;

static void look_around(void *ctx, int worker) {
    surroundings *s = ctx;
    (void)fdc_atomic_fetch_add(&s->met, 1);
    (void)wait_for(&s->met, 2);
    s->rounding[worker] = fegetround();
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    s->blocks_sigint[worker] = sigismember(&blocked, SIGINT);
    s->blocks_sigsegv[worker] = sigismember(&blocked, SIGSEGV);
    (void)fdc_cpus_read(&s->cpus[worker]);
}

static void test_helpers_round_as_the_caller_does(void) {
    fdc_pool *pool = fdc_pool_create(2);
    const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TONEAREST};
    for (size_t k = 0; k < sizeof modes / sizeof *modes; ++k) {
        surroundings s = {0};
        (void)fesetround(modes[k]);
        const int came = run(pool, 2, look_around, &s);
        (void)fesetround(FE_TONEAREST);
        CHECK_INT(came, 2);
        CHECK_INT(s.rounding[0], modes[k]);
        CHECK_INT(s.rounding[1], modes[k]);
    }
    fdc_pool_destroy(pool);
}

static void test_signals_are_left_to_the_caller(void) {
    fdc_pool *pool = fdc_pool_create(2);
    surroundings s = {0};
    CHECK_INT(run(pool, 2, look_around, &s), 2);
    CHECK_INT(s.blocks_sigint[0], 0);
    CHECK_INT(s.blocks_sigint[1], 1);
    CHECK_INT(s.blocks_sigsegv[1], 0);
    fdc_pool_destroy(pool);
}

static ptrdiff_t spend_stack(int levels) {
    volatile char room[64 * 1024];
    room[0] = (char)levels;
    return levels > 0 ? spend_stack(levels - 1) + room[0] : room[0];
}

static void use_4_mib_of_stack(void *ctx, int worker) {
    (void)worker;
    surroundings *s = ctx;
    (void)fdc_atomic_fetch_add(&s->met, 1);
    (void)wait_for(&s->met, 2);
    (void)spend_stack(64);
}

static void test_a_helper_has_room_on_its_stack(void) {
    fdc_pool *pool = fdc_pool_create(2);
    surroundings s = {0};
    CHECK_INT(run(pool, 2, use_4_mib_of_stack, &s), 2);
    fdc_pool_destroy(pool);
}

#if defined(__linux__) && !defined(__ANDROID__)

static void test_helpers_keep_off_the_callers_processor(void) {
    fdc_pool *pool = fdc_pool_create(2);
    fdc_cpus before, after;
    CHECK(fdc_cpus_read(&before) > 1);
    surroundings s = {0};
    CHECK_INT(run(pool, 2, look_around, &s), 2);
    CHECK_INT(CPU_COUNT(&s.cpus[1].allowed), CPU_COUNT(&before.allowed) - 1);
    (void)fdc_cpus_read(&after);
    CHECK(CPU_EQUAL(&before.allowed, &after.allowed)); /* the caller's own affinity is nobody else's business */
    fdc_pool_destroy(pool);
}

static void test_helpers_give_way_when_the_caller_has_moved(void) {
    fdc_pool *pool = fdc_pool_create(2);
    fdc_cpus home;
    (void)fdc_cpus_read(&home);
    for (size_t cpu = 0, seen = 0; cpu < CPU_SETSIZE && seen < 2; ++cpu) {
        if (!CPU_ISSET(cpu, &home.allowed)) {
            continue;
        }
        ++seen;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        int gave_way = 0;
        for (int attempt = 0; attempt < 100 && !gave_way; ++attempt) { /* on a busy machine it may be moved on */
            surroundings s = {0};
            (void)sched_setaffinity(0, sizeof one, &one);
            (void)sched_setaffinity(0, sizeof home.allowed, &home.allowed);
            CHECK_INT(run(pool, 2, look_around, &s), 2);
            gave_way = !CPU_ISSET(cpu, &s.cpus[1].allowed);
        }
        CHECK(gave_way);
    }
    fdc_pool_destroy(pool);
}

static void test_a_caller_bound_to_one_processor_works_alone(void) {
    fdc_pool *pool = fdc_pool_create(2);
    CHECK_INT(run_marks(pool, 2, 1000, 2), 2);
    fdc_cpus cpus;
    (void)fdc_cpus_read(&cpus);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpus.current, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    const int came = run(pool, 2, linger, NULL); /* time enough for a helper to join */
    CHECK(sched_setaffinity(0, sizeof cpus.allowed, &cpus.allowed) == 0);
    CHECK_INT(came, 1);
    CHECK_INT(run_marks(pool, 2, 1000, 2), 2);
    fdc_pool_destroy(pool);
}

#endif

static void test_idle_helpers_sleep(void) {
    fdc_pool *pool = fdc_pool_create(4);
    CHECK_INT(run_marks(pool, 4, 1000, 4), 4);
    struct timespec before, after;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    sleep_ms(300);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    const double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) * 1e-6;
    CHECK(ms < 60); /* one that spins takes 300; a sanitizer's own threads take a little */
    fdc_pool_destroy(pool);
}

int main(void) {
    if (!is_parallel_possible()) {
        printf("skipped: everything; it needs two processors\n");
        return check_summary();
    }
    RUN(test_helpers_round_as_the_caller_does);
    RUN(test_signals_are_left_to_the_caller);
    RUN(test_a_helper_has_room_on_its_stack);
#if defined(__linux__) && !defined(__ANDROID__)
    RUN(test_helpers_keep_off_the_callers_processor);
    RUN(test_helpers_give_way_when_the_caller_has_moved);
    RUN(test_a_caller_bound_to_one_processor_works_alone);
#endif
    RUN(test_idle_helpers_sleep);
    return check_summary();
}
