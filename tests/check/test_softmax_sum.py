"""The diagnosis of a softmax that has forgotten its denominator: made where it holds, and only there."""

from __future__ import annotations

import numpy as np
import pytest

import fdcore as fd

X = np.random.default_rng(3).normal(size=(4, 5))
V = np.random.default_rng(4).normal(size=(4, 5))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def loss(x):
    return float(np.sum(V * softmax(x)))


def test_right():
    assert fd.check_gradient(loss, lambda x: softmax(x) * (V - np.sum(V * softmax(x), -1, keepdims=True)), X)


@pytest.mark.parametrize(
    ("f", "wrong"),
    [
        (loss, lambda x: softmax(x) * V),
        (lambda x: float(np.sum(V * np.log(softmax(x)))), lambda x: V),
    ],
)
def test_the_sum_is_missing(f, wrong):
    check = fd.check_gradient(f, wrong, X)
    assert check.verdict == "wrong"
    assert check.diagnoses[0].label == "softmax-sum"
    assert check.diagnoses[0].evidence["axis"] == 1


def test_another_error_is_not_called_that():
    check = fd.check_gradient(loss, lambda x: softmax(x) * V + 1e-3 * V, X)
    assert check.verdict == "wrong"
    assert "softmax-sum" not in {d.label for d in check.diagnoses}
