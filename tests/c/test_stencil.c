/* test_stencil.c - the rules of stencil.c against their moment conditions, and the bridges of bridge.c. */
#include "internal.h"

#include "check.h"

#include <float.h>

static const struct {
    fdc_method method;
    int first, last, stride;
} families[] = {{FDC_FORWARD, 1, 8, 1}, {FDC_BACKWARD, 1, 8, 1}, {FDC_CENTRAL, 2, 8, 2}};

/* Weights of the values f(x + offset * h) / h, from either form. Returns how many; the first belongs to x itself. */
static int plain_weights(const fdc_scheme *s, double *offset, double *weight) {
    offset[0] = weight[0] = 0;
    for (int k = 0; k < s->npoints; ++k) {
        offset[k + 1] = s->offset[k];
        if (s->form == FDC_PAIRS) {
            weight[k + 1] = s->weight[k / 2] / (s->offset[k] - s->offset[k ^ 1]);
        } else {
            weight[k + 1] = s->weight[k] / s->offset[k];
            weight[0] -= weight[k + 1];
        }
    }
    return s->npoints + 1;
}

/* Sum of weight * offset^q / q!: 1 for q = 1, 0 for every other q up to the accuracy, and then no longer. */
static void test_moment_conditions(void) {
    for (size_t family = 0; family < sizeof families / sizeof *families; ++family) {
        for (int p = families[family].first; p <= families[family].last; p += families[family].stride) {
            fdc_scheme s;
            double offset[FDC_MAX_POINTS + 1], weight[FDC_MAX_POINTS + 1];
            CHECK_INT(fdc_scheme_first(families[family].method, p, 0, &s), FDC_OK);
            const int count = plain_weights(&s, offset, weight);
            for (int q = 0; q <= p + 1; ++q) {
                double moment = 0, size = 0;
                for (int k = 0; k < count; ++k) {
                    const double term = weight[k] * pow(offset[k], q) / tgamma(q + 1.0);
                    moment += term;
                    size += fabs(term);
                }
                if (q <= p) {
                    CHECK_CLOSE(moment, q == 1, 8 * DBL_EPSILON * size);
                } else {
                    CHECK(fabs(moment) > 1e-4);
                }
            }
        }
    }
}

static void test_what_a_rule_says_of_itself(void) {
    for (size_t family = 0; family < sizeof families / sizeof *families; ++family) {
        const fdc_method method = families[family].method;
        for (int p = families[family].first; p <= families[family].last; p += families[family].stride) {
            fdc_scheme s;
            CHECK_INT(fdc_scheme_first(method, p, 0, &s), FDC_OK);
            CHECK_INT(s.npoints, p);
            CHECK_INT(s.order, 1);
            CHECK_INT(s.accuracy, p);
            CHECK_INT(s.uses_center, method != FDC_CENTRAL);
            double lowest = 0, highest = 0;
            for (int k = 0; k < p; ++k) {
                CHECK(s.offset[k] != 0);
                lowest = fmin(lowest, s.offset[k]);
                highest = fmax(highest, s.offset[k]);
            }
            CHECK(s.lowest == lowest && s.highest == highest);
            CHECK(method != FDC_FORWARD || lowest == 0);
            CHECK(method != FDC_BACKWARD || highest == 0);
        }
    }
}

/* Truncation C h^p |f^(p + 1)| + rounding W eps |f| / h, both of size one, has its minimum at the rule step. */
static void test_the_rule_step_is_where_the_bound_is_least(void) {
    for (size_t family = 0; family < sizeof families / sizeof *families; ++family) {
        for (int p = families[family].first; p <= families[family].last; p += families[family].stride) {
            fdc_scheme s;
            double offset[FDC_MAX_POINTS + 1], weight[FDC_MAX_POINTS + 1];
            CHECK_INT(fdc_scheme_first(families[family].method, p, 1e-10, &s), FDC_OK);
            const int count = plain_weights(&s, offset, weight);
            double norm = 0, moment = 0;
            for (int k = 0; k < count; ++k) {
                norm += fabs(weight[k]);
                moment += weight[k] * pow(offset[k], p + 1);
            }
            const double truncation = fabs(moment) / tgamma(p + 2.0), rounding = norm * 1e-10;
            const double best = truncation * pow(s.rule, p) + rounding / s.rule;
            for (double factor = 0.5; factor < 2.1; factor += 0.1) {
                const double h = factor * s.rule;
                CHECK(best <= (truncation * pow(h, p) + rounding / h) * (1 + 1e-12));
            }
            CHECK_CLOSE(fdc_rule_step(families[family].method, p, 1e-10, -3.0), 3 * s.rule, 1e-15);
            CHECK(fdc_rule_step(families[family].method, p, 1e-10, 0.5) == s.rule);
        }
    }
}

/* ---- bridges -------------------------------------------------------------------------------------------------- */

static double scalar(double x) {
    return 2 * x;
}

static double scalar_user(double x, void *user) {
    return x * *(const double *)user;
}

static double array(int n, const double *x) {
    return x[n - 1];
}

static double array_user(int n, const double *x, void *user) {
    return x[n - 1] * *(const double *)user;
}

static int vector(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *user) {
    for (ptrdiff_t i = 0; i < m; ++i) {
        y[i] = x[n - 1] * *(const double *)user + (double)i;
    }
    return (int)m;
}

static int full(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *user) {
    y[0] = x[n - 1] * *(const double *)user + (double)(count + m);
    return 5;
}

typedef void (*anything)(void);

static void test_each_kind_of_callback_is_called_as_it_wants(void) {
    const struct {
        fdc_kind kind;
        anything fn;
        double expected;
        int status;
    } cases[] = {
        {FDC_KIND_SCALAR, (anything)scalar, 6, 0},  {FDC_KIND_SCALAR_USER, (anything)scalar_user, 30, 0},
        {FDC_KIND_ARRAY, (anything)array, 4, 0},    {FDC_KIND_ARRAY_USER, (anything)array_user, 40, 0},
        {FDC_KIND_VECTOR, (anything)vector, 40, 1}, {FDC_KIND_FULL, (anything)full, 42, 5},
    };
    CHECK_INT(sizeof cases / sizeof *cases, FDC_KIND_COUNT);
    const double x[] = {3.0, 4.0};
    double ten = 10.0;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; ++k) {
        const ptrdiff_t n = cases[k].kind < FDC_KIND_ARRAY ? 1 : 2;
        fdc_bridge bridge;
        fdc_func f;
        double y = NAN;
        CHECK_INT(fdc_bridge_init(&bridge, cases[k].kind, cases[k].fn, &ten, FDC_REENTRANT | FDC_BATCHED, &f), FDC_OK);
        CHECK_INT(f.version, FDC_ABI_VERSION);
        CHECK_INT(f.eval(1, n, x, 1, &y, f.ctx), cases[k].status);
        CHECK_CLOSE(y, cases[k].expected, 0);
        /* Only the full form knows of counts. */
        CHECK_INT(f.flags, cases[k].kind == FDC_KIND_FULL ? (FDC_REENTRANT | FDC_BATCHED) : FDC_REENTRANT);
    }
}

static void test_bridges_to_nowhere(void) {
    fdc_bridge bridge;
    fdc_func f;
    CHECK_INT(fdc_bridge_init(&bridge, FDC_KIND_SCALAR, NULL, NULL, 0, &f), FDC_ERR_ARGUMENT);
    CHECK_INT(fdc_bridge_init(&bridge, FDC_KIND_COUNT, (anything)scalar, NULL, 0, &f), FDC_ERR_ARGUMENT);
}

int main(void) {
    RUN(test_moment_conditions);
    RUN(test_what_a_rule_says_of_itself);
    RUN(test_the_rule_step_is_where_the_bound_is_least);
    RUN(test_each_kind_of_callback_is_called_as_it_wants);
    RUN(test_bridges_to_nowhere);
    return check_summary();
}
