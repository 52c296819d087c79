# The public cimport surface: `cimport fdcore`. Compile with include_dirs=[fdcore.get_include()]; nothing to link.
from fdcore.fdcore cimport (
    FDC_ABI_VERSION, FDC_BATCHED, FDC_REENTRANT, FDC_SIDE_BY_SIDE,
    FDC_OK, FDC_ERR_ARGUMENT, FDC_ERR_MEMORY, FDC_ERR_CALLBACK, FDC_ERR_NONFINITE, FDC_ERR_STEP, FDC_ERR_BOUNDS,
    FDC_ERR_MUTATED, FDC_ERR_CANCELLED,
    FDC_FORWARD, FDC_BACKWARD, FDC_CENTRAL,
    FDC_AT_RULE, FDC_AT_SHRUNK, FDC_AT_FORWARD, FDC_AT_BACKWARD,
    fdc_status, fdc_component, fdc_method, fdc_fn, fdc_update, fdc_update_fn, fdc_poll_fn, fdc_func, fdc_pool,
    fdc_options, fdc_info,
    options_init, jacobian, gradient, rule_step, pool_create, pool_destroy, status_message,
)
