/* status.c - statuses in words, and default options. */
#include "internal.h"

#include <string.h>

const char *fdc_status_message(fdc_status status)
{
    switch (status) {
    case FDC_OK:
        return "ok";
    case FDC_ERR_ARGUMENT:
        return "an argument is NULL, negative, not finite, or names no method";
    case FDC_ERR_MEMORY:
        return "a work array could not be allocated";
    case FDC_ERR_CALLBACK:
        return "the callback returned a nonzero status";
    case FDC_ERR_NONFINITE:
        return "the callback gave NaN or inf for every step and side that was tried";
    case FDC_ERR_STEP:
        return "the step vanishes (x + h == x), or is not positive and finite";
    case FDC_ERR_BOUNDS:
        return "x is outside its bounds, or they leave no room to move";
    case FDC_ERR_MUTATED:
        return "the callback wrote into its input";
    case FDC_ERR_CANCELLED:
        return "the poll function asked to stop";
    case FDC_STATUS_COUNT:
        break;
    }
    return "unknown status";
}

void fdc_options_init(fdc_options *options)
{
    memset(options, 0, sizeof *options);
    options->version = FDC_ABI_VERSION;
    options->method = FDC_CENTRAL;
    options->accuracy = 2;
    options->workers = 1;
}
