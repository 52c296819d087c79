/* adaptive_steps.c - from one window to the next: wider, narrower, or far narrower, for one value of f. */
#include "adaptive_impl.h"

void fdc_finish(track *s) {
    s->mode = DONE;
}

void fdc_want(track *s, const setting *set, double h) {
    h = fdc_power_of_two(h);
    if (h < set->smallest || h > set->largest || h == s->next)
        fdc_finish(s);
    else
        s->next = h;
}

void fdc_remember(track *s, const view *v, double h) {
    if (v->bar < s->bar || s->h == 0.0) {
        s->value = v->value;
        s->bar = v->bar;
        s->h = s->fit = h;
    }
}

void fdc_adopt(track *s, const view *v, double h, double rtol) {
    s->value = v->value;
    s->bar = v->bar;
    s->h = s->fit = h;
    if (v->what == FALLING) { /* the next point nearby takes fewer evaluations where f is flat */
        const double flat = h * max2(pow(3.0 * v->rounding / v->miss, 1.0 / 7.0), 0x1p-8);
        if (8.0 * v->rounding <= rtol * fabs(v->value) * flat) s->fit = 0.7 * flat;
    }
    fdc_finish(s);
}

int fdc_good_enough(const track *s, const view *v, double h, double rtol) {
    const double size = fabs(v->value);
    if (v->bar <= rtol * size) return 1;
    /* No relative accuracy where the derivative vanishes: compare with what it does nearby. */
    return v->bar <= rtol * max2(s->steep, v->range / h) && (size <= 2.0 * v->bar || v->bar <= 1e-7 * size);
}

/* Rounding or noise rules: a wider window is better, until f is no polynomial in it. */
static void widen(track *s, const setting *set, const view *v, double h) {
    const double size = fabs(v->value);
    s->smooth = max2(s->smooth, h);
    if (++s->grown > 4) {
        fdc_finish(s);
        return;
    }
    double factor = 16.0;
    if (s->sigma == 0.0 && size > v->bar) {
        /* As far as the target needs, and the first two Taylor terms allow. */
        const double radius = 2.0 * size * h / max2(v->curve, 4.0 * v->rounding);
        factor = min2(v->bar / (set->rtol * size), max2(radius / 4.0, 4.0));
        factor = min2(max2(factor * 1.5, 4.0), 0x1p40);
    }
    double next = h * factor;
    if (s->sigma == 0.0 && size <= v->bar) next = max2(next, 0x1p-7);
    if (s->rough > 0.0 && next > s->rough / 4.0) {
        if (s->rough <= 16.0 * h) {
            fdc_finish(s);
            return;
        }
        next = sqrt(h * s->rough);
    }
    fdc_want(s, set, min2(next, set->largest));
    if (s->mode != DONE && s->next <= h) fdc_finish(s);
}

static void confirm_noise(track *s, const setting *set, double sigma) {
    s->sigma = sigma;
    s->flags |= FDC_FOUND_NOISY;
    s->mode = SEARCH;
    s->value = s->macro_value;
    s->bar = max2(s->macro_bar, 6.0 * sigma / s->macro_h);
    s->h = s->macro_h;
    s->smooth = s->macro_h;
    s->grown = 0;
    if (s->rough > 0.0 && s->rough <= s->macro_h) s->rough = 0.0;
    if (s->bar <= set->rtol * fabs(s->value) || (s->rough > 0.0 && s->rough <= 16.0 * s->macro_h))
        fdc_finish(s);
    else
        fdc_want(s, set, min2(16.0 * s->macro_h, s->rough > 0.0 ? s->rough / 4.0 : set->largest));
}

static void narrow(track *s, const setting *set, double h) {
    s->rough = s->rough > 0.0 ? min2(s->rough, h) : h;
    if (s->smooth > 0.0 && s->smooth < h) {
        if (h <= 8.0 * s->smooth)
            fdc_finish(s);
        else
            fdc_want(s, set, sqrt(s->smooth * h));
        return;
    }
    s->smooth = 0.0;
    s->steps++;
    const int shift = s->steps <= 2 ? 8 : set->origin ? 1 << (s->steps < 9 ? s->steps + 1 : 10) : 10;
    const double next = ldexp(h, -shift);
    fdc_want(s, set, next < set->smallest && h > 2.0 * set->smallest ? 1.5 * set->smallest : next);
    if (s->mode == DONE && s->first_range > 0.0 && s->rough_range > 0.1 * s->macro_sigma && s->sigma == 0.0)
        confirm_noise(s, set, s->macro_sigma); /* f moves as much at every scale */
}

static void mark(track *s, const view *v, double h) {
    s->macro_h = h;
    s->macro_value = v->value;
    s->macro_bar = v->bar;
    s->macro_sigma = v->scatter;
}

/* Noise is suspected in the window that was marked. */
static void suspect(track *s, const setting *set, const view *v, double h) {
    s->suspected = 1;
    if (v->single && v->scatter < 1e-5 * v->size) {
        confirm_noise(s, set, v->scatter);
        return;
    }
    s->mode = MICRO;
    s->low = 0.0;
    s->high = h;
    s->tries = 0;
    fdc_want(s, set, max2(ldexp(h, set->origin ? -900 : -20), 1.5 * set->smallest));
    if (s->mode == DONE || s->next >= h) confirm_noise(s, set, s->macro_sigma);
}

/* Is what looks like noise at macro_h still there at far smaller scales? Noise is; an oscillation is resolved. */
void fdc_examine(track *s, const setting *set, const view *v, double h) {
    const double travel = 6.0 * h * fabs(s->macro_value);
    const int still = v->scatter > 0.1 * s->macro_sigma && v->what != FLAT;
    if (still && s->low == 0.0) {
        confirm_noise(s, set, max2(s->macro_sigma, v->what == SCATTER ? v->scatter : 0.0));
        return;
    }
    if (v->constant && travel > 4.0 * v->rounding && travel < 6.0 * s->macro_sigma) {
        confirm_noise(s, set, s->macro_sigma); /* values on a lattice */
        return;
    }
    if (still) {
        s->high = h;
    } else {
        const double change = fabs(v->value - s->macro_value);
        const double length = v->curve > 8.0 * v->rounding ? 2.0 * change * h * h / v->curve : INFINITY;
        const int bends = change > 3.0 * (v->bar + s->macro_bar) && length < 0.5 * s->macro_h;
        if (v->what == FALLING || s->high <= 64.0 * h || bends) {
            /* f is smooth on a scale near the one at which it looked noisy, or bends on a far smaller one. If the bend
             * does not explain the noise, it may come back (a solver's mesh changes): both scales count. */
            if (!bends) s->doubt = max2(s->doubt, change);
            s->rough = s->rough > 0.0 ? min2(s->rough, s->high) : s->high;
            s->smooth = 0.0;
            s->mode = SEARCH;
            s->bar = INFINITY;
            s->last_h = 0.0;
            fdc_search(s, set, v, h);
            return;
        }
        s->low = h;
        s->micro_value = v->value;
        s->micro_bar = v->constant ? 0.0 : v->bar;
    }
    const double middle = s->low > 0.0 ? sqrt(s->low * s->high) : s->high / 1024.0;
    if (++s->tries > 4 || s->high < 16.0 * s->low || middle < set->smallest)
        confirm_noise(s, set, s->macro_sigma);
    else
        fdc_want(s, set, middle);
}

/* Rounding inside f can be smooth for a while: between two steps of 1 - cos(x), f is a constant over x^2, and its slope
 * would move f a thousand times farther than a wider window saw it move. So would that of a fast wave of f. But a window
 * that grows goes through all degrees of smoothness on a wave, and from flat to rough at once where teeth have edges. */
void fdc_doubt(track *s, const setting *set) {
    const unsigned decided = FDC_FOUND_KINK | FDC_FOUND_JUMP | FDC_FOUND_NOISY | FDC_FOUND_BUDGET;
    if (s->checked || (s->flags & decided) || s->sigma > 0.0 || s->doubt > 0.0 || !(s->h > 0.0)) return;
    if (!(fabs(s->value) > 100.0 * s->crude_bar && s->bar <= 0.01 * fabs(s->value) && s->rough > 4.0 * s->h)) return;
    s->checked = 1;
    s->mode = TEETH;
    s->low = s->h;
    s->high = s->rough;
    s->next = 0.0;
    fdc_want(s, set, sqrt(s->low * s->high));
}

void fdc_check_teeth(track *s, const setting *set, const view *v, double h) {
    const int agrees = fabs(v->value - s->value) <= 0.1 * fabs(s->value);
    if (agrees && (v->what == FALLING || v->what == SCATTER)) {
        fdc_finish(s);
        return;
    }
    if (agrees && v->what == FLAT)
        s->low = h;
    else
        s->high = h;
    if (s->high > 2.0 * s->low) {
        fdc_want(s, set, sqrt(s->low * s->high));
        return;
    }
    s->macro_h = s->crude_h;
    s->macro_value = s->crude_slope;
    s->macro_bar = s->crude_error;
    s->seen_bar = 0.0; /* what was seen on one tooth contradicts nothing */
    confirm_noise(s, set, s->crude_sigma);
}

/* A kink or a jump at the point looks the same at every scale: it must be seen in two windows, of which the second is as
 * narrow as rounding lets it be. Where noise hides it there, it is looked for where noise is small beside it. */
static int singular(track *s, const setting *set, const view *v, double h) {
    const double slopes = v->slopes[1] - v->slopes[0];
    const int jump = v->what == ROUGH && fabs(v->gap) > 10.0 * v->bend && fabs(v->gap) > 0.2 * v->range;
    const int kink = !jump && (v->corner != 0.0 || (v->what == ROUGH && fabs(slopes) * h > 10.0 * v->bend));
    const double gap = jump ? v->gap : v->corner != 0.0 ? v->corner : slopes;
    const double last_h = s->kink_h, last_gap = s->kink_gap;
    if ((!jump && !kink) || !isfinite(gap)) {
        if (last_h > 16.0 * h && s->kink_tries < 3 && v->what != FALLING && !v->constant) {
            s->kink_noise = max2(s->kink_noise, v->scatter);
            const double next = fdc_power_of_two(min2(1000.0 * s->kink_noise / fabs(last_gap), last_h / 8.0));
            if (next > 4.0 * h) {
                s->kink_tries++;
                fdc_want(s, set, next);
                return 1;
            }
        }
        s->kink_h = 0.0;
        return 0;
    }
    if (last_h > 0.0 && (h < 0.25 * last_h || h > 4.0 * last_h) && fabs(gap - last_gap) <= 0.1 * fabs(gap)) {
        s->flags |= jump ? FDC_FOUND_JUMP : FDC_FOUND_KINK;
        if (s->kink_noise > 0.0) s->flags |= FDC_FOUND_NOISY;
        s->value = 0.5 * (v->slopes[0] + v->slopes[1]);
        s->bar = jump ? INFINITY
                      : 0.51 * max2(fabs(gap), s->kink_noise > 0.0 ? fabs(last_gap) : 0.0) +
                            (4.0 * v->rounding + 8.0 * s->kink_noise) / h;
        s->h = h;
        fdc_finish(s);
        return 1;
    }
    if (kink && last_h > 16.0 * h && fabs(gap) > 4.0 * fabs(last_gap) && ++s->similar >= 2) {
        s->flags |= FDC_FOUND_JUMP; /* a cusp: the slopes of both sides grow without limit */
        s->value = 0.5 * (v->slopes[0] + v->slopes[1]);
        s->bar = INFINITY;
        s->h = h;
        fdc_finish(s);
        return 1;
    }
    const double visible = jump ? 0x1p-40 : 500.0 * v->rounding / fabs(gap * h);
    double next = max2(h * max2(0x1p-36, min2(visible, 0x1p-8)), 2.0 * set->smallest);
    if (next > 0.25 * h || s->sigma > 0.0) { /* no room below */
        next = 16.0 * h;
        if (last_h > 0.0 || next > set->largest) return 0;
    } else {
        s->rough = s->rough > 0.0 ? min2(s->rough, h) : h;
    }
    s->kink_h = h;
    s->kink_gap = gap;
    fdc_want(s, set, next);
    return 1;
}

void fdc_search(track *s, const setting *set, const view *v, double h) {
    s->steep = max2(s->steep, v->range / h);
    s->size = max2(s->size, v->size);
    if (v->what != ROUGH) {
        if (s->seen_bar > 0.0 && fabs(v->value - s->seen_value) > 2.0 * (v->bar + s->seen_bar))
            s->doubt = max2(s->doubt, fabs(v->value - s->seen_value));
        if (v->miss < 1e-3 * v->range) {
            s->seen_value = v->value;
            s->seen_bar = v->bar;
        }
        fdc_remember(s, v, h);
        s->similar = 0;
        if (v->constant && s->rough > 0.0) {
            if (fabs(s->macro_value) * h <= 4.0 * v->rounding && s->rough > 16.0 * h) {
                s->smooth = h; /* too close to see anything */
                s->h = 0.0;
                fdc_want(s, set, sqrt(h * s->rough));
                return;
            }
            const double trend = fabs(s->macro_value);
            const int stands_still = trend * h > 4.0 * v->rounding && s->macro_sigma > 0.0 &&
                                     s->macro_sigma < 0.2 * trend * s->macro_h;
            if ((s->first_range > 0.0 && s->macro_sigma < 0.2 * s->first_range) || stands_still) {
                confirm_noise(s, set, s->macro_sigma); /* values on a lattice: steps, and a trend */
                return;
            }
        }
        if (v->constant) {
            if (h < 0x1p-8 && s->grown == 0 && set->largest >= 0x1p-7 && s->rough == 0.0) {
                s->grown = 1;
                fdc_want(s, set, 0x1p-7);
            } else {
                fdc_finish(s);
            }
            return;
        }
        if (fdc_good_enough(s, v, h, set->rtol)) {
            fdc_adopt(s, v, h, set->rtol);
            return;
        }
    }
    switch (v->what) {
    case FLAT:
        widen(s, set, v, h);
        return;
    case SCATTER:
        if (singular(s, set, v, h)) return;
        if (s->sigma == 0.0 && s->smooth > 0.0 && s->smooth < h) {
            narrow(s, set, h);
        } else if (s->sigma == 0.0) {
            mark(s, v, h);
            suspect(s, set, v, h);
        } else {
            s->sigma = max2(s->sigma, v->scatter);
            widen(s, set, v, h);
        }
        return;
    case FALLING: {
        double order = 7.0;
        if (singular(s, set, v, h)) return;
        if (s->last_h > 1.4 * h) order = log(s->last_miss / v->miss) / log(s->last_h / h);
        if (order < 0.6 && s->sigma == 0.0) {
            mark(s, v, h);
            suspect(s, set, v, h);
            return;
        }
        if (order < 4.0 && s->h == h) s->bar *= 6.0;
        s->last_h = h;
        s->last_miss = v->miss;
        if (s->sigma == 0.0) mark(s, v, h);
        double factor;
        if (order >= 4.0)
            factor = pow(3.0 * v->rounding / v->miss, 1.0 / 7.0);
        else /* a singularity at the point: the error falls like h^(order - 1) */
            factor = max2(pow(set->rtol * fabs(v->value) / v->bar, 1.0 / max2(order - 1.0, 0.25)),
                          pow(v->rounding / (h * v->bar), 1.0 / order));
        factor = min2(0.5, max2(factor, order >= 4.0 ? 0x1p-8 : 0x1p-40));
        const double hope = 2.0 * v->rounding / (factor * h);
        double next = factor * h;
        if (s->smooth > 0.0 && next < 2.0 * s->smooth) next = sqrt(s->smooth * h);
        if (hope > 0.5 * v->bar || (s->smooth > 0.0 && h <= 4.0 * s->smooth) || ++s->grown > 6)
            fdc_finish(s);
        else
            fdc_want(s, set, next);
        return;
    }
    case ROUGH:
        break;
    }
    if (s->smooth == 0.0 && s->sigma == 0.0 && (s->h == 0.0 || v->range / h <= 256.0 * s->bar) &&
        isfinite(v->value)) { /* all that is known is how much f moves */
        s->value = v->value;
        s->bar = v->range / h;
        s->h = h;
    }
    if (singular(s, set, v, h)) return;
    if (s->rough_h > h) {
        const double order = log(s->rough_range / v->range) / log(s->rough_h / h);
        const int same = fabs(v->miss / v->range - s->rough_miss / s->rough_range) <= 0.03 * v->miss / v->range &&
                         fabs(v->twist - s->rough_twist) <= 0.03 * fabs(v->twist);
        s->similar = same ? s->similar + 1 : 0;
        if (s->similar >= 2 && order < 0.95) {
            s->flags |= FDC_FOUND_JUMP;
            s->value = 0.5 * (v->slopes[0] + v->slopes[1]);
            s->bar = INFINITY;
            s->h = h;
            fdc_finish(s);
            return;
        }
    }
    if (s->rough_h == 0.0) {
        if (s->last_h > 8.0 * h && s->sigma == 0.0 && s->smooth == 0.0 && v->miss > 0.3 * s->last_miss) {
            suspect(s, set, v, h); /* no smoother here than in the wider window */
            return;
        }
        s->first_range = v->range;
        mark(s, v, h);
    }
    s->rough_h = h;
    s->rough_range = v->range;
    s->rough_miss = v->miss;
    s->rough_twist = v->twist;
    narrow(s, set, h);
}
