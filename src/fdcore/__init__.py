"""Numerical derivatives at C speed, with error bars, and gradient checks that say who is wrong, where and why."""

from pathlib import Path

import fdcore.report  # noqa: F401  (checks print themselves through it)
from fdcore import integrations, models, plots, selectors, testing
from fdcore.bidirectional import color_bidirectional
from fdcore.callbacks import native
from fdcore.check import (
    Diagnosis,
    Entry,
    GradientCheck,
    GradientCheckError,
    Note,
    Parameter,
    TaylorTest,
    WrongGradientError,
    check_gradient,
    check_hessian,
    check_hvp,
    check_jacobian,
    check_jvp,
    check_vjp,
    error_band,
    relative_error,
    taylor_test,
)
from fdcore.curve import StepSizeCurve, step_size_curve
from fdcore.differentiate import derivative, gradient, jacobian
from fdcore.directional import jvp, linear_operator
from fdcore.errors import (
    AnalyticityError,
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    CallbackError,
    ComplexValuesError,
    EvaluationError,
    FdcoreError,
    FdcoreMemoryError,
    FdcoreWarning,
    InputMutatedError,
    MissingExtraError,
    NonFiniteError,
    ShapeError,
    SignatureError,
    StepError,
)
from fdcore.fdcore import build_config
from fdcore.implicit import implicit_jacobian
from fdcore.noise import NoiseLevel, noise_level
from fdcore.plan import Gradient, Jacobian
from fdcore.progress import Progress
from fdcore.results import Finding, Result, Status
from fdcore.second import Hessian, hessian, hvp
from fdcore.sparsity import color_columns, detect_sparsity
from fdcore.stencils import Stencil, stencil, weights

__version__ = "0.1.0"


def get_include() -> str:
    """Directory of the C header, for ``include_dirs``.

    Examples
    --------
    >>> import os, fdcore as fd
    >>> os.path.exists(os.path.join(fd.get_include(), "fdcore", "fdcore.h"))
    True
    """
    return str(Path(__file__).parent / "include")


__all__ = [
    "AnalyticityError",
    "ArgumentError",
    "ArgumentTypeError",
    "BoundsError",
    "CallbackError",
    "ComplexValuesError",
    "Diagnosis",
    "Entry",
    "EvaluationError",
    "FdcoreError",
    "FdcoreMemoryError",
    "FdcoreWarning",
    "Finding",
    "Gradient",
    "GradientCheck",
    "GradientCheckError",
    "Hessian",
    "InputMutatedError",
    "Jacobian",
    "MissingExtraError",
    "NoiseLevel",
    "NonFiniteError",
    "Note",
    "Parameter",
    "Progress",
    "Result",
    "ShapeError",
    "SignatureError",
    "Status",
    "Stencil",
    "StepError",
    "StepSizeCurve",
    "TaylorTest",
    "WrongGradientError",
    "build_config",
    "check_gradient",
    "check_hessian",
    "check_hvp",
    "check_jacobian",
    "check_jvp",
    "check_vjp",
    "color_bidirectional",
    "color_columns",
    "derivative",
    "detect_sparsity",
    "error_band",
    "get_include",
    "gradient",
    "hessian",
    "hvp",
    "implicit_jacobian",
    "integrations",
    "jacobian",
    "jvp",
    "linear_operator",
    "models",
    "native",
    "noise_level",
    "plots",
    "relative_error",
    "selectors",
    "stencil",
    "step_size_curve",
    "taylor_test",
    "testing",
    "weights",
]
