/* parallel.c - a small thread pool.
 *
 * The caller works too and never waits for a helper that has not begun: on a busy machine a helper may be scheduled
 * milliseconds late, and by then the caller has taken its share. Helpers sleep between jobs; spinning would win some
 * 30 us per job and burn a core. */
#include "compat.h"

#include "internal.h"

#include <fenv.h>
#include <stdlib.h>

enum {
    POLL_MS = 50,
    SPIN_NS = 30000, /* what a thread that sleeps takes to be woken */
    MOST_SPIN_NS = 1000000,
    SPIN_SHARE = 16, /* of the time of the job so far; its last piece of work takes about as long */
    RELAXED = 16,
    MOST_WORKERS = 1024 /* a pool asked to have no limit still has an array of this size at the most */
};

/* One call of fdc_pool_run, on its caller's stack. */
typedef struct job {
    fdc_task_fn task;
    void *ctx;
    fenv_t fenv; /* helpers round and flush as the caller does, or results would depend on who computed them */
    int wanted;  /* helpers that may join */
    int joined;  /* helpers that did */
    int active;  /* ... and are still at it. Here and not in the crew: it is this job's end that the caller awaits */
} job;

/* The threads of one process. fork() copies the memory but not the threads, and the mutex in whatever state it was, so
 * a child never touches its parent's crew. */
typedef struct crew {
    int64_t process;
    struct crew *inherited; /* crews of ancestor processes, kept only to be freed */
    fdc_mutex mutex;        /* guards the four fields below and the counts of the job */
    fdc_cond work, done;
    job *open;       /* the job that helpers may join, or NULL */
    uint64_t posted; /* jobs so far, for a helper to tell a new job from the one it has just done */
    int in_use, stop;
    fdc_cpus avoided; /* what the helpers' affinity was derived from; this and the rest belong to whoever set in_use */
    int helpers;      /* threads running */
    fdc_thread helper[];
} crew;

struct fdc_pool {
    void *crew; /* of the process that used the pool last, or NULL; atomic */
    int max_workers;
};

/* ---- the helper's side ---------------------------------------------------------------------------------------- */

static FDC_THREAD_RESULT help(void *arg) {
    crew *const c = arg;
    uint64_t seen = 0;

    fdc_mutex_lock(&c->mutex);
    while (!c->stop) {
        job *const j = c->open;
        if (j == NULL || c->posted == seen) {
            fdc_cond_wait(&c->work, &c->mutex);
            continue;
        }
        seen = c->posted;
        if (j->joined == j->wanted) {
            continue;
        }
        const int worker = ++j->joined;
        ++j->active;
        fdc_mutex_unlock(&c->mutex);

        (void)fesetenv(&j->fenv);
        j->task(j->ctx, worker);

        fdc_mutex_lock(&c->mutex);
        if (--j->active == 0) {
            fdc_cond_signal(&c->done);
        }
    }
    fdc_mutex_unlock(&c->mutex);
    return 0;
}

/* ---- the crew ------------------------------------------------------------------------------------------------- */

static crew *crew_create(int most_helpers, int64_t process, crew *inherited) {
    crew *c = calloc(1, sizeof *c + (size_t)most_helpers * sizeof c->helper[0]);
    if (c == NULL) {
        return NULL;
    }
    c->process = process;
    c->inherited = inherited;
    if (fdc_mutex_init(&c->mutex) != 0) {
        goto no_mutex;
    }
    if (fdc_cond_init(&c->work) != 0) {
        goto no_work;
    }
    if (fdc_cond_init(&c->done) != 0) {
        goto no_done;
    }
    return c;

no_done:
    fdc_cond_destroy(&c->work);
no_work:
    fdc_mutex_destroy(&c->mutex);
no_mutex:
    free(c);
    return NULL;
}

/* Ends this process's own crew. */
static void crew_dismiss(crew *c) {
    fdc_mutex_lock(&c->mutex);
    c->stop = 1;
    fdc_mutex_unlock(&c->mutex);
    fdc_cond_broadcast(&c->work);
    for (int i = 0; i < c->helpers; ++i) {
        fdc_thread_join(c->helper[i]);
    }
    fdc_cond_destroy(&c->done);
    fdc_cond_destroy(&c->work);
    fdc_mutex_destroy(&c->mutex);
}

/* This process's crew, made if there is none; NULL when out of memory. Threads may get here together. */
static crew *crew_of(fdc_pool *pool) {
    const int64_t process = fdc_process_id();
    for (;;) {
        crew *const found = fdc_atomic_load_ptr(&pool->crew);
        if (found != NULL && found->process == process) {
            return found;
        }
        crew *const fresh = crew_create(pool->max_workers - 1, process, found);
        if (fresh == NULL || fdc_atomic_replace_ptr(&pool->crew, found, fresh)) {
            return fresh;
        }
        crew_dismiss(fresh);
        free(fresh);
    }
}

/* Has up to `wanted` helpers ready, away from the caller's processor, and returns how many. */
static int crew_muster(crew *c, int wanted) {
    fdc_cpus now;
    const int cpus = fdc_cpus_read(&now);
    if (cpus == 1) {
        return 0;
    }
    const int before = c->helpers;
    while (c->helpers < wanted && fdc_thread_start(&c->helper[c->helpers], help, c) == 0) {
        ++c->helpers;
    }
    /* Linux likes to wake a sleeper on the processor of whoever wakes it, and two threads then share that one for
     * milliseconds while another idles. */
    if (cpus > 1 && (c->helpers > before || !fdc_cpus_equal(&now, &c->avoided))) {
        for (int i = 0; i < c->helpers; ++i) {
            fdc_thread_avoid(c->helper[i], &now);
        }
        c->avoided = now;
    }
    return wanted < c->helpers ? wanted : c->helpers;
}

/* ---- the caller's side ---------------------------------------------------------------------------------------- */

static void post(crew *c, job *j) {
    fdc_mutex_lock(&c->mutex);
    c->open = j;
    ++c->posted;
    fdc_mutex_unlock(&c->mutex);
    if (j->wanted == c->helpers) {
        fdc_cond_broadcast(&c->work);
    } else {
        for (int i = 0; i < j->wanted; ++i) {
            fdc_cond_signal(&c->work);
        }
    }
}

/* Lets nobody join any more, waits for those who have, and frees the crew for the next caller. */
static void finish(crew *c, job *j, int64_t start, fdc_poll_fn poll, void *poll_ctx, void (*on_cancel)(void *ctx)) {
    fdc_mutex_lock(&c->mutex);
    c->open = NULL;
    /* Most jobs end together, and being woken takes longer than what is left of them. */
    const int64_t now = fdc_clock_ns(), share = (now - start) / SPIN_SHARE;
    const int64_t end = now + (share < SPIN_NS ? SPIN_NS : share < MOST_SPIN_NS ? share : MOST_SPIN_NS);
    while (j->active > 0 && fdc_clock_ns() < end) {
        fdc_mutex_unlock(&c->mutex);
        for (int turn = 0; turn < RELAXED; turn++) {
            fdc_relax();
        }
        fdc_mutex_lock(&c->mutex);
    }
    while (j->active > 0) {
        fdc_cond_wait_ms(&c->done, &c->mutex, POLL_MS);
        if (j->active > 0 && poll != NULL) {
            fdc_mutex_unlock(&c->mutex);
            if (poll(poll_ctx) != 0) {
                poll = NULL;
                on_cancel(j->ctx);
            }
            fdc_mutex_lock(&c->mutex);
        }
    }
    c->in_use = 0;
    fdc_mutex_unlock(&c->mutex);
}

/* Whether the crew is the caller's until finish(). */
static int claim(crew *c) {
    fdc_mutex_lock(&c->mutex);
    const int claimed = !c->in_use;
    c->in_use = 1;
    fdc_mutex_unlock(&c->mutex);
    return claimed;
}

int fdc_pool_run(fdc_pool *pool, int workers, fdc_task_fn task, void *ctx, fdc_poll_fn poll, void *poll_ctx,
                 void (*on_cancel)(void *ctx)) {
    if (pool != NULL && workers > pool->max_workers) {
        workers = pool->max_workers;
    }
    crew *const c = pool != NULL && workers > 1 ? crew_of(pool) : NULL;
    if (c == NULL || !claim(c)) {
        task(ctx, 0);
        return 1;
    }
    const int64_t start = fdc_clock_ns();
    job j = {.task = task, .ctx = ctx, .wanted = crew_muster(c, workers - 1)};
    if (j.wanted > 0) {
        (void)fegetenv(&j.fenv);
        post(c, &j);
    }
    task(ctx, 0);
    if (fdc_process_id() != c->process) {
        /* The task forked and this is the child: the helpers and what they had taken on stayed in the parent. */
        if (j.wanted > 0) {
            on_cancel(ctx);
        }
        return 1;
    }
    finish(c, &j, start, poll, poll_ctx, on_cancel);
    return 1 + j.joined;
}

fdc_pool *fdc_pool_create(int max_workers) {
    fdc_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        pool->max_workers = max_workers < MOST_WORKERS ? max_workers : MOST_WORKERS;
    }
    return pool;
}

void fdc_pool_destroy(fdc_pool *pool) {
    if (pool == NULL) {
        return;
    }
    crew *c = fdc_atomic_load_ptr(&pool->crew);
    if (c != NULL && c->process == fdc_process_id()) {
        crew_dismiss(c);
    }
    while (c != NULL) {
        crew *const inherited = c->inherited;
        free(c);
        c = inherited;
    }
    free(pool);
}
