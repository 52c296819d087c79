/* adaptive_view.c - what nine values of f in one window say: derivative, error bar, and whether f is a polynomial
 * there. */
#include "adaptive_impl.h"
#include "internal.h"

/* The probes are near 1 + sqrt 2 and 2 - sqrt 5, and near 4 + the golden ratio and 2 less than it, as multiples of
 * 1/256: with h a multiple of 2^10 ulp(x), x + probe * h is exact. */
const window fdc_window_central = {{-3, -2, -1, 0, 1, 2, 3, 619.0 / 256, -61.0 / 256},
                                   {-1.0 / 60, 3.0 / 20, -0.75, 0, 0.75, -3.0 / 20, 1.0 / 60},
                                   {-0.017493056135425844, 0.1287154846675631, -0.41593489474003964, 0.7839376045181146,
                                    -1.002597886770068, 1.3605347024206904, 0.1628380460391654},
                                   {0.003985998350876985, -0.037491363646164455, 0.21677698723615602,
                                    0.9239674865803371, -0.1333486199086764, 0.029508909257277782,
                                    -0.0033993978698070304},
                                   -68.23931866828775,
                                   7.925908595821954,
                                   -36.0,
                                   2.164995869679845,
                                   1.3859270742166243,
                                   1.8333333333333333,
                                   1.0819221578078322,
                                   8.556784902340324};

const window fdc_window_side = {{0, 1, 2, 3, 4, 5, 6, 1439.0 / 256, 97.0 / 256},
                                {-2.45, 6, -7.5, 20.0 / 3, -3.75, 1.2, -1.0 / 6},
                                {-0.023239761456131047, 0.16961293356909168, -0.5411329568830514, 0.9967814228128935,
                                 -1.208747592844792, 1.2619628956744369, 0.34476305912755234},
                                {0.34476305912755234, 1.2619628956744369, -1.208747592844792, 0.9967814228128935,
                                 -0.5411329568830514, 0.16961293356909168, -0.023239761456131047},
                                -94.05567206823537,
                                94.05567206823537,
                                720.0,
                                2.342688493129724,
                                2.342688493129724,
                                27.733333333333334,
                                12.578840257441154,
                                25.82695087049565};

static double dot(const double *a, const double *y) {
    return a[0] * y[0] + a[1] * y[1] + a[2] * y[2] + a[3] * y[3] + a[4] * y[4] + a[5] * y[5] + a[6] * y[6];
}

static int max_exponent(int e) {
    return e < -1000 ? -1000 : e;
}

static double square(double a) {
    return a * a;
}

/* f may round its argument, x - c say, to the ulp of x, and by the same amount at all points, which no residual shows:
 * half an ulp of x moves f' by as much as f'' says. `precision` is half an ulp of 1. */
static double argument_error(double x, double precision) {
    int exponent;
    return frexp(x, &exponent) == 0.0 ? 0.0 : ldexp(1.1 * precision, exponent - 1);
}

/* Whether what the probes miss is noise rather than truncation: 0 no, 1 yes, 2 yes, and all differences of high order
 * agree. Its size goes to v->scatter. */
static int look_for_noise(const double *y, double residual, view *v) {
    /* Root mean squares of the differences of each order, as noise of one value (Hamming; ECNoise). */
    double d[NODES], noise[NODES] = {0};
    memcpy(d, y, sizeof d);
    double factor = 1.0;
    for (int k = 1; k < NODES; k++) {
        double sum = 0.0;
        for (int j = 0; j < NODES - k; j++) {
            d[j] = d[j + 1] - d[j];
            sum += d[j] * d[j];
        }
        factor *= 0.5 * k / (2.0 * k - 1.0);
        noise[k] = sqrt(factor * sum / (NODES - k));
    }
    /* Those that have levelled off say how large the noise is, if it is noise. */
    double squares = 2.0 * square(residual) + square(noise[6]), count = 3.0;
    for (int k = 5; k >= 4 && square(noise[k]) <= 16.0 * squares / count; k--) {
        squares += square(noise[k]);
        count += 1.0;
    }
    v->scatter = sqrt(squares / count);
    /* The differences of a smooth function fall with their order, those of noise do not; the probes continue the row.
     */
    const double fall =
        max2(noise[6] < noise[5] ? noise[6] / noise[5] : 1.0, noise[5] < noise[4] ? noise[5] / noise[4] : 1.0);
    const int level_off = max2(noise[4], noise[5]) <= 4.0 * max2(noise[6], residual);
    if (residual <= 0.5 * fall * max2(noise[6], noise[5] * fall) && !(level_off && v->miss < 1e-4 * v->range)) return 0;
    return level_off ? 2 : 1;
}

/* What the two sides of the point say by themselves. */
static void look_at_sides(const window *w, const double *y, double h, view *v) {
    if (w == &fdc_window_central) {
        v->slopes[0] = (1.5 * y[3] - 2.0 * y[2] + 0.5 * y[1]) / h;
        v->slopes[1] = (-1.5 * y[3] + 2.0 * y[4] - 0.5 * y[5]) / h;
        v->gap = (3.0 * (y[4] - y[5]) + y[6]) - (3.0 * (y[2] - y[1]) + y[0]);
        v->bend = fabs(y[6] - 2.0 * y[5] + y[4]) + fabs(y[2] - 2.0 * y[1] + y[0]);
    } else {
        v->slopes[0] = v->slopes[1] = (-1.5 * y[0] + 2.0 * y[1] - 0.5 * y[2]) / h;
        v->gap = 0.0;
        v->bend = v->range;
    }

    v->twist = v->range > 0.0 ? (v->slopes[1] - v->slopes[0]) * h / v->range : 0.0;
}

/* The interpolant of |t| misses the outer probe by twice and a half of what it misses the inner one, and on the same side;
 * that of a smooth function misses them on opposite sides. */
static double find_corner(double outer, double inner, double rounding) {
    const double by_outer = outer / -0.21098309381119095, by_inner = inner / -0.08452899500354192;
    const double size = min2(fabs(by_outer), fabs(by_inner));
    if (size < 40.0 * rounding || fabs(by_outer - by_inner) > 0.05 * size + 8.0 * rounding) return 0.0;
    return by_outer;
}

int fdc_glance(const double *values, const double *moved, double h, double x, double precision, view *v) {
    const window *w = &fdc_window_central;
    double y[NODES], low = values[OUTER], high = values[OUTER], last = values[OUTER] - values[3];
    for (int j = 0; j < NODES; j++) {
        y[j] = values[j] - values[3];
        low = min2(low, values[j]);
        high = max2(high, values[j]);
    }
    v->size = max2(fabs(low), fabs(high));
    if (!(v->size < 0x1p300 && v->size > 0x1p-300)) return 0;
    double slope = dot(w->slope, y);
    if (moved != NULL) {
        slope /= 1.0 + dot(w->slope, moved);
        for (int j = 0; j < NODES; j++)
            y[j] -= slope * moved[j];
        last -= slope * moved[OUTER];
        slope = dot(w->slope, y);
    }
    const double miss = fabs(dot(w->outer, y) - last), known = precision * v->size;
    v->range = high - low;
    const int flat = miss <= 6.0 * known;
    if (!flat && !(miss <= 1e-6 * v->range)) return 0;
    /* One miss tells less of the size of the errors than two; the sixth difference is another, unless it is more. */
    const double one = miss / w->outer_gain, sixth = 15.0 * (y[2] + y[4]) - 6.0 * (y[1] + y[5]) + y[0] + y[6];
    const double other = fabs(sixth) / 30.397368307141326;
    const double rounding = !flat ? 5.0 * one
                            : other > 3.0 * max2(one, 0.6 * known)
                                ? max2(1.65 * known, 5.0 * one)
                                : max2(1.65 * known, 4.0 * sqrt(0.5 * (square(one) + square(other))));
    v->constant = high == low;
    v->miss = miss;
    v->rounding = known;
    v->curve = fabs(y[4] - 2.0 * y[3] + y[2]);
    v->value = slope / h;
    v->bar = ((flat ? 1.0 : 1.5) * fabs(w->product_slope * miss / w->outer_product) + 0.9 * w->sum * rounding) / h +
             argument_error(x, precision) / h * (v->curve / h);
    v->what = FLAT;
    return 1;
}

void fdc_look(const window *w, const double *values, const double *moved, int hollow, double h, double x,
              double precision, double sigma, view *v) {
    double y[POINTS], low = values[0], high = values[0];
    for (int j = 0; j < POINTS; j++) {
        y[j] = values[j];
        low = min2(low, y[j]);
        high = max2(high, y[j]);
    }
    v->size = max2(fabs(low), fabs(high));
    v->range = high - low;
    v->constant = high == low;

    /* Differences from the first value lose nothing and keep huge values from overflowing in the sums. */
    const int middle = w == &fdc_window_central ? 3 : 1;
    const double base = y[w == &fdc_window_central ? 3 : 0];
    for (int j = 0; j < POINTS; j++)
        y[j] -= base;
    double unit = 1.0;
    if (v->size > 0x1p300 || (v->size < 0x1p-300 && v->size > 0.0)) { /* squares must neither overflow nor vanish */
        unit = ldexp(1.0, max_exponent(ilogb(v->size)));
        for (int j = 0; j < POINTS; j++)
            y[j] /= unit;
        v->size /= unit;
        v->range /= unit;
        sigma /= unit;
    }
    double slope = dot(w->slope, y);
    if (moved != NULL) {
        slope /= 1.0 + dot(w->slope, moved);
        for (int j = 0; j < POINTS; j++)
            y[j] -= slope * moved[j];
        slope = dot(w->slope, y);
    }
    const double outer = dot(w->outer, y) - y[OUTER], inner = dot(w->inner, y) - y[INNER];
    v->miss = max2(fabs(outer), fabs(inner));
    const double residual = sqrt(0.5 * (square(outer / w->outer_gain) + square(inner / w->inner_gain)));

    double rounding = max2(precision * v->size, 3.0 * sigma);
    const double known = rounding;
    const int flat = v->miss <= known * (sigma > 0.0 ? 3.0 : 8.0);
    int noisy = 0;
    v->scatter = residual;
    v->single = 0;
    v->slopes[0] = v->slopes[1] = v->gap = v->bend = v->twist = v->corner = 0.0; /* of interest only where f is not flat */
    if (!flat) {
        noisy = look_for_noise(y, residual, v);
        look_at_sides(w, y, h, v);
        if (w == &fdc_window_central) v->corner = find_corner(outer, inner, known) / h;
        v->single = 1;
        for (int j = 0; j < POINTS; j++)
            v->single &= fabs(values[j]) < FLT_MAX && (double)(float)values[j] == values[j];
    }
    if (v->miss <= 8.0 * known)
        rounding = max2(rounding, 2.9 * residual);
    else if (noisy)
        rounding = 6.0 * residual;
    if (noisy > 1) rounding = max2(rounding, 3.0 * v->scatter);

    /* Degree six, its error by the probes. What the inner probe misses by more than rounding counts in full; rounding
     * is in the bar already, and this probe would amplify it. */
    const double q_outer = outer / w->outer_product, q_inner = inner / w->inner_product;
    const double allowed = rounding * w->inner_gain / fabs(w->inner_product);
    const double caution = w == &fdc_window_central ? 1.2 : 12.0; /* one-sided windows mostly end at a singularity */
    const double q = max2(fabs(q_outer), fabs(q_inner) - allowed);
    /* All seven errors at their largest and of the worst sign are not to be expected. */
    const double bar_six = caution * fabs(w->product_slope) * q + 0.9 * w->sum * rounding;
    /* Degree eight: the same with q(0) read off the probes. */
    const double t = w->at[INNER] / (w->at[INNER] - w->at[OUTER]);
    const double q_zero = q_inner + (q_outer - q_inner) * t;
    const double bar_eight = 1.2 * caution * fabs(w->product_slope * (q_outer - q_inner)) + w->sum_all * rounding;
    if (bar_six <= bar_eight || hollow) {
        v->value = slope / h;
        v->bar = bar_six / h;
    } else {
        v->value = (slope - w->product_slope * q_zero) / h;
        v->bar = bar_eight / h;
    }
    v->rounding = known;

    v->curve = fabs(y[middle + 1] - 2.0 * y[middle] + y[middle - 1]);
    v->bar += argument_error(x, precision) / h * (v->curve / h);

    if (flat)
        v->what = FLAT;
    else if (v->miss < 2e-3 * v->range && noisy && w == &fdc_window_central)
        v->what = SCATTER;
    else if (v->miss < 0.05 * v->range)
        v->what = FALLING;
    else
        v->what = ROUGH;

    if (unit != 1.0) {
        double *const sized[] = {&v->value,    &v->bar,   &v->miss,      &v->scatter,   &v->range, &v->size,
                                 &v->rounding, &v->curve, &v->slopes[0], &v->slopes[1], &v->gap,   &v->bend,
                                 &v->corner};
        for (size_t k = 0; k < sizeof sized / sizeof *sized; k++)
            *sized[k] *= unit;
    }
}

/* What fdc_look says where f is flat and all is plain, and whether that is good enough, for all lanes: the same
 * operations in the same order, without a branch. */
FDC_WIDE void fdc_first_look(fdc_first *restrict a, double f0, double precision, double rtol) {
    const window *const w = &fdc_window_central;
    for (int l = 0; l < FDC_LANES; l++) {
        const double v0 = a->y[5][l], v1 = a->y[3][l], v2 = a->y[1][l];
        const double v4 = a->y[0][l], v5 = a->y[2][l], v6 = a->y[4][l];
        const double outer_value = a->y[6][l], inner_value = a->y[7][l];
        const double left[2] = {min2(min2(v0, v1), v2), max2(max2(v0, v1), v2)};
        const double right[2] = {min2(min2(v4, v5), v6), max2(max2(v4, v5), v6)};
        const double rest[2] = {min2(min2(outer_value, inner_value), f0), max2(max2(outer_value, inner_value), f0)};
        const double low = min2(min2(left[0], right[0]), rest[0]), high = max2(max2(left[1], right[1]), rest[1]);
        const double y[NODES] = {v0 - f0, v1 - f0, v2 - f0, f0 - f0, v4 - f0, v5 - f0, v6 - f0};
        const double size = max2(fabs(low), fabs(high)), range = high - low;
        const double slope = dot(w->slope, y);
        const double outer = dot(w->outer, y) - (outer_value - f0), inner = dot(w->inner, y) - (inner_value - f0);
        const double miss = max2(fabs(outer), fabs(inner));
        const double residual = sqrt(0.5 * (square(outer / w->outer_gain) + square(inner / w->inner_gain)));
        const double known = precision * size, rounding = max2(known, 2.9 * residual);
        const double q_outer = outer / w->outer_product, q_inner = inner / w->inner_product;
        const double allowed = rounding * w->inner_gain / fabs(w->inner_product);
        const double q = max2(fabs(q_outer), fabs(q_inner) - allowed);
        const double bar_six = 1.2 * fabs(w->product_slope) * q + 0.9 * w->sum * rounding;
        const double t = w->at[INNER] / (w->at[INNER] - w->at[OUTER]);
        const double q_zero = q_inner + (q_outer - q_inner) * t;
        const double bar_eight = 1.2 * 1.2 * fabs(w->product_slope * (q_outer - q_inner)) + w->sum_all * rounding;
        const int six = bar_six <= bar_eight;
        const double h = a->length[l];
        const double value = (six ? slope : slope - w->product_slope * q_zero) / h;
        const double curve = fabs(y[4] - 2.0 * y[3] + y[2]);
        const double bar = (six ? bar_six : bar_eight) / h + 1.1 * precision * a->rounding[l] / h * (curve / h);
        const double target = rtol * fabs(value), nearby = rtol * (range / a->step[l]);
        const int vanishes = (fabs(value) <= 2.0 * bar) | (bar <= 1e-7 * fabs(value));
        const int tight = (bar <= target) | ((bar <= nearby) & vanishes);
        const int usual = (size > 0x1p-300) & (size < 0x1p300) & (fabs(value) <= DBL_MAX);
        a->value[l] = value;
        a->bar[l] = bar;
        a->good[l] = usual & (miss <= known * 8.0) & tight ? a->plain[l] : 0.0;
    }
}
