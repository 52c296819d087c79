/* adaptive.c - derivatives that know their own error.
 *
 * One level looks at f through a window: seven equidistant nodes, and two probes off the grid. The polynomial of degree
 * six through the nodes gives the derivative; how badly it predicts the probes gives the error of the derivative, since
 * both are the next term of the same expansion. An oscillation that aliases onto the nodes cannot also satisfy the
 * probes, whose offsets are multiples of 1/256 of a step with a full mantissa, and the inner probe sees a feature of f
 * that is much narrower than the window.
 *
 * Between levels every value of f keeps its own small state: is f a polynomial in this window (then a wider window has
 * less rounding error), nearly (a narrower one converges like h^6), not at all (much narrower), or a polynomial plus
 * noise (then measure the noise, make sure at a far smaller scale that it is noise, and widen the window with it)?
 * Most functions are decided by the first level: eight evaluations and f(x). */
#include "adaptive_impl.h"
#include "internal.h"

void fdc_line_options_init(fdc_line_options *options) {
    memset(options, 0, sizeof *options);
    options->below = options->above = INFINITY;
}

size_t fdc_line_work(ptrdiff_t m) {
    size_t tracks = (sizeof(track) + sizeof(double) - 1) / sizeof(double);
    return (size_t)m * (POINTS + 2 + tracks);
}

/* Steps are named by powers of two. The step taken has a full mantissa, so that rounding inside f is not the same at
 * all points, but is a multiple of 2^10 ulp(x), so that x + h is exact. */
static double taken(double x, double h) {
    const double step = 1.1547005383792515 * h, size = fabs(x);
    if (!(step > 0x1p-40 * size && size > 0x1p-900 && size < 0x1p900)) return step;
    /* Added to this, which is 1.5 * 2^52 times 2^10 ulp(x) or half that, a step is rounded to a multiple. */
    const volatile double sum = step + 0x1.8p11 * fdc_power_of_two(size);
    return sum - 0x1.8p11 * fdc_power_of_two(size);
}

/* ---- levels -------------------------------------------------------------------------------------------------- */

typedef struct job {
    fdc_line_fn line;
    void *ctx;
    const fdc_line_options *options;
    ptrdiff_t m, nfev;
    double precision, rtol;
    double *y; /* POINTS rows of m */
    double moved[POINTS];
    int exact;
    int glanced; /* the inner probe was not needed */
    int used;    /* of the values that were ready */
    unsigned char have[POINTS];
} job;

/* x + t rounded to double, less x. */
static double displacement(double x, double t) {
    const volatile double there = x + t;
    return there - x;
}

static int evaluate(job *j, double t, double *y) {
    j->nfev++;
    if (j->used < j->options->nready) {
        memcpy(y, j->options->ready + j->used++ * j->m, (size_t)j->m * sizeof(double));
        return 0;
    }
    return j->line(j->ctx, t, y);
}

static int asks(const track *s, double h, int side) {
    return s->mode != DONE && s->next == h && s->side == side;
}

static int finite_at(const job *j, int point, ptrdiff_t i) {
    return isfinite(j->y[point * j->m + i]);
}

/* Where the scale of f is known from a point nearby, seven evaluations do: what the outer probe says settles all the
 * values that asked for this window, or the inner one is looked at too. */
static int glance(const job *j, const track *s, ptrdiff_t i, double length, view *v) {
    double y[POINTS];
    for (int p = 0; p < INNER; p++)
        y[p] = j->y[p * j->m + i];
    return fdc_glance(y, j->exact ? NULL : j->moved, length, j->options->x, j->precision, v) && !v->constant &&
           fdc_good_enough(s, v, length, j->rtol);
}

static int all_familiar(const job *j, const track *tracks, double h, double length) {
    view v;
    for (ptrdiff_t i = 0; i < j->m; i++) {
        const track *s = &tracks[i];
        if (!asks(s, h, 0)) continue;
        if (!s->familiar || s->levels > 0 || (s->flags & FDC_FOUND_NO_CENTRE)) return 0;
        if (!glance(j, s, i, length, &v)) return 0;
    }
    return 1;
}

/* The order in which the points of a window are evaluated. */
static const unsigned char both[8] = {4, 2, 5, 1, 6, 0, OUTER, INNER};

/* The same as fdc_line_derivative does for its first level, in arithmetic that the compiler can do for several lanes at
 * once. What it cannot, numbers near the limits of double and bounds that bind, is not plain. */
FDC_WIDE void fdc_first_place(fdc_first *restrict a) {
    for (int l = 0; l < FDC_LANES; l++) {
        const double x = a->x[l], size = fabs(x);
        const double first = a->start[l] > 0.0 ? a->start[l] : size > 0.0 ? size * 0x1p-7 : 0x1p-7;
        const double h = fdc_power_of_two_normal(first);
        const double step = 1.1547005383792515 * h, large = 0x1.8p11 * fdc_power_of_two_normal(size);
        const double rounded = (step + large) - large;
        const int usual = (size == 0.0) | ((size > 0x1p-900) & (size < 0x1p900));
        const int fits = (first > 0x1p-900) & (first < 0x1p900) & (h >= size * 0x1p-44) & (3.5 * h <= a->room[l]);
        a->plain[l] = usual & fits ? 1.0 : 0.0;
        a->step[l] = h;
        a->length[l] = (step > 0x1p-40 * size) & (size > 0.0) ? rounded : step;
        /* As in argument_error(): the power of two that is not above |x|. */
        uint64_t bits;
        memcpy(&bits, &size, sizeof bits);
        bits &= UINT64_C(0x7ff0000000000000);
        double unit;
        memcpy(&unit, &bits, sizeof unit);
        a->rounding[l] = unit;
    }
    for (int k = 0; k < FDC_FIRST; k++) {
        const double at = fdc_window_central.at[both[k]];
        for (int l = 0; l < FDC_LANES; l++) {
            const double wanted = at * a->length[l], there = a->x[l] + wanted;
            a->at[k][l] = there;
            a->plain[l] = there - a->x[l] == wanted ? a->plain[l] : 0.0;
        }
    }
}

/* Evaluates the window of one level. Gives up as soon as no value that asked for it can use it. */
static int level(job *j, const track *tracks, double h, double length, int side, int blocked, double *centre) {
    static const unsigned char below[8] = {0, 1, 2, 4, 5, 6, OUTER, INNER};
    static const unsigned char above[8] = {6, 5, 4, 2, 1, 0, OUTER, INNER};
    static const unsigned char one[8] = {6, 1, 2, 3, 4, 5, OUTER, INNER};
    const unsigned char *order = side ? one : blocked < 0 ? below : blocked > 0 ? above : both;
    const window *w = side ? &fdc_window_side : &fdc_window_central;
    const double direction = side < 0 ? -1.0 : 1.0;
    const int middle = side ? 0 : 3;
    memset(j->have, 0, sizeof j->have);
    j->exact = 1;
    j->glanced = 0;
    j->moved[middle] = 0.0;
    j->have[middle] = 1;
    memcpy(j->y + middle * j->m, centre, (size_t)j->m * sizeof(double));
    for (int k = 0; k < 8; k++) {
        const int p = order[k];
        if (p == INNER && side == 0 && all_familiar(j, tracks, h, length)) {
            j->glanced = 1;
            return 0;
        }
        const double wanted = direction * w->at[p] * length, t = displacement(j->options->x, wanted);
        j->moved[p] = direction * (t - wanted) / length;
        j->exact &= t == wanted;
        const int status = evaluate(j, t, j->y + p * j->m);
        if (status != 0) return status;
        j->have[p] = 1;
        int useful = 1;
        for (ptrdiff_t i = 0; i < j->m && useful; i++)
            useful = finite_at(j, p, i);
        if (useful) continue;
        for (ptrdiff_t i = 0; i < j->m && !useful; i++)
            if (asks(&tracks[i], h, side)) {
                useful = 1;
                for (int q = 0; q < POINTS; q++)
                    if (j->have[q] && q != middle && !finite_at(j, q, i)) useful = 0;
            }
        if (!useful) return 0;
    }
    return 0;
}

/* Nine values of output i, or 0 when some are missing or not finite; then *blocked says where. */
static int gather(const job *j, ptrdiff_t i, int side, double *y, int *blocked, int *hollow) {
    const window *w = side ? &fdc_window_side : &fdc_window_central;
    const int middle = side ? 0 : 3;
    int below = 0, above = 0, complete = 1;
    for (int p = 0; p < POINTS; p++) {
        complete &= j->have[p];
        if (p == middle || !j->have[p]) continue;
        y[p] = j->y[p * j->m + i];
        if (!isfinite(y[p])) {
            below |= w->at[p] < 0.0;
            above |= w->at[p] > 0.0;
        }
    }
    *blocked = below && above ? 2 : below ? -1 : above ? 1 : 0;
    if (!complete || *blocked) return 0;
    y[middle] = j->y[middle * j->m + i];
    *hollow = !isfinite(y[middle]);
    if (*hollow) /* f(x) itself is missing: continue f there by its neighbours */
        y[middle] = side ? 6.0 * (y[1] + y[5]) - 15.0 * (y[2] + y[4]) + 20.0 * y[3] - y[6]
                         : (15.0 * (y[2] + y[4]) - 6.0 * (y[1] + y[5]) + y[0] + y[6]) / 20.0;
    return 1;
}

/* The step asked for does not fit the domain: smaller, or on one side. */
static void fit(track *s, const setting *set, const fdc_line_options *o) {
    const double room = min2(o->below, o->above);
    if (s->side == 0 && 3.5 * s->next > room) {
        if (room >= 3.0 / 16.0 * s->next) {
            while (3.5 * s->next > room)
                s->next *= 0.5;
            s->flags |= FDC_FOUND_SHRUNK;
        } else {
            s->side = o->above >= o->below ? 1 : -1;
            s->flags |= FDC_FOUND_ONE_SIDED;
        }
    }
    if (s->side != 0) {
        const double length = s->side > 0 ? o->above : o->below;
        while (7.0 * s->next > length && s->next >= set->smallest)
            s->next *= 0.5;
    }
    if (s->next < set->smallest) fdc_finish(s);
}

/* f was not finite somewhere in the window. */
static int retreat(job *j, track *s, const setting *set, double h, int blocked, ptrdiff_t i, double *spare) {
    s->flags |= FDC_FOUND_SHRUNK;
    if (s->smooth > 0.0) { /* a wider window was tried: back */
        s->rough = s->rough > 0.0 ? min2(s->rough, h) : h;
        if (h <= 8.0 * s->smooth)
            fdc_finish(s);
        else
            fdc_want(s, set, sqrt(h * s->smooth));
        return 0;
    }
    if (blocked == 2 || s->side != 0) {
        s->rough = s->rough > 0.0 ? min2(s->rough, h) : h;
        fdc_want(s, set, s->levels > 6 ? h * 0x1p-20 : h * 0x1p-5);
        return 0;
    }
    if (!s->probed) { /* does the domain end at the point itself? */
        s->probed = 1;
        const double t = displacement(j->options->x, blocked * max2(h * 0x1p-24, set->smallest));
        const int status = evaluate(j, t, spare);
        if (status != 0) return status;
        if (!isfinite(spare[i])) {
            s->side = -blocked;
            s->flags = (s->flags | FDC_FOUND_ONE_SIDED) & ~(unsigned)FDC_FOUND_SHRUNK;
            return 0;
        }
    }
    s->blocked = blocked;
    s->rough = s->rough > 0.0 ? min2(s->rough, h) : h;
    fdc_want(s, set, h / 8.0);
    return 0;
}

int fdc_line_derivative(fdc_line_fn line, void *ctx, ptrdiff_t m, const fdc_line_options *options, double *value,
                        double *error, double *step, double *scale, unsigned char *flags, ptrdiff_t *nfev,
                        double *work) {
    const double precision = options->precision > 0.0 ? options->precision : 0.5 * DBL_EPSILON;
    const double size = fabs(options->x);
    const double start = fdc_power_of_two(options->start > 0.0 ? options->start : size > 0.0 ? size * 0x1p-7 : 0x1p-7);
    const int budget = options->budget > 0 ? options->budget : 160;
    const setting set = {
        .smallest = max2(size * 0x1p-44, 0x1p-1040),
        .largest = 0x1p1000,
        .rtol = options->rtol > 0.0 ? options->rtol : 1e-9,
        .origin = size == 0.0,
    };
    job j = {.line = line,
             .ctx = ctx,
             .options = options,
             .m = m,
             .y = work,
             .precision = precision,
             .rtol = set.rtol};
    double *centre = work + POINTS * m, *spare = centre + m;
    track *tracks = (track *)(void *)(spare + m);
    int status = 0;

    memset(tracks, 0, (size_t)m * sizeof *tracks);
    if (options->f0 != NULL)
        memcpy(centre, options->f0, (size_t)m * sizeof(double));
    else
        status = evaluate(&j, 0.0, centre);
    for (ptrdiff_t i = 0; i < m; i++) {
        tracks[i].familiar = options->scale != NULL && options->scale[i] > 0.0 && options->noise == 0.0;
        tracks[i].next = max2(tracks[i].familiar ? fdc_power_of_two(options->scale[i]) : start, set.smallest);
        tracks[i].bar = tracks[i].crude_bar = INFINITY;
        tracks[i].sigma = (options->noises != NULL ? options->noises[i] : options->noise) / 3.0;
        if (!isfinite(centre[i])) tracks[i].flags |= FDC_FOUND_NO_CENTRE;
    }

    for (ptrdiff_t first = 0; status == 0;) {
        while (first < m && tracks[first].mode == DONE)
            first++;
        if (first == m) break;
        fit(&tracks[first], &set, options);
        if (tracks[first].mode == DONE) continue;
        if (j.nfev + 8 > budget) {
            for (ptrdiff_t i = first; i < m; i++)
                if (tracks[i].mode != DONE) {
                    if (tracks[i].mode != TEETH) tracks[i].flags |= FDC_FOUND_BUDGET;
                    fdc_finish(&tracks[i]);
                }
            break;
        }
        const double h = tracks[first].next;
        const int side = tracks[first].side;
        for (ptrdiff_t i = first + 1; i < m; i++)
            if (tracks[i].mode != DONE && tracks[i].side == side) fit(&tracks[i], &set, options);
        const double length = taken(options->x, h);
        status = level(&j, tracks, h, length, side, tracks[first].blocked, centre);
        for (ptrdiff_t i = first; i < m && status == 0; i++) {
            track *s = &tracks[i];
            if (s->mode == DONE || s->side != side) continue;
            if (j.glanced) {
                view v;
                if (glance(&j, s, i, length, &v)) fdc_adopt(s, &v, h, set.rtol);
                continue;
            }
            double y[POINTS];
            int blocked, hollow = 0;
            const int complete = gather(&j, i, side, y, &blocked, &hollow);
            const int asked = asks(s, h, side);
            if (!complete) {
                if (asked) {
                    s->levels++;
                    status = retreat(&j, s, &set, h, blocked, i, spare);
                }
                continue;
            }
            view v;
            fdc_look(side ? &fdc_window_side : &fdc_window_central, y, j.exact ? NULL : j.moved, hollow, length,
                     options->x, precision, s->sigma, &v);
            if (side < 0) {
                v.value = -v.value;
                v.slopes[0] = -v.slopes[0];
                v.slopes[1] = -v.slopes[1];
            }
            if ((v.what == ROUGH || v.what == SCATTER) && v.range / length < s->crude_bar) {
                s->crude_value = (y[6] - y[0]) / ((side < 0 ? -6.0 : 6.0) * length);
                s->crude_bar = v.range / length;
                s->crude_h = h;
                s->crude_slope = v.value;
                s->crude_error = v.bar;
                s->crude_sigma = v.scatter;
            }
            if (asked) {
                s->levels++;
                if (s->mode == MICRO)
                    fdc_examine(s, &set, &v, h);
                else if (s->mode == TEETH)
                    fdc_check_teeth(s, &set, &v, h);
                else
                    fdc_search(s, &set, &v, h);
                if (s->mode == DONE) fdc_doubt(s, &set);
            } else if (s->mode == SEARCH && v.what != ROUGH && v.what != SCATTER &&
                       fdc_good_enough(s, &v, h, set.rtol)) {
                fdc_adopt(s, &v, h, set.rtol);
            }
        }
    }

    for (ptrdiff_t i = 0; i < m && status == 0; i++) {
        track *s = &tracks[i];
        if (s->micro_bar > 0.0 && s->sigma > 0.0) {
            /* Two scales, two answers: take that of the noise, unless the finer one holds nearly as far; cover both. */
            const double apart = fabs(s->value - s->micro_value);
            if (apart > s->bar && s->high < 128.0 * s->low) s->value = s->micro_value;
            s->bar += apart;
        }
        /* A slope that would move f farther than some window saw it move, and with a bar that says as much: the chord over
         * that window is the better answer, with a bar for both. */
        const int singular = (s->flags & (FDC_FOUND_KINK | FDC_FOUND_JUMP)) != 0;
        const int absurd = !isfinite(s->value) ||
                           (!singular && fabs(s->value) > s->crude_bar && !(s->bar <= 0.5 * fabs(s->value)));
        if (absurd && s->h > 0.0 && s->crude_bar < INFINITY) {
            s->bar = isfinite(s->value) ? s->bar + fabs(s->value - s->crude_value) : INFINITY;
            s->value = s->crude_value;
            s->flags |= FDC_FOUND_UNRESOLVED;
        }
        s->bar += s->doubt;
        if ((s->flags & FDC_FOUND_NOISY) &&
            s->sigma > 0.03 * s->size) { /* noise, or wiggles below any scale: no telling */
            s->bar = INFINITY;
            s->flags |= FDC_FOUND_UNRESOLVED;
        }
        if (!isfinite(s->value) && s->macro_h > 0.0 && isfinite(s->macro_value)) { /* steps too small for noise */
            s->value = s->macro_value;
            s->bar = INFINITY;
            s->flags |= FDC_FOUND_UNRESOLVED;
        }
        if (s->h == 0.0) {
            s->value = NAN;
            s->bar = INFINITY;
            s->flags |= FDC_FOUND_UNRESOLVED;
        }
        value[i] = s->value;
        error[i] = s->bar;
        if (step != NULL) step[i] = s->h > 0.0 ? taken(options->x, s->h) : 0.0;
        if (scale != NULL) {
            const unsigned useless = FDC_FOUND_KINK | FDC_FOUND_JUMP | FDC_FOUND_BUDGET | FDC_FOUND_UNRESOLVED;
            /* Where wider windows told of noise or of a second scale, they must be seen again. */
            scale[i] = (s->flags & useless) || s->suspected || s->sigma > 0.0 || s->doubt > 0.0 ? 0.0 : s->fit;
        }
        if (flags != NULL) flags[i] = (unsigned char)s->flags;
    }
    if (nfev != NULL) *nfev = j.nfev;
    return status;
}
