/* Must fail under the thread sanitizer: workers of one run add to the same variable without an atomic. Through the
 * pool, to show that its own locking does not hide what a task does wrong. */
#include "compat.h"

#include "internal.h"

typedef struct shared {
    ptrdiff_t met, sum;
} shared;

static void add(void *ctx, int worker) {
    shared *s = ctx;
    (void)fdc_atomic_fetch_add(&s->met, 1);
    while (fdc_atomic_load(&s->met) < 2) {
    }
    for (int i = 0; i < 1000; ++i) {
        s->sum += worker;
    }
}

static void ignore(void *ctx) {
    (void)ctx;
}

int main(void) {
    shared s = {0};
    fdc_pool *pool = fdc_pool_create(2);
    (void)fdc_pool_run(pool, 2, add, &s, NULL, NULL, ignore);
    fdc_pool_destroy(pool);
    return 0;
}
