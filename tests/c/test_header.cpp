// The public header in a C++ program, linked with the kernel as C compiled it. Exits with 0 if all is well.
#include "fdcore/fdcore.h"

int main() {
    fdc_pool *pool = fdc_pool_create(2);
    if (pool == nullptr) return 1;
    fdc_pool_destroy(pool);
    return 0;
}
