"""PyTorch modules and functions: right ones agree, planted bugs are found by name, and nothing is left changed."""

from __future__ import annotations

import numpy as np
import pytest

import fdcore as fd

torch = pytest.importorskip("torch", reason="needs torch")
from fdcore.integrations.torch import check_function, check_module, numeric_gradient  # noqa: E402

nn = torch.nn


@pytest.fixture(autouse=True)
def one_thread_and_one_seed():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def network(dropout=0.0):
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 2))


def data():
    return torch.randn(8, 3), torch.tensor([0, 1] * 4)


def everything(module):
    """All that a check might have changed, as bytes and identities."""
    tensors = [*module.parameters(), *module.buffers()]
    return [(id(t), t.data_ptr(), t.dtype, t.detach().numpy().tobytes(), t._version) for t in tensors]


class Scaled(torch.autograd.Function):
    """x * w, whose backward pass may have a factor too many."""

    factor = 1.0

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad * w, Scaled.factor * grad * x


class ScaledLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -1.5, 2.0]))

    def forward(self, x):
        return Scaled.apply(x, self.weight)


def softmax_function(wrong):
    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits):
            s = torch.exp(logits - logits.max(-1, keepdim=True).values)
            s = s / s.sum(-1, keepdim=True)
            ctx.save_for_backward(s)
            return s

        @staticmethod
        def backward(ctx, grad):
            (s,) = ctx.saved_tensors
            if wrong:
                return s * grad
            return s * (grad - (grad * s).sum(-1, keepdim=True))

    return Softmax


def test_a_module_agrees_by_name():
    net, (x, y) = network(), data()
    check = check_module(net, nn.CrossEntropyLoss(), x, y, dtype=torch.float64)
    assert check.verdict == "agrees"
    assert [row.name for row in check.parameters] == [name for name, _ in net.named_parameters()]
    # Batch norm takes out the bias before it, whose gradient is zero.
    assert max(row.detection_limit for row in check.parameters if row.name != "0.bias") < 1e-6
    # Each parameter row has the parameter's own shape.
    assert [row.shape for row in check.parameters] == [tuple(p.shape) for p in net.parameters()]


def test_the_numeric_gradient_is_autograd_s():
    net, (x, y) = network(), data()
    loss = nn.CrossEntropyLoss()
    found = numeric_gradient(net, loss, x, y)
    net.double()
    loss(net(x.double()), y).backward()
    assert found.keys() == dict(net.named_parameters()).keys()
    for name, p in net.named_parameters():
        assert found[name].dtype == torch.float64
        assert found[name].shape == p.shape
        torch.testing.assert_close(found[name], p.grad, rtol=1e-6, atol=1e-9)


def test_a_wrong_layer_is_named():
    Scaled.factor = 2.0
    try:
        net = nn.Sequential(nn.Linear(3, 3), ScaledLayer())
        check = check_module(net, lambda out: (out**2).mean(), data()[0], dtype=torch.float64)
    finally:
        Scaled.factor = 1.0
    assert check.verdict == "wrong"
    assert {entry.name for entry in check.wrong} == {"1.weight[0]", "1.weight[1]", "1.weight[2]"}
    assert [row.verdict for row in check.parameters] == ["agrees", "agrees", "wrong"]
    assert check.diagnoses[0].label == "factor"
    assert check.diagnoses[0].parameter == "1.weight"
    with pytest.raises(fd.WrongGradientError, match=r"1\.weight"):
        check.raise_if_wrong()


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_nothing_is_left_changed(dtype):
    net, (x, y) = network(dropout=0.5), data()
    nn.CrossEntropyLoss()(net(x), y).backward()
    grads = [p.grad for p in net.parameters()]
    before, state = everything(net), torch.get_rng_state()
    kept_x = x.clone()
    check = check_module(net, nn.CrossEntropyLoss(), x, y, dtype=dtype, mode="projected")
    assert check.verdict == "agrees"
    assert everything(net) == before
    assert all(a is b.grad for a, b in zip(grads, net.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, kept_x)
    assert net.training
    assert not x.requires_grad


@pytest.mark.parametrize("dtype", [None, torch.float64])
@pytest.mark.parametrize("error", [RuntimeError("out of luck"), KeyboardInterrupt()])
def test_nothing_is_left_changed_by_an_exception(dtype, error):
    net, (x, y) = network(), data()
    net.register_buffer("extra", torch.zeros(2))
    before = everything(net)
    calls = []

    def loss(out, y):
        calls.append(1)
        net.scratch = out  # an attribute of the module, which must not stay
        net.extra = net.extra + 1  # a buffer that is replaced
        if len(calls) == 12:
            raise error
        return nn.functional.cross_entropy(out, y)

    with pytest.raises(type(error)) as caught:
        check_module(net, loss, x, y, dtype=dtype)
    assert caught.value is error
    assert everything(net) == before
    assert not hasattr(net, "scratch")


def test_dropout_and_batch_norm_get_a_sentence_not_nonsense():
    net, (x, y) = network(dropout=0.5), data()
    check = check_module(net, nn.CrossEntropyLoss(), x, y, dtype=torch.float64)
    notes = {note.label: note.message for note in check.notes}
    assert check.verdict == "agrees"
    assert "Dropout 3" in notes["random"]
    assert "1.running_mean" in notes["buffers"]
    assert "eval()" in notes["buffers"]
    net.eval()
    check = check_module(net, nn.CrossEntropyLoss(), x, y, dtype=torch.float64)
    assert check.verdict == "agrees"
    assert not {"random", "buffers"} & {note.label for note in check.notes}


def test_randomness_outside_of_layers_is_noticed():
    layer = nn.Linear(3, 1)
    x = torch.randn(5, 3)
    check = check_module(layer, lambda out: (out * torch.rand(5, 1)).sum(), x, dtype=torch.float64)
    assert check.verdict == "agrees"
    assert "random" in {note.label for note in check.notes}


def test_single_precision_says_what_to_do():
    net, (x, y) = network(), data()
    check = check_module(net, nn.CrossEntropyLoss(), x, y, mode="projected")
    (note,) = [note for note in check.notes if note.label == "dtype"]
    assert "dtype=torch.float64" in note.message
    check = check_module(net, nn.CrossEntropyLoss(), x, y, dtype=torch.float64, mode="projected")
    assert not [note for note in check.notes if note.label == "dtype"]


def test_frozen_parameters_are_left_out_and_tied_ones_appear_once():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    first.bias.requires_grad_(False)
    net = nn.Sequential(first, nn.Tanh(), second)
    check = check_module(net, lambda out: out.square().sum(), torch.randn(4, 3), dtype=torch.float64)
    assert check.verdict == "agrees"
    assert [row.name for row in check.parameters] == ["0.weight", "2.bias"]
    assert second.weight is first.weight


def test_a_loss_may_use_the_parameters_themselves():
    net, (x, y) = network(), data()
    captured = list(net.parameters())

    def loss(out, y):
        return nn.functional.cross_entropy(out, y) + 0.1 * sum(p.square().sum() for p in captured)

    check = check_module(net, loss, x, y, dtype=torch.float64)
    assert check.verdict == "agrees"
    numeric = numeric_gradient(net, loss, x, y)
    bare = numeric_gradient(net, nn.CrossEntropyLoss(), x, y)
    penalty = 0.2 * captured[0].detach().double()
    torch.testing.assert_close(numeric["0.weight"] - bare["0.weight"], penalty, rtol=1e-6, atol=1e-8)


def test_a_detached_term_is_found():
    layer = nn.Linear(3, 1, bias=False)
    x = torch.randn(5, 3)
    check = check_module(layer, lambda out: (out * out.detach()).sum(), x, dtype=torch.float64)
    assert check.verdict == "wrong"
    assert all(entry.ratio == pytest.approx(0.5) for entry in check.wrong)
    gone = check_module(layer, lambda out: out.detach().sum(), x, dtype=torch.float64)
    assert gone.verdict == "wrong"
    assert gone.diagnoses[0].label in ("zero", "missing")


def test_recurrent_and_in_place_layers():
    lstm = nn.LSTM(2, 2)
    check = check_module(lstm, lambda out: out[0].square().sum(), torch.randn(4, 1, 2), dtype=torch.float64)
    assert check.verdict == "agrees"
    x = torch.randn(5, 3)
    net = nn.Sequential(nn.Tanh(), nn.Linear(3, 2), nn.ReLU(inplace=True))
    assert check_module(net, lambda out: out.sum(), x, dtype=torch.float64)

    class Overwrites(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x):
            x.mul_(2.0)
            return (x * self.w).sum()

    kept = x.clone()
    check = check_module(Overwrites(), None, x, dtype=torch.float64)
    assert check.verdict == "agrees"
    assert "input-mutated" in {note.label for note in check.notes}
    assert torch.equal(x, kept)


def test_softmax_with_a_hand_written_backward():
    logits = torch.randn(4, 5, dtype=torch.float64)
    assert check_function(softmax_function(wrong=False).apply, logits).verdict == "agrees"
    check = check_function(softmax_function(wrong=True).apply, logits)
    assert check.verdict == "wrong"
    assert {entry.parameter for entry in check.wrong} == {"logits"}
    assert len(check.wrong) == 20
    assert check.diagnoses[0].label == "softmax-sum"
    assert "softmax" in check.diagnoses[0].message


def test_functions_name_their_arguments():
    Scaled.factor = -1.0
    try:
        x, w = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
        check = check_function(Scaled.apply, (x, w))
    finally:
        Scaled.factor = 1.0
    assert [(row.name, row.verdict) for row in check.parameters] == [("x", "agrees"), ("w", "wrong")]
    assert check.diagnoses[0].label == "sign"
    several = check_function(lambda a, k, b: (a * b, k * a.sum()), (x, 3, w))
    assert several.verdict == "agrees"
    assert [row.name for row in several.parameters] == ["a", "b"]
    # Only what requires a gradient, where something does.
    only = check_function(lambda a, b: a * b, (x, w.detach()))
    assert [row.name for row in only.parameters] == ["a"]


def test_functions_in_double_precision():
    x = torch.randn(3)
    check = check_function(torch.sin, x, dtype=torch.float64)
    assert check.verdict == "agrees"
    assert check.detection_limit < 1e-8
    assert check_function(torch.sin, x).detection_limit > 1e-6


def test_numeric_gradient_of_a_function():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    b = torch.tensor(0.5, requires_grad=True)
    found = numeric_gradient(lambda w, b: w * b, lambda out, y: (out - y).square().sum(), (w, b), torch.zeros(2))
    np.testing.assert_allclose(found["w"], 2 * 0.25 * w.detach().numpy(), rtol=1e-8)
    np.testing.assert_allclose(found["b"], 2 * 0.5 * 5.0, rtol=1e-8)
    result = numeric_gradient(lambda w: w.sum(), None, w, full_output=True)
    assert result.nfev > 4
    assert result.error["w"].shape == (2,)


def test_what_cannot_be_used_is_refused_by_name():
    x = torch.randn(2, 3)
    with pytest.raises(fd.ArgumentError, match="no parameter of the module requires a gradient"):
        check_module(nn.Linear(3, 1).requires_grad_(False), None, x)
    with pytest.raises(fd.ShapeError, match=r"\(2, 1\).*loss="):
        check_module(nn.Linear(3, 1), None, x)
    with pytest.raises(fd.ArgumentTypeError, match="weight is complex"):
        check_module(nn.Linear(3, 1, dtype=torch.complex128), None, x)
    with pytest.raises(fd.ArgumentTypeError, match="bfloat16"):
        check_module(nn.Linear(3, 1, dtype=torch.bfloat16), None, x)
    with pytest.raises(fd.ArgumentError, match="run the module once"):
        check_module(nn.LazyLinear(1), None, x)
    with pytest.raises(fd.ArgumentTypeError, match=r"torch\.nn\.Module"):
        check_module(torch.sin, None, x)
    with pytest.raises(fd.ArgumentTypeError, match=r"torch\.float64"):
        check_module(nn.Linear(3, 1), None, x, dtype=np.float64)
    with pytest.raises(fd.ArgumentError, match="floating-point tensor"):
        check_function(lambda k: k, torch.tensor([1, 2]))
    with pytest.raises(fd.ArgumentTypeError, match="int"):
        check_function(3, x)


def test_tensors_that_keep_their_dtype_are_explained():
    layer = nn.Linear(3, 1)
    other = torch.randn(1, 2)
    with pytest.raises(RuntimeError) as caught:
        check_module(layer, lambda out: (out @ other).sum(), torch.randn(2, 3), dtype=torch.float64)
    assert any("Pass them as targets" in note for note in caught.value.__notes__)
    assert layer.weight.dtype == torch.float32


def test_a_network_of_many_parameters():
    Scaled.factor = 1.01
    try:
        net = nn.Sequential(nn.Linear(300, 300), nn.Tanh(), nn.Linear(300, 3), ScaledLayer())
        x = torch.randn(4, 300)
        check = check_module(net, lambda out: out.square().sum(), x, dtype=torch.float64)
    finally:
        Scaled.factor = 1.0
    assert check.verdict == "wrong"
    assert {row.name for row in check.parameters if row.verdict == "wrong"} == {"3.weight"}
    assert check.nfev < 700
