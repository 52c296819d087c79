/* tasks.h - what the tests of the thread pool have its workers do. */
#ifndef FDCORE_TESTS_TASKS_H
#define FDCORE_TESTS_TASKS_H

#include "compat.h"

#include "internal.h"

#include "check.h"

#include <stdlib.h>

enum { MOST = 7, MOST_INDICES = 5000, PATIENCE_MS = 20000 };

static inline void sleep_ms(long ms) {
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000L};
    (void)nanosleep(&span, NULL);
}

/* Waits until *value is at least `wanted`; 0 if that does not come about. */
static inline int wait_for(const ptrdiff_t *value, ptrdiff_t wanted) {
    for (int ms = 0; fdc_atomic_load(value) < wanted; ++ms) {
        if (ms > PATIENCE_MS) {
            return 0;
        }
        sleep_ms(1);
    }
    return 1;
}

static inline int is_parallel_possible(void) {
    fdc_cpus cpus;
    return fdc_cpus_read(&cpus) != 1;
}

static inline void never(void *ctx) {
    (void)ctx;
    printf("on_cancel was called\n");
    abort();
}

static inline int run(fdc_pool *pool, int workers, fdc_task_fn task, void *ctx) {
    return fdc_pool_run(pool, workers, task, ctx, NULL, NULL, never);
}

typedef struct marks {
    ptrdiff_t next, count;
    ptrdiff_t together, met;           /* workers that are to meet before anyone works on, and have */
    ptrdiff_t worker[MOST + 1];        /* how often each worker came */
    unsigned char times[MOST_INDICES]; /* how often each index was taken; not atomic, so that races are seen */
} marks;

static inline void mark(void *ctx, int worker) {
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
static inline int run_marks(fdc_pool *pool, int workers, ptrdiff_t count, int together) {
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

/* Comes and goes at once. */
typedef struct brief {
    ptrdiff_t calls, left;
} brief;

static inline void come_and_go(void *ctx, int worker) {
    brief *b = ctx;
    (void)worker;
    (void)fdc_atomic_fetch_add(&b->calls, 1);
    (void)fdc_atomic_fetch_add(&b->left, 1);
}

static inline void linger(void *ctx, int worker) {
    (void)ctx;
    (void)worker;
    sleep_ms(10);
}

#endif
