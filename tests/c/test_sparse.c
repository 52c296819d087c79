/* test_sparse.c - sparse runs against the dense loop: values bit by bit, cost, threads, work arrays, bounds, NaN,
 * failures.
 */
#include "compat.h"

#include "internal.h"

#include "check.h"

#include <stdlib.h>

enum { MOST = 120000 };

/* A band of three with one more entry in the first row and column, coloured by the kernel. */
typedef struct setup {
    ptrdiff_t n, nnz;
    int32_t *row_start, *row_index, *col_start, *col_index, *color, *group_start, *group;
    uint8_t *entry_color;
    double *x, *values;
    fdc_sparsity s;
    fdc_problem p;
    fdc_options o;
    fdc_func f;
} setup;

/* What the callback is to do, and what it saw. */
typedef struct probe {
    ptrdiff_t calls;     /* atomic */
    ptrdiff_t fail_at;   /* fails where this component is moved; or -1 */
    ptrdiff_t nan_above; /* NaN in the rows of this component where it is moved up; or -1 */
    ptrdiff_t write_at;  /* writes to this component; or -1 */
    const double *x, *lower, *upper;
    ptrdiff_t outside; /* atomic: points beyond the bounds */
} probe;

static int banded(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    probe *p = ctx;
    fdc_atomic_fetch_add(&p->calls, count);
    for (ptrdiff_t row = 0; row < count; ++row, x += n, y += m) {
        if (p->fail_at >= 0 && x[p->fail_at] != p->x[p->fail_at]) {
            return 9;
        }
        for (ptrdiff_t i = 0; i < n; ++i) {
            y[i] = sin(x[i]) + (i > 0 ? x[i - 1] * x[i] : x[n - 1] * x[0]) - (i + 1 < n ? 2 * x[i + 1] : cos(x[0]));
            if (p->lower != NULL && (x[i] < p->lower[i] || x[i] > p->upper[i])) {
                fdc_atomic_fetch_add(&p->outside, 1);
            }
        }
        if (p->nan_above >= 0 && x[p->nan_above] > p->x[p->nan_above]) {
            y[p->nan_above] = NAN;
        }
        if (p->write_at >= 0) {
            ((double *)(uintptr_t)x)[p->write_at] += 1.0;
        }
    }
    return 0;
}

static void *make(ptrdiff_t count, size_t size) {
    void *block = calloc(count > 0 ? (size_t)count : 1, size);
    if (block == NULL) {
        abort();
    }
    return block;
}

static setup *setup_new(ptrdiff_t n, fdc_method method, int accuracy, int by_columns, probe *watch) {
    setup *t = make(1, sizeof *t);
    t->n = n;
    t->nnz = 3 * n;
    t->row_start = make(n + 1, sizeof(int32_t));
    t->row_index = make(t->nnz, sizeof(int32_t));
    t->col_start = make(n + 1, sizeof(int32_t));
    t->col_index = make(t->nnz, sizeof(int32_t));
    t->color = make(n, sizeof(int32_t));
    t->group = make(n, sizeof(int32_t));
    t->entry_color = make(t->nnz, 1);
    t->x = make(n, sizeof(double));
    t->values = make(t->nnz, sizeof(double));
    int32_t k = 0;
    for (int32_t i = 0; i < n; ++i) {
        const int32_t before = i > 0 ? i - 1 : (int32_t)n - 1, after = i + 1 < n ? i + 1 : 0;
        int32_t around[3] = {before, i, after};
        for (int a = 0; a < 3; ++a) { /* in increasing order */
            for (int b = a + 1; b < 3; ++b) {
                if (around[b] < around[a]) {
                    const int32_t other = around[a];
                    around[a] = around[b];
                    around[b] = other;
                }
            }
        }
        for (int a = 0; a < 3; ++a) {
            t->row_index[k++] = around[a];
        }
        t->row_start[i + 1] = k;
        t->x[i] = 0.1 + 0.01 * (double)(i % 100);
    }
    t->s.rows = (fdc_pattern){(int32_t)n, (int32_t)n, t->row_start, t->row_index};
    (void)fdc_pattern_transpose(&t->s.rows, t->col_start, t->col_index, NULL);
    t->s.columns = (fdc_pattern){(int32_t)n, (int32_t)n, t->col_start, t->col_index};
    CHECK_INT(fdc_color_columns(&t->s.columns, NULL, FDC_ORDER_BEST, t->color, &t->s.colors, NULL), FDC_OK);
    t->group_start = make(t->s.colors + 1, sizeof(int32_t));
    fdc_color_groups(&t->s.columns, t->color, t->s.colors, t->group_start, t->group);
    fdc_color_entries(&t->s.rows, t->color, t->entry_color);
    t->s.color = t->color;
    t->s.group_start = t->group_start;
    t->s.group = t->group;
    t->s.entry_color = t->entry_color;
    if (by_columns) {
        t->s.rows.start = NULL;
        t->s.entry_color = NULL;
    }
    *watch = (probe){.fail_at = -1, .nan_above = -1, .write_at = -1, .x = t->x};
    t->f = (fdc_func){FDC_ABI_VERSION, FDC_REENTRANT, banded, NULL, watch};
    fdc_options_init(&t->o);
    t->o.method = method;
    t->o.accuracy = accuracy;
    t->p.f = &t->f;
    t->p.n = t->p.m = n;
    t->p.x = t->x;
    t->p.jac = t->values;
    t->p.nschemes = 3;
    t->p.sparsity = &t->s;
    CHECK_INT(fdc_scheme_first(method, accuracy, 0.0, &t->p.scheme[0]), FDC_OK);
    CHECK_INT(fdc_scheme_first(FDC_FORWARD, accuracy, 0.0, &t->p.scheme[1]), FDC_OK);
    CHECK_INT(fdc_scheme_first(FDC_BACKWARD, accuracy, 0.0, &t->p.scheme[2]), FDC_OK);
    return t;
}

static void setup_free(setup *t) {
    void *blocks[] = {t->row_start, t->row_index,   t->col_start, t->col_index, t->color, t->group_start,
                      t->group,     t->entry_color, t->x,         t->values,    t};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) {
        free(blocks[i]);
    }
}

/* Compares with the dense Jacobian of the same options; `tolerance` 0: bit by bit. */
static void check_dense(const setup *t, double tolerance) {
    double *dense = make(t->n * t->n, sizeof *dense);
    CHECK_INT(fdc_jacobian(&t->f, t->n, t->x, t->n, dense, 1, t->n, &t->o, NULL), FDC_OK);
    const int by_columns = t->s.rows.start == NULL;
    for (int32_t line = 0; line < t->n; ++line) {
        const int32_t *start = by_columns ? t->col_start : t->row_start;
        for (int32_t k = start[line]; k < start[line + 1]; ++k) {
            const int32_t row = by_columns ? t->col_index[k] : line, column = by_columns ? line : t->row_index[k];
            CHECK_CLOSE(t->values[k], dense[column * t->n + row], tolerance);
        }
    }
    free(dense);
}

static void test_values(void) {
    static const struct {
        fdc_method method;
        int accuracy;
        double tolerance;
    } rules[] = {{FDC_FORWARD, 1, 0.0},  {FDC_BACKWARD, 1, 0.0},  {FDC_CENTRAL, 2, 0.0},
                 {FDC_FORWARD, 3, 1e-9}, {FDC_CENTRAL, 4, 1e-11}, {FDC_CENTRAL, 8, 1e-11}};
    for (size_t rule = 0; rule < sizeof rules / sizeof *rules; ++rule) {
        for (int by_columns = 0; by_columns < 2; ++by_columns) {
            probe watch;
            setup *t = setup_new(60, rules[rule].method, rules[rule].accuracy, by_columns, &watch);
            fdc_info info = {0};
            CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_OK);
            CHECK_INT(info.nfev, t->s.colors * t->p.scheme[0].npoints + t->p.scheme[0].uses_center);
            CHECK_INT(watch.calls, info.nfev);
            check_dense(t, rules[rule].tolerance);
            setup_free(t);
        }
    }
}

static void test_batches(void) {
    for (ptrdiff_t rows = 2; rows < 9; rows += 3) {
        probe watch;
        setup *t = setup_new(40, FDC_CENTRAL, 2, 0, &watch);
        t->f.flags = FDC_BATCHED;
        t->p.block_rows = rows;
        CHECK_INT(fdc_run(&t->p, &t->o, NULL), FDC_OK);
        t->f.flags = FDC_REENTRANT;
        check_dense(t, 0.0);
        setup_free(t);
    }
}

/* Every stage takes threads at this size; a given work array, with and without room for helpers, changes nothing. */
static void test_workers(void) {
    fdc_pool *pool = fdc_pool_create(4);
    for (int accuracy = 1; accuracy <= 4; accuracy *= 2) {
        for (int by_columns = 0; by_columns < 2; ++by_columns) {
            probe watch;
            setup *t = setup_new(MOST, accuracy == 1 ? FDC_FORWARD : FDC_CENTRAL, accuracy, by_columns, &watch);
            double *first = make(t->nnz, sizeof *first);
            t->p.jac = first;
            CHECK_INT(fdc_run(&t->p, &t->o, NULL), FDC_OK);
            t->p.jac = t->values;
            t->o.pool = pool;
            for (int workers = 0; workers <= 4; workers += 2) {
                const ptrdiff_t size = fdc_sparse_work(&t->p, workers == 2 ? 1 : 4);
                t->s.work = workers == 0 ? NULL : make(size, sizeof *t->s.work);
                t->s.work_size = size;
                t->o.workers = workers;
                memset(t->values, 0, (size_t)t->nnz * sizeof *t->values);
                CHECK_INT(fdc_run(&t->p, &t->o, NULL), FDC_OK);
                CHECK(memcmp(first, t->values, (size_t)t->nnz * sizeof *first) == 0);
                free(t->s.work);
            }
            free(first);
            setup_free(t);
        }
    }
    fdc_pool_destroy(pool);
}

/* Components at a bound take one side, the others of their colour do not. */
static void test_bounds(void) {
    for (int by_columns = 0; by_columns < 2; ++by_columns) {
        probe watch;
        setup *t = setup_new(30, FDC_CENTRAL, 2, by_columns, &watch);
        double lower[30], upper[30];
        uint8_t component[30];
        for (int j = 0; j < 30; ++j) {
            lower[j] = j % 7 == 2 ? t->x[j] : -10.0;
            upper[j] = j % 7 == 5 ? t->x[j] : 10.0;
        }
        watch.lower = t->o.lower = lower;
        watch.upper = t->o.upper = upper;
        fdc_info info = {.component = component};
        CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_OK);
        for (int j = 0; j < 30; ++j) {
            CHECK_INT(component[j], j % 7 == 2 ? FDC_AT_FORWARD : j % 7 == 5 ? FDC_AT_BACKWARD : FDC_AT_RULE);
        }
        CHECK_INT(watch.outside, 0);
        check_dense(t, 1e-9);
        lower[4] = upper[4] = t->x[4];
        CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_ERR_BOUNDS);
        CHECK_INT(info.column, 4);
        setup_free(t);
    }
}

static void test_nan(void) {
    for (int by_columns = 0; by_columns < 2; ++by_columns) {
        probe watch;
        setup *t = setup_new(30, FDC_CENTRAL, 2, by_columns, &watch);
        uint8_t component[30];
        fdc_info info = {.component = component};
        watch.nan_above = 11;
        CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_OK);
        for (int j = 0; j < 30; ++j) {
            CHECK_INT(component[j], j == 11 ? FDC_AT_BACKWARD : FDC_AT_RULE);
        }
        watch.nan_above = -1;
        check_dense(t, 1e-9);
        t->x[3] = NAN;
        CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_ERR_ARGUMENT);
        CHECK_INT(info.column, 3);
        setup_free(t);
    }
}

static void test_failures(void) {
    fdc_pool *pool = fdc_pool_create(3);
    for (int workers = 1; workers <= 3; ++workers) {
        probe watch;
        setup *t = setup_new(300, FDC_FORWARD, 1, 0, &watch);
        fdc_info info = {0};
        t->o.pool = pool;
        t->o.workers = workers;
        watch.fail_at = 7;
        CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_ERR_CALLBACK);
        CHECK_INT(info.callback_status, 9);
        CHECK_INT(t->color[info.column], t->color[7]);
        CHECK(info.displacement > 0.0);
        watch.fail_at = -1;
        watch.write_at = 8;
        CHECK_INT(fdc_run(&t->p, &t->o, &info), FDC_ERR_MUTATED);
        CHECK_INT(info.column, 8);
        setup_free(t);
    }
    fdc_pool_destroy(pool);
}

static int stop(void *ctx) {
    ++*(int *)ctx;
    return 1;
}

static int slow(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    const struct timespec span = {0, 60000000L};
    (void)nanosleep(&span, NULL);
    return banded(count, n, x, m, y, ctx);
}

static void test_cancel(void) {
    probe watch;
    setup *t = setup_new(30, FDC_CENTRAL, 8, 0, &watch);
    int asked = 0;
    t->f.eval = slow;
    t->o.poll = stop;
    t->o.poll_ctx = &asked;
    CHECK_INT(fdc_run(&t->p, &t->o, NULL), FDC_ERR_CANCELLED);
    CHECK_INT(asked, 1);
    CHECK(watch.calls < 5);
    setup_free(t);
}

int main(void) {
    RUN(test_values);
    RUN(test_batches);
    RUN(test_workers);
    RUN(test_bounds);
    RUN(test_nan);
    RUN(test_failures);
    RUN(test_cancel);
    return check_summary();
}
