"""SymPy: exact derivatives of expressions, compared with numeric ones; and expressions as native callbacks.

An expression is a SymPy one, or text such as ``"x*sin(y) + exp(-x**2)"``. Text is never run as code: see `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fdcore.coerce import as_vector
from fdcore.differentiate import derivative as numeric_derivative
from fdcore.differentiate import gradient as numeric_gradient
from fdcore.differentiate import jacobian as numeric_jacobian
from fdcore.errors import ArgumentError, ArgumentTypeError, ShapeError
from fdcore.fdcore import Native
from fdcore.integrations._codegen import native_code
from fdcore.integrations._parse import parse, require_sympy, shortened
from fdcore.second import hessian as numeric_hessian

__all__ = [
    "Comparison",
    "compare",
    "derivative",
    "evaluate",
    "gradient",
    "hessian",
    "jacobian",
    "native",
    "parse",
    "variables_of",
]

Array = NDArray[np.float64]

_DIGITS = 30  # in which exact values are evaluated before they are rounded to float64


# ---------------------------------------------------------------------------------------------------------------------
# Exact derivatives


def variables_of(expr: Any, variables: Any = None) -> list[Any]:
    """The symbols of one expression or several, in natural order: x2 comes before x10.

    Parameters
    ----------
    expr : expression, text, or sequence or matrix of them
    variables : str, symbol or sequence, optional
        The order to use instead: names (``"x y z"``, ``["x", "y"]``) or symbols. All symbols of `expr` must be there.

    Returns
    -------
    list of sympy.Symbol

    Raises
    ------
    ArgumentError
        `variables` lacks a symbol, or has one twice; or the expression has none at all and none are given.

    Examples
    --------
    >>> from fdcore.integrations.sympy import variables_of
    >>> variables_of("x10 + x2*y")
    [x2, x10, y]
    """
    return _variables(_entries(expr)[0], variables)


def _variables(entries: Sequence[Any], variables: Any) -> list[Any]:
    sympy = require_sympy()
    found = {symbol for entry in entries for symbol in entry.free_symbols}
    if variables is None:
        if not found:
            raise ArgumentError("the expression has no variable; nothing to differentiate by")
        return sorted(
            found, key=lambda s: [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", s.name)]
        )
    given = variables.replace(",", " ").split() if isinstance(variables, str) else variables
    by_name = {symbol.name: symbol for symbol in found}
    order = []
    for entry in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(entry, str):
            order.append(by_name.get(entry) or sympy.Symbol(entry, real=True))
        elif isinstance(entry, sympy.Symbol):
            order.append(entry)
        else:
            raise ArgumentTypeError(f"variables must be names or symbols, not {entry!r}")
    lacking = sorted(symbol.name for symbol in found - set(order))
    if lacking:
        raise ArgumentError(f"variables lacks {', '.join(lacking)}, which the expression has")
    if len(set(order)) < len(order):
        raise ArgumentError(f"variables has one of {order} twice")
    return order


def _entries(expr: Any) -> tuple[list[Any], bool]:
    """The expressions in a flat list, and whether there is one alone."""
    sympy = require_sympy()
    if isinstance(expr, sympy.MatrixBase):
        return list(expr), False
    if isinstance(expr, (list, tuple)):
        if not expr:
            raise ArgumentError("the list of expressions is empty")
        return [parse(entry) for entry in expr], False
    return [parse(expr)], True


def _alone(expr: Any, what: str) -> Any:
    entries, alone = _entries(expr)
    if not alone and len(entries) != 1:
        raise ShapeError(f"{what} is of one expression, not of {len(entries)}; use jacobian")
    return entries[0]


def derivative(expr: Any, variable: Any = None, order: int = 1) -> Any:
    """Exact derivative of an expression with respect to one variable.

    Parameters
    ----------
    expr : SymPy expression or text
    variable : str or symbol, optional
        Needed where there are several.
    order : int, default 1

    Returns
    -------
    sympy.Expr

    Examples
    --------
    >>> from fdcore.integrations.sympy import derivative
    >>> derivative("x**3 + sin(x)")
    3*x**2 + cos(x)
    >>> derivative("exp(a*x)", "x", order=2)
    a**2*exp(a*x)
    """
    entry = _alone(expr, "a derivative")
    if variable is None:
        known = _variables([entry], None)
        if len(known) > 1:
            raise ArgumentError(f"the expression has the variables {known}; say which one")
        return entry.diff(known[0], order)
    name = variable if isinstance(variable, str) else getattr(variable, "name", str(variable))
    symbols = {symbol.name: symbol for symbol in entry.free_symbols}
    return entry.diff(symbols.get(name) or _variables([], [variable])[0], order)


def gradient(expr: Any, variables: Any = None) -> Any:
    """Exact gradient of an expression, as a column matrix.

    Parameters
    ----------
    expr : SymPy expression or text
    variables : str, symbol or sequence, optional
        As for `variables_of`.

    Returns
    -------
    sympy.Matrix
        (n, 1).

    Examples
    --------
    >>> from fdcore.integrations.sympy import gradient
    >>> gradient("x**2*y")
    Matrix([
    [2*x*y],
    [ x**2]])
    """
    entry = _alone(expr, "a gradient")
    return require_sympy().Matrix([entry.diff(symbol) for symbol in _variables([entry], variables)])


def jacobian(exprs: Any, variables: Any = None) -> Any:
    """Exact Jacobian of several expressions.

    Parameters
    ----------
    exprs : sequence or matrix of expressions or texts
    variables : str, symbol or sequence, optional
        As for `variables_of`.

    Returns
    -------
    sympy.Matrix
        (m, n).

    Examples
    --------
    >>> from fdcore.integrations.sympy import jacobian
    >>> jacobian(["x*y", "x + y"])
    Matrix([
    [y, x],
    [1, 1]])
    """
    entries, _ = _entries(exprs)
    return require_sympy().Matrix(entries).jacobian(_variables(entries, variables))


def hessian(expr: Any, variables: Any = None) -> Any:
    """Exact Hessian of an expression.

    Parameters
    ----------
    expr : SymPy expression or text
    variables : str, symbol or sequence, optional
        As for `variables_of`.

    Returns
    -------
    sympy.Matrix
        (n, n).

    Examples
    --------
    >>> from fdcore.integrations.sympy import hessian
    >>> hessian("x**2*y")
    Matrix([
    [2*y, 2*x],
    [2*x,   0]])
    """
    entry = _alone(expr, "a Hessian")
    return require_sympy().hessian(entry, _variables([entry], variables))


def evaluate(expr: Any, at: ArrayLike, variables: Any = None) -> Any:
    """Value of an expression, or of a matrix of them, rounded once from 30 digits.

    Parameters
    ----------
    expr : expression, text, sequence or matrix
    at : float or (n,) array_like
        The variables' values, in their order. Taken as the doubles that they are.
    variables : str, symbol or sequence, optional
        As for `variables_of`.

    Returns
    -------
    float or ndarray
        Of the matrix's shape.

    Raises
    ------
    ArgumentError
        The value is no finite real number there.

    Examples
    --------
    >>> from fdcore.integrations.sympy import evaluate
    >>> evaluate("sin(x)/x", 0.5)
    0.958851...
    """
    sympy = require_sympy()
    entries, alone = _entries(expr)
    symbols = _variables(entries, variables) if variables is not None or any(e.free_symbols for e in entries) else []
    point = as_vector(np.atleast_1d(np.asarray(at)), "at")
    values = np.array([_value(sympy, entry, symbols, point) for entry in entries])
    if alone:
        return float(values[0])
    return values.reshape(expr.shape) if isinstance(expr, sympy.MatrixBase) else values


def _value(sympy: Any, entry: Any, symbols: Sequence[Any], point: Array) -> float:
    if symbols and len(symbols) != point.size:
        raise ShapeError(f"at has {point.size} values for the {len(symbols)} variables {list(symbols)}")
    exact = {symbol: sympy.Float(float(value), _DIGITS + 20) for symbol, value in zip(symbols, point, strict=False)}
    value = entry.evalf(_DIGITS, subs=exact)
    if not value.is_number or value.is_real is False or not value.is_finite:
        raise ArgumentError(
            f"{shortened(str(entry))} has no finite real value at {dict(zip(symbols, point.tolist(), strict=False))}"
        )
    return float(value)


# ---------------------------------------------------------------------------------------------------------------------
# Exact against numeric


@dataclass(frozen=True, eq=False)
class Comparison:
    """Exact and numeric derivatives side by side; what `compare` returns. Printing it gives a table.

    Attributes
    ----------
    kind : {"derivative", "gradient", "jacobian", "hessian"}
    names : tuple of str
        What each entry is: ``df/dx``.
    expressions : tuple of sympy.Expr
        The exact derivatives.
    exact : (k,) ndarray
        Their values, rounded once.
    numeric : (k,) ndarray
    error : (k,) ndarray
        The error bars of the numeric values.
    at : dict of str to float
        Where.
    nfev : int
        Evaluations for the numeric values.
    method : str
    """

    kind: str
    names: tuple[str, ...]
    expressions: tuple[Any, ...]
    exact: Array
    numeric: Array
    error: Array
    at: dict[str, float]
    nfev: int
    method: str

    @property
    def difference(self) -> Array:
        """``numeric - exact``."""
        return self.numeric - self.exact

    @property
    def within_bars(self) -> bool:
        """Whether every difference is within its error bar, and half a unit in the last place of the exact value."""
        return bool(np.all(np.abs(self.difference) <= self.error + 0.5 * np.spacing(np.abs(self.exact))))

    def __str__(self) -> str:
        where = ", ".join(f"{name} = {value!r}" for name, value in self.at.items())
        lines = [f"{self.kind} at {where}: exact, and numeric ({self.method}, {self.nfev} evaluations)"]
        texts = [text if len(text) <= 40 else text[:37] + "..." for text in map(str, self.expressions)]
        columns = [
            ("", self.names),
            ("expression", texts),
            ("exact", [f"{v:.12g}" for v in self.exact]),
            ("numeric", [f"{v:.12g}" for v in self.numeric]),
            ("difference", [f"{v:.1e}" for v in self.difference]),
            ("+- error", [f"{v:.1e}" for v in self.error]),
        ]
        widths = [max(len(title), *map(len, cells)) for title, cells in columns]
        rows = [[title for title, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]
        for row in rows[:26]:
            cells = [c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
            lines.append("  ".join(cells).rstrip())
        if len(rows) > 26:
            lines.append(
                f"... and {len(rows) - 26} more; the largest difference is {np.max(np.abs(self.difference)):.1e}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python data."""
        return {
            "kind": self.kind,
            "at": dict(self.at),
            "method": self.method,
            "nfev": self.nfev,
            "entries": [
                {"name": n, "expression": str(e), "exact": float(x), "numeric": float(v), "error": float(b)}
                for n, e, x, v, b in zip(
                    self.names, self.expressions, self.exact, self.numeric, self.error, strict=True
                )
            ],
        }


_KINDS = ("derivative", "gradient", "jacobian", "hessian")


def compare(
    expr: Any,
    at: ArrayLike,
    variables: Any = None,
    *,
    kind: str | None = None,
    order: int = 1,
    method: str = "adaptive",
    **options: Any,
) -> Comparison:
    """Compare exact derivatives with numeric ones of the same expression, entry by entry.

    Parameters
    ----------
    expr : expression, text, or sequence of them
    at : float or (n,) array_like
        Where, in the order of `variables`.
    variables : str, symbol or sequence, optional
        As for `variables_of`.
    kind : {"derivative", "gradient", "jacobian", "hessian"}, optional
        By default the derivative for one variable, the gradient for one expression, the Jacobian for several.
    order : int, default 1
        Of the derivative with respect to one variable.
    method : str, default "adaptive"
        As for `fdcore.gradient`; "hessian" and orders above one choose for themselves.
    **options
        For the numeric derivative: `step`, `accuracy` and so on.

    Returns
    -------
    Comparison
        Print it.

    Examples
    --------
    >>> from fdcore.integrations.sympy import compare
    >>> result = compare("x**3 + sin(y)", [2.0, 0.0])
    >>> result.exact, result.within_bars
    (array([12.,  1.]), True)
    """
    sympy = require_sympy()
    entries, alone = _entries(expr)
    symbols = _variables(entries, variables)
    point = as_vector(np.atleast_1d(np.asarray(at)), "at")
    if kind is None:
        kind = "jacobian" if not alone else "derivative" if len(symbols) == 1 or order != 1 else "gradient"
    if kind not in _KINDS:
        raise ArgumentError(f"kind must be one of {_KINDS}, not {kind!r}")
    if kind != "jacobian" and len(entries) != 1:
        raise ShapeError(f"a {kind} is of one expression, not of {len(entries)}")
    if kind == "derivative" and len(symbols) != 1:
        raise ArgumentError(f"a derivative is with respect to one variable, not {symbols}")
    f = sympy.lambdify([symbols], entries[0] if kind != "jacobian" else entries, modules="math")
    if kind == "derivative":
        exact = [entries[0].diff(symbols[0], order)]
        chosen = {"method": method} if order == 1 else {}
        found = numeric_derivative(
            lambda x: float(f([x])), float(point[0]), order=order, full_output=True, **(chosen | options)
        )
        names = [f"d{order if order > 1 else ''}f/d{symbols[0]}{order if order > 1 else ''}"]
    elif kind == "hessian":
        exact = list(sympy.hessian(entries[0], symbols))
        found = numeric_hessian(lambda x: float(f(x)), point, full_output=True, **options)
        names = [f"d2f/d{a}d{b}" for a in symbols for b in symbols]
    elif kind == "gradient":
        exact = [entries[0].diff(symbol) for symbol in symbols]
        found = numeric_gradient(lambda x: float(f(x)), point, method=method, full_output=True, **options)
        names = [f"df/d{symbol}" for symbol in symbols]
    else:
        exact = list(sympy.Matrix(entries).jacobian(symbols))
        found = numeric_jacobian(
            lambda x: np.array(f(x), dtype=np.float64), point, method=method, full_output=True, **options
        )
        names = [f"df{i}/d{symbol}" for i in range(len(entries)) for symbol in symbols]
    return Comparison(
        kind,
        tuple(names),
        tuple(exact),
        np.array([_value(sympy, entry, symbols, point) for entry in exact]),
        np.ravel(np.asarray(found.value, dtype=np.float64)),
        np.ravel(np.asarray(found.error, dtype=np.float64)),
        {symbol.name: float(value) for symbol, value in zip(symbols, point, strict=True)},
        int(found.nfev),
        str(found.method),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Native code


def native(expr: Any, variables: Any = None, *, backend: str | None = None) -> Native:
    """Compile an expression, or several, to a native callback that runs without the GIL on all cores.

    Parameters
    ----------
    expr : expression, text, or sequence or matrix of them
        m of them make a function with m values; a matrix counts row by row. Exact derivatives can be compiled too.
    variables : str, symbol or sequence, optional
        The components of x, in order; as for `variables_of`.
    backend : {"c", "numba"}, optional
        SymPy's C code through a C compiler (``cc``, ``gcc`` or ``clang``), or its Python code through numba. By default
        C where there is a compiler, else numba.

    Returns
    -------
    Native
        Accepted wherever fdcore takes a function.

    Raises
    ------
    ArgumentError
        The expression has something that C or numba has no function for, or there is neither a compiler nor numba.

    Notes
    -----
    Common subexpressions are computed once. Compiling takes a tenth of a second in C and seconds in numba; the same
    expression again takes nothing. The files live in a temporary folder that is gone when `native` returns.

    Examples
    --------
    >>> import fdcore as fd
    >>> from fdcore.integrations.sympy import native
    >>> fd.gradient(native("x**2*y + sin(z)"), [1.0, 2.0, 0.0]).round(8)
    array([4., 1., 1.])
    """
    entries, _ = _entries(expr)
    return native_code(entries, _variables(entries, variables), backend)
