// The public header in a C++ program, linked with the kernel as C compiled it. Exits with 0 if all is well.
#include "fdcore/fdcore.h"

static int square(ptrdiff_t, ptrdiff_t, const double *x, ptrdiff_t, double *y, void *) {
    *y = *x * *x;
    return 0;
}

int main() {
    fdc_pool *pool = fdc_pool_create(2);
    fdc_options options;
    fdc_options_init(&options);
    options.pool = pool;
    const fdc_func f = {FDC_ABI_VERSION, FDC_REENTRANT, square, nullptr, nullptr};
    const double x = 3.0;
    double g = 0;
    const fdc_status status = fdc_gradient(&f, 1, &x, &g, &options, nullptr);
    fdc_pool_destroy(pool);
    return status == FDC_OK && g > 5.999 && g < 6.001 ? 0 : 1;
}
