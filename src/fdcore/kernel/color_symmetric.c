/* color_symmetric.c - star and acyclic colouring of a symmetric pattern, and recovery of the matrix.
 *
 * After Gebremedhin, Tarafdar, Manne & Pothen, "New acyclic and star coloring algorithms with application to computing
 * Hessians", SIAM J. Sci. Comput. 29 (2007), algorithms 4.1 and 3.1. Edges are the off-diagonal pairs. Neighbours of
 * different colours: what is joined is edges v-w and w-x with v and x of one colour, into stars or into trees.
 *
 * Where the paper walks over all neighbours of a neighbour w, this walks over one representative for each colour found
 * next to w: the others belong to the same star or tree. That keeps hubs (the dense line of an arrow) from costing n^2.
 */
#include "color_order.h"

#include <stdlib.h>
#include <string.h>

typedef struct palette {
    const fdc_pattern *a;
    const int32_t *edge; /* (nnz,) number of the edge that an entry belongs to; unset on the diagonal */
    int32_t *color;      /* (n,) -1: not yet */
    int32_t *forbidden;  /* (n + 2,) by colour: the last vertex that may not have it */
    int32_t *kinds;      /* (n,) distinct colours next to w */
    int32_t *sample;     /* (nnz,) for each of them an entry of line w, from start[w] on */
    int32_t *first;      /* (n + 1,) by colour: the vertex, and the entry, through which v last met that colour */
    int32_t *first_entry;
} palette;

/* Numbers the edges; FDC_ERR_ARGUMENT if an entry has no mirror image. entry and mirror (may be NULL): where edge e is
 * stored, below and above the diagonal. */
static fdc_status number_edges(const fdc_pattern *a, int32_t *edge, int32_t *cursor, int32_t *edges, int32_t *entry,
                               int32_t *mirror) {
    /* Lines come in ascending order, so the mirror image of (i, j), j < i, is the next entry of line j. */
    int32_t e = 0;
    for (int32_t i = 0; i < a->lines; i++) {
        int32_t k = a->start[i];
        for (; k < a->start[i + 1] && a->index[k] < i; k++) {
            int32_t j = a->index[k], at = cursor[j]++;
            if (at == a->start[j + 1] || a->index[at] != i) return FDC_ERR_ARGUMENT;
            if (entry != NULL) {
                entry[e] = k;
                mirror[e] = at;
            }
            edge[k] = edge[at] = e++;
        }
        if (k < a->start[i + 1] && a->index[k] == i) k++;
        cursor[i] = k;
    }
    for (int32_t i = 0; i < a->lines; i++)
        if (cursor[i] != a->start[i + 1]) return FDC_ERR_ARGUMENT;
    *edges = e;
    return FDC_OK;
}

/* The entry of line w that stands for colour c, or -1. */
static int32_t sample_of(const palette *p, int32_t w, int32_t c) {
    const int32_t *sample = p->sample + p->a->start[w];
    for (int32_t s = 0; s < p->kinds[w]; s++)
        if (p->color[p->a->index[sample[s]]] == c) return sample[s];
    return -1;
}

/* Tells every neighbour of v, which has just been coloured. cursor[w] is the first entry of line w that may be v's:
 * when vertices come in any order it has to be searched, by bisection. */
static void announce(palette *p, int32_t v) {
    const fdc_pattern *a = p->a;
    for (int32_t k = a->start[v]; k < a->start[v + 1]; k++) {
        int32_t w = a->index[k];
        if (w == v || sample_of(p, w, p->color[v]) >= 0) continue;
        int32_t low = a->start[w], high = a->start[w + 1] - 1;
        while (low < high) {
            int32_t middle = low + (high - low) / 2;
            if (a->index[middle] < v)
                low = middle + 1;
            else
                high = middle;
        }
        p->sample[a->start[w] + p->kinds[w]++] = low;
    }
}

static int32_t least_free(const palette *p, int32_t v) {
    int32_t c = 0;
    while (p->forbidden[c] == v)
        c++;
    return c;
}

/* ---- star colouring ------------------------------------------------------------------------------------------ */

typedef struct stars {
    int32_t *star;    /* (edges,) the star an edge belongs to, named by one of its edges */
    int32_t *hub;     /* (edges,) by star: its centre, or -1 as long as it is a single edge */
    int32_t *treated; /* (n,) */
} stars;

static void forbid_colors_next_to(palette *p, stars *s, int32_t w, int32_t v) {
    if (s->treated[w] == v) return;
    s->treated[w] = v;
    const int32_t *sample = p->sample + p->a->start[w];
    for (int32_t i = 0; i < p->kinds[w]; i++)
        p->forbidden[p->color[p->a->index[sample[i]]]] = v;
}

static void star_color_vertex(palette *p, stars *s, int32_t v) {
    const fdc_pattern *a = p->a;
    for (int32_t k = a->start[v]; k < a->start[v + 1]; k++) {
        int32_t w = a->index[k];
        if (w == v || p->color[w] < 0) continue;
        int32_t c = p->color[w];
        p->forbidden[c] = v;
        if (p->first[c] == v) { /* a second neighbour of colour c: v is a hub, no path may run on from either */
            forbid_colors_next_to(p, s, a->index[p->first_entry[c]], v);
            forbid_colors_next_to(p, s, w, v);
            continue;
        }
        p->first[c] = v;
        p->first_entry[c] = k;
        for (int32_t i = 0; i < p->kinds[w]; i++) { /* w is a spoke: v may not lengthen it */
            int32_t l = p->sample[a->start[w] + i], x = a->index[l];
            if (s->hub[s->star[p->edge[l]]] == x) p->forbidden[p->color[x]] = v;
        }
    }
    p->color[v] = least_free(p, v);
}

static void star_join(palette *p, stars *s, int32_t v) {
    const fdc_pattern *a = p->a;
    for (int32_t k = a->start[v]; k < a->start[v + 1]; k++) {
        int32_t w = a->index[k];
        if (w == v || p->color[w] < 0) continue;
        int32_t e = p->edge[k], other = sample_of(p, w, p->color[v]), entry = p->first_entry[p->color[w]];
        if (other >= 0) { /* v - w - x: another spoke of w */
            s->star[e] = s->star[p->edge[other]];
            s->hub[s->star[e]] = w;
        } else if (a->index[entry] != w) { /* v has another neighbour of w's colour */
            s->star[e] = s->star[p->edge[entry]];
            s->hub[s->star[e]] = v;
        } else {
            s->star[e] = e;
            s->hub[e] = -1;
        }
    }
}

/* ---- acyclic colouring --------------------------------------------------------------------------------------- */

typedef struct trees {
    int32_t *parent;  /* (edges,) disjoint sets of edges: the two-coloured trees */
    int32_t *visitor; /* (edges,) by tree: the last vertex that met it, and through which neighbour */
    int32_t *through;
} trees;

static int32_t tree_of(trees *t, int32_t e) {
    while (t->parent[e] != e) {
        t->parent[e] = t->parent[t->parent[e]];
        e = t->parent[e];
    }
    return e;
}

/* Without ranks: halving the paths alone is fast enough here, and keeps one array less. */
static void tree_merge(trees *t, int32_t d, int32_t e) {
    t->parent[tree_of(t, d)] = tree_of(t, e);
}

static void acyclic_color_vertex(palette *p, trees *t, int32_t v) {
    const fdc_pattern *a = p->a;
    for (int32_t k = a->start[v]; k < a->start[v + 1]; k++)
        if (a->index[k] != v && p->color[a->index[k]] >= 0) p->forbidden[p->color[a->index[k]]] = v;
    for (int32_t k = a->start[v]; k < a->start[v + 1]; k++) {
        int32_t w = a->index[k];
        if (w == v || p->color[w] < 0) continue;
        for (int32_t i = 0; i < p->kinds[w]; i++) {
            int32_t l = p->sample[a->start[w] + i], c = p->color[a->index[l]];
            if (p->forbidden[c] == v) continue;
            int32_t tree = tree_of(t, p->edge[l]);
            if (t->visitor[tree] != v) {
                t->visitor[tree] = v;
                t->through[tree] = w;
            } else if (t->through[tree] != w) { /* v would close a cycle of two colours */
                p->forbidden[c] = v;
            }
        }
    }
    p->color[v] = least_free(p, v);
}

static void acyclic_join(palette *p, trees *t, int32_t v) {
    const fdc_pattern *a = p->a;
    for (int32_t k = a->start[v]; k < a->start[v + 1]; k++) {
        int32_t w = a->index[k];
        if (w == v || p->color[w] < 0) continue;
        int32_t e = p->edge[k], c = p->color[w];
        t->parent[e] = e;
        t->visitor[e] = -1;
        if (p->first[c] != v) {
            p->first[c] = v;
            p->first_entry[c] = k;
        } else {
            tree_merge(t, e, p->edge[p->first_entry[c]]);
        }
        int32_t other = sample_of(p, w, p->color[v]);
        if (other >= 0) tree_merge(t, e, p->edge[other]);
    }
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

typedef struct scratch {
    palette p;
    stars s;
    trees t;
    int32_t edges;
    int32_t *edge, *entry, *mirror, *block;
} scratch;

static void fill(int32_t *values, size_t count, int32_t value) {
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

static fdc_status scratch_create(scratch *x, const fdc_pattern *a, int32_t *color) {
    size_t n = (size_t)a->lines, nnz = (size_t)a->start[n];
    x->block = fdc_array(5 * (n + 2) + 5 * nnz, sizeof *x->block);
    if (x->block == NULL) return FDC_ERR_MEMORY;
    int32_t *next = x->block;
    int32_t **by_vertex[] = {&x->p.forbidden, &x->p.kinds, &x->p.first, &x->p.first_entry, &x->s.treated};
    for (size_t i = 0; i < sizeof by_vertex / sizeof *by_vertex; i++, next += n + 2)
        *by_vertex[i] = next;
    x->edge = next;
    x->p.sample = next + nnz;
    x->entry = next + 2 * nnz; /* there are at most nnz / 2 edges */
    x->mirror = x->entry + nnz / 2;
    x->s.star = x->t.parent = x->entry + nnz;
    x->s.hub = x->t.visitor = x->s.star + nnz / 2;
    x->t.through = x->s.star + nnz;
    x->p.a = a;
    x->p.edge = x->edge;
    x->p.color = color;
    return number_edges(a, x->edge, x->p.kinds, &x->edges, x->entry, x->mirror);
}

static int32_t color_all(scratch *x, const int32_t *order, int acyclic) {
    palette *p = &x->p;
    int32_t n = p->a->lines, colors = 0;
    fill(p->color, (size_t)n, -1);
    fill(p->forbidden, (size_t)n + 2, -1);
    fill(p->kinds, (size_t)n, 0);
    fill(p->first, (size_t)n + 2, -1);
    fill(x->s.treated, (size_t)n, -1);
    for (int32_t i = 0; i < n; i++) {
        int32_t v = order == NULL ? i : order[i];
        if (acyclic) {
            acyclic_color_vertex(p, &x->t, v);
            acyclic_join(p, &x->t, v);
        } else {
            star_color_vertex(p, &x->s, v);
            star_join(p, &x->s, v);
        }
        announce(p, v);
        if (p->color[v] >= colors) colors = p->color[v] + 1;
    }
    return colors;
}

/* Colours in the order asked for; the best of them is coloured last, so that stars and trees are its own. */
static fdc_status color_symmetric(scratch *x, const fdc_pattern *a, fdc_order order, int32_t *color, int32_t *count,
                                  fdc_order *used, int acyclic) {
    if ((int)order < 0 || order >= FDC_ORDER_COUNT || a->lines != a->width || a->lines > INT32_MAX - 2)
        return FDC_ERR_ARGUMENT;
    fdc_status status = scratch_create(x, a, color);
    if (status != FDC_OK) return status;
    fdc_order kept = order == FDC_ORDER_BEST ? FDC_ORDER_NATURAL : order;
    if (kept == FDC_ORDER_NATURAL) *count = color_all(x, NULL, acyclic);
    if (order != FDC_ORDER_NATURAL && !(order == FDC_ORDER_BEST && *count <= 2)) {
        fdc_orderer *orderer = fdc_orderer_create(a, NULL);
        if (orderer == NULL) return FDC_ERR_MEMORY;
        fdc_order last = kept;
        int first = order == FDC_ORDER_BEST ? FDC_ORDER_LARGEST_FIRST : (int)order;
        int end = order == FDC_ORDER_BEST ? FDC_ORDER_BEST : (int)order + 1;
        for (int candidate = first; candidate < end; candidate++) {
            last = (fdc_order)candidate;
            int32_t found = color_all(x, fdc_orderer_make(orderer, last), acyclic);
            if (order != FDC_ORDER_BEST || found < *count) {
                *count = found;
                kept = last;
            }
        }
        if (last != kept) color_all(x, kept == FDC_ORDER_NATURAL ? NULL : fdc_orderer_make(orderer, kept), acyclic);
        fdc_orderer_destroy(orderer);
    }
    if (used != NULL) *used = kept;
    return FDC_OK;
}

fdc_status fdc_color_star(const fdc_pattern *a, fdc_order order, int32_t *color, int32_t *count, uint8_t *mirrored,
                          fdc_order *used) {
    scratch x = {0};
    *count = 0;
    fdc_status status = color_symmetric(&x, a, order, color, count, used, 0);
    if (status == FDC_OK && mirrored != NULL) {
        for (int32_t i = 0; i < a->lines; i++)
            for (int32_t k = a->start[i]; k < a->start[i + 1]; k++) /* read at the spoke, in the hub's colour */
                mirrored[k] = a->index[k] != i && x.s.hub[x.s.star[x.edge[k]]] == i;
    }
    free(x.block);
    return status;
}

/* Takes leaves off every tree, round by round, so that chains end in the middle and are as short as can be. degree and
 * link (n,) serve all trees in turn: link is the exclusive or of the edges left at a vertex, for a leaf the edge. */
static fdc_status peel(scratch *x, fdc_substitution *steps, int32_t *depth) {
    const fdc_pattern *a = x->p.a;
    size_t n = (size_t)a->lines, edges = (size_t)x->edges;
    fdc_status status = FDC_ERR_MEMORY;
    int32_t *block = fdc_array(3 * n + 3 * edges + 1, sizeof *block);
    if (block == NULL) goto cleanup;
    int32_t *degree = block, *link = degree + n, *level = link + n;
    int32_t *begin = level + n, *members = begin + edges + 1,
            *queue = x->p.sample; /* (nnz,): twice the edges at least */
    fill(degree, 3 * n, 0);
    fill(begin, edges + 1, 0);
    for (int32_t e = 0; e < x->edges; e++)
        begin[tree_of(&x->t, e) + 1]++;
    for (int32_t e = 0; e < x->edges; e++)
        begin[e + 1] += begin[e];
    for (int32_t e = 0; e < x->edges; e++)
        members[begin[tree_of(&x->t, e)]++] = e; /* begin[t] is now where tree t ends */
    *depth = 0;
    fdc_substitution *step = steps;
    for (int32_t t = 0, from = 0; t < x->edges; from = begin[t], t++) {
        int32_t filled = 0;
        for (int32_t i = from; i < begin[t]; i++) {
            int32_t e = members[i], ends[2] = {a->index[x->entry[e]], a->index[x->mirror[e]]};
            for (int s = 0; s < 2; s++) {
                degree[ends[s]]++;
                link[ends[s]] ^= e;
            }
        }
        for (int32_t i = from; i < begin[t]; i++) {
            int32_t e = members[i], ends[2] = {a->index[x->entry[e]], a->index[x->mirror[e]]};
            for (int s = 0; s < 2; s++)
                if (degree[ends[s]] == 1) queue[filled++] = ends[s];
        }
        for (int32_t i = 0; i < filled; i++) {
            int32_t leaf = queue[i];
            if (degree[leaf] == 0) continue; /* the other end of the last edge */
            int32_t e = link[leaf], below = a->index[x->entry[e]], above = a->index[x->mirror[e]];
            int32_t parent = leaf == below ? above : below;
            *step++ = (fdc_substitution){leaf, parent, x->entry[e], x->mirror[e], 0};
            degree[leaf] = 0;
            link[leaf] = 0;
            link[parent] ^= e;
            if (level[parent] < level[leaf] + 1) level[parent] = level[leaf] + 1;
            if (level[parent] > *depth) *depth = level[parent];
            level[leaf] = 0;
            if (--degree[parent] == 1)
                queue[filled++] = parent;
            else if (degree[parent] == 0)
                level[parent] = 0;
        }
        if (begin[t] > from) step[-1].ends = 1;
    }
    status = FDC_OK;
cleanup:
    free(block);
    return status;
}

fdc_status fdc_color_acyclic(const fdc_pattern *a, fdc_order order, int32_t *color, int32_t *count,
                             fdc_substitution *steps, int32_t *depth, fdc_order *used) {
    scratch x = {0};
    *count = *depth = 0;
    fdc_status status = color_symmetric(&x, a, order, color, count, used, 1);
    if (status == FDC_OK) status = peel(&x, steps, depth);
    free(x.block);
    return status;
}

/* ---- recovery ------------------------------------------------------------------------------------------------ */

void fdc_recover_star(const fdc_pattern *a, const int32_t *color, const uint8_t *mirrored, const double *products,
                      double *values) {
    ptrdiff_t n = a->lines;
    for (int32_t i = 0; i < a->lines; i++) {
        for (int32_t k = a->start[i]; k < a->start[i + 1]; k++) {
            int32_t j = a->index[k];
            values[k] = mirrored[k] ? products[color[i] * n + j] : products[color[j] * n + i];
        }
    }
}

void fdc_recover_acyclic(const fdc_pattern *a, const int32_t *color, const fdc_substitution *steps,
                         ptrdiff_t step_count, const double *products, const double *scale, double *known,
                         double *values) {
    const ptrdiff_t n = a->lines;
    for (int32_t i = 0; i < a->lines; i++) {
        for (int32_t k = a->start[i]; k < a->start[i + 1]; k++) {
            if (a->index[k] == i) {
                values[k] = products[color[i] * n + i] / scale[i];
            }
        }
    }
    for (const fdc_substitution *s = steps; s < steps + step_count; s++) {
        const double value = (products[color[s->parent] * n + s->leaf] - known[s->leaf]) / scale[s->parent];
        values[s->entry] = values[s->mirror] = value;
        known[s->leaf] = 0.0;
        known[s->parent] = s->ends ? 0.0 : known[s->parent] + value * scale[s->leaf];
    }
}
