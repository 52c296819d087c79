/* CasADi's generated-code interface (casadi.external) around one function: NAME, SIZE inputs, OUTPUTS outputs. */
#include <stddef.h>

#define PASTE(a, b) a##b
#define CONCAT(a, b) PASTE(a, b)
typedef long long int casadi_int;

#if OUTPUTS == 1
double NAME(int n, double *x, void *ctx);
#else
int NAME(ptrdiff_t n, const double *x, ptrdiff_t m, double *y, void *ctx);
#endif

int casadi_box(const double **arg, double **res, casadi_int *iw, double *w, int mem) {
    (void)iw, (void)w, (void)mem;
    if (!res[0]) return 0;
#if OUTPUTS == 1
    res[0][0] = NAME(SIZE, (double *)arg[0], NULL);
    return 0;
#else
    return NAME(SIZE, arg[0], OUTPUTS, res[0], NULL);
#endif
}
casadi_int casadi_box_n_in(void) { return 1; }
casadi_int casadi_box_n_out(void) { return 1; }
static const casadi_int dense_in[3] = {SIZE, 1, 1}, dense_out[3] = {OUTPUTS, 1, 1};
const casadi_int *casadi_box_sparsity_in(casadi_int i) { return i == 0 ? dense_in : NULL; }
const casadi_int *casadi_box_sparsity_out(casadi_int i) { return i == 0 ? dense_out : NULL; }
int casadi_box_work(casadi_int *sz_arg, casadi_int *sz_res, casadi_int *sz_iw, casadi_int *sz_w) {
    *sz_arg = 1, *sz_res = 1, *sz_iw = 0, *sz_w = 0;
    return 0;
}
