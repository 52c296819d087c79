"""Drop-ins with the signatures of `scipy.optimize` and `scipy.differentiate`, on fdcore's engine.

`approx_derivative`, `approx_fprime`, `check_derivative` and `check_grad`, as in ``scipy.optimize``; `derivative`,
`jacobian` and `hessian`, as in ``scipy.differentiate``. SciPy itself is imported only for what is SciPy's: sparse
matrices and linear operators.
"""

from fdcore.compat.scipy.check import CheckedError, check_grad
from fdcore.compat.scipy.differentiate import RichResult, derivative, hessian, jacobian
from fdcore.compat.scipy.numdiff import approx_derivative, approx_fprime, check_derivative, group_columns

__all__ = [
    "CheckedError",
    "RichResult",
    "approx_derivative",
    "approx_fprime",
    "check_derivative",
    "check_grad",
    "derivative",
    "group_columns",
    "hessian",
    "jacobian",
]
