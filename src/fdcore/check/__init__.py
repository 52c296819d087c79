"""Gradient checks: is it wrong, where, and why."""

from fdcore.check.gradient import check_gradient
from fdcore.check.hessian import check_hessian, check_hvp
from fdcore.check.jacobian import check_jacobian
from fdcore.check.products import check_jvp, check_vjp
from fdcore.check.relative import error_band, relative_error
from fdcore.check.taylor import TaylorTest, taylor_test
from fdcore.check.verdict import (
    Diagnosis,
    Entry,
    GradientCheck,
    GradientCheckError,
    Note,
    Parameter,
    WrongGradientError,
)

__all__ = [
    "Diagnosis",
    "Entry",
    "GradientCheck",
    "GradientCheckError",
    "Note",
    "Parameter",
    "TaylorTest",
    "WrongGradientError",
    "check_gradient",
    "check_hessian",
    "check_hvp",
    "check_jacobian",
    "check_jvp",
    "check_vjp",
    "error_band",
    "relative_error",
    "taylor_test",
]
