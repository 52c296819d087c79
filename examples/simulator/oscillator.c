/* A simulator as one meets them: a program that reads its parameters, integrates, and prints a few digits.
 *
 *     echo 1.0 0.4 9.0 | ./oscillator        mass, damping, stiffness
 *     0.627977                               where a damped oscillator, let go at 1, is after 2 seconds
 *
 * It exits with status 1 where there is nothing to simulate. */
#include <stdio.h>

enum { STEPS = 4000 };

int main(void) {
    double mass, damping, stiffness;
    if (scanf("%lf %lf %lf", &mass, &damping, &stiffness) != 3 || !(mass > 0)) {
        fprintf(stderr, "needs a mass > 0, a damping and a stiffness\n");
        return 1;
    }
    const double h = 2.0 / STEPS;
    double x = 1, v = 0;
    for (int step = 0; step < STEPS; ++step) { /* Runge and Kutta's classical method */
        double kx[4], kv[4];
        for (int stage = 0; stage < 4; ++stage) {
            const double ahead = stage == 0 ? 0 : stage == 3 ? h : h / 2;
            const double at = x + (stage ? ahead * kx[stage - 1] : 0), fast = v + (stage ? ahead * kv[stage - 1] : 0);
            kx[stage] = fast;
            kv[stage] = -(damping * fast + stiffness * at) / mass;
        }
        x += h / 6 * (kx[0] + 2 * kx[1] + 2 * kx[2] + kx[3]);
        v += h / 6 * (kv[0] + 2 * kv[1] + 2 * kv[2] + kv[3]);
    }
    printf("%.6f\n", x);
    return 0;
}
