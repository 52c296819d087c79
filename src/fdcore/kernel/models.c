/* The models by name, for the Python side. */
#include "models.h"

#include <string.h>

const fdc_model *fdc_model_find(const char *name) {
    static const fdc_model models[] = {
        {"linear", fdc_linear_loss, fdc_linear_update},
        {"logistic", fdc_logistic_loss, fdc_logistic_update},
        {"poisson", fdc_poisson_loss, fdc_poisson_update},
        {"network", fdc_network_loss, fdc_network_update},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i].name, name) == 0) {
            return &models[i];
        }
    }
    return NULL;
}

FDC_WIDE void fdc_divide(ptrdiff_t count, double *values, double by) {
    for (ptrdiff_t i = 0; i < count; i++) {
        values[i] /= by;
    }
}
