/* color.c - distance-2 colouring of columns.
 *
 * Greedy colouring after Gebremedhin, Manne & Pothen, "What color is your Jacobian?", SIAM Review 47 (2005): a column
 * gets the least colour that no column sharing a row with it has. Only the order in which they are visited matters.
 */
#include "color_order.h"

#include <stdlib.h>
#include <string.h>

/* Above this many steps FDC_ORDER_BEST is content with one order. */
#define BEST_WORK (UINT64_C(1) << 32)

/* What the greedy passes work on; `mask` holds, for each row, the colours its columns have. */
typedef struct coloring {
    const fdc_pattern *columns, *rows; /* rows: NULL until needed */
    fdc_pattern made;                  /* rows, where the caller gave none */
    int32_t *length;                   /* (m,) entries of each row */
    int32_t bound;                     /* the longest row */
    uint64_t work;                     /* sum of the squared lengths */
    uint64_t *mask;                    /* (m,) or NULL */
    int is_beyond_bits;                /* more than 64 colours are needed */
    int is_colored;                    /* mask holds a whole colouring */
    int32_t *forbidden;                /* (n + 2,) or NULL */
    int32_t *block;
} coloring;

static void uncolor(int32_t *color, int32_t n) {
    for (int32_t v = 0; v < n; v++) {
        color[v] = -1;
    }
}

/* With a set of bits for each row, a pass reads each entry twice and never a neighbour. Returns the number of colours,
 * or -1 if 64 are not enough. order: NULL for the natural one. */
static int32_t greedy_bits(const fdc_pattern *columns, const int32_t *order, int32_t *color, uint64_t *mask) {
    const int32_t n = columns->lines;
    int32_t colors = 0;
    memset(mask, 0, (size_t)columns->width * sizeof *mask);
    for (int32_t t = 0; t < n; t++) {
        const int32_t v = order == NULL ? t : order[t];
        const int32_t *begin = columns->index + columns->start[v], *end = columns->index + columns->start[v + 1];
        uint64_t taken = 0;
        for (const int32_t *w = begin; w < end; w++) {
            taken |= mask[*w];
        }
        const uint64_t bit = ~taken & (taken + 1); /* the least that is free */
        if (bit == 0) {
            return -1;
        }
        for (const int32_t *w = begin; w < end; w++) {
            mask[*w] |= bit;
        }
        int32_t c = 0;
        while ((bit >> c) != 1) {
            c++;
        }
        color[v] = c;
        colors = c >= colors ? c + 1 : colors;
    }
    return colors;
}

/* For any number of colours. Vertices of `color` that are not -1 stay as they are. forbidden is indexed by colour + 1,
 * so that what is not coloured yet needs no branch; nothing is cleared, it holds who forbade it last. */
static int32_t greedy_stamps(const fdc_pattern *columns, const fdc_pattern *rows, const int32_t *order, int32_t *color,
                             int32_t *forbidden) {
    const int32_t n = columns->lines;
    int32_t colors = 0;
    uncolor(forbidden, n + 2);
    for (int32_t t = 0; t < n; t++) {
        const int32_t v = order == NULL ? t : order[t];
        if (color[v] < 0) {
            for (int32_t k = columns->start[v]; k < columns->start[v + 1]; k++) {
                const int32_t w = columns->index[k];
                for (int32_t l = rows->start[w]; l < rows->start[w + 1]; l++) {
                    forbidden[color[rows->index[l]] + 1] = v;
                }
            }
            int32_t c = 1;
            while (forbidden[c] == v) {
                c++;
            }
            color[v] = c - 1;
        }
        colors = color[v] >= colors ? color[v] + 1 : colors;
    }
    return colors;
}

/* A row that makes up most of the work forces as many colours as it has entries. Giving them out here, one each, keeps
 * an arrow-shaped matrix from costing n^2. */
static void seed_dominant_row(const coloring *x, int32_t *color) {
    const uint64_t longest = (uint64_t)x->bound;
    if (x->bound < 1024 || longest * longest <= x->work / 2) {
        return;
    }
    int32_t w = 0, c = 0;
    while (x->length[w] != x->bound) {
        w++;
    }
    for (int32_t l = x->rows->start[w]; l < x->rows->start[w + 1]; l++) {
        color[x->rows->index[l]] = c++;
    }
}

/* Sees to it that there are rows and stamps; 0 when out of memory. */
static int have_rows(coloring *x) {
    const fdc_pattern *columns = x->columns;
    if (x->rows == NULL) {
        const size_t m = (size_t)columns->width, nnz = (size_t)columns->start[columns->lines];
        x->block = fdc_array(m + 1 + nnz, sizeof *x->block);
        if (x->block == NULL) {
            return 0;
        }
        (void)fdc_pattern_transpose(columns, x->block, x->block + m + 1, NULL);
        x->made = (fdc_pattern){columns->width, columns->lines, x->block, x->block + m + 1};
        x->rows = &x->made;
    }
    if (x->forbidden == NULL) {
        x->forbidden = fdc_array((size_t)columns->lines + 2, sizeof *x->forbidden);
    }
    return x->forbidden != NULL;
}

static int measure(coloring *x);

/* Colours in the given order; -1 when out of memory. */
static int32_t greedy(coloring *x, const int32_t *order, int32_t *color) {
    if (!x->is_beyond_bits) {
        if (x->mask == NULL) {
            x->mask = fdc_array((size_t)x->columns->width, sizeof *x->mask);
        }
        const int32_t colors = x->mask == NULL ? -1 : greedy_bits(x->columns, order, color, x->mask);
        if (colors >= 0) {
            x->is_colored = 1;
            return colors;
        }
        x->is_beyond_bits = x->bound == 0 || x->bound > 64; /* another order may do with 64 */
        x->is_colored = 0;
    }
    if (!have_rows(x) || (x->length == NULL && !measure(x))) {
        return -1;
    }
    uncolor(color, x->columns->lines);
    if (order == NULL) {
        seed_dominant_row(x, color);
    }
    return greedy_stamps(x->columns, x->rows, order, color, x->forbidden);
}

/* How often "best" recolours by classes, from the last colour to the first, once the orders are through. */
#define REFINEMENTS 4

/* Colours with every order into `trial` and keeps the best in `color`; -1 when out of memory. */
static int32_t improve(coloring *x, fdc_orderer *orderer, int32_t *trial, int32_t *color, int32_t count,
                       fdc_order *used) {
    static const fdc_order candidates[] = {FDC_ORDER_SATURATION, FDC_ORDER_SMALLEST_LAST, FDC_ORDER_INCIDENCE_DEGREE,
                                           FDC_ORDER_LARGEST_FIRST};
    const size_t bytes = (size_t)x->columns->lines * sizeof *color;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates + REFINEMENTS && count > x->bound; i++) {
        const int by_order = i < sizeof candidates / sizeof *candidates;
        const int32_t found =
            greedy(x, by_order ? fdc_orderer_make(orderer, candidates[i]) : fdc_orderer_by_class(orderer, color, count),
                   trial);
        if (found < 0) {
            return -1;
        }
        if (found < count || !by_order) { /* a refinement with as many colours may make room for the next */
            memcpy(color, trial, bytes);
            *used = by_order ? candidates[i] : *used;
            count = found;
        }
    }
    return count;
}

/* Lengths of rows; 0 when out of memory. After a pass with bits they need not be counted: in a valid colouring a row
 * has as many colours as entries. */
static int measure(coloring *x) {
    const fdc_pattern *columns = x->columns;
    x->bound = 0;
    x->work = 0;
    for (int32_t w = 0; x->is_colored && w < columns->width; w++) {
        uint64_t colors = x->mask[w], length = 0;
        for (; colors != 0; colors &= colors - 1) {
            length++;
        }
        x->bound = (int32_t)length > x->bound ? (int32_t)length : x->bound;
        x->work += length * length;
    }
    if (x->is_colored) {
        return 1;
    }
    x->length = fdc_array((size_t)columns->width, sizeof *x->length);
    if (x->length == NULL) {
        return 0;
    }
    memset(x->length, 0, (size_t)columns->width * sizeof *x->length);
    for (int32_t k = 0; k < columns->start[columns->lines]; k++) {
        x->length[columns->index[k]]++;
    }
    for (int32_t w = 0; w < columns->width; w++) {
        const uint64_t length = (uint64_t)x->length[w];
        x->bound = x->length[w] > x->bound ? x->length[w] : x->bound;
        x->work += length * length;
    }
    return 1;
}

fdc_status fdc_color_columns(const fdc_pattern *columns, const fdc_pattern *rows, fdc_order order, int32_t *color,
                             int32_t *count, fdc_order *used) {
    const int32_t n = columns->lines, m = columns->width;
    *count = 0;
    if ((int)order < 0 || order >= FDC_ORDER_COUNT || n > INT32_MAX - 2 || m > INT32_MAX - 2 ||
        (rows != NULL && (m != rows->lines || rows->width != n))) {
        return FDC_ERR_ARGUMENT;
    }
    fdc_status status = FDC_ERR_MEMORY;
    fdc_order kept = order == FDC_ORDER_BEST ? FDC_ORDER_NATURAL : order;
    fdc_orderer *orderer = NULL;
    int32_t *trial = NULL;
    coloring x = {.columns = columns, .rows = rows};
    if (kept != FDC_ORDER_NATURAL) {
        orderer = have_rows(&x) ? fdc_orderer_create(columns, x.rows) : NULL;
        if (orderer == NULL) {
            goto cleanup;
        }
    }
    *count = greedy(&x, orderer == NULL ? NULL : fdc_orderer_make(orderer, kept), color);
    if (*count < 0) {
        goto cleanup;
    }
    if (order == FDC_ORDER_BEST) {
        if (x.length == NULL && !measure(&x)) {
            goto cleanup;
        }
        if (*count > x.bound && x.work <= BEST_WORK) {
            trial = fdc_array((size_t)n, sizeof *trial);
            orderer = have_rows(&x) ? fdc_orderer_create(columns, x.rows) : NULL;
            if (trial == NULL || orderer == NULL) {
                goto cleanup;
            }
            *count = improve(&x, orderer, trial, color, *count, &kept);
        }
    }
    if (*count < 0) {
        goto cleanup;
    }
    if (used != NULL) {
        *used = kept;
    }
    status = FDC_OK;
cleanup:
    *count = status == FDC_OK ? *count : 0;
    fdc_orderer_destroy(orderer);
    free(trial);
    free(x.length);
    free(x.mask);
    free(x.forbidden);
    free(x.block);
    return status;
}

void fdc_color_groups(const fdc_pattern *columns, const int32_t *color, int32_t colors, int32_t *group_start,
                      int32_t *group) {
    memset(group_start, 0, ((size_t)colors + 1) * sizeof *group_start);
    for (int32_t j = 0; j < columns->lines; j++) {
        group_start[color[j] + 1] += columns->start[j] < columns->start[j + 1];
    }
    for (int32_t c = 0; c < colors; c++) {
        group_start[c + 1] += group_start[c];
    }
    for (int32_t j = 0; j < columns->lines; j++) {
        if (columns->start[j] < columns->start[j + 1]) {
            group[group_start[color[j]]++] = j;
        }
    }
    for (int32_t c = colors; c > 0; c--) { /* filling has moved each start to its end */
        group_start[c] = group_start[c - 1];
    }
    group_start[0] = 0;
}

void fdc_color_entries(const fdc_pattern *rows, const int32_t *color, uint8_t *entry_color) {
    const int32_t nnz = rows->start[rows->lines];
    for (int32_t k = 0; k < nnz; k++) {
        entry_color[k] = (uint8_t)color[rows->index[k]];
    }
}
