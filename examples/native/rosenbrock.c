/* Rosenbrock's valley, f: R^n -> R, in the form "double (int, double *, void *)". */

double rosenbrock(int n, const double *x, void *user_data)
{
    const double scale = *(const double *)user_data;
    double sum = 0.0;
    for (int i = 0; i + 1 < n; i++) {
        const double rise = x[i + 1] - x[i] * x[i];
        const double rest = 1.0 - x[i];
        sum += scale * rise * rise + rest * rest;
    }
    return sum;
}
