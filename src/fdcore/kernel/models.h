/* The losses of fdcore.models as native callbacks, and the arithmetic they share. */
#ifndef FDCORE_MODELS_H
#define FDCORE_MODELS_H

#include <math.h>
#include <stdint.h>

#include "internal.h"

/* The data behind a linear predictor z_i = intercept + X[i] . coef. The parameters are laid out as
 * [intercept,] coef[0], ..., coef[cols - 1]. `fdcore/models/_base.py` builds the same struct in Python. */
typedef struct fdc_regression {
    ptrdiff_t rows, cols;
    const double *X;       /* (rows, cols), row-major */
    const double *y;       /* (rows,) */
    const double *largest; /* (cols,) largest |X| of each column */
    double l2;             /* the loss has l2 / 2 * sum(coef^2) added; the intercept is free */
    int64_t intercept;
} fdc_regression;

/* Mean over the rows of (z - y)^2, and what a coordinate changes in it. */
int fdc_linear_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);
int fdc_linear_update(const fdc_update *update, double *change, void *ctx);
/* Mean over the rows of log(1 + exp(z)) - y z: the cross-entropy of the probability 1 / (1 + exp(-z)). */
int fdc_logistic_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);
int fdc_logistic_update(const fdc_update *update, double *change, void *ctx);
/* Mean over the rows of exp(z) - y z: minus the log likelihood of Poisson counts y with mean exp(z), but for log y!. */
int fdc_poisson_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);
int fdc_poisson_update(const fdc_update *update, double *change, void *ctx);

/* A fully connected network, rows in and one loss out. Layer k has weights W_k (width[k + 1], width[k]), row-major, and
 * biases b_k; the parameters are the layers' one after the other, each with its biases before or after its weights.
 * `fdcore/models/_network.py` builds the same struct in Python. */
typedef struct fdc_network {
    ptrdiff_t rows, layers;
    const ptrdiff_t *width; /* (layers + 1,) columns of X, units of each layer */
    const double *X;        /* (rows, width[0]), row-major */
    const double *Y;        /* (rows, width[layers]) targets: values, or probabilities that add up to one */
    double l2;              /* the loss has l2 / 2 * sum of the squared weights added; biases are free */
    int64_t activation;     /* fdc_activation, of all layers but the last */
    int64_t squared;        /* mean squared error over all entries of Y, instead of the cross-entropy of a softmax */
    int64_t bias;           /* 0: no biases, 1: before the weights, 2: after them */
} fdc_network;

#define FDC_GELU_SCALE 0.7978845608028654 /* sqrt(2 / pi) */
#define FDC_GELU_CUBE 0.044715

typedef enum fdc_activation {
    FDC_TANH = 0,
    FDC_RELU,
    FDC_SIGMOID,
    FDC_GELU, /* z / 2 * (1 + tanh(FDC_GELU_SCALE * (z + FDC_GELU_CUBE * z^3))) */
    FDC_ACTIVATION_COUNT
} fdc_activation;

int fdc_network_loss(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);
int fdc_network_update(const fdc_update *update, double *change, void *ctx);

static inline double fdc_activate(int64_t activation, double z) {
    switch ((fdc_activation)activation) {
    case FDC_TANH:
        return tanh(z);
    case FDC_RELU:
        return z <= 0.0 ? 0.0 : z; /* NaN stays */
    case FDC_SIGMOID: {
        const double e = exp(-fabs(z));
        return (z > 0.0 ? 1.0 : e) / (1.0 + e);
    }
    case FDC_GELU:
        return 0.5 * z * (1.0 + tanh(FDC_GELU_SCALE * (z + FDC_GELU_CUBE * (z * z * z))));
    case FDC_ACTIVATION_COUNT:
        break;
    }
    return z;
}

/* How many parameters there are, and the widest layer, inputs included. */
ptrdiff_t fdc_network_size(const fdc_network *net, ptrdiff_t *widest);

/* Where layer k's weights and biases are, given where the layer starts. Returns where the next one does. */
static inline const double *fdc_network_layer(const fdc_network *net, ptrdiff_t k, const double *params,
                                              const double **W, const double **b) {
    const ptrdiff_t out = net->width[k + 1], size = out * net->width[k];
    *W = net->bias == 1 ? params + out : params;
    *b = net->bias == 0 ? NULL : net->bias == 1 ? params : params + size;
    return params + size + (net->bias == 0 ? 0 : out);
}

/* The loss of one row, whose output k is z[k * stride]; the penalty and the mean are not in it. */
double fdc_network_row_loss(const fdc_network *net, const double *z, ptrdiff_t stride, const double *Y);

typedef struct fdc_model {
    const char *name;
    fdc_fn loss;
    fdc_update_fn update; /* or NULL */
} fdc_model;

/* The model of that name ("linear", "logistic", "poisson", "network"), or NULL. */
const fdc_model *fdc_model_find(const char *name);

/* A sum that carries what rounding took from it, so that its error does not grow with the number of terms. The error of
 * a loss is the floor under every numeric gradient of it. */
typedef struct fdc_sum {
    double high, low;
} fdc_sum;

static inline void fdc_sum_add(fdc_sum *sum, double value) {
    const double total = sum->high + value;
    const double added = total - sum->high;
    sum->low += (sum->high - (total - added)) + (value - added);
    sum->high = total;
}

static inline double fdc_sum_value(const fdc_sum *sum) {
    return isfinite(sum->low) ? sum->high + sum->low : sum->high; /* inf - inf in `low` must not hide an inf */
}

/* Eight partial sums: wide enough for the compiler to vectorise without leave to reorder, and a shorter chain of
 * roundings than one sum. */
static inline double fdc_dot(ptrdiff_t n, const double *a, const double *b) {
    enum { LANES = 8 };
    double part[LANES] = {0.0};
    double tail = 0.0;
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (ptrdiff_t lane = 0; lane < LANES; lane++) {
            part[lane] += a[i + lane] * b[i + lane];
        }
    }
    for (; i < n; i++) {
        tail += a[i] * b[i];
    }
    return (((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]))) + tail;
}

/* The first row of a part, and the end of the part before. */
static inline ptrdiff_t fdc_part_begin(ptrdiff_t rows, ptrdiff_t part, ptrdiff_t parts) {
    return rows / parts * part + rows % parts * part / parts;
}

/* From sums over rows to means. */
void fdc_divide(ptrdiff_t count, double *values, double by);

/* ---- series for small arguments ------------------------------------------------------------------------------- */

/* What coordinate updates move by is small. Up to this size the following are correct to rounding, and loops over them
 * vectorise. */
#define FDC_SMALL 0.015625

/* e^x - 1 */
static inline double fdc_small_expm1(double x) {
    double q = 1.0 / 5040.0;
    q = q * x + 1.0 / 720.0;
    q = q * x + 1.0 / 120.0;
    q = q * x + 1.0 / 24.0;
    q = q * x + 1.0 / 6.0;
    q = q * x + 0.5;
    return x + x * x * q;
}

static inline double fdc_small_tanh(double x) {
    const double w = x * x;
    return x + x * w * (-1.0 / 3.0 + w * (2.0 / 15.0 + w * (-17.0 / 315.0 + w * (62.0 / 2835.0))));
}

/* log(1 + x) = 2 artanh(x / (2 + x)) */
static inline double fdc_small_log1p(double x) {
    const double s = x / (2.0 + x), w = s * s;
    return 2.0 * s + 2.0 * s * w * (1.0 / 3.0 + w * (0.2 + w * (1.0 / 7.0)));
}

#endif
