/* internal.h - what the kernel's files share and nobody else sees. */
#ifndef FDCORE_INTERNAL_H
#define FDCORE_INTERNAL_H

#include "fdcore/fdcore.h"

/* ---- parallel.c ---------------------------------------------------------------------------------------------- */

/* A task takes work until none is left. `worker` is 0 for the caller and 1, 2, ... for helpers. */
typedef void (*fdc_task_fn)(void *ctx, int worker);

/* Runs task(ctx, 0) on the calling thread and task(ctx, k) on up to workers - 1 helpers, and returns how many workers
 * took part (>= 1). A helper that has not started when the caller is done never joins. A pool that is NULL or in use by
 * another thread means a serial run. When the caller has no work left and waits for helpers, it calls poll about every
 * 50 ms; if that returns nonzero, on_cancel(ctx) is called once, and the wait goes on until the helpers are done. */
int fdc_pool_run(fdc_pool *pool, int workers, fdc_task_fn task, void *ctx, fdc_poll_fn poll, void *poll_ctx,
                 void (*on_cancel)(void *ctx));

#endif
