/* The functions that the bench differentiates: black boxes behind a pointer, the same for every contender.
 * Compiled with -ffast-math, so that sums and exp() use vectors: the cheaper f, the more its differentiation shows. */
#include <math.h>
#include <stddef.h>
#include <string.h>

double rosenbrock(int n, double *x, void *ctx) {
    (void)ctx;
    double sum = 0.0;
    for (int i = 0; i < n - 1; i++) {
        const double a = x[i + 1] - x[i] * x[i], b = 1.0 - x[i];
        sum += 100.0 * a * a + b * b;
    }
    return sum;
}

/* Waves that each modulate the next, in a ring: a scalar function whose evaluation is work. */
double waves(int n, double *x, void *ctx) {
    (void)ctx;
    double sum = exp(sin(x[n - 1])) * cos(x[0]);
    for (int i = 0; i < n - 1; i++) sum += exp(sin(x[i])) * cos(x[i + 1]);
    return sum;
}

/* Broyden's tridiagonal system; n >= 2. */
int broyden(ptrdiff_t n, const double *restrict x, ptrdiff_t m, double *restrict y, void *ctx) {
    (void)m, (void)ctx;
    y[0] = (3.0 - 2.0 * x[0]) * x[0] - 2.0 * x[1] + 1.0;
    for (ptrdiff_t i = 1; i < n - 1; i++) y[i] = (3.0 - 2.0 * x[i]) * x[i] - x[i - 1] - 2.0 * x[i + 1] + 1.0;
    y[n - 1] = (3.0 - 2.0 * x[n - 1]) * x[n - 1] - x[n - 2] + 1.0;
    return 0;
}

/* Bratu's problem on a square grid: five-point Laplacian plus exp(u) / (side + 1)^2, zero outside. */
int bratu(ptrdiff_t n, const double *restrict u, ptrdiff_t m, double *restrict y, void *ctx) {
    (void)m, (void)ctx;
    const ptrdiff_t side = (ptrdiff_t)lround(sqrt((double)n));
    const double h2 = 1.0 / (double)((side + 1) * (side + 1));
    for (ptrdiff_t first = 0; first < n; first += side) { /* passes over one row, which stays in the cache */
        const double *restrict row = u + first;
        double *restrict out = y + first;
        for (ptrdiff_t c = 0; c < side; c++) out[c] = h2 * exp(row[c]) - 4.0 * row[c];
        if (first > 0) for (ptrdiff_t c = 0; c < side; c++) out[c] += row[c - side];
        if (first + side < n) for (ptrdiff_t c = 0; c < side; c++) out[c] += row[c + side];
        for (ptrdiff_t c = 1; c < side; c++) out[c] += row[c - 1];
        for (ptrdiff_t c = 0; c + 1 < side; c++) out[c] += row[c + 1];
    }
    return 0;
}

/* Lorenz-96, forcing 8: the state after LORENZ_STEPS classical Runge-Kutta steps of LORENZ_DT. */
enum { LORENZ_N = 40, LORENZ_STEPS = 560 };
static const double LORENZ_DT = 0.002;

static void lorenz_rate(const double *restrict x, double *restrict rate) {
    enum { N = LORENZ_N };
    double ring[N + 3]; /* x[-2], x[-1], x[0] .. x[N-1], x[0] */
    ring[0] = x[N - 2], ring[1] = x[N - 1], ring[N + 2] = x[0];
    memcpy(ring + 2, x, sizeof(double) * N);
    for (int i = 0; i < N; i++) rate[i] = ring[i + 1] * (ring[i + 3] - ring[i]) - ring[i + 2] + 8.0;
}

int lorenz(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    enum { N = LORENZ_N };
    const double dt = LORENZ_DT;
    double s[N], t[N], k1[N], k2[N], k3[N], k4[N];
    (void)ctx;
    if (n != N || m != N) return 1;
    memcpy(s, x, sizeof s);
    for (int step = 0; step < LORENZ_STEPS; step++) {
        lorenz_rate(s, k1);
        for (int i = 0; i < N; i++) t[i] = s[i] + 0.5 * dt * k1[i];
        lorenz_rate(t, k2);
        for (int i = 0; i < N; i++) t[i] = s[i] + 0.5 * dt * k2[i];
        lorenz_rate(t, k3);
        for (int i = 0; i < N; i++) t[i] = s[i] + dt * k3[i];
        lorenz_rate(t, k4);
        for (int i = 0; i < N; i++) s[i] += dt / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
    }
    memcpy(y, s, sizeof s);
    return 0;
}

/* Ten bodies of mass 1/10 under softened gravity: positions, then velocities, after BODY_STEPS leapfrog steps. */
enum { BODIES = 10, BODY_STEPS = 310 };
static const double BODY_DT = 0.002, BODY_SOFTENING = 0.01;

static void body_kick(const double *restrict p, double *restrict v, double dt) {
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            const double dx = p[3 * j] - p[3 * i], dy = p[3 * j + 1] - p[3 * i + 1], dz = p[3 * j + 2] - p[3 * i + 2];
            const double r2 = dx * dx + dy * dy + dz * dz + BODY_SOFTENING;
            const double pull = dt / (BODIES * r2 * sqrt(r2));
            v[3 * i] += pull * dx, v[3 * i + 1] += pull * dy, v[3 * i + 2] += pull * dz;
            v[3 * j] -= pull * dx, v[3 * j + 1] -= pull * dy, v[3 * j + 2] -= pull * dz;
        }
    }
}

int nbody(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx) {
    enum { N = 3 * BODIES };
    double p[N], v[N];
    (void)ctx;
    if (n != 2 * N || m != 2 * N) return 1;
    memcpy(p, x, sizeof p);
    memcpy(v, x + N, sizeof v);
    body_kick(p, v, 0.5 * BODY_DT);
    for (int step = 0; step < BODY_STEPS; step++) {
        for (int i = 0; i < N; i++) p[i] += BODY_DT * v[i];
        body_kick(p, v, step + 1 < BODY_STEPS ? BODY_DT : 0.5 * BODY_DT);
    }
    memcpy(y, p, sizeof p);
    memcpy(y + N, v, sizeof v);
    return 0;
}
