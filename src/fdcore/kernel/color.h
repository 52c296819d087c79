/* color.h - grouping the columns of a sparse matrix so that one evaluation serves a whole group.
 *
 * Indices are int32_t, as in the matrices SciPy makes: rows, columns and stored entries must each be below 2^31. That
 * halves what the inner loops read; a pattern at that limit would need 16 GiB for its values alone. Everything is
 * linear in memory: a fixed number of arrays of n, or of one per stored entry.
 */
#ifndef FDCORE_COLOR_H
#define FDCORE_COLOR_H

#include "fdcore/fdcore.h"

/* A compressed pattern: line i holds index[start[i] .. start[i + 1]), strictly increasing and below `width`. With rows
 * as lines it is the CSR form, with columns as lines the CSC form, which is also the CSR form of the transpose. */
typedef struct fdc_pattern {
    int32_t lines, width;
    const int32_t *start; /* (lines + 1,), start[0] == 0 */
    const int32_t *index; /* (start[lines],) */
} fdc_pattern;

/* The order in which a greedy colouring visits the vertices. */
typedef enum fdc_order {
    FDC_ORDER_NATURAL = 0,
    FDC_ORDER_LARGEST_FIRST,    /* by number of neighbours, descending */
    FDC_ORDER_SMALLEST_LAST,    /* last comes what has fewest neighbours, and so on among the rest */
    FDC_ORDER_INCIDENCE_DEGREE, /* next is what has most coloured neighbours */
    FDC_ORDER_SATURATION,       /* next is what has most colours (the first 64 count) among its neighbours */
    FDC_ORDER_BEST,             /* all of these and keep the best; stops as soon as the lower bound is reached */
    FDC_ORDER_COUNT
} fdc_order;

/* FDC_ERR_ARGUMENT unless `p` is as described above; *line is then the first line that is not, or -1. */
fdc_status fdc_pattern_check(const fdc_pattern *p, int32_t *line);

/* The transpose into start (width + 1,) and index (one per entry). position, if not NULL: where each entry of the
 * transpose is stored in p. Linear time. */
fdc_status fdc_pattern_transpose(const fdc_pattern *p, int32_t *start, int32_t *index, int32_t *position);

/* Whether the transpose is the same pattern. cursor: (lines,). Linear time, and little of it where it is not. */
int fdc_pattern_is_symmetric(const fdc_pattern *p, int32_t *cursor);

/* The most entries of any line: no colouring of the other side has fewer colours. */
int32_t fdc_pattern_longest(const fdc_pattern *p);

/* Colours columns so that two of the same colour share no row (distance-2 colouring of the columns): color (columns,)
 * gets 0 .. *count - 1. `columns` and `rows` are one matrix in both forms; rows may be NULL, it is made if needed.
 * Exchange them to colour rows instead. A column without entries has colour 0. used, if not NULL: the order whose
 * colouring it is. Time: natural order and up to 64 colours, the number of entries; else the sum over rows of squared
 * entries, for each order tried; FDC_ORDER_BEST tries only one where that sum is above 2^32. */
fdc_status fdc_color_columns(const fdc_pattern *columns, const fdc_pattern *rows, fdc_order order, int32_t *color,
                             int32_t *count, fdc_order *used);

/* Columns by colour, those without entries left out: group (columns,) at most, group_start (colors + 1,). */
void fdc_color_groups(const fdc_pattern *columns, const int32_t *color, int32_t colors, int32_t *group_start,
                      int32_t *group);

/* The colour of each entry's column, in the order of `rows`; for at most 256 colours. */
void fdc_color_entries(const fdc_pattern *rows, const int32_t *color, uint8_t *entry_color);

/* ---- symmetric matrices: one product B = A S serves an entry and its mirror image ---------------------------------
 */

/* Star colouring of a symmetric pattern (diagonal entries may be missing): fewer colours than fdc_color_columns, and
 * each entry is still read off directly. B[r][c] is the sum of A[r][j] over the columns j of colour c; entry k at (i,
 * j) is B[i][color[j]], or where mirrored[k] is 1, B[j][color[i]]. FDC_ERR_ARGUMENT if the pattern is not symmetric.
 * mirrored: (nnz,), or NULL. */
fdc_status fdc_color_star(const fdc_pattern *a, fdc_order order, int32_t *color, int32_t *count, uint8_t *mirrored,
                          fdc_order *used);

/* One step of recovery by substitution: the off-diagonal pair at `entry` and `mirror` is what is left of
 * B[leaf][color[parent]] once known[leaf] is taken off; it is then known to row `parent`, and known[leaf] is 0 again.
 */
typedef struct fdc_substitution {
    int32_t leaf, parent, entry, mirror;
    int32_t ends; /* 1: the last step of a tree, after it known[parent] is 0 again */
} fdc_substitution;

/* Acyclic colouring: fewer colours still, but entries are recovered one from another, so that errors add up along the
 * longest chain, *depth steps. steps: (off-diagonal entries / 2,). Diagonal entries are B[i][color[i]]. */
fdc_status fdc_color_acyclic(const fdc_pattern *a, fdc_order order, int32_t *color, int32_t *count,
                             fdc_substitution *steps, int32_t *depth, fdc_order *used);

/* values[k] of every stored entry from B, given as count rows of n: B[r][c] is products[c * n + r]. */
void fdc_recover_star(const fdc_pattern *a, const int32_t *color, const uint8_t *mirrored, const double *products,
                      double *values);

/* The same by substitution, from B = A S where column j of A has been multiplied by scale[j]. known: (n,) zeros, and
 * left so. */
void fdc_recover_acyclic(const fdc_pattern *a, const int32_t *color, const fdc_substitution *steps,
                         ptrdiff_t step_count, const double *products, const double *scale, double *known,
                         double *values);

#endif
