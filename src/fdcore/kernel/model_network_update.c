/* Coordinate updates of a network: moving one weight moves one unit, and what follows from that is worked out from the
 * unit on, row by row, from values of the row's forward pass.
 *
 * In the last two layers small moves have a closed form: the change of the unit's value, then the change of the row's
 * loss as a function of that one number. Earlier layers, and moves that are not small, go through what is left of the
 * network. */
#include "models.h"

#include <stdlib.h>
#include <string.h>

enum { TERMS = 7 }; /* of e^x - 1, for |x| <= FDC_SMALL */

/* A row on its way through the network. Values are stored layer by layer, inputs first. */
typedef struct row {
    const fdc_network *net;
    const double *params;
    double *z, *a;     /* before and after the activation; a of the inputs is x */
    ptrdiff_t outputs; /* where the last layer starts */
    double *slope;     /* per output: its probability, or its residual */
    const double *Y;
    double loss;
    double *from, *to; /* (widest,) each */
} row;

FDC_WIDE static void forward(row *s, ptrdiff_t i) {
    const fdc_network *net = s->net;
    const double *W, *b, *next = s->params;
    double *in = s->a, *z = s->z + net->width[0];
    memcpy(in, net->X + i * net->width[0], (size_t)net->width[0] * sizeof *in);
    for (ptrdiff_t k = 0; k < net->layers; k++) {
        next = fdc_network_layer(net, k, next, &W, &b);
        double *out = in + net->width[k];
        for (ptrdiff_t v = 0; v < net->width[k + 1]; v++) {
            z[v] = fdc_dot(net->width[k], W + v * net->width[k], in) + (b != NULL ? b[v] : 0.0);
            out[v] = k + 1 < net->layers ? fdc_activate(net->activation, z[v]) : z[v];
        }
        in = out;
        z += net->width[k + 1];
    }
    const ptrdiff_t outputs = net->width[net->layers];
    z = s->z + s->outputs;
    s->Y = net->Y + i * outputs;
    s->loss = fdc_network_row_loss(net, z, 1, s->Y);
    double highest = z[0], total = 0.0;
    for (ptrdiff_t v = 1; v < outputs; v++) {
        highest = z[v] > highest ? z[v] : highest;
    }
    for (ptrdiff_t v = 0; v < outputs; v++) {
        s->slope[v] = net->squared ? z[v] - s->Y[v] : exp(z[v] - highest);
        total += s->slope[v];
    }
    for (ptrdiff_t v = 0; v < outputs && !net->squared; v++) {
        s->slope[v] /= total;
    }
}

/* One unit that is moved. */
typedef struct unit {
    ptrdiff_t layer, index; /* of the layer's weights, counted from 0; in the layer */
    ptrdiff_t start;        /* where the unit's layer starts in z and a */
    const double *after;    /* the next layer's parameters */
    double z, a;
    double power[TERMS]; /* change of the loss by the outputs, as a series in the change of a */
    double linear;       /* and what is linear in it, for the cross-entropy */
    double share;        /* 1, or 1 / outputs for the squared error */
} unit;

/* The change of the row's loss when unit u's z moves by d, through the rest of the network. */
static double moved(const row *s, const unit *u, double d) {
    const fdc_network *net = s->net;
    const ptrdiff_t last = net->layers;
    ptrdiff_t k = u->layer + 1, start = u->start;
    double *from = s->from, *to = s->to;
    memcpy(from, s->a + start, (size_t)net->width[k] * sizeof *from);
    from[u->index] = k < last ? fdc_activate(net->activation, u->z + d) : u->z + d;
    const double change = from[u->index] - u->a, *next = u->after, *W, *b;
    for (; k < last; k++) {
        next = fdc_network_layer(net, k, next, &W, &b);
        const ptrdiff_t in = net->width[k], out = net->width[k + 1];
        start += in;
        for (ptrdiff_t v = 0; v < out; v++) {
            const double z = k == u->layer + 1 ? s->z[start + v] + W[v * in + u->index] * change
                                               : fdc_dot(in, W + v * in, from) + (b != NULL ? b[v] : 0.0);
            to[v] = k + 1 < last ? fdc_activate(net->activation, z) : z;
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    return fdc_network_row_loss(net, from, 1, s->Y) - s->loss;
}

/* ---- small moves ------------------------------------------------------------------------------------------------ */

/* How much faster than z the activation can move, and the argument of its tanh. */
static double steepest(const fdc_network *net, double z) {
    return net->activation == FDC_GELU ? 1.2 + FDC_GELU_SCALE * 3.0 * FDC_GELU_CUBE * (fabs(z) + 1.0) * (fabs(z) + 1.0)
                                       : 1.0;
}

/* The change of a when z moves by a small d. */
static inline double small_activate(int64_t activation, double z, double a, double d) {
    switch (activation) {
    case FDC_TANH: {
        const double t = fdc_small_tanh(d);
        return t * (1.0 - a * a) / (1.0 + a * t);
    }
    case FDC_SIGMOID: {
        const double e = fdc_small_expm1(d);
        return a * (1.0 - a) * e / (1.0 + a * e);
    }
    case FDC_GELU: { /* here `a` is the tanh */
        const double t = fdc_small_tanh(FDC_GELU_SCALE * d * (1.0 + FDC_GELU_CUBE * (3.0 * z * (z + d) + d * d)));
        const double change = t * (1.0 - a * a) / (1.0 + a * t);
        return 0.5 * (d * (1.0 + a + change) + z * change);
    }
    default:
        return d;
    }
}

/* The change of the loss when the unit's value changes by a small amount. */
static inline double small_loss(const unit *u, int squared, double a) {
    if (squared) {
        return u->share * (a * (u->power[0] + a * u->power[1]));
    }
    double sum = u->power[TERMS - 1];
    for (int term = TERMS - 2; term >= 0; term--) {
        sum = sum * a + u->power[term];
    }
    return fdc_small_log1p(sum * a) - u->linear * a;
}

static inline void small_moves(const unit *u, int64_t activation, int squared, ptrdiff_t cols,
                               const double *restrict in, const double *restrict delta, double *restrict change) {
    const unit local = *u;
    const double z = local.z;
    const double a = activation == FDC_GELU ? tanh(FDC_GELU_SCALE * (z + FDC_GELU_CUBE * (z * z * z))) : local.a;
    for (ptrdiff_t c = 0; c < cols; c++) {
        change[c] += small_loss(&local, squared, small_activate(activation, z, a, delta[c] * in[c]));
    }
}

/* A loop for each activation (-1: none) and loss, so that nothing is decided inside. */
FDC_WIDE static void small_columns(const unit *u, int64_t activation, int squared, ptrdiff_t cols, const double *in,
                                   const double *delta, double *change) {
    switch (activation * 2 + squared) {
    case FDC_TANH * 2:
        small_moves(u, FDC_TANH, 0, cols, in, delta, change);
        break;
    case FDC_TANH * 2 + 1:
        small_moves(u, FDC_TANH, 1, cols, in, delta, change);
        break;
    case FDC_SIGMOID * 2:
        small_moves(u, FDC_SIGMOID, 0, cols, in, delta, change);
        break;
    case FDC_SIGMOID * 2 + 1:
        small_moves(u, FDC_SIGMOID, 1, cols, in, delta, change);
        break;
    case FDC_GELU * 2:
        small_moves(u, FDC_GELU, 0, cols, in, delta, change);
        break;
    case FDC_GELU * 2 + 1:
        small_moves(u, FDC_GELU, 1, cols, in, delta, change);
        break;
    default:
        if (squared) {
            small_moves(u, -1, 1, cols, in, delta, change);
        } else {
            small_moves(u, -1, 0, cols, in, delta, change);
        }
    }
}

static const double inverse_factorial[TERMS] = {1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040};

/* Fills the series of unit u. Returns how far z may move for it to hold, or a negative number. */
static double small_series(const row *s, unit *u) {
    const fdc_network *net = s->net;
    const ptrdiff_t outputs = net->width[net->layers];
    const int hidden = u->layer + 1 < net->layers;
    if (u->layer + 2 < net->layers) {
        return -1.0;
    }
    memset(u->power, 0, sizeof u->power);
    u->linear = 0.0;
    u->share = 1.0 / (double)outputs;
    double widest = 1.0;
    const double *W = NULL, *b = NULL;
    if (hidden) {
        (void)fdc_network_layer(net, u->layer + 1, u->after, &W, &b);
    }
    const ptrdiff_t begin = hidden ? 0 : u->index, end = hidden ? outputs : u->index + 1;
    for (ptrdiff_t v = begin; v < end; v++) {
        const double w = hidden ? W[v * net->width[u->layer + 1] + u->index] : 1.0;
        widest = fabs(w) > widest ? fabs(w) : widest;
        if (net->squared) {
            u->power[0] += 2.0 * s->slope[v] * w;
            u->power[1] += w * w;
            continue;
        }
        double term = s->slope[v];
        for (int k = 0; k < TERMS; k++) {
            term *= w;
            u->power[k] += term;
        }
        u->linear += s->Y[v] * w;
    }
    for (int k = 0; k < TERMS && !net->squared; k++) {
        u->power[k] *= inverse_factorial[k];
    }
    const double limit = FDC_SMALL / (hidden ? steepest(net, u->z) * (net->squared ? 1.0 : widest) : 1.0);
    const double kink = 0.999 * fabs(u->z);
    return hidden && net->activation == FDC_RELU && !(kink > limit) ? kink : limit;
}

/* ---- an update -------------------------------------------------------------------------------------------------- */

/* Columns lo..hi of the update, which move unit u by delta * in, by `furthest` at the most. Whether a column takes the
 * short way depends on its own move alone. */
static void columns(const row *s, const unit *u, double limit, double furthest, const fdc_update *update, ptrdiff_t lo,
                    ptrdiff_t hi, const double *in, double *change) {
    const fdc_network *net = s->net;
    const int relu = u->layer + 1 < net->layers && net->activation == FDC_RELU;
    const int64_t activation = u->layer + 1 < net->layers && !relu ? net->activation : -1;
    for (ptrdiff_t k = 0; k < update->points; k++) {
        const double *delta = update->delta + k * update->cols + lo;
        double *sum = change + k * update->cols + lo;
        if (furthest <= limit) {
            if (!(relu && u->z < 0.0)) {
                small_columns(u, activation, net->squared != 0, hi - lo, in, delta, sum);
            }
            continue;
        }
        for (ptrdiff_t c = 0; c < hi - lo; c++) {
            const double d = delta[c] * in[c];
            if (d != 0.0 && !(fabs(d) <= limit)) {
                sum[c] += moved(s, u, d);
            } else if (d != 0.0 && !(relu && u->z < 0.0)) {
                small_columns(u, activation, net->squared != 0, 1, in + c, delta + c, sum + c);
            }
        }
    }
}

static ptrdiff_t clip(ptrdiff_t value, ptrdiff_t lowest, ptrdiff_t highest) {
    return value < lowest ? lowest : value > highest ? highest : value;
}

/* The largest size of the values; in lanes, so that it is vectorised. */
FDC_WIDE static double largest(ptrdiff_t count, const double *values) {
    enum { LANES = 8 };
    double most[LANES] = {0.0};
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (ptrdiff_t lane = 0; lane < LANES; lane++) {
            const double size = fabs(values[i + lane]);
            most[lane] = size <= most[lane] ? most[lane] : size;
        }
    }
    for (; i < count; i++) {
        const double size = fabs(values[i]);
        most[0] = size <= most[0] ? most[0] : size;
    }
    for (ptrdiff_t lane = 1; lane < LANES; lane++) {
        most[0] = most[lane] <= most[0] ? most[0] : most[lane];
    }
    return most[0];
}

/* What moving each column changes in the loss of one row. */
static void add_row(const row *s, const fdc_update *update, double furthest, double *change) {
    const fdc_network *net = s->net;
    const double one = 1.0, *W, *b, *params = s->params;
    ptrdiff_t start = 0;
    for (ptrdiff_t k = 0; k < net->layers; k++) {
        const double *after = fdc_network_layer(net, k, params, &W, &b);
        const ptrdiff_t in = net->width[k], out = net->width[k + 1];
        const double *values = s->a + start;
        const double most = largest(in, values), reach = furthest * (most > 1.0 ? most : 1.0);
        start += in;
        /* In columns of this update: the layer's weights, and its biases. */
        const ptrdiff_t weights = W - s->params - update->first;
        const ptrdiff_t biases = b != NULL ? b - s->params - update->first : update->cols;
        for (ptrdiff_t v = 0; v < out; v++) {
            const ptrdiff_t lo = clip(weights + v * in, 0, update->cols);
            const ptrdiff_t hi = clip(weights + (v + 1) * in, 0, update->cols);
            const int biased = b != NULL && biases + v >= 0 && biases + v < update->cols;
            if (lo == hi && !biased) {
                continue;
            }
            unit u = {.layer = k, .index = v, .start = start, .after = after};
            u.z = s->z[start + v];
            u.a = s->a[start + v];
            const double limit = small_series(s, &u);
            if (lo < hi) {
                columns(s, &u, limit, reach, update, lo, hi, values + (lo - weights - v * in), change);
            }
            if (biased) {
                columns(s, &u, limit, reach, update, biases + v, biases + v + 1, &one, change);
            }
        }
        params = after;
    }
}

/* From sums over rows to the mean, and the penalty's change. */
static void finish(const fdc_network *net, const fdc_update *update, double *change) {
    const double *W, *b, *params = update->x;
    fdc_divide(update->points * update->cols, change, (double)net->rows);
    for (ptrdiff_t k = 0; k < net->layers && net->l2 > 0.0 && update->part == 0; k++) {
        params = fdc_network_layer(net, k, params, &W, &b);
        const ptrdiff_t weights = W - update->x - update->first, size = net->width[k] * net->width[k + 1];
        const ptrdiff_t lo = clip(weights, 0, update->cols), hi = clip(weights + size, 0, update->cols);
        for (ptrdiff_t point = 0; point < update->points; point++) {
            for (ptrdiff_t c = lo; c < hi; c++) {
                const double d = update->delta[point * update->cols + c];
                change[point * update->cols + c] += 0.5 * net->l2 * (d * (2.0 * update->x[update->first + c] + d));
            }
        }
    }
}

int fdc_network_update(const fdc_update *update, double *change, void *ctx) {
    const fdc_network *net = ctx;
    ptrdiff_t widest, units = 0;
    if (update->m != 1 || update->n != fdc_network_size(net, &widest)) {
        return FDC_ERR_ARGUMENT;
    }
    for (ptrdiff_t k = 0; k <= net->layers; k++) {
        units += net->width[k];
    }
    memset(change, 0, (size_t)(update->points * update->cols) * sizeof *change);
    const ptrdiff_t begin = fdc_part_begin(net->rows, update->part, update->parts);
    const ptrdiff_t end = fdc_part_begin(net->rows, update->part + 1, update->parts);
    if (begin < end) {
        double *values = malloc((size_t)(2 * units + 3 * widest) * sizeof *values);
        if (values == NULL) {
            return FDC_ERR_MEMORY;
        }
        row s = {.net = net,
                 .params = update->x,
                 .z = values,
                 .a = values + units,
                 .outputs = units - net->width[net->layers],
                 .slope = values + 2 * units,
                 .from = values + 2 * units + widest,
                 .to = values + 2 * units + 2 * widest};
        const double furthest = largest(update->points * update->cols, update->delta);
        for (ptrdiff_t i = begin; i < end; i++) {
            forward(&s, i);
            add_row(&s, update, furthest, change);
        }
        free(values);
    }
    finish(net, update, change);
    return 0;
}
