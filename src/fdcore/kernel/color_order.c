/* color_order.c - patterns, and the orders in which greedy colourings visit the vertices. */
#include "color_order.h"

#include <stdlib.h>
#include <string.h>

void *fdc_array(size_t count, size_t size) {
    if (count > SIZE_MAX / size) return NULL;
    return malloc(count ? count * size : 1);
}

/* ---- patterns ------------------------------------------------------------------------------------------------ */

/* In loops that vectorise: whether all indices are from 0 to below width, and how many are not above the one before. */
static int in_range(int32_t count, const int32_t *index, int32_t width, int32_t *descents) {
    uint32_t outside = 0;
    int32_t down = 0;
    for (int32_t k = 0; k < count; k++) {
        outside |= (uint32_t)index[k] >= (uint32_t)width;
    }
    for (int32_t k = 1; k < count; k++) {
        down += index[k] <= index[k - 1];
    }
    *descents = down;
    return outside == 0;
}

fdc_status fdc_pattern_check(const fdc_pattern *p, int32_t *line) {
    *line = -1;
    if (p->lines < 0 || p->width < 0 || p->start == NULL || p->start[0] != 0) return FDC_ERR_ARGUMENT;
    int32_t backwards = 0;
    for (int32_t i = 0; i < p->lines; i++) {
        backwards |= p->start[i + 1] < p->start[i];
    }
    for (int32_t i = 0; backwards && i < p->lines; i++) {
        *line = i;
        if (p->start[i + 1] < p->start[i]) return FDC_ERR_ARGUMENT;
    }
    /* Where all is well, the only descents are from one line to the next. */
    const int32_t nnz = p->start[p->lines];
    int32_t descents, between = 0;
    const int fits = in_range(nnz, p->index, p->width, &descents);
    for (int32_t i = 0; i < p->lines; i++) {
        const int32_t k = p->start[i];
        between += k > 0 && k < p->start[i + 1] && p->index[k] <= p->index[k - 1];
    }
    if (fits && descents == between) return FDC_OK;
    for (int32_t i = 0; i < p->lines; i++) {
        int32_t last = -1;
        for (int32_t k = p->start[i]; k < p->start[i + 1]; k++) {
            *line = i;
            if (p->index[k] <= last || p->index[k] >= p->width) return FDC_ERR_ARGUMENT;
            last = p->index[k];
        }
    }
    return FDC_ERR_ARGUMENT;
}

fdc_status fdc_pattern_transpose(const fdc_pattern *p, int32_t *start, int32_t *index, int32_t *position) {
    const int32_t nnz = p->start[p->lines];
    int32_t *cursor = start + 1; /* of line j: its entries, then its end, then, as it is filled from there, its begin */
    memset(start, 0, ((size_t)p->width + 1) * sizeof *start);
    for (int32_t k = 0; k < nnz; k++)
        cursor[p->index[k]]++;
    for (int32_t j = 1; j < p->width; j++)
        cursor[j] += cursor[j - 1];
    for (int32_t i = p->lines - 1; i >= 0; i--) {
        for (int32_t k = p->start[i + 1] - 1; k >= p->start[i]; k--) {
            const int32_t at = --cursor[p->index[k]];
            index[at] = i;
            if (position != NULL) position[at] = k;
        }
    }
    memmove(start, cursor, (size_t)p->width * sizeof *start);
    start[p->width] = nnz;
    return FDC_OK;
}

int fdc_pattern_is_symmetric(const fdc_pattern *p, int32_t *cursor) {
    if (p->lines != p->width) return 0;
    memcpy(cursor, p->start, (size_t)p->lines * sizeof *cursor);
    for (int32_t i = 0; i < p->lines; i++) {
        for (int32_t k = p->start[i]; k < p->start[i + 1]; k++) {
            const int32_t j = p->index[k], mirror = cursor[j]++; /* rows come in order, so it must be the next one */
            if (mirror == p->start[j + 1] || p->index[mirror] != i) return 0;
        }
    }
    return 1;
}

int32_t fdc_pattern_longest(const fdc_pattern *p) {
    int32_t longest = 0;
    for (int32_t i = 0; i < p->lines; i++)
        if (p->start[i + 1] - p->start[i] > longest) longest = p->start[i + 1] - p->start[i];
    return longest;
}

/* ---- a bucket queue: vertices by a small integer key, in linked lists ------------------------------------------ */

typedef struct queue {
    int32_t *head; /* (keys,) first vertex with that key, or -1 */
    int32_t *next, *prev, *key;
    int32_t extreme; /* no vertex has a key above (or, for pop_least, below) this one */
} queue;

#define OUT_OF_QUEUE (-1)

static void queue_push(queue *q, int32_t v, int32_t key) {
    q->key[v] = key;
    q->prev[v] = -1;
    q->next[v] = q->head[key];
    if (q->head[key] >= 0) q->prev[q->head[key]] = v;
    q->head[key] = v;
}

static void queue_unlink(queue *q, int32_t v) {
    if (q->prev[v] >= 0)
        q->next[q->prev[v]] = q->next[v];
    else
        q->head[q->key[v]] = q->next[v];
    if (q->next[v] >= 0) q->prev[q->next[v]] = q->prev[v];
}

static int32_t queue_take(queue *q, int32_t v) {
    queue_unlink(q, v);
    q->key[v] = OUT_OF_QUEUE;
    return v;
}

static int32_t queue_pop_greatest(queue *q) {
    while (q->head[q->extreme] < 0)
        q->extreme--;
    return queue_take(q, q->head[q->extreme]);
}

static int32_t queue_pop_least(queue *q) {
    while (q->head[q->extreme] < 0)
        q->extreme++;
    return queue_take(q, q->head[q->extreme]);
}

/* ---- orders -------------------------------------------------------------------------------------------------- */

typedef struct graph {
    const fdc_pattern *columns, *rows;
    int32_t n;
    int32_t *mark; /* (n,) the last vertex whose neighbourhood v was listed in */
    int32_t *list; /* (n,) */
} graph;

/* The neighbours of v, each once, into g->list. */
static int32_t neighbours(graph *g, int32_t v) {
    int32_t count = 0;
    g->mark[v] = v;
    for (int32_t k = g->columns->start[v]; k < g->columns->start[v + 1]; k++) {
        int32_t w = g->columns->index[k];
        if (g->rows == NULL) {
            if (w != v) g->list[count++] = w;
            continue;
        }
        for (int32_t l = g->rows->start[w]; l < g->rows->start[w + 1]; l++) {
            int32_t u = g->rows->index[l];
            if (g->mark[u] != v) {
                g->mark[u] = v;
                g->list[count++] = u;
            }
        }
    }
    return count;
}

static void forget(graph *g) {
    for (int32_t v = 0; v < g->n; v++)
        g->mark[v] = -1;
}

static void order_largest_first(graph *g, const int32_t *degree, queue *q, int32_t *order) {
    for (int32_t v = g->n - 1; v >= 0; v--)
        queue_push(q, v, degree[v]);
    q->extreme = g->n - 1;
    for (int32_t t = 0; t < g->n; t++)
        order[t] = queue_pop_greatest(q);
}

static void order_smallest_last(graph *g, const int32_t *degree, queue *q, int32_t *order) {
    for (int32_t v = 0; v < g->n; v++)
        queue_push(q, v, degree[v]);
    q->extreme = 0;
    for (int32_t t = g->n - 1; t >= 0; t--) {
        int32_t v = queue_pop_least(q);
        order[t] = v;
        int32_t count = neighbours(g, v);
        for (int32_t i = 0; i < count; i++) {
            int32_t u = g->list[i];
            if (q->key[u] == OUT_OF_QUEUE) continue;
            queue_unlink(q, u);
            queue_push(q, u, q->key[u] - 1);
        }
        if (q->extreme > 0) q->extreme--;
    }
}

/* Starts with the vertex of largest degree; ties go to what was touched last, so that the coloured part grows as one
 * front. With `colors` (bit sets) the key is the number of colours among the neighbours, else that of neighbours. */
static void order_by_incidence(graph *g, const int32_t *degree, uint64_t *colors, queue *q, int32_t *order) {
    int32_t first = 0;
    for (int32_t v = g->n - 1; v >= 0; v--) {
        queue_push(q, v, 0);
        if (degree[v] >= degree[first]) first = v;
        if (colors != NULL) colors[v] = 0;
    }
    q->extreme = 0;
    for (int32_t t = 0; t < g->n; t++) {
        int32_t v = t == 0 ? queue_take(q, first) : queue_pop_greatest(q);
        order[t] = v;
        int32_t count = neighbours(g, v);
        uint64_t bit = colors == NULL ? 0 : ~colors[v] & (colors[v] + 1); /* the least colour that is free */
        for (int32_t i = 0; i < count; i++) {
            int32_t u = g->list[i];
            if (q->key[u] == OUT_OF_QUEUE) continue;
            if (colors != NULL) {
                if ((colors[u] & bit) == bit) continue;
                colors[u] |= bit;
            }
            queue_unlink(q, u);
            queue_push(q, u, q->key[u] + 1);
            if (q->key[u] > q->extreme) q->extreme = q->key[u];
        }
    }
}

struct fdc_orderer {
    graph g;
    queue q;
    int32_t *order, *degree;
    uint64_t *colors;
    int32_t *block;
};

fdc_orderer *fdc_orderer_create(const fdc_pattern *columns, const fdc_pattern *rows) {
    fdc_orderer *o = calloc(1, sizeof *o);
    if (o == NULL) return NULL;
    size_t n = (size_t)columns->lines;
    int32_t **parts[] = {&o->q.head, &o->q.next, &o->q.prev, &o->q.key, &o->g.mark, &o->g.list, &o->order, &o->degree};
    size_t count = sizeof parts / sizeof *parts;
    o->block = fdc_array(count * (n + 1), sizeof *o->block);
    o->colors = fdc_array(n, sizeof *o->colors);
    if (o->block == NULL || o->colors == NULL) {
        fdc_orderer_destroy(o);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        *parts[i] = o->block + i * (n + 1);
    o->g.columns = columns;
    o->g.rows = rows;
    o->g.n = columns->lines;
    forget(&o->g);
    for (int32_t v = 0; v < o->g.n; v++)
        o->degree[v] = neighbours(&o->g, v);
    return o;
}

void fdc_orderer_destroy(fdc_orderer *o) {
    if (o == NULL) return;
    free(o->block);
    free(o->colors);
    free(o);
}

const int32_t *fdc_orderer_make(fdc_orderer *o, fdc_order order) {
    forget(&o->g);
    for (int32_t d = 0; d <= o->g.n; d++)
        o->q.head[d] = -1;
    if (order == FDC_ORDER_LARGEST_FIRST)
        order_largest_first(&o->g, o->degree, &o->q, o->order);
    else if (order == FDC_ORDER_SMALLEST_LAST)
        order_smallest_last(&o->g, o->degree, &o->q, o->order);
    else
        order_by_incidence(&o->g, o->degree, order == FDC_ORDER_SATURATION ? o->colors : NULL, &o->q, o->order);
    return o->order;
}

const int32_t *fdc_orderer_by_class(fdc_orderer *o, const int32_t *color, int32_t colors) {
    int32_t *head = o->q.head;
    memset(head, 0, ((size_t)colors + 1) * sizeof *head);
    for (int32_t v = 0; v < o->g.n; v++)
        head[colors - color[v]]++;
    for (int32_t c = 0; c < colors; c++)
        head[c + 1] += head[c];
    for (int32_t v = 0; v < o->g.n; v++)
        o->order[head[colors - 1 - color[v]]++] = v;
    return o->order;
}
