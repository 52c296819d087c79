"""Exact derivatives of expressions: against numeric ones, as native code, and from text that is never run."""

from __future__ import annotations

import glob
import shutil
import tempfile

import numpy as np
import pytest

import fdcore as fd

sympy = pytest.importorskip("sympy", reason="needs sympy")
from fdcore.integrations import sympy as exact  # noqa: E402

HAS_CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
BACKENDS = [
    pytest.param("c", marks=pytest.mark.skipif(not HAS_CC, reason="needs a C compiler")),
    "numba",
]


@pytest.fixture
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="needs numba")
    return request.param


def test_text_is_read_exactly():
    x, y = sympy.symbols("x y", real=True)
    assert exact.parse("x*sin(y) + 0.1 - 2/3*exp(-x**2)") == (
        x * sympy.sin(y) + sympy.Rational(1, 10) - sympy.Rational(2, 3) * sympy.exp(-(x**2))
    )
    assert exact.parse("abs(x) + arctan(y) + ln(x) + e**pi").has(sympy.Abs, sympy.atan, sympy.log, sympy.pi)
    assert exact.parse("1.5e-3") == sympy.Rational(3, 2000)
    assert exact.parse(x + 1) == x + 1
    assert [s.name for s in exact.variables_of("w[10] + w[2]*w[1]")] == ["w[1]", "w[2]", "w[10]"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('true')", "attributes"),
        ("().__class__", "attributes"),
        ("open('x')", "no function is called 'open'"),
        ("eval('1')", "no function is called 'eval'"),
        ("[x for x in y]", "ListComp"),
        ("lambda: x", "Lambda"),
        ("x if y else z", "IfExp"),
        ("(x := 3)", "NamedExpr"),
        ("f'{x}'", "JoinedStr"),
        ("'x'", "no real number"),
        ("1j", "no real number"),
        ("x[y]", "whole number"),
        ("x < y", "Compare"),
        ("x ^ 2", r"write \*\*"),
        ("x // 2", "FloorDiv"),
        ("x; y", "not an expression"),
        ("", "not an expression"),
        ("sin", r"sin\(\.\.\.\)"),
        ("sin(x, y)", "sin"),
        ("sin(x, evaluate=False)", "plain arguments"),
        ("9**9**9", "too large"),
        ("x**(9**9**9)", "too large"),
        ("factorial(10**6)", "too large"),
        ("1e999", "out of range"),
        ("__x", "no name"),
        ("(" * 5000, "not an expression"),
        ("x" * 20_000, "too long"),
    ],
)
def test_other_text_is_refused_and_not_run(text, words):
    with pytest.raises(fd.ArgumentError, match=words):
        exact.parse(text)


def test_exact_derivatives():
    x, y = sympy.symbols("x y", real=True)
    assert exact.derivative("x**3 + sin(x)") == 3 * x**2 + sympy.cos(x)
    assert exact.derivative("x**3*y", "x", order=2) == 6 * x * y
    assert exact.gradient("x**2*y") == sympy.Matrix([2 * x * y, x**2])
    assert exact.gradient("x**2*y", "y x") == sympy.Matrix([x**2, 2 * x * y])
    assert exact.jacobian(["x*y", "x + y"]) == sympy.Matrix([[y, x], [1, 1]])
    assert exact.hessian("x**2*y") == sympy.Matrix([[2 * y, 2 * x], [2 * x, 0]])
    # Symbols without assumptions, as users have them, are not other ones.
    a = sympy.Symbol("a")
    assert exact.derivative(a**2, "a") == 2 * a
    assert exact.gradient(a**2, ["a", "b"]) == sympy.Matrix([2 * a, 0])
    with pytest.raises(fd.ArgumentError, match="say which one"):
        exact.derivative("x*y")
    with pytest.raises(fd.ArgumentError, match="lacks y"):
        exact.gradient("x*y", "x")
    with pytest.raises(fd.ArgumentError, match="twice"):
        exact.gradient("x", "x x")
    with pytest.raises(fd.ArgumentError, match="no variable"):
        exact.gradient("1 + 1")
    with pytest.raises(fd.ShapeError, match="jacobian"):
        exact.gradient(["x", "y"])


def test_values_are_rounded_once():
    # cos x - 1 + x**2/2 at 1e-4: 4e-18, of which float64 arithmetic has no digit.
    assert exact.evaluate("cos(x) - 1 + x**2/2", 1e-4) == pytest.approx(1e-16 / 24, rel=1e-8)
    assert exact.evaluate(exact.hessian("x**2*y"), [2.0, 3.0]).tolist() == [[6.0, 4.0], [4.0, 0.0]]
    with pytest.raises(fd.ArgumentError, match="no finite real value"):
        exact.evaluate("log(x)", -1.0)
    with pytest.raises(fd.ShapeError, match="1 values for the 2 variables"):
        exact.evaluate("x*y", 1.0)


@pytest.mark.parametrize(
    ("expr", "at", "options", "names"),
    [
        ("exp(x)/x", 1.3, {}, ("df/dx",)),
        ("exp(x)/x", 1.3, {"order": 3}, ("d3f/dx3",)),
        ("x**3 + sin(y) + erf(x*y)", [2.0, 0.1], {}, ("df/dx", "df/dy")),
        (["x*y", "gamma(x) - Min(x, y)"], [1.3, 2.5], {}, ("df0/dx", "df0/dy", "df1/dx", "df1/dy")),
        ("exp(x*y)", [1.3, 0.5], {"kind": "hessian"}, ("d2f/dxdx", "d2f/dxdy", "d2f/dydx", "d2f/dydy")),
        ("x**4", 1.0, {"method": "forward"}, ("df/dx",)),
    ],
)
def test_exact_and_numeric_agree_within_the_bars(expr, at, options, names):
    result = exact.compare(expr, at, **options)
    assert result.names == names
    assert result.within_bars
    assert np.all(result.error <= 1e-3 * np.abs(result.exact) + 1e-6)
    text = str(result)
    assert all(name in text for name in names)
    assert "numeric" in text
    assert max(map(len, text.splitlines())) <= 120
    data = result.to_dict()
    assert [entry["exact"] for entry in data["entries"]] == result.exact.tolist()


def test_a_wrong_numeric_value_is_not_within_its_bar():
    good = exact.compare("x**3", 2.0)
    bad = type(good)(**{**vars(good), "numeric": good.numeric * 1.001})
    assert good.within_bars
    assert not bad.within_bars


EXPRESSION = "x**2*y + sin(z) + log(x + y)**3 + Max(x, y)*erf(x) + (x + y)**-2 + 10**20*z"
POINT = np.array([1.0, 2.5, 0.5])


@pytest.mark.parametrize("backend", BACKENDS, indirect=True)
def test_native_code(backend):
    f = exact.native(EXPRESSION, backend=backend)
    assert (f.n, f.m) == (3, 1)
    assert f(POINT) == pytest.approx(exact.evaluate(EXPRESSION, POINT), rel=1e-15)
    gradient = exact.native(exact.gradient(EXPRESSION), "x y z", backend=backend)
    np.testing.assert_allclose(
        gradient(POINT), exact.evaluate(exact.gradient(EXPRESSION), POINT, "x y z").ravel(), rtol=1e-14
    )
    smooth = exact.native("x**2*y + sin(z)*x", backend=backend)
    for workers in (1, 3):
        np.testing.assert_allclose(
            fd.gradient(smooth, POINT, workers=workers),
            exact.evaluate(exact.gradient("x**2*y + sin(z)*x"), POINT).ravel(),
            rtol=1e-9,
        )
    many = exact.native([f"sin(x[{k}])*x[{(k + 1) % 6}]" for k in range(6)], backend=backend)
    x = np.linspace(0.1, 1.0, 6)
    rows = np.diag(np.cos(x) * np.roll(x, -1)) + np.roll(np.diag(np.sin(x)), 1, axis=1)
    np.testing.assert_allclose(fd.jacobian(many, x), rows, rtol=1e-7, atol=1e-9)
    assert fd.derivative(exact.native("sin(t)", backend=backend), 0.0) == pytest.approx(1.0)
    with pytest.raises(fd.ArgumentError, match="no native form"):
        exact.native(sympy.Function("system")(sympy.Symbol("x")), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS[:1], indirect=True)
def test_compiled_once_and_nothing_left_behind(backend):
    before = glob.glob(tempfile.gettempdir() + "/fdcore-*")
    first = exact.native("x*y + 1234", backend=backend)
    assert exact.native("1234 + b*a", backend=backend).address == first.address
    assert set(glob.glob(tempfile.gettempdir() + "/fdcore-*")) <= set(before)


def test_without_a_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(fd.ArgumentError, match="no C compiler"):
        exact.native("x", backend="c")
    with pytest.raises(fd.ArgumentError, match="backend must be"):
        exact.native("x", backend="fortran")
    pytest.importorskip("numba", reason="needs numba")
    assert exact.native("x*7")(np.ones(1)) == pytest.approx(7.0)
