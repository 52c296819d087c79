/* pool.c - what the thread pool gains: the same job on one thread and on two, interleaved, hot and after a pause.
 *
 *     gcc -std=c11 -O3 -Isrc/fdcore/include -Isrc/fdcore/kernel bench/pool.c src/fdcore/kernel/parallel.c \
 *         -o /tmp/fdc_pool -lm -pthread && /tmp/fdc_pool [threads]
 *
 * A ratio is the median of (serial time / pool time) over interleaved pairs; 2 is perfect on two processors. */
#include "compat.h"

#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct work {
    ptrdiff_t next, chunks, turns;
    double sum[64];
} work;

static void spin(void *ctx, int worker) {
    work *w = ctx;
    double s = 0;
    while (fdc_atomic_fetch_add(&w->next, 1) < w->chunks) {
        for (ptrdiff_t i = 0; i < w->turns; ++i) {
            s = s * 0.999 + 1.0;
        }
    }
    w->sum[worker] = s;
}

static void ignore(void *ctx) {
    (void)ctx;
}

static double run_us(fdc_pool *pool, int workers, ptrdiff_t chunks, ptrdiff_t turns) {
    work w = {.chunks = chunks, .turns = turns};
    const int64_t start = fdc_clock_ns();
    (void)fdc_pool_run(pool, workers, spin, &w, NULL, NULL, ignore);
    return (double)(fdc_clock_ns() - start) * 1e-3;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void pause_ms(long ms) {
    const struct timespec span = {0, ms * 1000000L};
    (void)nanosleep(&span, NULL);
}

int main(int argc, char **argv) {
    enum { ROUNDS = 101, CHUNKS = 40 };
    const double sizes_us[] = {5, 50, 100, 200, 650, 6000};
    const int workers = argc > 1 ? atoi(argv[1]) : 2;
    fdc_pool *pool = fdc_pool_create(workers);
    (void)run_us(pool, workers, CHUNKS, 1000);

    double per_turn = 1e300;
    for (int i = 0; i < 20; ++i) {
        per_turn = fmin(per_turn, run_us(NULL, 1, CHUNKS, 20000) / (CHUNKS * 20000.0));
    }
    printf("%10s %8s %24s %24s %8s\n", "job [us]", "pause", "serial 10/50/95 % [us]", "pool 10/50/95 % [us]", "ratio");
    for (size_t k = 0; k < sizeof sizes_us / sizeof *sizes_us; ++k) {
        const ptrdiff_t turns = (ptrdiff_t)(sizes_us[k] / CHUNKS / per_turn);
        for (long pause = 0; pause <= 20; pause += 20) {
            double serial[ROUNDS], pooled[ROUNDS], ratio[ROUNDS];
            for (int r = 0; r < ROUNDS; ++r) {
                pause_ms(pause);
                serial[r] = run_us(NULL, 1, CHUNKS, turns);
                pause_ms(pause);
                pooled[r] = run_us(pool, workers, CHUNKS, turns);
                ratio[r] = serial[r] / pooled[r];
            }
            qsort(serial, ROUNDS, sizeof *serial, ascending);
            qsort(pooled, ROUNDS, sizeof *pooled, ascending);
            qsort(ratio, ROUNDS, sizeof *ratio, ascending);
            printf("%10.0f %5ld ms %8.1f/%7.1f/%7.1f %8.1f/%7.1f/%7.1f %8.2f\n", sizes_us[k], pause, serial[10],
                   serial[50], serial[95], pooled[10], pooled[50], pooled[95], ratio[50]);
        }
    }
    fdc_pool_destroy(pool);
    return 0;
}
