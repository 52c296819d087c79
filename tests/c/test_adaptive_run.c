/* test_adaptive_run.c - fdc_run_adaptive() against fdc_line_derivative() along one component after another: where the
 * first windows of several components are looked at together, every bit and every evaluation is the same. */
#include "adaptive_impl.h"
#include "internal.h"

#include "check.h"

#include <stdlib.h>

enum { COMPONENTS = 43 };

typedef struct mixed {
    int evaluations;
    int fail_at, fail_component; /* the status is 42 at this evaluation, or once this component has been moved often */
    int write_at;                /* writes into the next component at this evaluation */
    const double *home;
    double base; /* the value at home */
} mixed;

/* Waves of many lengths: flat in the first window, nearly, or not; with an edge of its domain near by, with a kink, a
 * jump, noise, without any change, tiny. */
static double term(int i, double x) {
    uint64_t bits;
    switch (i % 9) {
    case 0:
        return sin((0.3 + 0.11 * i) * x);
    case 1:
        return sin((1 + 0.02 * i) * x);
    case 2:
        return sqrt(x);
    case 3:
        return fabs(x - 1);
    case 4:
        return 0.01 * (x > 1);
    case 5:
        memcpy(&bits, &x, sizeof bits);
        bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        return cos(x) + 1e-9 * (double)(bits >> 40) * 0x1p-24;
    case 6:
        return 0 * x;
    case 7:
        return atan(x) + x * x * x * x;
    default:
        return 1e-304 / (1 + x * x);
    }
}

static double moved_by(const mixed *f, const double *x, ptrdiff_t j) {
    return x[j] - f->home[j];
}

static double mix(int n, const double *x, void *ctx) {
    mixed *f = ctx;
    f->evaluations++;
    if (f->evaluations == f->write_at) {
        ((double *)(uintptr_t)x)[1] += 1;
    }
    double sum = f->base;
    for (int i = 0; i < n; i++) {
        if (moved_by(f, x, i) != 0) { /* so that terms do not share their rounding */
            sum = term(i, x[i]) - term(i, f->home[i]) + (isnan(f->base) ? 0 : f->base);
        }
    }
    return sum;
}

static int mix_or_fail(ptrdiff_t count, ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    mixed *f = ctx;
    (void)count, (void)m;
    *y = mix((int)n, x, f);
    if (f->evaluations == f->fail_at ||
        (f->fail_component >= 0 && fabs(moved_by(f, x, f->fail_component)) > 2.5 / 128 * fabs(f->home[f->fail_component]))) {
        return 42;
    }
    return 0;
}

typedef struct along {
    mixed f;
    double x[COMPONENTS];
    ptrdiff_t j;
} along;

static int line(void *ctx, double t, double *y) {
    along *l = ctx;
    const double home = l->x[l->j];
    l->x[l->j] = home + t;
    *y = mix(COMPONENTS, l->x, &l->f);
    l->x[l->j] = home;
    return 0;
}

static const double places[] = {1.0,  1.37, 0.5,  1.0,    1.001, 0.7,   3.0, 0.0, -2.5,
                                1e-8, 1e6,  1e-30, 1e-300, 1e300, -0.25, 7.0, 1e-310};

static void fill(double *x, int shift) {
    for (int j = 0; j < COMPONENTS; j++) {
        x[j] = places[(j + shift) % (int)(sizeof places / sizeof *places)] * (1 + 0.03 * (shift / 17));
        if (j % 9 == 2) {
            x[j] = fabs(x[j]);
        }
    }
}

typedef struct ran {
    double value[COMPONENTS], error[COMPONENTS], scale[COMPONENTS], step[COMPONENTS];
    unsigned char found[COMPONENTS];
    fdc_info info;
    fdc_status status;
} ran;

static void run(const fdc_func *f, const double *x, const fdc_options *options, ran *out) {
    fdc_problem p;
    memset(&p, 0, sizeof p);
    memset(&out->info, 0, sizeof out->info);
    p.f = f;
    p.n = COMPONENTS;
    p.m = 1;
    p.x = x;
    p.jac = out->value;
    p.col_stride = p.row_stride = 1;
    out->info.step = out->step;
    const fdc_adaptive how = {.scale = out->scale};
    out->status = fdc_run_adaptive(&p, options, &out->info, &how, out->error, out->found);
}

/* The points outside the domain, NaN, and failures to converge are part of it: components where all fails are left out. */
static void check_places(int shift, int bounded, double base, double start) {
    along l;
    memset(&l, 0, sizeof l);
    l.f.fail_component = -1;
    fill(l.x, shift);
    double home[COMPONENTS], starts[COMPONENTS], lower[COMPONENTS], upper[COMPONENTS];
    l.f.base = base;
    memcpy(home, l.x, sizeof home);
    l.f.home = home;
    double *work = malloc(fdc_line_work(1) * sizeof *work);
    ran one, all;
    ptrdiff_t total = 0;
    for (ptrdiff_t j = 0; j < COMPONENTS; j++) {
        lower[j] = home[j] - (j % 3 ? 1e-3 : 10) * fabs(home[j]) - (double)(j % 5);
        upper[j] = home[j] + 0.02 * fabs(home[j]) + 0.01 * (double)(j % 2);
        fdc_line_options options;
        ptrdiff_t nfev;
        fdc_line_options_init(&options);
        options.f0 = &base;
        for (;;) {
            options.x = home[j];
            starts[j] = start * (1 + fabs(home[j]));
            options.start = starts[j];
            if (bounded) {
                options.below = home[j] - lower[j];
                options.above = upper[j] - home[j];
            }
            l.j = j;
            const int status = fdc_line_derivative(line, &l, 1, &options, &one.value[j], &one.error[j], &one.step[j],
                                                   &one.scale[j], &one.found[j], &nfev, work);
            CHECK_INT(status, 0);
            if (isfinite(one.value[j])) {
                break;
            }
            CHECK(home[j] != 2.0); /* where nothing comes of it, the run would stop: elsewhere */
            home[j] = l.x[j] = 2.0;
            lower[j] = 1.0;
            upper[j] = 2.1;
        }
        total += nfev;
    }
    free(work);
    mixed f = {.home = home, .fail_component = -1, .base = base};
    fdc_bridge bridge;
    fdc_func func[2];
    CHECK_INT(fdc_bridge_init(&bridge, FDC_KIND_ARRAY_USER, (void (*)(void))mix, &f, FDC_REENTRANT, &func[0]), FDC_OK);
    CHECK_INT(fdc_bridge_init(&bridge, FDC_KIND_ARRAY_USER, (void (*)(void))mix, &f, FDC_REENTRANT, &func[1]), FDC_OK);
    func[1].eval = mix_or_fail; /* called in the full form */
    func[1].ctx = &f;
    for (int form = 0; form < 2; form++) {
        fdc_options options;
        fdc_options_init(&options);
        options.workers = 1;
        options.f0 = &base;
        options.abs_step = start > 0 ? starts : NULL;
        if (bounded) {
            options.lower = lower;
            options.upper = upper;
        }
        f.evaluations = 0;
        memset(&all, 1, sizeof all);
        run(&func[form], home, &options, &all);
        CHECK_INT(all.status, FDC_OK);
        CHECK_INT(all.info.nfev, total);
        CHECK_INT(f.evaluations, total);
        CHECK(memcmp(all.value, one.value, sizeof one.value) == 0);
        CHECK(memcmp(all.error, one.error, sizeof one.error) == 0);
        CHECK(memcmp(all.step, one.step, sizeof one.step) == 0);
        CHECK(memcmp(all.scale, one.scale, sizeof one.scale) == 0);
        CHECK(memcmp(all.found, one.found, sizeof one.found) == 0);
    }
}

static void test_the_same_as_one_by_one(void) {
    for (int shift = 0; shift < 68; shift++) {
        check_places(shift, 0, 0, 0);
        check_places(shift, 1, 0, 0);
        check_places(shift, 0, 2, 0);
        check_places(shift, 0, NAN, 0); /* f continued */
        check_places(shift, 0, 2, 0.02);
        check_places(shift, 0, 2, 1e-13); /* displacements are not exact */
    }
}

static void plain_problem(mixed *f, double *x, fdc_func *func, fdc_options *options) {
    static double zero = 0;
    for (int j = 0; j < COMPONENTS; j++) {
        x[j] = 1.5 + 0.01 * j;
    }
    memset(f, 0, sizeof *f);
    memset(func, 0, sizeof *func);
    f->home = x;
    f->fail_component = -1;
    func->version = FDC_ABI_VERSION;
    func->eval = mix_or_fail;
    func->ctx = f;
    fdc_options_init(options);
    options->workers = 1;
    options->f0 = &zero;
}

/* A callback that fails stops the run at once and says where. */
static void test_failures(void) {
    mixed f;
    fdc_func func;
    fdc_options options;
    double x[COMPONENTS];
    ran out;
    for (int at = 1; at <= 8 * COMPONENTS; at += 5) {
        plain_problem(&f, x, &func, &options);
        f.fail_at = at;
        run(&func, x, &options, &out);
        CHECK_INT(out.status, FDC_ERR_CALLBACK);
        CHECK_INT(out.info.callback_status, 42);
        CHECK_INT(out.info.nfev, f.evaluations);
    }
    for (int component = 0; component < COMPONENTS; component += 6) {
        plain_problem(&f, x, &func, &options);
        f.fail_component = component;
        run(&func, x, &options, &out);
        CHECK_INT(out.status, FDC_ERR_CALLBACK);
        CHECK_INT(out.info.column, component);
        CHECK(fabs(out.info.displacement) > 2.5 / 128);
    }
}

/* So does one that writes into its argument, wherever that is and whenever. */
static void test_a_callback_that_writes(void) {
    mixed f;
    fdc_func func;
    fdc_options options;
    double x[COMPONENTS];
    ran out;
    for (int at = 1; at <= 8 * COMPONENTS; at++) {
        plain_problem(&f, x, &func, &options);
        f.write_at = at;
        run(&func, x, &options, &out);
        CHECK_INT(out.status, FDC_ERR_MUTATED);
        CHECK_INT(out.info.column, 1);
    }
}

static void test_powers_of_two(void) {
    for (int k = -1074; k < 1024; k++) {
        const double near[] = {1.0, 1.2, 1.4142135623730949, 1.4142135623730951, 1.4142135623730954, 1.7, 1.9999999999999998};
        for (int i = 0; i < 7; i++) {
            const double h = ldexp(near[i], k);
            int exponent;
            const double mantissa = frexp(h, &exponent);
            const double nearest = ldexp(1.0, mantissa > 0.70710678118654752 ? exponent : exponent - 1);
            CHECK(h > DBL_MAX || fdc_power_of_two(h) == nearest);
        }
    }
}

int main(void) {
    RUN(test_powers_of_two);
    RUN(test_the_same_as_one_by_one);
    RUN(test_failures);
    RUN(test_a_callback_that_writes);
    return check_summary();
}
