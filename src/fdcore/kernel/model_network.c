/* Fully connected networks; softmax regression is the one without hidden layers. */
#include "models.h"

#include <stdlib.h>

/* Rows that go through a layer together: each weight is read once for all of them, and the loop over them vectorises
 * without leave to reorder sums. Values of a layer are stored unit by unit, (units, LANES). */
enum { LANES = 8 };

FDC_WIDE static void affine(ptrdiff_t in, ptrdiff_t out, const double *W, const double *b, const double *a, double *z) {
    for (ptrdiff_t k = 0; k < out; k++) {
        const double *w = W + k * in;
        double even[LANES] = {0.0}, odd[LANES] = {0.0};
        ptrdiff_t j = 0;
        for (; j + 2 <= in; j += 2) {
            for (int r = 0; r < LANES; r++) {
                even[r] += w[j] * a[j * LANES + r];
                odd[r] += w[j + 1] * a[(j + 1) * LANES + r];
            }
        }
        for (int r = 0; r < LANES; r++) {
            const double last = j < in ? w[j] * a[j * LANES + r] : 0.0;
            z[k * LANES + r] = ((even[r] + odd[r]) + last) + (b != NULL ? b[k] : 0.0);
        }
    }
}

static double cross_entropy(ptrdiff_t classes, const double *z, ptrdiff_t stride, const double *Y) {
    double highest = z[0], linear = 0.0, others = 0.0;
    for (ptrdiff_t k = 1; k < classes; k++) {
        highest = z[k * stride] > highest ? z[k * stride] : highest;
    }
    ptrdiff_t ties = 0;
    for (ptrdiff_t k = 0; k < classes; k++) {
        const double below = highest - z[k * stride];
        linear += Y[k] > 0.0 ? Y[k] * below : 0.0;
        ties += below == 0.0;
        others += below == 0.0 ? 0.0 : exp(-below);
    }
    /* The largest term is left out of the sum: where the others are tiny, they are the loss. */
    return linear + log1p(others + (double)(ties - 1));
}

static double squared_error(ptrdiff_t outputs, const double *z, ptrdiff_t stride, const double *Y) {
    double sum = 0.0;
    for (ptrdiff_t k = 0; k < outputs; k++) {
        const double residual = z[k * stride] - Y[k];
        sum += residual * residual;
    }
    return sum / (double)outputs;
}

double fdc_network_row_loss(const fdc_network *net, const double *z, ptrdiff_t stride, const double *Y) {
    const ptrdiff_t outputs = net->width[net->layers];
    return net->squared ? squared_error(outputs, z, stride, Y) : cross_entropy(outputs, z, stride, Y);
}

ptrdiff_t fdc_network_size(const fdc_network *net, ptrdiff_t *widest) {
    ptrdiff_t parameters = 0;
    *widest = net->width[0];
    for (ptrdiff_t k = 0; k < net->layers; k++) {
        parameters += net->width[k + 1] * (net->width[k] + (net->bias == 0 ? 0 : 1));
        *widest = net->width[k + 1] > *widest ? net->width[k + 1] : *widest;
    }
    return parameters;
}

static double loss(const fdc_network *net, const double *params, double *from, double *to) {
    const ptrdiff_t inputs = net->width[0], outputs = net->width[net->layers];
    const double *W, *b;
    fdc_sum sum = {0.0, 0.0};
    for (ptrdiff_t row = 0; row < net->rows; row += LANES) {
        const ptrdiff_t left = net->rows - row < LANES ? net->rows - row : LANES;
        for (ptrdiff_t r = 0; r < LANES; r++) {
            const double *x = net->X + (row + (r < left ? r : 0)) * inputs;
            for (ptrdiff_t j = 0; j < inputs; j++) {
                from[j * LANES + r] = x[j];
            }
        }
        const double *next = params;
        for (ptrdiff_t k = 0; k < net->layers; k++) {
            next = fdc_network_layer(net, k, next, &W, &b);
            affine(net->width[k], net->width[k + 1], W, b, from, to);
            if (k + 1 < net->layers) {
                for (ptrdiff_t i = 0; i < net->width[k + 1] * LANES; i++) {
                    to[i] = fdc_activate(net->activation, to[i]);
                }
            }
            double *swap = from;
            from = to;
            to = swap;
        }
        for (ptrdiff_t r = 0; r < left; r++) {
            fdc_sum_add(&sum, fdc_network_row_loss(net, from + r, LANES, net->Y + (row + r) * outputs));
        }
    }
    double value = fdc_sum_value(&sum) / (double)net->rows;
    const double *next = params;
    for (ptrdiff_t k = 0; net->l2 > 0.0 && k < net->layers; k++) {
        next = fdc_network_layer(net, k, next, &W, &b);
        value += 0.5 * net->l2 * fdc_dot(net->width[k] * net->width[k + 1], W, W);
    }
    return value;
}

int fdc_network_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    const fdc_network *net = ctx;
    ptrdiff_t widest;
    if (m != 1 || n != fdc_network_size(net, &widest)) {
        return FDC_ERR_ARGUMENT;
    }
    double *values = malloc((size_t)widest * 2 * LANES * sizeof *values);
    if (values == NULL) {
        return FDC_ERR_MEMORY;
    }
    for (ptrdiff_t i = 0; i < count; i++) {
        y[i] = loss(net, x + i * n, values, values + widest * LANES);
    }
    free(values);
    return 0;
}
