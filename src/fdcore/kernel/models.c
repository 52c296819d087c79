/* The models by name, for the Python side. */
#include "models.h"

#include <string.h>

fdc_fn fdc_model_find(const char *name) {
    static const struct {
        const char *name;
        fdc_fn loss;
    } models[] = {
        {"linear", fdc_linear_loss},
        {"logistic", fdc_logistic_loss},
        {"network", fdc_network_loss},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i].name, name) == 0) {
            return models[i].loss;
        }
    }
    return NULL;
}
