/* bridge.c - other callback signatures, seen as fdc_fn.
 *
 * The forms are those that scipy.integrate, scipy.ndimage and numba users already have. The const that they lack is
 * restored by contract: fdcore finds out a callback that writes into x. */
#include "compat.h"

#include "internal.h"

/* Each form ignores `count`: without FDC_BATCHED it is 1. */

static int scalar(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)count, (void)n, (void)m;
    const fdc_bridge *bridge = ctx;
    *y = ((double (*)(double))bridge->fn)(*x);
    return 0;
}

static int scalar_user(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)count, (void)n, (void)m;
    const fdc_bridge *bridge = ctx;
    *y = ((double (*)(double, void *))bridge->fn)(*x, bridge->user);
    return 0;
}

static int array(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)count, (void)m;
    const fdc_bridge *bridge = ctx;
    *y = ((double (*)(int, const double *))bridge->fn)((int)n, x);
    return 0;
}

static int array_user(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)count, (void)m;
    const fdc_bridge *bridge = ctx;
    *y = ((double (*)(int, const double *, void *))bridge->fn)((int)n, x, bridge->user);
    return 0;
}

static int vector(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    (void)count;
    const fdc_bridge *bridge = ctx;
    return ((int (*)(ptrdiff_t, const double *, ptrdiff_t, double *, void *))bridge->fn)(n, x, m, y, bridge->user);
}

fdc_array_fn fdc_bridge_array(const fdc_func *func, void **user)
{
    if (func->eval != array_user) {
        return NULL;
    }
    const fdc_bridge *bridge = func->ctx;
    *user = bridge->user;
    return (fdc_array_fn)bridge->fn;
}

fdc_vector_fn fdc_bridge_vector(const fdc_func *func, void **user)
{
    if (func->eval != vector) {
        return NULL;
    }
    const fdc_bridge *bridge = func->ctx;
    *user = bridge->user;
    return (fdc_vector_fn)bridge->fn;
}

static fdc_fn through(fdc_kind kind)
{
    switch (kind) {
    case FDC_KIND_SCALAR:
        return scalar;
    case FDC_KIND_SCALAR_USER:
        return scalar_user;
    case FDC_KIND_ARRAY:
        return array;
    case FDC_KIND_ARRAY_USER:
        return array_user;
    case FDC_KIND_VECTOR:
        return vector;
    case FDC_KIND_FULL:
    case FDC_KIND_COUNT:
        break;
    }
    return NULL;
}

fdc_status fdc_bridge_init(fdc_bridge *bridge, fdc_kind kind, void (*fn)(void), void *user, uint32_t flags,
                           fdc_func *func)
{
    if (fn == NULL) {
        return FDC_ERR_ARGUMENT;
    }
    func->version = FDC_ABI_VERSION;
    func->update = NULL;
    bridge->fn = fn;
    bridge->user = user;
    if (kind == FDC_KIND_FULL) {
        func->flags = flags;
        func->eval = (fdc_fn)fn;
        func->ctx = user;
        return FDC_OK;
    }
    func->flags = flags & ~(uint32_t)FDC_BATCHED;
    func->eval = through(kind);
    func->ctx = bridge;
    return func->eval != NULL ? FDC_OK : FDC_ERR_ARGUMENT;
}

static int counting(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx)
{
    fdc_counter *counter = ctx;
    fdc_atomic_fetch_add(&counter->done, count);
    return counter->inner.eval(count, n, x, m, y, counter->inner.ctx);
}

static int counting_update(const fdc_update *update, double *change, void *ctx)
{
    fdc_counter *counter = ctx;
    if (update->part == update->parts - 1) {
        fdc_atomic_fetch_add(&counter->done, update->cols * update->points);
    }
    return counter->inner.update(update, change, counter->inner.ctx);
}

void fdc_count(fdc_counter *counter, const fdc_func *inner, fdc_func *func)
{
    counter->inner = *inner;
    counter->done = 0;
    *func = *inner;
    func->eval = counting;
    func->update = inner->update == NULL ? NULL : counting_update;
    func->ctx = counter;
}

ptrdiff_t fdc_counted(const fdc_counter *counter)
{
    return fdc_atomic_load(&counter->done);
}
