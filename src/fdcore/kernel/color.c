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

/* order: NULL for the natural one. Vertices of `color` that are not -1 stay as they are. forbidden (n + 2,) is indexed
 * by colour + 1, so that what is not coloured yet needs no branch; nothing is cleared, it holds who forbade it last. */
static int32_t greedy(const fdc_pattern *columns, const fdc_pattern *rows, const int32_t *order, int32_t *color,
                      int32_t *forbidden) {
    int32_t n = columns->lines, colors = 0;
    for (int32_t c = 0; c < n + 2; c++)
        forbidden[c] = -1;
    for (int32_t t = 0; t < n; t++) {
        int32_t v = order == NULL ? t : order[t];
        if (color[v] < 0) {
            for (int32_t k = columns->start[v]; k < columns->start[v + 1]; k++) {
                int32_t w = columns->index[k];
                for (int32_t l = rows->start[w]; l < rows->start[w + 1]; l++)
                    forbidden[color[rows->index[l]] + 1] = v;
            }
            int32_t c = 1;
            while (forbidden[c] == v)
                c++;
            color[v] = c - 1;
        }
        if (color[v] >= colors) colors = color[v] + 1;
    }
    return colors;
}

static void uncolor(int32_t *color, int32_t n) {
    for (int32_t v = 0; v < n; v++)
        color[v] = -1;
}

/* A row that makes up most of the work forces as many colours as it has entries. Giving them out here, one each, keeps
 * an arrow-shaped matrix from costing n^2. */
static void seed_dominant_row(const fdc_pattern *rows, uint64_t work, int32_t *color) {
    for (int32_t w = 0; w < rows->lines; w++) {
        uint64_t length = (uint64_t)(rows->start[w + 1] - rows->start[w]);
        if (length < 1024 || length * length <= work / 2) continue;
        int32_t c = 0;
        for (int32_t l = rows->start[w]; l < rows->start[w + 1]; l++)
            color[rows->index[l]] = c++;
        return;
    }
}

/* How often "best" recolours by classes, from the last colour to the first, once the orders are through. */
#define REFINEMENTS 4

/* Colours with every order into `trial` and keeps the best in `color`. */
static int32_t improve(const fdc_pattern *columns, const fdc_pattern *rows, fdc_orderer *orderer, int32_t bound,
                       int32_t *forbidden, int32_t *trial, int32_t *color, int32_t count, fdc_order *used) {
    static const fdc_order candidates[] = {FDC_ORDER_SATURATION, FDC_ORDER_SMALLEST_LAST, FDC_ORDER_INCIDENCE_DEGREE,
                                           FDC_ORDER_LARGEST_FIRST};
    int32_t n = columns->lines;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && count > bound; i++) {
        uncolor(trial, n);
        int32_t found = greedy(columns, rows, fdc_orderer_make(orderer, candidates[i]), trial, forbidden);
        if (found < count) {
            memcpy(color, trial, (size_t)n * sizeof *color);
            count = found;
            *used = candidates[i];
        }
    }
    for (int i = 0; i < REFINEMENTS && count > bound; i++) {
        const int32_t *order = fdc_orderer_by_class(orderer, color, count);
        uncolor(color, n);
        count = greedy(columns, rows, order, color, forbidden);
    }
    return count;
}

fdc_status fdc_color_columns(const fdc_pattern *columns, const fdc_pattern *rows, fdc_order order, int32_t *color,
                             int32_t *count, fdc_order *used) {
    int32_t n = columns->lines;
    *count = 0;
    if ((int)order < 0 || order >= FDC_ORDER_COUNT || columns->width != rows->lines || rows->width != n ||
        n > INT32_MAX - 2)
        return FDC_ERR_ARGUMENT;
    fdc_status status = FDC_ERR_MEMORY;
    fdc_order kept = order == FDC_ORDER_BEST ? FDC_ORDER_NATURAL : order;
    fdc_orderer *orderer = NULL;
    const int32_t *sequence = NULL;
    int32_t *trial = NULL;
    int32_t *forbidden = fdc_array((size_t)n + 2, sizeof *forbidden);
    if (forbidden == NULL) goto cleanup;
    uint64_t work = 0;
    for (int32_t w = 0; w < rows->lines; w++) {
        uint64_t length = (uint64_t)(rows->start[w + 1] - rows->start[w]);
        work += length * length;
    }
    uncolor(color, n);
    if (kept == FDC_ORDER_NATURAL) {
        seed_dominant_row(rows, work, color);
    } else {
        orderer = fdc_orderer_create(columns, rows);
        if (orderer == NULL) goto cleanup;
        sequence = fdc_orderer_make(orderer, kept);
    }
    *count = greedy(columns, rows, sequence, color, forbidden);
    int32_t bound = fdc_pattern_longest(rows);
    if (order == FDC_ORDER_BEST && *count > bound && work <= BEST_WORK) {
        trial = fdc_array((size_t)n, sizeof *trial);
        orderer = fdc_orderer_create(columns, rows);
        if (trial == NULL || orderer == NULL) goto cleanup;
        *count = improve(columns, rows, orderer, bound, forbidden, trial, color, *count, &kept);
    }
    if (used != NULL) *used = kept;
    status = FDC_OK;
cleanup:
    fdc_orderer_destroy(orderer);
    free(trial);
    free(forbidden);
    return status;
}
