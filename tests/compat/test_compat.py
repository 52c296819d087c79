"""Drop-ins: the peers' signatures, tried on the peers themselves where they are installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fdcore as fd
from fdcore.check.taylor import taylor_test
from fdcore.compat import pyadjoint, scipy


def rosen(x):
    return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)


def rosen_grad(x):
    return np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])


@pytest.mark.parametrize("direction", ["all", "random"])
def test_scipy_check_grad(direction):
    x = np.array([-1.2, 1.0])
    error = scipy.check_grad(rosen, rosen_grad, x, direction=direction, seed=3)
    assert error < 1e-6
    assert error.check.verdict == "agrees"
    wrong = scipy.check_grad(rosen, lambda x: 2 * rosen_grad(x), x, direction=direction)
    assert wrong.check.verdict == "wrong"
    assert wrong == pytest.approx(np.linalg.norm(rosen_grad(x)), rel=1e-6)
    assert scipy.check_grad(lambda x, a: a * rosen(x), lambda x, a: a * rosen_grad(x), x, 1e-9).check
    with pytest.raises(fd.ArgumentError):
        scipy.check_grad(rosen, rosen_grad, x, direction="some")


def test_scipy_calls_a_correct_gradient_at_1e8_wrong_and_this_does_not():
    x = np.array([1e8, 1.0])
    assert scipy.check_grad(lambda x: float(np.sum((x / 1e4) ** 2)), lambda x: 2 * x / 1e8, x).check


def cube(x):
    return float(np.sum(x**3))


def test_taylor_rates():
    x = np.array([1.0, -2.0, 0.5])
    assert taylor_test(cube, lambda x: 3 * x**2, x).rate == pytest.approx(2.0, abs=0.05)
    assert taylor_test(cube, None, x).rate == pytest.approx(1.0, abs=0.05)
    with_hessian = taylor_test(cube, lambda x: 3 * x**2, x, hessian_product=lambda x, d: 6 * x * d)
    assert with_hessian.rate == pytest.approx(3.0, abs=0.05)
    assert with_hessian.expected == 3


@pytest.mark.parametrize("scale", [1e-13, 1.0, 1e13])
@pytest.mark.parametrize("factor", [-1.0, 1.0001, 2.0])
def test_taylor_does_not_choose_the_wrong_window(scale, factor):
    x = np.array([1.0, -2.0, 0.5])
    good = taylor_test(lambda x: scale * cube(x), lambda x: scale * 3 * x**2, x)
    assert good.verdict == "agrees"
    bad = taylor_test(lambda x: scale * cube(x), lambda x: factor * scale * 3 * x**2, x)
    assert bad.verdict == "wrong"
    assert bad.rate == pytest.approx(1.0, abs=0.25)


def test_taylor_at_the_ends():
    x = np.array([1.0, 2.0])
    linear = taylor_test(lambda x: float(x @ [2.0, 3.0]), [2.0, 3.0], x)
    assert (linear.verdict, linear.rate) == ("agrees", math.inf)
    assert taylor_test(lambda x: math.nan, [1.0, 1.0], x).verdict == "cannot tell"
    text = str(taylor_test(cube, lambda x: 3 * x**2, x))
    assert text.startswith("agrees")
    assert "rounding only" in text
    with pytest.raises(fd.ArgumentError):
        taylor_test(cube, None, x, h=[0.1])
    with pytest.raises(fd.ArgumentError):
        taylor_test(cube, None, x, np.ones(3))


def test_pyadjoint_signature():
    m, h = np.array([1.0, 2.0]), np.array([0.3, -0.4])
    assert pyadjoint.taylor_test(cube, m, h, dJdm=3 * m**2) == pytest.approx(2.0, abs=0.05)
    assert pyadjoint.taylor_test(cube, m, h, dJdm=float(3 * m**2 @ h)) == pytest.approx(2.0, abs=0.05)
    assert pyadjoint.taylor_test(cube, m, h, dJdm=0) == pytest.approx(1.0, abs=0.05)
    assert pyadjoint.taylor_test(cube, m, h, dJdm=3 * m**2, Hm=float(h @ (6 * m * h))) == pytest.approx(3.0, abs=0.05)

    class Functional:
        def __call__(self, m):
            self.m = m
            return cube(m)

        def derivative(self):
            return 3 * np.asarray(self.m) ** 2

    assert pyadjoint.taylor_test(Functional(), m, h) == pytest.approx(2.0, abs=0.05)


class TestTorch:
    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")
        from fdcore.compat import torch as ours

        self.ours = ours

    def softmax(self, factor=1.0, entry=None):
        torch = self.torch

        class Softmax(torch.autograd.Function):
            @staticmethod
            def forward(ctx, z):
                y = torch.softmax(z, -1)
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, g):
                (y,) = ctx.saved_tensors
                result = y * (g - (g * y).sum(-1, keepdim=True)) * factor
                if entry is not None:
                    result = result.clone()
                    result.view(-1)[entry] = 0.0
                return result

        return Softmax.apply

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("fast_mode", [False, True])
    def test_gradcheck(self, dtype, fast_mode):
        z = self.torch.randn(3, 4, dtype=getattr(self.torch, dtype), generator=self.torch.Generator().manual_seed(0))
        z.requires_grad_()
        before = z.detach().clone()
        assert self.ours.gradcheck(self.softmax(), (z,), fast_mode=fast_mode) is True
        assert self.ours.gradcheck(self.softmax(2.0), z, raise_exception=False, fast_mode=fast_mode) is False
        with pytest.raises(RuntimeError, match="2 times the numeric") as caught:
            self.ours.gradcheck(self.softmax(2.0), z, fast_mode=fast_mode)
        assert isinstance(caught.value, fd.GradientCheckError)
        assert self.torch.equal(z, before)
        assert z.grad is None

    def test_one_entry_among_many_that_torch_fast_mode_passes(self):
        n = 10_000
        x = self.torch.rand(n, dtype=self.torch.float64, generator=self.torch.Generator().manual_seed(0)) + 0.5
        x.requires_grad_()
        torch = self.torch

        class Squares(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return (x * x).sum()

            @staticmethod
            def backward(ctx, g):
                result = 2 * ctx.saved_tensors[0] * g
                result[n // 3] = 0.0
                return result

        assert torch.autograd.gradcheck(Squares.apply, (x,), fast_mode=True)
        with pytest.raises(self.ours.GradcheckError) as caught:
            self.ours.gradcheck(Squares.apply, (x,), fast_mode=True)
        assert [e.index for e in caught.value.check.wrong] == [(n // 3,)]

    def test_second_derivatives(self):
        x = self.torch.tensor([0.3, 0.7], dtype=self.torch.float64, requires_grad=True)
        assert self.ours.gradgradcheck(lambda x: (x**3).sum(), x)
        assert self.ours.gradgradcheck(lambda x: self.torch.sin(x) * x, (x,))

    def test_misuse(self):
        with pytest.raises(fd.ArgumentError, match="requires_grad"):
            self.ours.gradcheck(lambda x: x, self.torch.ones(2))


class TestJax:
    @pytest.fixture(autouse=True)
    def _jax(self):
        self.jax = pytest.importorskip("jax")
        from fdcore.compat import jax as ours

        self.ours = ours

    @pytest.mark.parametrize("n", [100, 10_000])
    def test_correct_in_float32(self, n):
        x = self.jax.numpy.linspace(0.5, 1.5, n)
        checks = self.ours.check_grads(lambda x: self.jax.numpy.sum(x**2), (x,), order=1)
        assert [c.verdict for c in checks] == ["agrees", "agrees"]

    def test_wrong_sign_forward_is_caught(self):
        jax = self.jax

        @jax.custom_jvp
        def sin(x):
            return jax.numpy.sin(x)

        sin.defjvp(lambda primals, tangents: (sin(*primals), -jax.numpy.cos(primals[0]) * tangents[0]))
        x = jax.numpy.linspace(0.1, 1.0, 1000)
        with pytest.raises(AssertionError, match=r"^wrong"):
            self.ours.check_grads(sin, (x,), order=1, modes=["fwd"])

    def test_trees_and_order_two(self):
        jnp = self.jax.numpy

        def f(p, x):
            return jnp.tanh(p["W"] @ x + p["b"])

        point = {"W": jnp.ones((2, 3)) * 0.3, "b": jnp.zeros(2)}
        assert len(self.ours.check_grads(f, (point, jnp.arange(3.0)), order=2)) == 6

    def test_misuse(self):
        with pytest.raises(fd.ArgumentError):
            self.ours.check_grads(lambda x: x, (1.0,), order=0)


def test_autograd():
    anp = pytest.importorskip("autograd.numpy")
    from fdcore.compat.autograd import check_grads

    checks = check_grads(lambda x, y: anp.sin(x) * y, modes=["fwd", "rev"], order=2)(np.array([0.1, 0.2]), np.ones(2))
    assert all(check.verdict == "agrees" for check in checks)

    from autograd.extend import defvjp, primitive

    square = primitive(lambda x: 1e-7 * x**2)
    defvjp(square, lambda ans, x: lambda g: -g * 2e-7 * x)
    with pytest.raises(AssertionError, match="minus the numeric"):
        check_grads(square, order=1)(np.array([1.0, 2.0, 3.0]))
