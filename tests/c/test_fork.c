/* test_fork.c - the thread pool in forked children, where its threads do not exist. */
#include "tasks.h"

#include <sys/wait.h>

#ifdef __SANITIZE_THREAD__ /* gives up on a forked child that starts threads */
enum { THREAD_SANITIZER = 1 };
#else
enum { THREAD_SANITIZER = 0 };
#endif

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

int main(void) {
    if (!is_parallel_possible()) {
        printf("skipped: everything; it needs two processors\n");
        return check_summary();
    }
    RUN(test_a_forked_child_can_destroy_what_it_never_used);
    if (THREAD_SANITIZER) {
        printf("skipped: three tests of fork, run without the thread sanitizer\n");
        return check_summary();
    }
    RUN(test_a_forked_child_starts_its_own_helpers);
    RUN(test_fork_while_another_thread_uses_the_pool);
    RUN(test_a_child_forked_inside_a_task_is_told_that_work_is_missing);
    return check_summary();
}
