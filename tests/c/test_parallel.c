/* test_parallel.c - the thread pool. Linked with --wrap=pthread_create and --wrap=calloc, so that both can be made to
 * fail. */
#include "compat.h"

#include "internal.h"

#include "check.h"

#include <errno.h>
#include <fenv.h>
#include <stdlib.h>
#include <sys/wait.h>

#ifdef __SANITIZE_THREAD__ /* gives up on a forked child that starts threads */
enum { THREAD_SANITIZER = 1 };
#else
enum { THREAD_SANITIZER = 0 };
#endif

enum { MOST = 7, MOST_INDICES = 5000, PATIENCE_MS = 20000 };

/* ---- failures on demand --------------------------------------------------------------------------------------- */

enum { NO_LIMIT = 1000000000 };

static ptrdiff_t threads_left = NO_LIMIT, callocs_left = NO_LIMIT;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
    return fdc_atomic_fetch_add(&threads_left, -1) > 0 ? __real_pthread_create(thread, attr, run, arg) : EAGAIN;
}

void *__wrap_calloc(size_t count, size_t size) {
    return fdc_atomic_fetch_add(&callocs_left, -1) > 0 ? __real_calloc(count, size) : NULL;
}

/* ---- tasks ---------------------------------------------------------------------------------------------------- */

static void sleep_ms(long ms) {
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&span, NULL);
}

/* Waits until *value is at least `wanted`; 0 if that does not come about. */
static int wait_for(const ptrdiff_t *value, ptrdiff_t wanted) {
    for (int ms = 0; fdc_atomic_load(value) < wanted; ++ms) {
        if (ms > PATIENCE_MS) {
            return 0;
        }
        sleep_ms(1);
    }
    return 1;
}

static int is_parallel_possible(void) {
    fdc_cpus cpus;
    return fdc_cpus_read(&cpus) != 1;
}

static void never(void *ctx) {
    (void)ctx;
    printf("on_cancel was called\n");
    abort();
}

static int run(fdc_pool *pool, int workers, fdc_task_fn task, void *ctx) {
    return fdc_pool_run(pool, workers, task, ctx, NULL, NULL, never);
}

typedef struct marks {
    ptrdiff_t next, count;
    ptrdiff_t together, met;           /* workers that are to meet before anyone works on, and have */
    ptrdiff_t worker[MOST + 1];        /* how often each worker came */
    unsigned char times[MOST_INDICES]; /* how often each index was taken; not atomic, so that races are seen */
} marks;

static void mark(void *ctx, int worker) {
    marks *m = ctx;
    (void)fdc_atomic_fetch_add(&m->worker[worker], 1);
    (void)fdc_atomic_fetch_add(&m->met, 1);
    if (!wait_for(&m->met, m->together)) {
        printf("only %td of %td workers came\n", m->met, m->together);
        return;
    }
    for (;;) {
        const ptrdiff_t i = fdc_atomic_fetch_add(&m->next, 1);
        if (i >= m->count) {
            return;
        }
        ++m->times[i];
    }
}

/* Runs `mark`, the first `together` workers meeting; the number of workers, or -1 if anything was amiss. */
static int run_marks(fdc_pool *pool, int workers, ptrdiff_t count, int together) {
    marks m = {.count = count, .together = together};
    const int came = run(pool, workers, mark, &m);
    int amiss = 0;
    for (ptrdiff_t i = 0; i < count; ++i) {
        amiss += m.times[i] != 1;
    }
    for (int k = 0; k <= MOST; ++k) {
        amiss += m.worker[k] != (k < came);
    }
    return amiss ? -1 : came;
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
typedef struct brief {
    ptrdiff_t calls, left;
} brief;

static void come_and_go(void *ctx, int worker) {
    brief *b = ctx;
    (void)worker;
    (void)fdc_atomic_fetch_add(&b->calls, 1);
    (void)fdc_atomic_fetch_add(&b->left, 1);
}

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

static void linger(void *ctx, int worker) {
    (void)ctx;
    (void)worker;
    sleep_ms(10);
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

/* ---- tests: fork ---------------------------------------------------------------------------------------------- */

/* The child's exit status; a child that hangs is killed by its alarm and gives -1. */
static int status_of(pid_t child) {
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return -2;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t fork_with_alarm(void) {
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        (void)alarm(PATIENCE_MS / 1000 + 10);
    }
    return child;
}

static void test_a_forked_child_starts_its_own_helpers(void) {
    fdc_pool *pool = fdc_pool_create(3);
    CHECK_INT(run_marks(pool, 3, 1000, 3), 3);
    const pid_t child = fork_with_alarm();
    if (child == 0) {
        int amiss = run_marks(pool, 3, 1000, 3) != 3;
        const pid_t grandchild = fork_with_alarm();
        if (grandchild == 0) {
            amiss = run_marks(pool, 3, 1000, 3) != 3;
            fdc_pool_destroy(pool);
            _exit(amiss);
        }
        amiss += status_of(grandchild) != 0;
        amiss += run_marks(pool, 3, 1000, 3) != 3;
        fdc_pool_destroy(pool);
        _exit(amiss);
    }
    CHECK_INT(status_of(child), 0);
    CHECK_INT(run_marks(pool, 3, 1000, 3), 3);
    fdc_pool_destroy(pool);
}

static void test_a_forked_child_can_destroy_what_it_never_used(void) {
    fdc_pool *pool = fdc_pool_create(3);
    CHECK_INT(run_marks(pool, 3, 1000, 3), 3);
    const pid_t child = fork_with_alarm();
    if (child == 0) {
        fdc_pool_destroy(pool);
        _exit(0);
    }
    CHECK_INT(status_of(child), 0);
    fdc_pool_destroy(pool);
}

typedef struct hammer {
    fdc_pool *pool;
    ptrdiff_t stop, jobs;
} hammer;

static void *hammer_pool(void *ctx) {
    hammer *h = ctx;
    while (!fdc_atomic_load(&h->stop)) {
        brief b = {0};
        (void)run(h->pool, 3, come_and_go, &b);
        (void)fdc_atomic_fetch_add(&h->jobs, 1);
    }
    return NULL;
}

/* The child's copy of the mutex is held by a thread that does not exist there. */
static void test_fork_while_another_thread_uses_the_pool(void) {
    hammer h = {.pool = fdc_pool_create(3)};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, hammer_pool, &h) == 0);
    CHECK(wait_for(&h.jobs, 10));
    int amiss = 0;
    for (int k = 0; k < 60 && !amiss; ++k) {
        const pid_t child = fork_with_alarm();
        if (child == 0) {
            const int came = run_marks(h.pool, 3, 1000, 3);
            fdc_pool_destroy(h.pool);
            _exit(came != 3);
        }
        amiss += status_of(child) != 0;
    }
    (void)fdc_atomic_fetch_add(&h.stop, 1);
    (void)pthread_join(thread, NULL);
    fdc_pool_destroy(h.pool);
    CHECK_INT(amiss, 0);
}

typedef struct forked {
    ptrdiff_t met, over;
    pid_t child;
    int cancels;
} forked;

static void fork_in_task(void *ctx, int worker) {
    forked *f = ctx;
    (void)fdc_atomic_fetch_add(&f->met, 1);
    (void)wait_for(worker == 0 ? &f->met : &f->over, worker == 0 ? 2 : 1);
    if (worker == 0) {
        f->child = fork_with_alarm();
        (void)fdc_atomic_fetch_add(&f->over, 1);
    }
}

static void count_cancel(void *ctx) {
    ++((forked *)ctx)->cancels;
}

static void test_a_child_forked_inside_a_task_is_told_that_work_is_missing(void) {
    fdc_pool *pool = fdc_pool_create(2);
    forked f = {0};
    const int came = fdc_pool_run(pool, 2, fork_in_task, &f, NULL, NULL, count_cancel);
    if (f.child == 0) {
        const int amiss = came != 1 || f.cancels != 1 || run_marks(pool, 2, 1000, 2) != 2;
        fdc_pool_destroy(pool);
        _exit(amiss);
    }
    CHECK_INT(status_of(f.child), 0);
    CHECK_INT(came, 2);
    CHECK_INT(f.cancels, 0);
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

/* ---- tests: what a helper inherits ---------------------------------------------------------------------------- */

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

    RUN(test_a_forked_child_can_destroy_what_it_never_used);
    if (THREAD_SANITIZER) {
        printf("skipped: three tests of fork, run without the thread sanitizer\n");
    } else {
        RUN(test_a_forked_child_starts_its_own_helpers);
        RUN(test_fork_while_another_thread_uses_the_pool);
        RUN(test_a_child_forked_inside_a_task_is_told_that_work_is_missing);
    }

    RUN(test_serial_when_threads_cannot_start);
    RUN(test_out_of_memory);
    RUN(test_helpers_round_as_the_caller_does);
    RUN(test_signals_are_left_to_the_caller);
    RUN(test_a_helper_has_room_on_its_stack);
#if defined(__linux__) && !defined(__ANDROID__)
    RUN(test_helpers_keep_off_the_callers_processor);
    RUN(test_helpers_give_way_when_the_caller_has_moved);
    RUN(test_a_caller_bound_to_one_processor_works_alone);
#endif
    RUN(test_idle_helpers_sleep);
    RUN(test_atomic_min_finds_the_minimum);
    return check_summary();
}
