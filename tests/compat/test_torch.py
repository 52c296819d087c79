"""`fdcore.compat.torch` beside PyTorch's own check: the same signature, and what that one misses or says badly."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import fdcore as fd
from fdcore.compat.torch import GradcheckError, gradcheck, gradgradcheck

torch = pytest.importorskip("torch")
# PyTorch compiles something of its own with what it has deprecated itself.
pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
]

double = torch.float64


def rand(*shape, dtype=double, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, dtype=dtype, generator=generator) + 0.5).requires_grad_()


def custom(forward, backward, setup=lambda ctx, *args: None):
    """An autograd function from two plain ones."""

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            setup(ctx, *args)
            ctx.save_for_backward(*(a for a in args if isinstance(a, torch.Tensor)))
            return forward(*args)

        @staticmethod
        def backward(ctx, *g):
            return backward(ctx.saved_tensors, *g)

    return Custom.apply


def squares(change):
    """Sum of squares, its gradient changed."""
    return custom(lambda x: (x * x).sum(), lambda saved, g: change(2 * saved[0] * g))


@pytest.mark.parametrize(("ours", "theirs"), [(gradcheck, "gradcheck"), (gradgradcheck, "gradgradcheck")])
def test_signatures(ours, theirs):
    def shape(function):
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]

    mine, other = shape(ours), shape(getattr(torch.autograd, theirs))
    assert {name for name, _, _ in other} <= {name for name, _, _ in mine}
    for name, kind, default in other:
        assert (name, kind, default) in mine


def changed(name):
    def change(g):
        n = g.numel()
        g = g.clone()
        if name == "rolled":
            return torch.roll(g, 1)
        if name == "swapped":
            g[n // 3], g[n // 3 + 1] = g[n // 3 + 1].clone(), g[n // 3].clone()
            return g
        g[n // 3] *= {"zeroed": 0.0, "negated": -1.0, "times 1.5": 1.5, "off by 0.1 %": 1.001}[name]
        return g

    return change


@pytest.mark.parametrize("name", ["zeroed", "negated", "times 1.5", "swapped", "rolled", "off by 0.1 %"])
def test_wrong_entries_that_fast_mode_passes(name):  # A1
    n = 10_000
    x = rand(n)
    f = squares(changed(name))
    assert torch.autograd.gradcheck(f, (x,), fast_mode=True)  # so it is one that the original misses
    assert gradcheck(squares(lambda g: g), (x,), fast_mode=True)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, (x,), fast_mode=True)
    check = caught.value.check
    if name == "rolled":
        assert check.diagnoses[0].label == "permutation"
    else:
        expected = {(n // 3,), (n // 3 + 1,)} if name == "swapped" else {(n // 3,)}
        assert {entry.index for entry in check.wrong} == expected
    assert check.nfev < 1500


def test_the_message_shows_the_entry():  # A6
    def change(g):
        g = g.clone()
        g[7] = 0.0
        return g

    f = custom(lambda x: x * x, lambda saved, g: change(2 * saved[0] * g))
    with pytest.raises(RuntimeError, match=r"inputs\[0\]\[7\]") as caught:
        gradcheck(f, rand(1000))
    assert isinstance(caught.value, AssertionError)
    assert len(str(caught.value).splitlines()) <= 25
    assert [entry.index for entry in caught.value.check.wrong] == [(7,)]


def labels(error):
    return {note.label for note in error.value.check.notes}


def test_dropout_is_called_random():  # A13
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: torch.nn.functional.dropout(x, 0.5), rand(20))
    assert "f-not-repeatable" in labels(caught)
    assert caught.value.check.verdict == "cannot tell"
    assert not gradcheck(lambda x: torch.nn.functional.dropout(x, 0.5), rand(20), raise_exception=False)


def test_a_function_that_writes_into_its_input_is_named():  # A13
    x = rand(5)
    before = x.detach().clone()
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: (x * x, x.data.add_(1.0))[0], x)
    assert "input-mutated" in labels(caught)
    assert torch.equal(x, before)
    assert x.grad is None


def test_a_detached_term_is_half_the_gradient():  # A13
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: (x * x.detach()).sum(), rand(5))
    (diagnosis,) = caught.value.check.diagnoses[:1]
    assert diagnosis.label == "factor"
    assert diagnosis.evidence["factor"] == pytest.approx(0.5)


def test_a_gradient_that_varies_a_little_is_compared_all_the_same():  # A14
    rng = np.random.default_rng(0)
    f = custom(lambda x: (x * x).sum(), lambda saved, g: 2 * saved[0] * g * (1 + 1e-13 * rng.standard_normal()))
    assert gradcheck(f, rand(6))
    g = custom(lambda x: (x * x).sum(), lambda saved, g: 3 * saved[0] * g * (1 + 1e-13 * rng.standard_normal()))
    with pytest.raises(GradcheckError, match=r"3/2 times|1\.5 times"):
        gradcheck(g, rand(6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_low_precision_is_no_false_alarm(dtype):
    x = rand(4, 3, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fd.FdcoreWarning)  # "cannot tell" is allowed, "wrong" is not
        assert gradcheck(lambda x: (x * x * x).sum(), x)
    f = custom(lambda x: (x * x * x).sum(), lambda saved, g: -3 * saved[0] ** 2 * g)
    assert not gradcheck(f, x, raise_exception=False)


def test_scales():
    x = rand(10)
    for scale in (1e-12, 1e12):
        assert gradcheck(lambda x, s=scale: (s * x.sin()).sum(), x)
        wrong = custom(lambda x, s=scale: (s * x.sin()).sum(), lambda saved, g, s=scale: 2 * s * saved[0].cos() * g)
        assert not gradcheck(wrong, x, raise_exception=False)


def test_everything_at_once():
    assert gradcheck(
        lambda x, n, y: (n * torch.sin(x) * y, y.exp().sum(), torch.arange(3), "text"),
        (rand(3), 2, rand(3, seed=1), None)[:3],
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
        check_grad_dtypes=True,
    )


def test_several_inputs_and_outputs_are_named_by_their_position():
    f = custom(lambda n, x, y: (n * x * y, x + y), lambda saved, g, h: (None, 2 * saved[1] * g + h, 2 * saved[0] * g))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, (2, rand(3), rand(3, seed=1)))
    assert {entry.parameter for entry in caught.value.check.wrong} == {"inputs[2]"}


@pytest.mark.parametrize(
    ("name", "f", "x"),
    [
        ("complex to complex", lambda z: z * z.conj() * z + torch.sin(z), "z"),
        ("complex to real", lambda z: z.abs() + z.angle(), "z"),
        ("real to complex", torch.fft.rfft, "x"),
        ("module", torch.nn.Linear(4, 2).double(), "x"),
        ("convolution", lambda x: torch.nn.functional.conv1d(x[None, None], torch.ones(1, 1, 2, dtype=double)), "x"),
    ],
)
def test_correct_derivatives(name, f, x):
    point = rand(4) if x == "x" else torch.complex(rand(3), rand(3, seed=1)).detach().requires_grad_()
    assert gradcheck(f, point, check_forward_ad=True)
    assert gradgradcheck(f, point)


def test_a_missing_conjugate():
    z = torch.complex(rand(3), rand(3, seed=1)).detach().requires_grad_()
    with pytest.raises(GradcheckError) as caught:
        gradcheck(custom(lambda z: z * z, lambda saved, g: g * 2 * saved[0]), z)
    assert caught.value.check.parameters[0].shape == (3, 2)
    assert gradcheck(custom(lambda z: z * z, lambda saved, g: g * 2 * saved[0].conj()), z)


def test_forward_mode_that_is_wrong_alone():
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x.sin()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return ctx.saved_tensors[0].cos() * g

        @staticmethod
        def jvp(ctx, u):
            return -ctx.saved_tensors[0].cos() * u

    assert gradcheck(Sine.apply, rand(3))
    with pytest.raises(GradcheckError, match="minus") as caught:
        gradcheck(Sine.apply, rand(3), check_forward_ad=True)
    assert "dot-product" in labels(caught)


def test_undefined_gradients():
    def bad(saved, g, h):
        return 2 * g + 3 * h

    def good(saved, g, h):
        return (0 if g is None else 2 * g) + (0 if h is None else 3 * h) if (g is not None or h is not None) else None

    def keep(ctx, *args):
        ctx.set_materialize_grads(False)

    with pytest.raises(GradcheckError, match="undefined"):
        gradcheck(custom(lambda x: (2 * x, 3 * x), bad, keep), rand(3))
    assert gradcheck(custom(lambda x: (2 * x, 3 * x), bad, keep), rand(3), check_undefined_grad=False)
    assert gradcheck(custom(lambda x: (2 * x, 3 * x), good, keep), rand(3))


def test_a_backward_pass_that_ignores_its_argument():
    f = custom(lambda x: x.sum(), lambda saved, g: torch.ones_like(saved[0]))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(f, rand(3))
    assert "not-linear" in labels(caught)


def test_batched_backward_that_is_wrong():
    f = custom(lambda x: x.sin(), lambda saved, g: torch.from_numpy(saved[0].cos().numpy() * g.numpy()))
    assert gradcheck(f, rand(3))
    with pytest.raises(GradcheckError, match="vmap"):
        gradcheck(f, rand(3), check_batched_grad=True)


def test_second_derivatives():
    x = rand(3)
    assert gradgradcheck(lambda x: (x**3).sum(), x, check_fwd_over_rev=True)
    assert gradgradcheck(lambda x: x.sin() * x, x, torch.ones(3, dtype=double), fast_mode=True)
    assert gradgradcheck(lambda x: x.sin(), x, gen_non_contig_grad_outputs=True, check_batched_grad=True)

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x.detach() * g  # right, but half of its own derivative is lost

    assert gradcheck(Cube.apply, x)
    with pytest.raises(GradcheckError, match="1/2 times"):
        gradgradcheck(Cube.apply, x)
    assert not gradgradcheck(Cube.apply, x, raise_exception=False)


def test_no_value():  # A7
    with pytest.raises(GradcheckError, match="cannot tell"):
        gradcheck(lambda x: torch.log(x - 10.0).sum(), rand(3))


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.ones(2), {}, "requires_grad"),
        (torch.eye(2).to_sparse().requires_grad_(), {}, "sparse"),
        (torch.ones(2, dtype=torch.bfloat16).requires_grad_(), {}, "bfloat16"),
        (rand(2), {"check_backward_ad": False}, "nothing to check"),
    ],
)
def test_misuse(x, options, message):
    with pytest.raises(fd.ArgumentError, match=message):
        gradcheck(lambda x: x, x, **options)
