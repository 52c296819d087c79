"""Weights against the oracle and the published tables; steps against the formula."""

from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import fdcore as fd
from fdcore.stencils import central, one_sided


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
def test_central_weights_equal_the_oracle(order, accuracy):
    rule = central(order, accuracy)
    assert list(rule.weights) == reference.weights(rule.offsets, order)
    assert (rule.order, rule.accuracy) == (order, accuracy)


@pytest.mark.parametrize("order", range(1, 5))
@pytest.mark.parametrize("accuracy", range(1, 9))
@pytest.mark.parametrize("sign", [1, -1])
def test_one_sided_weights_equal_the_oracle(order, accuracy, sign):
    rule = one_sided(order, accuracy, sign)
    assert list(rule.weights) == reference.weights(rule.offsets, order)
    assert rule.accuracy == accuracy


@given(st.lists(st.fractions(-9, 9, max_denominator=7), min_size=2, max_size=7, unique=True), st.integers(0, 3))
def test_weights_of_any_offsets_equal_the_oracle(offsets, order):
    if len(offsets) > order:
        assert list(fd.weights(offsets, order)) == reference.weights(offsets, order)


@pytest.mark.parametrize(
    ("order", "accuracy", "constant"),  # K of the optimal step (K eps)^(1/(d+p)), and the sum of absolute weights
    [(1, 2, 3.0), (1, 4, 11.25), (2, 2, 48.0), (2, 4, 240.0), (3, 2, 18.0), (4, 2, 192.0), (5, 2, 75.0), (6, 2, 768.0)],
)
def test_steps_have_the_published_constants(order, accuracy, constant):
    step = central(order, accuracy).step(precision=1.0)
    assert step ** (order + accuracy) == pytest.approx(constant, rel=1e-12)


@pytest.mark.parametrize("method", ["forward", "backward", "central"])
@pytest.mark.parametrize("accuracy", [2, 4, 6, 8])
def test_the_kernel_uses_the_rule_step(method, accuracy):
    result = fd.gradient(lambda x: float(x @ x), np.ones(2), method=method, accuracy=accuracy, full_output=True)
    assert result.step == pytest.approx(reference.rule_step(method, accuracy), rel=1e-12)


def test_stencils_print_as_a_formula():
    assert str(fd.stencil([-1, 1])) == "(-1/2 f(x - h) + 1/2 f(x + h)) / h"
    assert str(fd.stencil([0, 1, 2])) == "(-3/2 f(x) + 2 f(x + h) - 1/2 f(x + 2h)) / h"


def test_accuracy_counts_what_symmetry_gives():
    assert fd.stencil([-1, 0, 1], 2).accuracy == 2
    assert fd.stencil([-2, -1, 0, 1, 2], 1).accuracy == 4
    assert fd.stencil([Fraction(-1, 2), Fraction(1, 2)]).accuracy == 2


@pytest.mark.parametrize(
    ("offsets", "order", "message"),
    [([0, 0, 1], 1, "distinct"), ([0, 1], 2, "at least 3 offsets"), ([0, 1], -1, "order must be")],
)
def test_bad_stencils_say_why(offsets, order, message):
    with pytest.raises(fd.ArgumentError, match=message):
        fd.weights(offsets, order)
