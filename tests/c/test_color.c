/* test_color.c - colourings against slow verifiers, on random patterns and on shapes whose best is known. */
#include "color.h"

#include "check.h"

#include <stdint.h>
#include <stdlib.h>

/* A matrix as a dense mask, from which both compressed forms are made the slow way. */
typedef struct matrix {
    int32_t m, n, nnz;
    unsigned char *mask; /* (m, n) */
    int32_t *row_start, *row_index, *col_start, *col_index;
    fdc_pattern rows, columns;
} matrix;

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t limit) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % limit;
}

static void *make(ptrdiff_t count, size_t size) {
    void *block = calloc(count > 0 ? (size_t)count : 1, size);
    if (block == NULL) {
        abort();
    }
    return block;
}

static int32_t *ints(ptrdiff_t count) {
    return make(count, sizeof(int32_t));
}

static matrix *matrix_new(int32_t m, int32_t n) {
    matrix *a = make(1, sizeof *a);
    a->m = m;
    a->n = n;
    a->mask = make((ptrdiff_t)m * n, 1);
    return a;
}

static void put(matrix *a, int32_t i, int32_t j) {
    a->mask[(ptrdiff_t)i * a->n + j] = 1;
}

static int has(const matrix *a, int32_t i, int32_t j) {
    return a->mask[(ptrdiff_t)i * a->n + j];
}

static matrix *matrix_close(matrix *a) {
    for (ptrdiff_t k = 0; k < (ptrdiff_t)a->m * a->n; ++k) {
        a->nnz += a->mask[k];
    }
    a->row_start = ints(a->m + 1);
    a->row_index = ints(a->nnz);
    a->col_start = ints(a->n + 1);
    a->col_index = ints(a->nnz);
    int32_t k = 0;
    for (int32_t i = 0; i < a->m; ++i) {
        for (int32_t j = 0; j < a->n; ++j) {
            if (has(a, i, j)) {
                a->row_index[k++] = j;
            }
        }
        a->row_start[i + 1] = k;
    }
    k = 0;
    for (int32_t j = 0; j < a->n; ++j) {
        for (int32_t i = 0; i < a->m; ++i) {
            if (has(a, i, j)) {
                a->col_index[k++] = i;
            }
        }
        a->col_start[j + 1] = k;
    }
    a->rows = (fdc_pattern){a->m, a->n, a->row_start, a->row_index};
    a->columns = (fdc_pattern){a->n, a->m, a->col_start, a->col_index};
    return a;
}

static void matrix_free(matrix *a) {
    void *blocks[] = {a->mask, a->row_start, a->row_index, a->col_start, a->col_index, a};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) {
        free(blocks[i]);
    }
}

static matrix *random_matrix(int32_t m, int32_t n, uint32_t one_in) {
    matrix *a = matrix_new(m, n);
    for (int32_t i = 0; i < m; ++i) {
        for (int32_t j = 0; j < n; ++j) {
            if (random_below(one_in) == 0) {
                put(a, i, j);
            }
        }
    }
    return matrix_close(a);
}

static matrix *random_symmetric(int32_t n, uint32_t one_in) {
    matrix *a = matrix_new(n, n);
    for (int32_t i = 0; i < n; ++i) {
        for (int32_t j = 0; j <= i; ++j) {
            if (random_below(one_in) == 0) {
                put(a, i, j);
                put(a, j, i);
            }
        }
    }
    return matrix_close(a);
}

static matrix *banded(int32_t n, int32_t width) {
    matrix *a = matrix_new(n, n);
    for (int32_t i = 0; i < n; ++i) {
        for (int32_t j = i - width; j <= i + width; ++j) {
            if (j >= 0 && j < n) {
                put(a, i, j);
            }
        }
    }
    return matrix_close(a);
}

/* A square grid; nine != 0: the corners of the stencil as well. */
static matrix *grid(int32_t side, int nine) {
    matrix *a = matrix_new(side * side, side * side);
    for (int32_t i = 0; i < side * side; ++i) {
        for (int32_t j = 0; j < side * side; ++j) {
            const int32_t down = abs(i / side - j / side), across = abs(i % side - j % side);
            if (down + across <= 1 || (nine && down <= 1 && across <= 1)) {
                put(a, i, j);
            }
        }
    }
    return matrix_close(a);
}

static matrix *arrow(int32_t n, int32_t hub) {
    matrix *a = matrix_new(n, n);
    for (int32_t i = 0; i < n; ++i) {
        put(a, i, i);
        put(a, i, hub);
        put(a, hub, i);
    }
    return matrix_close(a);
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

/* Colours 0 .. count - 1, all used, and no row meets one twice. */
static void check_columns(const matrix *a, const int32_t *color, int32_t count) {
    int32_t *seen = ints(a->n), used = 0;
    for (int32_t j = 0; j < a->n; ++j) {
        CHECK(color[j] >= 0 && color[j] < count);
        used += seen[color[j]]++ == 0;
    }
    CHECK_INT(used, count);
    for (int32_t i = 0; i < a->m; ++i) {
        memset(seen, 0, (size_t)a->n * sizeof *seen);
        for (int32_t j = 0; j < a->n; ++j) {
            if (has(a, i, j)) {
                CHECK_INT(seen[color[j]]++, 0);
            }
        }
    }
    free(seen);
}

static int32_t color_columns(const matrix *a, fdc_order order) {
    int32_t *color = ints(a->n), count = -1;
    fdc_order used = FDC_ORDER_COUNT;
    CHECK_INT(fdc_color_columns(&a->columns, &a->rows, order, color, &count, &used), FDC_OK);
    CHECK(order == FDC_ORDER_BEST ? used < FDC_ORDER_BEST : used == order);
    CHECK(count >= fdc_pattern_longest(&a->rows) && count <= a->n);
    check_columns(a, color, count);
    free(color);
    return count;
}

static void check_all_orders(matrix *a) {
    int32_t least = INT32_MAX;
    for (int order = 0; order < FDC_ORDER_BEST; ++order) {
        const int32_t count = color_columns(a, (fdc_order)order);
        least = count < least ? count : least;
    }
    CHECK(color_columns(a, FDC_ORDER_BEST) <= least);
    matrix_free(a);
}

static void test_columns_random(void) {
    for (int32_t trial = 0; trial < 60; ++trial) {
        const int32_t m = (int32_t)random_below(40), n = (int32_t)random_below(40);
        check_all_orders(random_matrix(m, n, 2 + random_below(12)));
    }
    check_all_orders(random_matrix(0, 7, 2));
    check_all_orders(random_matrix(7, 0, 2));
    check_all_orders(random_matrix(1, 9, 1));
    check_all_orders(random_matrix(150, 90, 1)); /* more than the 64 colours that saturation looks at */
}

static void test_columns_known(void) {
    matrix *a = banded(200, 1);
    for (int order = 0; order < FDC_ORDER_COUNT; ++order) {
        CHECK_INT(color_columns(a, (fdc_order)order), 3);
    }
    matrix_free(a);
    a = banded(200, 5);
    CHECK_INT(color_columns(a, FDC_ORDER_BEST), 11);
    matrix_free(a);
    a = grid(24, 1);
    CHECK_INT(color_columns(a, FDC_ORDER_BEST), 9);
    matrix_free(a);
    a = grid(24, 0);
    CHECK(color_columns(a, FDC_ORDER_NATURAL) <= 7);
    CHECK_INT(color_columns(a, FDC_ORDER_BEST), 5);
    matrix_free(a);
    a = random_matrix(30, 30, UINT32_C(1) << 24);
    CHECK_INT(color_columns(a, FDC_ORDER_BEST), 1);
    matrix_free(a);
}

/* The dense row is coloured first, whatever its place; the others must still fit around it. */
static void test_columns_dominant_row(void) {
    matrix *a = matrix_new(12, 1100);
    for (int32_t j = 0; j < 1100; ++j) {
        if (j % 11 != 3) { /* 1000 and more */
            put(a, 7, j);
        }
        put(a, j % 5, j);
        put(a, 8 + j % 4, j);
    }
    put(a, 7, 3);
    put(a, 7, 14);
    put(a, 7, 25);
    a = matrix_close(a);
    CHECK(fdc_pattern_longest(&a->rows) < 1024); /* not yet dominant */
    check_all_orders(a);
    a = arrow(1100, 500);
    CHECK_INT(color_columns(a, FDC_ORDER_NATURAL), 1100);
    CHECK_INT(color_columns(a, FDC_ORDER_BEST), 1100);
    matrix_free(a);
    a = matrix_new(40, 1100);
    for (int32_t j = 0; j < 1100; ++j) {
        if (j > 30) {
            put(a, 39, j);
        }
        put(a, j % 37, j);
    }
    a = matrix_close(a);
    CHECK_INT(fdc_pattern_longest(&a->rows), 1069);
    CHECK_INT(color_columns(a, FDC_ORDER_NATURAL), 1069);
    matrix_free(a);
}

static void test_rows(void) {
    matrix *a = random_matrix(25, 40, 5);
    int32_t color[25], count, seen[25];
    CHECK_INT(fdc_color_columns(&a->rows, &a->columns, FDC_ORDER_BEST, color, &count, NULL), FDC_OK);
    for (int32_t j = 0; j < a->n; ++j) {
        memset(seen, 0, sizeof seen);
        for (int32_t i = 0; i < a->m; ++i) {
            if (has(a, i, j)) {
                CHECK_INT(seen[color[i]]++, 0);
            }
        }
    }
    matrix_free(a);
}

static void test_transpose(void) {
    for (int trial = 0; trial < 30; ++trial) {
        matrix *a = random_matrix((int32_t)random_below(20), (int32_t)random_below(20), 1 + random_below(5));
        int32_t *start = ints(a->n + 1), *index = ints(a->nnz), *position = ints(a->nnz);
        CHECK_INT(fdc_pattern_transpose(&a->rows, start, index, position), FDC_OK);
        CHECK(memcmp(start, a->col_start, ((size_t)a->n + 1) * sizeof *start) == 0);
        CHECK(memcmp(index, a->col_index, (size_t)a->nnz * sizeof *index) == 0);
        for (int32_t j = 0; j < a->n; ++j) {
            for (int32_t k = start[j]; k < start[j + 1]; ++k) {
                CHECK_INT(a->row_index[position[k]], j);
                CHECK(a->row_start[index[k]] <= position[k] && position[k] < a->row_start[index[k] + 1]);
            }
        }
        free(start);
        free(index);
        free(position);
        matrix_free(a);
    }
}

static void test_pattern_check(void) {
    const int32_t start[] = {0, 2, 2, 3}, index[] = {0, 4, 1}, shrinking[] = {0, 2, 1, 3}, late[] = {1, 2, 2, 3};
    const int32_t repeated[] = {4, 4, 1}, wide[] = {0, 5, 1}, negative[] = {0, 4, -1};
    int32_t line;
    fdc_pattern p = {3, 5, start, index};
    CHECK_INT(fdc_pattern_check(&p, &line), FDC_OK);
    CHECK_INT(line, -1);
    p.start = shrinking;
    CHECK_INT(fdc_pattern_check(&p, &line), FDC_ERR_ARGUMENT);
    CHECK_INT(line, 1);
    p.start = late;
    CHECK_INT(fdc_pattern_check(&p, &line), FDC_ERR_ARGUMENT);
    p = (fdc_pattern){3, 5, start, repeated};
    CHECK_INT(fdc_pattern_check(&p, &line), FDC_ERR_ARGUMENT);
    CHECK_INT(line, 0);
    p.index = wide;
    CHECK_INT(fdc_pattern_check(&p, &line), FDC_ERR_ARGUMENT);
    p.index = negative;
    CHECK_INT(fdc_pattern_check(&p, &line), FDC_ERR_ARGUMENT);
    CHECK_INT(line, 2);
}

static void test_arguments(void) {
    matrix *a = random_matrix(4, 6, 2);
    int32_t color[6], count, depth;
    fdc_substitution steps[36];
    CHECK_INT(fdc_color_columns(&a->columns, &a->rows, FDC_ORDER_COUNT, color, &count, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_color_columns(&a->rows, &a->rows, FDC_ORDER_BEST, color, &count, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_color_star(&a->rows, FDC_ORDER_BEST, color, &count, NULL, NULL), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_color_acyclic(&a->rows, FDC_ORDER_BEST, color, &count, steps, &depth, NULL), FDC_ERR_ARGUMENT);
    matrix_free(a);
    for (int lower = 0; lower < 2; ++lower) { /* an entry without its mirror image */
        a = matrix_new(6, 6);
        for (int32_t i = 0; i < 6; ++i) {
            put(a, i, i);
        }
        put(a, 1, 4);
        put(a, 4, 1);
        put(a, lower ? 5 : 2, lower ? 2 : 5);
        a = matrix_close(a);
        CHECK_INT(fdc_color_star(&a->rows, FDC_ORDER_BEST, color, &count, NULL, NULL), FDC_ERR_ARGUMENT);
        matrix_free(a);
    }
}

/* ---- symmetric matrices ---------------------------------------------------------------------------------------- */

static int32_t root_of(const int32_t *parent, int32_t v) {
    while (parent[v] != v) {
        v = parent[v];
    }
    return v;
}

/* Neighbours differ; any two colours induce a forest; and where stars are asked for, no path of four vertices has only
 * two colours. */
static void check_symmetric(const matrix *a, const int32_t *color, int32_t count, int stars) {
    for (int32_t i = 0; i < a->n; ++i) {
        CHECK(color[i] >= 0 && color[i] < count);
        for (int32_t j = 0; j < i; ++j) {
            CHECK(!has(a, i, j) || color[i] != color[j]);
        }
    }
    int32_t *parent = ints(a->n);
    for (int32_t c = 0; c < count; ++c) {
        for (int32_t d = 0; d < c; ++d) {
            for (int32_t i = 0; i < a->n; ++i) {
                parent[i] = i;
            }
            for (int32_t i = 0; i < a->n; ++i) {
                for (int32_t j = 0; j < a->n; ++j) {
                    if (has(a, i, j) && color[i] == c && color[j] == d) {
                        const int32_t p = root_of(parent, i), q = root_of(parent, j);
                        CHECK(p != q);
                        parent[p] = q;
                    }
                }
            }
        }
    }
    free(parent);
    for (int32_t v = 0; stars && v < a->n; ++v) {
        for (int32_t w = 0; w < a->n; ++w) {
            for (int32_t x = 0; x < a->n && has(a, v, w) && w != v; ++x) {
                for (int32_t y = 0; y < a->n && has(a, w, x) && x != w && x != v && color[x] == color[v]; ++y) {
                    CHECK(!has(a, x, y) || y == x || y == w || color[y] != color[w]);
                }
            }
        }
    }
}

/* Small integers as entries, so that sums are exact and recovery must be too. */
static double entry_value(int32_t i, int32_t j) {
    const int32_t low = i < j ? i : j, high = i < j ? j : i;
    return (double)((low * 31 + high * 17) % 1000 + 1);
}

/* Column j times scale[j]; powers of two, so that all stays exact. */
static double *products_of(const matrix *a, const int32_t *color, int32_t count, const double *scale) {
    double *products = make((ptrdiff_t)count * a->n, sizeof *products);
    for (int32_t i = 0; i < a->n; ++i) {
        for (int32_t j = 0; j < a->n; ++j) {
            if (has(a, i, j)) {
                products[(ptrdiff_t)color[j] * a->n + i] += entry_value(i, j) * (scale == NULL ? 1.0 : scale[j]);
            }
        }
    }
    return products;
}

static void check_values(const matrix *a, const double *values) {
    for (int32_t i = 0; i < a->n; ++i) {
        for (int32_t k = a->row_start[i]; k < a->row_start[i + 1]; ++k) {
            CHECK_CLOSE(values[k], entry_value(i, a->row_index[k]), 0.0);
        }
    }
}

static int32_t color_star(const matrix *a, fdc_order order) {
    int32_t *color = ints(a->n), count = -1;
    unsigned char *mirrored = make(a->nnz, 1);
    double *values = make(a->nnz, sizeof *values);
    CHECK_INT(fdc_color_star(&a->rows, order, color, &count, mirrored, NULL), FDC_OK);
    check_symmetric(a, color, count, 1);
    double *products = products_of(a, color, count, NULL);
    fdc_recover_star(&a->rows, color, mirrored, products, values);
    check_values(a, values);
    free(color);
    free(mirrored);
    free(values);
    free(products);
    return count;
}

static int32_t color_acyclic(const matrix *a, fdc_order order, int32_t *depth) {
    int32_t *color = ints(a->n), count = -1, pairs = 0;
    for (int32_t i = 0; i < a->n; ++i) {
        for (int32_t j = 0; j < i; ++j) {
            pairs += has(a, i, j);
        }
    }
    fdc_substitution *steps = make(pairs, sizeof *steps);
    double *values = make(a->nnz, sizeof *values), *known = make(a->n, sizeof *known);
    CHECK_INT(fdc_color_acyclic(&a->rows, order, color, &count, steps, depth, NULL), FDC_OK);
    check_symmetric(a, color, count, 0);
    double *scale = make(a->n, sizeof *scale);
    for (int32_t j = 0; j < a->n; ++j) {
        scale[j] = 1 << (j % 5);
    }
    double *products = products_of(a, color, count, scale);
    for (int repeat = 0; repeat < 2; ++repeat) { /* `known` must be zeros again after the first */
        fdc_recover_acyclic(&a->rows, color, steps, pairs, products, scale, known, values);
        check_values(a, values);
    }
    free(color);
    free(steps);
    free(values);
    free(known);
    free(scale);
    free(products);
    return count;
}

static void test_symmetric_random(void) {
    for (int trial = 0; trial < 60; ++trial) {
        matrix *a = random_symmetric((int32_t)random_below(45), 2 + random_below(14));
        int32_t depth, stars = INT32_MAX, trees = INT32_MAX;
        for (int order = 0; order < FDC_ORDER_BEST; ++order) {
            const int32_t star = color_star(a, (fdc_order)order), tree = color_acyclic(a, (fdc_order)order, &depth);
            stars = star < stars ? star : stars;
            trees = tree < trees ? tree : trees;
        }
        CHECK_INT(color_star(a, FDC_ORDER_BEST), stars);
        CHECK_INT(color_acyclic(a, FDC_ORDER_BEST, &depth), trees);
        matrix_free(a);
    }
}

static void test_symmetric_known(void) {
    int32_t depth;
    matrix *a = banded(100, 1);
    CHECK_INT(color_star(a, FDC_ORDER_BEST), 3);
    CHECK_INT(color_acyclic(a, FDC_ORDER_BEST, &depth), 2);
    CHECK_INT(depth, 50); /* one path of 99 edges, taken from both ends */
    matrix_free(a);
    for (int32_t hub = 0; hub < 30; hub += 29) {
        a = arrow(30, hub);
        for (int order = 0; order < FDC_ORDER_COUNT; ++order) {
            CHECK_INT(color_star(a, (fdc_order)order), 2);
            CHECK_INT(color_acyclic(a, (fdc_order)order, &depth), 2);
            CHECK_INT(depth, 1);
        }
        matrix_free(a);
    }
    a = grid(12, 0);
    CHECK(color_star(a, FDC_ORDER_BEST) <= 5);
    CHECK(color_acyclic(a, FDC_ORDER_BEST, &depth) <= 4);
    matrix_free(a);
    a = random_symmetric(20, 1); /* full: each column its own colour */
    CHECK_INT(color_star(a, FDC_ORDER_BEST), 20);
    CHECK_INT(color_acyclic(a, FDC_ORDER_BEST, &depth), 20);
    matrix_free(a);
}

int main(void) {
    RUN(test_columns_random);
    RUN(test_columns_known);
    RUN(test_columns_dominant_row);
    RUN(test_rows);
    RUN(test_transpose);
    RUN(test_pattern_check);
    RUN(test_arguments);
    RUN(test_symmetric_random);
    RUN(test_symmetric_known);
    return check_summary();
}
