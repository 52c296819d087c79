"""Functions of one variable with exact derivatives.

An entry is (group, expression, points). Expressions are evaluated over `exact.FLOAT` and `exact.DUAL` with `x` and the
elementary functions in scope. Group names say why an entry is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import exact

# From the step-selection literature (Gill, Murray, Saunders & Wright 1983; Shi, Xie, Xuan &
# Nocedal 2022; Oliver 1980; Stepleman & Winarsky 1979; Dumontet & Vignes 1977), and hard cases.
ENTRIES: list[tuple[str, str, list[float]]] = [
    # -- smooth, scale one
    ("smooth", "exp(x)", [1.0, 0.1, 2.5, -3.0, 10.0]),
    ("smooth", "sin(x)", [1.0, 0.3, 3.0, -7.5, 30.0]),
    ("smooth", "cos(x)", [1.0, 0.7, -2.0, 5.0]),
    ("smooth", "tan(x)", [1.0, 0.5, 1.5]),
    ("smooth", "log(x)", [1.0, 2.0, 50.0]),
    ("smooth", "sqrt(x)", [1.0, 2.0, 1e4]),
    ("smooth", "atan(x)", [1.0, 0.5, -3.0, 20.0]),
    ("smooth", "tanh(x)", [1.0, 0.2, 4.0]),
    ("smooth", "erf(x)", [1.0, 0.3, 2.5]),
    ("smooth", "gamma(x)", [1.0, 2.5, 5.5]),
    ("smooth", "lgamma(x)", [1.5, 3.3, 100.0]),
    ("smooth", "1/(1+x*x)", [1.0, 0.5, 3.0]),
    ("smooth", "1/(1+25*x*x)", [1.0, 0.2, 0.6]),
    ("smooth", "x*exp(-x*x)", [1.0, 0.4, 2.0]),
    ("smooth", "exp(sin(x))", [1.0, 2.0, 6.0]),
    ("smooth", "sin(exp(x))", [1.0, 2.0, 3.0]),
    ("smooth", "log(1+exp(x))", [1.0, -2.0, 8.0]),
    ("smooth", "1/(1+exp(-x))", [1.0, -4.0, 6.0]),
    ("smooth", "sinh(x)/cosh(2*x)", [1.0, 0.1]),
    ("smooth", "exp(x)/(sin(x)**3+cos(x)**3)", [1.5, 0.5]),  # Squire & Trapp 1998
    ("smooth", "exp(x)/sqrt(sin(x)**3+cos(x)**3)", [1.5]),
    ("smooth", "x**2.5*log(x)", [1.0, 3.0]),
    ("smooth", "asin(x)", [0.5, 0.9, -0.3]),
    ("smooth", "acos(x)", [0.5, 0.99]),
    ("smooth", "cosh(x)", [1.0, 5.0]),
    ("smooth", "asinh(x)", [1.0, 100.0]),
    ("smooth", "cbrt(x)", [1.0, 8.0]),
    ("smooth", "(x+1)/(x*x+2)", [1.0, -0.5, 30.0]),
    ("smooth", "exp(-1/x)", [1.0, 0.2, 0.05]),
    ("smooth", "j0(x)", [1.0, 5.0]),
    # -- the step-selection literature
    ("literature", "x**2", [1.0]),
    ("literature", "1/x", [1.0, 1e-3]),
    ("literature", "exp(-x/1e6)", [1.0]),
    ("literature", "sin(x)", [math.pi / 3]),
    ("literature", "atan(x)", [0.5]),
    ("literature", "(exp(x)-1)**2", [-8.0, 1.0]),
    ("literature", "exp(100*x)", [0.01, 0.1]),
    ("literature", "x**4+3*x**2-10*x", [0.99999]),
    ("literature", "10000*x**3+0.01*x**2+5*x", [1e-9, 1.0]),
    ("literature", "(exp(x)-1)**2+(1/sqrt(1+x*x)-1)**2", [1.0, 0.01]),
    ("literature", "exp(4*x)", [1.0]),
    ("literature", "exp(x*x)", [1.0]),
    ("literature", "x*x*log(x)", [1.0, 0.1]),
    ("literature", "exp(x)", [math.log(2)]),
    ("literature", "(x-100)**2", [100.5, 1.0]),
    ("literature", "x**3*exp(-x)", [2.0, 9.0]),
    ("literature", "5*x**5-4*x**3+x", [0.25]),
    # -- extreme scales
    ("scale", "sin(x)", [1e6, 1e4, 12345.678, 1e-6]),
    ("scale", "log(x)", [1e-3, 1e-6, 1e-300, 1e300, 1e-30]),
    ("scale", "sqrt(x)", [1e-8, 1e-16, 1e-300, 1e200]),
    ("scale", "x**4", [1e-6, 1e-3, 1e10]),
    ("scale", "1/x", [1e-8, 1e-100, 1e150]),
    ("scale", "exp(1e8*x)", [1e-8, 3e-8, 1e-9]),
    ("scale", "exp(x/1e8)", [1e8, 1.0, 3e9]),
    ("scale", "exp(1e6*(x-1))", [1.0]),
    ("scale", "sin(1e6*x)", [1.0, 1e-6]),
    ("scale", "x**2", [1e-150, 1e150, 1e-100]),
    ("scale", "1e-300*exp(x)", [1.0]),
    ("scale", "1e300*sin(x)", [1.0]),
    ("scale", "1e-200*sin(1e100*x)", [1e-100]),
    ("scale", "exp(x)", [1e-10, 1e-5, 1e-300, -700.0, 700.0]),
    ("scale", "sin(x)", [1e-300, 1e-12]),
    ("scale", "1/(1e-20+x*x)", [1e-10, 3e-11]),
    ("scale", "atan(1e12*x)", [1e-12, 1e-13]),
    ("scale", "tanh(x*1e-9)", [1e9, 1.0]),
    ("scale", "log(x+1e-12)", [1e-12, 1e-10]),
    ("scale", "sin(x*1e200)", [1e-200]),
    ("scale", "exp(-x*x*1e12)", [1e-6, 3e-7]),
    ("scale", "x", [1e-300, 1e300, 1.0]),
    ("scale", "cos(x/1e-20)", [1e-20]),
    ("scale", "x**0.5+x**2", [1e-12]),
    ("scale", "x*1e-150+1e-160*x**3", [1e5]),
    ("scale", "j1(x)", [1e-8, 100.0]),
    # -- the origin, where |x| says nothing
    ("origin", "exp(x)", [0.0]),
    ("origin", "sin(x)", [0.0]),
    ("origin", "sin(1e5*x)", [0.0]),
    ("origin", "sin(1e-5*x)", [0.0]),
    ("origin", "exp(1e10*x)", [0.0]),
    ("origin", "atan(1e6*x)", [0.0]),
    ("origin", "log(1+x)", [0.0]),
    ("origin", "log(1e-9+x)", [0.0]),
    ("origin", "sqrt(1e-6+x)", [0.0]),
    ("origin", "x/(1e-10+x*x)", [0.0]),
    ("origin", "tanh(x)", [0.0]),
    ("origin", "x*exp(1e3*x)", [0.0]),
    ("origin", "1e10*x+1", [0.0]),
    ("origin", "1e-10*x+1e-12*x*x", [0.0]),
    ("origin", "1e-20*sin(x*1e20)", [0.0]),
    ("origin", "sin(x*1e150)", [0.0]),
    ("origin", "sin(x*1e300)", [0.0]),
    ("origin", "asin(x)", [0.0]),
    ("origin", "erf(1e3*x)", [0.0]),
    # -- cancellation: f is large, its variation small
    ("cancel", "1e10+sin(x)", [1.0, 2.0]),
    ("cancel", "1e5+exp(x)", [1.0]),
    ("cancel", "1e8+x", [1.0]),
    ("cancel", "1e12+x*x", [3.0]),
    ("cancel", "1+1e-8*sin(x)", [1.0]),
    ("cancel", "1+1e-12*exp(x)", [1.0]),
    ("cancel", "1e6+1e-3*atan(x)", [0.7]),
    ("cancel", "(1+x)**20-1", [1e-9]),
    ("cancel", "1-cos(x)", [1e-4, 0.1]),
    ("cancel", "(exp(x)-1-x)/x**2", [0.01, 1e-3]),
    ("cancel", "x**7-7*x**6+21*x**5-35*x**4+35*x**3-21*x**2+7*x-1", [1.01, 1.2]),
    ("cancel", "sqrt(1+x)-sqrt(1-x)", [1e-6]),
    ("cancel", "log(1+x)/x", [1e-5]),
    # -- oscillation and aliasing
    ("oscillation", "sin(30*x)", [1.0, 0.1]),
    ("oscillation", "sin(1000*x)", [1.0, 0.3, 7.0]),
    ("oscillation", "sin(1e4*x)", [1.0]),
    ("oscillation", "cos(1e5*x)", [2.0]),
    ("oscillation", "sin(x)+0.1*sin(100*x)", [1.0]),
    ("oscillation", "x+1e-2*sin(1e3*x)", [1.0, 2.0]),
    ("oscillation", "x+1e-4*sin(1e5*x)", [1.0]),
    ("oscillation", "x+1e-6*sin(1e6*x)", [1.0, 0.37]),
    ("oscillation", "exp(x)+1e-8*cos(1e6*x)", [1.0]),
    ("oscillation", "x+1e-3*sin(1e6*x)", [1.0]),
    ("oscillation", "sin(1/x)", [0.05, 0.01, 1e-3]),
    ("oscillation", "sin(x*x)", [50.0, 200.0]),
    ("oscillation", "x*x*sin(1/x)", [1e-3]),
    ("oscillation", "sin(2*pi*128*x)", [1.0, 0.5]),
    ("oscillation", "sin(2*pi*1024*x)", [1.0]),
    ("oscillation", "sin(2*pi*100*x)", [1.0]),
    ("oscillation", "x+sin(2*pi*2**14*x)", [1.0]),
    ("oscillation", "sin(2*pi*x*2**20)+exp(x)", [1.0]),
    ("oscillation", "cos(2*pi*64*x)*exp(x)", [1.0]),
    ("oscillation", "exp(sin(200*x))", [1.0]),
    ("oscillation", "1/(1.01+cos(40*x))", [1.0]),
    ("oscillation", "sin(100*log(x))", [1.0, 1e-5]),
    ("oscillation", "sin(50*pi*x)", [0.0]),
    # -- a narrow feature where we stand, or beside us
    ("feature", "x+x*exp(-(100*x)**2)", [0.0]),
    ("feature", "exp(x)+(x-1)*exp(-((x-1)/1e-3)**2)", [1.0]),
    ("feature", "x+tanh(1e4*x)*1e-3", [0.0]),
    ("feature", "1/(1+1e8*(x-1)**2)", [1.0, 1.0001, 1.001]),
    ("feature", "exp(-((x-1)*1e3)**2)", [1.0005]),
    ("feature", "x+exp(-1e6*(x-1.01)**2)", [1.0]),
    ("feature", "atan(1e5*(x-1))", [1.0, 1.00001]),
    ("feature", "tanh(1e3*(x-1.002))+x", [1.0]),
    ("feature", "log(x-1)", [1.0000001, 1.01]),
    ("feature", "sqrt(x-1)", [1.0000001, 1.001]),
    ("feature", "1/(x-1)", [1.00001, 1.01]),
    ("feature", "1/(x-1)**2", [1.0001]),
    ("feature", "tan(x)", [1.5707]),
    ("feature", "sqrt(x*x-2*x+1.0001)", [1.0, 1.001]),
    ("feature", "asin(x)", [0.999999]),
    ("feature", "acos(x)", [0.9999]),
    ("feature", "log(1-x)", [0.99999]),
    ("feature", "(1-x)**1.5", [0.9999]),
    ("feature", "gamma(x)", [1e-5, -0.9999]),
    # -- derivative exactly zero, or nearly so
    ("zero", "cos(x)", [0.0]),
    ("zero", "x**2", [0.0]),
    ("zero", "x**4", [0.0]),
    ("zero", "(x-1)**2", [1.0]),
    ("zero", "(x-1)**4", [1.0]),
    ("zero", "(x-3)**3+2", [3.0]),
    ("zero", "7.5+0*x", [1.0, 0.0, 1e-300, 1e10]),
    ("zero", "0*x", [1.0]),
    ("zero", "exp(-x*x)", [0.0]),
    ("zero", "x*x*(1-x)", [0.0]),
    ("zero", "1/(1+x*x)", [0.0]),
    ("zero", "x**6", [0.0]),
    ("zero", "x-sin(x)", [0.0]),
    ("zero", "sin(x)", [1.5707963]),
    ("zero", "(x-1)**2", [1.0000001]),
    ("zero", "cosh(x-2)", [2.0]),
    ("zero", "x*log(x)", [0.36787944117144233]),
    # -- polynomials and linear functions
    ("polynomial", "3*x+2", [1.0, 1e-5, 1e8, 0.0]),
    ("polynomial", "x**2-3*x", [2.0, 1e-4]),
    ("polynomial", "x**3", [1.0, -2.0, 1e-2]),
    ("polynomial", "x**10", [1.0, 0.5, 3.0]),
    ("polynomial", "x**50", [1.0, 0.9]),
    ("polynomial", "(1+x)**100", [0.01]),
    ("polynomial", "x**5-5*x**3+4*x", [1.3, 0.01]),
    ("polynomial", "((((x-1)*x+2)*x-3)*x+4)*x-5", [0.7]),
    ("polynomial", "128*x**8-256*x**6+160*x**4-32*x**2+1", [0.3, 0.99]),
    ("polynomial", "1e-3*x**7+x", [4.0]),
    ("polynomial", "x**-3", [2.0, 0.01]),
    # -- the edge of the domain
    ("edge", "x**1.5", [0.0]),
    ("edge", "x**2.5", [0.0]),
    ("edge", "x**1.5+x", [0.0]),
    ("edge", "x**2.25+3*x", [0.0]),
    ("edge", "x**3.5+exp(x)", [0.0]),
    ("edge", "(x-1)**1.5+x", [1.0]),
    ("edge", "(1-x)**2.5+2*x", [1.0]),
    ("edge", "(1-x*x)**2.5+x", [1.0, -1.0]),
    ("edge", "sin(x)+0*sqrt(x)", [1e-9]),
    ("edge", "sin(x)+0*sqrt(x-1)", [1.0 + 1e-9]),
    ("edge", "exp(x)+0*log(1-x)", [1 - 1e-7]),
    ("edge", "x**2+0*sqrt(0.01-(x-1)**2)", [1.0, 1.0999]),
    ("edge", "exp(x)+0*sqrt(1e-8-(x-1)**2)", [1.0, 1.00009]),
    # -- removable singularities
    ("removable", "sin(x)/x", [1.0, 1e-3, 0.1]),
    ("removable", "(exp(x)-1)/x", [0.1, 1e-2]),
    ("removable", "(x*x-1)/(x-1)", [1.1, 2.0]),
    ("removable", "expm1(x)/x", [1e-5, 1e-2]),
    ("removable", "log(x)/(x-1)", [1.001, 1.5]),
    ("removable", "tan(x)/x", [0.2]),
    # -- beside a kink
    ("kink beside", "abs(x-1)", [1.001, 0.99, 1.0000001]),
    ("kink beside", "abs(x)*x", [1e-4, -2.0]),
    ("kink beside", "exp(x)+abs(x-1.003)", [1.0]),
    ("kink beside", "sin(x)+1e-5*abs(x-1.0001)", [1.0]),
    ("kink beside", "abs(sin(x))", [3.0, 3.1415]),
    ("kink beside", "abs(x-0.003)", [0.0]),
    ("kink beside", "abs(x*x-2)", [1.4142]),
    ("kink beside", "(x+abs(x))/2", [1e-3, -1e-3, -1.0]),
    ("kink beside", "abs(x)**1.5", [0.0]),
    ("kink beside", "abs(x)**3", [0.0, 1e-2]),
    ("kink beside", "abs(x)*x+sin(x)", [0.0]),
]


@dataclass
class Problem:
    """One function of n variables with m values, the point, and the exact Jacobian there."""

    name: str
    group: str
    f: Callable[[np.ndarray], Any]  # (n,) -> (m,)
    x: np.ndarray
    exact: np.ndarray  # (m, n) float64; nan where there is no derivative
    scalar: Callable[[float], float] | None = None
    noise: float = 0.0  # absolute error of one value, where it is not the rounding error
    bias: float = (
        0.0  # error of the derivative of f itself as computed: smooth, and so beyond any method that only sees f
    )
    tags: set[str] = field(default_factory=set)


def compile_expression(expression: str) -> Callable[[Any, Any], Any]:
    code = compile(expression, expression, "eval")

    def f(ns: Any, x: Any) -> Any:
        return eval(code, {**vars(ns), "abs": abs, "x": x, "__builtins__": {}})

    return f


def float_function(expression: str) -> Callable[[float], float]:
    """What a user would have written: quick, and inf or nan instead of an exception."""
    code = compile(expression, expression, "eval")
    scope = {**vars(exact.FLOAT), "abs": abs, "__builtins__": {}}

    def f(x: float) -> float:
        x = float(x)
        try:
            y = eval(code, scope, {"x": x})
        except OverflowError:
            return math.inf
        except ZeroDivisionError:
            return math.nan
        return math.nan if isinstance(y, complex) else float(y)

    return f


def outside_is_nan(f: Callable[[float], float]) -> Callable[[float], float]:
    """As NumPy has it; a peer that meets an exception could only give up."""

    def wrapped(x: float) -> float:
        try:
            return f(x)
        except (ArithmeticError, ValueError):
            return math.nan

    return wrapped


def scalar_problem(
    group: str, expression: str, x: float, truth: Any = None, f: Any = None, noise: float = 0.0
) -> Problem:
    f = outside_is_nan(f) if f else float_function(expression)
    if truth is None:
        truth = exact.derivative(compile_expression(expression), x)
    return Problem(
        name=f"{expression} @ {x:g}",
        group=group,
        f=lambda v: np.array([f(float(v[0]))]),
        x=np.array([x]),
        exact=np.array([[float(truth)]]),
        scalar=f,
        noise=noise,
    )


def scalar_problems() -> list[Problem]:
    return [scalar_problem(group, expression, x) for group, expression, points in ENTRIES for x in points]


# -- functions that are not elementary: noise, reduced precision, solvers, kinks and jumps at the point


def _hash_noise(x: float) -> float:
    """Reproducible noise, uniform on [-1, 1], that changes with every bit of x."""
    bits = int(np.float64(x).view(np.uint64))
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    bits ^= bits >> 31
    return bits / 2.0**63 - 1.0


def noisy(f: Callable[[float], float], size: float) -> Callable[[float], float]:
    return lambda x: f(x) + size * _hash_noise(x)


def bogacki_shampine(rhs: Callable[[float, float], float], y: float, t_end: float, rtol: float) -> float:
    """An adaptive Runge-Kutta 3(2) solver, as users have inside their functions."""
    t, h = 0.0, 0.05 * t_end
    k1 = rhs(t, y)
    steps = 0
    while t_end - t > 1e-13:
        steps += 1
        if steps > 30_000 or not abs(y) < 1e100:
            return math.nan
        h = min(h, t_end - t)
        k2 = rhs(t + h / 2, y + h * k1 / 2)
        k3 = rhs(t + 0.75 * h, y + 0.75 * h * k2)
        new = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = rhs(t + h, new)
        error = abs(h * (-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8))
        scale = rtol * max(abs(y), abs(new), 1e-12)
        if error <= scale:
            t, y, k1 = t + h, new, k4
        h *= min(4.0, max(0.2, 0.9 * (scale / max(error, 1e-300)) ** (1 / 3)))
    return y


def bisected(x: float, tolerance: float) -> float:
    """The root y of y**3 + y = x, to `tolerance`: constant on intervals, as iterative solvers are."""
    low, high = -10.0, 10.0
    while high - low > tolerance:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle**3 + middle < x else (low, middle)
    return 0.5 * (low + high)


def simpson(x: float, cells: int) -> float:
    """The integral of exp(x sin t) on [0, 1] by Simpson's rule."""
    t = np.linspace(0.0, 1.0, 2 * cells + 1)
    y = np.exp(x * np.sin(t))
    return float((y[0] + y[-1] + 4 * y[1::2].sum() + 2 * y[2:-1:2].sum()) / (6 * cells))


def adaptive_simpson(x: float, tolerance: float) -> float:
    """The integral of exp(x t) on [0, 1] by adaptive Simpson: smooth between changes of its mesh."""

    def rule(a: float, b: float) -> float:
        return (b - a) / 6 * (math.exp(x * a) + 4 * math.exp(x * (a + b) / 2) + math.exp(x * b))

    def go(a: float, b: float, whole: float, allowed: float) -> float:
        c = 0.5 * (a + b)
        left, right = rule(a, c), rule(c, b)
        if abs(left + right - whole) <= 15 * allowed:
            return left + right
        return go(a, c, left, allowed / 2) + go(c, b, right, allowed / 2)

    return go(0.0, 1.0, rule(0.0, 1.0), tolerance)


def special_problems() -> list[Problem]:
    out: list[Problem] = []
    bases = [("exp(x)", 1.0), ("sin(3*x)", 0.5), ("log(x)+x*x", 2.0), ("1/(1+x*x)", 0.7), ("tanh(x)*x", -0.4)]
    for expression, x in bases:
        truth = exact.derivative(compile_expression(expression), x)
        f = float_function(expression)
        for size in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-3):
            problem = scalar_problem("noise", expression, x, truth, noisy(f, size), noise=size)
            problem.name += f" noise {size:g}"
            out.append(problem)
        problem = scalar_problem(
            "float32", expression, x, truth, lambda v, f=f: float(np.float32(f(v))), noise=6e-8 * abs(f(x))
        )
        problem.name += " rounded to float32"
        out.append(problem)
        problem = scalar_problem("float32", expression, x, truth, lambda v, f=f: round(f(v), 7), noise=5e-8)
        problem.name += " rounded to 7 decimals"
        out.append(problem)

    def float32_inside(v: float) -> float:
        s = np.float32(v)
        return float(np.exp(s) * np.sin(s))

    truth = exact.derivative(compile_expression("exp(x)*sin(x)"), 1.0)
    problem = scalar_problem("float32", "exp(x)*sin(x)", 1.0, truth, float32_inside, noise=4e-7)
    problem.name += " float32 inside"
    out.append(problem)

    def float32_sum(v: float) -> float:
        t = np.linspace(0, 1, 50, dtype=np.float32)
        return float(np.sum(np.tanh(np.float32(v) * t), dtype=np.float32))

    def smooth_sum(ns: Any, v: Any) -> Any:
        return sum((ns.tanh(v * float(np.float32(k / 49))) for k in range(50)), start=0 * v)

    problem = scalar_problem(
        "float32", "sum(tanh(x t))", 0.8, exact.derivative(smooth_sum, 0.8), float32_sum, noise=5e-6
    )
    problem.name += " float32 inside"
    out.append(problem)

    for rtol in (1e-3, 1e-5, 1e-7, 1e-9):
        for label, rhs, x, answer in [
            ("y'=-x*y", lambda t, y, x: -x * y, 1.3, "exp(-2*x)"),
            ("y'=x*cos(t)*y", lambda t, y, x: x * math.cos(t) * y, 0.7, "exp(x*0.9092974268256817)"),
            ("y'=y*(1-y/x)", lambda t, y, x: y * (1 - y / x), 2.0, "x/(1+(x-1)*exp(-2))"),
        ]:
            f = lambda v, rhs=rhs, rtol=rtol: bogacki_shampine(lambda t, y: rhs(t, y, v), 1.0, 2.0, rtol)  # noqa: E731
            if "1-y" in label:
                truth = exact.derivative(lambda ns, v: v / (1 + (v - 1) * ns.exp(exact.Dual(-2))), x)
            else:
                truth = exact.derivative(compile_expression(answer), x)
            problem = scalar_problem("solver", label, x, truth, f, noise=rtol)
            problem.name += f" rtol {rtol:g}"
            problem.bias = 10 * rtol * abs(float(truth))
            out.append(problem)
    for tolerance in (1e-4, 1e-7, 1e-10):
        truth = 1 / (3 * 1.0 + 1)  # y = 1 at x = 2: dy/dx = 1 / (3 y^2 + 1)
        problem = scalar_problem(
            "solver", "bisection", 2.0, truth, lambda v, t=tolerance: bisected(v, t), noise=tolerance
        )
        problem.name += f" tolerance {tolerance:g}"
        out.append(problem)
        truth = exact.derivative(compile_expression("(exp(x)-1)/x"), 1.5)
        f = lambda v, t=tolerance: adaptive_simpson(v, t)  # noqa: E731
        problem = scalar_problem("solver", "adaptive Simpson", 1.5, truth, f, noise=tolerance)
        problem.name += f" tolerance {tolerance:g}"
        problem.bias = 10 * tolerance
        out.append(problem)

    def integral(ns: Any, v: Any) -> Any:
        t = [k / 40 for k in range(41)]
        weights = [1.0] + [4.0 if k % 2 else 2.0 for k in range(1, 40)] + [1.0]
        total = exact.lift(0)
        for node, weight in zip(t, weights, strict=True):
            total = total + ns.exp(v * math.sin(node)) * weight
        return total / 120

    out.append(scalar_problem("smooth", "simpson", 1.0, exact.derivative(integral, 1.0), lambda v: simpson(v, 20)))

    # No derivative at the point: right is to say so (a bar as large as the gap between the slopes, or infinite).
    nan = math.nan
    for name, f, x in [
        ("abs(x)", abs, 0.0),
        ("abs(x-1)", lambda v: abs(v - 1), 1.0),
        ("max(x, 0)", lambda v: max(v, 0.0), 0.0),
        ("max(x, x*x)", lambda v: max(v, v * v), 1.0),
        ("sin(x)+abs(x-2)", lambda v: math.sin(v) + abs(v - 2), 2.0),
        ("exp(x)+1e-3*abs(x-1)", lambda v: math.exp(v) + 1e-3 * abs(v - 1), 1.0),
        ("abs(sin(x))", lambda v: abs(math.sin(v)), 0.0),
        ("exp(abs(x))", lambda v: math.exp(abs(v)), 0.0),
        ("sqrt(abs(x))", lambda v: math.sqrt(abs(v)), 0.0),
        ("cbrt(x)", math.cbrt, 0.0),
        ("x>=0", lambda v: float(v >= 0), 0.0),
        ("x>1", lambda v: float(v > 1), 1.0),
        ("sign(x)+x", lambda v: math.copysign(1.0, v) + v if v else 0.0, 0.0),
        ("floor(x)", lambda v: float(math.floor(v)), 3.0),
        ("exp(x)+1e-6*(x>1)", lambda v: math.exp(v) + 1e-6 * (v > 1), 1.0),
        ("x*sin(1/x)", lambda v: v * math.sin(1 / v) if v else 0.0, 0.0),
    ]:
        out.append(scalar_problem("no derivative", name, x, nan, f))
    out.append(scalar_problem("removable", "sin(x)/x, nan at 0", 0.0, 0.0, lambda v: math.sin(v) / v if v else nan))
    out.append(
        scalar_problem("removable", "(exp(x)-1)/x, nan at 0", 0.0, 0.5, lambda v: math.expm1(v) / v if v else nan)
    )
    out.append(scalar_problem("removable", "sinc", 0.0, 0.0, exact._float_sinc))
    out.append(scalar_problem("smooth", "floor(x)", 2.5, 0.0, lambda v: float(math.floor(v))))
    out.append(
        scalar_problem("zero", "exp(-1/x^2)", 0.0, 0.0, lambda v: math.exp(-1 / v**2) if abs(v) > 1e-150 else 0.0)
    )
    return out


def bessel_problems() -> list[Problem]:
    """Boost.Math's test of honesty: Bessel functions on points spread over +-1e5."""
    rng = np.random.default_rng(20)
    points = rng.uniform(-1e5, 1e5, 24).tolist() + rng.uniform(-50, 50, 8).tolist()
    return [scalar_problem("bessel", name, x) for x in points for name in ("j0(x)", "j1(x)")]
