/* internal.h - what the kernel's files share and nobody else sees. */
#ifndef FDCORE_INTERNAL_H
#define FDCORE_INTERNAL_H

#include "fdcore/fdcore.h"

/* ---- parallel.c ---------------------------------------------------------------------------------------------- */

/* A task takes work until none is left, commonly with fdc_atomic_fetch_add on a counter in ctx (compat.h). `worker` is
 * 0 for the caller and 1, 2, ... for helpers, in the order in which they join. */
typedef void (*fdc_task_fn)(void *ctx, int worker);

/* Runs task(ctx, 0) on the calling thread and task(ctx, k) on up to workers - 1 helpers, and returns how many workers
 * took part (>= 1). What they wrote is visible to the caller afterwards. A helper that has not joined when the caller's
 * own task returns never does: nothing may depend on helpers coming. Helpers compute in the caller's floating-point
 * environment. The run is serial when the pool is NULL, in use (by another thread, or by the run this one is nested
 * in), or without threads, and when the caller may use one processor only.
 *
 * The task itself looks after cancellation while it works. Once the caller's task has returned and it waits for
 * helpers, poll (unless NULL) is called about every 50 ms; if that returns nonzero, on_cancel(ctx) is called once, and
 * the wait goes on until the helpers are done. on_cancel is also called if the caller's task forked and this is the
 * child: the helpers' part of the work stayed in the parent. */
int fdc_pool_run(fdc_pool *pool, int workers, fdc_task_fn task, void *ctx, fdc_poll_fn poll, void *poll_ctx,
                 void (*on_cancel)(void *ctx));

#endif
