"""Expressions from text, by a short list of what may be in them; nothing is run."""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from fdcore import _extras
from fdcore.errors import ArgumentError, ArgumentTypeError

__all__ = ["parse", "require_sympy", "shortened"]

_LONGEST = 10_000  # characters of a text
_LARGEST = 10_000  # exponent between numbers that is worked out

# What a text may call, by SymPy's names.
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc asin acos atan atan2 sinh cosh tanh asinh acosh atanh exp log sqrt cbrt erf erfc gamma "
    "loggamma factorial Abs sign Min Max floor ceiling Heaviside".split()
)
_ALIASES = {"abs": "Abs", "ln": "log", "min": "Min", "max": "Max", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_CONSTANTS = {"pi": "pi", "e": "E", "E": "E"}


def parse(text: Any) -> Any:
    """Read an expression from text, without running it.

    Parameters
    ----------
    text : str, number or SymPy expression
        Numbers, names, ``+ - * / **``, parentheses, indexed names such as ``x[0]``, the constants ``pi`` and ``e``, and
        the elementary functions by SymPy's or NumPy's names: sin, arctan, exp, log, sqrt, abs, min, erf, gamma, ... A
        SymPy expression comes back as it is.

    Returns
    -------
    sympy.Expr
        Names are real symbols; whole numbers and quotients of them stay exact, and decimals are taken as they are
        written: 0.1 is 1/10.

    Raises
    ------
    ArgumentError
        The text is no such expression: attributes, strings, comparisons, keywords and unknown functions are refused by
        name, and so are powers of numbers that would take forever.
    ArgumentTypeError
        Neither text nor an expression.

    Notes
    -----
    The text goes through Python's own parser, and each node of what comes out must be on a short list. SymPy's
    `sympify` and `parse_expr` evaluate the text as Python code, and must not be given what others wrote.

    Examples
    --------
    >>> from fdcore.integrations.sympy import parse
    >>> parse("x*sin(x) + 0.5*y**2")
    x*sin(x) + y**2/2
    >>> parse("__import__('os').system('ls')")
    Traceback (most recent call last):
    fdcore.errors.ArgumentError: "__import__('os').system('ls')": attributes (.system) are no part of an expression
    """
    sympy = require_sympy()
    if isinstance(text, (sympy.Basic, sympy.MatrixBase)):
        return text
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return sympy.sympify(text)
    if not isinstance(text, str):
        raise ArgumentTypeError(f"an expression is text or a SymPy expression, not {type(text).__name__}")
    if len(text) > _LONGEST:
        raise ArgumentError(f"a text of {len(text)} characters is too long; {_LONGEST} at most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _Reader(sympy, text).read(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{shortened(text)}: not an expression: {error}") from None


def require_sympy() -> Any:
    """SymPy, or what to install."""
    return _extras.require("sympy", extra="sympy", feature="exact derivatives")


def shortened(text: str) -> str:
    """A text as messages have it."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


class _Reader:
    """Turns Python's syntax tree into a SymPy expression, node by node."""

    def __init__(self, sympy: Any, text: str) -> None:
        self.sympy, self.text = sympy, text

    def refuse(self, what: str) -> ArgumentError:
        return ArgumentError(f"{shortened(self.text)}: {what}")

    def read(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name):
            return self.name(node.id)
        if isinstance(node, ast.Subscript):
            return self.indexed(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            value = self.read(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            return self.operation(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Attribute):
            raise self.refuse(f"attributes (.{node.attr}) are no part of an expression")
        raise self.refuse(f"{type(node).__name__} is no part of an expression")

    def number(self, node: ast.Constant) -> Any:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(f"{value!r} is no real number")
        if isinstance(value, int):
            return self.sympy.Integer(value)
        written = (ast.get_source_segment(self.text.strip(), node) or repr(value)).replace("_", "")
        if not math.isfinite(value) or len(written) > 400 or abs(int([*re.split("[eE]", written), "0"][1])) > 400:
            raise self.refuse(f"{written} is out of range")
        return self.sympy.Rational(written)

    def name(self, name: str) -> Any:
        if name in _CONSTANTS:
            return getattr(self.sympy, _CONSTANTS[name])
        if name in _FUNCTIONS or name in _ALIASES:
            raise self.refuse(f"{name} is a function; write {name}(...)")
        if name.startswith("_"):
            raise self.refuse(f"{name!r} is no name of a variable")
        return self.sympy.Symbol(name, real=True)

    def indexed(self, node: ast.Subscript) -> Any:
        index = node.slice
        if isinstance(node.value, ast.Name) and isinstance(index, ast.Constant) and type(index.value) is int:
            return self.sympy.Symbol(f"{self.name(node.value.id)}[{index.value}]", real=True)
        raise self.refuse("an index must be a whole number, as in x[0]")

    def operation(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.BitXor):
            raise self.refuse("^ binds more loosely than +; write ** for a power")
        if not isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)):
            raise self.refuse(f"the operator {type(node.op).__name__} is no part of an expression")
        left, right = self.read(node.left), self.read(node.right)
        if isinstance(node.op, ast.Pow):
            self.limit("a power of numbers", left if left.is_Number else None, right)
            return left**right
        if isinstance(node.op, ast.Div):
            return left / right
        if isinstance(node.op, ast.Mult):
            return left * right
        return left + right if isinstance(node.op, ast.Add) else left - right

    def limit(self, what: str, base: Any, value: Any) -> None:
        """Refuse what SymPy would work out in full, digit after digit."""
        size = 0 if base is None else max(1, int(abs(base.p)).bit_length() + int(base.q).bit_length())
        if size and value.is_Number and abs(value) * size > 64 * _LARGEST:
            raise self.refuse(f"{what} is too large to be worked out")

    def call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            if isinstance(node.func, ast.Attribute):
                raise self.refuse(f"attributes (.{node.func.attr}) are no part of an expression")
            raise self.refuse("only functions with a name can be called")
        name = _ALIASES.get(node.func.id, node.func.id)
        if name not in _FUNCTIONS:
            raise self.refuse(f"no function is called {node.func.id!r}; there are {', '.join(sorted(_FUNCTIONS))}")
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.refuse(f"{node.func.id} takes plain arguments only")
        arguments = [self.read(argument) for argument in node.args]
        if name in ("gamma", "factorial", "loggamma") and any(a.is_Number and abs(a) > 1000 for a in arguments):
            raise self.refuse(f"{node.func.id} of a number above 1000 is too large to be worked out")
        try:
            return getattr(self.sympy, name)(*arguments)
        except TypeError as error:
            raise self.refuse(f"{node.func.id}: {error}") from None
